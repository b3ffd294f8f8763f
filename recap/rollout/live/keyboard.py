"""The keys of a terminal as controls: they work over SSH and need no window system."""

import atexit
import math
import os
import select
import signal
import sys
import termios
import threading
import time
import tty
from collections.abc import Callable, Collection
from dataclasses import dataclass
from types import FrameType
from typing import Any, Final, TextIO

from recap.rollout.live.handover import Event


@dataclass(frozen=True, slots=True, kw_only=True)
class Key:
    """What can be typed, and what it says."""

    typed: str
    """Every character that says it."""

    shown: str
    """How the key is called in the help."""

    event: Event
    """What it says."""

    meaning: str
    """The same in words."""


KEYS: Final = (
    Key(typed=" ", shown="space", event=Event.PAUSE, meaning="pause or go on"),
    Key(typed="t", shown="t", event=Event.TAKE_OVER, meaning="take over"),
    Key(typed="b", shown="b", event=Event.HAND_BACK, meaning="hand back"),
    Key(typed="\t", shown="tab", event=Event.SWAP, meaning="take over or hand back"),
    Key(typed="s", shown="s", event=Event.SUCCESS, meaning="success"),
    Key(typed="f", shown="f", event=Event.FAILURE, meaning="failure"),
    Key(typed="x", shown="x", event=Event.DISCARD, meaning="discard"),
    Key(typed="e!", shown="e or !", event=Event.EMERGENCY_STOP, meaning="emergency stop"),
    Key(typed="r", shown="r", event=Event.READY, meaning="ready, the reset is done"),
    Key(typed="q", shown="q", event=Event.QUIT, meaning="quit"),
)

HELD_WITHIN_S: Final = 0.7
"""A key that comes again so soon may be held down: terminals repeat it after 0.25 to 0.66 s."""

WHEN_HELD: Final = {Event.PAUSE: Event.HALT, Event.SWAP: None}
"""What a toggle says when it comes again so soon, and would undo itself. It may also be a person
who presses twice in alarm, so the second pause pauses, but never goes on."""

ESCAPE: Final = 0x1B
PATIENT_POLLS: Final = 5
"""Polls without a byte after which the rest of an escape sequence is no longer waited for."""

HANDLED_SIGNALS: Final = (signal.SIGTERM, signal.SIGHUP)
"""Signals that end a process without a word; Ctrl-C raises `KeyboardInterrupt` and needs none."""

type Handler = Callable[[int, FrameType | None], Any] | int | None


def keys_help(*, ignored: Collection[str] = ()) -> str:
    """Say in one line what the keys do."""
    known = [key for key in KEYS if not set(key.typed) <= set(ignored)]
    return " · ".join(f"{key.shown}: {key.meaning}" for key in known)


def can_read_keys(stream: TextIO | None) -> bool:
    """Say whether standard input is a terminal, and this process the one that it listens to."""
    if stream is None or stream.closed or not stream.isatty():
        return False
    # A process in the background that changes its terminal is stopped for it.
    return os.tcgetpgrp(stream.fileno()) == os.getpgrp()


