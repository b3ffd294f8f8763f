"""Which simulation attempts are made in: the tabletop, or any that Gymnasium knows."""

from dataclasses import dataclass
from typing import Final

from data.schema import Layout
from envs.world import SimulatedWorld

WAYS_TO_HOLD: Final = ("zero", "last")


@dataclass(frozen=True, slots=True, kw_only=True)
class Simulation:
    """A choice of simulation, small enough to be sent to every process that makes worlds of it."""

    id: str = ""
    """The registered Gymnasium id; empty for the tabletop that comes along."""

    discover_packages_path: str = ""
    """Package to import first, so that it registers the id; empty for none."""

    task: str = ""
    """The instruction in words; empty for the simulation's own."""

    hold: str = "zero"
    """What holds still where the simulation does not say it: zero or last."""

    time_limit_steps: int = 100
    """Control steps after which an attempt ends, instead of the registered limit."""

    def make(self) -> SimulatedWorld:
        """Make one world of it.

        Raises:
            ConfigError: If the id is unknown, or the environment is not as LeRobot's are.
        """
        if not self.id:
            from envs.tabletop import Tabletop

            return Tabletop()
        from envs.simulated import make_gymnasium_world

        return make_gymnasium_world(self)

    def describe(self) -> "Description":
        """Say what its worlds are like.

        Raises:
            ConfigError: As for :meth:`make`.
        """
        if not self.id:
            from envs.tabletop import LAYOUT

            return Description(name="the tabletop", layout=LAYOUT, has_expert=True)
        from envs.simulated import make_gymnasium_world

        world = make_gymnasium_world(self)
        told = Description(name=self.id, layout=world.layout, has_expert=world.has_expert)
        world.close()
        return told


@dataclass(frozen=True, slots=True, kw_only=True)
class Description:
    """What the worlds of a simulation are like."""

    name: str
    """What it is called in messages."""

    layout: Layout
    """Cameras, state and action names, and the control rate."""

    has_expert: bool
    """Whether somebody can demonstrate and correct in them."""
