"""What a value model must beat: predictions that need no look at the robot.

Each predicts a distribution over the same bins, so that all of its figures compare with the
model's. They learn from the training episodes alone.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial
from typing import Final

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from value_models.bins import BinSupport
from value_models.calibration import pit_bounds
from value_models.frames import JudgedFrames
from value_models.prediction import Predictions
from value_models.probe import LinearProbe

Floats = NDArray[np.float64]
Integers = NDArray[np.int64]

BASELINE_MEANINGS: Final[Mapping[str, str]] = {
    "time": (
        "The mean return at this step of this task: knows the clock, sees nothing. Where failures "
        "last to the time limit the clock gives their return to the bin, which no model is told: "
        "its cross-entropy may then be lower than a good model's."
    ),
    "task": "The mean return of this task: knows the instruction alone.",
    "linear_probe": "Ridge regression on coarse pixels, joints and task: what needs no network.",
}
"""What every baseline knows, for reports."""

PRIOR_FRAMES = 1.0
"""Frames of the coarser baseline that are mixed into each distribution: a time is smoothed by its
task, a task by all tasks, and those by evenly spread mass, so that no return is impossible."""

FRAMES_AT_ONCE = 4096

SMALLEST_PROBABILITY = 1e-12
"""Below it a probability counts as this, so that one surprise does not make a mean infinite."""


def baseline_predictions(
    frames: JudgedFrames, train: Integers, held_out: Integers, *, support: BinSupport
) -> dict[str, Predictions]:
    """Predict held-out frames from the training frames, in ways that are no value model.

    Args:
        frames: All judged frames.
        train: ``(K,)`` frames of the training episodes.
        held_out: ``(M,)`` frames to predict.
        support: The bins of the model to compare with, which also make the targets.

    Returns:
        Name (see ``BASELINE_MEANINGS``) to predictions. The probe is missing where there are too
        few training episodes to fit one.
    """
    by_task, by_time, time_of_frame = cells_of_training(frames, train, support=support)
    known = {
        "time": (by_time, time_of_frame[held_out]),
        "task": (by_task, frames.observations.task_index[held_out].astype(np.int64)),
    }
    answers = {
        name: _scored(
            frames,
            held_out,
            support=support,
            values=cells.means[of_frame],
            probabilities=partial(_of_cells, cells, of_frame),
        )
        for name, (cells, of_frame) in known.items()
    }
    probe = LinearProbe.fit(frames, train)
    if probe is not None:
        values = probe.predict(held_out)
        answers["linear_probe"] = _scored(
            frames,
            held_out,
            support=support,
            values=values,
            probabilities=lambda part: gaussian_mass(
                values[part], std=probe.error_std, bins=support.bins
            ),
        )
    return answers


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Cells:
    """What frames of one kind were worth in training, for kinds numbered from 0."""

    means: Floats
    """``(C,)`` mean return of every kind."""

    probabilities: Floats
    """``(C, bins)`` mean target of every kind."""


def cells_of_training(
    frames: JudgedFrames, train: Integers, *, support: BinSupport
) -> tuple[Cells, Cells, Integers]:
    """Average the training frames by task, and by task and step.

    A step at which no training episode of the task was still running counts as the task's last
    one; a task that training lacks is worth what all of them are worth together.

    Returns:
        The ``tasks`` cells, the ``tasks * steps`` cells, and the ``(N,)`` latter cell of every
        frame.
    """
    task, step = frames.observations.task_index, steps_in_episode(frames.episode_index)
    tasks = len(frames.observations.tasks)
    last_step = np.zeros(tasks, dtype=np.int64)
    np.maximum.at(last_step, task[train], step[train])
    steps = int(last_step.max()) + 1
    cell = task * steps + np.minimum(step, last_step[task])
    sums = np.zeros((tasks * steps, support.bins + 2))  # frames, returns, targets
    for part in _parts(len(train)):
        some = train[part]
        ones, returns = np.ones(len(some)), frames.returns[some]
        np.add.at(
            sums, cell[some], np.column_stack([ones, returns, _targets(frames, some, support)])
        )
    of_task = sums.reshape(tasks, steps, -1).sum(axis=1)
    of_all = of_task.sum(axis=0, keepdims=True)
    even = np.full((1, support.bins), 1.0 / support.bins)
    all_frames = _averaged(of_all, Cells(means=np.zeros(1), probabilities=even))
    by_task = _averaged(of_task, all_frames)
    by_time = _averaged(sums, by_task)
    return by_task, by_time, cell


def _averaged(sums: Floats, coarser: Cells) -> Cells:
    """Turn sums into means, with a little of the coarser cell that each belongs to."""
    above = np.repeat(np.arange(len(coarser.means)), len(sums) // len(coarser.means))
    frames, returns, targets = sums[:, 0], sums[:, 1], sums[:, 2:]
    mixed = targets + PRIOR_FRAMES * coarser.probabilities[above]
    return Cells(
        means=np.where(frames > 0, returns / np.maximum(frames, 1.0), coarser.means[above]),
        probabilities=mixed / (frames + PRIOR_FRAMES)[:, None],
    )


def steps_in_episode(episode_index: NDArray[np.integer]) -> Integers:
    """Count the ``(N,)`` frames of each episode from 0; an episode's frames are together."""
    places = np.arange(len(episode_index))
    is_first = np.append(True, episode_index[1:] != episode_index[:-1])
    steps: Integers = places - np.maximum.accumulate(np.where(is_first, places, 0))
    return steps


def gaussian_mass(values: Floats, *, std: float, bins: int) -> Floats:
    """Give the ``(B, bins)`` mass of a Gaussian in every bin, all of it within the bins."""
    edges = (np.arange(bins + 1) - 0.5) / (bins - 1) - 1.0
    places = (edges[None] - np.clip(values, -1.0, 0.0)[:, None]) / max(std, 1e-9)
    below = torch.special.ndtr(torch.from_numpy(places)).numpy()
    mass = np.diff(below, axis=1)
    whole: Floats = mass / mass.sum(axis=1, keepdims=True)
    return whole


def _scored(
    frames: JudgedFrames,
    index: Integers,
    *,
    support: BinSupport,
    values: Floats,
    probabilities: Callable[[slice], Floats],
) -> Predictions:
    """Compare distributions, made part by part, with what came."""
    answers = np.empty((3, len(index)), dtype=np.float32)
    for part in _parts(len(index)):
        mass = probabilities(part)
        targets = _targets(frames, index[part], support)
        logarithms = np.log(np.maximum(mass, SMALLEST_PROBABILITY))
        answers[0, part] = -(targets * logarithms).sum(axis=1)
        bounds = pit_bounds(torch.from_numpy(mass), torch.from_numpy(frames.returns[index[part]]))
        answers[1:, part] = torch.stack(bounds).numpy()
    return Predictions(
        values=values.astype(np.float32),
        cross_entropy=answers[0],
        pit_lower=answers[1],
        pit_upper=answers[2],
    )


def _of_cells(cells: Cells, of_frame: Integers, part: slice) -> Floats:
    return cells.probabilities[of_frame[part]]


def _targets(frames: JudgedFrames, index: Integers, support: BinSupport) -> Floats:
    returns: Tensor = torch.from_numpy(frames.returns[index].astype(np.float32))
    return support.project(returns).numpy().astype(np.float64)


def _parts(length: int) -> list[slice]:
    return [
        slice(start, min(start + FRAMES_AT_ONCE, length))
        for start in range(0, length, FRAMES_AT_ONCE)
    ]
