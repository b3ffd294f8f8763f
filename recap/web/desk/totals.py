"""Numbers over all episodes and verdicts, counted anew only when something came or went."""

from __future__ import annotations

import threading
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from data.schema import Outcome
from data.verdicts import SIMULATOR, is_person
from recap.core.agreement import measure_agreement
from recap.web.schemas import AgreementOut, RaterRow

if TYPE_CHECKING:
    from recap.web.desk.catalogue import Catalogue
    from recap.web.desk.judging import Judging

_SEED = 0  # the same verdicts give the same interval


@dataclass(frozen=True, slots=True, kw_only=True)
class Counts:
    """How far the judging is, whoever asks."""

    unjudged: int
    """Episodes that the rule leaves undecided."""

    by_simulator: int
    """Decided ones of which the simulator alone says something."""

    disputed: int
    """Episodes that different people judged differently."""


class Totals:
    """Counts what the form shows at its edge. It is safe to use from many threads."""

    def __init__(self, catalogue: Catalogue, judging: Judging) -> None:
        """Count nothing yet."""
        self._catalogue = catalogue
        self._judging = judging
        self._lock = threading.Lock()
        self._counts: tuple[tuple[int, int], Counts] | None = None
        self._agreement: tuple[tuple[int, int], AgreementOut] | None = None

    def counts(self) -> Counts:
        """Return how many episodes are undecided and disputed."""
        with self._lock:
            moment = self._moment()
            if self._counts is None or self._counts[0] != moment:
                self._counts = moment, self._count()
            return self._counts[1]

    def agreement(self) -> AgreementOut:
        """Return how far people agree, and what each of them did."""
        with self._lock:
            moment = self._moment()
            if self._agreement is None or self._agreement[0] != moment:
                self._agreement = moment, self._agree()
            return self._agreement[1]

    def _moment(self) -> tuple[int, int]:
        return self._catalogue.now.revision, self._judging.revision

    def _count(self) -> Counts:
        outcomes, standings = self._judging.outcomes, self._judging.standings
        uids = self._catalogue.now.entries.keys()
        return Counts(
            unjudged=sum(uid not in outcomes for uid in uids),
            by_simulator=sum(
                uid in outcomes and standings[uid].verdicts.keys() == {SIMULATOR} for uid in uids
            ),
            disputed=sum(standings[uid].decision.is_disputed for uid in uids if uid in standings),
        )

    def _agree(self) -> AgreementOut:
        said: list[dict[str, Outcome]] = []
        disputed = []
        for entry in self._catalogue.now.order:
            standing = self._judging.standing(entry.info.uid)
            said.append({name: v for name, v in standing.verdicts.items() if is_person(name)})
            if standing.decision.is_disputed:
                disputed.append(entry.info.uid)
        found = measure_agreement(said, rng=np.random.default_rng(_SEED))
        kappa = found.kappa
        return AgreementOut(
            kind=found.kind,
            kappa=None if kappa is None else kappa.point,
            low=None if kappa is None else kappa.low,
            high=None if kappa is None else kappa.high,
            episodes=found.episodes,
            disputed=disputed,
            raters=[_row(name, said) for name in sorted({n for one in said for n in one})],
        )


def _row(rater: str, said: list[dict[str, Outcome]]) -> RaterRow:
    verdicts = [one[rater] for one in said if rater in one]
    return RaterRow(
        rater=rater,
        episodes=len(verdicts),
        successes=verdicts.count(Outcome.SUCCESS),
        failures=verdicts.count(Outcome.FAILURE),
        discards=verdicts.count(Outcome.DISCARD),
    )
