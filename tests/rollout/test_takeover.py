import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from recap.rollout.takeover import AtStep, WhenStalled, WhenValueFalls, draw_takeover

NOWHERE = np.zeros(2, dtype=np.float32)

values = st.lists(
    st.none() | st.floats(-1.0, 0.0, allow_nan=False, width=32), min_size=1, max_size=30
)
# Whole numbers: sums and differences of them are exact.
paths = st.lists(st.tuples(st.integers(-9, 9), st.integers(-9, 9)), min_size=1, max_size=30)


def due_steps(rule, *, states=None, values=None):
    """Ask one watch at every step and return the steps at which it says that it is time."""
    watch = rule.watch()
    count = len(states if values is None else values)
    states = [NOWHERE] * count if states is None else states
    values = [None] * count if values is None else values
    return [
        step
        for step, (state, value) in enumerate(zip(states, values, strict=True))
        if watch.is_due(step, np.array(state, dtype=np.float32), value)
    ]


def falls(drop=0.1, earliest_step=0):
    return WhenValueFalls(drop=drop, earliest_step=earliest_step)


def stalled(window_steps=2, spread=1.0, deviations=(1.0, 1.0), earliest_step=0):
    return WhenStalled(
        window_steps=window_steps,
        spread=spread,
        deviations=deviations,
        earliest_step=earliest_step,
    )


def test_a_drawn_takeover_comes_at_its_step_and_at_no_other():
    assert due_steps(AtStep(step=3), states=[NOWHERE] * 6) == [3]


def test_a_value_that_falls_worked_by_hand():
    # Below the best by 0, 0, 0.125, 0.25 and 0.375; the best is -0.5 first, and -0.25 from then on.
    values = [-0.5, -0.25, -0.375, -0.5, -0.625]
    assert due_steps(falls(drop=0.25), values=values) == [4]  # to fall by just that is not enough
    assert due_steps(falls(drop=0.2), values=values) == [3, 4]
    assert due_steps(falls(drop=0.125), values=values) == [3, 4]


def test_the_best_before_the_earliest_step_counts_but_nobody_takes_over_there():
    values = [-0.125, -0.5, -0.5, -0.5]
    assert due_steps(falls(drop=0.25, earliest_step=2), values=values) == [2, 3]


def test_a_step_at_which_the_value_model_was_not_asked_says_nothing():
    assert due_steps(falls(drop=0.25), values=[-0.125, None, None, -0.5, None]) == [3]


def test_a_new_watch_knows_nothing_of_the_best_before():
    rule = falls(drop=0.25)
    old = rule.watch()
    assert not old.is_due(0, NOWHERE, -0.125)
    assert not rule.watch().is_due(1, NOWHERE, -0.5)
    assert old.is_due(1, NOWHERE, -0.5)


@given(values, st.floats(0.001, 0.9), st.integers(0, 20))
def test_a_value_has_fallen_where_the_slow_and_obvious_version_says_so(values, drop, earliest):
    slow = [
        step
        for step, value in enumerate(values)
        if step >= earliest
        and value is not None
        and max(v for v in values[: step + 1] if v is not None) - value > drop
    ]
    assert due_steps(falls(drop, earliest), values=values) == slow


@given(st.lists(st.floats(-1.0, 0.0), min_size=1, max_size=30).map(sorted), st.floats(0.0, 0.9))
def test_a_value_that_only_rises_never_makes_anybody_take_over(values, drop):
    assert due_steps(falls(drop), values=values) == []


@given(values, st.floats(0.0, 0.5), st.floats(0.0, 0.4))
def test_a_larger_drop_is_never_reached_earlier(values, drop, more):
    assert set(due_steps(falls(drop + more), values=values)) <= set(
        due_steps(falls(drop), values=values)
    )


