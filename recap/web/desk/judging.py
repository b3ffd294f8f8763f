"""The verdicts of a project while people give them: kept in memory, written through, up to date.

Everything that was written down, here or by another process, is in the book within a second.
Nothing is in the book that is not on the disk.
"""

from __future__ import annotations

import datetime as dt
import threading
import time
from collections import defaultdict, deque
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import TYPE_CHECKING, Final

from data.errors import RecapError, UnknownVerdictError, VerdictError
from data.judgement_batch import NewJudgement
from data.schema import Outcome
from data.verdicts import UNDECIDED, Decision, Judgement, VerdictBook
from recap.web.desk.joint_writer import JointWriter

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from data.criteria import Criteria
    from data.outcomes import OutcomeStore
    from data.verdicts import DecisionRule

ASK_EVERY_S: Final = 0.25
"""How often the store is asked for what other processes wrote, at most."""

PACE_OVER: Final = dt.timedelta(minutes=10)
MOST_PACED: Final = 500
"""Verdicts of one person that are remembered for their pace."""


class ConflictError(VerdictError):
    """A verdict that was right when its form was opened, and is not any more."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Standing:
    """What is said of one episode now."""

    decision: Decision
    """What the project's rule makes of it."""

    verdicts: Mapping[str, Outcome] = field(default_factory=lambda: MappingProxyType({}))
    """Rater to their standing verdict, the simulator's among them."""


NOTHING_SAID: Final = Standing(decision=UNDECIDED)


@dataclass(frozen=True, slots=True, kw_only=True)
class Added:
    """What became of a line that was to be added."""

    line: Judgement
    """The line as it is stored."""

    is_new: bool
    """Whether it was added now; it is not when the same request came before."""


