"""The verdicts of a project while people give them."""

import datetime as dt

import pytest

from data.criteria import Criteria
from data.errors import (
    ForeignVerdictError,
    ProjectError,
    UnknownVerdictError,
    VerdictError,
    WithdrawnVerdictError,
)
from data.outcomes import NewJudgement, OutcomeStore
from data.schema import Outcome
from data.verdicts import UNDECIDED, DecisionRule
from recap.web.desk.judging import ASK_EVERY_S, ConflictError, Judging

RULE = DecisionRule()
CRITERIA = Criteria(questions={"grasped": "Was it?", "placed": "Was it?", "calm": "?"}, needed=2)
ALL_MET = dict.fromkeys(CRITERIA.questions, True)
NOON = dt.datetime(2026, 5, 4, 12, tzinfo=dt.UTC)


class Clock:
    def __init__(self):
        self.now_s = 100.0

    def __call__(self):
        return self.now_s


@pytest.fixture
def store(tmp_path):
    opened = OutcomeStore(tmp_path / "outcomes.db")
    yield opened
    opened.close()


@pytest.fixture
def judging(store):
    return Judging(store, rule=RULE)


@pytest.fixture
def with_checklist(store):
    return Judging(store, rule=RULE, criteria=CRITERIA)


def say(judging, uid, verdict, rater="Anna", *, frames=24, **about):
    about.setdefault("request_id", "")
    new = NewJudgement(episode_uid=uid, rater=rater, verdict=Outcome(verdict), **about)
    return judging.add(new, frames=frames)


def test_nobody_said_anything(judging):
    judging.refresh()
    assert judging.standing("a").decision == UNDECIDED
    assert (judging.history("a"), judging.count_by("Anna"), judging.revision) == ([], 0, 0)


def test_a_verdict_counts_at_once_and_is_on_the_disk(judging, store):
    added = say(judging, "a", "failure", note="slipped")
    assert added.is_new
    assert store.since() == [added.line]
    assert judging.standing("a").verdicts == {"Anna": Outcome.FAILURE}
    assert judging.outcomes["a"] is Outcome.FAILURE
    assert (judging.count_by("Anna"), judging.revision) == (1, 1)


def test_a_changed_mind_adds_and_taking_it_back_restores_what_was_said_before(judging):
    first = say(judging, "a", "failure").line
    second = say(judging, "a", "success").line
    assert judging.history("a") == [(first, False), (second, True)]
    taken_back = judging.withdraw(second.id, rater="Anna").line
    assert judging.history("a") == [(first, True), (second, False), (taken_back, False)]
    assert judging.outcomes["a"] is Outcome.FAILURE
    judging.withdraw(first.id, rater="Anna")
    assert "a" not in judging.outcomes
    assert judging.standing("a").verdicts == {}
    assert judging.count_by("Anna") == 0


def test_what_another_process_wrote_shows_within_a_second(store, tmp_path):
    assert ASK_EVERY_S < 1.0
    clock = Clock()
    judging = Judging(store, rule=RULE, clock=clock)
    judging.refresh()
    elsewhere = OutcomeStore(tmp_path / "outcomes.db")
    elsewhere.judge("a", Outcome.SUCCESS, rater="Ben")
    elsewhere.close()
    clock.now_s += ASK_EVERY_S - 0.01
    judging.refresh()
    assert "a" not in judging.outcomes  # asked a moment ago
    clock.now_s += 0.01
    judging.refresh()
    assert judging.outcomes["a"] is Outcome.SUCCESS


def test_a_verdict_takes_in_what_another_process_wrote_before_it(judging, store):
    store.judge("a", Outcome.FAILURE, rater="Ben")
    line = say(judging, "b", "success").line
    assert (line.id, judging.revision) == (2, 2)
    assert judging.outcomes == {"a": Outcome.FAILURE, "b": Outcome.SUCCESS}


def test_a_line_of_another_process_can_be_taken_back(judging, store):
    line = store.judge("a", Outcome.FAILURE, rater="Anna")
    assert judging.withdraw(line.id, rater="Anna").is_new
    assert "a" not in judging.outcomes


