"""One attempt in real time, step by step: who commands, what is sent, and what is kept of it."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from data.errors import DeviceError, EpisodeError, PolicyUnreachableError
from data.schema import Ending, Outcome, Pilot
from recap.remote.errors import PolicyRefusedError
from recap.rollout.live.attempt import LiveAttempt
from recap.rollout.live.handover import Event, Handover, Phase


class Frames(list):
    """A recorder that keeps what it is given."""

    def __init__(self):
        self.error = None

    def add(self, *, images, state, action, pilot, policy_action):
        if self.error is not None:
            raise self.error
        asked = None if policy_action is None else policy_action.tolist()
        self.append((pilot.value, action.tolist(), asked))


class Motors:
    """A leader's motors: stiff or loose."""

    def __init__(self):
        self.is_stiff = False

    def enable_torque(self):
        self.is_stiff = True

    def disable_torque(self):
        self.is_stiff = False

    def send_feedback(self, feedback):
        pass


def begin(rig, *, time_limit_steps=1000):
    frames = Frames()
    handover = Handover(
        first_pilot=Pilot.TELEOPERATOR if rig.policy is None else Pilot.POLICY,
        corrector=None if rig.leader is None else Pilot.TELEOPERATOR,
    )
    return LiveAttempt(rig, handover, frames, time_limit_steps=time_limit_steps), frames


def steps(attempt, count):
    for _ in range(count):
        attempt.step()


def told(rig):
    return rig.world._robot.told


def test_a_frame_is_what_was_seen_what_was_sent_and_what_was_asked(make_rig):
    rig = make_rig()
    attempt, frames = begin(rig)
    rig.policy.says = [[1, 2, 50], [9, 2, 50]]
    steps(attempt, 2)
    # The second asks for 8 units in a step; 5 are allowed. The policy's wish is kept as it was.
    assert frames == [
        ("policy", [1, 2, 50], [1, 2, 50]),
        ("policy", [6, 2, 50], [9, 2, 50]),
    ]
    assert told(rig) == [[1, 2, 50], [6, 2, 50]]
    assert attempt.tally.concerns == {"pan.pos: asked for a step of more than 5.0"}


def test_a_step_without_a_command_holds_and_is_not_recorded(make_rig):
    rig = make_rig()
    attempt, frames = begin(rig)
    rig.policy.says = [[1, 0, 50], None, [2, 0, 50]]
    steps(attempt, 3)
    assert told(rig) == [[1, 0, 50], [1, 0, 50], [2, 0, 50]]
    assert len(frames) == 2
    assert attempt.tally.steps == 2


@pytest.mark.parametrize("nonsense", [np.nan, np.inf])
def test_a_command_that_is_not_a_number_holds_and_is_not_recorded(make_rig, nonsense):
    rig = make_rig()
    attempt, frames = begin(rig)
    rig.policy.says = [[1, 0, 50], [nonsense, 0, 50], [2, 0, 50]]
    steps(attempt, 3)
    assert told(rig) == [[1, 0, 50], [1, 0, 50], [2, 0, 50]]
    assert [action for _, action, _ in frames] == [[1, 0, 50], [2, 0, 50]]
    assert attempt.tally.steps == 2


def test_a_correction_goes_from_the_policy_to_the_person_and_back(make_rig):
    rig = make_rig()
    attempt, frames = begin(rig)
    rig.leader.at = np.float32([12, 0, 50])
    rig.policy.says = [[0, 1, 50]] + [[7, 7, 50]] * 3
    rig.controls.queue = [[], [Event.TAKE_OVER], [], [], [], [Event.HAND_BACK]]
    steps(attempt, 6)
    assert frames == [
        ("policy", [0, 1, 50], [0, 1, 50]),
        # Two steps of 5 brought the robot to the leader; they are not recorded.
        ("teleoperator", [12, 0, 50], [7, 7, 50]),
        ("teleoperator", [12, 0, 50], [7, 7, 50]),
        ("policy", [7, 5, 50], [7, 7, 50]),
    ]
    assert told(rig)[1:3] == [[5, 0, 50], [10, 0, 50]]
    assert rig.policy.forgotten == 1
    assert (attempt.tally.steps, attempt.tally.corrected_steps) == (4, 2)


