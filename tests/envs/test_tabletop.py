import hashlib
import subprocess
import sys
from dataclasses import fields, replace
from pathlib import Path

import numpy as np
import pytest

from envs.arm import Workspace
from envs.tabletop import (
    CUBES,
    GOAL_RADIUS_METRES,
    LAYOUT,
    LEAD_METRES,
    PADS,
    TASKS,
    TIME_LIMIT_STEPS,
    Tabletop,
)
from envs.world import Observation

pytestmark = pytest.mark.render

IDLE = np.array([0.0, 0.0, 0.0, 0.0, 1.0], dtype=np.float32)

FINGERPRINT = """
import hashlib
import numpy as np
from envs.tabletop import Tabletop

world, rng, digest = Tabletop(), np.random.default_rng(7), hashlib.sha256()
for seed in (3, 11):
    seen = [world.reset(seed=seed)]
    for _ in range(15):
        world.act(rng.uniform(-1, 1, 5).astype(np.float32))
        seen.append(world.observe())
    for moment in seen:
        for part in (moment.images["front"], moment.images["wrist"], moment.state):
            digest.update(part.tobytes())
print(digest.hexdigest())
"""


def bits(observation):
    digest = hashlib.sha256(observation.state.tobytes() + observation.task.encode())
    for camera in sorted(observation.images):
        digest.update(observation.images[camera].tobytes())
    return digest.hexdigest()


def attempt(world, seed, *, steps=12):
    """Wave the arm about, and say what was seen."""
    rng = np.random.default_rng(seed)
    seen = [bits(world.reset(seed=seed))]
    for _ in range(steps):
        world.act(rng.uniform(-1, 1, 5).astype(np.float32))
        seen.append(bits(world.observe()))
    return seen


def colours(world):
    """The cube and the pad of the task, then the other cube and the other pad."""
    words = world.task.split()
    cube, pad = words[2], words[6]
    other_cube = next(colour for colour in CUBES if colour != cube)
    other_pad = next(colour for colour in PADS if colour != pad)
    return cube, pad, other_cube, other_pad


def pad_at(world, colour):
    return np.array(world._data.body(f"{colour}_pad").xpos)


def test_the_four_instructions_are_the_ones_in_words():
    assert set(TASKS) == {
        "put the red cube on the green pad",
        "put the red cube on the white pad",
        "put the blue cube on the green pad",
        "put the blue cube on the white pad",
    }


def test_every_instruction_is_drawn():
    world = Tabletop()
    assert {world.reset(seed=seed).task for seed in range(20)} == set(TASKS)


def test_the_same_seed_gives_the_same_bits_whatever_the_world_did_before():
    used = Tabletop()
    attempt(used, 8)
    assert attempt(used, 3) == attempt(Tabletop(), 3)


def test_worlds_that_step_side_by_side_do_not_touch_each_other():
    alone = [attempt(Tabletop(), seed) for seed in (1, 2)]
    worlds = [Tabletop(), Tabletop()]
    draws = [np.random.default_rng(seed) for seed in (1, 2)]
    together = [[bits(world.reset(seed=seed))] for world, seed in zip(worlds, (1, 2), strict=True)]
    for _ in range(12):
        for world, rng in zip(worlds, draws, strict=True):
            world.act(rng.uniform(-1, 1, 5).astype(np.float32))
        for seen, world in zip(together, worlds, strict=True):
            seen.append(bits(world.observe()))
    assert together == alone


def test_two_processes_see_the_same_bits():
    root = Path(__file__).parents[2]
    command = [sys.executable, "-c", FINGERPRINT]
    outputs = [
        subprocess.run(command, cwd=root, capture_output=True, text=True, check=True).stdout
        for _ in range(2)
    ]
    assert len(outputs[0].strip()) == 64
    assert outputs[0] == outputs[1]


def test_another_seed_is_another_picture():
    world = Tabletop()
    for camera in LAYOUT.cameras:
        assert len({world.reset(seed=seed).images[camera].tobytes() for seed in range(10)}) == 10


def test_an_observation_holds_pictures_joints_and_the_task_and_nothing_else(world):
    seen = world.observe()
    assert {field.name for field in fields(Observation)} == {"images", "state", "task"}
    assert {name: picture.shape for name, picture in seen.images.items()} == {
        "front": (64, 64, 3),
        "wrist": (64, 64, 3),
    }
    assert all(picture.dtype == np.uint8 for picture in seen.images.values())
    assert seen.state.shape == (len(LAYOUT.state_names),)
    assert seen.state.dtype == np.float32


def test_the_state_names_what_it_measures(world):
    for _ in range(5):
        world.act(IDLE)
    state = dict(zip(LAYOUT.state_names, world.observe().state, strict=True))
    measured = [state["ee_x"], state["ee_y"], state["ee_z"]]
    np.testing.assert_allclose(measured, world.fingertips, atol=1e-6)
    assert state["ee_yaw"] == pytest.approx(world.commanded[3], abs=0.01)
    assert state["gripper"] == pytest.approx(1.0, abs=0.02)


