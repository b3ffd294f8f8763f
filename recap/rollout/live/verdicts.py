"""What the operator says of the attempts, kept until the database has it."""

import datetime as dt
import uuid
from pathlib import Path

from data.errors import ProjectError
from data.judgement_batch import NewJudgement
from data.outcomes import OutcomeStore
from data.schema import Outcome
from data.verdict_files import export_verdicts
from data.verdicts import Judgement


class OperatorVerdicts:
    """Verdicts of one session. A database that is away ends no session and loses no key."""

    def __init__(self, outcomes: OutcomeStore, *, operator: str) -> None:
        """Say nothing yet."""
        self._outcomes = outcomes
        self._operator = operator
        self._waiting: list[NewJudgement] = []
        self.trouble = ""
        """Why the database has not taken what waits; empty when nothing waits."""

    def say(self, uid: str, verdict: Outcome) -> None:
        """Add the verdict of one attempt, with all that wait."""
        self._waiting.append(
            NewJudgement(
                episode_uid=uid,
                rater=self._operator,
                verdict=verdict,
                request_id=uuid.uuid4().hex,
                judged_at=dt.datetime.now(dt.UTC),
            )
        )
        self.send()

    def send(self) -> None:
        """Try to add what waits; it goes on waiting if that fails."""
        try:
            self._outcomes.add(self._waiting)
        except ProjectError as error:
            self.trouble = str(error)
        else:
            self._waiting, self.trouble = [], ""

    def finish(self, path: Path) -> int:
        """Send what waits for the last time, or write it to a file that can be imported.

        Args:
            path: The file, a ``.csv``; it is made only where something is left.

        Returns:
            How many verdicts the file holds.
        """
        self.send()
        if not self._waiting:
            return 0
        path.parent.mkdir(parents=True, exist_ok=True)
        return export_verdicts(map(_line, range(1, len(self._waiting) + 1), self._waiting), path)


def _line(number: int, new: NewJudgement) -> Judgement:
    return Judgement(
        id=number,
        episode_uid=new.episode_uid,
        rater=new.rater,
        verdict=new.verdict,
        note="",
        judged_at=new.judged_at or dt.datetime.now(dt.UTC),
        request_id=new.request_id,
    )