class TerminalKeys:
    """Reads single keys from a terminal, and gives the terminal back as it was.

    While it is open the terminal shows nothing that is typed. Ctrl-C still interrupts; Ctrl-Z and
    Ctrl-S do nothing, because a control loop that is suspended cannot hold a robot. The terminal
    is given back by `close`, when Python ends, and on the signals that end a process. Only
    ``kill -9`` leaves it as it is; ``stty sane`` mends that.
    """

    def __init__(
        self,
        descriptor: int | None = None,
        *,
        ignored: Collection[str] = (),
        now: Callable[[], float] = time.monotonic,
    ) -> None:
        """Open the terminal; see `can_read_keys` for whether that is possible.

        Args:
            descriptor: File descriptor of a terminal; standard input if None.
            ignored: Characters that say nothing, because something else types them too.
            now: Returns the time in seconds.
        """
        self._descriptor = sys.stdin.fileno() if descriptor is None else descriptor
        self._now = now
        self._events = {
            ord(character): key.event
            for key in KEYS
            for character in key.typed
            if character not in ignored
        }
        self._sequence = EscapeSequence()
        self._last_heard: dict[Event, float] = {}
        self._process = os.getpid()
        self._is_open = True
        self._before = termios.tcgetattr(self._descriptor)
        self._handlers: dict[signal.Signals, Handler] = {}
        atexit.register(self.close)
        self._watch_signals()
        _read_single_keys(self._descriptor)

    def poll(self) -> list[Event]:
        """Return what was typed since the last call, without waiting."""
        if not self._is_open:
            return []
        readable, _, _ = select.select([self._descriptor], [], [], 0)
        typed = _read(self._descriptor) if readable else b""
        keys = self._sequence.plain_keys(typed)
        said = [self._debounced(self._events[key]) for key in keys if key in self._events]
        return [event for event in said if event is not None]

    def close(self) -> None:
        """Give the terminal back; safe to call twice."""
        atexit.unregister(self.close)
        self._give_back()
        for number, handler in self._handlers.items():
            if signal.getsignal(number) == self._on_signal:
                signal.signal(number, handler)
        self._handlers.clear()

    def _give_back(self) -> None:
        # A process that was forked from this one ends too, but the terminal is still in use.
        if self._is_open and os.getpid() == self._process:
            self._is_open = False
            try:
                termios.tcsetattr(self._descriptor, termios.TCSANOW, self._before)
            except (termios.error, OSError):
                return  # the terminal itself is gone: its window was closed

    def _debounced(self, event: Event) -> Event | None:
        now = self._now()
        before = self._last_heard.get(event, -math.inf)
        self._last_heard[event] = now
        return WHEN_HELD.get(event, event) if now - before < HELD_WITHIN_S else event

    def _watch_signals(self) -> None:
        if threading.current_thread() is not threading.main_thread():
            return  # Python allows it nowhere else
        for number in HANDLED_SIGNALS:
            self._handlers[number] = signal.signal(number, self._on_signal)

    def _on_signal(self, number: int, frame: FrameType | None) -> None:
        self._give_back()
        handler = self._handlers.get(signal.Signals(number))
        if callable(handler):
            handler(number, frame)
        elif handler != signal.SIG_IGN:
            signal.signal(number, signal.SIG_DFL)
            os.kill(os.getpid(), number)


class EscapeSequence:
    """Tells keys apart from the sequences that arrows and function keys send.

    Such a sequence ends with a letter, and F4 would say success. It may come in pieces. The escape
    key alone is one byte, and what is typed after it counts: it could be the emergency stop.
    """

    def __init__(self) -> None:
        """Begin outside of any sequence."""
        self._introduced_by = b""
        self._quiet_polls = 0

    def plain_keys(self, typed: bytes) -> bytes:
        """Return what was typed as lower-case bytes, without any escape sequence."""
        self._quiet_polls = 0 if typed else self._quiet_polls + 1
        if self._quiet_polls > PATIENT_POLLS:
            self._introduced_by = b""
        return bytes(key for key in typed.lower() if not self._swallows(key))

    def _swallows(self, key: int) -> bool:
        if key == ESCAPE:
            self._introduced_by = b"\x1b"
            return True
        if self._introduced_by == b"\x1b":
            is_introducer = key in b"[o"
            self._introduced_by = bytes([key]) if is_introducer else b""
            return is_introducer
        if self._introduced_by:
            is_last = key not in b"[0123456789:;<=>? !\"#$%&'()*+,-./"
            if is_last:
                self._introduced_by = b""
            return True
        return False


def _read(descriptor: int) -> bytes:
    try:
        return os.read(descriptor, 1024)
    except OSError:
        return b""  # the terminal is gone: its window was closed


def _read_single_keys(descriptor: int) -> None:
    tty.setcbreak(descriptor, termios.TCSANOW)
    attributes = termios.tcgetattr(descriptor)
    attributes[0] &= ~termios.IXON  # Ctrl-S would block whoever prints
    attributes[6][termios.VSUSP] = b"\0"  # Ctrl-Z would freeze the control loop
    termios.tcsetattr(descriptor, termios.TCSANOW, attributes)
