"""What a person holds, with a teleoperator that does what the test says."""

import numpy as np
import pytest
from lerobot.utils.errors import DeviceNotConnectedError

from data.errors import ConfigError, DeviceError
from envs.leader import Leader, LeaderButtons

NAMES = ("pan.pos", "gripper.pos")


class Handle:
    """A leader arm whose plug can be pulled."""

    name = "handle"

    def __init__(self):
        self.action_features = {"gripper.pos": float, "pan.pos": float, "button": float}
        self.is_connected = True
        self.is_plugged = True
        self.calls = []
        self.held = {"is_intervention": False}

    def connect(self, calibrate=True):
        self.calls.append(f"connect calibrate={calibrate}")
        self._require_plugged()
        self.is_connected = True

    def disconnect(self):
        self.calls.append("disconnect")
        self.is_connected = False

    def get_action(self):
        self._require_plugged()
        if not self.is_connected:
            raise DeviceNotConnectedError
        return {"gripper.pos": 5.0, "pan.pos": -1.5, "button": 1.0}

    def get_teleop_events(self):
        self._require_plugged()
        return dict(self.held)

    def enable_torque(self):
        self._require_plugged()
        self.calls.append("stiff")

    def disable_torque(self):
        self._require_plugged()
        self.calls.append("loose")

    def send_feedback(self, feedback):
        self._require_plugged()
        self.calls.append(feedback)

    def _require_plugged(self):
        if not self.is_plugged:
            message = "the plug is pulled"
            raise ConnectionError(message)


@pytest.fixture
def handle():
    return Handle()


@pytest.fixture
def leader(handle):
    return Leader(handle, action_names=NAMES)


def test_a_leader_speaks_in_the_order_of_the_robot(leader):
    action = leader.action()
    assert action.dtype == np.float32
    np.testing.assert_array_equal(action, np.float32([-1.5, 5.0]))


def test_a_leader_that_misses_joints_is_refused(handle):
    with pytest.raises(ConfigError) as caught:
        Leader(handle, action_names=("pan.pos", "lift.pos", "gripper.pos", "elbow.pos"))
    assert str(caught.value) == (
        "The teleoperator 'handle' does not move elbow.pos, lift.pos of the robot. Choose the one "
        "that belongs to the robot with --teleop.type=..."
    )


@pytest.mark.parametrize(
    ("use", "doing"),
    [
        (Leader.action, "read"),
        (Leader.enable_torque, "hold"),
        (lambda leader: leader.send_feedback({}), "drive"),
        (Leader.reconnect, "connect"),
    ],
)
def test_a_leader_that_is_gone_is_told_in_words(leader, handle, use, doing):
    handle.is_plugged = False
    with pytest.raises(DeviceError) as caught:
        use(leader)
    assert str(caught.value) == f"The teleoperator was lost ({doing}: the plug is pulled)."


def test_letting_go_of_a_leader_that_is_gone_is_silent(leader, handle):
    handle.is_plugged = False
    leader.disable_torque()
    leader.disconnect()
    assert handle.calls == ["disconnect"]


def test_its_motors_are_reached_through_the_leader(leader, handle):
    leader.send_feedback({"pan.pos": 2.0})
    leader.enable_torque()
    leader.disable_torque()
    assert handle.calls == [{"pan.pos": 2.0}, "stiff", "loose"]


def test_a_leader_that_answers_is_left_alone_by_reconnecting(leader, handle):
    leader.reconnect()
    assert handle.calls == []


def test_a_leader_that_does_not_answer_is_connected_anew_without_a_question(leader, handle):
    handle.is_connected = False
    leader.reconnect()
    assert handle.calls == ["disconnect", "connect calibrate=False"]


def test_a_connected_leader_is_not_connected_again(leader, handle):
    leader.connect()
    assert handle.calls == []
    handle.is_connected = False
    leader.connect()
    assert handle.calls == ["connect calibrate=True"]


def test_buttons_of_a_leader_that_is_gone_stay_as_they_were(leader, handle):
    """Its silence must not look like letting go, which would hand back to the policy."""
    buttons = LeaderButtons(leader)
    handle.held = {"is_intervention": True}
    assert buttons.get_teleop_events() == {"is_intervention": True}
    handle.held = {"is_intervention": False}
    handle.is_plugged = False
    assert buttons.get_teleop_events() == {"is_intervention": True}
    handle.is_plugged = True
    assert buttons.get_teleop_events() == {"is_intervention": False}