class Judging:
    """All verdicts of one project. It is safe to use from many threads."""

    def __init__(
        self,
        store: OutcomeStore,
        *,
        rule: DecisionRule,
        criteria: Criteria | None = None,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        """Read nothing yet: the first question, or the first `refresh`, does.

        Args:
            store: Where the verdicts are kept.
            rule: How they become a decision.
            criteria: The checklist; None where the project has none.
            clock: Tells the time in seconds and never goes back.
        """
        self.rule = rule
        self.criteria = criteria
        self._store = store
        self._clock = clock
        self._book = VerdictBook()
        self._standings: dict[str, Standing] = {}
        self._given: defaultdict[str, deque[dt.datetime]] = defaultdict(
            lambda: deque(maxlen=MOST_PACED)
        )
        self._outcomes: dict[str, Outcome] = {}
        self._reading = threading.Lock()  # not held while the disk confirms
        self._writer: JointWriter[NewJudgement, Added] = JointWriter(self._write)
        self._asked_at_s = float("-inf")
        self._revision = 0

    @property
    def revision(self) -> int:
        """The id of the newest line that `standing` knows of: it grows with every line."""
        return self._revision

    def refresh(self) -> None:
        """Take in what other processes wrote, unless that was done a moment ago.

        Raises:
            ProjectError: If the store cannot be read.
        """
        if self._clock() - self._asked_at_s >= ASK_EVERY_S:
            self._catch_up()

    def standing(self, uid: str) -> Standing:
        """Return what is said of one episode now."""
        return self._standings.get(uid, NOTHING_SAID)

    @property
    def standings(self) -> Mapping[str, Standing]:
        """Uid to what is said of every episode that was ever judged, live like `outcomes`."""
        return self._standings

    @property
    def outcomes(self) -> Mapping[str, Outcome]:
        """Uid to outcome of every decided episode. It is live: look things up, never iterate."""
        return self._outcomes

    def history(self, uid: str) -> list[tuple[Judgement, bool]]:
        """Return every line of an episode, oldest first, and whether it stands."""
        with self._reading:
            return [(line, self._book.is_standing(line)) for line in self._book.history(uid)]

    def is_standing(self, line: Judgement) -> bool:
        """Say whether a line is what its rater says now."""
        with self._reading:
            return self._book.is_standing(line)

    def lines(self) -> list[Judgement]:
        """Read every line of the store, oldest first.

        Raises:
            ProjectError: If the store cannot be read.
        """
        return self._store.since()

    def count_by(self, rater: str) -> int:
        """Return how many episodes have a standing verdict of one person."""
        return self._book.count_by(rater)

    def newest_by(self, rater: str, *, before: int | None = None) -> Judgement | None:
        """Return the newest standing verdict of one person; None where they have none.

        Args:
            rater: The person.
            before: Only a verdict whose line is older than this one.
        """
        with self._reading:
            theirs = self._book.by_rater(rater).values()
            older = (line for line in theirs if before is None or line.id < before)
            return max(older, key=lambda line: line.id, default=None)

    def pace(self, rater: str, *, now: dt.datetime | None = None) -> float | None:
        """Return how many verdicts an hour a person gave over the last minutes.

        Measured from the first to the last verdict of these minutes, so that a pause after it
        slows nobody down. None with fewer than two, or when they came at one moment.

        Args:
            rater: The person.
            now: The time, with its zone; None asks the clock on the wall.
        """
        since = (now or dt.datetime.now(dt.UTC)) - PACE_OVER
        with self._reading:
            given = [moment for moment in self._given.get(rater, ()) if moment >= since]
        if len(given) < 2:
            return None
        hours = (max(given) - min(given)).total_seconds() / 3600
        return (len(given) - 1) / hours if hours > 0 else None

    def add(self, new: NewJudgement, *, frames: int) -> Added:
        """Add a verdict; it is on the disk when this returns.

        Args:
            new: What somebody says of an episode.
            frames: How many frames that has.

        Raises:
            ConflictError: If the checklist is another one by now, or the request was made before
                with other content.
            VerdictError: If the verdict contradicts its answers or the episode.
            ProjectError: If the store cannot be used.
        """
        # What was accepted once is accepted again, whatever became of the checklist.
        if not self._is_known(new):
            _check_frame(new, frames=frames)
            self._check_answers(new)
        return self._writer.write(new)

    def withdraw(self, judgement_id: int, *, rater: str, request_id: str = "") -> Added:
        """Take a verdict back; it is on the disk when this returns.

        Raises:
            UnknownVerdictError: If there is no such line.
            ForeignVerdictError: If it is somebody else's.
            WithdrawnVerdictError: If it is taken back already, or takes another one back.
            ConflictError: If the request was made before for something else.
            ProjectError: If the store cannot be used.
        """
        if self._book.line(judgement_id) is None:
            self._catch_up()
        if self._book.line(judgement_id) is None:
            message = f"There is no verdict {judgement_id} to take back."
            raise UnknownVerdictError(message)
        new = NewJudgement(rater=rater, withdraws=judgement_id, request_id=request_id)
        return self._writer.write(new)

    def _write(self, batch: Sequence[NewJudgement]) -> list[Added | RecapError]:
        """Write the lines of several people at once, or each by itself if one is refused."""
        before = self._revision
        try:
            lines: list[Judgement | RecapError] = list(self._store.add(batch))
        except VerdictError:
            lines = [self._write_one(new) for new in batch]
        self._take_in([line for line in lines if isinstance(line, Judgement)])
        answers: list[Added | RecapError] = []
        seen: set[int] = set()
        for line in lines:
            if isinstance(line, RecapError):
                answers.append(line)
            else:
                is_new = line.id > before and line.id not in seen
                answers.append(Added(line=line, is_new=is_new))
                seen.add(line.id)
        return answers

    def _write_one(self, new: NewJudgement) -> Judgement | RecapError:
        try:
            return self._store.add([new])[0]
        except VerdictError as error:
            # All that is left to be wrong with a verdict is that the name of the request is taken.
            return ConflictError(str(error)) if type(error) is VerdictError else error

    def _take_in(self, lines: Sequence[Judgement]) -> None:
        """Take in lines that were stored just now, and whatever others stored before them."""
        with self._reading:
            by_id = {line.id: line for line in lines if line.id > self._book.last_id}
            follow = range(self._book.last_id + 1, self._book.last_id + 1 + len(by_id))
            if all(number in by_id for number in follow):
                self._know([by_id[number] for number in follow])
                return
        self._catch_up()

    def _catch_up(self) -> None:
        with self._reading:
            asked_at_s = self._clock()
            self._know(self._store.since(self._book.last_id))
            self._asked_at_s = asked_at_s

    def _know(self, lines: Sequence[Judgement]) -> None:
        self._book.add(lines)
        for line in lines:
            if line.verdict is not None:
                self._given[line.rater].append(line.judged_at)
        for uid in {line.episode_uid for line in lines}:
            self._stand(uid)
        self._revision = self._book.last_id

    def _stand(self, uid: str) -> None:
        standing = self._book.standing(uid)
        verdicts = {name: line.verdict for name, line in standing.items() if line.verdict}
        decision = self.rule.decide(standing)
        self._standings[uid] = Standing(decision=decision, verdicts=MappingProxyType(verdicts))
        if decision.outcome is None:
            self._outcomes.pop(uid, None)
        else:
            self._outcomes[uid] = decision.outcome

    def _is_known(self, new: NewJudgement) -> bool:
        if not new.request_id:
            return False
        return any(
            line.request_id == new.request_id for line in self._book.history(new.episode_uid)
        )

    def _check_answers(self, new: NewJudgement) -> None:
        version = "" if self.criteria is None else self.criteria.version
        needs_answers = self.criteria is not None and new.verdict is not Outcome.DISCARD
        if new.criteria_version != version and (needs_answers or new.criteria_version):
            message = (
                "The checklist is another one since this form was opened. Reload the page and "
                "judge the attempt again."
            )
            raise ConflictError(message)
        if self.criteria is None:
            if new.answers is not None:
                message = "This project has no checklist, so a verdict comes without answers."
                raise VerdictError(message)
        elif new.answers is not None:
            self._check_fit(self.criteria, new)
        elif needs_answers:
            message = (
                f"A success or a failure needs an answer to each question of the checklist: "
                f"{', '.join(self.criteria.questions)}."
            )
            raise VerdictError(message)

    @staticmethod
    def _check_fit(criteria: Criteria, new: NewJudgement) -> None:
        answers = new.answers or {}
        said = criteria.outcome(answers)
        if new.verdict is not Outcome.DISCARD and said is not new.verdict:
            message = (
                f"The verdict is {new.verdict}, but with {sum(answers.values())} of "
                f"{len(answers)} criteria met it is a {said}: a success needs {criteria.needed}."
            )
            raise VerdictError(message)


def _check_frame(new: NewJudgement, *, frames: int) -> None:
    if new.success_frame is None:
        return
    if new.verdict is not Outcome.SUCCESS:
        message = "Only a success has a moment of success. Clear it, or judge a success."
        raise VerdictError(message)
    if not 0 <= new.success_frame < frames:
        message = (
            f"The moment of success must be a frame of the episode, 0 to {frames - 1}, got "
            f"{new.success_frame}."
        )
        raise VerdictError(message)
