"""The arm as stock tools see it; each test that connects has a process and waits for it."""

import math
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
from lerobot.robots import make_robot_from_config
from lerobot.utils.errors import DeviceAlreadyConnectedError, DeviceNotConnectedError

from data.errors import ConfigError
from envs.arm import POSITION_KEYS
from envs.mujoco_robot import TabletopRobot, TabletopRobotConfig, connected_robot
from envs.tabletop import TASKS, Tabletop

ROOT = Path(__file__).parents[2]

ORPHAN = """
import time
from envs.mujoco_robot import TabletopRobot, TabletopRobotConfig
robot = TabletopRobot(TabletopRobotConfig())
robot.connect()
print(robot.process_id, flush=True)
time.sleep(60)
"""


def is_alive(process_id):
    try:
        state = Path(f"/proc/{process_id}/stat").read_text().rsplit(")", 1)[1].split()[0]
    except FileNotFoundError:
        return False
    return state != "Z"


def waits_for(condition, *, seconds=5.0):
    until = time.monotonic() + seconds
    while not condition() and time.monotonic() < until:
        time.sleep(0.01)
    return condition()


@pytest.fixture(autouse=True)
def _calibration_stays_here(tmp_path, monkeypatch):
    monkeypatch.setattr("lerobot.robots.robot.HF_LEROBOT_CALIBRATION", tmp_path)


@pytest.fixture
def connect():
    robots = []

    def connected(**settings):
        robot = TabletopRobot(TabletopRobotConfig(**{"speed": 8.0, **settings}))
        robots.append(robot)
        robot.connect()
        return robot

    yield connected
    for robot in robots:
        if robot.process_id is not None:
            robot.disconnect()


def test_features_are_six_positions_and_two_pictures_also_before_connecting():
    robot = TabletopRobot(TabletopRobotConfig(image_height=48, image_width=64))
    positions = dict.fromkeys(POSITION_KEYS, float)
    assert robot.action_features == positions
    pictures = {"front": (48, 64, 3), "wrist": (48, 64, 3)}
    assert robot.observation_features == {**positions, **pictures}
    assert len(robot.cameras) == 2
    assert robot.name == robot.robot_type == "recap_tabletop_arm"
    assert robot.is_calibrated
    assert not robot.is_connected


def test_lerobot_makes_the_robot_from_its_config():
    config = TabletopRobotConfig(id="a")
    assert config.type == "recap_tabletop_arm"
    robot = make_robot_from_config(config)
    assert type(robot) is TabletopRobot
    assert robot.id == "a"


@pytest.mark.parametrize(
    ("setting", "message"),
    [
        ({"image_height": 97}, "robot.image_height must be even and lie in [2, 480] pixels"),
        ({"image_width": 642}, "robot.image_width must be even and lie in [2, 640] pixels"),
        ({"camera_rate_hz": 0.0}, "robot.camera_rate_hz must lie in (0, 1000], got 0.0."),
        ({"speed": math.nan}, "robot.speed must lie in (0, 1000], got nan."),
        ({"joint_noise_degrees": -1.0}, "robot.joint_noise_degrees must be a number and not"),
        ({"disconnect_after_s": -1.0}, "robot.disconnect_after_s must be a number and not"),
        ({"lose_camera_after_s": math.inf}, "robot.lose_camera_after_s must be a number and not"),
        ({"action_latency_s": -1.0}, "action_latency_s must be a number and not negative"),
    ],
)
def test_settings_that_cannot_be_are_refused(setting, message):
    with pytest.raises(ConfigError) as error:
        TabletopRobotConfig(**setting)
    assert message in str(error.value)


def test_before_connecting_nothing_answers():
    robot = TabletopRobot(TabletopRobotConfig())
    asks = [
        robot.get_observation,
        robot.hold,
        robot.disconnect,
        robot.truth,
        lambda: robot.send_action({}),
        lambda: robot.reset_scene(0),
    ]
    for ask in asks:
        with pytest.raises(DeviceNotConnectedError):
            ask()


@pytest.mark.render
def test_an_observation_has_the_features_that_were_promised(connect):
    robot = connect(image_height=32, image_width=48)
    seen = robot.get_observation()
    assert list(seen) == list(robot.observation_features)
    assert all(type(seen[key]) is float for key in POSITION_KEYS)
    for camera in ("front", "wrist"):
        assert seen[camera].shape == (32, 48, 3)
        assert seen[camera].dtype == np.uint8
        assert seen[camera].std() > 0
    assert robot.task in TASKS
    assert seen["gripper.pos"] == pytest.approx(100.0, abs=2.0)


@pytest.mark.render
def test_the_arm_goes_where_it_is_sent_and_says_what_was_sent(connect):
    robot = connect()
    sent = robot.send_action({"base_yaw.pos": 20.0, "gripper.pos": 400.0})
    assert sent == {"base_yaw.pos": 20.0, "gripper.pos": 100.0}
    arrived = lambda: abs(robot.get_observation()["base_yaw.pos"] - 20.0) < 0.5  # noqa: E731
    assert waits_for(arrived)


