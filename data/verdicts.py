"""Verdicts: what each person says of an episode now, and what the project makes of it.

Every verdict is a line that is never changed; a line may withdraw an earlier one of the same
person. The newest verdict of a person that they have not withdrawn *stands*. The project's rule
turns the standing verdicts of an episode into its outcome, or leaves it undecided. Undecided is
not a failure.

The simulator is no person: its verdict counts only where nobody's stands, and disputes nothing.
"""

from __future__ import annotations

import unicodedata
from collections import Counter
from dataclasses import dataclass, field
from enum import StrEnum
from statistics import median_low
from typing import TYPE_CHECKING, Final

from data.errors import ConfigError
from data.schema import Outcome

if TYPE_CHECKING:
    import datetime as dt
    from collections.abc import Iterable, Mapping

SIMULATOR: Final = "simulator"
"""The rater that measures success instead of judging it."""


def is_person(rater: str) -> bool:
    """Say whether a rater is somebody, and not the simulator in any spelling."""
    return rater.strip().casefold() != SIMULATOR


MOST_NAME_CHARACTERS: Final = 60
NAME_RULE: Final = (
    f"a name begins with a letter or a digit, goes on with letters, digits, spaces and . @ ' - _, "
    f"ends in a letter, a digit or a dot, and has at most {MOST_NAME_CHARACTERS} characters"
)
"""What a person who judges may be called, in words."""

_NAME_SIGNS: Final = frozenset(" .@'-")
_NAME_CATEGORIES: Final = frozenset({"Nd", "Nl", "Pc"})  # digits, letter-like numbers, underscores
_JOINERS: Final = frozenset("\u200c\u200d")  # within words of Persian or Hindi


def one_spelling(name: str) -> str:
    """Return a name in one spelling; an accent may be written in two ways."""
    return unicodedata.normalize("NFC", name)


def is_name(name: str) -> bool:
    """Say whether a person may go by a name: what `NAME_RULE` says, and not the simulator's."""
    return (
        0 < len(name) <= MOST_NAME_CHARACTERS
        and is_person(unicodedata.normalize("NFKC", name))
        and _is_word(name[0])
        and name[0] != "_"
        and (_is_word(name[-1]) or (name[-1] == "." and len(name) > 1))
        and all(_is_word(sign) or sign in _NAME_SIGNS for sign in name)
    )


def _is_word(sign: str) -> bool:
    category = unicodedata.category(sign)
    return category[0] in "LM" or category in _NAME_CATEGORIES or sign in _JOINERS


class Rule(StrEnum):
    """How several verdicts become one outcome."""

    LATEST = "latest"
    """Whoever judged last is right."""

    MAJORITY = "majority"
    """More than half of the people say so; otherwise undecided."""

    UNANIMOUS = "unanimous"
    """Everybody says so; otherwise undecided."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Judgement:
    """One line of the store: a verdict, or the withdrawal of one."""

    id: int
    """Its number; a line that was added later has a larger one."""

    episode_uid: str
    """The episode that was judged."""

    rater: str
    """Who judged: a person's name, or the simulator's."""

    verdict: Outcome | None
    """Success, failure, or to be left out; None in a line that withdraws another."""

    note: str
    """What the rater wanted to add, possibly nothing."""

    judged_at: dt.datetime
    """When, in UTC."""

    success_frame: int | None = None
    """The frame at which the task was done; None where nobody said."""

    answers: Mapping[str, bool] | None = None
    """Criterion to whether it was met; None where no checklist was filled in."""

    criteria_version: str = ""
    """The checklist that was filled in; empty without one."""

    withdraws: int | None = None
    """The id of the line that this one takes back; None in a verdict."""

    request_id: str = ""
    """A name for this line, so that sending it twice adds it once; empty in very old lines."""

    def __post_init__(self) -> None:
        if (self.verdict is None) == (self.withdraws is None):
            message = "a line either says a verdict or withdraws another line"
            raise ValueError(message)


@dataclass(frozen=True, slots=True, kw_only=True)
class Decision:
    """What a project's rule makes of the standing verdicts of one episode."""

    outcome: Outcome | None
    """The outcome; None while it is undecided, which says nothing about failure."""

    success_frame: int | None
    """The frame at which the task was done; None without a success, or where nobody said."""

    raters: tuple[str, ...]
    """The people whose verdict stands, by name; the simulator where nobody's does."""

    is_disputed: bool
    """Whether the standing verdicts of two people differ."""


