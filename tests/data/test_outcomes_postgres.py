"""The same store in PostgreSQL, against a real server that these tests start and stop."""

import contextlib
import getpass
import itertools
import os
import pwd
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from pathlib import Path

import numpy as np
import psycopg
import pytest

import data.database
from data.errors import ProjectError, VerdictError, WithdrawnVerdictError
from data.judgement_batch import NewJudgement
from data.outcomes import OutcomeStore
from data.schema import Outcome
from data.verdict_files import export_verdicts, import_verdicts

pytestmark = pytest.mark.slow

PASSWORD = "open-sesame"  # noqa: S105 - of a server that lives for seconds
ROOT = Path(__file__).parents[2]
AS_MADE_BEFORE = """
CREATE TABLE judgements (
    id SERIAL NOT NULL, episode_uid VARCHAR NOT NULL, rater VARCHAR NOT NULL,
    verdict VARCHAR NOT NULL, note VARCHAR NOT NULL,
    judged_at TIMESTAMP WITHOUT TIME ZONE NOT NULL, PRIMARY KEY (id)
);
INSERT INTO judgements (episode_uid, rater, verdict, note, judged_at)
    VALUES ('a', 'ann', 'failure', 'dropped', '2026-01-31 14:06:00');
"""
WRITE = """
import sys
from data.outcomes import OutcomeStore
store = OutcomeStore(sys.argv[1])
while True:
    line = store.judge("e", "success", rater=sys.argv[2])
    print(line.id, flush=True)
"""


def programs():
    """Find the folder of the server's programs; None where it is not installed."""
    found = shutil.which("initdb")
    folders = [Path(found).parent] if found else []
    folders += sorted(Path("/usr/lib/postgresql").glob("*/bin"), reverse=True)
    for folder in folders:
        if all((folder / name).exists() for name in ("initdb", "postgres")):
            return folder
    return None


def unprivileged():
    """Name whom to run the server as: it refuses root."""
    if os.geteuid() != 0:
        return getpass.getuser()
    names = [user.pw_name for user in pwd.getpwall()]
    return "postgres" if "postgres" in names else "nobody"


@pytest.fixture(scope="module")
def server():
    """Start a server with password login on loopback; yield the address without a database."""
    folder = programs()
    if folder is None:
        pytest.skip("PostgreSQL is not installed: no initdb and postgres to start a server with")
    user = pwd.getpwnam(unprivileged())
    with tempfile.TemporaryDirectory(prefix="recap-postgres-") as home, socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
        free.close()
        (Path(home) / "password").write_text(PASSWORD)
        for path in (home, Path(home) / "password"):
            os.chown(path, user.pw_uid, user.pw_gid)
        about = {"cwd": home, "env": {"LC_ALL": "C", "HOME": home}}
        if os.geteuid() == 0:
            about |= {"user": user.pw_uid, "group": user.pw_gid, "extra_groups": []}
        made = [folder / "initdb", "-D", f"{home}/data", "-U", "recap", "--auth=scram-sha-256"]
        made += [f"--pwfile={home}/password", "--encoding=UTF8", "--no-sync"]
        subprocess.run(made, check=True, capture_output=True, **about)
        command = [folder / "postgres", "-D", f"{home}/data", "-p", str(port), "-k", home]
        with open(f"{home}/log", "wb") as log:  # noqa: PTH123
            process = subprocess.Popen(
                [*command, "-c", "listen_addresses=127.0.0.1"], stdout=log, stderr=log, **about
            )
        try:
            address = f"postgresql://recap:{PASSWORD}@127.0.0.1:{port}"
            wait_for(address, process)
            yield address
        finally:
            process.send_signal(signal.SIGQUIT)  # at once: nothing here is kept
            process.wait(timeout=30)


def wait_for(address, process):
    give_up_at = time.monotonic() + 30
    while True:
        try:
            psycopg.connect(f"{address}/postgres").close()
        except psycopg.OperationalError:
            assert process.poll() is None
            assert time.monotonic() < give_up_at
            time.sleep(0.05)
        else:
            return


numbers = itertools.count()


@pytest.fixture
def address(server):
    """Make a database for one test."""
    name = f"test{next(numbers)}"
    with psycopg.connect(f"{server}/postgres", autocommit=True) as connection:
        connection.execute(f"CREATE DATABASE {name}")
    return f"{server}/{name}"


@pytest.fixture
def store(address):
    with closing(OutcomeStore(address)) as store:
        yield store


def run_sql(address, sql):
    with psycopg.connect(address) as connection:
        connection.execute(sql)


