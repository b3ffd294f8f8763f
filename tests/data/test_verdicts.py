import datetime as dt
import itertools

import pytest
from hypothesis import given
from hypothesis import strategies as st

from data.errors import ConfigError
from data.schema import Outcome
from data.verdicts import (
    LATEST_RULE,
    SIMULATOR,
    UNDECIDED,
    Decision,
    DecisionRule,
    Judgement,
    Rule,
    VerdictBook,
    is_person,
)

S, F, X = Outcome.SUCCESS, Outcome.FAILURE, Outcome.DISCARD
NOW = dt.datetime(2026, 1, 31, tzinfo=dt.UTC)
MAJORITY = DecisionRule(rule=Rule.MAJORITY)
UNANIMOUS = DecisionRule(rule=Rule.UNANIMOUS)
RULES = st.builds(
    DecisionRule, rule=st.sampled_from(Rule), raters_needed=st.integers(min_value=1, max_value=3)
)


def line(number, rater, verdict=None, *, uid="a", withdraws=None, frame=None):
    return Judgement(
        id=number,
        episode_uid=uid,
        rater=rater,
        verdict=verdict,
        note="",
        judged_at=NOW,
        success_frame=frame,
        withdraws=withdraws,
    )


def standing(*verdicts):
    """Make what stands from ``(rater, verdict)`` or ``(rater, verdict, frame)``, oldest first."""
    lines = [line(n, said[0], said[1], frame=(*said, None)[2]) for n, said in enumerate(verdicts)]
    return {said.rater: said for said in lines}


@st.composite
def histories(draw):
    """Draw lines of three people and the simulator on two episodes, some taken back."""
    lines = []
    for number in range(1, draw(st.integers(min_value=0, max_value=14)) + 1):
        rater = draw(st.sampled_from(["ann", "bob", "eve", SIMULATOR]))
        uid = draw(st.sampled_from("ab"))
        taken = {said.withdraws for said in lines}
        theirs = [
            said.id
            for said in lines
            if (said.rater, said.episode_uid) == (rater, uid)
            and said.verdict is not None
            and said.id not in taken
        ]
        if theirs and draw(st.booleans()):
            target = draw(st.sampled_from(theirs))
            lines.append(line(number, rater, uid=uid, withdraws=target))
        else:
            frame = draw(st.none() | st.integers(min_value=0, max_value=9))
            lines.append(line(number, rater, draw(st.sampled_from(Outcome)), uid=uid, frame=frame))
    return lines


def slow_standing(lines, uid):
    """Say what stands by reading the whole history backwards."""
    taken = {said.withdraws for said in lines}
    stands = {}
    for said in reversed(lines):
        if said.episode_uid == uid and said.verdict is not None and said.id not in taken:
            stands.setdefault(said.rater, said)
    return stands


