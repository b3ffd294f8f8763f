"""Intervals and tests against published numbers, other implementations and known truths."""

import math
import time

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats

from recap.core.intervals import (
    Interval,
    mcnemar_p_value,
    median_steps_to_success,
    paired_failure_ratio,
    paired_throughput_ratio,
    successes_per_hour,
    wilson_interval,
)


def generator() -> np.random.Generator:
    return np.random.default_rng(7)


@given(n=st.integers(1, 300), data=st.data())
def test_wilson_agrees_with_scipy(n, data):
    successes = data.draw(st.integers(0, n))
    ours = wilson_interval(successes, n)
    theirs = stats.binomtest(successes, n).proportion_ci(method="wilson")
    assert (ours.low, ours.high) == pytest.approx((theirs.low, theirs.high), abs=1e-9)
    assert ours.low <= ours.point <= ours.high


def test_wilson_does_not_collapse_at_the_ends():
    none, all_of_them = wilson_interval(0, 20), wilson_interval(20, 20)
    assert none.low == 0.0
    assert none.high == pytest.approx(0.161, abs=1e-3)
    assert all_of_them.high == 1.0
    assert all_of_them.low == pytest.approx(0.839, abs=1e-3)


@pytest.mark.parametrize(("successes", "n"), [(0, 0), (-1, 5), (6, 5)])
def test_wilson_refuses_impossible_counts(successes, n):
    with pytest.raises(ValueError, match="cannot have"):
        wilson_interval(successes, n)


def test_throughput_of_three_episodes_worked_by_hand():
    # Two successes in 100 + 60 + 40 = 200 steps at 20 Hz: ten seconds, so 720 an hour.
    interval = successes_per_hour(
        np.array([False, True, True]),
        np.array([100, 60, 40]),
        control_rate_hz=20.0,
        rng=generator(),
    )
    assert interval.point == pytest.approx(720.0)
    assert interval.low < 720.0 < interval.high


def test_throughput_interval_covers_the_truth_as_often_as_it_says():
    rng = np.random.default_rng(0)
    covered = 0
    for _ in range(200):
        success = rng.random(100) < 0.5
        steps = np.where(success, rng.integers(40, 61, 100), 100)
        interval = successes_per_hour(success, steps, control_rate_hz=20.0, rng=rng, resamples=500)
        truth = 0.5 / (0.5 * 50 + 0.5 * 100) * 72_000
        covered += not interval.excludes(truth)
    assert 0.89 <= covered / 200 <= 0.99


def test_no_success_in_ten_does_not_prove_that_there_never_is_one():
    interval = successes_per_hour(
        np.zeros(10, bool), np.full(10, 100), control_rate_hz=20.0, rng=generator()
    )
    assert interval.low == interval.point == 0.0
    assert interval.high == pytest.approx(wilson_interval(0, 10).high * 720.0)


def test_ten_successes_in_ten_do_not_prove_that_it_always_works():
    interval = successes_per_hour(
        np.ones(10, bool), np.full(10, 100), control_rate_hz=20.0, rng=generator()
    )
    assert interval.point == interval.high == pytest.approx(720.0)
    assert interval.low == pytest.approx(wilson_interval(10, 10).low * 720.0)


def test_the_same_seed_gives_the_same_interval_and_memory_stays_bounded(monkeypatch):
    success, steps = np.arange(50) % 3 > 0, np.arange(50) + 20
    whole = successes_per_hour(success, steps, control_rate_hz=20.0, rng=generator())
    assert whole == successes_per_hour(success, steps, control_rate_hz=20.0, rng=generator())
    monkeypatch.setattr("recap.core.intervals.DRAWS_AT_ONCE", 1_000)
    pieces = successes_per_hour(success, steps, control_rate_hz=20.0, rng=generator())
    assert pieces.low == pytest.approx(whole.low, rel=0.05)


def test_a_bootstrap_of_two_hundred_episodes_takes_well_under_a_second():
    rng = generator()
    success = (rng.random(200) < 0.4, rng.random(200) < 0.8)
    steps = (rng.integers(40, 100, 200), rng.integers(30, 100, 200))
    started = time.perf_counter()
    paired_throughput_ratio(success, steps, rng=rng)
    assert time.perf_counter() - started < 1.0


def test_throughput_ratio_worked_by_hand():
    first, second = np.array([True, False] * 50), np.array([True, True, True, False] * 25)
    steps = (np.full(100, 100), np.full(100, 50))
    # 75 successes in half the time of 50: 1.5 / 0.5.
    interval = paired_throughput_ratio((first, second), steps, rng=generator())
    assert interval.point == pytest.approx(3.0)
    assert interval.low < 3.0 < interval.high
    assert interval.excludes(1.0)


