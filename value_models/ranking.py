"""How well numbers are ordered, for one sample or for many resamples of it at once.

A resample is a row of weights: how often each number was drawn. All of it rests on one thing, the
weight that lies below each number (half of its equals included), which is a rank but for a
constant.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]
Flags = NDArray[np.bool_]

NUMBERS_AT_ONCE = 1_000_000
"""Weights looked at in one piece, which bounds the memory that many resamples take."""


class Ordered:
    """Numbers in ascending order, with equal ones together."""

    def __init__(self, numbers: Floats) -> None:
        """Order ``(M,)`` numbers, at least one."""
        self.order = np.argsort(numbers, kind="stable")
        ascending = numbers[self.order]
        is_first = np.append(True, ascending[1:] != ascending[:-1])
        self.starts = np.flatnonzero(is_first)
        self.group = np.cumsum(is_first) - 1

    def weight_below(self, weights: Floats) -> Floats:
        """Give the weight of the smaller numbers and half that of the equal ones.

        Args:
            weights: ``(B, M)`` weights of the numbers, a row for each resample.

        Returns:
            ``(B, M)``, in the order in which the numbers were given.
        """
        of_group = np.add.reduceat(weights[:, self.order], self.starts, axis=1)
        below = np.cumsum(of_group, axis=1) - 0.5 * of_group
        answer = np.empty_like(below, shape=weights.shape)
        answer[:, self.order] = below[:, self.group]
        return answer


def rank_correlations(
    first: NDArray[np.floating],
    second: NDArray[np.floating],
    weights: Floats,
    *,
    column: NDArray[np.integer],
) -> Floats:
    """Give Spearman's rank correlation in every resample.

    Args:
        first: ``(M,)`` numbers.
        second: ``(M,)`` numbers of the same things.
        weights: ``(B, E)`` how often each episode was drawn.
        column: ``(M,)`` the episode that each thing belongs to.

    Returns:
        ``(B,)`` correlations; NaN where either has no two different numbers.
    """
    if len(first) == 0:
        return np.full(len(weights), np.nan)
    one, other = Ordered(np.asarray(first, np.float64)), Ordered(np.asarray(second, np.float64))
    at_once = max(1, NUMBERS_AT_ONCE // len(first))
    pieces = [
        _correlations(one, other, weights[start : start + at_once][:, column])
        for start in range(0, len(weights), at_once)
    ]
    return np.concatenate(pieces)


def _correlations(one: Ordered, other: Ordered, weights: Floats) -> Floats:
    total = weights.sum(axis=1)
    # The mean of the ranks is half of the total, whatever the ties: no rounding is left of it.
    first = one.weight_below(weights) - 0.5 * total[:, None]
    second = other.weight_below(weights) - 0.5 * total[:, None]
    weighted = weights * first
    above = np.einsum("bm,bm->b", weighted, second)
    spread = np.einsum("bm,bm->b", weighted, first) * np.einsum(
        "bm,bm,bm->b", weights, second, second
    )
    with np.errstate(divide="ignore", invalid="ignore"):
        return np.where(spread > 0.0, above / np.sqrt(spread), np.nan)


def success_aucs(
    values: NDArray[np.floating],
    is_success: Flags,
    task_index: NDArray[np.integer],
    weights: Floats,
) -> Floats:
    """Give the chance that a success has a higher value than a failure at the same task.

    Every pair of a success and a failure of one task counts once, and a tie half. Pairs of two
    tasks do not count: that one task is easier than another is not what is asked.

    Args:
        values: ``(M,)`` one value of every attempt.
        is_success: ``(M,)`` whether the attempt was judged a success.
        task_index: ``(M,)`` its task.
        weights: ``(B, M)`` how often each attempt was drawn.

    Returns:
        ``(B,)`` chances; NaN where there is no such pair.
    """
    won, pairs = np.zeros(len(weights)), np.zeros(len(weights))
    for task in np.unique(task_index):
        mine = task_index == task
        success = is_success[mine]
        of_failures = weights[:, mine] * ~success
        of_successes = weights[:, mine] * success
        ordered = Ordered(np.asarray(values[mine], np.float64))
        won += (of_successes * ordered.weight_below(of_failures)).sum(axis=1)
        pairs += of_successes.sum(axis=1) * of_failures.sum(axis=1)
    with np.errstate(divide="ignore", invalid="ignore"):
        return np.where(pairs > 0.0, won / pairs, np.nan)


def rank_correlation(first: NDArray[np.floating], second: NDArray[np.floating]) -> float | None:
    """Give Spearman's rank correlation; None where either has no two different numbers."""
    column = np.zeros(len(first), dtype=np.int64)
    return as_figure(rank_correlations(first, second, np.ones((1, 1)), column=column))


def success_auc(values: NDArray[np.floating], is_success: Flags) -> float | None:
    """Give the chance that a success has a higher value than a failure; a tie counts half.

    None without a success or without a failure.
    """
    one_task = np.zeros(len(values), dtype=np.int64)
    return as_figure(success_aucs(values, is_success, one_task, np.ones((1, len(values)))))


def as_figure(samples: Floats) -> float | None:
    """Read the only one of some samples; NaN is None, as JSON has no word for it."""
    (sample,) = samples.tolist()
    return None if np.isnan(sample) else sample
