"""What the rollout manager asks of a world, simulated or real."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from data.schema import Ending, Layout

Images = Mapping[str, NDArray[np.uint8]]
Floats = NDArray[np.float32]


@dataclass(frozen=True, slots=True, kw_only=True)
class Observation:
    """What a policy may know of one moment: pictures, the robot's own joints, and the task."""

    images: Images
    """Camera name to ``(H, W, 3)`` picture."""

    state: NDArray[np.float32]
    """``(S,)`` proprioception; the names are in the world's layout."""

    task: str
    """The instruction in words."""


class World(Protocol):
    """One robot in one place, attempting one task at a time."""

    @property
    def layout(self) -> Layout:
        """Cameras, state and action names, and the control rate."""
        ...

    def reset(self, *, seed: int) -> Observation:
        """Begin an attempt; in simulation the seed decides everything that is drawn."""
        ...

    def act(self, action: NDArray[np.float32]) -> None:
        """Carry out one control step, without looking."""
        ...

    def observe(self) -> Observation:
        """Look: take the pictures and read the joints."""
        ...

    @property
    def is_success(self) -> bool | None:
        """Whether the attempt has succeeded by now; None where the world cannot measure it."""
        ...


class SimulatedWorld(World, Protocol):
    """A world in a computer: it waits for nobody, and it ends attempts itself."""

    @property
    def task(self) -> str:
        """The instruction of this attempt."""
        ...

    @property
    def ending(self) -> Ending | None:
        """How the world itself has ended the attempt; None while it goes on."""
        ...

    def hold_action(self, last: Floats | None) -> Floats:
        """Return the ``(A,)`` action that leaves things as they are.

        Args:
            last: ``(A,)`` the action before; None at the beginning of an attempt.
        """
        ...


class ScriptedExpert(Protocol):
    """Demonstrates in one simulated world, and corrects a policy there."""

    def take_over(self) -> None:
        """Begin from the middle of somebody else's attempt."""
        ...

    def action(self) -> Floats:
        """Return the ``(A,)`` action for the world as it is now."""
        ...
