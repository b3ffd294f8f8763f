"""The order in which to judge, and which episodes a person wants to see."""

from __future__ import annotations

from bisect import bisect_right
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from data.schema import Outcome
from recap.web.desk.catalogue import Snapshot, order_key
from recap.web.schemas import OutcomeFilter

if TYPE_CHECKING:
    from collections.abc import Collection, Sequence

    from data.schema import EpisodeInfo, Pilot
    from recap.web.desk.catalogue import Entry
    from recap.web.desk.judging import Judging

MOST_REMEMBERED: Final = 32
"""Combinations of filters that are remembered at once."""

_BY_OUTCOME: Final = {
    OutcomeFilter.SUCCESS: Outcome.SUCCESS,
    OutcomeFilter.FAILURE: Outcome.FAILURE,
    OutcomeFilter.DISCARD: Outcome.DISCARD,
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Traits:
    """Which episodes to show, whatever their verdicts. What is None does not matter."""

    task: str | None = None
    """The instruction in words."""

    iteration: int | None = None
    """The lap in which they were recorded."""

    pilot: Pilot | None = None
    """Who was in control of at least one frame."""

    is_corrected: bool | None = None
    """Whether somebody corrected the policy."""

    def fit(self, entry: Entry) -> bool:
        """Say whether an episode is of that kind. Nobody is known to fly what is not read yet."""
        info = entry.info
        return (
            (self.task is None or info.task == self.task)
            and (self.iteration is None or info.iteration == self.iteration)
            and (self.is_corrected is None or (info.corrected_frames > 0) is self.is_corrected)
            and (self.pilot is None or (entry.pilots is not None and self.pilot in entry.pilots))
        )


class QueueOrder:
    """Puts the episodes that fit in the order to judge them. It is safe to use from many threads.

    Episodes seldom come and verdicts often, so what the traits alone say is remembered.
    """

    def __init__(self) -> None:
        """Remember nothing yet."""
        self._remembered: tuple[Snapshot, dict[Traits, list[str]]] = (Snapshot(), {})

    def select(
        self,
        now: Snapshot,
        judging: Judging,
        *,
        show: OutcomeFilter = OutcomeFilter.UNJUDGED,
        traits: Traits | None = None,
        rater: str | None = None,
        busy: Collection[str] = (),
    ) -> list[str]:
        """Return the uids of the episodes that fit, in the order to judge them.

        The newest iteration comes first, then the uid decides; busy episodes come last.

        Args:
            now: The episodes.
            judging: Their verdicts.
            show: Which to show, by their verdicts.
            traits: Which to show otherwise; None for all.
            rater: The person who asks; None for nobody in particular.
            busy: Uids of episodes that somebody else has on the screen.
        """
        uids = self._alike(now, traits or Traits())
        fitting = _judged_so(uids, judging, show, rater)
        if busy:
            fitting.sort(key=lambda uid: uid in busy)
        return fitting

    def _alike(self, now: Snapshot, traits: Traits) -> list[str]:
        snapshot, known = self._remembered
        if snapshot is not now or len(known) >= MOST_REMEMBERED:
            known = {}
            self._remembered = (now, known)
        if traits not in known:
            known[traits] = [entry.info.uid for entry in now.order if traits.fit(entry)]
        return known[traits]


def _judged_so(
    uids: Sequence[str], judging: Judging, show: OutcomeFilter, rater: str | None
) -> list[str]:
    outcomes, standings = judging.outcomes, judging.standings
    if show is OutcomeFilter.ANY:
        return list(uids)
    if show in {OutcomeFilter.UNJUDGED, OutcomeFilter.NOT_YOURS}:
        is_any = show is OutcomeFilter.NOT_YOURS
        return [
            uid
            for uid in uids
            if (is_any or uid not in outcomes)
            and (uid not in standings or rater not in standings[uid].verdicts)
        ]
    if show is OutcomeFilter.DISPUTED:
        return [uid for uid in uids if uid in standings and standings[uid].decision.is_disputed]
    wanted = _BY_OUTCOME[show]
    return [uid for uid in uids if outcomes.get(uid) is wanted]


def behind(
    fitting: Sequence[str],
    after: EpisodeInfo | None,
    *,
    now: Snapshot,
    busy: Collection[str] = (),
) -> Sequence[str]:
    """Return the part of a selection that comes behind an episode, which need not be part of it.

    Args:
        fitting: What `QueueOrder.select` returned.
        after: The episode; None for the whole selection.
        now: As `QueueOrder.select` was told.
        busy: The same.
    """
    if after is None:
        return fitting

    def key(uid: str) -> tuple[bool, tuple[int, str]]:
        return uid in busy, order_key(now.entries[uid].info)

    last = (after.uid in busy, order_key(after))
    return fitting[bisect_right(fitting, last, key=key) :]
