"""The outcomes: who judged which episode how, and when. Nothing is ever changed or removed.

A changed mind is a new line, and so is a verdict taken back. Judgements live apart from the
episodes because they come later, from several raters, and may be revised, while an episode never
changes. What the lines mean together is said in `data.verdicts`.
"""

from __future__ import annotations

import datetime as dt
from contextlib import contextmanager
from typing import TYPE_CHECKING

from sqlalchemy import insert, select

from data.database import Database
from data.errors import ProjectError, VerdictError
from data.judgement_batch import Batch, NewJudgement, check
from data.judgement_table import JUDGEMENTS, OWNER, judgement_of, make_tables, row_of
from data.verdicts import LATEST_RULE, Decision, DecisionRule, Judgement, VerdictBook

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence
    from pathlib import Path

    from sqlalchemy import ColumnElement

    from data.schema import Outcome


class OutcomeStore:
    """An append-only table of judgements, in SQLite unless another database is named.

    One store may be used from many threads, and many processes may use one database.
    """

    def __init__(self, location: str | Path) -> None:
        """Open the store; make its tables, or add the columns of today, where needed.

        Args:
            location: A SQLite file, or the address of a database as `data.database` reads it.

        Raises:
            ProjectError: If it is not a database, cannot be reached, or may not be used.
        """
        self._database = Database(location)
        self.name = self._database.name
        """What to call it in a message: the file, or the address without its password."""

        try:
            make_tables(self._database)
        except ProjectError:
            self._database.close()
            raise

    def claim(self, project_id: str) -> None:
        """Make the database that of one project, for good.

        The uids of episodes repeat between projects, so their judgements must not mix.

        Raises:
            ProjectError: If it is another project's.
        """
        with self._database.writing(JUDGEMENTS.name) as connection:
            owner = connection.execute(select(OWNER.c.project_id)).scalar()
            if owner is None:
                connection.execute(insert(OWNER), {"id": 1, "project_id": project_id})
            elif owner != project_id:
                message = (
                    f"{self.name} holds the verdicts of another project (id {owner}, not "
                    f"{project_id}). Give every project a database of its own."
                )
                raise ProjectError(message)

    def add(self, judgements: Sequence[NewJudgement]) -> list[Judgement]:
        """Add lines, all or none; they are on the disk when this returns.

        Returns:
            The lines as stored, in the order given. Where a line of that ``request_id`` was
            there already, it is that line, and nothing was added for it.

        Raises:
            VerdictError: If a line contradicts itself, or reuses the ``request_id`` of another.
            UnknownVerdictError: If a line that is to be withdrawn does not exist.
            ForeignVerdictError: If somebody else gave it.
            WithdrawnVerdictError: If it is withdrawn already, or itself withdraws another.
            ProjectError: If the database cannot be used any more.
        """
        for place, new in enumerate(judgements):
            with _told(place):
                check(new)
        if not judgements:
            return []
        with self._database.writing(JUDGEMENTS.name) as connection:
            batch = Batch(now=dt.datetime.now(dt.UTC))
            batch.read(connection, judgements)
            stored = []
            for place, new in enumerate(judgements):
                with _told(place):
                    stored.append(batch.line(new))
            if batch.added:
                connection.execute(insert(JUDGEMENTS), [row_of(line) for line in batch.added])
        return stored

    def judge(
        self,
        uid: str,
        verdict: Outcome,
        *,
        rater: str,
        note: str = "",
        success_frame: int | None = None,
        request_id: str = "",
    ) -> Judgement:
        """Add the verdict of one episode. An earlier one stays in the history.

        Raises:
            VerdictError: As `add`.
        """
        new = NewJudgement(
            episode_uid=uid,
            rater=rater,
            verdict=verdict,
            note=note,
            success_frame=success_frame,
            request_id=request_id,
        )
        return self.add([new])[0]

    def judge_many(
        self, verdicts: Iterable[tuple[str, Outcome]], *, rater: str, note: str = ""
    ) -> list[Judgement]:
        """Add the verdicts of several episodes, all or none.

        Raises:
            VerdictError: As `add`.
        """
        return self.add(
            [
                NewJudgement(episode_uid=uid, rater=rater, verdict=verdict, note=note)
                for uid, verdict in verdicts
            ]
        )

    def withdraw(self, judgement_id: int, *, rater: str, request_id: str = "") -> Judgement:
        """Take a verdict back; the one before it stands again.

        Raises:
            VerdictError: As `add`.
        """
        new = NewJudgement(rater=rater, withdraws=judgement_id, request_id=request_id)
        return self.add([new])[0]

    def since(self, after_id: int = 0) -> list[Judgement]:
        """Return the lines with a larger id, oldest first.

        Lines become visible in the order of their ids, so whoever goes on asking for what is
        newer than the newest line they know misses none.
        """
        return self._read(JUDGEMENTS.c.id > after_id)

    def history(self, uid: str) -> list[Judgement]:
        """Return every line of an episode, oldest first."""
        return self._read(JUDGEMENTS.c.episode_uid == uid)

    def decisions(self, rule: DecisionRule = LATEST_RULE) -> dict[str, Decision]:
        """Return the decision about every episode for which a verdict stands."""
        book = VerdictBook()
        book.add(self.since())
        return book.decisions(rule)

    def outcomes(self, rule: DecisionRule = LATEST_RULE) -> dict[str, Outcome]:
        """Return the outcome of every decided episode. Absent is undecided, not failed."""
        return {
            uid: decision.outcome
            for uid, decision in self.decisions(rule).items()
            if decision.outcome is not None
        }

    def close(self) -> None:
        """Give the connections back. The store opens new ones when used again."""
        self._database.close()

    def _read(self, condition: ColumnElement[bool]) -> list[Judgement]:
        query = select(JUDGEMENTS).where(condition).order_by(JUDGEMENTS.c.id)
        with self._database.reading() as connection:
            return [judgement_of(row) for row in connection.execute(query)]


@contextmanager
def _told(place: int) -> Iterator[None]:
    """Let a mistake say which of the lines it is about."""
    try:
        yield
    except VerdictError as error:
        error.place = place
        raise
