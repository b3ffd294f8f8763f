"""How sure a measured rate is, and whether two policies differ: intervals and paired tests.

Everything random takes a ``numpy.random.Generator``. Bootstraps resample whole episodes, and
paired ones resample seeds, so that what two policies share on a seed stays shared.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from statistics import NormalDist

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]
Integers = NDArray[np.int64]
Flags = NDArray[np.bool_]

SECONDS_PER_HOUR = 3600.0
DRAWS_AT_ONCE = 2_000_000
"""Episodes drawn in one piece, which bounds a bootstrap's memory to some tens of megabytes."""


@dataclass(frozen=True, slots=True)
class Interval:
    """A measured number between the bounds of its confidence interval.

    A ratio's bounds may be infinite, and its point is NaN where it is zero over zero.
    """

    low: float
    point: float
    high: float

    def excludes(self, number: float) -> bool:
        """Say whether ``number`` lies outside the interval."""
        return number < self.low or number > self.high

    def as_list(self) -> list[float | None]:
        """Give ``[low, point, high]`` for JSON, which knows neither infinity nor NaN: null."""
        return [
            number if math.isfinite(number) else None
            for number in (self.low, self.point, self.high)
        ]


def wilson_interval(successes: int, n: int, *, confidence: float = 0.95) -> Interval:
    """Give a success rate with its Wilson score interval, which holds at 0 % and 100 % too.

    Args:
        successes: Successful episodes.
        n: All episodes, at least one.
        confidence: Share of such intervals that contain the true rate.

    Raises:
        ValueError: If ``n`` is below one or ``successes`` does not lie in [0, n].

    Source:
        E. B. Wilson, 1927.
    """
    if n < 1 or not 0 <= successes <= n:
        message = f"cannot have {successes} success(es) in {n} episode(s)."
        raise ValueError(message)
    z = _two_sided_z(confidence)
    rate = successes / n
    centre = (rate + z * z / (2 * n)) / (1 + z * z / n)
    half = z * math.sqrt(rate * (1 - rate) / n + z * z / (4 * n * n)) / (1 + z * z / n)
    # At the ends the formula gives exactly 0 and 1 up to rounding.
    low = 0.0 if successes == 0 else centre - half
    high = 1.0 if successes == n else centre + half
    return Interval(low, rate, high)


def successes_per_hour(
    success: Flags,
    steps: Integers,
    *,
    control_rate_hz: float,
    rng: np.random.Generator,
    resamples: int = 10_000,
    confidence: float = 0.95,
) -> Interval:
    """Give the throughput: successes over the hours that all episodes took, resets not counted.

    The interval is a percentile bootstrap over episodes. Where every episode ended alike, the
    bootstrap cannot see that the outcome might have differed, so the Wilson interval of the
    success rate widens it.

    Args:
        success: ``(n,)`` whether each episode succeeded.
        steps: ``(n,)`` control steps each episode took, at least one.
        control_rate_hz: Control steps in a second.
        rng: Source of the resampling.
        resamples: Bootstrap resamples.
        confidence: Share of such intervals that contain the true throughput.

    Raises:
        ValueError: If there is no episode, the arrays differ in length, an episode has no step,
            or the rate is not above zero.
    """
    _require_episodes(success, steps)
    if not control_rate_hz > 0.0:
        message = f"control_rate_hz must be above zero, got {control_rate_hz}."
        raise ValueError(message)
    steps_per_hour = control_rate_hz * SECONDS_PER_HOUR
    columns = np.column_stack([success, steps]).astype(np.float64)
    point = float(success.sum() / steps.sum() * steps_per_hour)
    sums = _resampled_sums(columns, rng=rng, resamples=resamples)
    low, high = _percentile_bounds(sums[:, 0] / sums[:, 1] * steps_per_hour, confidence)
    if success.all() or not success.any():
        rate = wilson_interval(int(success.sum()), len(success), confidence=confidence)
        at_certain_success = len(success) / float(steps.sum()) * steps_per_hour
        low = min(low, rate.low * at_certain_success)
        high = max(high, rate.high * at_certain_success)
    return Interval(low, point, high)


