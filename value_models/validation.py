"""How good a value model is on episodes it never saw."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

import numpy as np
from numpy.typing import NDArray
from scipy.stats import rankdata

from value_models.frames import JudgedFrames

Floats = NDArray[np.floating]
Integers = NDArray[np.integer]
Flags = NDArray[np.bool_]

METRIC_MEANINGS: Final[Mapping[str, str]] = {
    "cross_entropy": "Nats between the predicted distribution and the return; lower is better.",
    "mae_steps": "Mean distance between value and return, in control steps; lower is better.",
    "rank_correlation_successes": (
        "Spearman correlation of value and return over the frames of successes; 1 is best."
    ),
    "auc_25": (
        "Chance that a success has the higher value than a failure a quarter into both; "
        "0.5 is a coin, 1 is best."
    ),
    "auc_50": "The same halfway through both episodes.",
    "auc_75": "The same three quarters into both episodes.",
}
"""What every figure of ``value_metrics`` says, for reports."""


def value_metrics(
    frames: JudgedFrames, index: NDArray[np.int64], *, values: Floats, cross_entropy: Floats
) -> dict[str, float | None]:
    """Measure predictions against returns and outcomes.

    Args:
        frames: All judged frames.
        index: ``(M,)`` the frames predicted: whole episodes, in order.
        values: ``(M,)`` their predicted returns.
        cross_entropy: ``(M,)`` their cross-entropies, in nats.

    Returns:
        The figures that ``METRIC_MEANINGS`` explains; None where there is nothing to compare,
        such as an AUC without a failure.
    """
    returns = frames.returns[index]
    is_success = frames.is_success[index]
    error_steps = np.abs(values - returns) * frames.steps_per_return()[index]
    metrics: dict[str, float | None] = {
        "cross_entropy": float(cross_entropy.mean()),
        "mae_steps": float(error_steps.mean()),
        "rank_correlation_successes": rank_correlation(values[is_success], returns[is_success]),
    }
    for percent in (25, 50, 75):
        places = episode_places(frames.episode_index[index], fraction=percent / 100)
        metrics[f"auc_{percent}"] = success_auc(values[places], is_success[places])
    return metrics


def rank_correlation(first: Floats, second: Floats) -> float | None:
    """Give Spearman's rank correlation; None where either has no two different numbers."""
    if len(first) < 2 or np.ptp(first) == 0.0 or np.ptp(second) == 0.0:
        return None
    return float(np.corrcoef(rankdata(first), rankdata(second))[0, 1])


def success_auc(values: Floats, is_success: Flags) -> float | None:
    """Give the chance that a success has a higher value than a failure; a tie counts half.

    None without a success or without a failure.
    """
    successes = int(is_success.sum())
    failures = len(is_success) - successes
    if successes == 0 or failures == 0:
        return None
    ranks_of_successes = float(rankdata(values)[is_success].sum())
    return (ranks_of_successes - successes * (successes + 1) / 2) / (successes * failures)


def episode_places(episode_index: Integers, *, fraction: float) -> NDArray[np.int64]:
    """Find the frame that lies ``fraction`` of the way through each episode.

    Args:
        episode_index: ``(M,)`` episode of each frame, frames of an episode together, in order.
        fraction: 0 is an episode's first frame, 1 its last.

    Returns:
        One place in ``episode_index`` for every episode.
    """
    starts = np.flatnonzero(np.diff(episode_index, prepend=np.nan) != 0)
    lengths = np.diff(starts, append=len(episode_index))
    return starts + np.rint(fraction * (lengths - 1)).astype(np.int64)


def hold_out_episodes(
    frames: JudgedFrames, *, holdout_fraction: float, rng: np.random.Generator
) -> Flags:
    """Choose whole episodes to keep out of training, alike in tasks and outcomes to the rest.

    Episodes are ordered by task and outcome, at random within, and every so-manieth is held
    out: so each group gives its share, to within one episode, however small it is.

    Args:
        frames: All judged frames.
        holdout_fraction: Share of the episodes to hold out.
        rng: Source of the choice.

    Returns:
        ``(N,)`` whether each frame is held out. At least one episode is, and one is not.

    Raises:
        ValueError: If there are fewer than two episodes.
    """
    episodes, first_frame, episode_of_frame = np.unique(
        frames.episode_index, return_index=True, return_inverse=True
    )
    if len(episodes) < 2:
        message = f"holding out needs at least two episodes, got {len(episodes)}."
        raise ValueError(message)
    order = np.lexsort(
        (
            rng.random(len(episodes)),
            frames.is_success[first_frame],
            frames.observations.task_index[first_frame],
        )
    )
    wanted = min(max(1, round(holdout_fraction * len(episodes))), len(episodes) - 1)
    spacing = len(episodes) / wanted
    chosen = order[((np.arange(wanted) + rng.random()) * spacing).astype(int)]
    is_held_out = np.zeros(len(episodes), dtype=bool)
    is_held_out[chosen] = True
    held_out: Flags = is_held_out[episode_of_frame]
    return held_out
