"""Lines on their way into the store: what may be added, and what each line becomes."""

from __future__ import annotations

import datetime as dt
import uuid
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final

from sqlalchemy import func, select

from data.errors import (
    ForeignVerdictError,
    UnknownVerdictError,
    VerdictError,
    WithdrawnVerdictError,
)
from data.judgement_table import JUDGEMENTS, lines_where
from data.schema import Outcome
from data.verdicts import SIMULATOR, Judgement, is_person

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from sqlalchemy import Connection

_LARGEST_FRAME: Final = 2**31 - 1  # what the column holds
_SAID: Final = (
    "episode_uid",
    "rater",
    "verdict",
    "note",
    "success_frame",
    "answers",
    "criteria_version",
    "withdraws",
)


@dataclass(frozen=True, slots=True, kw_only=True)
class NewJudgement:
    """A line to add: a verdict, or the withdrawal of one."""

    episode_uid: str = ""
    """The episode that is judged; may be left out of a withdrawal."""

    rater: str
    """Who judges: a person's name, or the simulator's."""

    verdict: Outcome | None = None
    """Success, failure, or to be left out; None to withdraw."""

    note: str = ""
    """What the rater wants to add."""

    success_frame: int | None = None
    """The frame at which the task was done, in a success."""

    answers: Mapping[str, bool] | None = None
    """Criterion to whether it is met."""

    criteria_version: str = ""
    """The checklist that was filled in."""

    withdraws: int | str | None = None
    """The line to take back, by its id or its request_id; it may stand earlier in the batch."""

    request_id: str = ""
    """A name for this line: adding it again adds nothing. Empty: the store makes one up."""

    judged_at: dt.datetime | None = None
    """When, with its time zone; None is now."""


@dataclass(slots=True, kw_only=True)
class Batch:
    """The lines to add in one transaction, and those of the store that they speak of."""

    now: dt.datetime
    """When, for the lines that do not say."""

    added: list[Judgement] = field(default_factory=list)
    """What must be written down, in the order of the ids."""

    _next_id: int = 1
    _by_id: dict[int, Judgement] = field(default_factory=dict)
    _by_request: dict[str, Judgement] = field(default_factory=dict)
    _withdrawn: set[int] = field(default_factory=set)

    def read(self, connection: Connection, judgements: Sequence[NewJudgement]) -> None:
        """Look up what the store holds of the lines to come, while nobody else may write."""
        columns = JUDGEMENTS.c
        requests = {new.request_id for new in judgements} - {""}
        requests |= {new.withdraws for new in judgements if isinstance(new.withdraws, str)}
        ids = {new.withdraws for new in judgements if isinstance(new.withdraws, int)}
        for line in lines_where(connection, columns.request_id, requests):
            self._know(line)
        for line in lines_where(connection, columns.id, ids):
            self._know(line)
        for line in lines_where(connection, columns.withdraws, set(self._by_id)):
            self._know(line)
        self._next_id = (connection.execute(select(func.max(columns.id))).scalar() or 0) + 1

    def line(self, new: NewJudgement) -> Judgement:
        """Return the line that stands for a new one, which is added unless it is there."""
        target = self._target(new)
        line = Judgement(
            id=self._next_id,
            episode_uid=new.episode_uid if target is None else target.episode_uid,
            rater=new.rater,
            verdict=None if new.verdict is None else Outcome(new.verdict),
            note=new.note,
            judged_at=(new.judged_at or self.now).astimezone(dt.UTC),
            success_frame=new.success_frame,
            answers=None if new.answers is None else dict(new.answers),
            criteria_version=new.criteria_version,
            withdraws=None if target is None else target.id,
            request_id=new.request_id or uuid.uuid4().hex,
        )
        there = self._by_request.get(new.request_id)
        if there is not None:
            require_same(there, line)
            return there
        if target is not None:
            self._require_withdrawable(target, new)
        self._next_id += 1
        self._know(line)
        self.added.append(line)
        return line

    def _know(self, line: Judgement) -> None:
        self._by_id[line.id] = line
        if line.request_id:
            self._by_request[line.request_id] = line
        if line.withdraws is not None:
            self._withdrawn.add(line.withdraws)

    def _target(self, new: NewJudgement) -> Judgement | None:
        if new.withdraws is None:
            return None
        if isinstance(new.withdraws, int):
            target = self._by_id.get(new.withdraws)
        else:
            target = self._by_request.get(new.withdraws)
        if target is None or new.episode_uid not in {"", target.episode_uid}:
            message = f"There is no verdict {new.withdraws} to take back."
            raise UnknownVerdictError(message)
        return target

    def _require_withdrawable(self, target: Judgement, new: NewJudgement) -> None:
        if target.rater != new.rater:
            message = (
                f"Verdict {new.withdraws} is {target.rater}'s, not {new.rater}'s. Add a verdict of "
                f"your own instead: what is disputed is shown."
            )
            raise ForeignVerdictError(message)
        if target.withdraws is not None:
            message = (
                f"Line {new.withdraws} itself takes a verdict back, and that is for good. Judge "
                f"the episode again instead."
            )
            raise WithdrawnVerdictError(message)
        if target.id in self._withdrawn:
            message = f"Verdict {new.withdraws} was taken back already."
            raise WithdrawnVerdictError(message)


