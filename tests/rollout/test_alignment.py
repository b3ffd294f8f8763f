"""Leader and robot come together by bounded steps, whoever of them can move."""

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from data.errors import ConfigError
from recap.rollout.live.alignment import (
    SETTLING_STEPS,
    Alignment,
    AlignmentConfig,
    are_together,
    bring_together,
    has_motors,
)

NAMES = ("base.pos", "elbow.pos")
STEP, TOLERANCE = 2.0, 1.0


def vector(*values):
    return np.array(values, dtype=np.float32)


class FakeLeader:
    """A leader arm: with its motors on it goes where it is told, short of a sag or a grip."""

    feedback_features = dict.fromkeys(NAMES, float)

    def __init__(self, *at, sag=0.0, is_gripped=False):
        self.at = vector(*at)
        self.is_on = False
        self.told = vector(77.0, 77.0)  # what it was told in the session before
        self.largest_move = 0.0
        self._sag = sag
        self._is_gripped = is_gripped

    def enable_torque(self):
        self.is_on = True
        self._move()

    def disable_torque(self):
        self.is_on = False

    def send_feedback(self, feedback):
        self.told = vector(*(feedback[name] for name in NAMES))
        self._move()

    def _move(self):
        if self.is_on and not self._is_gripped:
            target = self.told - np.float32(self._sag)
            self.largest_move = max(self.largest_move, float(np.abs(target - self.at).max()))
            self.at = target


def align(leader, robot, *, motors=None, most_steps=200):
    alignment = Alignment(names=NAMES, largest_step=STEP, tolerance=TOLERANCE, motors=motors)
    commands = [robot]
    while not alignment.is_done and len(commands) <= most_steps:
        commands.append(alignment.step(robot=commands[-1], leader=leader.at))
    return alignment, np.stack(commands)


def test_a_robot_slides_to_a_leader_without_motors():
    leader = FakeLeader(5.0, -1.0)
    alignment, commands = align(leader, vector(0.0, 0.0))
    # 2 a step: at 4 the base is within 1 of the leader.
    np.testing.assert_array_equal(commands, [[0, 0], [2, -1], [4, -1]])
    assert alignment.is_done
    assert leader.told[0] == 77.0  # nobody told it anything


def test_a_leader_with_motors_comes_to_the_robot_which_holds():
    leader = FakeLeader(5.0, -1.0)
    robot = vector(0.0, 0.0)
    alignment, commands = align(leader, robot, motors=leader)
    assert alignment.is_done
    # 5 -> 3 -> 1, which is close enough; what is left is within reach of one step of the robot.
    np.testing.assert_array_equal(commands[:-1], np.zeros((3, 2)))
    np.testing.assert_array_equal(commands[-1], leader.at)
    np.testing.assert_array_equal(leader.at, [1.0, 0.0])
    assert leader.largest_move <= STEP  # also at the first moment, when the motors come on
    assert not leader.is_on


@pytest.mark.parametrize("leader", [FakeLeader(20.0, 0.0, sag=4.0), FakeLeader(5, 0, is_gripped=1)])
def test_a_leader_that_does_not_arrive_is_met_by_the_robot(leader):
    alignment, commands = align(leader, vector(0.0, 0.0), motors=leader)
    assert alignment.is_done
    assert not leader.is_on
    assert np.abs(np.diff(commands, axis=0)).max() <= STEP
    assert len(commands) < 20 / STEP + SETTLING_STEPS + 10


def test_a_leader_that_is_near_already_is_not_driven():
    leader = FakeLeader(0.5, 0.0)
    alignment, commands = align(leader, vector(0.0, 0.0), motors=leader)
    np.testing.assert_array_equal(commands, [[0, 0], [0.5, 0]])
    assert alignment.is_done
    assert leader.told[0] == 77.0