def median_steps_to_success(success: Flags, steps: Integers) -> float | None:
    """Give the median length of the successful episodes, in steps; None without a success."""
    return float(np.median(steps[success])) if success.any() else None


def paired_throughput_ratio(
    success: tuple[Flags, Flags],
    steps: tuple[Integers, Integers],
    *,
    rng: np.random.Generator,
    resamples: int = 10_000,
    confidence: float = 0.95,
) -> Interval:
    """Compare successes per hour: the second policy's over the first one's, on the same seeds.

    Args:
        success: For the reference and for the compared policy, ``(n,)`` whether the episode of
            each seed succeeded, in the same order of seeds.
        steps: For both, ``(n,)`` control steps the episode of each seed took.
        rng: Source of the resampling.
        resamples: Bootstrap resamples of the seeds.
        confidence: Share of such intervals that contain the true ratio.

    Returns:
        The ratio; above one means that the second policy is faster. Infinite where the first
        one never succeeds, NaN where neither does. Where all episodes of a policy ended alike,
        the interval is widened as in ``paired_failure_ratio``.

    Raises:
        ValueError: If the four arrays differ in length or are empty, or an episode has no step.
    """
    for flags, lengths in zip(success, steps, strict=True):
        _require_episodes(flags, lengths)
    _require_same_seeds(*success)
    columns = np.column_stack([*success, *steps]).astype(np.float64)
    totals = columns.sum(axis=0)
    speed_up = float(totals[2] / totals[3])
    sums = _resampled_sums(columns, rng=rng, resamples=resamples)
    ratios = _ratios(sums[:, 1] * sums[:, 2], sums[:, 0] * sums[:, 3])
    low, high = _percentile_bounds(ratios, confidence)
    if _ended_alike(*success):
        rates = _ratio_of_rates(*success, confidence=confidence)
        low, high = min(low, rates.low * speed_up), max(high, rates.high * speed_up)
    return Interval(low, _ratio(totals[1], totals[0]) * speed_up, high)


def paired_failure_ratio(
    success: tuple[Flags, Flags],
    *,
    rng: np.random.Generator,
    resamples: int = 10_000,
    confidence: float = 0.95,
) -> Interval:
    """Compare failure rates: the second policy's over the first one's, on the same seeds.

    The interval is a percentile bootstrap over seeds. Where all episodes of a policy ended
    alike, resampling would pretend that they always will (no failure in 200 would give an
    interval of no width), so the ratio of the policies' Wilson intervals then widens it: more
    than needed, as that ignores the pairing, but never too little. A resample without any
    failure on either side says nothing, and counts towards both ends.

    Args:
        success: For the reference and for the compared policy, ``(n,)`` whether the episode of
            each seed succeeded, in the same order of seeds.
        rng: Source of the resampling.
        resamples: Bootstrap resamples of the seeds.
        confidence: Share of such intervals that contain the true ratio.

    Returns:
        The ratio; below one means that the second policy fails less. Infinite where the first
        one never fails, NaN where neither does.

    Raises:
        ValueError: If the arrays differ in length or are empty.
    """
    _require_same_seeds(*success)
    failure = (~success[0], ~success[1])
    point = _ratio(float(failure[1].sum()), float(failure[0].sum()))
    columns = np.column_stack(failure).astype(np.float64)
    sums = _resampled_sums(columns, rng=rng, resamples=resamples)
    low, high = _percentile_bounds(_ratios(sums[:, 1], sums[:, 0]), confidence)
    if _ended_alike(*failure):
        rates = _ratio_of_rates(*failure, confidence=confidence)
        low, high = min(low, rates.low), max(high, rates.high)
    return Interval(low, point, high)