def test_a_stall_worked_by_hand():
    #              moved over the last two steps: -  -  4  2  1  1  3
    path = [(0, 0), (2, 0), (4, 0), (4, 0), (4, 1), (4, 1), (1, 1)]
    assert due_steps(stalled(spread=1.5), states=path) == [4, 5]
    assert due_steps(stalled(spread=2.5), states=path) == [3, 4, 5]
    assert due_steps(stalled(spread=1.0), states=path) == []  # has to move less than the spread
    assert due_steps(stalled(spread=2.5, earliest_step=4), states=path) == [4, 5]


def test_to_and_fro_is_no_stall_though_it_leads_nowhere():
    assert due_steps(stalled(), states=[(0, 0), (5, 0)] * 5) == []


def test_movement_is_measured_in_standard_deviations_and_the_one_that_moves_most_counts():
    path = [(0, 0), (8, 0), (16, 0), (16, 0)]
    assert due_steps(stalled(deviations=(32.0, 1.0)), states=path) == [2, 3]
    assert due_steps(stalled(deviations=(16.0, 1.0)), states=path) == [3]
    assert due_steps(stalled(deviations=(4.0, 1.0)), states=path) == []


def test_a_number_that_never_moved_is_measured_in_its_own_unit():
    path = [(0, 0), (0.5, 0), (0.5, 0), (3, 0), (3, 0)]
    assert due_steps(stalled(deviations=(0.0, 1.0)), states=path) == [2]


def test_a_new_watch_waits_for_a_window_of_its_own():
    rule = stalled(window_steps=2)
    watch = rule.watch()
    assert [watch.is_due(step, NOWHERE, None) for step in range(40, 44)] == [False] * 2 + [True] * 2
    assert not rule.watch().is_due(44, NOWHERE, None)


@given(paths, st.integers(1, 8), st.integers(1, 20), st.integers(0, 12))
def test_a_stall_is_where_the_slow_and_obvious_version_says_so(path, window, spread, earliest):
    def moved(step):
        return max(
            abs(path[i][k] - path[j][k])
            for k in (0, 1)
            for i in range(step - window, step + 1)
            for j in range(step - window, step + 1)
        )

    slow = [
        step for step in range(len(path)) if step >= max(window, earliest) and moved(step) < spread
    ]
    rule = stalled(window_steps=window, spread=spread, earliest_step=earliest)
    assert due_steps(rule, states=path) == slow


@given(paths, st.integers(1, 20), st.sampled_from([0.25, 2.0, 1024.0]))
def test_a_robot_with_other_units_stalls_at_the_same_steps(path, spread, unit):
    other = [(x * unit, y * unit) for x, y in path]
    rule = stalled(spread=spread, deviations=(unit, unit))
    assert due_steps(rule, states=other) == due_steps(stalled(spread=spread), states=path)


def test_only_the_rule_that_reads_values_asks_for_them():
    needs = [rule.needs_value for rule in (AtStep(step=1), falls(), stalled())]
    assert needs == [False, True, False]


def test_takeovers_depend_on_the_seed_alone_and_lie_in_their_window():
    asked = {"correction_fraction": 0.3, "earliest_step": 30, "latest_step": 60}
    drawn = [draw_takeover(seed, **asked) for seed in range(1000)]
    assert drawn == [draw_takeover(seed, **asked) for seed in range(1000)]
    steps = [step for step in drawn if step is not None]
    assert len(steps) == pytest.approx(300, abs=45)
    assert (min(steps), max(steps)) == (30, 60)


def test_what_is_drawn_for_a_seed_stays_what_it_was():
    # Projects that exist go on to the same episodes.
    asked = {"correction_fraction": 0.4, "earliest_step": 21, "latest_step": 42}
    drawn = [draw_takeover(seed, **asked) for seed in range(1_000_000, 1_000_008)]
    assert drawn == [None, 28, None, None, 35, 36, 30, None]


def test_no_fraction_means_no_takeover_and_the_whole_means_always():
    window = {"earliest_step": 3, "latest_step": 3}
    assert {draw_takeover(s, correction_fraction=0.0, **window) for s in range(50)} == {None}
    assert {draw_takeover(s, correction_fraction=1.0, **window) for s in range(50)} == {3}