def test_a_policy_compared_with_itself_is_exactly_as_good():
    success, steps = np.array([True, False] * 50), np.arange(100) + 1
    same = paired_throughput_ratio((success, success), (steps, steps), rng=generator())
    assert (same.low, same.point, same.high) == pytest.approx((1.0, 1.0, 1.0))
    assert paired_failure_ratio((success, success), rng=generator()) == Interval(1.0, 1.0, 1.0)


def test_failure_ratio_worked_by_hand():
    first, second = np.arange(200) >= 100, np.arange(200) >= 40
    interval = paired_failure_ratio((first, second), rng=generator())
    assert interval.point == pytest.approx(0.4)
    # All 40 lie among the 100, so the ratio is a share: near Wilson's interval of 40 in 100.
    share = wilson_interval(40, 100)
    assert (interval.low, interval.high) == pytest.approx((share.low, share.high), abs=0.015)


def test_no_failure_in_two_hundred_does_not_prove_that_there_never_is_one():
    first, second = np.arange(200) >= 100, np.ones(200, bool)
    interval = paired_failure_ratio((first, second), rng=generator())
    assert interval.low == interval.point == 0.0
    assert 0.015 < interval.high < 0.06


def test_a_reference_that_never_fails_bounds_the_failure_ratio_from_below_only():
    interval = paired_failure_ratio((np.ones(50, bool), np.arange(50) >= 25), rng=generator())
    assert interval.point == interval.high == math.inf
    assert interval.excludes(1.0)
    assert interval.as_list() == [pytest.approx(interval.low), None, None]


def test_two_policies_that_never_fail_cannot_be_told_apart():
    interval = paired_failure_ratio((np.ones(50, bool), np.ones(50, bool)), rng=generator())
    assert interval.as_list() == [0.0, None, None]
    assert not interval.excludes(1.0)


def test_a_reference_that_hardly_fails_leaves_the_ratio_open_above():
    interval = paired_failure_ratio((np.arange(50) > 0, np.arange(50) > 1), rng=generator())
    assert interval.point == pytest.approx(2.0)
    assert interval.high == math.inf


def test_a_reference_that_never_succeeds_bounds_the_throughput_ratio_from_below_only():
    steps = (np.full(50, 100), np.full(50, 80))
    interval = paired_throughput_ratio(
        (np.zeros(50, bool), np.arange(50) >= 10), steps, rng=generator()
    )
    assert interval.point == interval.high == math.inf
    assert interval.low > 1.0


@given(outcomes=st.lists(st.tuples(st.booleans(), st.booleans()), min_size=1, max_size=80))
def test_mcnemar_is_the_binomial_test_of_the_seeds_that_differ(outcomes):
    first, second = (np.array(column) for column in zip(*outcomes, strict=True))
    wins, differing = int((first & ~second).sum()), int((first != second).sum())
    expected = stats.binomtest(wins, differing).pvalue if differing else 1.0
    assert mcnemar_p_value(first, second) == pytest.approx(expected)


def test_mcnemar_of_one_against_nine_worked_by_hand():
    # Ten seeds differ, one is won by the first: 2 * (1 + 10) / 2**10.
    first = np.array([True] + [False] * 9)
    assert mcnemar_p_value(first, ~first) == pytest.approx(22 / 1024)


def test_the_median_counts_successes_only_and_is_absent_without_one():
    steps = np.array([30, 100, 50])
    assert median_steps_to_success(np.array([True, False, True]), steps) == 40.0
    assert median_steps_to_success(np.zeros(3, bool), steps) is None


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"success": np.ones(2, bool)}, "one outcome and one length per episode, got 2 and 3"),
        ({"success": np.ones(0, bool), "steps": np.ones(0, int)}, "got 0 and 0"),
        ({"steps": np.array([1, 0, 2])}, "at least one step"),
        ({"control_rate_hz": 0.0}, "control_rate_hz must be above zero"),
        ({"resamples": 0}, "resamples must be at least 1"),
        ({"confidence": 1.0}, "confidence must lie strictly between 0 and 1"),
    ],
)
def test_throughput_refuses_what_is_not_a_measurement(change, message):
    arguments = {"success": np.ones(3, bool), "steps": np.ones(3, int), "control_rate_hz": 20.0}
    with pytest.raises(ValueError, match=message):
        successes_per_hour(**(arguments | change), rng=generator())


def test_a_comparison_needs_the_same_seeds():
    with pytest.raises(ValueError, match="same seeds, got 3 and 2 episodes"):
        mcnemar_p_value(np.ones(3, bool), np.ones(2, bool))
    with pytest.raises(ValueError, match="same seeds, got 0 and 0 episodes"):
        paired_failure_ratio((np.ones(0, bool), np.ones(0, bool)), rng=generator())