def mcnemar_p_value(first: Flags, second: Flags) -> float:
    """Give the exact two-sided p-value that two policies succeed equally often.

    Only the seeds on which they differ count: were the policies equal, each would win half of
    those. Without such a seed the p-value is one.

    Args:
        first: ``(n,)`` whether the first policy succeeded on each seed.
        second: ``(n,)`` whether the second one did, in the same order of seeds.

    Raises:
        ValueError: If the arrays differ in length or are empty.

    Source:
        Q. McNemar, 1947, with the binomial distribution instead of its approximation.
    """
    _require_same_seeds(first, second)
    only_first = int(np.count_nonzero(first & ~second))
    only_second = int(np.count_nonzero(second & ~first))
    differing = only_first + only_second
    tail = sum(math.comb(differing, k) for k in range(min(only_first, only_second) + 1))
    # Whole numbers until the last division: exact at any number of seeds.
    return min(1.0, 2 * tail / (1 << differing))


def _resampled_sums(columns: Floats, *, rng: np.random.Generator, resamples: int) -> Floats:
    """Sum ``(n, c)`` columns over episodes drawn with replacement: ``(resamples, c)``."""
    if resamples < 1:
        message = f"resamples must be at least 1, got {resamples}."
        raise ValueError(message)
    episodes = len(columns)
    at_once = max(1, DRAWS_AT_ONCE // episodes)
    pieces = []
    for start in range(0, resamples, at_once):
        size = (min(at_once, resamples - start), episodes)
        drawn = rng.integers(episodes, size=size)
        pieces.append(np.column_stack([column[drawn].sum(axis=1) for column in columns.T]))
    return np.concatenate(pieces)


def _percentile_bounds(samples: Floats, confidence: float) -> tuple[float, float]:
    """Take the outer order statistics, without arithmetic that infinities would spoil.

    A NaN (zero over zero) is a sample that may lie anywhere: zero for the lower bound,
    infinity for the upper one.
    """
    tail = _tail(confidence) * (len(samples) - 1)
    ascending_low = np.sort(np.nan_to_num(samples, nan=0.0, posinf=np.inf))
    ascending_high = np.sort(np.nan_to_num(samples, nan=np.inf, posinf=np.inf))
    return float(ascending_low[math.floor(tail)]), float(ascending_high[-1 - math.floor(tail)])


def _ratio_of_rates(first: Flags, second: Flags, *, confidence: float) -> Interval:
    """Bound the ratio of two rates by the Wilson intervals of both."""
    below = wilson_interval(int(first.sum()), len(first), confidence=confidence)
    above = wilson_interval(int(second.sum()), len(second), confidence=confidence)
    point = _ratio(above.point, below.point)
    return Interval(_ratio(above.low, below.high), point, _ratio(above.high, below.low))


def _ratios(above: Floats, below: Floats) -> Floats:
    with np.errstate(divide="ignore", invalid="ignore"):
        return above / below


def _ratio(above: float, below: float) -> float:
    return float(_ratios(np.array([above]), np.array([below]))[0])


def _ended_alike(*outcomes: Flags) -> bool:
    return any(bool(flags.all()) or not flags.any() for flags in outcomes)


def _tail(confidence: float) -> float:
    if not 0.0 < confidence < 1.0:
        message = f"confidence must lie strictly between 0 and 1, got {confidence}."
        raise ValueError(message)
    return (1.0 - confidence) / 2.0


def _two_sided_z(confidence: float) -> float:
    return NormalDist().inv_cdf(1.0 - _tail(confidence))


def _require_episodes(success: Flags, steps: Integers) -> None:
    if len(success) != len(steps) or len(success) == 0:
        message = (
            f"expected one outcome and one length per episode, got {len(success)} and {len(steps)}."
        )
        raise ValueError(message)
    if int(steps.min()) < 1:
        message = "an episode takes at least one step."
        raise ValueError(message)


def _require_same_seeds(first: Flags, second: Flags) -> None:
    if len(first) != len(second) or len(first) == 0:
        message = (
            f"expected both policies on the same seeds, "
            f"got {len(first)} and {len(second)} episodes."
        )
        raise ValueError(message)
