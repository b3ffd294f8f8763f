import numpy as np
import pytest

from data.schema import Ending, Pilot, Source
from envs.expert import SKILLED, Expert, draw_habits
from envs.tabletop import Tabletop
from envs.world import Observation
from recap.rollout.attempt import HABITS_STREAM, Attempt, AttemptPlan
from recap.rollout.takeover import AtStep, WhenStalled, WhenValueFalls

pytestmark = pytest.mark.render


STILL = np.array([0.0, 0.0, 0.0, 0.0, 1.0], dtype=np.float32)


@pytest.fixture(scope="module")
def tabletop():
    return Tabletop()


def finished(attempt):
    while attempt.ending is None:
        attempt.step(STILL)
    return attempt


def recorded(attempt):
    return attempt.record(uid="rollout-01-00000001", iteration=1, policy_id="tiny")


def test_an_attempt_ends_with_its_time_which_says_nothing_about_success(tabletop):
    attempt = finished(
        Attempt(tabletop, AttemptPlan(seed=1, time_limit_steps=10), is_recorded=True)
    )
    assert attempt.ending is Ending.TIME_LIMIT
    assert attempt.steps == 10
    assert attempt.result().success is False
    assert recorded(attempt).info.ending is Ending.TIME_LIMIT
    assert recorded(attempt).info.frames == 10


def test_a_demonstration_is_the_experts_from_the_first_frame_and_no_correction(tabletop):
    plan = AttemptPlan(seed=1, time_limit_steps=100, takeover_step=0)
    attempt = finished(Attempt(tabletop, plan, is_recorded=True))
    record = recorded(attempt)
    assert record.info.source is Source.DEMONSTRATION
    assert record.info.ending is Ending.TERMINATED
    assert record.info.measured_success is True
    assert record.info.corrected_frames == 0
    assert set(record.pilot) == {Pilot.EXPERT}
    assert len(record.pilot) == record.info.frames == attempt.result().steps


def test_a_takeover_is_recorded_from_its_very_frame_on(tabletop):
    plan = AttemptPlan(seed=1, time_limit_steps=100, takeover_step=13)
    attempt = finished(Attempt(tabletop, plan, is_recorded=True))
    record = recorded(attempt)
    assert record.info.source is Source.ROLLOUT
    assert record.pilot[:13] == [Pilot.POLICY] * 13
    assert set(record.pilot[13:]) == {Pilot.EXPERT}
    assert record.info.corrected_frames == record.info.frames - 13
    assert attempt.result().corrected_steps == record.info.corrected_frames
    assert record.info.ending is Ending.TERMINATED  # the skilled expert saves it


def test_each_row_holds_what_was_seen_before_its_action(tabletop):
    chunk = np.random.default_rng(0).uniform(-1, 1, (9, 5)).astype(np.float32)
    attempt = Attempt(tabletop, AttemptPlan(seed=3, time_limit_steps=9), is_recorded=True)
    for action in chunk:
        attempt.step(action)
    record = recorded(attempt)
    np.testing.assert_array_equal(record.action, chunk)
    np.testing.assert_array_equal(record.policy_action, chunk)

    alone = Tabletop()
    seen = [alone.reset(seed=3)]
    for action in chunk[:-1]:
        alone.act(action)
        seen.append(alone.observe())
    np.testing.assert_array_equal(record.state, np.stack([moment.state for moment in seen]))
    for camera, pictures in record.images.items():
        np.testing.assert_array_equal(pictures, [moment.images[camera] for moment in seen])


def test_not_recording_changes_nothing_but_the_looks(tabletop):
    plan = AttemptPlan(seed=5, time_limit_steps=100, takeover_step=6)
    results, last = [], []
    for is_recorded in (True, False):
        attempt = finished(Attempt(tabletop, plan, is_recorded=is_recorded))
        results.append(attempt.result())
        last.append(tabletop.observe().state)
    assert results[0] == results[1]
    np.testing.assert_array_equal(*last)


