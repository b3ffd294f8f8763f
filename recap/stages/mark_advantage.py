"""Mark every frame positive or negative.

Reads: the lap's value model, the training set it was trained on, and the policy whose features the
value model reads, if it does.
Writes: ``iterations/<k>/advantages.parquet`` (``pretrained/advantages.parquet``), bound by
fingerprints to both.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from data.errors import ConfigError, FingerprintError, UnusableError
from data.schema import EPISODE_KEY, Indicator, Outcome
from recap.progress import ProgressFactory
from recap.project import Project

if TYPE_CHECKING:
    from typing import Any

    import numpy as np
    import pandas as pd
    from numpy.typing import NDArray

    from data.annotations import AdvantageTable
    from data.trainset import Trainset
    from recap.config import RecapConfig
    from recap.core.returns import ReturnScale
    from value_models.gate import Gate
    from value_models.spec import ValueSpec

MOST_NEGATIVES_PER_POSITIVE = 2.0
"""With more, a published reproduction found the conditioning turned around."""

LITTLE_LEFT_TO_GAIN = 0.95
"""Success rate of the newest rollouts above which there is hardly anything to improve on."""

UNMEASURED = (
    "The value model was measured by an earlier version, which did not say how far it can be "
    "relied on. Delete its folder and run `recap train-value` again to know."
)
"""What is said of marks from a value model without a verdict."""


@dataclass(frozen=True, slots=True, kw_only=True)
class AdvantageConfig:
    """Settings of the advantages."""

    horizon: int = 50
    """Frames to look ahead. 50 frames are one second at 50 Hz."""

    positive_fraction: float = 0.4
    """Share of each task's newest autonomous frames to call positive."""

    pretraining_positive_fraction: float = 0.3
    """Share of each task's demonstrated frames to call positive in pre-training."""

    accept_unusable: bool = False
    """Whether to mark with a value model that was measured to be unusable, instead of stopping."""

    def __post_init__(self) -> None:
        """Refuse a horizon or a share that means nothing."""
        if self.horizon < 1:
            message = f"advantage.horizon must be at least 1 frame, got {self.horizon}."
            raise ConfigError(message)
        for name in ("positive_fraction", "pretraining_positive_fraction"):
            value = getattr(self, name)
            if not 0.0 < value < 1.0:
                message = (
                    f"advantage.{name} must lie strictly between 0 and 1, got {value}. "
                    f"The paper uses 0.3 for demonstrations and 0.4 for rollouts."
                )
                raise ConfigError(message)


@dataclass(frozen=True, slots=True, kw_only=True)
class MarkAdvantageReport:
    """How the frames were marked."""

    inputs: Mapping[str, str]
    outputs: Mapping[str, str]
    frames: int
    positive: int
    corrections: int
    thresholds: Mapping[str, float]
    warnings: tuple[str, ...]

    def headline(self) -> str:
        """Say how many frames are positive."""
        share = self.positive / self.frames
        return (
            f"{self.positive} of {self.frames} frames positive ({share:.0%}), "
            f"{self.corrections} of them corrections"
        )


def run(
    config: "RecapConfig",
    project: Project,
    *,
    iteration: int | None,
    progress: ProgressFactory,
) -> MarkAdvantageReport:
    """Mark every frame of one lap's training set."""
    from data.annotations import AdvantageTable
    from data.files import content_hash
    from recap.trainsets import trainset_of

    trainset = trainset_of(config, project, iteration=iteration)
    value, destination = project.value(iteration), project.advantages(iteration)
    value_fingerprint = content_hash(value)

    gate = _gate_of(value)
    if not destination.exists():
        _require_usable(gate, value=value, is_accepted=config.advantage.accept_unusable)
        _mark(config, project, trainset, iteration=iteration, progress=progress).save(destination)
    table = AdvantageTable.load(destination)
    table.require(trainset.fingerprint)
    if table.value_fingerprint != value_fingerprint:
        message = (
            f"{destination} was made with another value model ({table.value_fingerprint}) than "
            f"{value} ({value_fingerprint}). Delete the file and run `recap mark-advantage` again."
        )
        raise FingerprintError(message)

    positive = int(table.positive().sum())
    return MarkAdvantageReport(
        inputs={
            project.relative(trainset.root): trainset.fingerprint,
            project.relative(value): value_fingerprint,
        },
        outputs={project.relative(destination): content_hash(destination)},
        frames=len(trainset),
        positive=positive,
        corrections=int(trainset.is_correction().sum()),
        thresholds=dict(table.thresholds),
        warnings=(
            *_doubts(gate),
            *_warnings(trainset, positive=positive, iteration=iteration),
        ),
    )