def test_the_same_request_adds_one_line(judging, store):
    first = say(judging, "a", "success", request_id="request-1")
    again = say(judging, "a", "success", request_id="request-1")
    assert (first.is_new, again.is_new) == (True, False)
    assert first.line == again.line
    gone = judging.withdraw(first.line.id, rater="Anna", request_id="request-2")
    gone_again = judging.withdraw(first.line.id, rater="Anna", request_id="request-2")
    assert (gone.is_new, gone_again.is_new) == (True, False)
    assert store.since() == [first.line, gone.line]


@pytest.mark.parametrize(("uid", "verdict"), [("a", "failure"), ("b", "success")])
def test_a_request_that_was_made_for_something_else_is_refused(judging, store, uid, verdict):
    say(judging, "a", "success", request_id="request-1")
    with pytest.raises(ConflictError, match=r"^The request request-1 was made before with another"):
        say(judging, uid, verdict, request_id="request-1")
    assert len(store.since()) == 1


@pytest.mark.parametrize("frame", [0, 23])
def test_the_moment_of_success_is_a_frame_of_the_episode(judging, frame):
    say(judging, "a", "success", success_frame=frame)
    assert judging.standing("a").decision.success_frame == frame


@pytest.mark.parametrize("frame", [24, -1])
def test_a_moment_outside_the_episode_is_refused(judging, store, frame):
    with pytest.raises(VerdictError) as refused:
        say(judging, "a", "success", success_frame=frame)
    assert str(refused.value) == (
        f"The moment of success must be a frame of the episode, 0 to 23, got {frame}."
    )
    assert store.since() == []


@pytest.mark.parametrize("verdict", ["failure", "discard"])
def test_only_a_success_has_a_moment(judging, verdict):
    with pytest.raises(VerdictError) as refused:
        say(judging, "a", verdict, success_frame=3)
    assert str(refused.value) == (
        "Only a success has a moment of success. Clear it, or judge a success."
    )


def test_answers_make_the_verdict_by_the_rule_of_the_checklist(with_checklist):
    version = CRITERIA.version
    two = ALL_MET | {"calm": False}
    one = dict.fromkeys(CRITERIA.questions, False) | {"calm": True}
    say(with_checklist, "a", "success", answers=two, criteria_version=version)
    say(with_checklist, "b", "failure", answers=one, criteria_version=version)
    assert with_checklist.outcomes == {"a": Outcome.SUCCESS, "b": Outcome.FAILURE}
    with pytest.raises(VerdictError) as refused:
        say(with_checklist, "c", "failure", answers=two, criteria_version=version)
    assert str(refused.value) == (
        "The verdict is failure, but with 2 of 3 criteria met it is a success: a success needs 2."
    )
    assert not isinstance(refused.value, ConflictError)


def test_every_question_wants_an_answer(with_checklist):
    with pytest.raises(VerdictError) as refused:
        say(with_checklist, "a", "failure", criteria_version=CRITERIA.version)
    assert str(refused.value) == (
        "A success or a failure needs an answer to each question of the checklist: "
        "grasped, placed, calm."
    )
    with pytest.raises(VerdictError, match=r"missing: placed, calm; unknown: speed"):
        say(
            with_checklist,
            "a",
            "failure",
            answers={"grasped": True, "speed": False},
            criteria_version=CRITERIA.version,
        )


def test_a_discard_needs_no_answers(with_checklist):
    assert say(with_checklist, "a", "discard").is_new
    half = ALL_MET | {"calm": False}
    kept = say(with_checklist, "b", "discard", answers=half, criteria_version=CRITERIA.version)
    assert kept.line.answers == half


@pytest.mark.parametrize("version", ["", "00000000"])
def test_a_form_with_another_checklist_must_be_reloaded(with_checklist, version):
    with pytest.raises(ConflictError) as refused:
        say(with_checklist, "a", "success", answers=ALL_MET, criteria_version=version)
    assert str(refused.value) == (
        "The checklist is another one since this form was opened. Reload the page and judge the "
        "attempt again."
    )


def test_without_a_checklist_there_are_no_answers(judging):
    with pytest.raises(ConflictError):
        say(judging, "a", "success", answers=ALL_MET, criteria_version=CRITERIA.version)
    with pytest.raises(VerdictError) as refused:
        say(judging, "a", "success", answers=ALL_MET)
    assert str(refused.value) == (
        "This project has no checklist, so a verdict comes without answers."
    )