def test_an_attempt_without_a_recording_looks_when_it_is_asked_and_only_then(tabletop):
    attempt = Attempt(tabletop, AttemptPlan(seed=5, time_limit_steps=100), is_recorded=False)
    before = attempt.observation
    assert attempt.observation is before
    for _ in range(4):
        attempt.step(np.full(5, 1.0, dtype=np.float32))
    assert attempt.observation is not before
    np.testing.assert_array_equal(attempt.observation.state, tabletop.observe().state)


def test_an_arm_without_an_action_holds_its_pose_and_its_grip(tabletop):
    attempt = Attempt(tabletop, AttemptPlan(seed=5, time_limit_steps=5), is_recorded=True)
    attempt.step(None)
    attempt.step(np.array([0.5, 0.0, -0.5, 0.1, -0.8], dtype=np.float32))
    commanded = tabletop.commanded
    for _ in range(3):
        attempt.step(None)
    np.testing.assert_allclose(tabletop.commanded, commanded)
    record = recorded(attempt)
    np.testing.assert_array_equal(record.action[0], [0, 0, 0, 0, 1])  # open, as it began
    np.testing.assert_array_equal(
        record.action[2:], np.tile([0, 0, 0, 0, np.float32(-0.8)], (3, 1))
    )
    assert record.pilot == [Pilot.POLICY] * 5  # time passes in the policy's hands
    assert np.isnan(record.policy_action).all(axis=1).tolist() == [True, False, True, True, True]


def test_nobody_asks_the_policy_in_the_experts_frames(tabletop):
    plan = AttemptPlan(seed=1, time_limit_steps=6, takeover_step=4)
    record = recorded(finished(Attempt(tabletop, plan, is_recorded=True)))
    assert np.isnan(record.policy_action).all(axis=1).tolist() == [False] * 4 + [True] * 2


def test_only_a_finished_recorded_attempt_is_an_episode(tabletop):
    plan = AttemptPlan(seed=1, time_limit_steps=4)
    unfinished = Attempt(tabletop, plan, is_recorded=True)
    unrecorded = finished(Attempt(tabletop, plan, is_recorded=False))
    for attempt in (unfinished, unrecorded):
        with pytest.raises(ValueError, match="Only a finished, recorded attempt is an episode"):
            recorded(attempt)


def test_an_attempt_that_has_ended_goes_no_further(tabletop):
    attempt = finished(
        Attempt(tabletop, AttemptPlan(seed=1, time_limit_steps=4), is_recorded=False)
    )
    with pytest.raises(ValueError, match="has ended"):
        attempt.step(STILL)


@pytest.mark.parametrize("takeover_step", [0, 13])
def test_the_experts_frames_are_what_the_slow_and_obvious_loop_gives(tabletop, takeover_step):
    plan = AttemptPlan(seed=7, time_limit_steps=60, takeover_step=takeover_step, skill=0.0)
    record = recorded(finished(Attempt(tabletop, plan, is_recorded=True)))

    rng = np.random.default_rng([7, HABITS_STREAM])
    habits = SKILLED if takeover_step else draw_habits(rng, skill=0.0)  # correctors are practised
    world, expert = Tabletop(), Expert(rng=rng, habits=habits)
    world.reset(seed=7)
    actions = []
    while len(actions) < 60 and not world.is_success:
        if 0 < len(actions) == takeover_step:
            expert.take_over(world)
        is_experts = len(actions) >= takeover_step
        actions.append(expert.action(world) if is_experts else STILL)
        world.act(actions[-1])
    np.testing.assert_array_equal(record.action, actions)


def test_who_takes_over_with_the_cube_in_the_hand_carries_on_with_it(tabletop):
    plan = AttemptPlan(seed=1, time_limit_steps=100, takeover_step=0)
    alone = recorded(finished(Attempt(tabletop, plan, is_recorded=True)))
    holding = int(np.flatnonzero(alone.action[:, 4] < 0)[0]) + 6  # it closed, and has lifted
    flown = Attempt(
        tabletop, AttemptPlan(seed=1, time_limit_steps=100, takeover_step=holding), is_recorded=True
    )
    for action in alone.action[:holding]:
        flown.step(action)
    together = recorded(finished(flown))
    np.testing.assert_allclose(together.action, alone.action, atol=1e-6)


