"""Which actions went better than expected: advantages, thresholds and indicators."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]
Integers = NDArray[np.int64]
Flags = NDArray[np.bool_]


def n_step_advantages(rewards: Floats, values: Floats, *, horizon: int) -> Floats:
    """Say how much better each action went than the value model expected.

    ``A[t] = rewards[t] + ... + rewards[t+n-1] + values[t+n] - values[t]`` with ``n = horizon``.
    A window that would run past the episode ends with it and adds no value there: every
    episode ends in a judged outcome, so nothing remains to be earned.

    Args:
        rewards: ``(T,)`` rewards of one whole episode, in normalised return.
        values: ``(T,)`` predicted returns of the same frames, in normalised return.
        horizon: Window length in frames; ``horizon >= T`` gives the Monte-Carlo advantage.

    Returns:
        ``(T,)`` advantages in normalised return. Above zero means better than expected.

    Raises:
        ValueError: If the arrays differ in length, or ``horizon`` is below one.

    Source:
        Equation 2 and appendix F of the paper; ``horizon=50`` in post-training.
    """
    if rewards.shape != values.shape or rewards.ndim != 1:
        message = (
            f"rewards and values must be one number per frame of the same episode, "
            f"got shapes {rewards.shape} and {values.shape}."
        )
        raise ValueError(message)
    if horizon < 1:
        message = f"horizon must be at least 1 frame, got {horizon}."
        raise ValueError(message)
    length = len(rewards)
    start = np.arange(length)
    stop = np.minimum(start + horizon, length)
    earned: Floats = np.concatenate([[0.0], np.cumsum(rewards, dtype=np.float64)])
    remaining: Floats = np.append(values, 0.0)  # index T: the episode is over
    advantages: Floats = earned[stop] - earned[start] + remaining[stop] - values
    return advantages


def sets_threshold(task: NDArray[Any], iteration: Integers, is_correction: Flags) -> Flags:
    """Find the frames that set each task's threshold.

    They are the policy's own frames of the newest lap in which the task was attempted; a task that
    was only ever demonstrated is measured by its demonstrations.

    Args:
        task: ``(N,)`` the task of each frame, by number or in words.
        iteration: ``(N,)`` the lap in which each frame was recorded.
        is_correction: ``(N,)`` whether each frame corrects the policy.

    Returns:
        ``(N,)`` flags.
    """
    chosen = np.zeros(len(task), dtype=np.bool_)
    for one in np.unique(task):
        own = (task == one) & ~is_correction
        chosen |= own & (iteration == iteration[own].max())
    return chosen


def task_thresholds(
    advantages: Floats, task_index: Integers, *, positive_fraction: float
) -> dict[int, float]:
    """Find, for each task, the advantage that a positive frame must exceed.

    A threshold is an advantage that occurs: the largest share of the task's frames that does
    not exceed ``positive_fraction`` lies strictly above it. Frames tied with the threshold
    are not above it, so ties make the share smaller, never larger; with all frames alike,
    none is positive.

    Args:
        advantages: ``(N,)`` advantages of the frames the thresholds are estimated on.
        task_index: ``(N,)`` task of each frame.
        positive_fraction: Share of each task's frames to call positive, between 0 and 1.

    Returns:
        Threshold of every task that occurs, in the unit of the advantages.

    Raises:
        ValueError: If the arrays differ in length, an advantage is missing (NaN) or infinite,
            or ``positive_fraction`` does not lie strictly between 0 and 1.

    Source:
        Appendix F of the paper: 0.3 of the demonstrations in pre-training, 0.4 of the newest
        iteration's autonomous rollouts in fine-tuning.
    """
    if not 0.0 < positive_fraction < 1.0:
        message = f"positive_fraction must lie strictly between 0 and 1, got {positive_fraction}."
        raise ValueError(message)
    _require_complete(advantages, task_index)
    thresholds: dict[int, float] = {}
    for task in np.unique(task_index):
        ascending = np.sort(advantages[task_index == task])
        # 0.29 * 100 is 28.999999999999996: without the slack it would mean 28 frames.
        positives = int(positive_fraction * len(ascending) + 1e-9)
        thresholds[int(task)] = float(ascending[len(ascending) - 1 - positives])
    return thresholds


def improvement_indicators(
    advantages: Floats,
    task_index: Integers,
    is_correction: Flags,
    *,
    thresholds: Mapping[int, float],
) -> Flags:
    """Mark the frames whose action is to be imitated.

    A frame is positive when its advantage lies strictly above its task's threshold, or when
    someone was correcting the policy there, whatever its advantage.

    Args:
        advantages: ``(N,)`` advantages.
        task_index: ``(N,)`` task of each frame.
        is_correction: ``(N,)`` whether someone other than the policy was in control of a rollout.
        thresholds: Threshold of every task that occurs.

    Returns:
        ``(N,)`` True for positive, False for negative.

    Raises:
        ValueError: If the arrays differ in length, an advantage is missing (NaN) or infinite
            (a missing advantage is not a negative), or a task has no threshold.

    Source:
        Equation 3 and appendix F of the paper.
    """
    _require_complete(advantages, task_index, is_correction)
    tasks, task_of_frame = np.unique(task_index, return_inverse=True)
    missing = [int(task) for task in tasks if int(task) not in thresholds]
    if missing:
        message = f"no threshold for task(s) {', '.join(map(str, missing))}."
        raise ValueError(message)
    threshold_of_task = np.array([thresholds[int(task)] for task in tasks], dtype=np.float64)
    indicators: Flags = (advantages > threshold_of_task[task_of_frame]) | is_correction
    return indicators


def _require_complete(advantages: Floats, *others: Integers | Flags) -> None:
    if any(other.shape != advantages.shape for other in others) or advantages.ndim != 1:
        shapes = ", ".join(str(array.shape) for array in (advantages, *others))
        message = f"expected one entry per frame everywhere, got shapes {shapes}."
        raise ValueError(message)
    missing = int(np.count_nonzero(~np.isfinite(advantages)))
    if missing:
        message = (
            f"{missing} frame(s) have no finite advantage. A missing advantage is not a negative."
        )
        raise ValueError(message)
