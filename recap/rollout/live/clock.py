"""The control clock: one tick per control step, on time, and who is to blame when it is late."""

import math
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

REMEMBERED_TICKS: Final = 32_768
"""Ticks that the figures are made from, the latest ones: eleven minutes at 50 Hz."""

REMEMBERED_TIMES: Final = 4_096
"""Times that are remembered of each stage, the latest ones."""

SPIN_S: Final = 0.001
"""The last part of a wait is spent asking for the time, because a sleep ends late."""

SHORTEST_INTERVAL: Final = 0.5
"""No tick follows another by less than this share of the period, however late that one was."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Overrun:
    """A control step that took too long."""

    late_s: float
    """Seconds by which the next tick came too late."""

    stage: str
    """The stage that took most of it; empty if none was measured."""

    stage_s: float
    """Seconds that this stage took."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ClockSummary:
    """How well the rate was kept, over the ticks that are remembered."""

    ticks: int
    """Ticks since the clock was made."""

    rate_hz: float
    """Ticks a second as measured; 0 before the second tick."""

    jitter_p50_ms: float
    """Median distance of the time between two ticks from the period, in milliseconds."""

    jitter_p99_ms: float
    """The same, exceeded by one in a hundred."""

    overruns: int
    """Ticks whose time had passed before the work of the tick before was done."""

    skipped: int
    """Ticks that were left out for it."""

    slowest_stage: str
    """Stage with the longest 99th percentile; empty if none was measured."""

    slowest_stage_p99_ms: float
    """That percentile, in milliseconds."""


class _Latest:
    """The latest numbers of a series, in no order."""

    def __init__(self, most: int) -> None:
        self._kept = np.zeros(most)
        self._added = 0

    def add(self, value: float) -> None:
        """Keep a number, in the place of the oldest if there is no room."""
        self._kept[self._added % len(self._kept)] = value
        self._added += 1

    @property
    def values(self) -> NDArray[np.float64]:
        """The numbers that are kept."""
        return self._kept[: self._added]


class ControlClock:
    """Ticks at a fixed rate.

    The times of the ticks are a grid that was laid with the first one, so a late tick does not
    delay those after it and nothing drifts. A tick whose time has passed comes at once. Those that
    were missed meanwhile are left out, not made up for: two commands in quick succession would
    move the robot at twice its speed.
    """

    def __init__(
        self,
        rate_hz: float,
        *,
        now: Callable[[], float] = time.perf_counter,
        sleep: Callable[[float], None] = time.sleep,
        spin_s: float = SPIN_S,
    ) -> None:
        """Prepare; the first `tick` lays the grid.

        Args:
            rate_hz: Ticks a second.
            now: Returns the time in seconds; never runs backwards.
            sleep: Waits for so many seconds, or somewhat longer.
            spin_s: Seconds before a tick from which on the time is asked for without sleeping.
        """
        if not (math.isfinite(rate_hz) and rate_hz > 0):
            message = f"A control rate is above 0 Hz, got {rate_hz}."
            raise ValueError(message)
        self.period_s = 1.0 / rate_hz
        self.ticks = 0
        self.overruns = 0
        self.skipped = 0
        self.last_overrun: Overrun | None = None
        self._now = now
        self._sleep = sleep
        self._spin_s = spin_s
        self._origin = 0.0
        self._place: int | None = None
        self._ticked_at: float | None = None
        self._intervals = _Latest(REMEMBERED_TICKS)
        self._stages: dict[str, _Latest] = {}
        self._this_step: dict[str, float] = {}

    def restart(self) -> None:
        """Lay a new grid with the next tick: nobody kept the rate meanwhile, nor had to."""
        self._place = None
        self._ticked_at = None
        self._this_step.clear()

    def tick(self) -> float:
        """Wait for the next tick.

        Returns:
            Seconds by which it is late, never below zero.
        """
        if self._place is None:
            self._origin, self._place = self._now(), 0
        else:
            self._place += 1
        deadline = self._time_of(self._place)
        now = self._now()
        if now > deadline and self._ticked_at is not None:
            self._overrun(now, now - deadline)
        else:
            now = self._wait(deadline)
        if self._ticked_at is not None:
            self._intervals.add(now - self._ticked_at)
        self._ticked_at = now
        self._this_step.clear()
        self.ticks += 1
        return max(0.0, now - deadline)

    @contextmanager
    def measuring(self, stage: str) -> Iterator[None]:
        """Measure the time that a stage of the control step takes, also one that fails."""
        began = self._now()
        try:
            yield
        finally:
            took = self._now() - began
            if stage not in self._stages:
                self._stages[stage] = _Latest(REMEMBERED_TIMES)
            self._stages[stage].add(took)
            self._this_step[stage] = self._this_step.get(stage, 0.0) + took

    def stage_p99_ms(self) -> dict[str, float]:
        """Return each stage's 99th percentile in milliseconds."""
        return {
            stage: float(np.percentile(took.values, 99)) * 1e3
            for stage, took in self._stages.items()
        }

    def summary(self) -> ClockSummary:
        """Sum up how well the rate was kept."""
        intervals = self._intervals.values
        jitter = np.abs(intervals - self.period_s) if len(intervals) else np.zeros(1)
        jitter_p50_s, jitter_p99_s = np.percentile(jitter, [50, 99])
        stages = self.stage_p99_ms()
        slowest = max(stages, key=stages.__getitem__, default="")
        return ClockSummary(
            ticks=self.ticks,
            rate_hz=float(1.0 / intervals.mean()) if len(intervals) else 0.0,
            jitter_p50_ms=float(jitter_p50_s) * 1e3,
            jitter_p99_ms=float(jitter_p99_s) * 1e3,
            overruns=self.overruns,
            skipped=self.skipped,
            slowest_stage=slowest,
            slowest_stage_p99_ms=stages.get(slowest, 0.0),
        )

    def _time_of(self, place: int) -> float:
        # A product, not a sum: adding the period up would add its rounding up.
        return self._origin + place * self.period_s

    def _wait(self, deadline: float) -> float:
        now = self._now()
        while now < deadline:
            if deadline - now > self._spin_s:
                self._sleep(deadline - now - self._spin_s)
            now = self._now()
        return now

    def _overrun(self, now: float, late_s: float) -> None:
        self.overruns += 1
        stage = max(self._this_step, key=self._this_step.__getitem__, default="")
        self.last_overrun = Overrun(
            late_s=late_s, stage=stage, stage_s=self._this_step.get(stage, 0.0)
        )
        # The tick happens now; the place in the grid is the last one that leaves the next enough
        # time.
        earliest_next = (now - self._origin) / self.period_s + SHORTEST_INTERVAL
        place = math.ceil(earliest_next) - 1
        if self._place is not None and place > self._place:
            self.skipped += place - self._place
            self._place = place