def test_what_was_accepted_once_is_accepted_again_after_the_checklist_changed(
    store, with_checklist
):
    about = {"answers": ALL_MET, "criteria_version": CRITERIA.version, "request_id": "request-1"}
    first = say(with_checklist, "a", "success", **about)
    later = Judging(store, rule=RULE)
    later.refresh()
    again = say(later, "a", "success", **about)
    assert (again.line, again.is_new) == (first.line, False)


def test_what_cannot_be_taken_back(judging):
    line = say(judging, "a", "success").line
    with pytest.raises(UnknownVerdictError, match=r"^There is no verdict 7 to take back\.$"):
        judging.withdraw(7, rater="Anna")
    with pytest.raises(ForeignVerdictError, match=r"^Verdict 1 is Anna's, not Ben's"):
        judging.withdraw(line.id, rater="Ben")
    gone = judging.withdraw(line.id, rater="Anna").line
    with pytest.raises(WithdrawnVerdictError):
        judging.withdraw(line.id, rater="Anna")
    with pytest.raises(WithdrawnVerdictError):
        judging.withdraw(gone.id, rater="Anna")


def test_nothing_is_believed_that_the_store_did_not_take(judging, store, monkeypatch):
    full = ProjectError("the disk is full")

    def away(batch):
        raise full

    monkeypatch.setattr(store, "add", away)
    with pytest.raises(ProjectError, match="the disk is full"):
        say(judging, "a", "success")
    assert "a" not in judging.outcomes


def test_who_is_refused_in_a_joint_transaction_is_refused_alone(judging, store):
    say(judging, "a", "success", request_id="request-1")
    answers = judging._write(
        [
            NewJudgement(episode_uid="b", rater="Ben", verdict=Outcome.FAILURE),
            NewJudgement(
                episode_uid="b", rater="Anna", verdict=Outcome.FAILURE, request_id="request-1"
            ),
            NewJudgement(rater="Ben", withdraws=1),
            NewJudgement(episode_uid="c", rater="Cleo", verdict=Outcome.DISCARD),
        ]
    )
    assert [type(answer).__name__ for answer in answers] == [
        "Added",
        "ConflictError",
        "ForeignVerdictError",
        "Added",
    ]
    assert [line.rater for line in store.since()] == ["Anna", "Ben", "Cleo"]
    assert set(judging.outcomes) == {"a", "b", "c"}


def test_the_same_request_twice_in_one_transaction_is_new_once(judging, store):
    new = NewJudgement(
        episode_uid="a", rater="Ben", verdict=Outcome.FAILURE, request_id="request-1"
    )
    first, second = judging._write([new, new])
    assert (first.is_new, second.is_new) == (True, False)
    assert first.line == second.line
    assert len(store.since()) == 1


def test_a_pace_worked_by_hand(judging, store):
    seconds = (0, 500, 560, 590, 680)
    store.add(
        [
            NewJudgement(
                episode_uid=f"e{second}",
                rater="Anna",
                verdict=Outcome.SUCCESS,
                judged_at=NOON + dt.timedelta(seconds=second),
            )
            for second in seconds
        ]
    )
    judging.refresh()
    # At second 700 the last ten minutes began at second 100: three more verdicts in 180 s.
    at_700 = NOON + dt.timedelta(seconds=700)
    assert judging.pace("Anna", now=at_700) == pytest.approx(3 / 180 * 3600)
    # At second 600 all five are within: four more in 680 s, and a pause slows nobody down.
    at_600 = NOON + dt.timedelta(seconds=600)
    assert judging.pace("Anna", now=at_600) == pytest.approx(4 / 680 * 3600)
    assert judging.pace("Anna", now=NOON + dt.timedelta(seconds=1280)) is None  # one is left
    assert judging.pace("Ben", now=at_700) is None


def test_verdicts_of_one_moment_have_no_pace(judging, store):
    store.judge_many([("a", Outcome.SUCCESS), ("b", Outcome.SUCCESS)], rater="Anna")
    judging.refresh()
    assert judging.pace("Anna") is None


def test_taking_back_is_no_pace(judging):
    line = say(judging, "a", "success").line
    judging.withdraw(line.id, rater="Anna")
    assert judging.pace("Anna") is None
