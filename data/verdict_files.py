"""Verdicts as files: every line of the store as CSV for a spreadsheet, or as parquet.

An exported file holds what the store holds, withdrawals too, so that importing it into an empty
store rebuilds the history. Importing a file twice adds nothing the second time. A table made by
hand needs three columns: ``episode_uid``, ``rater`` and ``verdict``. What the form refuses is
refused there too: a name that nobody may have, the simulator's, a moment after the end. A line with
a ``request_id`` is one that was exported, so its rater, perhaps the simulator, is taken as it is.

In CSV, a text that starts like a formula (``= + - @``, tab, carriage return) or with an apostrophe
gets an apostrophe before it, which keeps a spreadsheet from computing it, and which is taken away
again on import.
"""

from __future__ import annotations

import csv
import io
import json
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from data.errors import ProjectError, VerdictError
from data.files import whole_file
from data.judgement_batch import check, require_same
from data.verdict_rows import COLUMNS, TEXTS, defused, lines_of, name_of, named, suffix_of

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Iterable
    from pathlib import Path

    from data.judgement_batch import NewJudgement
    from data.outcomes import OutcomeStore
    from data.verdicts import Judgement


@dataclass(frozen=True, slots=True, kw_only=True)
class Imported:
    """What an import did."""

    added: int
    """Lines that are new in the store."""

    known: int
    """Lines that were there already."""


def export_verdicts(judgements: Iterable[Judgement], path: Path) -> int:
    """Write lines to a file, whole or not at all; an existing one is replaced.

    Args:
        judgements: The lines, oldest first, as `OutcomeStore.since` returns them.
        path: Where to; the suffix says which kind, ``.csv`` or ``.parquet``.

    Returns:
        How many lines were written.

    Raises:
        ProjectError: If the suffix is another one, or the folder is not there.
    """
    write = {".csv": csv_bytes, ".parquet": parquet_bytes}[suffix_of(path)]
    if not path.parent.is_dir():
        message = (
            f"{path} cannot be written: there is no folder {path.parent}. Make it, or choose "
            f"another."
        )
        raise ProjectError(message)
    lines = list(judgements)
    with whole_file(path) as partial:
        partial.write_bytes(write(lines))
    return len(lines)


def csv_bytes(judgements: Iterable[Judgement]) -> bytes:
    """Return lines as a CSV file in UTF-8, in the columns of `COLUMNS`."""
    text = io.StringIO(newline="")
    writer = csv.DictWriter(text, COLUMNS)
    writer.writeheader()
    for line in judgements:
        row = _row(line)
        row["judged_at"] = line.judged_at.isoformat()
        writer.writerow(row | {name: defused(str(row[name])) for name in TEXTS})
    return text.getvalue().encode()


def parquet_bytes(judgements: Iterable[Judgement]) -> bytes:
    """Return lines as a parquet file, in the columns of `COLUMNS`; empty is null, text is ""."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    types = {
        **dict.fromkeys(COLUMNS, pa.string()),
        **dict.fromkeys(("id", "success_frame", "withdraws"), pa.int64()),
        "judged_at": pa.timestamp("us", tz="UTC"),
    }
    rows = [_row(line) for line in judgements]
    content = pa.BufferOutputStream()
    pq.write_table(pa.Table.from_pylist(rows, schema=pa.schema(types.items())), content)
    written: bytes = content.getvalue().to_pybytes()
    return written


def import_verdicts(
    path: Path,
    store: OutcomeStore,
    *,
    known_uids: Collection[str] | None,
    frames_of: Callable[[str], int | None] | None = None,
) -> Imported:
    """Add the lines of a file, all or none; those that the store has already are not added again.

    Lines are added in the order of their ``id``, or in that of the file where there is none, and
    count as later than everything in the store. A line without a ``request_id`` gets one that
    follows from what it says and from how many lines before it say the same, so a table made by
    hand may grow and be imported again. A time without a zone is taken for UTC.

    Args:
        path: A ``.csv`` or ``.parquet`` file.
        store: Where to.
        known_uids: The project's episodes; None takes any.
        frames_of: Tells how many frames an episode has, or None where that cannot be read; it is
            asked only about moments of success. Without it any moment is taken.

    Raises:
        ProjectError: If the file is missing or is not a table with the needed columns.
        VerdictError: If a line cannot be; the message names file and line.
    """
    lines = lines_of(path)
    there = store.since()
    newest = there[-1].id if there else 0
    # Verdicts from before there were requests have no name in the store, only in exported files.
    nameless = {name_of(line): line for line in there if not line.request_id}
    places: list[str] = []
    new: list[NewJudgement] = []
    for line in lines:
        with named(path, line.place):
            _require_episode(line.new.episode_uid, known_uids)
            if frames_of is not None:
                _require_moment(line.new, frames_of)
            if line.new.request_id in nameless:
                check(line.new)
                require_same(nameless[line.new.request_id], line.new)
                continue
        target = nameless.get(str(line.new.withdraws))
        new.append(line.new if target is None else replace(line.new, withdraws=target.id))
        places.append(line.place)
    try:
        stored = store.add(new)
    except VerdictError as error:
        message = f"{path}, {places[error.place or 0]}: {error}"
        raise type(error)(message) from error
    added = sum(line.id > newest for line in stored)
    return Imported(added=added, known=len(lines) - added)


def _row(line: Judgement) -> dict[str, object]:
    answers = None if line.answers is None else json.dumps(dict(line.answers), ensure_ascii=False)
    return {
        "id": line.id,
        "episode_uid": line.episode_uid,
        "rater": line.rater,
        "verdict": None if line.verdict is None else line.verdict.value,
        "note": line.note,
        "judged_at": line.judged_at,
        "success_frame": line.success_frame,
        "answers": answers,
        "criteria_version": line.criteria_version,
        "withdraws": line.withdraws,
        "request_id": name_of(line),
    }


def _require_episode(uid: str, known_uids: Collection[str] | None) -> None:
    if known_uids is not None and uid not in known_uids:
        message = f"The project has no episode '{uid}'."
        raise VerdictError(message)


def _require_moment(new: NewJudgement, frames_of: Callable[[str], int | None]) -> None:
    if new.success_frame is None or new.verdict is None:
        return
    frames = frames_of(new.episode_uid)
    if frames is not None and not 0 <= new.success_frame < frames:
        message = (
            f"The moment of success must be a frame of the episode, 0 to {frames - 1}, got "
            f"{new.success_frame}."
        )
        raise VerdictError(message)
