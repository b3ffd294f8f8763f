"""Nothing reaches the robot but through here: joint limits, speed, bad numbers, late actions."""

import difflib
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from data.errors import ConfigError

Floats = NDArray[np.float32]
Doubles = NDArray[np.float64]


@dataclass(frozen=True, slots=True, kw_only=True)
class SafetyConfig:
    """What the robot may do, whoever is in control."""

    max_speed: float = 360.0
    """Most that the command of a joint changes in a second, in the robot's own unit (degrees, or
    percent of its range)."""

    speeds: Mapping[str, float] = field(default_factory=dict)
    """The same for single joints, where it differs: joint name to units a second."""

    low: Mapping[str, float] = field(default_factory=dict)
    """Joint name to the lowest position it may be told, in the robot's own unit."""

    high: Mapping[str, float] = field(default_factory=dict)
    """Joint name to the highest position it may be told, in the robot's own unit."""

    watchdog_s: float = 0.5
    """Seconds without a usable action after which whoever is in control counts as silent."""

    def __post_init__(self) -> None:
        """Refuse limits that no robot could keep."""
        _require_above_zero("safety.max_speed", self.max_speed)
        _require_above_zero("safety.watchdog_s", self.watchdog_s)
        for kind in ("low", "high", "speeds"):
            _require_numbers(f"safety.{kind}", getattr(self, kind))
        for kind in ("low", "high"):
            for name, limit in getattr(self, kind).items():
                if not math.isfinite(limit):
                    message = f"safety.{kind} '{name}' must be a finite number, got {limit}."
                    raise ConfigError(message)
        for name, speed in self.speeds.items():
            _require_above_zero(f"safety.speeds '{name}'", speed)
        for name in self.low.keys() & self.high.keys():
            if self.low[name] >= self.high[name]:
                message = (
                    f"safety.low '{name}' is {self.low[name]}, which leaves no room below "
                    f"safety.high, {self.high[name]}."
                )
                raise ConfigError(message)


@dataclass(frozen=True, slots=True, kw_only=True)
class SafeCommand:
    """What may be sent to the robot."""

    action: Floats
    """``(A,)`` the command, in the robot's own unit."""

    concerns: tuple[str, ...] = ()
    """In words, what was changed of the action that was wanted and why; empty if nothing."""


