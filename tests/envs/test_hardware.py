"""A LeRobot robot as a world, with a robot that does what the test says."""

import numpy as np
import pytest
from lerobot.cameras import Camera, CameraConfig
from lerobot.utils.errors import DeviceAlreadyConnectedError, DeviceNotConnectedError

from data.errors import ConfigError, DeviceError
from envs.hardware import RobotWorld, layout_of_robot

TASK = "put the cube on the pad"


class Webcam(Camera):
    """A LeRobot camera that can be unplugged."""

    def __init__(self):
        super().__init__(CameraConfig(fps=30, width=6, height=4))
        self.is_plugged = True
        self._is_open = True

    @property
    def is_connected(self):
        return self._is_open

    @staticmethod
    def find_cameras():
        return []

    def connect(self, warmup=True):
        if not self.is_plugged:
            message = "no such camera"
            raise ConnectionError(message)
        self._is_open = True

    def read(self):
        return self.async_read()

    def async_read(self, timeout_ms=200):
        if not (self.is_plugged and self._is_open):
            message = "no picture"
            raise TimeoutError(message)
        return np.zeros((4, 6, 3), np.uint8)

    read_latest = async_read

    def disconnect(self):
        self._is_open = False


class Arm:
    """Two joints and a gripper that stand where they are put, and note what they are told."""

    name = "arm"
    config_class = None

    def __init__(self):
        self.at = {"pan.pos": 1.0, "lift.pos": 2.0, "gripper.pos": 30.0}
        self.action_features = dict.fromkeys(self.at, float)
        self.observation_features = {**self.action_features, "front": (4, 6, 3)}
        self.cameras = {"front": Webcam()}
        self.is_connected = True
        self.is_plugged = True
        self.told = []
        self.calls = []

    def connect(self, calibrate=True):
        self.calls.append(f"connect calibrate={calibrate}")
        if self.is_connected and self.is_plugged:
            raise DeviceAlreadyConnectedError
        if not self.is_plugged:
            raise DeviceNotConnectedError
        self.is_connected = True

    def disconnect(self):
        self.calls.append("disconnect")
        self.is_connected = False

    def get_observation(self):
        self._require_plugged()
        return {**self.at, "front": self.cameras["front"].read_latest()}

    def send_action(self, action):
        self._require_plugged()
        self.told.append(action)
        return action

    def _require_plugged(self):
        if not (self.is_plugged and self.is_connected):
            message = "the plug is pulled"
            raise DeviceNotConnectedError(message)


class HoldingArm(Arm):
    """An arm that knows how to hold, lays its scene, and measures success."""

    is_success = True

    def hold(self):
        self._require_plugged()
        self.calls.append("hold")

    def reset_scene(self, seed):
        return f"task of scene {seed}"


@pytest.fixture
def arm():
    return Arm()


@pytest.fixture
def world(arm):
    return RobotWorld(arm, rate_hz=30, task=TASK)


def lost_with(action, message):
    with pytest.raises(DeviceError) as caught:
        action()
    assert str(caught.value) == message


def test_the_layout_is_what_the_robot_says_of_itself(world):
    layout = world.layout
    assert (layout.fps, layout.cameras, layout.robot_type) == (30, {"front": (4, 6)}, "arm")
    assert layout.state_names == layout.action_names == ("pan.pos", "lift.pos", "gripper.pos")


@pytest.mark.parametrize(
    ("shape", "message"),
    [
        (
            (None, None, 3),
            "Camera 'front' has no size. Say it beside its other settings, as in "
            "{type: opencv, index_or_path: 0, width: 640, height: 480, fps: 30}.",
        ),
        (
            (4, 6, 1),
            "Camera 'front' gives 4x6x1, and only colour pictures, HEIGHTxWIDTHx3, are recorded. "
            "Leave depth out with use_depth: false.",
        ),
        (
            (5, 6, 3),
            "Camera 'front' is 5x6, but the video format needs an even height and width. Crop or "
            "resize it by one pixel.",
        ),
    ],
)
def test_a_camera_that_cannot_be_recorded_is_refused(arm, shape, message):
    arm.observation_features["front"] = shape
    with pytest.raises(ConfigError) as caught:
        layout_of_robot(arm, rate_hz=30)
    assert str(caught.value) == message


def test_a_robot_that_is_told_speeds_is_refused_as_it_would_drive_on(arm):
    arm.action_features = {"pan.pos": float, "x.vel": float}
    with pytest.raises(ConfigError) as caught:
        RobotWorld(arm, rate_hz=30, task=TASK)
    assert str(caught.value) == (
        "The robot 'arm' is told speeds (x.vel), and one that holds would drive on. Only robots "
        "that are told positions can take part in a session."
    )


def test_a_speed_beside_its_position_is_no_command_of_its_own(arm):
    arm.action_features = {"pan.pos": float, "pan.vel": float}
    assert layout_of_robot(arm, rate_hz=30).action_names == ("pan.pos", "pan.vel")


def test_a_robot_that_lays_no_scenes_has_to_be_told_its_task(arm):
    with pytest.raises(ConfigError) as caught:
        RobotWorld(arm, rate_hz=30, task="")
    assert str(caught.value) == (
        "What is the robot to do? Say it in words: --task='put the cube on the pad'"
    )


def test_a_robot_that_lays_scenes_says_the_task_itself():
    world = RobotWorld(HoldingArm(), rate_hz=30, task="")
    assert (world.lays_scenes, world.task) == (True, "")
    assert world.reset(seed=7).task == world.task == "task of scene 7"