@dataclass(frozen=True, slots=True, kw_only=True)
class DecisionRule:
    """How a project decides."""

    rule: Rule = Rule.LATEST
    """How several verdicts become one outcome."""

    raters_needed: int = 1
    """How many people must have judged an episode before it is decided."""

    def __post_init__(self) -> None:
        if self.raters_needed < 1:
            message = (
                f"raters_needed must be at least 1 person, got {self.raters_needed}. With 1, "
                f"every verdict decides."
            )
            raise ConfigError(message)

    def decide(self, standing: Mapping[str, Judgement]) -> Decision:
        """Decide about one episode.

        The simulator alone decides what no person judged, whatever ``raters_needed`` says. The
        moment of a success is the one that the latest verdict names under ``latest``, and
        otherwise the lower median of those that people named who said success.

        Args:
            standing: Rater to their standing verdict of this episode; empty where nobody judged.
        """
        people = {rater: line for rater, line in standing.items() if is_person(rater)}
        counted = people or dict(standing)
        verdicts = Counter(line.verdict for line in counted.values())
        is_enough = len(people) >= self.raters_needed or not people
        outcome, spoken = self._outcome(list(counted.values())) if is_enough else (None, [])
        frames = [line.success_frame for line in spoken if line.success_frame is not None]
        return Decision(
            outcome=outcome,
            success_frame=median_low(frames) if outcome is Outcome.SUCCESS and frames else None,
            raters=tuple(sorted(counted)),
            is_disputed=bool(people) and len(verdicts) > 1,
        )

    def _outcome(self, lines: list[Judgement]) -> tuple[Outcome | None, list[Judgement]]:
        """Return the outcome and the verdicts that made it."""
        if not lines:
            return None, []
        if self.rule is Rule.LATEST or not is_person(lines[0].rater):
            latest = max(lines, key=lambda line: line.id)
            return latest.verdict, [latest]
        verdict, count = Counter(line.verdict for line in lines).most_common(1)[0]
        needed = len(lines) if self.rule is Rule.UNANIMOUS else len(lines) // 2 + 1
        if count < needed:
            return None, []
        return verdict, [line for line in lines if line.verdict is verdict]


LATEST_RULE: Final = DecisionRule()
"""The rule of a project that says nothing: whoever judged last is right."""

UNDECIDED: Final = Decision(outcome=None, success_frame=None, raters=(), is_disputed=False)
"""The decision about an episode that nobody judged."""


@dataclass(slots=True)
class VerdictBook:
    """The lines of a store, kept so that what stands is known at once.

    Adding lines one by one, or in any portions, gives the same book. It is not safe to use from
    several threads without a lock.
    """

    last_id: int = 0
    """The id of the newest line; 0 in an empty book."""

    _lines: dict[int, Judgement] = field(default_factory=dict)
    _histories: dict[str, list[Judgement]] = field(default_factory=dict)
    # Episode to rater to their verdicts that are not withdrawn, oldest first: the last one stands.
    _kept: dict[str, dict[str, list[Judgement]]] = field(default_factory=dict)
    _by_rater: dict[str, dict[str, Judgement]] = field(default_factory=dict)

    def add(self, judgements: Iterable[Judgement]) -> None:
        """Take in further lines.

        Raises:
            ValueError: If a line is older than one that is in the book, so that a line that was
                missed is never taken for one that is known.
        """
        for line in judgements:
            if line.id <= self.last_id:
                message = f"line {line.id} comes after line {self.last_id}"
                raise ValueError(message)
            self.last_id = line.id
            self._lines[line.id] = line
            self._histories.setdefault(line.episode_uid, []).append(line)
            kept = self._kept.setdefault(line.episode_uid, {}).setdefault(line.rater, [])
            if line.withdraws is None:
                kept.append(line)
            else:
                # Only one's own verdict of this episode can be among these.
                kept[:] = [verdict for verdict in kept if verdict.id != line.withdraws]
            self._stand(line.episode_uid, line.rater, kept)

    def _stand(self, uid: str, rater: str, kept: list[Judgement]) -> None:
        theirs = self._by_rater.setdefault(rater, {})
        if kept:
            theirs[uid] = kept[-1]
        else:
            theirs.pop(uid, None)

    def episodes(self) -> list[str]:
        """Return the uid of every episode with a line, in the order of their first one."""
        return list(self._histories)

    def raters(self) -> list[str]:
        """Return everybody with a standing verdict, by name."""
        return sorted(rater for rater, theirs in self._by_rater.items() if theirs)

    def line(self, judgement_id: int) -> Judgement | None:
        """Return the line of that id; None where there is none."""
        return self._lines.get(judgement_id)

    def history(self, uid: str) -> list[Judgement]:
        """Return every line of an episode, oldest first."""
        return list(self._histories.get(uid, []))

    def standing(self, uid: str) -> dict[str, Judgement]:
        """Return what everybody says of an episode now; who withdrew everything is absent."""
        return {rater: kept[-1] for rater, kept in self._kept.get(uid, {}).items() if kept}

    def is_standing(self, line: Judgement) -> bool:
        """Say whether a line is what its rater says now."""
        kept = self._kept.get(line.episode_uid, {}).get(line.rater, [])
        return bool(kept) and kept[-1].id == line.id

    def by_rater(self, rater: str) -> dict[str, Judgement]:
        """Return episode to standing verdict of one rater."""
        return dict(self._by_rater.get(rater, {}))

    def count_by(self, rater: str) -> int:
        """Return how many episodes have a standing verdict of one rater."""
        return len(self._by_rater.get(rater, {}))

    def newest_by(self, rater: str) -> Judgement | None:
        """Return the standing verdict a rater gave last: the one that undo takes back."""
        return max(self._by_rater.get(rater, {}).values(), key=lambda line: line.id, default=None)

    def decision(self, uid: str, rule: DecisionRule) -> Decision:
        """Decide about one episode."""
        return rule.decide(self.standing(uid)) if uid in self._kept else UNDECIDED

    def decisions(self, rule: DecisionRule) -> dict[str, Decision]:
        """Decide about every episode for which a verdict stands."""
        every = {uid: self.decision(uid, rule) for uid in self._histories}
        return {uid: decision for uid, decision in every.items() if decision.raters}
