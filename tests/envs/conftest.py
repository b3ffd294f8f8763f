"""Worlds to look into, and somebody who plays them."""

import numpy as np
import pytest

from envs.expert import SKILLED, Expert
from envs.tabletop import CUBE_HALF_METRES, TIME_LIMIT_STEPS, Tabletop


def play(seed, *, habits=SKILLED, before_step=None):
    """Let the expert play an attempt; return the steps it took, None for a failure."""
    world = Tabletop()
    world.reset(seed=seed)
    expert = Expert(rng=np.random.default_rng([seed, 1]), habits=habits)
    for step in range(TIME_LIMIT_STEPS):
        if before_step is not None:
            before_step(step, world)
        world.act(expert.action(world))
        if world.is_success:
            return step + 1
    return None


def place(world, colour, position, *, velocity=(0.0, 0.0, 0.0)):
    """Put a cube somewhere, by the hand of God."""
    joint = world._data.joint(f"{colour}_cube")
    joint.qpos[:] = [*position, 1.0, 0.0, 0.0, 0.0]
    joint.qvel[:] = [*velocity, 0.0, 0.0, 0.0]
    import mujoco

    mujoco.mj_forward(world._model, world._data)


def on_table(position):
    """The same place, for a cube that stands on the table."""
    return np.array([position[0], position[1], CUBE_HALF_METRES])


@pytest.fixture(name="play")
def play_():
    return play


@pytest.fixture(name="place")
def place_():
    return place


@pytest.fixture(name="on_table")
def on_table_():
    return on_table


@pytest.fixture
def world():
    made = Tabletop()
    made.reset(seed=0)
    return made
