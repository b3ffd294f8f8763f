import datetime as dt
import re
import tempfile
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sqlalchemy.exc import OperationalError

from data.database import Database
from data.errors import (
    ForeignVerdictError,
    ProjectError,
    UnknownVerdictError,
    VerdictError,
    WithdrawnVerdictError,
)
from data.judgement_batch import NewJudgement
from data.outcomes import OutcomeStore
from data.schema import Outcome
from data.verdicts import DecisionRule, Rule

ROOT = Path(__file__).parents[2]
ACTIONS = st.lists(
    st.tuples(
        st.sampled_from("abc"),
        st.sampled_from([*Outcome, "take back"]),
        st.sampled_from(["ann", "bob", "simulator"]),
    ),
    max_size=12,
)


@pytest.fixture
def store(tmp_path):
    with closing(OutcomeStore(tmp_path / "outcomes.db")) as store:
        yield store


@settings(max_examples=25, deadline=None)
@given(ACTIONS)
def test_whatever_is_done_lines_are_only_added(actions):
    with (
        tempfile.TemporaryDirectory() as folder,
        closing(OutcomeStore(Path(folder) / "outcomes.db")) as store,
    ):
        standing = {}
        for number, (uid, deed, rater) in enumerate(actions, start=1):
            before = store.since()
            theirs = standing.setdefault(uid, {}).setdefault(rater, [])
            if deed == "take back" and theirs:
                added = store.withdraw(theirs.pop().id, rater=rater)
            elif deed == "take back":
                added = store.judge(uid, Outcome.DISCARD, rater=rater)
                theirs.append(added)
            else:
                added = store.judge(uid, deed, rater=rater)
                theirs.append(added)
            assert store.since() == [*before, added]
            assert store.since(added.id - 1) == [added]
            assert added.id == number
            assert store.history(uid)[-1] == added
        told = {}
        for uid, people in standing.items():
            verdicts = {rater: theirs[-1] for rater, theirs in people.items() if theirs}
            counted = {r: said for r, said in verdicts.items() if r != "simulator"} or verdicts
            if counted:
                told[uid] = max(counted.values(), key=lambda said: said.id).verdict
        assert store.outcomes() == told


def test_an_unjudged_episode_is_absent_not_failed(store):
    assert store.outcomes() == {}
    assert store.decisions() == {}
    assert store.history("nobody-judged-me") == []
    assert store.since() == []


def test_an_undecided_episode_is_absent_from_the_outcomes_not_failed(store):
    store.judge("a", Outcome.SUCCESS, rater="ann")
    store.judge("a", Outcome.FAILURE, rater="bob")
    store.judge("b", Outcome.SUCCESS, rater="ann")
    rule = DecisionRule(rule=Rule.UNANIMOUS)
    assert store.outcomes(rule) == {"b": Outcome.SUCCESS}
    assert store.decisions(rule)["a"].is_disputed
    assert store.outcomes() == {"a": Outcome.FAILURE, "b": Outcome.SUCCESS}


def test_a_judgement_keeps_all_that_was_said(store):
    before = dt.datetime.now(dt.UTC)
    new = NewJudgement(
        episode_uid="a",
        rater="Zoë O'Neill",
        verdict=Outcome.SUCCESS,
        note="'); DROP TABLE judgements; --\n✓",
        success_frame=0,
        answers={"upright": True, "safe": False},
        criteria_version="0123abcd",
        request_id="request-1",
    )
    store.add([new])
    (line,) = store.history("a")
    for name in ("episode_uid", "rater", "verdict", "note", "success_frame", "answers"):
        assert getattr(line, name) == getattr(new, name)
    assert (line.criteria_version, line.request_id) == ("0123abcd", "request-1")
    assert line.withdraws is None
    assert before <= line.judged_at <= dt.datetime.now(dt.UTC)


def test_a_time_that_is_told_is_kept_whatever_its_zone(store):
    noon = dt.datetime(2026, 1, 31, 12, tzinfo=dt.timezone(dt.timedelta(hours=2)))
    told = NewJudgement(episode_uid="a", rater="ann", verdict=Outcome.SUCCESS, judged_at=noon)
    store.add([told])
    assert store.since()[0].judged_at == dt.datetime(2026, 1, 31, 10, tzinfo=dt.UTC)


def test_many_judgements_are_stored_together_and_survive_reopening(tmp_path):
    store = OutcomeStore(tmp_path / "outcomes.db")
    store.judge_many([("a", Outcome.SUCCESS), ("b", Outcome.FAILURE)], rater="simulator")
    assert store.judge_many([], rater="simulator") == []
    store.close()
    again = OutcomeStore(f"sqlite:///{tmp_path}/outcomes.db")
    assert again.outcomes() == {"a": Outcome.SUCCESS, "b": Outcome.FAILURE}
    again.close()


def test_an_unknown_verdict_stores_none_of_the_judgements(store):
    with pytest.raises(ValueError, match="'maybe' is not a valid Outcome"):
        store.judge_many([("a", Outcome.SUCCESS), ("b", "maybe")], rater="ann")
    assert store.since() == []


