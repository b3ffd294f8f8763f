"""What the operator sees while the robot works: one picture of the session, redrawn in place."""

import re
import sys
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass
from types import TracebackType
from typing import Final, Protocol, Self

from rich.align import Align
from rich.console import Console, Group, RenderableType
from rich.live import Live
from rich.padding import Padding
from rich.progress_bar import ProgressBar
from rich.table import Table
from rich.text import Text

STATE_STYLES: Final[Mapping[str, str]] = {
    "autonomous": "bold white on dark_green",
    "demonstrating": "bold white on dark_magenta",
    "correcting": "bold white on dark_magenta",
    "aligning": "bold black on yellow3",
    "paused": "bold black on yellow3",
    "reset": "bold white on blue3",
    "stopped": "bold white on red3",
    "lost": "bold white on red3",
}
"""A band in a colour of its own tells the state from further away than any letter."""

OTHER_STATE_STYLE: Final = "bold black on grey70"
_NUMBERS: Final = re.compile(r"[\d.,]+")


@dataclass(frozen=True, slots=True, kw_only=True)
class Status:
    """What there is to see of a session at one moment."""

    attempt: str
    """Which attempt of how many."""

    task: str
    """The instruction."""

    state: str
    """Who is in control, or what is waited for."""

    seconds: float
    """Seconds of the attempt that are recorded."""

    limit_s: float
    """Seconds after which it ends."""

    corrected_s: float | None
    """Seconds of it in which a person corrected; None where there is no policy to correct."""

    rate: str
    """The control rate and how steady it is."""

    outcomes: str
    """How the attempts so far ended."""

    disk: str
    """Space that is left."""

    warnings: tuple[str, ...] = ()
    """What the operator should know now, the most important first."""

    hint: str = ""
    """What the operator is expected to do now, possibly nothing."""

    keys: str = ""
    """What may be typed."""

    @property
    def progress(self) -> str:
        """How much of the attempt is recorded, in words."""
        corrected = "" if self.corrected_s is None else f", {self.corrected_s:.1f} s corrected"
        return f"{self.seconds:.1f} of {self.limit_s:.1f} s{corrected}"


class View(Protocol):
    """Shows how a session goes."""

    def show(self, status: Status) -> None:
        """Draw a status; cheap enough to be called between two control steps."""
        ...

    def beep(self) -> None:
        """Ask for the operator's attention."""
        ...


class TerminalView:
    """Redraws a picture on a terminal, from the control loop itself.

    A thread that draws would take the interpreter from the control loop at any moment; drawn by
    the loop, it falls into the time that is left before the next step. A terminal that is gone,
    because its window was closed, is no reason to let go of a robot: then nothing is drawn.
    """

    def __init__(self, *, is_audible: bool) -> None:
        self._console = Console(stderr=True)
        self._live = Live(console=self._console, auto_refresh=False, transient=False)
        self._is_audible = is_audible

    def __enter__(self) -> Self:
        """Begin to draw."""
        self._live.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """Leave the last status standing."""
        with suppress(OSError):
            self._live.stop()

    def show(self, status: Status) -> None:
        """Draw a status."""
        with suppress(OSError):
            self._live.update(drawing(status), refresh=True)

    def beep(self) -> None:
        """Ring the terminal's bell, if asked to."""
        if self._is_audible:
            with suppress(OSError):
                self._console.bell()


class PlainView:
    """Writes a line when something changes, where there is no terminal."""

    def __init__(self) -> None:
        self._at = ("", "")
        self._warned: set[str] = set()

    def __enter__(self) -> Self:
        """Nothing to prepare."""
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """Nothing to clear up."""

    def show(self, status: Status) -> None:
        """Write what changed: another attempt or state, or a warning that is new in it."""
        at = (status.attempt, status.state)
        # The same words with other numbers are the same warning.
        kinds = {_NUMBERS.sub("#", warning) for warning in status.warnings}
        if at != self._at:
            self._at, self._warned = at, set()
        elif kinds <= self._warned:
            return
        self._warned |= kinds
        warning = f"  ({'; '.join(status.warnings)})" if status.warnings else ""
        sys.stderr.write(
            f"{status.attempt}: {status.state}, {status.progress}, {status.outcomes}{warning}\n"
        )

    def beep(self) -> None:
        """Stay silent."""


def open_view(*, is_audible: bool) -> TerminalView | PlainView:
    """Draw on a terminal; write lines into anything else."""
    return TerminalView(is_audible=is_audible) if sys.stderr.isatty() else PlainView()


def drawing(status: Status) -> RenderableType:
    """Draw a status: what matters most is largest, and what is asked for stands below it."""
    style = STATE_STYLES.get(status.state, OTHER_STATE_STYLE)
    band = Padding(Align.center(Text(" ".join(status.state.upper()))), (1, 0), style=style)
    table = Table.grid(padding=(0, 2))
    table.add_column(style="dim", justify="right")
    table.add_column()
    table.add_row("attempt", Text(status.attempt, style="bold"))
    table.add_row("task", Text(status.task))
    table.add_row("recorded", status.progress)
    table.add_row("", ProgressBar(total=status.limit_s, completed=status.seconds, width=40))
    table.add_row("so far", status.outcomes)
    table.add_row("control", status.rate)
    table.add_row("disk", status.disk)
    return Group(
        band,
        Text(status.hint, style="bold", justify="center"),
        table,
        *(Text(f"! {warning}", style="bold red") for warning in status.warnings),
        Text(status.keys, style="dim"),
    )
