"""The order in which to judge, and who looks at what."""

import datetime as dt
from types import SimpleNamespace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from data.schema import Ending, EpisodeInfo, Outcome, Pilot, Source
from data.verdicts import DecisionRule, Judgement, Rule
from recap.web.desk import presence as presence_module
from recap.web.desk.catalogue import Entry, Snapshot, order_key
from recap.web.desk.judging import NOTHING_SAID, Standing
from recap.web.desk.presence import PRESENCE_S, Presence
from recap.web.desk.queue import MOST_REMEMBERED, QueueOrder, Traits, behind
from recap.web.schemas import OutcomeFilter

NOON = dt.datetime(2026, 5, 4, 12, tzinfo=dt.UTC)
PEOPLE = ("Anna", "Ben", "Cleo")
TASKS = ("red cube", "blue cube")


def entry(uid, *, iteration=1, task="red cube", corrected=0, pilots=frozenset({Pilot.POLICY})):
    info = EpisodeInfo(
        uid=uid,
        task=task,
        seed=None,
        source=Source.ROLLOUT,
        iteration=iteration,
        policy_id="",
        ending=Ending.TERMINATED,
        frames=10,
        corrected_frames=corrected,
        measured_success=None,
    )
    return Entry(info=info, content_hash="", pilots=pilots)


def snapshot(*entries):
    order = sorted(entries, key=lambda one: order_key(one.info))
    return Snapshot(entries={one.info.uid: one for one in entries}, order=tuple(order))


def judged(said, rule=DecisionRule()):  # noqa: B008 - frozen
    """Stand in for the judging: uid to rater to verdict."""
    standings = {}
    for uid, verdicts in said.items():
        lines = {
            rater: Judgement(
                id=number, episode_uid=uid, rater=rater, verdict=verdict, note="", judged_at=NOON
            )
            for number, (rater, verdict) in enumerate(verdicts.items(), start=1)
        }
        standings[uid] = Standing(decision=rule.decide(lines), verdicts=verdicts)
    outcomes = {uid: one.decision.outcome for uid, one in standings.items() if one.decision.outcome}
    return SimpleNamespace(standings=standings, outcomes=outcomes)


def slow_select(now, judging, *, show, traits, rater, busy):
    """The same, one sentence of the contract after the other."""
    found = []
    for one in now.entries.values():
        said = judging.standings.get(one.info.uid, NOTHING_SAID)
        outcome = said.decision.outcome
        if traits.task is not None and one.info.task != traits.task:
            continue
        if traits.iteration is not None and one.info.iteration != traits.iteration:
            continue
        if traits.is_corrected is True and one.info.corrected_frames == 0:
            continue
        if traits.is_corrected is False and one.info.corrected_frames > 0:
            continue
        if traits.pilot is not None and traits.pilot not in (one.pilots or ()):
            continue
        if show is OutcomeFilter.UNJUDGED and (outcome is not None or rater in said.verdicts):
            continue
        is_out = {
            OutcomeFilter.NOT_YOURS: rater in said.verdicts,
            OutcomeFilter.DISPUTED: not said.decision.is_disputed,
        }
        if is_out.get(show, False):
            continue
        if show.value in set(Outcome) and outcome != show.value:
            continue
        found.append(one.info)
    found.sort(key=lambda info: info.uid)
    found.sort(key=lambda info: info.iteration, reverse=True)
    found.sort(key=lambda info: info.uid in busy)
    return [info.uid for info in found]


UIDS = [f"e{number}" for number in range(8)]
ENTRIES = st.lists(
    st.builds(
        entry,
        st.sampled_from(UIDS),
        iteration=st.integers(0, 3),
        task=st.sampled_from(TASKS),
        corrected=st.sampled_from([0, 4]),
        pilots=st.one_of(st.none(), st.frozensets(st.sampled_from(Pilot))),
    ),
    unique_by=lambda one: one.info.uid,
)
SAID = st.dictionaries(
    st.sampled_from(UIDS),
    st.dictionaries(st.sampled_from(PEOPLE), st.sampled_from(Outcome), max_size=3),
)
RULES = st.builds(DecisionRule, rule=st.sampled_from(Rule), raters_needed=st.integers(1, 3))
TRAITS = st.builds(
    Traits,
    task=st.none() | st.sampled_from(TASKS),
    iteration=st.none() | st.integers(0, 3),
    pilot=st.none() | st.sampled_from(Pilot),
    is_corrected=st.none() | st.booleans(),
)


@given(
    entries=ENTRIES,
    said=SAID,
    rule=RULES,
    shows=st.lists(st.tuples(st.sampled_from(OutcomeFilter), TRAITS), min_size=1, max_size=3),
    rater=st.none() | st.sampled_from(PEOPLE),
    busy=st.frozensets(st.sampled_from(UIDS)),
)
def test_the_queue_is_what_the_slow_obvious_version_says(entries, said, rule, shows, rater, busy):
    order, now, judging = QueueOrder(), snapshot(*entries), judged(said, rule)
    for show, traits in shows:
        about = {"show": show, "traits": traits, "rater": rater, "busy": busy}
        assert order.select(now, judging, **about) == slow_select(now, judging, **about)


