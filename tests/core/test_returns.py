"""The scale of the returns, worked by hand."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from recap.core.returns import (
    ReturnScale,
    episode_rewards,
    monte_carlo_returns,
    normalise,
)


def test_a_success_costs_one_a_step_and_nothing_at_the_end():
    rewards = episode_rewards(4, outcome_is_success=True, failure_penalty=50.0)
    np.testing.assert_array_equal(rewards, [-1.0, -1.0, -1.0, 0.0])


def test_a_failure_pays_the_penalty_at_its_last_step_instead():
    rewards = episode_rewards(4, outcome_is_success=False, failure_penalty=50.0)
    np.testing.assert_array_equal(rewards, [-1.0, -1.0, -1.0, -50.0])


def test_returns_count_the_steps_left():
    np.testing.assert_array_equal(
        monte_carlo_returns(np.array([-1.0, -1.0, -1.0, -50.0])), [-53.0, -52.0, -51.0, -50.0]
    )


def test_normalised_returns_of_a_success_and_a_failure_worked_by_hand():
    scale = ReturnScale(max_steps=10, failure_penalty_fraction=0.5)
    # C_fail = 5 steps, so one unit of return is 15 steps.
    np.testing.assert_allclose(
        scale.returns(3, outcome_is_success=True), [-2 / 15, -1 / 15, 0.0], atol=1e-15
    )
    np.testing.assert_allclose(
        scale.returns(3, outcome_is_success=False), [-7 / 15, -6 / 15, -5 / 15]
    )


def test_the_default_scale_leaves_successes_two_thirds_of_the_bins():
    scale = ReturnScale(max_steps=300)
    assert scale.failure_penalty == 150.0
    assert scale.normaliser == 450.0
    assert scale.returns(300, outcome_is_success=True)[0] == pytest.approx(-299 / 450)


def test_failures_still_vary_in_time():
    returns = ReturnScale(max_steps=100).returns(100, outcome_is_success=False)
    assert np.all(np.diff(returns) > 0.0)
    assert returns[0] == pytest.approx(-149 / 150)
    assert returns[-1] == pytest.approx(-50 / 150)


@given(
    max_steps=st.integers(1, 300),
    fraction=st.floats(0.01, 2.0),
    outcome_is_success=st.booleans(),
    data=st.data(),
)
def test_every_return_lies_between_minus_one_and_zero_without_clipping(
    max_steps, fraction, outcome_is_success, data
):
    length = data.draw(st.integers(1, max_steps))
    scale = ReturnScale(max_steps=max_steps, failure_penalty_fraction=fraction)
    returns = scale.returns(length, outcome_is_success=outcome_is_success)
    assert np.all((returns >= -1.0) & (returns <= 0.0))
    assert len(np.unique(returns)) == length


def test_normalised_rewards_telescope_into_normalised_returns():
    scale = ReturnScale(max_steps=40)
    rewards = scale.rewards(40, outcome_is_success=False)
    returns = scale.returns(40, outcome_is_success=False)
    np.testing.assert_allclose(returns[:-1] - returns[1:], rewards[:-1])


def test_an_episode_longer_than_its_scale_is_refused():
    with pytest.raises(ValueError, match="11 frames does not fit a scale of at most 10 frames"):
        ReturnScale(max_steps=10).rewards(11, outcome_is_success=True)


@pytest.mark.parametrize("fraction", [0.0, -1.0, float("inf"), float("nan")])
def test_a_failure_must_cost_something(fraction):
    with pytest.raises(ValueError, match="failure_penalty_fraction must be above 0"):
        ReturnScale(max_steps=10, failure_penalty_fraction=fraction)


def test_impossible_lengths_penalties_and_normalisers_are_refused():
    with pytest.raises(ValueError, match="max_steps must be at least 1 frame, got 0"):
        ReturnScale(max_steps=0)
    with pytest.raises(ValueError, match="at least one frame, got 0"):
        episode_rewards(0, outcome_is_success=True, failure_penalty=1.0)
    with pytest.raises(ValueError, match="must not be negative, got -1"):
        episode_rewards(3, outcome_is_success=True, failure_penalty=-1.0)
    with pytest.raises(ValueError, match="normaliser must be above zero, got 0"):
        normalise(np.zeros(2), normaliser=0.0)
