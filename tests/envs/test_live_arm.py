import os

import numpy as np
import pytest

from envs.arm import POSITION_KEYS
from envs.board import Board, nameless_file
from envs.faults import Faults

pytestmark = pytest.mark.render

TARGET = np.array([10.0, -5.0, 115.0, 68.0, 0.0, 30.0])


class Clock:
    """Wall clock that stands still unless somebody sleeps or moves it."""

    def __init__(self):
        self.now = 500.0

    def __call__(self):
        self.now += 1e-6
        return self.now


def live_arm(clock, *, speed=1.0, camera_rate_hz=25.0, **faults):
    from envs.live_arm import LiveArm, LiveSettings

    settings = LiveSettings(
        height=32, width=48, camera_rate_hz=camera_rate_hz, speed=speed, faults=Faults(**faults)
    )
    descriptor = nameless_file()
    board = Board.open(descriptor, cameras=2, height=32, width=48)
    os.close(descriptor)
    return LiveArm(settings, board, clock=clock), board


def run(arm, clock, *, seconds):
    for _ in range(round(seconds / 0.005)):
        clock.now += 0.005
        arm.advance()


def test_settings_come_back_from_their_line():
    from envs.live_arm import LiveSettings

    settings = LiveSettings(
        height=32, width=48, camera_rate_hz=7.0, speed=2.0, faults=Faults(seed=3)
    )
    assert LiveSettings.from_json(settings.to_json()) == settings


def test_a_scene_is_the_one_that_the_tabletop_draws():
    from envs.tabletop import Tabletop

    arm, board = live_arm(Clock())
    arm.begin_scene(11)
    world = Tabletop()
    world.reset(seed=11)
    assert arm.task == world.task
    np.testing.assert_array_equal(board.truth.newest()["qpos"], world._data.qpos)
    np.testing.assert_array_equal(board.truth.newest()["pads"], world._data.mocap_pos)
    front, wrist = board.pictures.newest()
    np.testing.assert_array_equal(front, world.picture("front", 32, 48))
    np.testing.assert_array_equal(wrist, world.picture("wrist", 32, 48))


def test_one_second_of_the_clock_is_one_of_the_robot_with_the_cameras_at_their_rate():
    clock = Clock()
    arm, board = live_arm(clock)
    arm.begin_scene(0)
    before = board.pictures.count
    run(arm, clock, seconds=1.0)
    assert board.truth.newest()["time_s"] == pytest.approx(1.0, abs=0.006)
    assert board.pictures.count - before == pytest.approx(25, abs=1)


def test_speed_hurries_the_robot_but_not_its_cameras():
    clock = Clock()
    arm, board = live_arm(clock, speed=4.0)
    arm.begin_scene(0)
    before = board.pictures.count
    run(arm, clock, seconds=1.0)
    assert board.truth.newest()["time_s"] == pytest.approx(4.0, abs=0.03)
    assert board.pictures.count - before == pytest.approx(25, abs=1)


def test_a_simulation_that_fell_behind_does_not_hurry_afterwards():
    clock = Clock()
    arm, board = live_arm(clock)
    arm.begin_scene(0)
    clock.now += 30.0
    arm.advance()
    run(arm, clock, seconds=0.1)
    assert board.truth.newest()["time_s"] == pytest.approx(0.1, abs=0.006)


def test_the_servos_go_where_they_are_told():
    clock = Clock()
    arm, board = live_arm(clock)
    arm.begin_scene(0)
    board.targets.publish(TARGET)
    run(arm, clock, seconds=1.5)
    truth = board.truth.newest()
    np.testing.assert_allclose(truth["target"], TARGET)
    np.testing.assert_allclose(truth["positions"], TARGET, atol=0.5)
    np.testing.assert_allclose(board.sensed.newest()["positions"], truth["positions"])
    assert truth["actions_heard"] == 1


def test_an_action_is_heard_after_its_latency():
    clock = Clock()
    arm, board = live_arm(clock, action_latency_s=0.1)
    arm.begin_scene(0)
    run(arm, clock, seconds=0.5)
    board.targets.publish(TARGET)
    run(arm, clock, seconds=0.095)
    assert board.truth.newest()["actions_heard"] == 0
    run(arm, clock, seconds=0.015)
    np.testing.assert_allclose(board.truth.newest()["target"], TARGET)


def test_what_is_sensed_is_as_old_as_the_latency_says():
    clock = Clock()
    arm, board = live_arm(clock, observation_latency_s=0.2)
    arm.begin_scene(0)
    assert board.pictures.count == 1
    run(arm, clock, seconds=0.19)
    assert board.pictures.count == 1
    run(arm, clock, seconds=0.31)
    lag = board.truth.newest()["time_s"] - board.sensed.newest()["time_s"]
    assert lag == pytest.approx(0.2, abs=1e-6)
    # 25 pictures a second, those of the first 0.3 s have arrived.
    assert board.pictures.count == pytest.approx(1 + 0.3 * 25, abs=1.5)


def test_a_lost_picture_leaves_the_one_before():
    clock = Clock()
    arm, board = live_arm(clock, dropped_frame_fraction=0.5, seed=5)
    arm.begin_scene(0)
    run(arm, clock, seconds=4.0)
    assert board.pictures.count == pytest.approx(1 + 50, abs=16)


def test_before_a_new_scene_the_arm_is_driven_home_without_a_jump():
    from envs.live_arm import HOME_POSITIONS, HOMING_SECONDS

    clock = Clock()
    arm, board = live_arm(clock)
    arm.begin_scene(0)
    board.targets.publish(TARGET)
    run(arm, clock, seconds=1.0)
    targets = []
    sleep = arm.seconds_to_next_tick

    def note():
        targets.append(board.truth.newest()["target"].copy())
        clock.now += sleep()
        return 0.0

    arm.seconds_to_next_tick = note
    board.targets.publish(np.full(len(POSITION_KEYS), 90.0))
    arm.begin_scene(1)
    assert len(targets) == pytest.approx(HOMING_SECONDS / 0.005, rel=0.05)
    np.testing.assert_allclose(targets[0], TARGET)
    np.testing.assert_allclose(targets[-1], HOME_POSITIONS, atol=1.5)
    assert np.abs(np.diff(targets, axis=0)).max() < 1.0
    # What was sent during the drive is not caught up on afterwards.
    arm.seconds_to_next_tick = sleep
    run(arm, clock, seconds=0.05)
    assert board.truth.newest()["actions_heard"] == 0
    assert board.truth.newest()["scene"] == 2