@given(
    entries=ENTRIES,
    busy=st.frozensets(st.sampled_from(UIDS)),
    size=st.integers(1, 4),
)
def test_page_after_page_shows_every_episode_once(entries, busy, size):
    now = snapshot(*entries)
    every = QueueOrder().select(now, judged({}), show=OutcomeFilter.ANY, busy=busy)
    seen, after = [], None
    while page := behind(every, after, now=now, busy=busy)[:size]:
        seen += page
        after = now.entries[page[-1]].info
    assert seen == every


def test_going_on_behind_an_episode_that_no_longer_fits():
    now = snapshot(entry("a"), entry("b"), entry("c"), entry("d", iteration=0))
    unjudged = QueueOrder().select(now, judged({"b": {"Anna": Outcome.SUCCESS}}))
    assert unjudged == ["a", "c", "d"]
    assert behind(unjudged, now.entries["b"].info, now=now) == ["c", "d"]
    assert behind(unjudged, now.entries["d"].info, now=now) == []
    assert behind(unjudged, None, now=now) == ["a", "c", "d"]


def test_an_undecided_episode_is_still_to_be_judged_by_those_who_did_not():
    now, order = snapshot(entry("a")), QueueOrder()
    judging = judged({"a": {"Anna": Outcome.SUCCESS}}, DecisionRule(raters_needed=2))
    assert order.select(now, judging, rater="Anna") == []
    assert order.select(now, judging, rater="Ben") == ["a"]
    assert order.select(now, judging) == ["a"]


def test_what_others_look_at_comes_last_for_you():
    now = snapshot(entry("a"), entry("b"), entry("c", iteration=0))
    assert QueueOrder().select(now, judged({}), busy={"a", "c"}) == ["b", "a", "c"]


def test_a_new_snapshot_is_looked_through_anew():
    order = QueueOrder()
    assert order.select(snapshot(entry("a")), judged({})) == ["a"]
    assert order.select(snapshot(entry("a"), entry("b")), judged({})) == ["a", "b"]


def test_the_memory_for_filters_is_limited():
    order, now = QueueOrder(), snapshot(entry("a"))
    for number in range(3 * MOST_REMEMBERED):
        assert order.select(now, judged({}), traits=Traits(task=str(number))) == []
        assert len(order._remembered[1]) <= MOST_REMEMBERED
    assert order.select(now, judged({}), traits=Traits(task="red cube")) == ["a"]


class Clock:
    now_s = 1000.0

    def __call__(self):
        return self.now_s


@pytest.fixture
def clock():
    return Clock()


@pytest.fixture
def presence(clock):
    return Presence(clock=clock)


def test_who_looks_is_told_to_the_others(presence):
    presence.look("Ben", "a")
    presence.look("Anna", "a")
    presence.look("Cleo", "b")
    assert presence.others("Anna") == {"a": ["Ben"], "b": ["Cleo"]}
    assert presence.others() == {"a": ["Anna", "Ben"], "b": ["Cleo"]}
    assert (presence.seen_by("Anna"), presence.seen_by("Dora")) == ("a", None)
    assert presence.seen_by(None) is None


def test_one_looks_at_one_episode_at_a_time(presence):
    presence.look("Anna", "a")
    presence.look("Anna", "b")
    assert presence.others() == {"b": ["Anna"]}


def test_a_look_counts_for_ninety_seconds(presence, clock):
    assert PRESENCE_S == 90.0
    presence.look("Anna", "a")
    clock.now_s += 60.0
    presence.look("Ben", "b")
    clock.now_s += 29.9
    assert presence.others() == {"a": ["Anna"], "b": ["Ben"]}
    clock.now_s += 0.1
    assert presence.others() == {"b": ["Ben"]}
    assert presence.seen_by("Anna") is None
    clock.now_s += 60.0
    assert presence.others() == {}


def test_a_look_that_is_repeated_lasts(presence, clock):
    for _ in range(5):
        presence.look("Anna", "a")
        clock.now_s += 80.0
    assert presence.others() == {"a": ["Anna"]}


def test_a_look_that_is_repeated_keeps_no_other_look(presence, clock):
    presence.look("Anna", "a")
    presence.look("Ben", "b")
    clock.now_s += 80.0
    presence.look("Anna", "a")
    clock.now_s += 20.0
    assert presence.others() == {"a": ["Anna"]}


def test_no_crowd_fills_the_memory(presence, monkeypatch):
    monkeypatch.setattr(presence_module, "MOST_PRESENT", 3)
    for number in range(5):
        presence.look(f"p{number}", "a")
    assert presence.others() == {"a": ["p2", "p3", "p4"]}
