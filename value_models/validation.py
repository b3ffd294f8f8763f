"""How good a value model is on episodes it never saw, and how sure that is.

Every interval holds 95 %: the figures of ``RESAMPLES`` samples of as many episodes, drawn with
replacement. Comparisons with a baseline use the same draws for both, so that what is hard about an
episode cancels out.

Where whole sessions or raters were held out, whole ones are drawn, each with all of its episodes:
episodes of one session are alike, and drawn one by one they would pass for more evidence than they
are. (Of a single one nothing can be drawn but its episodes; the gate says so.)

Source:
    Field and Welsh, *Bootstrapping clustered data*, 2007, for draws of whole groups.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from value_models.config import HoldOutBy
from value_models.frames import JudgedFrames
from value_models.gate import gate_of
from value_models.measurement import METRIC_MEANINGS, PLACES, PredictedEpisodes
from value_models.prediction import Predictions

Floats = NDArray[np.float64]
Integers = NDArray[np.int64]

RESAMPLES: Final = 1000
CONFIDENCE: Final = 0.95
SEED: Final = 0
"""Of the draws. They are the same whatever the training's seed is: the same predictions give the
same intervals."""

Judged = tuple[Integers, Predictions]
"""Frames of whole episodes, in order, and what was predicted of them."""


def validate(
    frames: JudgedFrames,
    *,
    held_out: Judged,
    train: Judged,
    baselines: Mapping[str, Predictions],
    by: HoldOutBy = HoldOutBy.EPISODE,
) -> dict[str, Any]:
    """Measure a value model on held-out episodes, and compare.

    Args:
        frames: All judged frames.
        held_out: The held-out frames and the model's predictions.
        train: Some training frames and the model's predictions.
        baselines: Name to predictions of the held-out frames.
        by: What was held out whole.

    Returns:
        JSON; every interval is ``[low, point, high]`` or None where there is nothing to compare:

        - ``held_out`` and ``train``: the figures of ``METRIC_MEANINGS``, and in ``intervals`` the
          intervals of the held-out ones;
        - ``overfitting_gap``, held-out less training cross-entropy in nats, and its interval;
        - ``pit``: the share of PITs in each tenth, as intervals;
        - ``baselines``: name to the baseline's figures, and to the intervals of the model's less
          the baseline's in ``model_minus_baseline``;
        - ``held_out_by``: what was held out whole, how many of those there are and were held out,
          and what the intervals draw;
        - ``held_out_outcomes``: how many successes and failures were held out, and how many of
          them are compared after each share of the time;
        - ``gate``: see :mod:`value_models.gate`.
    """
    rng = np.random.default_rng(SEED)
    model, own = PredictedEpisodes(frames, *held_out), PredictedEpisodes(frames, *train)
    draws = _draws(_units(frames, held_out[0], by), rng)
    own_draws = _draws(_units(frames, train[0], by), rng)
    samples = model.figures(draws)
    points, own_points = model.points(), own.points()
    figure = "cross_entropy"
    gap = _interval(
        points[figure] - own_points[figure], samples[figure] - own.means(own_draws)[figure]
    )
    metrics: dict[str, Any] = {
        "held_out": _as_json(points),
        "train": _as_json(own_points),
        "intervals": {name: _interval(points[name], samples[name]) for name in METRIC_MEANINGS},
        "overfitting_gap": points[figure] - own_points[figure],
        "overfitting_gap_interval": gap,
        "pit": [
            _interval(float(point), bar)
            for point, bar in zip(model.pit(model.once)[0], model.pit(draws).T, strict=True)
        ],
        "held_out_by": _split(frames, held_out[0], by),
        "held_out_outcomes": _outcomes(model),
        "baselines": {},
    }
    for name, predictions in baselines.items():
        theirs = PredictedEpisodes(frames, held_out[0], predictions)
        their_points, their_samples = theirs.points(), theirs.figures(draws)
        metrics["baselines"][name] = {
            "held_out": _as_json(their_points),
            "model_minus_baseline": {
                figure: _interval(
                    points[figure] - their_points[figure], samples[figure] - their_samples[figure]
                )
                for figure in METRIC_MEANINGS
            },
        }
    return {**metrics, "gate": gate_of(metrics).as_json()}


def _split(frames: JudgedFrames, held_out: Integers, by: HoldOutBy) -> dict[str, Any]:
    groups = _groups(frames, by)
    of_held_out = len(np.unique(groups[held_out]))
    return {
        "by": by.value,
        "groups": len(np.unique(groups)),
        "held_out_groups": of_held_out,
        "drawn": (by if of_held_out > 1 else HoldOutBy.EPISODE).value,
    }


def _groups(frames: JudgedFrames, by: HoldOutBy) -> NDArray[np.integer]:
    """Give the ``(N,)`` number of what each frame is held out with."""
    if by is HoldOutBy.EPISODE:
        return frames.episode_index
    if frames.group_index is None:
        message = f"these frames do not say which {by} their episodes belong to."
        raise ValueError(message)
    return frames.group_index


def _units(frames: JudgedFrames, index: Integers, by: HoldOutBy) -> Integers:
    """Give the ``(E,)`` number, from 0, of what each episode of some frames is drawn with."""
    starts = np.flatnonzero(np.diff(frames.episode_index[index], prepend=np.nan) != 0)
    groups, units = np.unique(_groups(frames, by)[index][starts], return_inverse=True)
    single: Integers = np.arange(len(starts))
    return single if by is HoldOutBy.EPISODE or len(groups) == 1 else units


def _draws(units: Integers, rng: np.random.Generator) -> Floats:
    """Draw as many units as there are, again and again: ``(RESAMPLES, E)`` counts of episodes."""
    count = int(units.max()) + 1
    even = np.full(count, 1.0 / count)
    drawn = rng.multinomial(count, even, size=RESAMPLES).astype(np.float64)
    # Taken, not indexed: that keeps rows together in memory, and the sums over them to the bit.
    return np.take(drawn, units, axis=1)


def _interval(point: float, samples: Floats) -> list[float] | None:
    """Take the outer quantiles of the samples that say something; the point is never outside."""
    known = samples[~np.isnan(samples)]
    if np.isnan(point) or len(known) == 0:
        return None
    tail = (1.0 - CONFIDENCE) / 2.0
    low, high = np.quantile(known, [tail, 1.0 - tail]).tolist()
    return [min(low, point), point, max(high, point)]


def _as_json(points: Mapping[str, float]) -> dict[str, float | None]:
    return {name: None if np.isnan(point) else point for name, point in points.items()}


def _outcomes(episodes: PredictedEpisodes) -> dict[str, Any]:
    successes = int(episodes.is_success.sum())
    compared = {percent: episodes.compared(percent / 100) for percent in PLACES}
    return {
        "successes": successes,
        "failures": episodes.episodes - successes,
        **{
            f"compared_{percent}": {"successes": counts[0], "failures": counts[1]}
            for percent, counts in compared.items()
        },
    }
