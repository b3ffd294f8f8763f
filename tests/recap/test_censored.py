"""Attempts whose end says nothing are left out; none is taken for a failure."""

import numpy as np
import pytest

from data.episodes import EpisodeStore
from data.errors import UnjudgedError
from data.outcomes import OutcomeStore
from data.schema import Ending, EpisodeInfo, EpisodeRecord, Layout, Outcome, Pilot, Source
from recap.config import RecapConfig
from recap.core.returns import ReturnScale
from recap.groups import episode_groups
from recap.progress import silent
from recap.project import Project
from recap.stages import label
from recap.trainsets import Choice, gather, judge, per_frame
from value_models.baselines import baseline_predictions
from value_models.bins import BinSupport
from value_models.config import HoldOutBy, ValueModelConfig
from value_models.frames import Observations
from value_models.held_out import hold_out_episodes
from value_models.measurement import PredictedEpisodes

LAYOUT = Layout(
    fps=30,
    cameras={"wrist": (16, 16)},
    state_names=("a.pos",),
    action_names=("a.pos",),
    robot_type="so101_follower",
)
SCALE = ReturnScale(max_steps=4)


@pytest.fixture
def project(tmp_path):
    (tmp_path / "run").mkdir()
    return Project(tmp_path / "run")


def record(project, uid, *, ending, frames=4, measured_success=None):
    ones = np.ones((frames, 1), dtype=np.float32)
    info = EpisodeInfo(
        uid=uid,
        task="tidy up",
        seed=None,
        source=Source.DEMONSTRATION,
        iteration=0,
        policy_id="",
        ending=ending,
        frames=frames,
        corrected_frames=0,
        measured_success=measured_success,
    )
    images = {"wrist": np.zeros((frames, 16, 16, 3), dtype=np.uint8)}
    pilot = [Pilot.TELEOPERATOR] * frames
    EpisodeStore(project.episodes, LAYOUT).write(
        EpisodeRecord(info=info, images=images, state=ones, action=ones, pilot=pilot)
    )


def say(project, rater="me", **verdicts):
    outcomes = OutcomeStore(project.outcomes)
    outcomes.judge_many(verdicts.items(), rater=rater)
    outcomes.close()


def trainset(project, **options):
    return gather(project, iteration=None, base=None, choice=Choice(**options))


def returns_of(trainset):
    worth = per_frame(trainset, SCALE.returns)
    return {e.info.uid: worth[e.start : e.stop].tolist() for e in trainset.episodes}


def test_a_time_limit_is_no_judgement(project):
    for uid in ("done_late", "never_done"):
        record(project, uid, ending=Ending.TIME_LIMIT)
    with pytest.raises(UnjudgedError) as caught:
        trainset(project)
    assert "A missing label is never read as a failure" in str(caught.value)

    say(project, done_late=Outcome.SUCCESS)
    (alone,) = trainset(project, skip_unjudged=True).episodes
    assert (alone.info.uid, alone.outcome) == ("done_late", Outcome.SUCCESS)

    say(project, never_done=Outcome.FAILURE)
    # Of 4 + 2 steps: three are left of the success, and the penalty of two besides of the failure.
    expected = {"done_late": [-3, -2, -1, 0], "never_done": [-5, -4, -3, -2]}
    for uid, returns in returns_of(trainset(project)).items():
        np.testing.assert_allclose(returns, np.array(expected[uid]) / 6, atol=1e-15)


@pytest.mark.parametrize("ending", [Ending.TERMINATED, Ending.STOPPED])
def test_an_ending_does_not_change_what_an_attempt_was_worth(project, ending):
    record(project, "one", ending=ending)
    say(project, one=Outcome.FAILURE)
    np.testing.assert_allclose(returns_of(trainset(project))["one"], np.array([-5, -4, -3, -2]) / 6)


def test_the_simulator_does_not_judge_what_it_could_not_measure(project):
    record(project, "too_slow", ending=Ending.TIME_LIMIT, measured_success=False)
    record(project, "unmeasured", ending=Ending.TIME_LIMIT)
    record(project, "cut_off", ending=Ending.INTERRUPTED, measured_success=False)
    config = RecapConfig(project=project.folder)
    label.run(config, project, iteration=0, progress=silent)
    outcomes = OutcomeStore(project.outcomes)
    assert outcomes.outcomes() == {"too_slow": Outcome.FAILURE}
    outcomes.close()


def test_censored_attempts_change_nothing_that_is_learned(project):
    record(project, "good", ending=Ending.TERMINATED)
    record(project, "bad", ending=Ending.STOPPED, frames=3)
    say(project, good=Outcome.SUCCESS, bad=Outcome.FAILURE)
    before = trainset(project)

    record(project, "discarded", ending=Ending.STOPPED)
    record(project, "cut_off", ending=Ending.INTERRUPTED, frames=2)
    record(project, "cut_off_and_judged", ending=Ending.INTERRUPTED, frames=2)
    say(project, discarded=Outcome.DISCARD, cut_off_and_judged=Outcome.FAILURE)
    after = trainset(project)
    assert after.fingerprint == before.fingerprint
    assert returns_of(after) == returns_of(before)


