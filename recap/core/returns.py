"""What an attempt was worth from each of its frames on: rewards, returns and their scale."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]


class FailureScaling(StrEnum):
    """How failures share the bins with successes.

    With ``T`` for ``max_steps``, ``f`` for ``failure_penalty_fraction``, ``L`` for the frames of
    the attempt, ``t`` for those before this one and ``k = L - 1 - t`` for those behind it. A
    success is always worth ``-k / n``; a failure, where one unit of return has ``n`` steps::

        scaling   a failure is worth       n        successes use    failures use
        penalty   -(k + f T) / n           (1+f) T  (-1/(1+f), 0]    (-1, -f/(1+f)]
        unspent   -(T - 1 - t + f T) / n   (1+f) T  (-1/(1+f), 0]    (-1, -f/(1+f)]
        floor     -(T + f k) / n           (1+f) T  (-1/(1+f), 0]    (-1, -1/(1+f)]
        clipped   -min(1, (k + f T) / n)   T        (-1, 0]          [-1, -min(1, f)]

    - ``penalty`` is the paper's reward on a scale that holds both outcomes. Failing early is
      cheap: a failure of ``L`` frames ranks below every success from ``L > (1 - f) T`` on only.
    - ``unspent`` charges a failure for the steps that it left unspent, too (C_fail is
      ``f T + T - L``), so that failing early is no cheaper than failing late: after as many
      frames, every failure ranks below every success, at any ``f``. A small ``f`` leaves
      successes nearly all of the bins. What a failure is worth then depends on how long it has
      lasted, not on how long it still will.
    - ``floor`` keeps a band below all successes for failures, in which a step costs ``f``: every
      frame of a failure ranks below every frame of a success.
    - ``clipped`` divides by ``T`` alone and cuts off what lies below -1: successes keep all bins,
      but in the frames of a failure with ``k >= (1 - f) T`` (at ``f = 1``, in all of them) the
      value cannot say how it is going. A known mistake, here to be compared with.

    Under each the returns of an episode are the sums of its rewards, so that advantages telescope
    and a value that knows the return leaves none. But only under ``penalty`` and ``unspent`` does
    a step before the last cost the same whatever the outcome. Under ``floor`` a failure's step
    costs ``f``, under ``clipped`` nothing while the return is cut off: a window of ``N`` steps
    that ends before the attempt does lies ``(1 - f) N / n`` (``N / n``) higher in a failure than
    in a success with the same values. Over both outcomes that evens out; until the value
    has seen the failure coming, single frames of failures look better than they were.
    """

    PENALTY = "penalty"
    UNSPENT = "unspent"
    FLOOR = "floor"
    CLIPPED = "clipped"


@dataclass(frozen=True, slots=True, kw_only=True)
class ReturnScale:
    """Turn the steps of one task into normalised return, in [-1, 0], and back.

    By default (``penalty``; the others are in `FailureScaling`) a failure costs
    ``failure_penalty_fraction * max_steps`` steps (C_fail), and one unit of normalised return is
    ``max_steps + C_fail`` steps. With ``f`` for the fraction:

    - successes lie in ``(-1 / (1 + f), 0]``, so they keep ``1 / (1 + f)`` of the bins;
    - failures lie in ``(-1, -f / (1 + f)]`` and still say how long before the end they stand;
    - nothing is clipped.

    The default, 0.5, gives successes two thirds of the bins, and a failure at the time limit
    lies half of ``max_steps`` below the slowest success. At 1.0 successes would keep half of
    the bins only, the price of ranking *every* failure below *every* success: raise the
    fraction towards it where failures end early (a failure after ``s`` steps ranks below every
    success from ``s > (1 - f) * max_steps`` on).

    The scale is linear, so rewards in the same unit telescope into differences of returns.
    Freeze it for an iteration: a longer episode that comes later must not move old labels.
    """

    max_steps: int
    """Length in frames of the task's longest episode, frozen for the iteration."""

    failure_penalty_fraction: float = 0.5
    """What a failure costs, as a share of ``max_steps``."""

    scaling: FailureScaling = FailureScaling.PENALTY
    """How failures share the bins with successes."""

    def __post_init__(self) -> None:
        """Refuse a scale that would not order anything."""
        if self.max_steps < 1:
            message = f"max_steps must be at least 1 frame, got {self.max_steps}."
            raise ValueError(message)
        if not 0.0 < self.failure_penalty_fraction < float("inf"):
            message = (
                "failure_penalty_fraction must be above 0, or a failure would be worth as much "
                f"as a success, got {self.failure_penalty_fraction}."
            )
            raise ValueError(message)

    @property
    def failure_penalty(self) -> float:
        """Steps that a failure costs (C_fail), before ``scaling`` does what it does."""
        return self.failure_penalty_fraction * self.max_steps

    @property
    def normaliser(self) -> float:
        """Steps in one unit of normalised return."""
        if self.scaling is FailureScaling.CLIPPED:
            return float(self.max_steps)
        return self.max_steps + self.failure_penalty

    def rewards(self, length: int, *, outcome_is_success: bool) -> Floats:
        """Give the ``(length,)`` rewards of one episode, in normalised return.

        Raises:
            ValueError: If the episode is longer than ``max_steps`` or has no frame.
        """
        if length > self.max_steps:
            message = (
                f"an episode of {length} frames does not fit a scale of at most "
                f"{self.max_steps} frames; the scale must be made from all episodes it serves."
            )
            raise ValueError(message)
        rewards = episode_rewards(
            length,
            outcome_is_success=outcome_is_success,
            failure_penalty=self._penalty_after(length),
        )
        if not outcome_is_success:
            rewards = self._scaled_failure(rewards)
        return normalise(rewards, normaliser=self.normaliser)

    def returns(self, length: int, *, outcome_is_success: bool) -> Floats:
        """Give the ``(length,)`` Monte-Carlo returns of one episode, in [-1, 0]."""
        rewards = self.rewards(length, outcome_is_success=outcome_is_success)
        # A sum of rounded rewards may pass the -1 that a clipped return stands on by a bit.
        returns: Floats = np.maximum(monte_carlo_returns(rewards), -1.0)
        return returns

    def _penalty_after(self, length: int) -> float:
        """Steps that the last step of a failure costs, in the unit of its other steps."""
        if self.scaling is FailureScaling.UNSPENT:
            return self.failure_penalty + self.max_steps - length
        if self.scaling is FailureScaling.FLOOR:
            return self.max_steps / self.failure_penalty_fraction
        return self.failure_penalty

    def _scaled_failure(self, rewards: Floats) -> Floats:
        if self.scaling is FailureScaling.FLOOR:
            return rewards * self.failure_penalty_fraction
        if self.scaling is FailureScaling.CLIPPED:
            clipped = np.maximum(monte_carlo_returns(rewards), -self.normaliser)
            differences: Floats = clipped - np.append(clipped[1:], 0.0)
            return differences
        return rewards


