"""Sessions in processes of their own: keys of a terminal, signals, and two robots at once."""

import os
import pty
import re
import select
import signal
import subprocess
import sys
import termios
import threading
import time
from pathlib import Path

import pytest

from data.outcomes import OutcomeStore
from data.schema import Ending, Outcome

pytestmark = [pytest.mark.slow, pytest.mark.render]

ROOT = Path(__file__).parents[2]
RATE_HZ = 25
PATIENCE_S = 40.0
ON_A_TERMINAL = """
import os, sys
os.open(os.ttyname(0), os.O_RDWR)  # the leader of a session makes it its own by opening it
from recap.cli import main
sys.exit(main(sys.argv[1:]))
"""
CONTROL_CODES = re.compile(r"\x1b\[[0-9;?]*[A-Za-z]|\x1b[()].|\r")


class Terminal:
    """A session on a terminal, with somebody who reads the screen and types."""

    def __init__(self, words, environment):
        self.ours, self.theirs = self.open_ends = list(pty.openpty())
        self.at_first = termios.tcgetattr(self.theirs)
        self.screen = ""
        self.process = subprocess.Popen(
            [sys.executable, "-c", ON_A_TERMINAL, *words],
            cwd=ROOT,
            env={**environment, "TERM": "xterm-256color", "COLUMNS": "100", "LINES": "40"},
            stdin=self.theirs,
            stdout=self.theirs,
            stderr=self.theirs,
            start_new_session=True,
        )

    def waits_for(self, pattern):
        """Read on until the screen shows something that it has not shown before."""
        until = time.monotonic() + PATIENCE_S
        while time.monotonic() < until:
            found = re.search(pattern, self.screen, re.DOTALL)
            if found:
                self.screen = self.screen[found.end() :]
                return time.monotonic()
            if select.select([self.ours], [], [], 0.1)[0]:
                read = os.read(self.ours, 65536).decode(errors="replace")
                self.screen += CONTROL_CODES.sub("", read)
        message = f"{pattern!r} was never shown; the last was: {self.screen[-2000:]}"
        raise AssertionError(message)

    def shows(self, state, number):
        return self.waits_for(f"{' '.join(state.upper())} .{{0,400}}attempt +{number} of")

    def type(self, keys):
        os.write(self.ours, keys.encode())

    def end(self):
        """Read whatever is still to come, and return the exit code."""
        while self.process.poll() is None:
            if select.select([self.ours], [], [], 0.1)[0]:
                self.screen += os.read(self.ours, 65536).decode(errors="replace")
        return self.process.returncode

    def close_window(self):
        """Close both ends that this process has; the session hears that its terminal is gone."""
        while self.open_ends:
            os.close(self.open_ends.pop())

    def close(self):
        self.process.kill()
        self.process.wait()
        self.close_window()


@pytest.fixture
def terminal(environment):
    opened = []

    def open_(*words):
        opened.append(Terminal([str(word) for word in words], environment))
        return opened[-1]

    yield open_
    for each in opened:
        each.close()


def test_the_keys_of_a_terminal(terminal, settings, project, recorded):
    session = terminal(
        *("collect", *settings, f"--project={project}", "--iteration=0", "--episodes=9"),
        "--controls.teleop_events=false",  # the scripted person holds the leader and says nothing
    )
    for number, key in enumerate("sfx", start=1):
        session.shows("demonstrating", number)
        time.sleep(0.3)
        session.type(key)

    # A pause, then the way of robot and leader to each other, then the stop.
    began_s = session.shows("demonstrating", 4)
    time.sleep(0.3)
    session.type("b")  # there is no policy to hand back to
    session.type("t")  # nor to take over from
    session.type(" ")
    paused_s = session.shows("paused", 4)
    assert termios.tcgetattr(session.theirs) != session.at_first
    time.sleep(1.0)
    session.type(" ")
    goes_on_s = session.shows("demonstrating", 4)
    time.sleep(0.2)
    session.type("e")
    stopped_s = session.shows("stopped", 4)
    session.type("s")  # ends the attempt, but does not lift the stop
    session.shows("stopped", 5)
    time.sleep(0.3)
    session.type("r")  # nor does this
    time.sleep(0.3)
    session.type(" ")
    session.shows("demonstrating", 5)
    time.sleep(0.3)
    session.type("q")
    session.waits_for("S E S S I O N")
    assert session.end() == 0
    assert termios.tcgetattr(session.theirs) == session.at_first

    _, infos = recorded(project)
    assert [info.ending for info in infos] == [Ending.STOPPED] * 4 + [Ending.INTERRUPTED]
    store = OutcomeStore(project / "outcomes.db")
    judged = [store.history(info.uid) for info in infos]
    store.close()
    verdicts = [Outcome.SUCCESS, Outcome.FAILURE, Outcome.DISCARD, Outcome.SUCCESS]
    assert [[j.verdict for j in said] for said in judged] == [[v] for v in verdicts] + [[]]
    assert {j.rater for said in judged for j in said} == {"anna"}
    moving_s = (paused_s - began_s) + (stopped_s - goes_on_s)
    assert goes_on_s - paused_s > 1.0
    assert 0.2 < infos[3].frames / RATE_HZ < moving_s + 0.4