def test_asking_for_interrupted_attempts_brings_only_those_that_somebody_judged(project):
    for uid in ("judged", "unjudged", "discarded"):
        record(project, uid, ending=Ending.INTERRUPTED, frames=2)
    say(project, judged=Outcome.FAILURE, discarded=Outcome.DISCARD)
    taken = returns_of(trainset(project, include_interrupted=True))
    assert list(taken) == ["judged"]
    np.testing.assert_allclose(taken["judged"], [-3 / 6, -2 / 6])


def test_a_success_that_comes_after_a_discard_is_a_success(project):
    record(project, "one", ending=Ending.STOPPED)
    record(project, "two", ending=Ending.STOPPED)
    say(project, one=Outcome.DISCARD, two=Outcome.SUCCESS)
    assert list(returns_of(trainset(project))) == ["two"]
    say(project, one=Outcome.SUCCESS)
    assert list(returns_of(trainset(project))) == ["one", "two"]


def judged(project, trainset, *, by=HoldOutBy.RATER):
    """What a value model is given, but for the pictures."""
    observations = Observations(
        images={}, state=trainset.state(), task_index=trainset.task_index(), tasks=trainset.tasks
    )
    groups = episode_groups(RecapConfig(project=project.folder), project, trainset, by=by)
    return judge(trainset, observations, SCALE, groups=groups)


def said_by_a_clock(frames):
    """Every frame, predicted by the mean return at its step."""
    everything = np.arange(len(frames.returns))
    support = BinSupport.of(ValueModelConfig())
    return baseline_predictions(frames, everything, everything, support=support)["time"]


def test_censored_attempts_are_in_no_split_no_baseline_and_no_figure(project):
    for number in range(6):
        record(project, f"kept_{number}", ending=Ending.TERMINATED, frames=2 + number % 3)
    verdicts = {f"kept_{n}": (Outcome.SUCCESS, Outcome.FAILURE)[n % 2] for n in range(6)}
    say(project, "ann", **dict(list(verdicts.items())[:3]))
    say(project, "bob", **dict(list(verdicts.items())[3:]))
    before = judged(project, trainset(project))

    for number, ending in enumerate([Ending.STOPPED, Ending.INTERRUPTED, Ending.TIME_LIMIT]):
        # Its uid is the first of all, so that it would move every other one.
        record(project, f"a_{number}", ending=ending)
    say(project, "carl", a_0=Outcome.DISCARD, a_1=Outcome.FAILURE)
    after = judged(project, trainset(project, skip_unjudged=True))

    for name in ("returns", "episode_index", "is_success", "group_index"):
        np.testing.assert_array_equal(getattr(after, name), getattr(before, name))
    for by in (HoldOutBy.EPISODE, HoldOutBy.RATER):
        one, other = (
            hold_out_episodes(f, holdout_fraction=0.4, rng=np.random.default_rng(0), by=by)
            for f in (before, after)
        )
        np.testing.assert_array_equal(one, other)
    clock, later = said_by_a_clock(before), said_by_a_clock(after)
    np.testing.assert_array_equal(later.values, clock.values)
    everything = np.arange(len(after.returns))
    figures = [PredictedEpisodes(f, everything, clock).points() for f in (before, after)]
    np.testing.assert_equal(figures[1], figures[0])


def test_an_attempt_is_compared_while_it_runs_and_a_cut_success_until_its_moment(project):
    record(project, "good", ending=Ending.STOPPED)
    record(project, "too_slow", ending=Ending.TIME_LIMIT)
    outcomes = OutcomeStore(project.outcomes)
    outcomes.judge("good", Outcome.SUCCESS, rater="me", success_frame=1)
    outcomes.judge("too_slow", Outcome.FAILURE, rater="me")
    outcomes.close()

    def compared(**options):
        frames = judged(project, trainset(project, **options))
        everything = np.arange(len(frames.returns))
        sample = PredictedEpisodes(frames, everything, said_by_a_clock(frames))
        return [sample.compared(share) for share in (0.25, 0.5, 0.75)]

    assert compared() == [(1, 1)] * 3
    # Two of its four frames are left: after half of the longest attempt it is over, not lost.
    assert compared(trim_after_success=True) == [(1, 1), (0, 0), (0, 0)]
    # What is taken of it is worth what a success of two frames is.
    frames = judged(project, trainset(project, trim_after_success=True))
    np.testing.assert_allclose(frames.returns[frames.is_success], np.array([-1, 0]) / 6)


def test_an_interrupted_attempt_that_is_asked_for_leaves_the_others_when_it_ends(project):
    record(project, "good", ending=Ending.TERMINATED)
    record(project, "bad", ending=Ending.STOPPED)
    record(project, "cut_off", ending=Ending.INTERRUPTED, frames=2)
    say(project, good=Outcome.SUCCESS, bad=Outcome.FAILURE, cut_off=Outcome.FAILURE)
    frames = judged(project, trainset(project, include_interrupted=True))
    sample = PredictedEpisodes(frames, np.arange(len(frames.returns)), said_by_a_clock(frames))
    assert [sample.compared(share) for share in (0.25, 0.5)] == [(1, 2), (1, 1)]
