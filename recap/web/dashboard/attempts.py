"""What the attempts of one lap amount to: success, throughput and how much people helped."""

from __future__ import annotations

import hashlib
import math
from collections import Counter
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final

import numpy as np

from data.schema import Ending, EpisodeInfo, Outcome, Source
from data.verdicts import is_person
from recap.core.intervals import Interval, successes_per_hour, wilson_interval
from recap.web.dashboard.schemas import AttemptsOut, IntervalOut, RateOut

if TYPE_CHECKING:
    from collections.abc import Sequence

    from data.verdicts import Decision

MOST_DRAWS: Final = 600_000
"""Episodes that the bootstrap of one lap draws at most, which bounds the time of an answer."""

LEAST_RESAMPLES: Final = 300
MOST_RESAMPLES: Final = 10_000
MOST_REMEMBERED: Final = 256
"""Laps whose throughput is kept at hand."""


@dataclass(frozen=True, slots=True)
class Attempt:
    """One recorded episode and what is made of its verdicts."""

    info: EpisodeInfo
    """The episode as it was recorded."""

    decision: Decision
    """The decision by the project's rule."""


@dataclass(slots=True)
class AttemptFigures:
    """Works the figures out, and remembers those that take long.

    The bootstrap draws the same numbers every time, so that equal attempts give equal bounds: a
    bound that moves is news. It is safe to use from several threads only with a lock.
    """

    _throughputs: dict[bytes, Interval] = field(default_factory=dict)

    def of(
        self, attempts: Sequence[Attempt], *, fps: int | None, raters_needed: int = 1
    ) -> AttemptsOut:
        """Sum up the attempts of one lap, of which there is at least one.

        Only what the project's rule decides as success or failure counts in a rate; what is
        undecided or discarded counts neither way. How much people corrected is known of every
        rollout, judged or not. A demonstration is no rollout: nobody is corrected in it.

        Args:
            attempts: All attempts of the lap.
            fps: Frames a second; None where it is not known, and no throughput either.
            raters_needed: How many people must have judged an attempt before it is decided.
        """
        outcomes = Counter(attempt.decision.outcome for attempt in attempts)
        counted = [a for a in attempts if a.decision.outcome in {Outcome.SUCCESS, Outcome.FAILURE}]
        rollouts = [a.info for a in attempts if a.info.source is Source.ROLLOUT]
        flown = [a for a in counted if a.info.source is Source.ROLLOUT]
        success = _success_rate(counted)
        frames = sum(info.frames for info in rollouts)
        third_looks = sum(_needs_third_look(a.decision, raters_needed) for a in attempts)
        return AttemptsOut(
            episodes=len(attempts),
            demonstrations=len(attempts) - len(rollouts),
            interrupted=sum(a.info.ending is Ending.INTERRUPTED for a in attempts),
            successes=outcomes[Outcome.SUCCESS],
            failures=outcomes[Outcome.FAILURE],
            discards=outcomes[Outcome.DISCARD],
            waiting=outcomes[None] - third_looks,
            third_looks=third_looks,
            disputed=sum(attempt.decision.is_disputed for attempt in attempts),
            disputed_decided=sum(
                a.decision.is_disputed and a.decision.outcome is not None for a in attempts
            ),
            success=None if success is None else success.share,
            alone=_success_rate([a for a in flown if not a.info.corrected_frames]),
            helped=_success_rate([a for a in flown if a.info.corrected_frames]),
            successes_per_hour=self._throughput(counted, fps),
            corrected=_rate(sum(info.corrected_frames > 0 for info in rollouts), len(rollouts)),
            corrected_frame_share=(
                sum(info.corrected_frames for info in rollouts) / frames if frames else None
            ),
        )

    def _throughput(self, counted: Sequence[Attempt], fps: int | None) -> IntervalOut | None:
        counted = [attempt for attempt in counted if attempt.info.frames > 0]
        if not counted or fps is None:
            return None
        success = np.array([a.decision.outcome is Outcome.SUCCESS for a in counted], dtype=np.bool_)
        steps = np.array([a.info.frames for a in counted], dtype=np.int64)
        # In one order, whatever order the episodes were found in.
        order = np.lexsort((steps, success))
        success, steps = success[order], steps[order]
        key = hashlib.sha256(b"%d %b %b" % (fps, success.tobytes(), steps.tobytes())).digest()
        interval = self._throughputs.get(key)
        if interval is None:
            resamples = min(MOST_RESAMPLES, max(LEAST_RESAMPLES, MOST_DRAWS // len(counted)))
            interval = successes_per_hour(
                success,
                steps,
                control_rate_hz=fps,
                rng=np.random.default_rng(0),
                resamples=resamples,
            )
            while len(self._throughputs) >= MOST_REMEMBERED:
                self._throughputs.pop(next(iter(self._throughputs)))
            self._throughputs[key] = interval
        return interval_out(interval)


def interval_out(interval: Interval) -> IntervalOut:
    """Put an interval as the page takes it: a bound that is infinite is null."""
    return IntervalOut(
        low=interval.low if math.isfinite(interval.low) else None,
        point=interval.point,
        high=interval.high if math.isfinite(interval.high) else None,
    )


def _needs_third_look(decision: Decision, raters_needed: int) -> bool:
    """Say whether enough people judged an attempt, and the rule cannot decide all the same."""
    people = sum(is_person(rater) for rater in decision.raters)
    return decision.outcome is None and people >= raters_needed


def _success_rate(counted: Sequence[Attempt]) -> RateOut | None:
    successes = sum(attempt.decision.outcome is Outcome.SUCCESS for attempt in counted)
    return _rate(successes, len(counted))


def _rate(count: int, episodes: int) -> RateOut | None:
    if episodes == 0:
        return None
    share = interval_out(wilson_interval(count, episodes))
    return RateOut(count=count, episodes=episodes, share=share)
