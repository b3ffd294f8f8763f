"""Who can demonstrate and correct in a simulated world, if anybody can."""

import numpy as np

from envs.expert import Expert, draw_habits
from envs.simulated import GymnasiumWorld
from envs.tabletop import Tabletop
from envs.world import Floats, ScriptedExpert, SimulatedWorld

PRACTISED = 1.0
"""The skill of somebody who corrects: quick and precise."""


class TabletopExpert:
    """A scripted operator at one tabletop."""

    def __init__(self, world: Tabletop, rng: np.random.Generator, *, skill: float) -> None:
        """Draw the habits of this attempt; see :func:`envs.expert.draw_habits`."""
        self._world = world
        self._operator = Expert(rng=rng, habits=draw_habits(rng, skill=skill))

    def take_over(self) -> None:
        """Begin from the middle of somebody else's attempt."""
        self._operator.take_over(self._world)

    def action(self) -> Floats:
        """Return the next action, ``(5,)`` in [-1, 1]."""
        return self._operator.action(self._world)


def expert_of(
    world: SimulatedWorld, rng: np.random.Generator, *, skill: float
) -> ScriptedExpert | None:
    """Return an expert for one attempt in a world; None where nobody can show how it is done.

    Args:
        world: The tabletop, or a Gymnasium simulation that offers ``make_expert``.
        rng: What the expert draws from.
        skill: Chance that it is a practised person's attempt; :data:`PRACTISED` for corrections.
    """
    if isinstance(world, Tabletop):
        return TabletopExpert(world, rng, skill=skill)
    if isinstance(world, GymnasiumWorld):
        return world.make_expert(rng, skill=skill)
    return None
