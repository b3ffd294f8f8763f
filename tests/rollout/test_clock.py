"""The control clock on a time that the tests make up, and for one moment on the real one."""

import dataclasses

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from recap.rollout.live.clock import REMEMBERED_TICKS, ControlClock

PERIOD_S = 0.02


class MadeUpTime:
    """A time that moves when it is slept through, and a little whenever it is asked for."""

    def __init__(self, *, oversleeps_s=0.0, asking_s=1e-6):
        self.at = 100.0
        self.slept = []
        self._oversleeps_s = oversleeps_s
        self._asking_s = asking_s

    def now(self):
        self.at += self._asking_s
        return self.at

    def sleep(self, seconds):
        assert seconds > 0
        self.slept.append(seconds)
        self.at += seconds + self._oversleeps_s


def make_clock(time, **others):
    return ControlClock(1 / PERIOD_S, now=time.now, sleep=time.sleep, **others)


def test_the_first_tick_comes_at_once_and_the_others_a_period_apart():
    time = MadeUpTime()
    clock = make_clock(time)
    ticks = []
    for _ in range(4):
        assert clock.tick() < 1e-5
        ticks.append(time.at)
    assert ticks[0] == pytest.approx(100.0, abs=1e-5)
    np.testing.assert_allclose(np.diff(ticks), PERIOD_S, atol=1e-5)


def test_nothing_drifts_in_an_hour():
    time = MadeUpTime(oversleeps_s=3e-4)
    clock = make_clock(time, spin_s=0.0)
    ticks = 180_001
    for _ in range(ticks):
        clock.tick()
    assert time.at - 100.0 == pytest.approx(3600.0, abs=1e-3)
    assert (clock.ticks, clock.overruns, clock.skipped) == (ticks, 0, 0)


def test_the_last_millisecond_is_not_slept_through():
    time = MadeUpTime(oversleeps_s=8e-4)
    clock = make_clock(time, spin_s=1e-3)
    clock.tick()
    assert clock.tick() < 1e-5  # a sleep to the tick itself would end 0.8 ms late
    assert time.slept == pytest.approx([PERIOD_S - 1e-3], abs=1e-5)


def test_without_spinning_a_tick_is_as_late_as_the_sleep():
    time = MadeUpTime(oversleeps_s=8e-4)
    clock = make_clock(time, spin_s=0.0)
    clock.tick()
    assert clock.tick() == pytest.approx(8e-4, abs=1e-5)
    assert clock.overruns == 0  # the work was done in time


#   work of the first step, when the ticks after it come, and how many are left out; a period is
#   20 ms and the grid is 0, 20, 40, ...
#    5 ms: in time                                          20, 40
#   27 ms: at once, and 40 is 13 ms away: far enough        27, 40
#   33 ms: at once, and 40 is only 7 ms away: it is left    33, 60
#   95 ms: at once; 40, 60, 80 have passed, 100 is too near 95, 120
@pytest.mark.parametrize(
    ("work_ms", "ticks_ms", "overruns", "skipped"),
    [
        (5, (20, 40, 60), 0, 0),
        (27, (27, 40, 60), 1, 0),
        (33, (33, 60, 80), 1, 1),
        (95, (95, 120, 140), 1, 4),
    ],
)
def test_a_late_tick_comes_at_once_and_what_was_missed_is_left_out(
    work_ms, ticks_ms, overruns, skipped
):
    time = MadeUpTime(asking_s=1e-7)
    clock = make_clock(time)
    clock.tick()
    start = time.at
    time.at += work_ms / 1e3
    seen = []
    for _ in ticks_ms:
        late_s = clock.tick()
        seen.append((time.at - start) * 1e3)
        if len(seen) == 1:
            assert late_s * 1e3 == pytest.approx(max(0, work_ms - 20), abs=0.01)
    assert seen == pytest.approx(list(ticks_ms), abs=0.01)
    assert (clock.overruns, clock.skipped) == (overruns, skipped)


@given(st.lists(st.floats(0.0, 0.2), min_size=1, max_size=60))
def test_ticks_are_on_the_grid_or_late_and_never_rush(works):
    time = MadeUpTime(asking_s=1e-7)
    clock = make_clock(time)
    clock.tick()
    first = before = time.at
    for work in works:
        time.at += work
        overruns = clock.overruns
        clock.tick()
        interval = time.at - before
        off_grid = abs((time.at - first) / PERIOD_S - round((time.at - first) / PERIOD_S))
        assert interval >= PERIOD_S / 2 - 1e-5
        if clock.overruns == overruns:
            assert off_grid < 1e-3
        else:
            assert interval == pytest.approx(work, abs=1e-4)  # at once
        before = time.at