def check(new: NewJudgement) -> None:
    """Refuse a line that contradicts itself or cannot be written down."""
    if (new.verdict is None) == (new.withdraws is None):
        message = "A line either says a verdict or takes one back."
        raise VerdictError(message)
    if new.verdict is not None:
        Outcome(new.verdict)
    if not new.rater.strip() or (not is_person(new.rater) and new.rater != SIMULATOR):
        message = (
            f"'{new.rater}' cannot be the name of a rater. Everybody needs a name of their own, "
            f"and '{SIMULATOR}' is taken."
        )
        raise VerdictError(message)
    if new.verdict is not None and not new.episode_uid:
        message = "A verdict must name its episode."
        raise VerdictError(message)
    _check_frame(new)
    answers = new.answers or {}
    if not all(isinstance(answer, bool) for answer in answers.values()):
        message = "Every answer of a checklist must be true or false."
        raise VerdictError(message)
    if new.judged_at is not None and new.judged_at.tzinfo is None:
        message = f"The time of a verdict needs its time zone, got {new.judged_at.isoformat()}."
        raise VerdictError(message)
    words = (new.episode_uid, new.rater, new.note, new.criteria_version, new.request_id, *answers)
    for word in words:
        _check_text(word)


def _check_frame(new: NewJudgement) -> None:
    if new.success_frame is None:
        return
    if new.verdict is None or Outcome(new.verdict) is not Outcome.SUCCESS:
        message = "Only a success has a moment of success. Leave it out of the other verdicts."
        raise VerdictError(message)
    if not 0 <= new.success_frame <= _LARGEST_FRAME:
        message = f"The moment of success must be a frame of the episode, got {new.success_frame}."
        raise VerdictError(message)


def _check_text(word: str) -> None:
    try:
        is_storable = "\0" not in word and bool(word.encode() or True)
    except UnicodeEncodeError:
        is_storable = False
    if not is_storable:
        message = f"The text {ascii(word)[:80]} holds characters that cannot be written down."
        raise VerdictError(message)


def require_same(there: Judgement, line: Judgement | NewJudgement) -> None:
    """Refuse to drop a line whose request_id was given to another one before.

    Raises:
        VerdictError: If it says something else than the line that is there.
    """
    different = [name for name in _SAID if getattr(there, name) != getattr(line, name)]
    if different:
        message = (
            f"The request {line.request_id} was made before with another {different[0]}, as line "
            f"{there.id}. A changed mind is a new request."
        )
        raise VerdictError(message)
