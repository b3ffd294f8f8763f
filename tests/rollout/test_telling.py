"""What the operator sees: drawn on a terminal that is read back, and as plain lines."""

import io
import os
import pty
import select
import sys
from contextlib import contextmanager, suppress
from dataclasses import replace
from types import SimpleNamespace

import pytest
from rich.console import Console

from data.schema import Ending, EpisodeInfo, Outcome, Source
from recap.rollout.live import telling
from recap.rollout.live.attempt import Tally
from recap.rollout.live.clock import Overrun
from recap.rollout.live.handover import Phase
from recap.rollout.live.plan import SessionPlan, SessionResult
from recap.rollout.live.telling import NO_KEYS, Moment, Teller
from recap.rollout.live.view import PlainView, Status, TerminalView, drawing, open_view

STATUS = Status(
    attempt="3 of 20",
    task="put the cube on the pad",
    state="autonomous",
    seconds=12.4,
    limit_s=30.0,
    corrected_s=1.5,
    rate="29.9 Hz",
    outcomes="successes 1",
    disk="9.0 GB left",
)
PLAN = SessionPlan(
    iteration=1,
    episodes=20,
    minutes=0,
    reset_s=0,
    time_limit_steps=300,
    first_seed=0,
    operator="me",
)


class Seen(list):
    """A view that keeps what it is shown."""

    beeps = 0

    def show(self, status):
        self.append(status)

    def beep(self):
        self.beeps += 1


@pytest.fixture
def now(monkeypatch):
    clock = SimpleNamespace(s=1000.0)
    monkeypatch.setattr(telling.time, "monotonic", lambda: clock.s)
    return clock


@pytest.fixture
def seen():
    return Seen()


@pytest.fixture
def tell(make_rig, seen, tmp_path, now):
    """Tell of a moment, a second after the last one, and return what was shown."""

    def make(*, plan=PLAN, **options):
        rig = make_rig(**options)
        teller = Teller(seen, rig, plan, folder=tmp_path)

        def tell(moment, tally=None, result=None, *, after_s=1.0, **others):
            now.s += after_s
            teller.tell(moment, tally or Tally(), result or SessionResult(), **others)
            return seen[-1]

        tell.rig = rig
        return tell

    return make


def test_a_status_says_all_there_is_to_know(tell):
    shown = tell()(Phase.AUTONOMOUS, Tally(steps=124, corrected_steps=15))
    assert (shown.attempt, shown.task, shown.state) == (
        "1 of 20",
        "put the cube on the pad",
        "autonomous",
    )
    assert shown.progress == "12.4 of 30.0 s, 1.5 s corrected"
    assert shown.outcomes == (
        "successes 0, failures 0, discarded 0, interrupted 0; 0 successes an hour"
    )
    assert shown.rate == "0.0 Hz, jitter p99 0.0 ms, 0 late steps"
    assert (shown.warnings, shown.keys) == ((), "the keys")


def test_a_person_without_a_policy_demonstrates(tell):
    shown = tell(with_policy=False)(Phase.CORRECTING, Tally(steps=10))
    assert shown.state == "demonstrating"
    assert shown.progress == "1.0 of 30.0 s"
    assert tell()(Phase.CORRECTING).state == "correcting"


def test_it_is_drawn_twice_a_second_and_at_once_when_the_moment_changes(tell, seen):
    told = tell()
    for after_s in (0.0, 0.2, 0.2, 0.2):
        told(Phase.AUTONOMOUS, after_s=after_s)
    assert len(seen) == 2
    told(Phase.PAUSED, after_s=0.01)
    assert len(seen) == 3


@pytest.mark.parametrize(
    ("moment", "hint"),
    [
        (Phase.AUTONOMOUS, ""),
        (Phase.PAUSED, "space goes on, t takes over"),
        (Phase.ALIGNING, "robot and leader come together: hold the leader"),
        (Moment.RESET, "put the scene back, then press r"),
        (Moment.STOPPED, "it stands still until space lifts the stop"),
        (Moment.LOST, "trying to connect again; q gives up"),
        (Moment.OVER, ""),
    ],
)
def test_the_operator_is_told_what_to_do(tell, moment, hint):
    assert tell()(moment).hint == hint


def test_no_key_is_asked_for_where_none_is_heard(tell):
    told = tell()
    told.rig.controls.help_text = ""
    assert told(Phase.PAUSED).hint == NO_KEYS
    assert told(Phase.AUTONOMOUS).hint == ""


def test_nobody_is_asked_for_a_scene_that_the_robot_lays(tell, monkeypatch):
    told = tell()
    monkeypatch.setattr(type(told.rig.world), "lays_scenes", True)
    assert told(Moment.RESET).hint == "the robot lays the next scene"


def test_the_last_attempt_stays_the_last_one(tell):
    told = tell(plan=replace(PLAN, episodes=2))
    assert told(Moment.OVER, None, SessionResult(uids=["a", "b"])).attempt == "2 of 2"


def test_without_a_number_of_episodes_they_are_counted(tell):
    told = tell(plan=replace(PLAN, episodes=0, minutes=1))
    assert told(Moment.RESET, None, SessionResult(uids=["a", "b"])).attempt == "3"


def test_a_silent_policy_is_told_apart_from_a_silent_leader(tell):
    told = tell()
    for _ in range(9):
        told.rig.safety.apply(None)
    assert told(Phase.AUTONOMOUS).warnings == ("the policy does not answer in time: holding",)
    assert told(Phase.CORRECTING).warnings == ("the leader does not say where to go: holding",)
    assert told(Phase.PAUSED).warnings == ()


