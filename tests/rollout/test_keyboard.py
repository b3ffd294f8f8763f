"""The keys of a terminal, typed into a real one."""

import os
import select
import signal
import subprocess
import sys
import termios
import time
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from recap.rollout.live.handover import Event
from recap.rollout.live.keyboard import (
    HELD_WITHIN_S,
    KEYS,
    PATIENT_POLLS,
    EscapeSequence,
    TerminalKeys,
    can_read_keys,
    keys_help,
)

ROOT = Path(__file__).parents[2]


class Terminal:
    """Both ends of a terminal: what a person types, and what a program reads."""

    def __init__(self):
        self.person, self.program = os.openpty()
        self.at_first = self.settings()
        self.now_s = 1000.0

    def settings(self):
        return termios.tcgetattr(self.program)

    def open(self, **others):
        return TerminalKeys(self.program, now=lambda: self.now_s, **others)

    def type(self, keys, typed):
        """Type, and return what the keys say once it has arrived."""
        os.write(self.person, typed)
        if not select.select([self.program], [], [], 5)[0]:
            message = "what was typed never arrived"
            raise TimeoutError(message)
        return keys.poll()

    def close(self):
        for descriptor in (self.person, self.program):
            os.close(descriptor)


@pytest.fixture
def terminal():
    terminal = Terminal()
    yield terminal
    terminal.close()


@pytest.fixture
def keys(terminal):
    keys = terminal.open()
    yield keys
    keys.close()


@pytest.mark.parametrize(
    ("typed", "events"),
    [
        (b" ", [Event.PAUSE]),
        (b"t", [Event.TAKE_OVER]),
        (b"b", [Event.HAND_BACK]),
        (b"\t", [Event.SWAP]),
        (b"s", [Event.SUCCESS]),
        (b"f", [Event.FAILURE]),
        (b"x", [Event.DISCARD]),
        (b"e", [Event.EMERGENCY_STOP]),
        (b"!", [Event.EMERGENCY_STOP]),
        (b"r", [Event.READY]),
        (b"q", [Event.QUIT]),
        (b"E", [Event.EMERGENCY_STOP]),  # with the shift lock on
        (b"tb", [Event.TAKE_OVER, Event.HAND_BACK]),
        (b"\n1z\xc3\xa9", []),
        (b"\x13\x1a", []),  # Ctrl-S and Ctrl-Z
        (b"\x1b[A\x1b[1;5E\x1b[200~", []),  # arrow up, Ctrl with the middle of the number pad
        (b"\x1bOS\x1b[[E", []),  # F4, and F5 of a Linux console
        (b"\x1bOSs", [Event.SUCCESS]),
    ],
)
def test_a_key_says_what_the_help_says(terminal, keys, typed, events):
    assert terminal.type(keys, typed) == events
    assert keys.poll() == []


def test_a_sequence_that_comes_in_pieces_is_still_one(terminal, keys):
    assert terminal.type(keys, b"\x1b") == []
    assert terminal.type(keys, b"O") == []
    assert keys.poll() == []
    assert terminal.type(keys, b"S") == []
    assert terminal.type(keys, b"s") == [Event.SUCCESS]


def test_the_escape_key_does_not_swallow_an_emergency_stop(terminal, keys):
    assert terminal.type(keys, b"\x1b") == []
    assert terminal.type(keys, b"e") == [Event.EMERGENCY_STOP]


def test_the_rest_of_a_sequence_is_not_waited_for_forever(terminal, keys):
    assert terminal.type(keys, b"\x1b[") == []
    for _ in range(PATIENT_POLLS + 1):
        assert keys.poll() == []
    assert terminal.type(keys, b"e") == [Event.EMERGENCY_STOP]


@given(st.lists(st.integers(0x30, 0x3F), max_size=4).map(bytes), st.integers(0x40, 0x7E))
def test_no_sequence_of_the_standard_is_taken_for_keys(parameters, last):
    # ESC [ [ is what a Linux console puts before one more letter.
    if last != ord("["):
        sequence = b"\x1b[" + parameters + bytes([last])
        assert EscapeSequence().plain_keys(sequence + b"s") == b"s"


def test_a_pause_key_that_is_held_down_pauses_and_never_goes_on(terminal, keys):
    assert terminal.type(keys, b" ") == [Event.PAUSE]
    terminal.now_s += 0.5  # the terminal begins to repeat
    assert terminal.type(keys, b" ") == [Event.HALT]
    for _ in range(60):
        terminal.now_s += 0.03
        assert terminal.type(keys, b" ") == [Event.HALT]
    terminal.now_s += HELD_WITHIN_S
    assert terminal.type(keys, b" ") == [Event.PAUSE]


def test_a_swap_key_that_is_held_down_swaps_once(terminal, keys):
    assert terminal.type(keys, b"\t\t\t") == [Event.SWAP]
    assert terminal.type(keys, b"ee") == [Event.EMERGENCY_STOP] * 2