def episode_rewards(length: int, *, outcome_is_success: bool, failure_penalty: float) -> Floats:
    """Reward every frame of an episode: each step costs one, the last one tells the outcome.

    Args:
        length: Frames of the whole episode, at least one.
        outcome_is_success: The judged outcome.
        failure_penalty: Steps that a failure costs (C_fail), zero or more.

    Returns:
        ``(length,)`` rewards in steps: -1 at every frame but the last; at the last 0 for a
        success and ``-failure_penalty`` for a failure.

    Raises:
        ValueError: If ``length`` is below one or ``failure_penalty`` below zero.

    Source:
        Equation 5 of the paper.
    """
    if length < 1:
        message = f"an episode has at least one frame, got {length}."
        raise ValueError(message)
    if failure_penalty < 0.0:
        message = f"failure_penalty must not be negative, got {failure_penalty}."
        raise ValueError(message)
    rewards = np.full(length, -1.0)
    rewards[-1] = 0.0 if outcome_is_success else -failure_penalty
    return rewards


def monte_carlo_returns(rewards: Floats) -> Floats:
    """Sum the rewards from each frame to the end of the episode, in the rewards' own unit."""
    returns: Floats = np.cumsum(rewards[::-1])[::-1]
    return returns


def normalise(steps: Floats, *, normaliser: float) -> Floats:
    """Turn rewards or returns in steps into normalised return.

    Raises:
        ValueError: If ``normaliser``, the steps in one unit of return, is not above zero.
    """
    if not normaliser > 0.0:
        message = f"normaliser must be above zero, got {normaliser}."
        raise ValueError(message)
    return steps / normaliser