def test_trouble_with_the_policy_and_the_reason_given_come_first(tell):
    told = tell()
    told.rig.policy.trouble = (
        "The policy at ws://gpu:8765 cannot be reached: its server was stopped."
    )
    shown = told(Moment.LOST, Tally(concerns={"b", "a"}), warning="The robot was lost.")
    assert shown.warnings == ("The robot was lost.", told.rig.policy.trouble, "a")


@pytest.mark.parametrize(
    ("stage_s", "warning"),
    [
        (0.15, "the loop misses its rate: 'look' took 150 ms of 100 ms"),
        (0.03, "the loop misses its rate of 100 ms: the machine is busy elsewhere"),
    ],
)
def test_a_late_loop_names_the_stage_that_took_the_time_once(tell, stage_s, warning):
    told = tell()
    told.rig.clock.overruns = 2
    told.rig.clock.last_overrun = Overrun(late_s=0.05, stage="look", stage_s=stage_s)
    assert told(Phase.AUTONOMOUS).warnings == (warning,)
    assert told(Phase.AUTONOMOUS).warnings == ()


def test_a_disk_that_is_nearly_full_is_told(tell, monkeypatch):
    free = SimpleNamespace(free=1.9e9)
    monkeypatch.setattr(telling.shutil, "disk_usage", lambda folder: free)
    shown = tell()(Phase.AUTONOMOUS)
    assert (shown.disk, shown.warnings) == ("1.9 GB left", ("the disk is nearly full",))


def info(ending, *, measured_success=None):
    return EpisodeInfo(
        uid="a",
        task="t",
        seed=None,
        source=Source.ROLLOUT,
        iteration=1,
        policy_id="p",
        ending=ending,
        frames=30,
        corrected_frames=10,
        measured_success=measured_success,
    )


def test_what_the_operator_said_counts_before_what_was_measured():
    result = SessionResult(working_s=1800.0)
    result.count(info(Ending.STOPPED, measured_success=False), Outcome.SUCCESS, missed_steps=2)
    result.count(info(Ending.TERMINATED, measured_success=True), None, missed_steps=0)
    result.count(info(Ending.TIME_LIMIT, measured_success=False), None, missed_steps=1)
    result.count(info(Ending.STOPPED), Outcome.DISCARD, missed_steps=0)
    result.count(info(Ending.INTERRUPTED, measured_success=True), None, missed_steps=0)
    result.count(info(Ending.TIME_LIMIT), None, missed_steps=0)
    assert result.in_words() == (
        "successes 2, failures 1, discarded 1, interrupted 1; 4 successes an hour"
    )
    assert (result.frames, result.corrected_frames, result.missed_steps) == (180, 60, 3)
    assert len(result.uids) == 6


def picture(status, width=60):
    console = Console(record=True, width=width, file=io.StringIO())
    console.print(drawing(status))
    return [line.strip() for line in console.export_text().splitlines()]


def test_the_drawing_has_the_state_in_large_and_a_bar_of_the_time():
    lines = picture(replace(STATUS, warnings=("no answer",), hint="wait", keys="q: quit"))
    assert lines[1] == "A U T O N O M O U S"
    assert lines[3] == "wait"
    assert lines[4:] == [
        "attempt  3 of 20",
        "task  put the cube on the pad",
        "recorded  12.4 of 30.0 s, 1.5 s corrected",
        "━━━━━━━━━━━━━━━━╸",
        "so far  successes 1",
        "control  29.9 Hz",
        "disk  9.0 GB left",
        "! no answer",
        "q: quit",
    ]


def test_a_task_in_brackets_is_no_markup():
    assert "task  put [red] on [/pad]" in picture(replace(STATUS, task="put [red] on [/pad]"))


def test_plain_lines_are_written_only_when_something_changes(capsys):
    with PlainView() as view:
        view.show(STATUS)
        view.show(replace(STATUS, seconds=13.0))
        view.show(replace(STATUS, seconds=14.0, warnings=("late by 12 ms",)))
        view.show(replace(STATUS, seconds=15.0))
        view.show(replace(STATUS, seconds=16.0, warnings=("late by 9.5 ms",)))
        view.show(replace(STATUS, state="paused"))
        view.beep()
    assert capsys.readouterr().err.splitlines() == [
        "3 of 20: autonomous, 12.4 of 30.0 s, 1.5 s corrected, successes 1",
        "3 of 20: autonomous, 14.0 of 30.0 s, 1.5 s corrected, successes 1  (late by 12 ms)",
        "3 of 20: paused, 12.4 of 30.0 s, 1.5 s corrected, successes 1",
    ]


def test_a_terminal_gets_pictures_and_anything_else_gets_lines(monkeypatch):
    monkeypatch.setattr(sys.stderr, "isatty", lambda: True, raising=False)
    assert isinstance(open_view(is_audible=True), TerminalView)
    monkeypatch.setattr(sys.stderr, "isatty", lambda: False, raising=False)
    assert isinstance(open_view(is_audible=True), PlainView)


@contextmanager
def terminal():
    """Make standard error a terminal, and yield the end that its window reads."""
    ours, theirs = pty.openpty()
    stream = os.fdopen(theirs, "w")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(sys, "stderr", stream)
        yield ours
    with suppress(OSError):  # the window may be gone
        stream.close()


@pytest.mark.parametrize(("is_audible", "rings"), [(True, 1), (False, 0)])
def test_the_bell_rings_only_if_asked_to(is_audible, rings):
    with terminal() as window, TerminalView(is_audible=is_audible) as view:
        view.beep()
        view.show(STATUS)
        assert select.select([window], [], [], 5)[0]
        assert os.read(window, 4096).count(b"\x07") == rings


def test_a_window_that_was_closed_is_no_reason_to_let_go_of_a_robot():
    with terminal() as window, TerminalView(is_audible=True) as view:
        view.show(STATUS)
        os.close(window)
        view.show(STATUS)
        view.beep()
