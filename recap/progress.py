"""Say how far long work has come: bars on a terminal, a line now and then elsewhere."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Final, Protocol, TextIO

SECONDS_BETWEEN_LINES: Final = 10.0


class Progress(Protocol):
    """How far one piece of work has come."""

    def update(self, done: int, total: int, note: str = "") -> None:
        """Say that ``done`` of ``total`` are finished, and the number that matters just now."""
        ...


class ProgressFactory(Protocol):
    """Begin to show a piece of work: ``progress("train-value").update(20, 400, "loss 3.1")``."""

    def __call__(self, title: str) -> Progress:
        """Show a new piece of work under its title."""
        ...


class PlainProgress:
    """A line of text when work begins, about every ten seconds, and when it is finished."""

    def __init__(
        self, title: str, stream: TextIO, *, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self._title = title
        self._stream = stream
        self._clock = clock
        self._began = clock()
        self._last_line: float | None = None

    def update(self, done: int, total: int, note: str = "") -> None:
        """Write a line if the last one is long enough ago, or the work is finished."""
        now = self._clock()
        is_due = self._last_line is None or now - self._last_line >= SECONDS_BETWEEN_LINES
        if not is_due and done < total:
            return
        self._last_line = now
        words = f"{self._title}: {done}/{total}  {now - self._began:.0f} s  {note}".rstrip()
        self._stream.write(words + "\n")
        self._stream.flush()


class SilentProgress:
    """Nothing to see: for tests, and for work inside other work."""

    def update(self, done: int, total: int, note: str = "") -> None:
        """Say nothing."""


def silent(title: str) -> Progress:  # noqa: ARG001 - the protocol's signature
    """Show nothing."""
    return SilentProgress()


@dataclass(slots=True)
class WatchedProgress:
    """Pass every update on, and let somebody else know that work goes on."""

    inner: Progress
    watch: Callable[[], None]

    def update(self, done: int, total: int, note: str = "") -> None:
        """Pass the update on and call the watcher."""
        self.watch()
        self.inner.update(done, total, note)


def watched(progress: ProgressFactory, watch: Callable[[], None]) -> ProgressFactory:
    """Show work as ``progress`` does and call ``watch`` at every update."""
    return lambda title: WatchedProgress(progress(title), watch)


@contextmanager
def show_progress(stream: TextIO | None = None) -> Iterator[ProgressFactory]:
    """Show progress in the way that suits the stream, standard error by default."""
    chosen = sys.stderr if stream is None else stream
    if not chosen.isatty():
        yield lambda title: PlainProgress(title, chosen)
        return
    with _bars(chosen) as factory:
        yield factory


@contextmanager
def _bars(stream: TextIO) -> Iterator[ProgressFactory]:
    from rich import progress as rich_progress
    from rich.console import Console

    display = rich_progress.Progress(
        rich_progress.TextColumn("{task.description}"),
        rich_progress.BarColumn(),
        rich_progress.MofNCompleteColumn(),
        rich_progress.TimeElapsedColumn(),
        rich_progress.TextColumn("{task.fields[note]}"),
        console=Console(file=stream),
    )

    @dataclass(slots=True)
    class Bar:
        task: rich_progress.TaskID

        def update(self, done: int, total: int, note: str = "") -> None:
            display.update(self.task, completed=done, total=total, note=note)

    with display:
        yield lambda title: Bar(display.add_task(title, total=None, note=""))
