"""Settling outcomes: the simulator judges what nobody did, and people are waited for."""

import shutil
from contextlib import closing

import numpy as np
import pytest

from data.errors import ConfigError, UnjudgedError
from data.outcomes import OutcomeStore
from data.schema import Outcome
from data.verdicts import SIMULATOR
from recap.config import RecapConfig
from recap.manifest import Manifest
from recap.progress import silent
from recap.project import Project
from recap.settings import plain_settings
from recap.stages import label
from recap.stages.label import LabelConfig
from recap.trainsets import Choice, gather, per_frame, trainset_of

UIDS = [f"demonstration-00-{seed:08d}" for seed in range(6)]
PEOPLE = LabelConfig(rater="people")


@pytest.fixture(scope="module")
def demonstrated(tmp_path_factory, demonstrate):
    """Six demonstrations, of which the world measured the first four as successes."""
    config = RecapConfig(project=tmp_path_factory.mktemp("demonstrated") / "run")
    project = Project.create(config.project, plain_settings(config))
    demonstrate(project, range(6))
    return project


@pytest.fixture
def project(tmp_path, demonstrated):
    """The same, with nobody's verdict on any."""
    return Project(shutil.copytree(demonstrated.folder, tmp_path / "run"))


def settle(project, settings=None, **changes):
    config = RecapConfig(project=project.folder, label=settings or LabelConfig(), **changes)
    return label.run(config, project, iteration=0, progress=silent)


def judge(project, *uids, verdict=Outcome.SUCCESS, rater="anna", **about):
    with closing(OutcomeStore(project.outcomes)) as store:
        for uid in uids:
            store.judge(uid, verdict, rater=rater, **about)


def lines(project):
    with closing(OutcomeStore(project.outcomes)) as store:
        return store.since(0)


def test_the_simulator_judges_what_nobody_has(project):
    judge(project, UIDS[0], verdict=Outcome.FAILURE)
    assert settle(project).headline() == "3 of 6 episodes are successes"
    assert [line.rater for line in lines(project)] == ["anna"] + [SIMULATOR] * 5
    settle(project)
    assert len(lines(project)) == 6


def test_the_simulator_is_silent_about_what_people_have_not_decided_yet(project):
    two = LabelConfig(raters_needed=2)
    judge(project, UIDS[0])
    report = settle(project, two)
    assert UIDS[0] not in [line.episode_uid for line in lines(project)[1:]]
    assert report.headline() == "3 of 5 episodes are successes, 1 left unjudged"


def test_a_verdict_that_was_taken_back_leaves_the_word_to_the_simulator(project):
    judge(project, UIDS[0])
    with closing(OutcomeStore(project.outcomes)) as store:
        store.withdraw(1, rater="anna")
    assert settle(project).unjudged == 0


def test_people_are_waited_for_and_the_simulator_says_nothing(project):
    with pytest.raises(UnjudgedError) as caught:
        settle(project, PEOPLE)
    assert str(caught.value) == (
        f"6 attempt(s) of iteration 0 wait for people to judge them. Open the form with `recap "
        f"label --project={project.folder}`; when they are judged, type the same command again. To "
        f"go on without them: `--skip_unjudged=true`."
    )
    assert not project.outcomes.exists()
    judge(project, *UIDS)
    assert settle(project, PEOPLE).headline() == "6 of 6 episodes are successes"
    assert {line.rater for line in lines(project)} == {"anna"}


def test_what_is_disputed_is_waited_for_too(project):
    unanimous = LabelConfig(rater="people", rule="unanimous")
    judge(project, *UIDS[1:])
    judge(project, *UIDS[4:], verdict=Outcome.FAILURE, rater="ben")
    with pytest.raises(UnjudgedError) as caught:
        settle(project, unanimous)
    assert str(caught.value).startswith(
        "3 attempt(s) of iteration 0 wait for people to judge them, 2 of them have verdicts that "
        "do not decide yet. Open the form with "
    )
    report = settle(project, unanimous, skip_unjudged=True)
    assert report.headline() == "3 of 3 episodes are successes, 3 left unjudged"


def test_discarded_attempts_are_judged(project):
    judge(project, *UIDS[:5])
    judge(project, UIDS[5], verdict=Outcome.DISCARD)
    assert settle(project, PEOPLE).headline() == (
        "5 of 5 episodes are successes, 1 discarded or interrupted"
    )


