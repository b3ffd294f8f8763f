"""When an automatic corrector takes control of an attempt.

A rule is decided before the attempt begins. What it has seen since the policy got control lies in
its watch, so a rule that begins anew is a new watch. A rule knows one attempt and nothing of its
neighbours; it is told what a robot could know too, never the simulator's truth.
"""

from collections import deque
from dataclasses import dataclass
from typing import Final, Protocol

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float32]

TAKEOVER_STREAM: Final = 2
"""Stream of randomness beside the world's own; it depends on the attempt's seed alone."""


class Watch(Protocol):
    """Watches the policy at work in one attempt, from the step on in which it got control."""

    def is_due(self, step: int, state: Floats, value: float | None) -> bool:
        """Say whether somebody has to take over now; asked once for every step.

        Args:
            step: The control step that is about to be carried out.
            state: ``(S,)`` proprioception.
            value: What the value model says, in [-1, 0]; None where it was not asked.
        """
        ...


class TakeoverRule(Protocol):
    """When somebody takes over."""

    @property
    def needs_value(self) -> bool:
        """Whether the value model has to be asked whenever the policy is."""
        ...

    def watch(self) -> Watch:
        """Begin to watch: the policy has control from now on, and what was before is forgotten."""
        ...


@dataclass(frozen=True, slots=True, kw_only=True)
class AtStep:
    """Take over at one step, whatever happens. It remembers nothing, so it is its own watch."""

    step: int
    """The step."""

    @property
    def needs_value(self) -> bool:
        """It needs none."""
        return False

    def watch(self) -> Watch:
        """Return itself."""
        return self

    def is_due(self, step: int, state: Floats, value: float | None) -> bool:  # noqa: ARG002 - Watch
        """Say whether this is the step."""
        return step == self.step


@dataclass(frozen=True, slots=True, kw_only=True)
class WhenValueFalls:
    """Take over when the value lies clearly below the best that it was."""

    drop: float
    """Normalised return that the value must have lost; it has to be more than this."""

    earliest_step: int
    """Never before this step; values of earlier ones count towards the best."""

    @property
    def needs_value(self) -> bool:
        """It does."""
        return True

    def watch(self) -> Watch:
        """Begin without a best."""
        return _FallingValue(self)


class _FallingValue:
    def __init__(self, rule: WhenValueFalls) -> None:
        self._rule = rule
        self._best = -np.inf

    def is_due(self, step: int, state: Floats, value: float | None) -> bool:  # noqa: ARG002 - Watch
        if value is None:
            return False
        self._best = max(self._best, value)
        return step >= self._rule.earliest_step and self._best - value > self._rule.drop


@dataclass(frozen=True, slots=True, kw_only=True)
class WhenStalled:
    """Take over when the robot has hardly moved for a while."""

    window_steps: int
    """Steps for which it must have been so."""

    spread: float
    """The most that any number of the state has moved, in its standard deviations."""

    deviations: tuple[float, ...]
    """``(S,)`` standard deviation of every number of the state, in what the policy learned from;
    a number that never moved there is measured in its own unit."""

    earliest_step: int
    """Never before this step."""

    @property
    def needs_value(self) -> bool:
        """It needs none."""
        return False

    def watch(self) -> Watch:
        """Begin with an empty window."""
        return _Stall(self)


class _Stall:
    def __init__(self, rule: WhenStalled) -> None:
        self._rule = rule
        deviations = np.array(rule.deviations)
        self._units = np.where(deviations > 0.0, deviations, 1.0)
        # Between n + 1 states lie n steps.
        self._states: deque[NDArray[np.float64]] = deque(maxlen=rule.window_steps + 1)

    def is_due(self, step: int, state: Floats, value: float | None) -> bool:  # noqa: ARG002 - Watch
        self._states.append(state / self._units)
        if step < self._rule.earliest_step or len(self._states) <= self._rule.window_steps:
            return False
        # How far it went, not where it came out: a robot that goes to and fro has not stalled.
        return bool(np.ptp(np.stack(self._states), axis=0).max() < self._rule.spread)


def draw_takeover(
    seed: int, *, correction_fraction: float, earliest_step: int, latest_step: int
) -> int | None:
    """Draw whether somebody may correct, and at which step, from the attempt's seed alone.

    Returns:
        A step between the earliest and the latest; None for an attempt that nobody corrects.
    """
    rng = np.random.default_rng([seed, TAKEOVER_STREAM])
    if rng.random() >= correction_fraction:
        return None
    return int(rng.integers(earliest_step, latest_step + 1))
