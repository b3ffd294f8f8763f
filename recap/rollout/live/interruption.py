"""Ctrl-C, a terminal that goes away, a polite kill: the session ends after the step in progress."""

import signal
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType
from typing import Final

SIGNALS: Final = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)


class Interruption:
    """Whether somebody outside wants the session to end."""

    def __init__(self) -> None:
        self.has_come = False

    def note(self, number: int, frame: FrameType | None) -> None:  # noqa: ARG002 - a handler's
        """Remember the first signal; the second breaks off whatever is going on."""
        if self.has_come:
            raise KeyboardInterrupt
        self.has_come = True


@contextmanager
def noted_interruption() -> Iterator[Interruption]:
    """Note signals instead of being broken off by them.

    Enter it before the terminal is changed: who changes it restores it on these signals, too, and
    hands them on to whoever heard them before.
    """
    interruption = Interruption()
    before = {number: signal.signal(number, interruption.note) for number in SIGNALS}
    try:
        yield interruption
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
