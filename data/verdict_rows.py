"""A verdict as a row of a file: the columns, and how rows are read back, whoever made the file."""

from __future__ import annotations

import csv
import datetime as dt
import hashlib
import json
import unicodedata
from collections import Counter
from contextlib import contextmanager
from dataclasses import asdict, dataclass, replace
from typing import TYPE_CHECKING, Final

from data.errors import ProjectError, VerdictError
from data.judgement_batch import NewJudgement
from data.schema import Outcome
from data.verdicts import NAME_RULE, SIMULATOR, is_name, is_person, one_spelling

if TYPE_CHECKING:
    from collections.abc import Collection, Iterator, Mapping
    from pathlib import Path

    from data.verdicts import Judgement

COLUMNS: Final = (
    "id",
    "episode_uid",
    "rater",
    "verdict",
    "note",
    "judged_at",
    "success_frame",
    "answers",
    "criteria_version",
    "withdraws",
    "request_id",
)
"""The columns of an exported file, in order. ``verdict`` is empty in a withdrawal."""

TEXTS: Final = ("episode_uid", "rater", "note", "criteria_version", "request_id")
"""The columns of free text."""

_NEEDED: Final = ("episode_uid", "rater", "verdict")
_FORMULA_STARTS: Final = (*"=+-@＝＋－＠", "\t", "\r", "\n", "'")
_NOT_A_FORMULA: Final = "'"


def name_of(line: Judgement) -> str:
    """Return the request_id of a line; one that has none is named after all that it says."""
    when = line.judged_at.isoformat()
    said = [line.id, line.episode_uid, line.rater, line.verdict, line.note, when]
    return line.request_id or _hash(json.dumps(said))


@dataclass(frozen=True, slots=True, kw_only=True)
class Line:
    """One line of a file."""

    place: str
    """Where it stands, for a message."""

    id: int | None
    """Its id in the store that it came from."""

    new: NewJudgement
    """What it says."""


def lines_of(path: Path) -> list[Line]:
    """Read a file, in the order in which its lines were said.

    Every line gets a ``request_id``, and a withdrawal names that of the line it takes back.

    Raises:
        ProjectError: If the file is missing or is not a table with the needed columns.
        VerdictError: If a line cannot be read; the message names file and line.
    """
    read = {".csv": _csv_rows, ".parquet": _parquet_rows}[suffix_of(path)]
    lines: list[Line] = []
    said: Counter[str] = Counter()
    for place, row in read(path):
        with named(path, place):
            lines.append(_line(place, row, said))
    if all(line.id is not None for line in lines):
        lines.sort(key=lambda line: line.id or 0)
    names: dict[int, str] = {}
    resolved = []
    for line in lines:
        new = line.new
        with named(path, line.place):
            if isinstance(new.withdraws, int):
                if new.withdraws not in names:
                    message = (
                        f"It takes back line {new.withdraws}, but no line before it has that id."
                    )
                    raise VerdictError(message)
                new = replace(new, withdraws=names[new.withdraws])
            if line.id in names:
                message = f"The id {line.id} is there twice."
                raise VerdictError(message)
        if line.id is not None:
            names[line.id] = new.request_id
        resolved.append(replace(line, new=new))
    return resolved


def _line(place: str, row: Mapping[str, object], said: Counter[str]) -> Line:
    """Read one row, and give it a name if it has none."""
    text = {name: _text(row.get(name)) for name in (*TEXTS, "verdict", "answers")}
    new = NewJudgement(
        episode_uid=text["episode_uid"],
        rater=text["rater"],
        verdict=_verdict(text["verdict"]),
        note=text["note"],
        success_frame=_whole(row.get("success_frame"), "success_frame"),
        answers=_answers(text["answers"]),
        criteria_version=text["criteria_version"],
        withdraws=_whole(row.get("withdraws"), "withdraws"),
        request_id=text["request_id"],
        judged_at=_time(row.get("judged_at")),
    )
    if not new.episode_uid:
        message = "It names no episode."
        raise VerdictError(message)
    _require_rater(new)
    if not new.request_id:
        new = replace(new, rater=one_spelling(new.rater))
        told = {name: value for name, value in asdict(new).items() if value not in (None, "")}
        content = json.dumps(told, default=str)
        said[content] += 1
        new = replace(new, request_id=_hash(f"{content} {said[content]}"))
    return Line(place=place, id=_whole(row.get("id"), "id"), new=new)


def _require_rater(new: NewJudgement) -> None:
    """Refuse a rater whom the form would refuse.

    An exported line has a request_id, and whoever it names was taken once: the simulator measures,
    and an operator may be called after a login. A line without one was made by hand.
    """
    if is_person(unicodedata.normalize("NFKC", new.rater)):
        if not new.request_id and not is_name(new.rater):
            message = f"'{new.rater[:80]}' cannot be the name of a rater: {NAME_RULE}."
            raise VerdictError(message)
    elif new.rater != SIMULATOR or not new.request_id:
        message = (
            f"'{new.rater}' cannot be the name of a rater: the simulator measures, and what it "
            f"says is told only by a file that `recap export-verdicts` wrote. Write who judged."
        )
        raise VerdictError(message)