class SafetyFilter:
    """Makes a command out of whatever is wanted, one control step at a time.

    The laws: a command is always a finite number. It differs from the command before by no more
    than the speed allows. It is within the joint limits, or, where the robot began outside, no
    further away from them than before. Only `begin` and `stop` move the command without a bound,
    and both move it to where the robot stands, which moves nothing.
    """

    def __init__(
        self, config: SafetyConfig, *, names: Sequence[str], control_rate_hz: float
    ) -> None:
        """Prepare for a robot with these joints.

        Args:
            config: The limits.
            names: ``A`` joint names, in the order of the action.
            control_rate_hz: Commands a second.

        Raises:
            ConfigError: If a limit is for a joint that the robot has not.
        """
        for kind in ("speeds", "low", "high"):
            _require_known(kind, getattr(config, kind), names)
        if not control_rate_hz > 0:
            message = f"A control rate is above 0 Hz, got {control_rate_hz}."
            raise ValueError(message)
        self._names = tuple(names)
        self._low = _rounded_up([config.low.get(name, -math.inf) for name in names])
        self._high = _rounded_down([config.high.get(name, math.inf) for name in names])
        speeds = np.array([config.speeds.get(name, config.max_speed) for name in names])
        self._largest_step: Doubles = speeds / control_rate_hz
        self._patience_steps = max(1, math.ceil(config.watchdog_s * control_rate_hz))
        self._steps_without = 0
        self._command: Floats | None = None
        self.is_stopped = False

    @property
    def command(self) -> Floats:
        """``(A,)`` the last command: what the robot holds."""
        if self._command is None:
            message = "Say where the robot stands with begin() first."
            raise ValueError(message)
        return self._command.copy()

    @property
    def is_starved(self) -> bool:
        """Whether no usable action came for so many control steps as the watchdog allows."""
        return self._steps_without >= self._patience_steps

    def begin(self, position: Floats) -> None:
        """Take where the robot stands, ``(A,)``, as the command that the first one is bounded by.

        Raises:
            ValueError: If it is not ``A`` finite numbers.
        """
        where = self._checked(position)
        if not _is_representable(where):
            message = f"The robot stands at {position}, which is not a position."
            raise ValueError(message)
        self._command = where.astype(np.float32)
        self._steps_without = 0

    def apply(self, wanted: Floats | None) -> SafeCommand:
        """Make what is wanted safe.

        Args:
            wanted: ``(A,)`` where the joints are to go; None if nobody said anything in time. If
                any of it is not a finite number, all of it is disregarded and the robot holds.

        Returns:
            The command, and what was wrong with what was wanted.
        """
        command = self.command
        if self.is_stopped:
            return SafeCommand(action=command)
        if wanted is None:
            return self._starve(())
        asked = self._checked(wanted)
        bad = ~np.isfinite(asked)
        if bad.any():
            return self._starve(
                tuple(
                    f"{self._names[joint]}: asked for {asked[joint]}, which is not a number"
                    for joint in np.flatnonzero(bad)
                )
            )
        self._steps_without = 0
        allowed = np.clip(asked, self._low, self._high)
        here = command.astype(np.float64)
        lowest = _rounded_up(here - self._largest_step)
        highest = _rounded_down(here + self._largest_step)
        self._command = np.clip(allowed, lowest, highest).astype(np.float32)
        return SafeCommand(
            action=self.command,
            concerns=(
                *self._too_much(asked > self._high, "asked for more than its limit", self._high),
                *self._too_much(asked < self._low, "asked for less than its limit", self._low),
                *self._too_much(
                    (allowed < lowest) | (allowed > highest),
                    "asked for a step of more than",
                    self._largest_step,
                ),
            ),
        )

    def hold(self) -> SafeCommand:
        """Repeat the last command on purpose, in a pause: nobody is expected to say anything."""
        self._steps_without = 0
        return SafeCommand(action=self.command)

    def stop(self, position: Floats) -> None:
        """Hold the robot where it stands, ``(A,)``, whatever is wanted, until `release`.

        A robot that is blocked stands far from its command and would go on pushing. A position
        that is not a number leaves the command as it is; so does a second stop.
        """
        where = self._checked(position)
        if not self.is_stopped and _is_representable(where):
            self._command = where.astype(np.float32)
        self.is_stopped = True

    def release(self) -> None:
        """Let commands through again; the next one is bounded by where the robot was held."""
        self.is_stopped = False
        self._steps_without = 0

    def _starve(self, concerns: tuple[str, ...]) -> SafeCommand:
        self._steps_without += 1
        return SafeCommand(action=self.command, concerns=concerns)

    def _checked(self, values: Floats) -> Doubles:
        vector = np.asarray(values, dtype=np.float64)
        if vector.shape != (len(self._names),):
            message = f"This robot has {len(self._names)} joints, got shape {vector.shape}."
            raise ValueError(message)
        return vector

    def _too_much(self, is_so: NDArray[np.bool_], what: str, bounds: Doubles) -> tuple[str, ...]:
        # The same words every time, so that whoever collects them has each once.
        return tuple(
            f"{self._names[joint]}: {what} {round(float(bounds[joint]), 3)}"
            for joint in np.flatnonzero(is_so)
        )


def _is_representable(position: Doubles) -> bool:
    return bool((np.abs(position) <= np.finfo(np.float32).max).all())


def _rounded_up(values: Sequence[float] | Doubles) -> Doubles:
    """Return the next float32 that is not below, so that no rounding breaks a bound."""
    exact = np.asarray(values, dtype=np.float64)
    with np.errstate(over="ignore"):
        nearest = exact.astype(np.float32)
    above = np.where(nearest < exact, np.nextafter(nearest, np.float32(np.inf)), nearest)
    return above.astype(np.float64)


def _rounded_down(values: Sequence[float] | Doubles) -> Doubles:
    return -_rounded_up(-np.asarray(values, dtype=np.float64))


def _require_numbers(kind: str, values: Mapping[str, object]) -> None:
    for name, value in values.items():
        if not isinstance(value, int | float):
            joint = name.partition(":")[0]  # YAML's {joint:5}, without a space, is a name
            message = f"{kind}.{name} needs a number: type for example --{kind}.{joint}=5."
            raise ConfigError(message)


def _require_above_zero(name: str, value: float) -> None:
    if not (math.isfinite(value) and value > 0):
        message = f"{name} must be a finite number above 0, got {value}."
        raise ConfigError(message)


def _require_known(kind: str, limits: Mapping[str, float], names: Sequence[str]) -> None:
    for name in limits:
        if name not in names:
            nearest = difflib.get_close_matches(name, names, n=1)
            hint = f" Did you mean '{nearest[0]}'?" if nearest else f" It has {', '.join(names)}."
            message = f"safety.{kind}: the robot has no joint '{name}'.{hint}"
            raise ConfigError(message)