def test_a_batch_with_one_impossible_line_adds_nothing_and_says_which(store):
    store.judge("a", Outcome.SUCCESS, rater="ann", request_id="first")
    batch = [
        NewJudgement(episode_uid="b", rater="bob", verdict=Outcome.SUCCESS),
        NewJudgement(rater="ann", withdraws="first"),
        NewJudgement(rater="ann", withdraws="first"),
    ]
    with pytest.raises(WithdrawnVerdictError) as caught:
        store.add(batch)
    assert caught.value.place == 2
    assert len(store.since()) == 1


def test_a_batch_may_take_back_what_it_says_itself(store):
    first, second = store.add(
        [
            NewJudgement(episode_uid="a", rater="ann", verdict=Outcome.SUCCESS, request_id="said"),
            NewJudgement(rater="ann", withdraws="said"),
        ]
    )
    assert (second.withdraws, second.episode_uid, second.verdict) == (first.id, "a", None)
    assert store.decisions() == {}


def test_the_same_request_adds_one_line(store):
    first = store.judge("a", Outcome.SUCCESS, rater="ann", request_id="click-1")
    assert store.judge("a", Outcome.SUCCESS, rater="ann", request_id="click-1") == first
    back = store.withdraw(first.id, rater="ann", request_id="click-2")
    assert store.withdraw(first.id, rater="ann", request_id="click-2") == back
    # Sent again late, it does not stand again.
    assert store.judge("a", Outcome.SUCCESS, rater="ann", request_id="click-1") == first
    assert store.since() == [first, back]
    assert store.outcomes() == {}


@pytest.mark.parametrize(
    ("name", "other"),
    [
        ("episode_uid", "b"),
        ("rater", "bob"),
        ("verdict", Outcome.DISCARD),
        ("note", "hm"),
        ("success_frame", 3),
        ("answers", {"safe": True}),
        ("criteria_version", "0"),
    ],
)
def test_another_verdict_under_a_name_that_was_used_is_refused_not_dropped(store, name, other):
    said = {"episode_uid": "a", "rater": "ann", "verdict": Outcome.SUCCESS, "request_id": "click"}
    store.add([NewJudgement(**said)])
    with pytest.raises(VerdictError) as caught:
        store.add([NewJudgement(**said | {name: other})])
    assert str(caught.value) == (
        f"The request click was made before with another {name}, as line 1. "
        f"A changed mind is a new request."
    )


def test_what_cannot_be_taken_back_is_named(store):
    mine = store.judge("a", Outcome.SUCCESS, rater="ann")
    refused = [
        (99, "ann", UnknownVerdictError, "There is no verdict 99 to take back."),
        (
            mine.id,
            "bob",
            ForeignVerdictError,
            "Verdict 1 is ann's, not bob's. Add a verdict of your own instead: "
            "what is disputed is shown.",
        ),
    ]
    for number, rater, kind, message in refused:
        with pytest.raises(kind, match=f"^{re.escape(message)}$"):
            store.withdraw(number, rater=rater)
    back = store.withdraw(mine.id, rater="ann")
    with pytest.raises(WithdrawnVerdictError, match=r"^Verdict 1 was taken back already\.$"):
        store.withdraw(mine.id, rater="ann")
    with pytest.raises(WithdrawnVerdictError, match=r"^Line 2 itself takes a verdict back"):
        store.withdraw(back.id, rater="ann")
    with pytest.raises(UnknownVerdictError):
        store.add([NewJudgement(episode_uid="b", rater="ann", withdraws=mine.id)])
    assert store.since() == [mine, back]


@pytest.mark.parametrize(
    ("said", "message"),
    [
        ({"rater": " "}, "' ' cannot be the name of a rater"),
        ({"rater": "Simulator"}, "'Simulator' cannot be the name of a rater"),
        ({"episode_uid": ""}, "A verdict must name its episode."),
        ({"verdict": None}, "either says a verdict or takes one back"),
        ({"withdraws": 1}, "either says a verdict or takes one back"),
        ({"note": "a\0b"}, "The text 'a\\x00b' holds characters that cannot be written down."),
        ({"note": "\ud800"}, "holds characters that cannot be written down"),
        ({"answers": {"\0": True}}, "holds characters that cannot be written down"),
        ({"answers": {"safe": "yes"}}, "Every answer of a checklist must be true or false."),
        ({"success_frame": -1}, "must be a frame of the episode, got -1."),
        ({"success_frame": 2**31}, "must be a frame of the episode, got 2147483648."),
        ({"success_frame": 1, "verdict": Outcome.FAILURE}, "Only a success has a moment"),
        ({"judged_at": dt.datetime(2026, 1, 31)}, "needs its time zone, got 2026-01-31T00:00:00."),  # noqa: DTZ001
    ],
)
def test_a_line_that_cannot_be_is_refused_by_name(store, said, message):
    usual = {"episode_uid": "a", "rater": "ann", "verdict": Outcome.SUCCESS}
    with pytest.raises(VerdictError, match=re.escape(message)):
        store.add([NewJudgement(**usual | said)])
    assert store.since() == []


