"""The table of judgements: its columns, and a judgement as one of its rows."""

from __future__ import annotations

import datetime as dt
import itertools
import json
from typing import TYPE_CHECKING, Any, Final

from sqlalchemy import (
    CheckConstraint,
    Column,
    DateTime,
    Index,
    Integer,
    MetaData,
    String,
    Table,
    inspect,
    select,
    text,
)
from sqlalchemy.schema import CreateColumn, CreateIndex, CreateTable

from data.schema import Outcome
from data.verdicts import Judgement

if TYPE_CHECKING:
    from collections.abc import Iterable

    from sqlalchemy import Connection, Row

    from data.database import Database

_ASKED_AT_ONCE: Final = 500  # values in one query; databases limit them

_metadata = MetaData()
JUDGEMENTS: Final = Table(
    "judgements",
    _metadata,
    # The store numbers the lines itself, while nobody else may write: in the order they appear.
    Column("id", Integer, primary_key=True, autoincrement=False),
    Column("episode_uid", String, nullable=False, index=True),
    Column("rater", String, nullable=False),
    Column("verdict", String, nullable=False),  # empty in a withdrawal
    Column("note", String, nullable=False),
    Column("judged_at", DateTime, nullable=False),  # UTC
    # The columns below came later: a database without them gets them when it is opened.
    Column("success_frame", Integer),
    Column("answers", String),  # JSON
    Column("criteria_version", String, nullable=False, server_default=""),
    Column("withdraws", Integer, index=True),
    Column("request_id", String, nullable=False, server_default=""),
)
_is_named = text("request_id <> ''")
Index(
    "ix_judgements_request_id",
    JUDGEMENTS.c.request_id,
    unique=True,
    sqlite_where=_is_named,
    postgresql_where=_is_named,
)
OWNER: Final = Table(
    "recap_project",
    _metadata,
    Column("id", Integer, CheckConstraint("id = 1"), primary_key=True, autoincrement=False),
    Column("project_id", String, nullable=False),
)


def make_tables(database: Database) -> None:
    """Make the tables, or add what a database made by an older version lacks.

    Raises:
        ProjectError: If the database cannot be used.
    """
    with database.reading() as connection:
        if _is_up_to_date(connection):
            return
    # Two processes may come here at once: the second one finds everything done.
    with database.writing() as connection:
        for table in _metadata.sorted_tables:
            connection.execute(CreateTable(table, if_not_exists=True))
        for column in _missing_columns(connection):
            definition = CreateColumn(column).compile(dialect=connection.dialect)
            connection.exec_driver_sql(f"ALTER TABLE {JUDGEMENTS.name} ADD COLUMN {definition}")
        for index in JUDGEMENTS.indexes:
            connection.execute(CreateIndex(index, if_not_exists=True))


def _is_up_to_date(connection: Connection) -> bool:
    tables = set(inspect(connection).get_table_names())
    if not tables >= set(_metadata.tables) or _missing_columns(connection):
        return False
    indexes = {index["name"] for index in inspect(connection).get_indexes(JUDGEMENTS.name)}
    return indexes >= {index.name for index in JUDGEMENTS.indexes}


def _missing_columns(connection: Connection) -> list[Column[Any]]:
    there = {column["name"] for column in inspect(connection).get_columns(JUDGEMENTS.name)}
    return [column for column in JUDGEMENTS.columns if column.name not in there]


def lines_where(
    connection: Connection, column: Column[Any], values: set[Any]
) -> Iterable[Judgement]:
    """Yield the lines with one of these values in a column, in no order."""
    every = select(JUDGEMENTS)
    if column is JUDGEMENTS.c.request_id:
        every = every.where(_is_named)  # what the index promises, or it could not be used
    for some in itertools.batched(values, _ASKED_AT_ONCE):
        for row in connection.execute(every.where(column.in_(some))):
            yield judgement_of(row)


def row_of(line: Judgement) -> dict[str, object]:
    """Return a line as the values of a row."""
    return {
        "id": line.id,
        "episode_uid": line.episode_uid,
        "rater": line.rater,
        "verdict": "" if line.verdict is None else line.verdict.value,
        "note": line.note,
        "judged_at": line.judged_at.replace(tzinfo=None),
        "success_frame": line.success_frame,
        "answers": None if line.answers is None else json.dumps(line.answers, ensure_ascii=False),
        "criteria_version": line.criteria_version,
        "withdraws": line.withdraws,
        "request_id": line.request_id,
    }


def judgement_of(row: Row[Any]) -> Judgement:
    """Return a row as a line."""
    return Judgement(
        id=row.id,
        episode_uid=row.episode_uid,
        rater=row.rater,
        verdict=Outcome(row.verdict) if row.verdict else None,
        note=row.note,
        judged_at=row.judged_at.replace(tzinfo=dt.UTC),
        success_frame=row.success_frame,
        answers=None if row.answers is None else json.loads(row.answers),
        criteria_version=row.criteria_version,
        withdraws=row.withdraws,
        request_id=row.request_id,
    )