def test_pictures_have_the_size_that_the_layout_gives():
    layout = replace(LAYOUT, cameras={"front": (48, 96)})
    seen = Tabletop(layout).reset(seed=0)
    assert {name: picture.shape for name, picture in seen.images.items()} == {"front": (48, 96, 3)}


@pytest.mark.parametrize("seed", range(5))
def test_things_start_apart_from_each_other_and_without_success(seed):
    world = Tabletop()
    world.reset(seed=seed)
    places = [world.cube(colour)[:2] for colour in CUBES]
    places += [pad_at(world, colour)[:2] for colour in PADS]
    gaps = [np.linalg.norm(a - b) for i, a in enumerate(places) for b in places[:i]]
    assert min(gaps) > 0.09
    assert not world.is_success


def test_the_right_cube_resting_on_the_right_pad_is_a_success(world, place, on_table):
    cube, pad, _, _ = colours(world)
    place(world, cube, on_table(pad_at(world, pad)))
    assert world.is_success


def test_the_other_cube_on_the_right_pad_is_none(world, place, on_table):
    _, pad, other_cube, _ = colours(world)
    place(world, other_cube, on_table(pad_at(world, pad)))
    assert not world.is_success


def test_the_right_cube_on_the_other_pad_is_none(world, place, on_table):
    cube, _, _, other_pad = colours(world)
    place(world, cube, on_table(pad_at(world, other_pad)))
    assert not world.is_success


@pytest.mark.parametrize(("share", "succeeds"), [(0.98, True), (1.02, False)])
def test_success_reaches_as_far_as_the_radius(world, place, on_table, share, succeeds):
    cube, pad, _, _ = colours(world)
    aside = np.array([share * GOAL_RADIUS_METRES, 0.0, 0.0])
    place(world, cube, on_table(pad_at(world, pad) + aside))
    assert world.is_success is succeeds


def test_a_cube_that_moves_does_not_rest(world, place, on_table):
    cube, pad, _, _ = colours(world)
    place(world, cube, on_table(pad_at(world, pad)), velocity=(0.1, 0.0, 0.0))
    assert not world.is_success


def test_a_cube_in_the_air_does_not_rest_on_the_pad(world, place):
    cube, pad, _, _ = colours(world)
    place(world, cube, pad_at(world, pad) + np.array([0.0, 0.0, 0.05]))
    assert not world.is_success


def test_a_closed_gripper_is_no_success_until_it_opens(world, place, on_table):
    cube, pad, _, _ = colours(world)
    for _ in range(5):
        world.act(np.array([0.0, 0.0, 0.0, 0.0, -1.0], dtype=np.float32))
    place(world, cube, on_table(pad_at(world, pad)))
    assert not world.is_success
    for _ in range(5):
        world.act(IDLE)
    assert world.is_success


def test_doing_nothing_fails_and_leaves_the_arm_where_it_is(world):
    before, cubes = world.fingertips, [world.cube(colour) for colour in CUBES]
    for _ in range(TIME_LIMIT_STEPS):
        world.act(IDLE)
    assert not world.is_success
    np.testing.assert_allclose(world.fingertips, before, atol=0.003)
    np.testing.assert_allclose([world.cube(colour) for colour in CUBES], cubes, atol=0.001)


def test_an_action_counts_as_far_as_one():
    worlds = [Tabletop(), Tabletop()]
    for world, size in zip(worlds, (1.0, 50.0), strict=True):
        world.reset(seed=4)
        for sign in (1, -1, 1):
            world.act(np.full(5, sign * size, dtype=np.float32))
    assert bits(worlds[0].observe()) == bits(worlds[1].observe())


def test_a_full_action_moves_the_command_by_three_centimetres_and_a_fifth_of_a_radian(world):
    before = world.commanded
    world.act(np.array([1.0, -1.0, 0.0, 1.0, 1.0], dtype=np.float32))
    np.testing.assert_allclose(world.commanded - before, [0.03, -0.03, 0.0, 0.2], atol=1e-12)


def test_the_command_neither_runs_away_from_the_arm_nor_leaves_the_workspace():
    box = Workspace()
    world = Tabletop()
    rng = np.random.default_rng(0)
    for seed in range(4):
        world.reset(seed=seed)
        for _ in range(40):
            before = world.fingertips
            action = rng.choice([-1.0, 1.0], 5) if seed % 2 else np.full(5, 1.0)
            world.act(action.astype(np.float32))
            assert np.linalg.norm(world.commanded[:3] - before) <= LEAD_METRES + 1e-9
            assert (world.commanded >= box.low).all()
            assert (world.commanded <= box.high).all()


def test_below_zero_the_gripper_closes_and_from_zero_on_it_opens(world):
    close = np.array([0.0, 0.0, 0.0, 0.0, -0.01], dtype=np.float32)
    for _ in range(6):
        world.act(close)
    assert world.opening < 0.1
    for _ in range(6):
        world.act(np.zeros(5, dtype=np.float32))
    assert world.opening > 0.9
