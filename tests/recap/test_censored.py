"""Attempts whose end says nothing are left out; none is taken for a failure."""

import numpy as np
import pytest

from data.episodes import EpisodeStore
from data.errors import UnjudgedError
from data.outcomes import OutcomeStore
from data.schema import Ending, EpisodeInfo, EpisodeRecord, Layout, Outcome, Pilot, Source
from recap.config import RecapConfig
from recap.core.returns import ReturnScale
from recap.progress import silent
from recap.project import Project
from recap.stages import label
from recap.trainsets import Choice, gather, per_frame

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


def judge(project, **verdicts):
    outcomes = OutcomeStore(project.outcomes)
    outcomes.judge_many(verdicts.items(), rater="me")
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

    judge(project, done_late=Outcome.SUCCESS)
    (alone,) = trainset(project, skip_unjudged=True).episodes
    assert (alone.info.uid, alone.outcome) == ("done_late", Outcome.SUCCESS)

    judge(project, never_done=Outcome.FAILURE)
    # Of 4 + 2 steps: three are left of the success, and the penalty of two besides of the failure.
    expected = {"done_late": [-3, -2, -1, 0], "never_done": [-5, -4, -3, -2]}
    for uid, returns in returns_of(trainset(project)).items():
        np.testing.assert_allclose(returns, np.array(expected[uid]) / 6, atol=1e-15)


@pytest.mark.parametrize("ending", [Ending.TERMINATED, Ending.STOPPED])
def test_an_ending_does_not_change_what_an_attempt_was_worth(project, ending):
    record(project, "one", ending=ending)
    judge(project, one=Outcome.FAILURE)
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
    judge(project, good=Outcome.SUCCESS, bad=Outcome.FAILURE)
    before = trainset(project)

    record(project, "discarded", ending=Ending.STOPPED)
    record(project, "cut_off", ending=Ending.INTERRUPTED, frames=2)
    record(project, "cut_off_and_judged", ending=Ending.INTERRUPTED, frames=2)
    judge(project, discarded=Outcome.DISCARD, cut_off_and_judged=Outcome.FAILURE)
    after = trainset(project)
    assert after.fingerprint == before.fingerprint
    assert returns_of(after) == returns_of(before)


def test_asking_for_interrupted_attempts_brings_only_those_that_somebody_judged(project):
    for uid in ("judged", "unjudged", "discarded"):
        record(project, uid, ending=Ending.INTERRUPTED, frames=2)
    judge(project, judged=Outcome.FAILURE, discarded=Outcome.DISCARD)
    taken = returns_of(trainset(project, include_interrupted=True))
    assert list(taken) == ["judged"]
    np.testing.assert_allclose(taken["judged"], [-3 / 6, -2 / 6])


def test_a_success_that_comes_after_a_discard_is_a_success(project):
    record(project, "one", ending=Ending.STOPPED)
    record(project, "two", ending=Ending.STOPPED)
    judge(project, one=Outcome.DISCARD, two=Outcome.SUCCESS)
    assert list(returns_of(trainset(project))) == ["two"]
    judge(project, one=Outcome.SUCCESS)
    assert list(returns_of(trainset(project))) == ["one", "two"]