def test_a_pause_leaves_no_frames_and_holds_the_last_command(make_rig):
    rig = make_rig()
    attempt, frames = begin(rig)
    rig.policy.says = [[1, 0, 50], [2, 0, 50]]
    rig.controls.queue = [[], [Event.PAUSE], [], [], [Event.PAUSE]]
    steps(attempt, 5)
    assert told(rig) == [[1, 0, 50]] * 4 + [[2, 0, 50]]
    assert len(frames) == 2
    assert not rig.safety.is_starved


def test_the_emergency_stop_holds_where_the_arm_stands_and_keeps_the_grip(make_rig):
    rig = make_rig()
    attempt, frames = begin(rig)
    rig.policy.says = [[5, 0, 45]] * 9
    rig.world._robot.is_blocked = True  # it stands at 0, 0 with the gripper at 50
    rig.controls.queue = [[], [], [Event.EMERGENCY_STOP]]
    steps(attempt, 6)
    assert told(rig) == [[5, 0, 45]] * 2 + [[0, 0, 45]] * 4
    assert len(frames) == 2
    rig.controls.queue = [[Event.PAUSE], [], [Event.PAUSE]]
    steps(attempt, 3)  # lifted, still paused; then the policy goes on from where it stood
    assert told(rig)[6:] == [[0, 0, 45]] * 2 + [[5, 0, 45]]


@pytest.mark.parametrize("order", [[0, 1], [1, 0]])
def test_a_stop_wins_over_a_pause_of_the_same_moment(make_rig, order):
    rig = make_rig()
    attempt, _ = begin(rig)
    said = [Event.EMERGENCY_STOP, Event.PAUSE]
    rig.controls.queue = [[said[i] for i in order]]
    steps(attempt, 1)
    assert attempt.handover.is_stopped
    assert rig.safety.is_stopped


def test_a_demonstration_begins_when_robot_and_leader_are_together(make_rig):
    rig = make_rig(with_policy=False)
    attempt, frames = begin(rig)
    rig.leader.at = np.float32([12, 0, 50])
    steps(attempt, 4)
    assert told(rig) == [[5, 0, 50], [10, 0, 50], [12, 0, 50], [12, 0, 50]]
    # Within 3 units they count as together; what is left is the person's.
    assert frames == [("teleoperator", [12, 0, 50], None)] * 2
    assert attempt.handover.phase is Phase.CORRECTING


def test_time_is_counted_in_frames(make_rig):
    rig = make_rig()
    attempt, frames = begin(rig, time_limit_steps=2)
    rig.policy.says = [[1, 0, 50], None, [2, 0, 50], [3, 0, 50]]
    while not attempt.is_over:
        attempt.step()
    assert len(frames) == 2
    assert attempt.handover.ending is Ending.TIME_LIMIT


def test_a_verdict_ends_the_attempt_and_nothing_more_is_recorded(make_rig):
    rig = make_rig()
    attempt, frames = begin(rig)
    rig.policy.says = [[1, 0, 50]] * 3
    rig.controls.queue = [[], [Event.SUCCESS]]
    steps(attempt, 2)
    assert (attempt.handover.ending, attempt.handover.verdict) == (Ending.STOPPED, Outcome.SUCCESS)
    assert len(frames) == 1


def test_to_quit_is_noted_for_the_session(make_rig):
    rig = make_rig()
    attempt, _ = begin(rig)
    rig.controls.queue = [[Event.QUIT]]
    steps(attempt, 1)
    assert attempt.tally.has_quit
    assert attempt.handover.ending is Ending.INTERRUPTED