def act(store, rng):
    """Do one thing or another, and say what came of it."""
    rater = str(rng.choice(["ann", "bob", "simulator"]))
    target = int(rng.integers(1, 40))
    request = f"request-{rng.integers(60)}" if rng.random() < 0.5 else ""
    uid, verdict = str(rng.choice(["a", "b"])), str(rng.choice(list(Outcome)))
    frame = int(rng.integers(9)) if verdict == "success" else None
    try:
        if rng.random() < 0.3:
            line = store.withdraw(target, rater=rater, request_id=request)
        else:
            new = NewJudgement(
                episode_uid=uid,
                rater=rater,
                verdict=verdict,
                note="'); DROP TABLE judgements; -- \\ % %s ✓",
                success_frame=frame,
                answers={"safe ✓": bool(rng.random() < 0.5)},
                request_id=request,
            )
            (line,) = store.add([new])
    except VerdictError as error:
        return type(error), str(error)
    return said(line)


def said(line):
    return (
        line.id,
        line.episode_uid,
        line.rater,
        line.verdict,
        line.note,
        line.success_frame,
        line.answers,
        line.withdraws,
    )


def test_postgresql_answers_as_sqlite_does(store, tmp_path):
    with closing(OutcomeStore(tmp_path / "outcomes.db")) as other:
        one, two = np.random.default_rng(0), np.random.default_rng(0)
        answers = []
        for _ in range(300):
            answers.append(act(store, one))
            assert answers[-1] == act(other, two)
        assert [said(line) for line in store.since()] == [said(line) for line in other.since()]
        assert store.outcomes() == other.outcomes()
        kinds = {answer[0] for answer in answers}
    assert len([kind for kind in kinds if isinstance(kind, type)]) == 4  # every refusal came up


def test_verdicts_move_from_sqlite_to_postgresql_by_a_file(store, tmp_path):
    rng = np.random.default_rng(1)
    with closing(OutcomeStore(tmp_path / "outcomes.db")) as other:
        for _ in range(100):
            act(other, rng)
        for kind in ("csv", "parquet"):
            path = tmp_path / f"verdicts.{kind}"
            export_verdicts(other.since(), path)
            import_verdicts(path, store, known_uids=None)
            assert store.since() == other.since()


def test_an_address_is_shown_without_its_password(store):
    assert store.name.startswith("postgresql://recap@127.0.0.1:")
    assert PASSWORD not in store.name


def test_the_password_may_come_from_the_environment(address, monkeypatch):
    monkeypatch.setenv("PGPASSWORD", PASSWORD)
    with closing(OutcomeStore(address.replace(f":{PASSWORD}", ""))) as store:
        store.judge("a", Outcome.SUCCESS, rater="ann")
    with closing(OutcomeStore(address.replace("postgresql:", "postgres:"))) as store:
        assert store.outcomes() == {"a": Outcome.SUCCESS}


@pytest.mark.parametrize(
    ("right", "wrong", "reason"),
    [
        (PASSWORD, "hunter2", 'FATAL: password authentication failed for user "recap"'),
        ("recap:", "eve:", 'FATAL: password authentication failed for user "eve"'),
        ("/test", "/absent", 'FATAL: database "absent'),
        ("127.0.0.1", "host.invalid", "host.invalid"),
        ("@127.0.0.1:", "@127.0.0.1:1", "port"),
    ],
)
def test_what_cannot_be_reached_is_said_in_one_line_without_the_password(
    address, right, wrong, reason
):
    with pytest.raises(ProjectError) as caught:
        OutcomeStore(address.replace(right, wrong, 1)[: -1 if wrong.endswith(":1") else None])
    message = str(caught.value)
    assert reason in message
    assert "\n" not in message
    assert PASSWORD not in message
    assert "hunter2" not in message
    assert message.startswith("postgresql://")
    assert message.endswith(
        "Check the address and that the server runs; the password comes with the address, from "
        "PGPASSWORD or from ~/.pgpass."
    )


def test_an_option_of_the_address_that_the_server_does_not_know_is_named(address):
    with pytest.raises(ProjectError, match="colour"):
        OutcomeStore(f"{address}?colour=red&password={PASSWORD}")


def test_a_reader_misses_no_line_of_several_writers(address):
    stop = threading.Event()
    seen = []

    def read():
        with closing(OutcomeStore(address)) as store:
            while True:
                is_over = stop.is_set()
                seen.extend(store.since(seen[-1].id if seen else 0))
                if is_over:
                    return

    def write(rater):
        with closing(OutcomeStore(address)) as store:
            for number in range(60):
                store.judge(f"{number}", Outcome.SUCCESS, rater=rater)

    with ThreadPoolExecutor(7) as threads:
        reader = threads.submit(read)
        try:
            list(threads.map(write, "abcdef"))
        finally:
            stop.set()
        reader.result()
    assert [line.id for line in seen] == list(range(1, 361))
    with closing(OutcomeStore(address)) as store:
        assert seen == store.since()


