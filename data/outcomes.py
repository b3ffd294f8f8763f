"""The outcomes: who judged which episode how, and when. Nothing is ever changed or removed.

A changed mind is a new line; the latest line of an episode counts. Judgements live apart from the
episodes because they come later, from several raters, and may be revised, while an episode never
changes.
"""

from __future__ import annotations

import datetime as dt
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from sqlalchemy import (
    Column,
    DateTime,
    Integer,
    MetaData,
    Row,
    String,
    Table,
    create_engine,
    event,
    func,
    insert,
    select,
)
from sqlalchemy.exc import DatabaseError
from sqlalchemy.schema import CreateIndex, CreateTable

from data.errors import ProjectError
from data.schema import Outcome

if TYPE_CHECKING:
    from collections.abc import Iterable
    from typing import Any

_BUSY_TIMEOUT_MS = 30_000

_metadata = MetaData()
_judgements = Table(
    "judgements",
    _metadata,
    Column("id", Integer, primary_key=True, autoincrement=True),
    Column("episode_uid", String, nullable=False, index=True),
    Column("rater", String, nullable=False),
    Column("verdict", String, nullable=False),
    Column("note", String, nullable=False),
    Column("judged_at", DateTime, nullable=False),  # UTC
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Judgement:
    """One line of the store."""

    episode_uid: str
    """The episode that was judged."""

    rater: str
    """Who judged: a person's name, or the simulator's."""

    verdict: Outcome
    """Success, failure, or to be left out."""

    note: str
    """What the rater wanted to add, possibly nothing."""

    judged_at: dt.datetime
    """When, in UTC."""


class OutcomeStore:
    """An append-only table of judgements, in SQLite unless another database is named."""

    def __init__(self, location: str | Path) -> None:
        """Open the store and make its table when needed.

        Args:
            location: A SQLite file, or any SQLAlchemy URL.

        Raises:
            ProjectError: If the file is not a database.
        """
        url = f"sqlite:///{location}" if isinstance(location, Path) else location
        if isinstance(location, Path):
            location.parent.mkdir(parents=True, exist_ok=True)
        self._engine = create_engine(url)
        if self._engine.dialect.name == "sqlite":
            event.listen(self._engine, "connect", _prepare_sqlite)
        try:
            self._make_table()
        except DatabaseError as error:
            self._engine.dispose()
            message = f"{location} cannot be used as a store of outcomes ({error.orig})."
            raise ProjectError(message) from error

    def _make_table(self) -> None:
        """Make the table unless it is there; two processes may open a new store at once."""
        with self._engine.begin() as connection:
            connection.execute(CreateTable(_judgements, if_not_exists=True))
            for index in _judgements.indexes:
                connection.execute(CreateIndex(index, if_not_exists=True))

    def judge(self, uid: str, verdict: Outcome, *, rater: str, note: str = "") -> None:
        """Add the judgement of one episode. An earlier one stays in the history."""
        self.judge_many([(uid, verdict)], rater=rater, note=note)

    def judge_many(
        self, verdicts: Iterable[tuple[str, Outcome]], *, rater: str, note: str = ""
    ) -> None:
        """Add the judgements of several episodes, all or none."""
        now = dt.datetime.now(dt.UTC).replace(tzinfo=None)
        rows = [
            {
                "episode_uid": uid,
                "rater": rater,
                "verdict": Outcome(verdict).value,
                "note": note,
                "judged_at": now,
            }
            for uid, verdict in verdicts
        ]
        if rows:
            with self._engine.begin() as connection:
                connection.execute(insert(_judgements), rows)

    def latest(self) -> dict[str, Outcome]:
        """Return the outcome of every judged episode. Absent means unjudged, not failed.

        The latest is the line added last, whatever the clocks of the raters say.
        """
        newest = select(func.max(_judgements.c.id)).group_by(_judgements.c.episode_uid)
        query = select(_judgements.c.episode_uid, _judgements.c.verdict).where(
            _judgements.c.id.in_(newest)
        )
        with self._engine.connect() as connection:
            return {uid: Outcome(verdict) for uid, verdict in connection.execute(query)}

    def history(self, uid: str) -> list[Judgement]:
        """Return every judgement of an episode, oldest first."""
        query = (
            select(_judgements).where(_judgements.c.episode_uid == uid).order_by(_judgements.c.id)
        )
        with self._engine.connect() as connection:
            return [_judgement(row) for row in connection.execute(query)]

    def close(self) -> None:
        """Give the connections back. The store opens new ones when used again."""
        self._engine.dispose()


def _judgement(row: Row[Any]) -> Judgement:
    return Judgement(
        episode_uid=row.episode_uid,
        rater=row.rater,
        verdict=Outcome(row.verdict),
        note=row.note,
        judged_at=row.judged_at.replace(tzinfo=dt.UTC),
    )


def _prepare_sqlite(connection: Any, _record: object) -> None:  # noqa: ANN401 - the driver's own
    """Let readers and a writer work at once, and a second writer wait for the first."""
    cursor = connection.cursor()
    cursor.execute(f"PRAGMA busy_timeout = {_BUSY_TIMEOUT_MS}")
    cursor.execute("PRAGMA journal_mode = WAL")
    cursor.execute("PRAGMA synchronous = FULL")
    cursor.close()
