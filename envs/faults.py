"""What goes wrong with a robot: things arrive late, get lost, and plugs are pulled."""

import math
from collections import deque
from dataclasses import dataclass

import numpy as np

from data.errors import ConfigError


@dataclass(frozen=True, slots=True, kw_only=True)
class Faults:
    """What the simulated robot does wrong on purpose. All times are in the robot's seconds."""

    action_latency_s: float = 0.0
    """From sending an action until the servos hear of it."""

    observation_latency_s: float = 0.0
    """From a moment until its joints and pictures can be read."""

    dropped_frame_fraction: float = 0.0
    """Share of the pictures that get lost; whoever looks sees the picture before."""

    seed: int = 0
    """Decides which pictures get lost."""

    def __post_init__(self) -> None:
        for name in ("action_latency_s", "observation_latency_s"):
            require_not_negative(name, getattr(self, name))
        if not 0.0 <= self.dropped_frame_fraction < 1.0:
            message = (
                f"dropped_frame_fraction must be at least 0 and less than 1, got "
                f"{self.dropped_frame_fraction}. To lose every picture, use lose_camera_after_s."
            )
            raise ConfigError(message)


def require_not_negative(name: str, value: float) -> None:
    """Refuse a setting below zero, or one that is no number.

    Raises:
        ConfigError: If it is.
    """
    if not 0.0 <= value < math.inf:
        message = f"{name} must be a number and not negative, got {value}."
        raise ConfigError(message)


class Delay[Item]:
    """Keeps things on their way for a fixed time, in the order they were put in."""

    def __init__(self, latency_s: float) -> None:
        """Start empty."""
        self._latency_s = latency_s
        self._under_way: deque[tuple[float, Item]] = deque()

    def put(self, item: Item, *, now_s: float) -> None:
        """Send something off."""
        self._under_way.append((now_s + self._latency_s, item))

    def arrived(self, *, now_s: float) -> list[Item]:
        """Take out, oldest first, everything whose time has come."""
        items = []
        # A step of physics is not exact in binary: half a microsecond early is on time.
        while self._under_way and self._under_way[0][0] <= now_s + 5e-7:
            items.append(self._under_way.popleft()[1])
        return items

    def clear(self) -> None:
        """Forget whatever is under way."""
        self._under_way.clear()


class FrameLoss:
    """Decides, picture by picture, which get lost."""

    def __init__(self, fraction: float, *, seed: int) -> None:
        """Start a row of decisions that depends on the seed alone."""
        self._fraction = fraction
        self._rng = np.random.default_rng(seed)

    def strikes(self) -> bool:
        """Whether the next picture gets lost."""
        return bool(self._rng.random() < self._fraction)


class Mishap:
    """Something that happens once, some time after the robot was connected.

    Connecting again before it has happened starts the clock anew; connecting again afterwards
    mends it for good.
    """

    def __init__(self, after_s: float | None) -> None:
        """Plan it; None for never."""
        self._after_s = math.inf if after_s is None else after_s
        self._strikes_at_s = math.inf

    def start_clock(self, now_s: float) -> None:
        """Say that the robot was connected just now."""
        if self.has_struck(now_s):
            self._after_s = math.inf
        self._strikes_at_s = now_s + self._after_s

    def has_struck(self, now_s: float) -> bool:
        """Whether it has happened and was not mended."""
        return now_s >= self._strikes_at_s
