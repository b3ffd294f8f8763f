from contextlib import closing

import pytest

from data.errors import ProjectError
from data.outcomes import OutcomeStore
from data.schema import Outcome
from data.verdict_files import import_verdicts
from recap.rollout.live.verdicts import OperatorVerdicts


class Database:
    """A store that can be away."""

    def __init__(self, store):
        self.store = store
        self.is_away = False

    def add(self, lines):
        if self.is_away:
            message = "the database is away"
            raise ProjectError(message)
        return self.store.add(lines)


@pytest.fixture
def database(tmp_path):
    with closing(OutcomeStore(tmp_path / "outcomes.db")) as store:
        yield Database(store)


def said(database):
    return [(line.episode_uid, line.rater, line.verdict) for line in database.store.since()]


def test_a_verdict_is_stored_at_once(database):
    verdicts = OperatorVerdicts(database, operator="anna")
    verdicts.say("a", Outcome.SUCCESS)
    assert said(database) == [("a", "anna", Outcome.SUCCESS)]
    assert verdicts.trouble == ""


def test_what_was_said_while_the_database_was_away_is_sent_once_with_the_next(database):
    verdicts = OperatorVerdicts(database, operator="anna")
    database.is_away = True
    verdicts.say("a", Outcome.SUCCESS)
    assert verdicts.trouble == "the database is away"
    database.is_away = False
    verdicts.say("b", Outcome.FAILURE)
    verdicts.send()
    assert said(database) == [("a", "anna", Outcome.SUCCESS), ("b", "anna", Outcome.FAILURE)]
    assert verdicts.trouble == ""


def test_what_waits_at_the_end_is_sent_and_leaves_no_file(database, tmp_path):
    verdicts = OperatorVerdicts(database, operator="anna")
    database.is_away = True
    verdicts.say("a", Outcome.SUCCESS)
    database.is_away = False
    assert verdicts.finish(tmp_path / "aside.csv") == 0
    assert said(database) == [("a", "anna", Outcome.SUCCESS)]
    assert not (tmp_path / "aside.csv").exists()


def test_what_no_database_took_can_be_imported_later_and_only_once(database, tmp_path):
    verdicts = OperatorVerdicts(database, operator="anna")
    database.is_away = True
    verdicts.say("a", Outcome.SUCCESS)
    verdicts.say("b", Outcome.DISCARD)
    assert verdicts.finish(tmp_path / "sessions" / "aside.csv") == 2
    for added in (2, 0):
        brought = import_verdicts(
            tmp_path / "sessions" / "aside.csv", database.store, known_uids={"a", "b"}
        )
        assert brought.added == added
    assert said(database) == [("a", "anna", Outcome.SUCCESS), ("b", "anna", Outcome.DISCARD)]