@pytest.mark.render
def test_what_is_no_position_of_the_arm_is_refused(connect):
    robot = connect()
    before = robot.truth()["target"]
    with pytest.raises(ValueError, match=r"cannot go to \{'elbow.pos': nan\}"):
        robot.send_action({"base_yaw.pos": 5.0, "elbow.pos": math.nan})
    with pytest.raises(ValueError, match=r"has no elbow_flex.pos; it has base_yaw.pos"):
        robot.send_action({"elbow_flex.pos": 0.0})
    time.sleep(0.1)
    np.testing.assert_array_equal(robot.truth()["target"], before)


@pytest.mark.render
def test_a_scene_depends_on_its_seed_alone(connect):
    robot = connect()
    world = Tabletop()
    for seed in (4, 5):
        world.reset(seed=seed)
        assert robot.reset_scene(seed) == robot.task == world.task
        truth = robot.truth()
        np.testing.assert_allclose(truth["pads"], world._data.mocap_pos)
        np.testing.assert_allclose(truth["qpos"][7:14], world._data.qpos[7:14], atol=1e-3)
        assert not robot.is_success


@pytest.mark.render
def test_holding_stops_the_arm_and_keeps_the_grip(connect):
    robot = connect(speed=1.0)
    robot.send_action({"base_yaw.pos": 80.0, "gripper.pos": 0.0})
    assert waits_for(lambda: robot.truth()["positions"][0] > 10.0)
    robot.hold()
    time.sleep(0.5)
    truth = robot.truth()
    assert 10.0 < truth["positions"][0] < 60.0
    assert truth["positions"][0] == pytest.approx(truth["target"][0], abs=1.0)
    assert truth["target"][5] == 0.0


@pytest.mark.render
def test_noise_is_as_large_as_asked(connect):
    robot = connect(joint_noise_degrees=2.0)
    seen = [list(robot.get_observation().values())[:6] for _ in range(300)]
    np.testing.assert_allclose(np.std(seen, axis=0), 2.0, rtol=0.25)


@pytest.mark.render
def test_a_pulled_plug_raises_until_the_arm_is_connected_again_and_leaves_the_scene(connect):
    robot = connect(speed=1.0, disconnect_after_s=0.3)
    robot.get_observation()
    robot.send_action({"base_yaw.pos": 15.0})
    assert waits_for(lambda: not robot.is_connected)
    for ask in (robot.get_observation, robot.hold, lambda: robot.send_action({})):
        with pytest.raises(DeviceNotConnectedError):
            ask()
    before = robot.process_id
    robot.connect()
    time.sleep(0.4)
    assert robot.is_connected
    assert robot.process_id == before
    assert robot.truth()["scene"] == 1
    assert robot.truth()["target"][0] == pytest.approx(15.0)


@pytest.mark.render
def test_lost_cameras_time_out_while_the_arm_still_listens(connect):
    robot = connect(speed=1.0, lose_camera_after_s=0.2)
    time.sleep(0.25)
    with pytest.raises(TimeoutError, match="Timed out waiting for a frame"):
        robot.get_observation()
    assert robot.is_connected
    robot.hold()
    robot.connect()
    time.sleep(0.25)
    robot.get_observation()


@pytest.mark.render
def test_connecting_twice_is_refused(connect):
    robot = connect()
    with pytest.raises(DeviceAlreadyConnectedError):
        robot.connect()


@pytest.mark.render
def test_disconnecting_leaves_no_process_and_connecting_again_starts_a_new_one(connect):
    robot = connect()
    first = robot.process_id
    robot.disconnect()
    assert not is_alive(first)
    assert not robot.is_connected
    assert robot.process_id is None
    robot.connect()
    assert robot.process_id != first
    robot.get_observation()


@pytest.mark.render
def test_a_process_that_died_is_a_lost_arm(connect):
    robot = connect()
    os.kill(robot.process_id, signal.SIGKILL)
    assert waits_for(lambda: not robot.is_connected)
    with pytest.raises(DeviceNotConnectedError):
        robot.get_observation()
    robot.connect()
    robot.get_observation()


@pytest.mark.render
def test_two_arms_at_once_do_not_touch_each_other(connect):
    left, right = connect(id="left", seed=1), connect(id="right", seed=2)
    assert connected_robot("left") is left
    assert connected_robot("right") is right
    left.send_action({"base_yaw.pos": 30.0})
    right.send_action({"base_yaw.pos": -30.0})
    assert waits_for(lambda: left.get_observation()["base_yaw.pos"] > 29.0)
    assert waits_for(lambda: right.get_observation()["base_yaw.pos"] < -29.0)
    left.disconnect()
    right.get_observation()


@pytest.mark.slow
@pytest.mark.render
def test_a_killed_driver_leaves_no_process():
    driver = subprocess.Popen(
        [sys.executable, "-c", ORPHAN], cwd=ROOT, stdout=subprocess.PIPE, text=True
    )
    process_id = int(driver.stdout.readline())
    assert is_alive(process_id)
    driver.kill()
    driver.wait()
    driver.stdout.close()
    assert waits_for(lambda: not is_alive(process_id))