def test_keys_that_something_else_types_too_say_nothing(terminal):
    keys = terminal.open(ignored="ab")
    assert terminal.type(keys, b"bt") == [Event.TAKE_OVER]
    keys.close()


def test_nothing_typed_is_shown_and_the_loop_cannot_be_frozen(terminal, keys):
    flags = terminal.settings()
    assert not flags[3] & (termios.ECHO | termios.ICANON)
    assert flags[3] & termios.ISIG  # Ctrl-C still interrupts
    assert flags[6][termios.VSUSP] == b"\0"
    assert not flags[0] & termios.IXON


def test_closing_gives_the_terminal_back_as_it_was(terminal):
    handler = signal.getsignal(signal.SIGTERM)
    keys = terminal.open()
    assert terminal.settings() != terminal.at_first
    keys.close()
    keys.close()
    assert terminal.settings() == terminal.at_first
    assert signal.getsignal(signal.SIGTERM) == handler
    assert keys.poll() == []


def test_closing_leaves_a_handler_alone_that_somebody_set_later(terminal):
    before = signal.getsignal(signal.SIGTERM)
    keys = terminal.open()
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    keys.close()
    assert signal.getsignal(signal.SIGTERM) == signal.SIG_IGN
    signal.signal(signal.SIGTERM, before)


def test_a_window_that_was_closed_is_a_silent_one(terminal, keys):
    os.close(terminal.person)
    assert keys.poll() == []
    terminal.person = os.dup(terminal.program)  # something to close


def test_the_help_names_every_key_that_counts():
    words = keys_help()
    for key in KEYS:
        assert f"{key.shown}: {key.meaning}" in words
    assert "hand back · " in words
    assert "b: hand back" not in keys_help(ignored="abc")


def test_no_character_says_two_things():
    typed = "".join(key.typed for key in KEYS)
    assert len(set(typed)) == len(typed)


def test_keys_are_read_from_a_terminal_in_the_foreground_only(terminal, tmp_path, monkeypatch):
    file = tmp_path / "typed"
    file.touch()
    with file.open() as stream:
        assert not can_read_keys(stream)
    assert not can_read_keys(stream)
    assert not can_read_keys(None)
    with os.fdopen(os.dup(terminal.program)) as stream:
        monkeypatch.setattr(os, "tcgetpgrp", lambda _: os.getpgrp())
        assert can_read_keys(stream)
        monkeypatch.setattr(os, "tcgetpgrp", lambda _: os.getpgrp() + 1)
        assert not can_read_keys(stream)


PROGRAM = """
import os, signal, sys, time
sys.path.insert(0, {root!r})
signal.signal(signal.SIGHUP, signal.SIG_DFL)  # whoever runs the tests may be run by nohup
from recap.rollout.live.keyboard import TerminalKeys
{before}
keys = TerminalKeys({descriptor})
print("open", flush=True)
{after}
time.sleep(30)
"""
FORK = """
if os.fork() == 0:
    os.kill(os.getpid(), signal.SIGTERM)
    time.sleep(30)
os.wait()
print("the child is gone", flush=True)
time.sleep(30)
"""
TIDY = """
def tidy(number, frame):
    print("tidied up", flush=True)
    raise SystemExit(3)
signal.signal(signal.SIGTERM, tidy)
"""


def start(terminal, *, before="", after=""):
    program = PROGRAM.format(
        root=str(ROOT), descriptor=terminal.program, before=before, after=after
    )
    child = subprocess.Popen(
        [sys.executable, "-c", program],
        pass_fds=[terminal.program],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
    )
    assert child.stdout is not None
    assert child.stdout.readline() == "open\n"
    return child


def end(child):
    output, errors = child.communicate(timeout=20)
    return child.returncode, output, errors


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGHUP])
def test_a_process_that_is_killed_gives_the_terminal_back(terminal, number):
    child = start(terminal)
    assert terminal.settings() != terminal.at_first
    child.send_signal(number)
    assert end(child)[0] == -number
    assert terminal.settings() == terminal.at_first


def test_a_process_that_fails_gives_the_terminal_back(terminal):
    child = start(terminal, after="1 / 0")
    code, _, errors = end(child)
    assert code == 1
    assert "ZeroDivisionError" in errors
    assert terminal.settings() == terminal.at_first


def test_whoever_watched_the_signal_before_hears_it_too(terminal):
    child = start(terminal, before=TIDY)
    child.send_signal(signal.SIGTERM)
    assert end(child) == (3, "tidied up\n", "")
    assert terminal.settings() == terminal.at_first


def test_a_fork_that_ends_leaves_the_terminal_to_its_parent(terminal):
    child = start(terminal, after=FORK)
    assert child.stdout.readline() == "the child is gone\n"
    assert terminal.settings() != terminal.at_first
    child.send_signal(signal.SIGTERM)
    end(child)
    assert terminal.settings() == terminal.at_first


def test_polling_an_idle_terminal_takes_no_time(keys):
    began = time.perf_counter()
    for _ in range(100):
        keys.poll()
    assert time.perf_counter() - began < 0.5