def slow_decision(stands, rule):
    """Decide by trying every outcome."""
    people = [said for rater, said in stands.items() if rater != SIMULATOR]
    voices = people or list(stands.values())
    winners = []
    for outcome in Outcome:
        said_so = [said for said in voices if said.verdict is outcome]
        share = len(said_so) / len(voices) if voices else 0
        newest = max((said.id for said in voices), default=None)
        is_winner = {
            Rule.LATEST: any(said.id == newest for said in said_so),
            Rule.MAJORITY: share > 0.5,
            Rule.UNANIMOUS: share == 1,
        }[rule.rule]
        if is_winner and (len(people) >= rule.raters_needed or not people):
            winners.append(outcome)
    assert len(winners) <= 1
    frame = None
    if winners == [S]:
        speakers = [said for said in voices if said.verdict is S]
        if rule.rule is Rule.LATEST:
            speakers = [max(voices, key=lambda said: said.id)]
        frames = sorted(said.success_frame for said in speakers if said.success_frame is not None)
        frame = frames[(len(frames) - 1) // 2] if frames else None
    return Decision(
        outcome=winners[0] if winners else None,
        success_frame=frame,
        raters=tuple(sorted(said.rater for said in voices)),
        is_disputed=any(a.verdict is not b.verdict for a, b in itertools.combinations(people, 2)),
    )


@given(histories(), RULES)
def test_the_book_and_the_decision_equal_a_slow_obvious_version(lines, rule):
    book = VerdictBook()
    book.add(lines)
    for uid in "ab":
        stands = slow_standing(lines, uid)
        assert book.standing(uid) == stands
        assert book.decision(uid, rule) == slow_decision(stands, rule)
        assert book.history(uid) == [said for said in lines if said.episode_uid == uid]
        assert book.decisions(rule).get(uid, UNDECIDED) == book.decision(uid, rule)
    for said in lines:
        assert book.line(said.id) == said
        stands = slow_standing(lines, said.episode_uid)
        assert book.is_standing(said) == (stands.get(said.rater) == said)
    everything = [said for uid in "ab" for said in slow_standing(lines, uid).values()]
    assert book.raters() == sorted({said.rater for said in everything})
    for rater in ("ann", SIMULATOR):
        theirs = {said.episode_uid: said for said in everything if said.rater == rater}
        assert book.by_rater(rater) == theirs
        assert book.count_by(rater) == len(theirs)
        newest = max((said.id for said in theirs.values()), default=None)
        assert (book.newest_by(rater) and book.newest_by(rater).id) == newest


@given(histories(), st.data())
def test_a_book_kept_up_to_date_in_portions_equals_one_made_at_once(lines, data):
    at_once, in_portions = VerdictBook(), VerdictBook()
    at_once.add(lines)
    rest = list(lines)
    while rest:
        count = data.draw(st.integers(min_value=0, max_value=len(rest)))
        portion, rest = rest[: count or 1], rest[count or 1 :]
        in_portions.add(portion)
        in_portions.add([])
    assert in_portions == at_once
    assert in_portions.last_id == (lines[-1].id if lines else 0)


@given(histories(), RULES)
def test_taking_a_verdict_back_restores_what_was_decided_before(lines, rule):
    book = VerdictBook()
    book.add(lines)
    before = {uid: (book.standing(uid), book.decision(uid, rule)) for uid in "ab"}
    newest = len(lines) + 1
    book.add([line(newest, "ann", F, uid="a")])
    assert book.standing("a")["ann"].verdict is F
    book.add([line(newest + 1, "ann", uid="a", withdraws=newest)])
    assert {uid: (book.standing(uid), book.decision(uid, rule)) for uid in "ab"} == before
    assert len(book.history("a")) >= 2  # and yet nothing is gone


def test_nobody_takes_back_what_another_said():
    book = VerdictBook()
    book.add([line(1, "ann", S), line(2, "bob", withdraws=1), line(3, "ann", uid="b", withdraws=1)])
    assert book.standing("a") == {"ann": line(1, "ann", S)}


def test_a_line_that_comes_too_late_is_refused_and_not_lost_in_silence():
    book = VerdictBook()
    book.add([line(2, "ann", S)])
    for late in (1, 2):
        with pytest.raises(ValueError, match=f"line {late} comes after line 2"):
            book.add([line(late, "bob", F)])


def test_a_line_says_a_verdict_or_takes_one_back():
    for verdict, withdraws in ((None, None), (S, 1)):
        with pytest.raises(ValueError, match="either says a verdict or withdraws"):
            line(2, "ann", verdict, withdraws=withdraws)


def test_an_episode_nobody_judged_is_undecided_not_failed():
    book = VerdictBook()
    assert book.decision("a", LATEST_RULE) == UNDECIDED
    assert book.decisions(LATEST_RULE) == {}
    book.add([line(1, "ann", F), line(2, "ann", withdraws=1)])
    assert book.decision("a", LATEST_RULE) == UNDECIDED
    assert book.decisions(LATEST_RULE) == {}
    assert book.episodes() == ["a"]
    assert UNDECIDED.outcome is None


@pytest.mark.parametrize(
    ("verdicts", "latest", "majority", "unanimous"),
    [
        ([S], S, S, S),
        ([S, F], F, None, None),
        ([S, S, F], F, S, None),
        ([F, S, S], S, S, None),
        ([S, F, X], X, None, None),
        ([S, S, F, F], F, None, None),
        ([X, X], X, X, X),
    ],
)
def test_what_each_rule_makes_of_the_same_verdicts(verdicts, latest, majority, unanimous):
    stands = standing(*zip(["ann", "bob", "eve", "kim"], verdicts, strict=False))
    assert LATEST_RULE.decide(stands).outcome is latest
    assert MAJORITY.decide(stands).outcome is majority
    assert UNANIMOUS.decide(stands).outcome is unanimous
    assert LATEST_RULE.decide(stands).is_disputed == (len(set(verdicts)) > 1)


def test_too_few_people_decide_nothing():
    two = DecisionRule(raters_needed=2)
    assert two.decide(standing(("ann", S))).outcome is None
    assert two.decide(standing(("ann", S))).raters == ("ann",)
    assert two.decide(standing(("ann", S), ("bob", S))).outcome is S


def test_the_simulator_decides_only_what_no_person_judged():
    two = DecisionRule(rule=Rule.UNANIMOUS, raters_needed=2)
    alone = standing((SIMULATOR, S, 7))
    assert two.decide(alone) == Decision(
        outcome=S, success_frame=7, raters=(SIMULATOR,), is_disputed=False
    )
    contradicted = standing(("ann", F), (SIMULATOR, S, 7))
    assert two.decide(contradicted).outcome is None
    assert LATEST_RULE.decide(contradicted) == Decision(
        outcome=F, success_frame=None, raters=("ann",), is_disputed=False
    )


def test_the_moment_of_success_is_the_lower_median_of_those_who_said_success():
    stands = standing(("ann", S, 30), ("bob", S, 10), ("eve", S, 20), ("kim", F), ("lee", S, 90))
    assert MAJORITY.decide(stands).success_frame == 20  # of 10, 20, 30, 90
    assert LATEST_RULE.decide(stands).success_frame == 90
    assert MAJORITY.decide(standing(("ann", S), ("bob", S, 4))).success_frame == 4
    assert LATEST_RULE.decide(standing(("bob", S, 4), ("ann", S))).success_frame is None


def test_nobody_passes_for_the_simulator_by_spelling():
    assert not any(map(is_person, ["simulator", "Simulator", " SIMULATOR "]))
    assert is_person("ann")


def test_a_project_needs_somebody():
    with pytest.raises(ConfigError) as caught:
        DecisionRule(raters_needed=0)
    assert str(caught.value) == (
        "raters_needed must be at least 1 person, got 0. With 1, every verdict decides."
    )