def test_eight_threads_and_a_reader_lose_and_miss_nothing(store):
    seen, are_writing = [], threading.Event()
    are_writing.set()

    def read():
        while True:
            was_writing = are_writing.is_set()
            seen.extend(store.since(seen[-1].id if seen else 0))
            if not was_writing:
                return
            time.sleep(0.001)  # a reader that spins would only measure Python's own lock

    def judge(rater):
        for number in range(25):
            store.judge(f"{number}", Outcome.SUCCESS, rater=rater)

    with ThreadPoolExecutor(9) as threads:
        reader = threads.submit(read)
        try:
            list(threads.map(judge, "abcdefgh"))
        finally:
            are_writing.clear()
        reader.result()
    assert seen == store.since()
    assert [line.id for line in seen] == list(range(1, 201))
    assert {(line.rater, line.episode_uid) for line in seen} == {
        (rater, str(number)) for rater in "abcdefgh" for number in range(25)
    }


def test_one_click_sent_by_eight_threads_at_once_is_one_line(store):
    def click(request):
        return store.judge("a", Outcome.SUCCESS, rater="ann", request_id=request)

    requests = [f"click-{number // 8}" for number in range(80)]
    with ThreadPoolExecutor(8) as threads:
        lines = list(threads.map(click, requests))
    assert [line.request_id for line in lines] == requests
    assert len(store.since()) == 10 == len({line.id for line in lines})


def test_of_two_who_take_the_same_verdict_back_one_does(store):
    line = store.judge("a", Outcome.SUCCESS, rater="ann")
    refused = []

    def take_back(_):
        try:
            store.withdraw(line.id, rater="ann")
        except WithdrawnVerdictError as error:
            refused.append(error)

    with ThreadPoolExecutor(8) as threads:
        list(threads.map(take_back, range(8)))
    assert (len(refused), len(store.since())) == (7, 2)


def test_what_is_acknowledged_is_on_the_disk(store):
    with store._database.reading() as connection:
        mode = connection.exec_driver_sql("PRAGMA journal_mode").scalar()
        flushes = connection.exec_driver_sql("PRAGMA synchronous").scalar()
    assert (mode, flushes) == ("wal", 2)  # 2 is FULL: every commit is flushed


def test_several_may_open_a_new_store_at_once(tmp_path):
    for number in range(10):
        path = tmp_path / f"{number}.db"
        with ThreadPoolExecutor(8) as people:
            stores = list(people.map(lambda _, path=path: OutcomeStore(path), range(8)))
        for rater, store in enumerate(stores):
            store.judge("one", Outcome.SUCCESS, rater=str(rater))
        assert len(stores[0].history("one")) == 8
        for store in stores:
            store.close()


def test_a_database_belongs_to_one_project(store, tmp_path):
    store.claim("1234")
    store.claim("1234")
    with pytest.raises(ProjectError) as caught:
        store.claim("5678")
    assert str(caught.value) == (
        f"{tmp_path / 'outcomes.db'} holds the verdicts of another project (id 1234, not 5678). "
        f"Give every project a database of its own."
    )


def test_a_file_that_is_no_database_is_named(tmp_path):
    path = tmp_path / "outcomes.db"
    path.write_text("these are not the bytes of a database, though there are many of them" * 20)
    with pytest.raises(ProjectError) as caught:
        OutcomeStore(path)
    assert str(caught.value) == (
        f"{path} cannot be used as a store of outcomes (file is not a database)."
    )


@pytest.mark.parametrize(
    ("address", "message"),
    [
        (
            "not an address hunter2",
            "The address of the database cannot be read. Write it like "
            "postgresql://anna@server:5432/recap or sqlite:///folder/outcomes.db.",
        ),
        ("postgresql://anna:hunter2@server:port/recap", "The address of the database cannot be"),
        ("mysql://anna:hunter2@server/recap", "kept in SQLite or PostgreSQL, not in 'mysql'."),
        ("sqlite://", "Outcomes kept in memory are lost. Name a file"),
        ("sqlite:///:memory:", "Outcomes kept in memory are lost. Name a file"),
    ],
)
def test_an_address_that_cannot_be_used_is_refused_without_its_password(address, message):
    with pytest.raises(ProjectError, match=re.escape(message)) as caught:
        OutcomeStore(address)
    assert "hunter2" not in str(caught.value)


def test_a_password_that_a_driver_repeats_is_not_shown():
    database = Database("postgresql://anna:hunter2@server/recap?sslpassword=sesame")
    told = OperationalError("SELECT 1", {}, RuntimeError("no entry\n  with hunter2 or sesame."))
    with pytest.raises(ProjectError) as caught, database._mistakes_named():
        raise told
    assert str(caught.value) == (
        "postgresql://anna@server/recap cannot be used as a store of outcomes (no entry with *** "
        "or ***). Check the address and that the server runs; the password comes with the "
        "address, from PGPASSWORD or from ~/.pgpass."
    )
