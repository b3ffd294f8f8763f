"""Advantages, thresholds and indicators: tables worked by hand, and laws."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from recap.core.advantages import improvement_indicators, n_step_advantages, task_thresholds
from recap.core.returns import monte_carlo_returns

UNIT_RETURNS = st.floats(-1.0, 0.0)
SEVERAL_ADVANTAGES = arrays(np.float64, st.integers(1, 60), elements=st.floats(-1.0, 1.0))


def test_advantage_of_a_three_frame_episode_worked_by_hand():
    rewards = np.array([-1.0, -1.0, 0.0])
    values = np.array([-4.0, -1.5, -0.5])
    #   t=0: -1 + v[1] - v[0] = -1 - 1.5 + 4.0 =  1.5
    #   t=1: -1 + v[2] - v[1] = -1 - 0.5 + 1.5 =  0.0
    #   t=2:  0 +  0   - v[2] =  0 + 0   + 0.5 =  0.5   the episode is over
    np.testing.assert_allclose(n_step_advantages(rewards, values, horizon=1), [1.5, 0.0, 0.5])


def test_a_two_step_window_adds_the_value_behind_it():
    rewards = np.array([-1.0, -1.0, -1.0, -8.0])
    values = np.array([-9.0, -4.0, -3.0, -2.0])
    #   t=0: -1 - 1 + v[2] - v[0] = -2 - 3 + 9 =  4
    #   t=1: -1 - 1 + v[3] - v[1] = -2 - 2 + 4 =  0
    #   t=2: -1 - 8 +  0   - v[2] = -9     + 3 = -6   the terminal reward, once
    #   t=3: -8     +  0   - v[3] = -8     + 2 = -6
    np.testing.assert_allclose(n_step_advantages(rewards, values, horizon=2), [4, 0, -6, -6])


@pytest.mark.parametrize("horizon", [1, 2, 7, 50])
def test_a_perfect_value_model_leaves_no_advantage(horizon):
    rewards = np.append(np.full(9, -1.0), 0.0)
    np.testing.assert_allclose(
        n_step_advantages(rewards, monte_carlo_returns(rewards), horizon=horizon), 0.0, atol=1e-12
    )


@given(
    values=arrays(np.float64, st.integers(1, 30), elements=UNIT_RETURNS), extra=st.integers(0, 9)
)
def test_a_window_as_long_as_the_episode_gives_return_minus_value(values, extra):
    rewards = np.linspace(-1.0, 0.0, len(values))
    advantages = n_step_advantages(rewards, values, horizon=len(values) + extra)
    np.testing.assert_allclose(advantages, monte_carlo_returns(rewards) - values, atol=1e-12)


@given(
    values=arrays(np.float64, st.integers(1, 30), elements=UNIT_RETURNS), horizon=st.integers(1, 35)
)
def test_every_advantage_equals_the_sum_it_is_defined_by(values, horizon):
    rewards = np.linspace(-0.1, -1.0, len(values))
    advantages = n_step_advantages(rewards, values, horizon=horizon)
    for t in range(len(values)):
        behind = values[t + horizon] if t + horizon < len(values) else 0.0
        expected = rewards[t : t + horizon].sum() + behind - values[t]
        assert advantages[t] == pytest.approx(expected, abs=1e-12)


def test_advantages_refuse_unequal_lengths_and_an_empty_window():
    with pytest.raises(ValueError, match=r"got shapes \(3,\) and \(2,\)"):
        n_step_advantages(np.zeros(3), np.zeros(2), horizon=1)
    with pytest.raises(ValueError, match="horizon must be at least 1 frame, got 0"):
        n_step_advantages(np.zeros(3), np.zeros(3), horizon=0)


def test_the_threshold_leaves_the_wanted_share_strictly_above():
    advantages = np.array([0.5, 0.1, 0.4, 0.2, 0.3])
    # 0.4 of five frames are two: 0.5 and 0.4 lie above 0.3.
    assert task_thresholds(advantages, np.zeros(5, int), positive_fraction=0.4) == {0: 0.3}


def test_29_hundredths_of_a_hundred_frames_are_29_in_spite_of_rounding():
    thresholds = task_thresholds(np.arange(100.0), np.zeros(100, int), positive_fraction=0.29)
    assert thresholds == {0: 70.0}


def test_each_task_has_its_own_threshold():
    advantages = np.array([1.0, 2.0, -1.0, -2.0])
    thresholds = task_thresholds(advantages, np.array([7, 7, 2, 2]), positive_fraction=0.5)
    assert thresholds == {2: -2.0, 7: 1.0}


def test_frames_tied_with_the_threshold_are_negative():
    advantages = np.array([0.0, 1.0, 1.0, 1.0])
    task = np.zeros(4, int)
    thresholds = task_thresholds(advantages, task, positive_fraction=0.5)
    indicators = improvement_indicators(advantages, task, np.zeros(4, bool), thresholds=thresholds)
    assert thresholds == {0: 1.0}
    assert not indicators.any()


@given(advantages=SEVERAL_ADVANTAGES, fraction=st.floats(0.01, 0.99))
def test_never_more_than_the_wanted_share_is_positive(advantages, fraction):
    task = np.zeros(len(advantages), int)
    threshold = task_thresholds(advantages, task, positive_fraction=fraction)[0]
    assert np.count_nonzero(advantages > threshold) <= fraction * len(advantages) + 1e-6
    # Any lower threshold that occurs would be too low.
    if np.any(advantages < threshold):
        lower = advantages[advantages < threshold].max()
        assert np.count_nonzero(advantages > lower) > fraction * len(advantages) - 1e-6


@given(size=st.integers(1, 80), fraction=st.floats(0.01, 0.99))
def test_without_ties_the_share_misses_by_less_than_one_frame(size, fraction):
    advantages = np.random.default_rng(size).permutation(size).astype(float)
    task = np.zeros(size, int)
    threshold = task_thresholds(advantages, task, positive_fraction=fraction)[0]
    assert np.count_nonzero(advantages > threshold) > fraction * size - 1 - 1e-6


def test_corrections_are_positive_whatever_their_advantage():
    indicators = improvement_indicators(
        np.array([-0.9, -0.9, 0.1]),
        np.array([0, 0, 0]),
        np.array([True, False, False]),
        thresholds={0: 0.0},
    )
    np.testing.assert_array_equal(indicators, [True, False, True])


def test_an_advantage_equal_to_the_threshold_is_negative():
    indicators = improvement_indicators(
        np.array([0.2, 0.2]), np.array([0, 1]), np.zeros(2, bool), thresholds={0: 0.2, 1: 0.1}
    )
    np.testing.assert_array_equal(indicators, [False, True])


def test_a_missing_advantage_is_not_a_negative():
    with pytest.raises(ValueError, match=r"1 frame\(s\) have no finite advantage"):
        improvement_indicators(
            np.array([0.1, np.nan]), np.zeros(2, int), np.zeros(2, bool), thresholds={0: 0.0}
        )
    with pytest.raises(ValueError, match="missing advantage is not a negative"):
        task_thresholds(np.array([np.nan]), np.zeros(1, int), positive_fraction=0.4)


def test_a_task_without_threshold_is_named():
    with pytest.raises(ValueError, match=r"no threshold for task\(s\) 3"):
        improvement_indicators(
            np.zeros(2), np.array([1, 3]), np.zeros(2, bool), thresholds={1: 0.0}
        )


def test_arrays_of_different_frames_are_refused():
    with pytest.raises(ValueError, match=r"got shapes \(2,\), \(3,\)"):
        task_thresholds(np.zeros(2), np.zeros(3, int), positive_fraction=0.4)


@pytest.mark.parametrize("fraction", [0.0, 1.0, -0.1, 1.5])
def test_a_share_must_lie_strictly_between_none_and_all(fraction):
    with pytest.raises(ValueError, match="strictly between 0 and 1"):
        task_thresholds(np.zeros(2), np.zeros(2, int), positive_fraction=fraction)
