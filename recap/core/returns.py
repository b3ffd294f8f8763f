"""What an attempt was worth from each of its frames on: rewards, returns and their scale."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]


@dataclass(frozen=True, slots=True, kw_only=True)
class ReturnScale:
    """Turn the steps of one task into normalised return, in [-1, 0], and back.

    A failure costs ``failure_penalty_fraction * max_steps`` steps (C_fail), and one unit of
    normalised return is ``max_steps + C_fail`` steps. With ``f`` for the fraction:

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
        """Steps that a failure costs (C_fail)."""
        return self.failure_penalty_fraction * self.max_steps

    @property
    def normaliser(self) -> float:
        """Steps in one unit of normalised return."""
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
            length, outcome_is_success=outcome_is_success, failure_penalty=self.failure_penalty
        )
        return normalise(rewards, normaliser=self.normaliser)

    def returns(self, length: int, *, outcome_is_success: bool) -> Floats:
        """Give the ``(length,)`` Monte-Carlo returns of one episode, in [-1, 0]."""
        return monte_carlo_returns(self.rewards(length, outcome_is_success=outcome_is_success))


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