def test_verdicts_that_changed_after_the_training_are_told_of(project):
    judge(project, *UIDS)
    trainset = gather(project, iteration=0, base=None, choice=Choice())
    manifest = Manifest(project.manifest(None))
    made = {project.relative(trainset.root): trainset.fingerprint}
    with manifest.running("train-value", settings={}, seed=0) as run:
        run.complete(inputs={}, outputs={"pretrained/value": "v", **made}, report={})
    assert settle(project, PEOPLE).warnings == ()
    judge(project, *UIDS[:2], verdict=Outcome.FAILURE, rater="ben")
    judge(project, UIDS[2], rater="ben")
    report = settle(project, PEOPLE)
    assert report.warnings == (
        f"2 verdict(s) changed since iteration 0 was trained on trainsets/{trainset.fingerprint}. "
        f"What was made from it stays. To make it again, delete the lap's value, "
        f"advantages.parquet and policy and type `recap iterate`, or the stages one by one.",
    )
    judge(project, *UIDS[:2])
    assert settle(project, PEOPLE).warnings == ()


def test_the_outcomes_are_named_by_what_was_decided_not_by_whom(project):
    judge(project, *UIDS)
    first = settle(project, PEOPLE).outputs
    judge(project, *UIDS, rater="ben")
    assert settle(project, PEOPLE).outputs == first
    judge(project, UIDS[0], verdict=Outcome.FAILURE)
    assert settle(project, PEOPLE).outputs != first


def test_a_lap_trains_on_what_the_rule_decides(project):
    judge(project, *UIDS, verdict=Outcome.FAILURE)
    judge(project, UIDS[0], rater="ben")

    def outcomes(**settings):
        config = RecapConfig(
            project=project.folder, label=LabelConfig(**settings), skip_unjudged=True
        )
        trainset = trainset_of(config, project, iteration=0)
        return {episode.info.uid: episode.outcome for episode in trainset.episodes}

    assert outcomes() == dict.fromkeys(UIDS, Outcome.FAILURE) | {UIDS[0]: Outcome.SUCCESS}
    assert outcomes(rule="majority") == dict.fromkeys(UIDS[1:], Outcome.FAILURE)


def test_what_comes_after_the_moment_of_success_is_left_out_when_asked_for(project):
    judge(project, *UIDS)
    judge(project, UIDS[1], success_frame=4)
    judge(project, UIDS[2], verdict=Outcome.FAILURE)

    def trained(**settings):
        config = RecapConfig(project=project.folder, label=LabelConfig(**settings))
        return trainset_of(config, project, iteration=0)

    whole, cut = trained(), trained(trim_after_success=True)
    assert [e.stop - e.start for e in whole.episodes] == [12] * 6
    assert [e.stop - e.start for e in cut.episodes] == [12, 5, 12, 12, 12, 12]
    assert whole.fingerprint != cut.fingerprint

    def length(length, *, outcome_is_success):
        return np.full(length, float(length))

    assert per_frame(cut, length)[12:17].tolist() == [5.0] * 5


def test_returns_of_a_success_that_was_cut_end_in_nothing(project):
    from recap.core.returns import ReturnScale

    judge(project, *UIDS, success_frame=4)
    config = RecapConfig(project=project.folder, label=LabelConfig(trim_after_success=True))
    trainset = trainset_of(config, project, iteration=0)
    scale = ReturnScale(max_steps=10, failure_penalty_fraction=0.5)
    # -1 a step but the last, over 10 + 5 steps
    expected = np.array([-4, -3, -2, -1, 0]) / 15
    np.testing.assert_allclose(per_frame(trainset, scale.returns), np.tile(expected, 6))


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"rater": "me"}, "label.rater must be one of simulator, people, got me."),
        (
            {"rule": "loudest"},
            "label.rule must be one of latest, majority, unanimous, got loudest.",
        ),
        ({"raters_needed": 0}, "label.raters_needed must be at least 1 person, got 0."),
        (
            {"criteria_needed": 1},
            "label.criteria_needed counts criteria, and label.criteria names none.",
        ),
        (
            {"criteria": {"upright": "Upright?"}, "criteria_needed": 2},
            "label.criteria_needed must lie between 1 and the number of criteria, 1, got 2.",
        ),
    ],
)
def test_a_way_to_judge_that_cannot_be_is_refused(settings, message):
    with pytest.raises(ConfigError) as caught:
        LabelConfig(**settings)
    assert str(caught.value) == message


def test_all_criteria_must_be_met_unless_said_otherwise():
    questions = {"upright": "Upright?", "gone": "Let go?"}
    assert LabelConfig(criteria=questions).checklist.needed == 2
    assert LabelConfig(criteria=questions, criteria_needed=1).checklist.needed == 1
    assert LabelConfig().checklist is None
