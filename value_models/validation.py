"""How good a value model is on episodes it never saw, and how sure that is.

Every interval holds 95 %: the figures of ``RESAMPLES`` samples of as many episodes, drawn with
replacement. Comparisons with a baseline use the same draws for both, so that what is hard about an
episode cancels out.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

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
) -> dict[str, Any]:
    """Measure a value model on held-out episodes, and compare.

    Args:
        frames: All judged frames.
        held_out: The held-out frames and the model's predictions.
        train: Some training frames and the model's predictions.
        baselines: Name to predictions of the held-out frames.

    Returns:
        JSON; every interval is ``[low, point, high]`` or None where there is nothing to compare:

        - ``held_out`` and ``train``: the figures of ``METRIC_MEANINGS``, and in ``intervals`` the
          intervals of the held-out ones;
        - ``overfitting_gap``, held-out less training cross-entropy in nats, and its interval;
        - ``pit``: the share of PITs in each tenth, as intervals;
        - ``baselines``: name to the baseline's figures, and to the intervals of the model's less
          the baseline's in ``model_minus_baseline``;
        - ``held_out_outcomes``: how many successes and failures were held out, and how many of
          them are compared after each share of the time;
        - ``gate``: see :mod:`value_models.gate`.
    """
    rng = np.random.default_rng(SEED)
    model, own = PredictedEpisodes(frames, *held_out), PredictedEpisodes(frames, *train)
    draws, own_draws = _draws(model.episodes, rng), _draws(own.episodes, rng)
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


def _draws(episodes: int, rng: np.random.Generator) -> Floats:
    """Draw as many episodes as there are, again and again, and count each: ``(RESAMPLES, E)``."""
    even = np.full(episodes, 1.0 / episodes)
    return rng.multinomial(episodes, even, size=RESAMPLES).astype(np.float64)


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
