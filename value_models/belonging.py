"""Whether a value model belongs to the data it is asked about.

A checkpoint states what it was made for and from (:class:`value_models.spec.ValueSpec`). Whoever
uses one asks here first: a value on another scale, of an instruction that was never trained on, or
learnt from outcomes that were revised since, is a number like any other and means nothing. The
robot itself, its cameras, joints and rate, is compared by
:func:`value_models.frames.require_fitting` whenever a model is asked.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path

from data.errors import CheckpointError, FingerprintError
from value_models.frames import JudgedFrames
from value_models.spec import ValueSpec

AGAIN = "Delete the folder and run `recap train-value` again."


def require_made_from(
    spec: ValueSpec, *, value: Path, trainset_fingerprint: str, base_fingerprint: str
) -> None:
    """Refuse a value model that was trained on other data, or began from another model.

    Args:
        spec: What the value model states.
        value: Its folder, to name it.
        trainset_fingerprint: The training set as the episodes and outcomes make it now.
        base_fingerprint: Content hash of the value model to begin from now; empty for none.

    Raises:
        FingerprintError: If either differs from what ``spec`` states.
    """
    require_trained_on(spec, value=value, trainset_fingerprint=trainset_fingerprint)
    if spec.base_fingerprint != base_fingerprint:
        message = (
            f"{value} began from {_base(spec.base_fingerprint)}, but the settings now name "
            f"{_base(base_fingerprint)}. {AGAIN}"
        )
        raise FingerprintError(message)


def require_trained_on(spec: ValueSpec, *, value: Path, trainset_fingerprint: str) -> None:
    """Refuse a value model that was trained on another training set.

    Raises:
        FingerprintError: If the fingerprint differs from what ``spec`` states.
    """
    if spec.trainset_fingerprint != trainset_fingerprint:
        message = (
            f"{value} was trained on the training set {spec.trainset_fingerprint}, but the "
            f"episodes and outcomes now make {trainset_fingerprint}. {AGAIN}"
        )
        raise FingerprintError(message)


def require_known_tasks(spec: ValueSpec, tasks: Sequence[str], *, value: Path) -> None:
    """Refuse instructions that a value model was not trained on.

    It would answer, as words can be read in any order, but no advantage may rest on the answer.

    Raises:
        CheckpointError: If one of ``tasks`` is unknown; it names these and what is known.
    """
    unknown = unknown_tasks(spec, tasks)
    if unknown:
        message = (
            f"{value} was not trained on {_quoted(unknown)}; it knows {_quoted(spec.tasks)}. What "
            f"it would say is a guess. Add judged attempts of it, delete the folder and run "
            f"`recap train-value` again."
        )
        raise CheckpointError(message)


def unknown_tasks(spec: ValueSpec, tasks: Sequence[str]) -> tuple[str, ...]:
    """Give the instructions that a value model was not trained on, in the order of ``tasks``."""
    return tuple(task for task in dict.fromkeys(tasks) if task not in spec.tasks)


def require_scale(
    spec: ValueSpec, normalisers: Mapping[str, float], *, scaling: str, value: Path
) -> None:
    """Refuse a value model whose returns are not on the scale that is meant.

    Args:
        spec: What the value model states.
        normalisers: Task to control steps in one unit of return, as the settings make it now.
        scaling: How failures share the bins with successes, as the settings say now.
        value: The value model's folder, to name it.

    Raises:
        FingerprintError: If a task's normaliser, or the scaling, differs.
    """
    for task, steps in normalisers.items():
        stated = spec.normalisers.get(task)
        if (spec.scaling, stated) != (scaling, steps):
            message = (
                f"{value} predicts '{task}' on another scale of returns than these settings make: "
                f"{_scale(stated, spec.scaling)}, and they make {_scale(steps, scaling)}. {AGAIN}"
            )
            raise FingerprintError(message)


def fine_tuned_spec(spec: ValueSpec, frames: JudgedFrames, *, base_fingerprint: str) -> ValueSpec:
    """Say what a value model is made for once it is fine-tuned on frames that fit it.

    The scale of returns is the frames', for all of their tasks and whatever it was before: it is
    what their targets are on. Within an iteration all labels are on one scale, frozen with it, and
    every iteration begins from the pre-trained model again, never from one on a scale in between;
    so a time limit that differs from that of pre-training makes the model relearn a task's length,
    and cannot leave it with two. A task that the frames lack keeps its own scale, unless failures
    are scaled in another way now: a checkpoint states one way for all, so the task is no longer
    listed, and asking about it is refused.

    Args:
        spec: What it was made for before.
        frames: What it is fine-tuned on.
        base_fingerprint: Content hash of the checkpoint it is fine-tuned from.
    """
    seen = frames.observations
    kept = spec.tasks if spec.scaling == frames.scaling else ()
    tasks = tuple(dict.fromkeys((*kept, *seen.tasks)))
    scales = {**spec.normalisers, **{task: frames.normalisers[task] for task in seen.tasks}}
    return replace(
        spec,
        tasks=tasks,
        normalisers={task: scales[task] for task in tasks},
        scaling=frames.scaling,
        fps=spec.fps if seen.fps is None else seen.fps,
        state_names=spec.state_names if seen.state_names is None else seen.state_names,
        base_fingerprint=base_fingerprint,
    )


def _base(fingerprint: str) -> str:
    return f"the base {fingerprint}" if fingerprint else "nothing"


def _quoted(tasks: Sequence[str]) -> str:
    return ", ".join(f"'{task}'" for task in tasks)


def _scale(normaliser: float | None, scaling: str) -> str:
    steps = "no unit" if normaliser is None else f"{normaliser:g} steps to a unit"
    return f"{steps}, failures by '{scaling}'"