@pytest.mark.parametrize("stage", ["look", "leader", "policy", "record", "act"])
def test_whatever_fails_the_attempt_is_interrupted_and_the_robot_told_to_hold(make_rig, stage):
    rig = make_rig()
    attempt, frames = begin(rig)
    rig.policy.says = [[1, 0, 50]] * 9
    rig.controls.queue = [[], [Event.TAKE_OVER]]
    steps(attempt, 1)
    error = {"leader": DeviceError("x"), "policy": PolicyRefusedError("x")}.get(stage)
    if stage == "look":
        rig.world._robot.lost_looks = 1
    elif stage == "act":
        rig.world._robot.send_action = lambda action: (_ for _ in ()).throw(OSError("bus"))
    elif stage == "record":
        rig.controls.queue = []
        frames.error = error = EpisodeError("the disk is full")
    elif stage == "leader":
        rig.leader.error = error
    else:
        rig.controls.queue = []
        rig.policy.error = error
    steps(attempt, 1)
    assert attempt.is_over
    assert attempt.handover.ending is Ending.INTERRUPTED
    assert error is None or attempt.tally.error is error
    assert rig.world._robot.holds == 1
    assert (attempt.tally.steps, len(frames)) == (1, 1)


def test_an_unreachable_policy_in_a_step_is_no_reason_to_go_on(make_rig):
    """`LivePolicy` holds instead of raising; if anything else lets it through, it ends here."""
    rig = make_rig()
    attempt, _ = begin(rig)
    rig.policy.error = PolicyUnreachableError("x")
    steps(attempt, 1)
    assert attempt.is_over


@pytest.mark.parametrize(
    "event", [Event.PAUSE, Event.HAND_BACK, Event.SUCCESS, Event.EMERGENCY_STOP, Event.QUIT]
)
def test_no_leader_stays_stiff_when_the_aligning_is_broken_off(make_rig, event):
    motors = Motors()
    rig = make_rig(motors=motors)
    attempt, _ = begin(rig)
    rig.leader.at = np.float32([40, 0, 50])
    rig.controls.queue = [[Event.TAKE_OVER], []]
    steps(attempt, 2)
    assert motors.is_stiff
    rig.controls.queue = [[event]]
    steps(attempt, 1)
    assert not motors.is_stiff


def test_no_leader_stays_stiff_when_the_robot_is_lost(make_rig):
    motors = Motors()
    rig = make_rig(motors=motors)
    attempt, _ = begin(rig)
    rig.leader.at = np.float32([40, 0, 50])
    rig.controls.queue = [[Event.TAKE_OVER], []]
    steps(attempt, 2)
    rig.world._robot.lost_looks = 1
    steps(attempt, 1)
    assert attempt.is_over
    assert not motors.is_stiff


events_of_a_step = st.lists(st.sampled_from(list(Event)), max_size=2)
numbers = st.floats(-1e3, 1e3) | st.sampled_from([np.nan, np.inf])
wishes = st.none() | st.lists(numbers, min_size=3, max_size=3)


@settings(deadline=None, max_examples=150)
@given(script=st.lists(st.tuples(events_of_a_step, wishes, wishes), min_size=1, max_size=25))
def test_whatever_happens_no_command_jumps_and_every_frame_has_a_pilot(make_rig, script):
    rig = make_rig()
    attempt, frames = begin(rig)
    sent = [[0.0, 0.0, 50.0]]
    for events, wish, leader in script:
        rig.controls.queue = [events]
        rig.policy.says = [wish]
        rig.leader.at = np.float32([0, 0, 50] if leader is None else leader)
        attempt.step()
        if attempt.is_over:
            break
    sent += told(rig)
    # 50 units a second at 10 steps a second. The arm stands where it was told, so a stop is none.
    assert np.abs(np.diff(sent, axis=0)).max() <= 5.0 + 1e-4
    assert np.isfinite(sent).all()
    assert {pilot for pilot, _, _ in frames} <= {"policy", "teleoperator"}
    assert all(action in told(rig) for _, action, _ in frames)
