import numpy as np
import pytest

from data.schema import Ending, Pilot, Source
from envs.tabletop import Tabletop
from recap.rollout.attempt import Attempt, AttemptPlan, draw_takeover

pytestmark = pytest.mark.render

STILL = np.tile(np.array([0.0, 0.0, 0.0, 0.0, 1.0], dtype=np.float32), (8, 1))


@pytest.fixture(scope="module")
def tabletop():
    return Tabletop()


def finished(attempt, *, steps=4):
    while attempt.ending is None:
        attempt.play(STILL if attempt.wants_chunk else None, steps=steps)
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
    attempt.play(chunk[:4], steps=4)
    attempt.play(chunk[4:], steps=5)
    record = recorded(attempt)
    np.testing.assert_array_equal(record.action, chunk)

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


def test_an_attempt_without_a_recording_still_looks_when_the_policy_is_asked(tabletop):
    attempt = Attempt(tabletop, AttemptPlan(seed=5, time_limit_steps=100), is_recorded=False)
    before = attempt.observation
    attempt.play(np.full((4, 5), 1.0, dtype=np.float32), steps=4)
    assert attempt.observation is not before
    np.testing.assert_array_equal(attempt.observation.state, tabletop.observe().state)


def test_only_a_finished_recorded_attempt_is_an_episode(tabletop):
    plan = AttemptPlan(seed=1, time_limit_steps=4)
    unfinished = Attempt(tabletop, plan, is_recorded=True)
    unrecorded = finished(Attempt(tabletop, plan, is_recorded=False))
    for attempt in (unfinished, unrecorded):
        with pytest.raises(ValueError, match="Only a finished, recorded attempt is an episode"):
            recorded(attempt)


def test_a_policy_in_control_has_to_say_something(tabletop):
    attempt = Attempt(tabletop, AttemptPlan(seed=1, time_limit_steps=4), is_recorded=False)
    with pytest.raises(ValueError, match="gave no actions"):
        attempt.play(None, steps=4)


def test_takeovers_depend_on_the_seed_alone_and_lie_in_their_window():
    asked = {"correction_fraction": 0.3, "earliest_step": 30, "latest_step": 60}
    drawn = [draw_takeover(seed, **asked) for seed in range(1000)]
    assert drawn == [draw_takeover(seed, **asked) for seed in range(1000)]
    steps = [step for step in drawn if step is not None]
    assert len(steps) == pytest.approx(300, abs=45)
    assert (min(steps), max(steps)) == (30, 60)


def test_no_fraction_means_no_takeover_and_the_whole_means_always():
    window = {"earliest_step": 3, "latest_step": 3}
    assert {draw_takeover(s, correction_fraction=0.0, **window) for s in range(50)} == {None}
    assert {draw_takeover(s, correction_fraction=1.0, **window) for s in range(50)} == {3}