def test_a_late_step_names_the_stage_that_took_the_time():
    time = MadeUpTime()
    clock = make_clock(time)
    clock.tick()
    assert clock.last_overrun is None
    with clock.measuring("look"):
        time.at += 0.021
    with clock.measuring("act"):
        time.at += 0.004
    clock.tick()
    assert clock.last_overrun is not None
    assert clock.last_overrun.stage == "look"
    assert clock.last_overrun.stage_s == pytest.approx(0.021, abs=1e-5)
    assert clock.last_overrun.late_s == pytest.approx(0.005, abs=1e-4)


def test_a_stage_is_blamed_for_its_own_step_only():
    time = MadeUpTime()
    clock = make_clock(time)
    clock.tick()
    with clock.measuring("look"):
        time.at += 0.018
    clock.tick()
    with clock.measuring("look"):
        time.at += 0.004
    for _ in range(2):
        with clock.measuring("act"):
            time.at += 0.009
    clock.tick()
    assert clock.last_overrun is not None
    assert clock.last_overrun.stage == "act"
    assert clock.last_overrun.stage_s == pytest.approx(0.018, abs=1e-5)


def test_a_stage_that_fails_is_measured_too():
    time = MadeUpTime()
    clock = make_clock(time)

    def lose_the_robot():
        time.at += 0.5
        message = "gone"
        raise OSError(message)

    with pytest.raises(OSError, match="gone"), clock.measuring("look"):
        lose_the_robot()
    assert clock.stage_p99_ms() == pytest.approx({"look": 500.0}, abs=0.01)


def test_the_summary_of_ten_ticks_worked_by_hand():
    time = MadeUpTime(asking_s=0.0)
    clock = ControlClock(50, now=time.now, sleep=time.sleep, spin_s=0.0)
    for step in range(11):
        clock.tick()
        with clock.measuring("look"):
            time.at += 0.002
        with clock.measuring("decide"):
            time.at += 0.024 if step == 4 else 0.001
    # The tick after step 4 comes 26 ms after the one before, and the next one 14 ms after that.
    # So of ten intervals eight are off by 0 and two by 6 ms: p50 = 0, p99 = 6.
    # Step 4 is the largest of 11 times: p99 is 0.9 of the way from 1 to 24 ms, 21.7 ms.
    assert {key: round(v, 6) if isinstance(v, float) else v
            for key, v in dataclasses.asdict(clock.summary()).items()} == {
        "ticks": 11,
        "rate_hz": 50.0,
        "jitter_p50_ms": 0.0,
        "jitter_p99_ms": 6.0,
        "overruns": 1,
        "skipped": 0,
        "slowest_stage": "decide",
        "slowest_stage_p99_ms": 21.7,
    }  # fmt: skip


def test_a_clock_that_has_not_ticked_has_a_summary():
    summary = ControlClock(50).summary()
    assert (summary.ticks, summary.rate_hz, summary.jitter_p99_ms) == (0, 0.0, 0.0)
    assert (summary.slowest_stage, summary.slowest_stage_p99_ms) == ("", 0.0)


def test_a_restart_forgives_the_time_between():
    time = MadeUpTime()
    clock = make_clock(time)
    clock.tick()
    clock.tick()
    time.at += 30.0
    clock.restart()
    assert clock.tick() < 1e-5
    clock.tick()
    summary = clock.summary()
    assert (summary.ticks, summary.overruns, summary.skipped) == (4, 0, 0)
    assert summary.jitter_p99_ms < 0.1


def test_only_the_latest_ticks_are_remembered():
    time = MadeUpTime()
    clock = make_clock(time, spin_s=0.0)
    clock.tick()
    time.at += 5.0
    for _ in range(REMEMBERED_TICKS + 1):
        clock.tick()
    assert clock.overruns == 1
    assert clock.summary().jitter_p99_ms < 0.01
    assert clock.summary().rate_hz == pytest.approx(50.0, abs=0.01)


@pytest.mark.parametrize("rate_hz", [0.0, -1.0, float("nan"), float("inf")])
def test_a_rate_is_above_zero(rate_hz):
    with pytest.raises(ValueError, match="A control rate is above 0 Hz, got"):
        ControlClock(rate_hz)


def test_the_real_time_is_kept_on_average():
    clock = ControlClock(200)
    for _ in range(41):
        clock.tick()
    assert clock.summary().rate_hz == pytest.approx(200, rel=0.1)