def test_a_line_never_overtakes_one_that_was_numbered_before_it(address):
    with closing(OutcomeStore(address)) as slow, closing(OutcomeStore(address)) as quick:
        with ThreadPoolExecutor(1) as threads:
            with slow._database.writing("judgements") as connection:
                connection.exec_driver_sql(
                    "INSERT INTO judgements (id, episode_uid, rater, verdict, note, judged_at) "
                    "VALUES (1, 'a', 'ann', 'success', '', now())"
                )
                second = threads.submit(quick.judge, "a", Outcome.FAILURE, rater="bob")
                time.sleep(0.3)
                assert not second.done()
                assert quick.since() == []  # reading does not wait
            assert second.result(timeout=10).id == 2
        assert [line.rater for line in quick.since()] == ["ann", "bob"]


def test_one_click_sent_by_eight_threads_at_once_is_one_line(store):
    def click(request):
        return store.judge("a", Outcome.SUCCESS, rater="ann", request_id=request)

    requests = [f"click-{number // 8}" for number in range(80)]
    with ThreadPoolExecutor(8) as threads:
        lines = list(threads.map(click, requests))
    assert [line.request_id for line in lines] == requests
    assert len(store.since()) == 10 == len({line.id for line in lines})


def test_of_those_who_take_the_same_verdict_back_one_does(store):
    line = store.judge("a", Outcome.SUCCESS, rater="ann")

    def take_back(_):
        try:
            store.withdraw(line.id, rater="ann")
        except WithdrawnVerdictError:
            return 0
        return 1

    with ThreadPoolExecutor(8) as threads:
        assert sum(threads.map(take_back, range(8))) == 1
    assert len(store.since()) == 2


@pytest.mark.parametrize("is_old", [True, False])
def test_several_may_open_a_new_or_an_old_database_at_once(address, is_old):
    if is_old:
        run_sql(address, AS_MADE_BEFORE)
    with ThreadPoolExecutor(8) as people, contextlib.ExitStack() as stack:
        stores = list(people.map(lambda _: OutcomeStore(address), range(8)))
        for number, store in enumerate(stores):
            stack.callback(store.close)
            store.judge("a", Outcome.SUCCESS, rater=f"rater{number}", success_frame=number)
        lines = stores[0].since()
    assert len(lines) == 8 + is_old
    assert [line.id for line in lines] == list(range(1, len(lines) + 1))
    if is_old:
        assert (lines[0].note, lines[0].success_frame, lines[0].request_id) == ("dropped", None, "")


def test_a_database_belongs_to_one_project(store, address):
    store.claim("1234")
    with closing(OutcomeStore(address)) as other:
        other.claim("1234")
        with pytest.raises(ProjectError, match=r"another project \(id 1234, not 5678\)"):
            other.claim("5678")


def test_the_store_survives_a_server_that_drops_its_connections(store, server):
    store.judge("a", Outcome.SUCCESS, rater="ann")
    run_sql(
        f"{server}/postgres",
        "SELECT pg_terminate_backend(pid) FROM pg_stat_activity "
        "WHERE backend_type = 'client backend' AND pid <> pg_backend_pid()",
    )
    store.judge("b", Outcome.FAILURE, rater="ann")
    assert store.outcomes() == {"a": Outcome.SUCCESS, "b": Outcome.FAILURE}


def test_a_writer_does_not_wait_for_ever(store, address, monkeypatch):
    monkeypatch.setattr(data.database, "PATIENCE_S", 1)
    with psycopg.connect(address) as other:
        other.execute("LOCK TABLE judgements IN EXCLUSIVE MODE")
        with pytest.raises(ProjectError, match="lock timeout"):
            store.judge("a", Outcome.SUCCESS, rater="ann")
    store.judge("a", Outcome.SUCCESS, rater="ann")


def test_writers_killed_at_any_moment_lose_nothing_they_acknowledged(store, address):
    rng = np.random.default_rng(0)
    acknowledged = {}
    for round_ in range(3):
        pair = [
            subprocess.Popen(
                [sys.executable, "-c", WRITE, address, f"{round_}-{side}"],
                stdout=subprocess.PIPE,
                text=True,
                cwd=ROOT,
            )
            for side in "ab"
        ]
        firsts = [writer.stdout.readline() for writer in pair]
        for writer, first in zip(pair, firsts, strict=True):
            time.sleep(rng.uniform(0.0, 0.1))
            writer.kill()
            rows = (first + writer.stdout.read()).splitlines(keepends=True)
            rater = writer.args[-1]
            acknowledged |= {int(row): rater for row in rows if row.endswith("\n")}
            assert writer.wait() == -signal.SIGKILL
            writer.stdout.close()
    stored = {line.id: line.rater for line in store.since()}
    assert acknowledged.items() <= stored.items()
    assert len(stored) <= len(acknowledged) + 6
    assert list(stored) == list(range(1, len(stored) + 1))