def test_the_next_step_after_the_end_begins_anew():
    leader = FakeLeader(0.0, 0.0)
    alignment, _ = align(leader, vector(0.0, 0.0), motors=leader)
    leader.at = vector(9.0, 0.0)
    command = alignment.step(robot=vector(0.0, 0.0), leader=leader.at)
    assert not alignment.is_done
    assert alignment.is_running
    assert leader.is_on
    np.testing.assert_array_equal(command, [0, 0])


def test_an_alignment_that_is_abandoned_lets_the_leader_go():
    leader = FakeLeader(9.0, 0.0)
    alignment = Alignment(names=NAMES, largest_step=STEP, tolerance=TOLERANCE, motors=leader)
    alignment.step(robot=vector(0.0, 0.0), leader=leader.at)
    alignment.abandon()
    assert not leader.is_on
    assert not alignment.is_running
    assert not alignment.is_done
    leader.at = vector(30.0, 0.0)  # moved by hand, and then tried again
    alignment.step(robot=vector(0.0, 0.0), leader=leader.at)
    assert leader.largest_move <= STEP


def test_the_robot_holds_while_the_leader_says_nothing_usable():
    alignment = Alignment(names=NAMES, largest_step=STEP, tolerance=TOLERANCE)
    robot = vector(1.0, 2.0)
    np.testing.assert_array_equal(alignment.step(robot=robot, leader=vector(math.nan, 0.0)), robot)
    assert not alignment.is_done


numbers = st.lists(st.floats(-500, 500, width=32), min_size=2, max_size=2).map(np.float32)


@given(robot=numbers, leader=numbers, with_motors=st.booleans(), sag=st.floats(-20, 20))
def test_any_two_that_keep_still_come_together_in_bounded_steps(robot, leader, with_motors, sag):
    fake = FakeLeader(*leader, sag=sag)
    alignment, commands = align(fake, robot, motors=fake if with_motors else None, most_steps=1200)
    assert alignment.is_done
    assert are_together(commands[-1], fake.at, tolerance=TOLERANCE)
    # A sum that is rounded to float32 may be half a unit in the last place too far.
    assert np.abs(np.diff(commands.astype(np.float64), axis=0)).max() <= STEP + 1e-4
    assert fake.largest_move <= STEP + abs(sag) + 1e-4


def test_a_step_ends_exactly_where_the_leader_is():
    robot, leader = vector(0.1, 0.0), vector(0.3, -9.0)
    np.testing.assert_array_equal(
        bring_together(robot, leader, largest_step=STEP), vector(0.3, -2.0)
    )


def test_together_includes_the_tolerance_itself_and_no_nan():
    assert are_together(vector(0, 0), vector(1, -1), tolerance=1.0)
    assert not are_together(vector(0, 0), vector(1.001, 0), tolerance=1.0)
    assert not are_together(vector(0, 0), vector(math.nan, 0), tolerance=1.0)


@pytest.mark.parametrize("name", ["speed", "tolerance"])
@pytest.mark.parametrize("value", [0.0, -1.0, math.nan, math.inf])
def test_settings_with_which_nothing_comes_together_are_refused(name, value):
    with pytest.raises(ConfigError) as caught:
        AlignmentConfig(**{name: value})
    message = f"alignment.{name} must be a finite number above 0, got {value}."
    assert str(caught.value) == message


class Deaf(FakeLeader):
    feedback_features = {}  # noqa: RUF012 - as LeRobot's teleoperators have it


class Limp:
    feedback_features = {"base.pos": float}  # noqa: RUF012


@pytest.mark.slow
@pytest.mark.parametrize("leader", [FakeLeader(0, 0), Deaf(0, 0), Limp()])
def test_lerobot_agrees_on_who_has_motors(leader):
    from lerobot.common.control_utils import teleop_supports_feedback

    assert has_motors(leader) == teleop_supports_feedback(leader)


def test_who_has_motors():
    assert has_motors(FakeLeader(0, 0))
    assert not has_motors(Deaf(0, 0))
    assert not has_motors(Limp())
    assert not has_motors(object())