def test_success_is_unknown_where_nothing_can_measure_it(world):
    assert world.is_success is None
    assert RobotWorld(HoldingArm(), rate_hz=30, task="").is_success is True


def test_an_observation_has_the_order_of_the_layout(world):
    seen = world.observe()
    np.testing.assert_array_equal(seen.state, np.float32([1, 2, 30]))
    assert seen.state.dtype == np.float32
    assert seen.images["front"].shape == (4, 6, 3)
    assert seen.task == TASK


def test_a_command_is_told_by_name(world, arm):
    world.act(np.float32([5, 6, 7]))
    assert arm.told == [{"pan.pos": 5.0, "lift.pos": 6.0, "gripper.pos": 7.0}]


@pytest.mark.parametrize("value", [np.nan, np.inf])
def test_a_joint_that_is_not_a_number_counts_as_lost(world, arm, value):
    arm.at["lift.pos"] = value
    lost_with(world.observe, "The robot was lost (observe: lift.pos makes no sense).")


def test_a_picture_of_another_size_counts_as_lost(world, arm, monkeypatch):
    monkeypatch.setattr(Webcam, "read_latest", lambda self: np.zeros((4, 8, 3), np.uint8))
    lost_with(world.observe, "The robot was lost (observe: front makes no sense).")


def test_a_robot_that_is_gone_is_told_in_words(world, arm):
    arm.is_plugged = False
    lost_with(world.observe, "The robot was lost (observe: the plug is pulled).")
    lost_with(
        lambda: world.act(np.zeros(3, np.float32)), "The robot was lost (act: the plug is pulled)."
    )
    world.disconnect()  # no word


def test_standing_still_keeps_the_grip_and_nothing_else_of_the_command(world, arm):
    world.observe()
    np.testing.assert_array_equal(world.standstill, np.float32([1, 2, 30]))
    world.act(np.float32([50, 60, 0]))  # blocked: the joints stay, the gripper squeezes
    world.observe()
    np.testing.assert_array_equal(world.position, np.float32([1, 2, 30]))
    np.testing.assert_array_equal(world.standstill, np.float32([1, 2, 0]))


def test_both_grippers_of_two_arms_keep_their_grip(arm):
    arm.at = {"left_gripper.pos": 10.0, "right_gripper.pos": 20.0}
    arm.action_features = dict.fromkeys(arm.at, float)
    arm.observation_features = {**arm.action_features, "front": (4, 6, 3)}
    world = RobotWorld(arm, rate_hz=30, task=TASK)
    world.act(np.float32([1, 2]))
    world.observe()
    np.testing.assert_array_equal(world.standstill, np.float32([1, 2]))


def test_a_joint_that_is_not_reported_stands_where_it_was_told_to_be(arm):
    del arm.at["lift.pos"], arm.observation_features["lift.pos"]
    world = RobotWorld(arm, rate_hz=30, task=TASK)
    world.observe()
    np.testing.assert_array_equal(world.position, np.float32([1, 0, 30]))
    world.act(np.float32([5, 6, 7]))
    np.testing.assert_array_equal(world.position, np.float32([1, 6, 30]))


def test_to_hold_repeats_the_last_command(world, arm):
    world.hold()
    assert arm.told == []  # it was never told anything
    world.act(np.float32([5, 6, 7]))
    world.hold()
    assert arm.told == [{"pan.pos": 5.0, "lift.pos": 6.0, "gripper.pos": 7.0}] * 2


def test_to_hold_is_the_robots_own_way_where_it_has_one():
    arm = HoldingArm()
    world = RobotWorld(arm, rate_hz=30, task=TASK)
    world.act(np.float32([5, 6, 7]))
    world.hold()
    assert (len(arm.told), arm.calls) == (1, ["hold"])


@pytest.mark.parametrize("kind", [Arm, HoldingArm])
def test_a_robot_that_is_gone_is_asked_to_hold_without_a_word(kind):
    arm = kind()
    world = RobotWorld(arm, rate_hz=30, task=TASK)
    world.act(np.float32([5, 6, 7]))
    arm.is_plugged = False
    world.hold()


def test_a_robot_that_answers_is_not_let_go_of_to_reconnect(world, arm):
    world.reconnect()
    assert arm.calls == []


def test_a_lost_camera_is_mended_without_letting_go_of_the_arm(world, arm):
    camera = arm.cameras["front"]
    camera.disconnect()
    with pytest.raises(DeviceError):
        world.observe()
    world.reconnect()
    assert camera.is_connected
    assert arm.calls == []


def test_a_camera_that_stays_away_stays_lost(world, arm):
    arm.cameras["front"].is_plugged = False
    lost_with(world.reconnect, "The robot was lost (observe: no picture).")


def test_a_lost_robot_is_connected_anew_without_a_question(world, arm):
    world.act(np.float32([5, 6, 7]))
    arm.is_connected = False
    world.reconnect()
    assert arm.calls == ["connect calibrate=False"]
    world.hold()
    assert len(arm.told) == 1  # what it was told before, it has let go of


def test_what_is_left_of_a_robot_is_not_in_the_way_of_connecting(world, arm):
    arm.get_observation = lambda: (_ for _ in ()).throw(ConnectionError("half gone"))
    lost_with(world.reconnect, "The robot was lost (observe: half gone).")
    assert arm.calls == ["connect calibrate=False", "disconnect", "connect calibrate=False"]


def test_connecting_a_connected_robot_does_nothing(world, arm):
    world.connect()
    assert arm.calls == []
    arm.is_connected = False
    world.connect()
    assert arm.calls == ["connect calibrate=True"]