def _mark(
    config: "RecapConfig",
    project: Project,
    trainset: "Trainset",
    *,
    iteration: int | None,
    progress: ProgressFactory,
) -> "AdvantageTable":
    """Load, predict, compare with what came, and mark."""
    import draccus
    import numpy as np

    from data.annotations import AdvantageTable
    from data.files import content_hash
    from recap.core.advantages import improvement_indicators, n_step_advantages, task_thresholds
    from recap.trainsets import per_frame
    from recap.values import observe_for
    from value_models.checkpoint import load_checkpoint
    from value_models.prediction import predict_values

    settings, value = config.advantage, project.value(iteration)
    scale = config.returns.scale(config.world.time_limit_steps)
    model = load_checkpoint(value)
    _require_belonging(model.spec, trainset, scale, value=value)
    values = predict_values(
        model,
        observe_for(
            model.spec,
            project,
            trainset,
            progress,
            frames=config.frames,
            threads=config.value.threads,
        ),
        threads=config.value.threads,
        progress=progress("mark-advantage").update,
    ).astype(np.float64)

    # Pre-training looks to the end of the episode: A = R - V.
    horizon = scale.max_steps if iteration is None else settings.horizon
    rewards = per_frame(trainset, scale.rewards)
    advantages = np.concatenate(
        [
            n_step_advantages(rewards[e.start : e.stop], values[e.start : e.stop], horizon=horizon)
            for e in trainset.episodes
        ]
    )
    task_index, is_correction = trainset.task_index(), trainset.is_correction()
    newest = _newest_autonomous_frames(trainset)
    fraction = (
        settings.pretraining_positive_fraction if iteration is None else settings.positive_fraction
    )
    thresholds = task_thresholds(advantages[newest], task_index[newest], positive_fraction=fraction)
    is_positive = improvement_indicators(
        advantages, task_index, is_correction, thresholds=thresholds
    )
    return AdvantageTable(
        frames=_frames(
            trainset,
            {
                "return": per_frame(trainset, scale.returns),
                "value": values,
                "advantage": advantages,
                "indicator": np.where(is_positive, Indicator.POSITIVE, Indicator.NEGATIVE),
                "is_correction": is_correction,
            },
        ),
        thresholds={trainset.tasks[task]: bound for task, bound in thresholds.items()},
        trainset_fingerprint=trainset.fingerprint,
        value_fingerprint=content_hash(value),
        settings={**draccus.encode(settings), **draccus.encode(config.returns)},
    )


def _frames(trainset: "Trainset", columns: "Mapping[str, NDArray[Any]]") -> "pd.DataFrame":
    import pandas as pd

    from data.annotations import SCHEMA

    table = trainset.table()
    places = {
        "episode_uid": table[EPISODE_KEY],
        "frame_index": table["frame_index"],
        "index": table["index"],
    }
    return pd.DataFrame({**places, **columns}, columns=SCHEMA.names)


def _newest_autonomous_frames(trainset: "Trainset") -> "NDArray[np.bool_]":
    import numpy as np

    from recap.core.advantages import sets_threshold

    laps = np.array([episode.info.iteration for episode in trainset.episodes])
    return sets_threshold(
        trainset.task_index(), laps[trainset.episode_index()], trainset.is_correction()
    )


def _gate_of(value: Path) -> "Gate | None":
    """Read what was said of a value model; None where nothing was."""
    from data.files import read_json
    from value_models.checkpoint import METRICS_FILE
    from value_models.gate import Gate

    measured = value / METRICS_FILE
    return Gate.read(read_json(measured)) if measured.exists() else None


def _require_usable(gate: "Gate | None", *, value: Path, is_accepted: bool) -> None:
    """Stop before a value model decides that was measured to know nothing."""
    from value_models.gate import Verdict

    if gate is None or gate.verdict is not Verdict.UNUSABLE or is_accepted:
        return
    message = (
        f"{value} is unusable: {' '.join(gate.reasons)} A policy would learn noise from its marks. "
        f"Give it more judged attempts, failures among them, and delete the folder to train it "
        f"again; or mark with it all the same: --advantage.accept_unusable=true"
    )
    raise UnusableError(message)


def _doubts(gate: "Gate | None") -> tuple[str, ...]:
    if gate is None:
        return (UNMEASURED,)
    return gate.warnings()


def _require_belonging(
    spec: "ValueSpec", trainset: "Trainset", scale: "ReturnScale", *, value: Path
) -> None:
    from value_models.belonging import require_known_tasks, require_scale, require_trained_on

    require_trained_on(spec, value=value, trainset_fingerprint=trainset.fingerprint)
    require_known_tasks(spec, trainset.tasks, value=value)
    normalisers = dict.fromkeys(trainset.tasks, scale.normaliser)
    require_scale(spec, normalisers, scaling=scale.scaling.value, value=value)


def _warnings(trainset: "Trainset", *, positive: int, iteration: int | None) -> tuple[str, ...]:
    """Say what makes conditioning on these marks unlikely to work."""
    warnings = []
    negative = len(trainset) - positive
    if iteration is not None and negative > MOST_NEGATIVES_PER_POSITIVE * positive:
        warnings.append(
            f"{negative / max(positive, 1):.1f} negative frames for every positive one: the "
            f"indicator may come to mean nothing, or its opposite. Raise the positive fraction."
        )
    autonomous = [
        e.outcome is Outcome.SUCCESS
        for e in trainset.episodes
        if iteration and e.info.iteration == iteration and not e.info.corrected_frames
    ]
    if autonomous and sum(autonomous) > LITTLE_LEFT_TO_GAIN * len(autonomous):
        warnings.append(
            f"{sum(autonomous)} of {len(autonomous)} autonomous attempts succeeded: "
            f"hardly anything is left to gain but speed."
        )
    return tuple(warnings)