def _csv_rows(path: Path) -> Iterator[tuple[str, Mapping[str, object]]]:
    try:
        with path.open(encoding="utf-8-sig", newline="") as file:
            header = file.readline()
            file.seek(0)
            delimiter = ";" if ";" in header and "," not in header else ","
            reader = csv.DictReader(file, delimiter=delimiter, strict=True)
            _require_columns(path, reader.fieldnames or ())
            for row in reader:
                place = f"line {reader.line_num}"
                if None in row or None in row.values():
                    message = f"{path}, {place}: It has not as many values as the first line."
                    raise ProjectError(message)
                yield place, {name: _armed(name, value) for name, value in row.items()}
    except OSError as error:
        message = f"{path} cannot be read ({error.strerror})."
        raise ProjectError(message) from error
    except (csv.Error, UnicodeDecodeError) as error:
        message = f"{path} is not a CSV file in UTF-8 ({error})."
        raise ProjectError(message) from error


def _parquet_rows(path: Path) -> Iterator[tuple[str, Mapping[str, object]]]:
    import pyarrow as pa
    import pyarrow.parquet as pq

    try:
        with path.open("rb") as file:
            table = pq.ParquetFile(file).read()
    except OSError as error:
        message = f"{path} cannot be read ({error.strerror})."
        raise ProjectError(message) from error
    except pa.ArrowInvalid as error:
        message = f"{path} is not a parquet file ({error})."
        raise ProjectError(message) from error
    _require_columns(path, table.column_names)
    for number, row in enumerate(table.to_pylist(), start=1):
        yield f"row {number}", row


def _require_columns(path: Path, columns: Collection[str]) -> None:
    missing = [name for name in _NEEDED if name not in columns]
    if missing:
        message = (
            f"{path} has no column '{missing[0]}'. A table of verdicts needs "
            f"{', '.join(_NEEDED)}, named in its first line."
        )
        raise ProjectError(message)
    unknown = [name for name in columns if name not in COLUMNS]
    if unknown:
        message = (
            f"{path} has a column '{unknown[0]}', which would be lost. Rename it to one of "
            f"{', '.join(COLUMNS)}, or take it out."
        )
        raise ProjectError(message)


def suffix_of(path: Path) -> str:
    """Return ``.csv`` or ``.parquet``.

    Raises:
        ProjectError: If the file is named otherwise.
    """
    suffix = path.suffix.lower()
    if suffix not in {".csv", ".parquet"}:
        message = f"{path} must end in .csv or .parquet, which says what kind of file it is."
        raise ProjectError(message)
    return suffix


@contextmanager
def named(path: Path, place: str) -> Iterator[None]:
    """Say in which line a mistake is."""
    try:
        yield
    except VerdictError as error:
        message = f"{path}, {place}: {error}"
        raise type(error)(message) from error


def _hash(content: str) -> str:
    return hashlib.sha256(content.encode(errors="backslashreplace")).hexdigest()[:32]


def defused(text: str) -> str:
    """Put an apostrophe before a text that a spreadsheet would compute."""
    return _NOT_A_FORMULA + text if text.startswith(_FORMULA_STARTS) else text


def _armed(name: str, value: str) -> str:
    """Take away the apostrophe that `defused` put before a text."""
    isdefused = name in TEXTS and value.startswith(_NOT_A_FORMULA)
    return value[1:] if isdefused and value[1:].startswith(_FORMULA_STARTS) else value


def _text(value: object) -> str:
    return "" if value is None else str(value)


def _verdict(word: str) -> Outcome | None:
    word = word.strip().lower()
    if word and word not in set(Outcome):
        message = f"'{word}' is not a verdict. Write {', '.join(Outcome)}."
        raise VerdictError(message)
    return Outcome(word) if word else None


def _whole(value: object, name: str) -> int | None:
    """Read a whole number; tables with gaps hold them as floats, and gaps as NaN."""
    if value is None or value == "" or value != value:
        return None
    try:
        number = float(str(value))
        if number.is_integer():
            return int(number)
    except ValueError:
        pass
    message = f"{name} must be a whole number or empty, got '{value}'."
    raise VerdictError(message)


def _answers(text: str) -> dict[str, bool] | None:
    if not text:
        return None
    try:
        answers = json.loads(text)
    except json.JSONDecodeError:
        answers = None
    if not isinstance(answers, dict):
        message = f"answers must be JSON like {{\"upright\": true}}, got '{text[:80]}'."
        raise VerdictError(message)
    return answers


def _time(value: object) -> dt.datetime | None:
    if value is None or value == "":
        return None
    try:
        time = value if isinstance(value, dt.datetime) else dt.datetime.fromisoformat(str(value))
    except ValueError as error:
        message = f"judged_at must be a time like 2026-01-31T14:05:00+01:00, got '{value}'."
        raise VerdictError(message) from error
    return time if time.tzinfo else time.replace(tzinfo=dt.UTC)
