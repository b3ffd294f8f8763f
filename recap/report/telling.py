"""Which episodes deserve to be shown."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from data.schema import Outcome
from recap.report.content import Floats
from recap.report.figures import FALL_WINDOW
from recap.report.instants import steepest_fall


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Candidate:
    """An episode that could be shown."""

    uid: str
    """Its name; decides between episodes that are equally telling."""

    outcome: Outcome
    """How it was judged."""

    is_corrected: bool
    """Whether somebody took over from the policy."""

    values: Floats
    """``(T,)`` predicted returns; all zero where nothing was predicted."""


def telling_episodes(candidates: Sequence[Candidate]) -> list[tuple[str, Candidate]]:
    """Choose a success, a failure and a corrected episode, each the most telling of its kind.

    Of the autonomous successes that is the one of median length, which stands for the others; of
    the autonomous failures the one whose value falls the most within ten frames, which shows the
    mistake; of the corrected episodes, successes first, the one whose value rises the most from
    its lowest point to its end, which shows what the correction was worth.

    Returns:
        Title and episode of each kind that there is, in this order.
    """
    ordered = sorted(candidates, key=lambda candidate: candidate.uid)
    corrected = [c for c in ordered if c.is_corrected]
    rescued = [c for c in corrected if c.outcome is Outcome.SUCCESS]
    alone = [c for c in ordered if not c.is_corrected]
    successes = sorted(
        (c for c in alone if c.outcome is Outcome.SUCCESS), key=lambda c: len(c.values)
    )
    failures = [c for c in alone if c.outcome is Outcome.FAILURE]
    chosen = []
    if successes:
        chosen.append(("A success", successes[(len(successes) - 1) // 2]))
    if failures:
        chosen.append(("A failure", max(failures, key=lambda c: _fall(c.values))))
    if corrected:
        best = max(rescued or corrected, key=lambda c: float(c.values[-1] - c.values.min()))
        chosen.append(("A corrected episode", best))
    return chosen


def _fall(values: Floats) -> float:
    """Say how far the value falls where it falls the steepest."""
    fall = steepest_fall(values, window=FALL_WINDOW)
    return 0.0 if fall is None else float(values[fall[0]] - values[fall[1]])
