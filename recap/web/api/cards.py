"""Episodes and verdicts in the words of the API."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from recap.web.schemas import EpisodeCard, JudgementOut

if TYPE_CHECKING:
    from collections.abc import Sequence

    from data.verdicts import Judgement
    from recap.web.desk.catalogue import Entry
    from recap.web.desk.judging import Standing


def card_fields(
    entry: Entry, standing: Standing, *, rater: str | None, looked_at_by: Sequence[str]
) -> dict[str, Any]:
    """Return what the card of an episode holds.

    Args:
        entry: The episode.
        standing: What is said of it.
        rater: The person who asks; None for nobody in particular.
        looked_at_by: Other people who have it on their screen.
    """
    info, decision = entry.info, standing.decision
    return {
        "uid": info.uid,
        "task": info.task,
        "iteration": info.iteration,
        "source": info.source,
        "ending": info.ending,
        "frames": info.frames,
        "corrected_frames": info.corrected_frames,
        "measured_success": info.measured_success,
        "outcome": decision.outcome,
        "is_disputed": decision.is_disputed,
        "raters": list(decision.raters),
        "yours": None if rater is None else standing.verdicts.get(rater),
        "looked_at_by": list(looked_at_by),
    }


def card(
    entry: Entry, standing: Standing, *, rater: str | None, looked_at_by: Sequence[str]
) -> EpisodeCard:
    """Return an episode as the queue lists it; see `card_fields`."""
    return EpisodeCard(**card_fields(entry, standing, rater=rater, looked_at_by=looked_at_by))


def judgement_out(line: Judgement, *, is_standing: bool) -> JudgementOut:
    """Return one line of the history."""
    return JudgementOut(
        id=line.id,
        episode_uid=line.episode_uid,
        rater=line.rater,
        verdict=line.verdict,
        withdraws=line.withdraws,
        note=line.note,
        success_frame=line.success_frame,
        answers=None if line.answers is None else dict(line.answers),
        criteria_version=line.criteria_version,
        judged_at=line.judged_at,
        is_standing=is_standing,
    )
