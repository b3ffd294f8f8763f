"""What happened in an episode, frame by frame: who was in control, and what a lap says of it."""

from __future__ import annotations

import math
import sys
import threading
from dataclasses import dataclass
from itertools import groupby
from typing import TYPE_CHECKING, Any, Final

from data.errors import EpisodeError
from data.schema import PILOT_KEY, EpisodeInfo, Indicator, Pilot, is_correction
from recap.web.schemas import Marks, Segment

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path

    from recap.project import Project

TABLE_PATH: Final = "data/chunk-000/file-000.parquet"
DIGITS: Final = 6
"""Digits after the point of a value or an advantage: more than a pixel, and half the bytes."""

_ROWS_AT_ONCE: Final = 65_536
_MARKS: Final = ("value", "advantage", "indicator")


def import_tables() -> None:
    """Import the library that reads tables, which the functions below import where they use it.

    It costs a quarter of a second, and the form must start at once.
    """
    import pyarrow.parquet  # noqa: F401 - loaded for who comes next


def read_pilots(folder: Path) -> list[Pilot]:
    """Return who was in control of each frame of an episode.

    Raises:
        EpisodeError: If its table is missing or damaged.
    """
    import pyarrow as pa
    import pyarrow.parquet as pq

    try:
        with pq.ParquetFile(folder / TABLE_PATH) as file:
            column = file.read([PILOT_KEY], use_threads=False).column(PILOT_KEY)
        return [Pilot(name) for name in column.to_pylist()]
    except (pa.ArrowException, OSError, KeyError, ValueError) as error:
        message = f"{folder} cannot be shown: its table of frames is missing or damaged."
        raise EpisodeError(message) from error


def segments(info: EpisodeInfo, pilots: Sequence[Pilot]) -> list[Segment]:
    """Cut an episode where control changed hands.

    Args:
        info: The episode as a whole.
        pilots: ``(T,)`` who was in control of each frame.
    """
    cut, start = [], 0
    for pilot, frames in groupby(pilots):
        stop = start + len(list(frames))
        corrects = is_correction(info.source, pilot)
        cut.append(Segment(start=start, stop=stop, pilot=pilot, is_correction=corrects))
        start = stop
    return cut


@dataclass(frozen=True, slots=True, kw_only=True)
class _Stretches:
    """Where the frames of each episode stand in one lap's table."""

    identity: tuple[int, int, int]
    """Inode, size and time of the file: a table that was made anew is read anew."""

    rows: Mapping[str, tuple[int, int]]
    """Uid to the first row and the number of rows."""


class MarkReader:
    """Finds the marks of single episodes in the tables of the laps, without keeping the tables."""

    def __init__(self, project: Project) -> None:
        """Read nothing yet."""
        self._project = project
        self._lock = threading.Lock()
        self._known: dict[int | None, _Stretches] = {}

    def marks(self, info: EpisodeInfo) -> Marks | None:
        """Return what the newest lap that marked an episode says of its frames.

        None where no lap marked it. A table that is damaged, or is of another episode that had
        this name, is passed over: marks are an ornament, and judging goes on without them.
        """
        for iteration in self._laps():
            path = self._project.advantages(iteration)
            try:
                found = self._stretches(iteration, path).rows.get(info.uid)
                if found is None or found[1] != info.frames:
                    continue
                return Marks(iteration=iteration, **_read_rows(path, *found))
            # What pyarrow raises itself is one of the first two.
            except (OSError, ValueError, TypeError, LookupError):
                continue
        return None

    def _laps(self) -> list[int | None]:
        """Return the laps with marks, newest first; pre-training is the oldest."""
        laps = self._project.lap(0).parent
        numbers = [int(lap.name) for lap in laps.glob("[0-9]*") if lap.name.isdecimal()]
        every: list[int | None] = [*sorted(numbers, reverse=True), None]
        return [lap for lap in every if self._project.advantages(lap).is_file()]

    def _stretches(self, iteration: int | None, path: Path) -> _Stretches:
        status = path.stat()
        identity = (status.st_ino, status.st_size, status.st_mtime_ns)
        with self._lock:
            known = self._known.get(iteration)
            if known is None or known.identity != identity:
                known = _Stretches(identity=identity, rows=_find_stretches(path))
                self._known[iteration] = known
            return known


def _find_stretches(path: Path) -> dict[str, tuple[int, int]]:
    """Find the frames of each episode: they stand together, in the order of the training set."""
    import pyarrow.parquet as pq

    starts: dict[str, int] = {}
    stops: dict[str, int] = {}
    row = 0
    with pq.ParquetFile(path) as file:
        batches = file.iter_batches(_ROWS_AT_ONCE, columns=["episode_uid"], use_threads=False)
        for batch in batches:
            for uid, frames in groupby(batch.column(0).to_pylist()):
                starts.setdefault(sys.intern(uid), row)
                row += len(list(frames))
                stops[uid] = row
    return {uid: (start, stops[uid] - start) for uid, start in starts.items()}


def _read_rows(path: Path, start: int, count: int) -> dict[str, Any]:
    """Read the marks of some rows, holding only a part of the table at a time."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    parts, row = [], 0
    with pq.ParquetFile(path) as file:
        for batch in file.iter_batches(_ROWS_AT_ONCE, columns=list(_MARKS), use_threads=False):
            first, last = max(start - row, 0), min(start + count - row, batch.num_rows)
            if first < last:
                parts.append(batch.slice(first, last - first))
            row += batch.num_rows
            if row >= start + count:
                break
    table = pa.Table.from_batches(parts)
    return {
        "value": _rounded(table.column("value").to_pylist()),
        "advantage": _rounded(table.column("advantage").to_pylist()),
        "indicator": [Indicator(name) for name in table.column("indicator").to_pylist()],
    }


def _rounded(numbers: list[float]) -> list[float]:
    if not all(map(math.isfinite, numbers)):
        message = "JSON knows no NaN and no infinity"
        raise ValueError(message)
    return [round(number, DIGITS) for number in numbers]
