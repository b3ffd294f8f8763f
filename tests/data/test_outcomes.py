import datetime as dt
import tempfile
import threading
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from data.errors import ProjectError
from data.outcomes import OutcomeStore
from data.schema import Outcome

JUDGEMENTS = st.lists(
    st.tuples(
        st.sampled_from(["a", "b", "c"]), st.sampled_from(Outcome), st.sampled_from(["ann", "bob"])
    ),
    max_size=12,
)


@pytest.fixture
def store(tmp_path):
    store = OutcomeStore(tmp_path / "outcomes.db")
    yield store
    store.close()


@settings(max_examples=25, deadline=None)
@given(JUDGEMENTS)
def test_the_latest_judgement_wins_and_the_history_only_grows(judgements):
    with tempfile.TemporaryDirectory() as folder:
        store = OutcomeStore(Path(folder) / "outcomes.db")
        told = {}
        for uid, verdict, rater in judgements:
            before = store.history(uid)
            store.judge(uid, verdict, rater=rater)
            told[uid] = verdict
            after = store.history(uid)
            assert after[:-1] == before
            assert (after[-1].verdict, after[-1].rater) == (verdict, rater)
            assert store.latest() == told
        store.close()


def test_an_unjudged_episode_is_absent_not_failed(store):
    assert store.latest() == {}
    assert store.history("nobody-judged-me") == []


def test_a_judgement_keeps_who_when_and_why(store):
    before = dt.datetime.now(dt.UTC)
    store.judge("a", Outcome.FAILURE, rater="ann", note="dropped it")
    (judgement,) = store.history("a")
    assert (judgement.episode_uid, judgement.rater, judgement.note) == ("a", "ann", "dropped it")
    assert before <= judgement.judged_at <= dt.datetime.now(dt.UTC)


def test_many_judgements_are_stored_together_and_survive_reopening(tmp_path):
    store = OutcomeStore(tmp_path / "outcomes.db")
    store.judge_many([("a", Outcome.SUCCESS), ("b", Outcome.FAILURE)], rater="simulator")
    store.judge_many([], rater="simulator")
    store.close()
    again = OutcomeStore(f"sqlite:///{tmp_path}/outcomes.db")
    assert again.latest() == {"a": Outcome.SUCCESS, "b": Outcome.FAILURE}
    again.close()


def test_an_unknown_verdict_stores_none_of_the_judgements(store):
    with pytest.raises(ValueError, match="'maybe' is not a valid Outcome"):
        store.judge_many([("a", Outcome.SUCCESS), ("b", "maybe")], rater="ann")
    assert store.latest() == {}


def test_two_writers_at_once_lose_nothing(tmp_path):
    def judge(rater):
        store = OutcomeStore(tmp_path / "outcomes.db")
        for number in range(10):
            store.judge(f"{rater}-{number}", Outcome.SUCCESS, rater=rater)
        store.close()

    OutcomeStore(tmp_path / "outcomes.db").close()
    threads = [threading.Thread(target=judge, args=(rater,)) for rater in ("ann", "bob")]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    store = OutcomeStore(tmp_path / "outcomes.db")
    assert len(store.latest()) == 20
    store.close()


def test_a_file_that_is_no_database_is_named(tmp_path):
    path = tmp_path / "outcomes.db"
    path.write_text("these are not the bytes of a database, though there are many of them" * 20)
    with pytest.raises(ProjectError) as caught:
        OutcomeStore(path)
    assert str(caught.value) == (
        f"{path} cannot be used as a store of outcomes (file is not a database)."
    )


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
