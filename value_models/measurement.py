"""What is measured on predicted episodes, for one sample of them or for many resamples at once.

A resample is a row of weights, how often each episode was drawn: episodes are independent of one
another, their frames are not.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

import numpy as np
from numpy.typing import NDArray

from value_models.calibration import central_share, pit_shares
from value_models.frames import JudgedFrames
from value_models.prediction import Predictions
from value_models.ranking import rank_correlation, rank_correlations, success_aucs

Floats = NDArray[np.float64]
Integers = NDArray[np.int64]

PLACES = (25, 50, 75)
"""Percent of an episode at which successes are compared with failures."""

METRIC_MEANINGS: Final[Mapping[str, str]] = {
    "cross_entropy": "Nats between the predicted distribution and the return; lower is better.",
    "mae_steps": "Mean distance between value and return, in control steps; lower is better.",
    "rmse_steps": (
        "Root mean square of the same distance; lower is better, and a mean is the best guess."
    ),
    "rank_correlation_successes": (
        "Spearman correlation of value and return over the frames of all successes; 1 is best."
    ),
    "rank_correlation_within_successes": (
        "The same within each success, on average: does the value rise on the way? 1 is best."
    ),
    "auc_25": (
        "Chance that a success has the higher value than a failure at the same task, both still "
        "under way after a quarter of the longest attempt; 0.5 is a coin, 1 is best."
    ),
    "auc_50": "The same after half of the longest attempt.",
    "auc_75": "The same after three quarters of the longest attempt.",
    "auc_25_of_own_length": (
        "The same a quarter into each attempt's own length. Failures last longer, so their frame "
        "is a later one, and values rise with time: a clock gets less than 0.5 here, and a good "
        "model less than it deserves."
    ),
    "auc_50_of_own_length": "The same halfway through each attempt's own length.",
    "auc_75_of_own_length": "The same three quarters into each attempt's own length.",
    "coverage_50": (
        "Share of the returns inside the central half of their predicted distribution; 0.5 is "
        "best, less means that the model is too sure."
    ),
    "coverage_90": "Share inside the central nine tenths of the distribution; 0.9 is best.",
}
"""What every figure says, for reports."""

RANKED_FRAMES = 10_000
"""Frames of successes, evenly spaced, that the interval of a rank correlation looks at; the
figure itself rests on all."""


def value_metrics(
    frames: JudgedFrames, index: Integers, predictions: Predictions
) -> dict[str, float | None]:
    """Measure predictions against returns and outcomes.

    Args:
        frames: All judged frames.
        index: ``(M,)`` the frames predicted: whole episodes, in order.
        predictions: What was predicted of them.

    Returns:
        The figures that ``METRIC_MEANINGS`` explains; None where there is nothing to compare,
        such as an AUC without a failure.
    """
    points = PredictedEpisodes(frames, index, predictions).points()
    return {name: None if np.isnan(point) else point for name, point in points.items()}


class PredictedEpisodes:
    """Whole episodes that were predicted, ready to be measured again and again."""

    def __init__(self, frames: JudgedFrames, index: Integers, predictions: Predictions) -> None:
        """Add up what adds up, episode by episode; arguments as in ``value_metrics``."""
        self._values = predictions.values
        self._returns = frames.returns[index]
        episode_index = frames.episode_index[index]
        self._starts = np.flatnonzero(np.diff(episode_index, prepend=np.nan) != 0)
        self._lengths = np.diff(self._starts, append=len(index))
        self.episodes = len(self._starts)
        self.is_success = frames.is_success[index][self._starts]
        self._task = frames.observations.task_index[index][self._starts]
        self._longest = longest_attempts(frames)[self._task]
        error_steps = np.abs(self._values - self._returns) * frames.steps_per_return()[index]
        lower, upper = predictions.pit_lower, predictions.pit_upper
        self._sums = {
            "cross_entropy": self._summed(predictions.cross_entropy),
            "mae_steps": self._summed(error_steps),
            "rmse_steps": self._summed(error_steps**2),
            "coverage_50": self._summed(central_share(lower, upper, coverage=0.5)),
            "coverage_90": self._summed(central_share(lower, upper, coverage=0.9)),
        }
        self._pit_sums = self._summed(pit_shares(lower, upper))
        self._inner = self._inner_rank_correlations()
        self.once = np.ones((1, self.episodes))

    def points(self) -> dict[str, float]:
        """Give every figure of these episodes as they are; NaN where there is none."""
        return {name: float(samples[0]) for name, samples in self.figures(self.once).items()}

    def means(self, weights: Floats) -> dict[str, Floats]:
        """Give those figures that are means over frames, in every resample."""
        frames = weights @ self._lengths
        means = {name: weights @ sums / frames for name, sums in self._sums.items()}
        return {**means, "rmse_steps": np.sqrt(means["rmse_steps"])}

    def figures(self, weights: Floats) -> dict[str, Floats]:
        """Give every figure in every resample.

        Args:
            weights: ``(B, E)`` how often each of the ``episodes`` was drawn.

        Returns:
            Name to ``(B,)`` figures, in the order of ``METRIC_MEANINGS``; NaN where a resample
            has nothing to compare.
        """
        figures = self.means(weights)
        figures["rank_correlation_successes"] = self._pooled_rank_correlations(weights)
        known = ~np.isnan(self._inner)
        with np.errstate(divide="ignore", invalid="ignore"):
            inner = (weights[:, known] @ self._inner[known]) / weights[:, known].sum(axis=1)
        figures["rank_correlation_within_successes"] = inner
        for percent in PLACES:
            share = percent / 100
            figures[f"auc_{percent}"] = self._aucs_at_one_time(weights, share)
            figures[f"auc_{percent}_of_own_length"] = self._aucs_of_own_length(weights, share)
        return {name: figures[name] for name in METRIC_MEANINGS}

    def pit(self, weights: Floats) -> Floats:
        """Give the ``(B, PIT_BARS)`` share of PITs in every bar of the histogram."""
        shares: Floats = weights @ self._pit_sums / (weights @ self._lengths)[:, None]
        return shares

    def compared(self, share: float) -> tuple[int, int]:
        """Count the successes and the failures that are compared after a share of the time.

        Those count that are still under way, at a task with both.
        """
        running = self._is_running(share)
        tasks = [
            (int((mine & self.is_success).sum()), int((mine & ~self.is_success).sum()))
            for mine in (running & (self._task == task) for task in np.unique(self._task))
        ]
        both = [counts for counts in tasks if min(counts) > 0]
        return sum(successes for successes, _ in both), sum(failures for _, failures in both)

    def _summed(self, per_frame: NDArray[np.floating]) -> Floats:
        return np.add.reduceat(per_frame.astype(np.float64), self._starts, axis=0)

    def _is_running(self, share: float) -> NDArray[np.bool_]:
        running: NDArray[np.bool_] = self._lengths > (share * self._longest).astype(np.int64)
        return running

    def _aucs_at_one_time(self, weights: Floats, share: float) -> Floats:
        running = self._is_running(share)
        places = self._starts[running] + (share * self._longest[running]).astype(np.int64)
        return self._aucs(weights, places, running)

    def _aucs_of_own_length(self, weights: Floats, share: float) -> Floats:
        places = self._starts + np.rint(share * (self._lengths - 1)).astype(np.int64)
        return self._aucs(weights, places, np.ones(self.episodes, dtype=bool))

    def _aucs(self, weights: Floats, places: Integers, which: NDArray[np.bool_]) -> Floats:
        return success_aucs(
            self._values[places], self.is_success[which], self._task[which], weights[:, which]
        )

    def _pooled_rank_correlations(self, weights: Floats) -> Floats:
        column = np.repeat(np.arange(self.episodes), self._lengths)
        of_success = np.flatnonzero(self.is_success[column])
        if len(weights) > 1:
            of_success = of_success[:: max(1, -(-len(of_success) // RANKED_FRAMES))]
        return rank_correlations(
            self._values[of_success],
            self._returns[of_success],
            weights,
            column=column[of_success],
        )

    def _inner_rank_correlations(self) -> Floats:
        """Give the ``(E,)`` rank correlation within each success; NaN for the others."""
        inner = np.full(self.episodes, np.nan)
        for episode in np.flatnonzero(self.is_success):
            rows = slice(self._starts[episode], self._starts[episode] + self._lengths[episode])
            correlation = rank_correlation(self._values[rows], self._returns[rows])
            inner[episode] = np.nan if correlation is None else correlation
        return inner


def longest_attempts(frames: JudgedFrames) -> Integers:
    """Give the frames of each task's longest episode, judged either way; 0 for a task without."""
    starts = np.flatnonzero(np.diff(frames.episode_index, prepend=np.nan) != 0)
    lengths = np.diff(starts, append=len(frames.episode_index))
    longest = np.zeros(len(frames.observations.tasks), dtype=np.int64)
    np.maximum.at(longest, frames.observations.task_index[starts], lengths)
    return longest
