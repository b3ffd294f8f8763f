"""Stores that other processes and other versions of this program write to as well."""

import datetime as dt
import os
import signal
import sqlite3
import subprocess
import sys
import time
from contextlib import closing
from pathlib import Path

import numpy as np
import pytest

from data.outcomes import OutcomeStore
from data.schema import Outcome

ROOT = Path(__file__).parents[2]
AS_MADE_BEFORE = """
CREATE TABLE judgements (
    id INTEGER NOT NULL, episode_uid VARCHAR NOT NULL, rater VARCHAR NOT NULL,
    verdict VARCHAR NOT NULL, note VARCHAR NOT NULL, judged_at DATETIME NOT NULL, PRIMARY KEY (id)
);
CREATE INDEX ix_judgements_episode_uid ON judgements (episode_uid);
INSERT INTO judgements (episode_uid, rater, verdict, note, judged_at) VALUES
    ('a', 'simulator', 'success', '', '2026-01-31 14:05:00.123456'),
    ('a', 'ann', 'failure', 'dropped', '2026-01-31 14:06:00.000000');
"""


@pytest.fixture
def start():
    """Start Python programs, and see them end."""
    started = []

    def start(program, *arguments):
        command = [sys.executable, "-c", program, *map(str, arguments)]
        started.append(
            subprocess.Popen(
                command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, cwd=ROOT
            )
        )
        return started[-1]

    yield start
    for process in started:
        process.kill()
        process.wait()
        process.stdin.close()
        process.stdout.close()


WRITE = """
import sys
from pathlib import Path
from data.outcomes import OutcomeStore
store = OutcomeStore(Path(sys.argv[1]))
for number in range(int(sys.argv[3])):
    line = store.judge(f"e{number}", "success", rater=sys.argv[2])
    print(line.id, number, flush=True)
"""


@pytest.mark.slow
def test_two_processes_that_write_at_once_lose_nothing(tmp_path, start):
    path = tmp_path / "outcomes.db"
    programs = [start(WRITE, path, "kim", 150), start(WRITE, path, "eve", 150)]
    told = [program.communicate(timeout=60)[0] for program in programs]
    assert [program.returncode for program in programs] == [0, 0]
    with closing(OutcomeStore(path)) as store:
        lines = store.since()
    assert [line.id for line in lines] == list(range(1, 301))
    for rater, said in zip(("kim", "eve"), told, strict=True):
        theirs = [(line.id, line.episode_uid) for line in lines if line.rater == rater]
        assert theirs == [
            (int(number), f"e{place}")
            for number, place in (row.split() for row in said.splitlines())
        ]


@pytest.mark.slow
def test_a_writer_killed_at_any_moment_loses_nothing_it_acknowledged(tmp_path, start):
    path = tmp_path / "outcomes.db"
    rng = np.random.default_rng(0)
    acknowledged = {}
    for round_ in range(8):
        writer = start(WRITE, path, f"rater{round_}", 1_000_000)
        first = writer.stdout.readline()
        time.sleep(rng.uniform(0.0, 0.15))
        os.kill(writer.pid, signal.SIGKILL)
        rows = (first + writer.stdout.read()).splitlines(keepends=True)
        whole = [row.split() for row in rows if row.endswith("\n")]
        acknowledged |= {int(number): (f"rater{round_}", f"e{place}") for number, place in whole}
        assert writer.wait() == -signal.SIGKILL
    with closing(OutcomeStore(path)) as store:
        lines = store.since()
        stored = {line.id: (line.rater, line.episode_uid) for line in lines}
        assert acknowledged.items() <= stored.items()
        assert len(stored) <= len(acknowledged) + 8  # written, but killed before it could say so
        assert list(stored) == list(range(1, len(stored) + 1))
        assert store.judge("after", Outcome.SUCCESS, rater="ann").id == len(stored) + 1


def make_old(path):
    with closing(sqlite3.connect(path)) as connection:
        connection.executescript(AS_MADE_BEFORE)


def test_a_database_made_before_is_upgraded_in_place(tmp_path):
    path = tmp_path / "outcomes.db"
    make_old(path)
    for _ in range(2):
        store = OutcomeStore(path)
        simulated, dropped = store.since()[:2]
        store.close()
        assert (simulated.rater, simulated.verdict) == ("simulator", Outcome.SUCCESS)
        assert (dropped.id, dropped.note) == (2, "dropped")
        assert simulated.judged_at == dt.datetime(2026, 1, 31, 14, 5, 0, 123456, tzinfo=dt.UTC)
        for line in (simulated, dropped):
            assert (line.success_frame, line.answers, line.withdraws) == (None, None, None)
            assert (line.criteria_version, line.request_id) == ("", "")
    with closing(OutcomeStore(path)) as store:
        store.withdraw(2, rater="ann")
        assert store.outcomes() == {"a": Outcome.SUCCESS}
        store.judge("a", Outcome.SUCCESS, rater="bob", success_frame=4, request_id="click")
        assert store.decisions()["a"].success_frame == 4


def test_an_older_version_still_writes_to_an_upgraded_database(tmp_path):
    store = OutcomeStore(tmp_path / "outcomes.db")
    with closing(sqlite3.connect(tmp_path / "outcomes.db")) as connection, connection:
        connection.execute(
            "INSERT INTO judgements (episode_uid, rater, verdict, note, judged_at) "
            "VALUES ('b', 'ann', 'success', '', '2026-01-31 14:05:00.000000')"
        )
    assert store.judge("a", Outcome.FAILURE, rater="ann").id == 2
    assert store.outcomes() == {"b": Outcome.SUCCESS, "a": Outcome.FAILURE}
    store.close()


def test_the_database_itself_refuses_a_request_twice_whoever_writes(tmp_path):
    path = tmp_path / "outcomes.db"
    with closing(OutcomeStore(path)) as store:
        store.judge("a", Outcome.SUCCESS, rater="ann", request_id="click")
    again = (
        "INSERT INTO judgements (episode_uid, rater, verdict, note, judged_at, request_id) "
        "VALUES ('a', 'ann', 'success', '', '2026-01-31 14:05:00.000000', 'click')"
    )
    with (
        closing(sqlite3.connect(path)) as connection,
        pytest.raises(sqlite3.IntegrityError, match="UNIQUE constraint failed"),
    ):
        connection.execute(again)


OPEN = """
import sys
from pathlib import Path
from data.outcomes import OutcomeStore
print("ready", flush=True)
sys.stdin.readline()
for path in sys.argv[2:]:
    OutcomeStore(Path(path)).judge("a", "success", rater=sys.argv[1])
"""


def test_two_processes_may_upgrade_a_database_at_once(tmp_path, start):
    paths = [tmp_path / f"{number}.db" for number in range(20)]
    for path in paths:
        make_old(path)
    programs = [start(OPEN, rater, *paths) for rater in ("kim", "eve")]
    for program in programs:
        assert program.stdout.readline() == "ready\n"
    for program in programs:
        program.stdin.write("go\n")
        program.stdin.flush()
    for program in programs:
        program.communicate(timeout=60)
        assert program.returncode == 0
    for path in paths:
        with closing(OutcomeStore(path)) as store:
            raters = [line.rater for line in store.since()]
        assert raters[:2] == ["simulator", "ann"]
        assert set(raters[2:]) == {"kim", "eve"}
