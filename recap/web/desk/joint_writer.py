"""Many people's lines in one transaction: whoever comes while one is being written joins the next.

A disk confirms twenty lines as fast as one. So nobody waits for more than the transaction under
way and the one after it, however many write at once.
"""

from __future__ import annotations

import threading
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from data.errors import RecapError

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence


@dataclass(slots=True, kw_only=True, eq=False)
class _Ticket[Line, Stored]:
    """One line on its way."""

    line: Line
    turn: threading.Event = field(default_factory=threading.Event)
    answer: Stored | RecapError | None = None
    is_done: bool = False


class JointWriter[Line, Stored]:
    """Writes lines for many threads, one transaction at a time, in the order they came."""

    def __init__(self, write: Callable[[Sequence[Line]], Sequence[Stored | RecapError]]) -> None:
        """Write with a function that is never called by two threads at once.

        Args:
            write: Takes the lines of one transaction; returns for each line what was stored, or
                why it was not. What it raises as a `RecapError` holds for every line.
        """
        self._write = write
        self._gate = threading.Lock()
        self._waiting: list[_Ticket[Line, Stored]] = []
        self._is_busy = False

    def write(self, line: Line) -> Stored:
        """Write one line, alone or with others; it is stored when this returns.

        Raises:
            RecapError: Why it was not stored.
        """
        ticket: _Ticket[Line, Stored] = _Ticket(line=line)
        with self._gate:
            self._waiting.append(ticket)
            has_to_wait, self._is_busy = self._is_busy, True
        if has_to_wait:
            ticket.turn.wait()  # until somebody wrote it, or it is this thread's turn to write
        if not ticket.is_done:
            self._write_waiting()
        if ticket.answer is None:
            message = "The thread that was writing this line failed."
            raise RuntimeError(message)
        if isinstance(ticket.answer, RecapError):
            raise ticket.answer
        return ticket.answer

    def _write_waiting(self) -> None:
        with self._gate:
            tickets, self._waiting = self._waiting, []
        try:
            answers = self._write([ticket.line for ticket in tickets])
            for ticket, answer in zip(tickets, answers, strict=True):
                ticket.answer = answer
        except RecapError as error:
            for ticket in tickets:
                ticket.answer = error
        finally:
            with self._gate:
                following = self._waiting[0] if self._waiting else None
                self._is_busy = following is not None
            for ticket in tickets:
                ticket.is_done = True
                ticket.turn.set()
            if following is not None:
                following.turn.set()