def test_a_window_that_is_closed_ends_the_session_in_order(terminal, settings, project, recorded):
    session = terminal(
        "collect", *settings, f"--project={project}", "--iteration=0", "--episodes=9"
    )
    session.shows("demonstrating", 1)
    time.sleep(0.5)
    arms = children(session.process)
    session.close_window()
    session.process.wait(PATIENCE_S)
    _, (info,) = recorded(project)
    assert info.ending is Ending.INTERRUPTED
    assert list((project / "iterations/0/sessions").glob("*.json"))
    require_gone(arms)


def children(process):
    return Path(f"/proc/{process.pid}/task/{process.pid}/children").read_text().split()


def is_alive(process_id):
    try:
        return Path(f"/proc/{process_id}/stat").read_text().rsplit(")", 1)[1].split()[0] != "Z"
    except FileNotFoundError:
        return False


def require_gone(process_ids, *, seconds=5.0):
    until = time.monotonic() + seconds
    while any(is_alive(each) for each in process_ids):
        assert time.monotonic() < until, f"still there: {process_ids}"
        time.sleep(0.05)


def waits_for(process, words):
    """Read what a session says until it says certain words."""
    watchdog = threading.Timer(PATIENCE_S, process.kill)
    watchdog.start()
    said = ""
    for line in process.stderr:
        said += line
        if words in line:
            watchdog.cancel()
            return
    message = f"{words!r} was never said, but {said}"
    raise AssertionError(message)


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_ends_the_session_in_order(spawn, settings, project, recorded, number):
    session = spawn("collect", *settings, f"--project={project}", "--iteration=0", "--episodes=50")
    waits_for(session, "1 of 50: demonstrating")
    time.sleep(0.5)
    arms = children(session)
    session.send_signal(number)
    said, _ = session.communicate(timeout=20)
    assert session.returncode == 0
    _, (info,) = recorded(project)
    assert info.ending is Ending.INTERRUPTED
    assert said == (
        f"iteration 0, session: 1 episodes, {info.frames} frames (0 corrected)\n"
        f"  0 successes, 0 failures, 0 discarded, 1 interrupted, 0 not judged yet\n"
    )
    assert len(arms) == 1
    require_gone(arms)
    assert list((project / "iterations/0/sessions").glob("*.json"))


def test_a_kill_loses_the_attempt_in_flight_and_nothing_else(spawn, settings, project, recorded):
    words = ("collect", *settings, f"--project={project}", "--iteration=0")
    session = spawn(*words, "--episodes=50")
    waits_for(session, "2 of 50: demonstrating")
    time.sleep(0.5)
    arms = children(session)
    session.kill()
    session.wait()
    store, infos = recorded(project)
    assert len(infos) == 1
    store.verify(infos[0].uid)
    (partial,) = (project / "episodes/.partial").iterdir()
    require_gone(arms)

    again = spawn(*words, "--episodes=1")
    assert again.wait(PATIENCE_S) == 0, again.stderr.read()
    assert not partial.exists()
    store, infos = recorded(project)
    assert len(infos) == 2
    assert infos[1].seed == infos[0].seed + 1  # scenes go on after those of the first session


def test_two_robots_record_into_one_project(spawn, settings, project, recorded):
    from lerobot.datasets.lerobot_dataset import LeRobotDataset

    sessions = [
        spawn(
            *("collect", *settings, f"--project={project}", "--iteration=0", "--episodes=2"),
            *(f"--robot.id={name}", f"--teleop.robot_id={name}"),
        )
        for name in ("left", "right")
    ]
    for session in sessions:
        _, said = session.communicate(timeout=PATIENCE_S)
        assert session.returncode == 0, said
    store, infos = recorded(project)
    assert len(infos) == 4
    for info in infos:
        store.verify(info.uid)
        dataset = LeRobotDataset(f"local/{info.uid}", root=store.root / info.uid)
        assert (len(dataset), dataset.num_episodes) == (info.frames, 1)
        assert dataset[0]["observation.images.front"].shape == (3, 48, 64)