def test_a_correction_of_some_steps_hands_control_back_and_a_drawn_one_comes_once(tabletop):
    plan = AttemptPlan(seed=1, time_limit_steps=20, takeover_step=4, correction_steps=5)
    attempt = Attempt(tabletop, plan, is_recorded=True)
    handed_back = []
    while attempt.ending is None:
        handed_back.append(attempt.hand_back())
        attempt.watch()
        attempt.step(STILL)
    assert [step for step, was in enumerate(handed_back) if was] == [9]
    record = recorded(attempt)
    assert [pilot is Pilot.EXPERT for pilot in record.pilot] == [
        4 <= step < 9 for step in range(20)
    ]
    assert record.info.corrected_frames == attempt.result().corrected_steps == 5


def test_a_correction_may_come_again_once_its_reason_does(tabletop):
    rule = WhenStalled(window_steps=2, spread=1.0, deviations=(1e6,) * 10, earliest_step=3)
    plan = AttemptPlan(seed=1, time_limit_steps=12, takeover=rule, correction_steps=3)
    record = recorded(finished(Attempt(tabletop, plan, is_recorded=True)))
    # Nothing ever moves by a million: due as soon as there is a window of two steps.
    flown = "".join("E" if pilot is Pilot.EXPERT else "p" for pilot in record.pilot)
    assert flown == "pppEEEppEEEp"


def test_the_value_decides_where_the_rule_says_so(tabletop):
    rule = WhenValueFalls(drop=0.25, earliest_step=1)
    plan = AttemptPlan(seed=1, time_limit_steps=6, takeover=rule)
    attempt = Attempt(tabletop, plan, is_recorded=True)
    asked = []
    for value in (-0.25, -0.5, -0.75, -0.75, -0.25, -0.25):
        asked.append(attempt.needs_value)
        attempt.watch(value)
        attempt.step(STILL)
    assert asked == [True, True, True, False, False, False]
    assert [pilot is Pilot.EXPERT for pilot in recorded(attempt).pilot] == [False] * 2 + [True] * 4


def test_a_rule_goes_over_a_drawn_step_and_a_plan_without_either_has_none():
    plan = AttemptPlan(seed=1, time_limit_steps=6)
    assert plan.rule is None
    assert AttemptPlan(seed=1, time_limit_steps=6, takeover_step=4).rule == AtStep(step=4)
    falls = WhenValueFalls(drop=0.25, earliest_step=1)
    assert AttemptPlan(seed=1, time_limit_steps=6, takeover=falls).rule is falls


class Mute:
    """A world that cannot measure success, ends attempts itself, and has nobody to help."""

    task = "stand"
    is_success = None

    def __init__(self, ending):
        self._after_three = ending
        self.steps = 0

    @property
    def ending(self):
        return self._after_three if self.steps == 3 else None

    def reset(self, *, seed):
        self.steps = 0
        return self.observe()

    def observe(self):
        return Observation(images={}, state=np.zeros(1, dtype=np.float32), task=self.task)

    def act(self, action):
        self.steps += 1

    def hold_action(self, last):
        return np.zeros(1, dtype=np.float32) if last is None else last + 1


@pytest.mark.parametrize("ending", [Ending.TERMINATED, Ending.TIME_LIMIT])
def test_a_world_may_end_an_attempt_and_measure_nothing(ending):
    attempt = Attempt(Mute(ending), AttemptPlan(seed=1, time_limit_steps=9), is_recorded=False)
    while attempt.ending is None:
        attempt.step(None)
    assert attempt.ending is ending
    assert attempt.steps == 3
    assert attempt.result().success is None


def test_the_world_says_what_holds_still_after_the_action_before():
    attempt = Attempt(Mute(None), AttemptPlan(seed=1, time_limit_steps=3), is_recorded=False)
    done = []
    attempt._world.act = done.append
    for action in (None, np.full(1, 5.0, dtype=np.float32), None):
        attempt.step(action)
    assert [float(action[0]) for action in done] == [0.0, 5.0, 6.0]


def test_a_correction_in_a_world_without_an_expert_is_refused():
    plan = AttemptPlan(seed=1, time_limit_steps=9, takeover_step=2)
    with pytest.raises(ValueError, match="its world offers none"):
        Attempt(Mute(None), plan, is_recorded=False)
