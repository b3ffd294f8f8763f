"""The scale of the returns, worked by hand."""

import draccus
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from recap.core.advantages import n_step_advantages
from recap.core.returns import (
    FailureScaling,
    ReturnScale,
    episode_rewards,
    monte_carlo_returns,
    normalise,
)
from recap.stages.train_value import ReturnConfig


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


def scale_of(scaling, *, max_steps=10, fraction=0.5):
    return ReturnScale(
        max_steps=max_steps, failure_penalty_fraction=fraction, scaling=FailureScaling(scaling)
    )


# Ten steps at most and f = 0.5, so C_fail is 5; an attempt of four frames, k = 3, 2, 1, 0.
WORKED_BY_HAND = {
    "penalty": [-8 / 15, -7 / 15, -6 / 15, -5 / 15],  # k + 5 steps of 15
    "unspent": [-14 / 15, -13 / 15, -12 / 15, -11 / 15],  # and the six that were not made
    "floor": [-11.5 / 15, -11 / 15, -10.5 / 15, -10 / 15],  # 10 + k / 2 steps of 15
    "clipped": [-8 / 10, -7 / 10, -6 / 10, -5 / 10],  # k + 5 steps of 10: not yet too many
}


@pytest.mark.parametrize("scaling", FailureScaling)
def test_the_returns_of_a_failure_worked_by_hand(scaling):
    returns = scale_of(scaling).returns(4, outcome_is_success=False)
    np.testing.assert_allclose(returns, WORKED_BY_HAND[scaling])


@pytest.mark.parametrize("scaling", FailureScaling)
def test_a_success_is_worth_minus_its_steps_left_whatever_the_scaling(scaling):
    steps = 10 if scaling == "clipped" else 15
    scale = scale_of(scaling)
    assert scale.normaliser == steps
    returns = scale.returns(4, outcome_is_success=True)
    np.testing.assert_allclose(returns, np.array([-3, -2, -1, 0]) / steps, atol=1e-15)


@pytest.mark.parametrize(
    ("scaling", "rewards"),
    [
        ("penalty", [-1 / 15, -1 / 15, -1 / 15, -5 / 15]),
        ("unspent", [-1 / 15, -1 / 15, -1 / 15, -11 / 15]),
        ("floor", [-0.5 / 15, -0.5 / 15, -0.5 / 15, -10 / 15]),
        ("clipped", [-1 / 10, -1 / 10, -1 / 10, -5 / 10]),
    ],
)
def test_the_rewards_of_a_failure_worked_by_hand(scaling, rewards):
    np.testing.assert_allclose(scale_of(scaling).rewards(4, outcome_is_success=False), rewards)


def test_clipping_leaves_nothing_to_tell_the_early_frames_of_a_failure_apart():
    scale = scale_of("clipped")
    # From k = 5 on, k + 5 steps are ten or more: those steps cost nothing.
    expected = [-1, -1, -1, -0.9, -0.8, -0.7, -0.6, -0.5]
    np.testing.assert_allclose(scale.returns(8, outcome_is_success=False), expected)
    rewards = scale.rewards(8, outcome_is_success=False)
    np.testing.assert_allclose(rewards, [0, 0, -0.1, -0.1, -0.1, -0.1, -0.1, -0.5], atol=1e-15)


def test_a_clipped_return_does_not_pass_minus_one_by_rounding():
    scale = scale_of("clipped", max_steps=9)
    assert monte_carlo_returns(scale.rewards(9, outcome_is_success=False)).min() < -1.0
    assert scale.returns(9, outcome_is_success=False).min() == -1.0


@given(length=st.integers(1, 40))
def test_with_clipping_at_the_full_penalty_every_frame_of_a_failure_is_minus_one(length):
    scale = scale_of("clipped", max_steps=40, fraction=1.0)
    assert set(scale.returns(length, outcome_is_success=False)) == {-1.0}


@given(
    scaling=st.sampled_from(FailureScaling),
    max_steps=st.integers(1, 300),
    fraction=st.floats(0.01, 2.0),
    outcome_is_success=st.booleans(),
    data=st.data(),
)
def test_whatever_the_scaling_returns_are_on_the_support_and_the_sums_of_rewards(
    scaling, max_steps, fraction, outcome_is_success, data
):
    length = data.draw(st.integers(1, max_steps))
    scale = scale_of(scaling, max_steps=max_steps, fraction=fraction)
    returns = scale.returns(length, outcome_is_success=outcome_is_success)
    rewards = scale.rewards(length, outcome_is_success=outcome_is_success)
    assert np.all((returns >= -1.0) & (returns <= 0.0))
    assert np.all(rewards <= 0.0)
    np.testing.assert_allclose(returns, monte_carlo_returns(rewards), atol=1e-12)
    if scaling is not FailureScaling.CLIPPED:
        assert len(np.unique(returns)) == length
    for horizon in (1, 3, length):
        advantages = n_step_advantages(rewards, returns, horizon=horizon)
        np.testing.assert_allclose(advantages, 0.0, atol=1e-12)


@given(max_steps=st.integers(1, 60), fraction=st.floats(0.01, 1.0))
def test_on_the_floor_every_failure_ranks_below_every_success(max_steps, fraction):
    scale = scale_of("floor", max_steps=max_steps, fraction=fraction)
    worst_success = scale.returns(max_steps, outcome_is_success=True).min()
    best_failure = scale.returns(1, outcome_is_success=False).max()
    assert best_failure < worst_success
    assert best_failure == pytest.approx(-1 / (1 + fraction))


@given(
    max_steps=st.integers(1, 60),
    fraction=st.floats(0.01, 1.0),
    lengths=st.data(),
)
def test_when_the_unspent_steps_count_no_failure_beats_a_success_after_as_many_frames(
    max_steps, fraction, lengths
):
    scale = scale_of("unspent", max_steps=max_steps, fraction=fraction)
    failed, succeeded = (lengths.draw(st.integers(1, max_steps)) for _ in range(2))
    failure = scale.returns(failed, outcome_is_success=False)
    success = scale.returns(succeeded, outcome_is_success=True)
    shared = min(failed, succeeded)
    assert np.all(failure[:shared] < success[:shared])
    # How long it took to fail changes nothing.
    longest = scale.returns(max_steps, outcome_is_success=False)
    np.testing.assert_allclose(failure, longest[:failed], atol=1e-12)


def test_with_the_penalty_alone_an_early_failure_beats_a_late_success():
    scale = scale_of("penalty")
    early, late = (
        scale.returns(4, outcome_is_success=False)[0],
        scale.returns(10, outcome_is_success=True)[0],
    )
    assert early == pytest.approx(-8 / 15)
    assert late == pytest.approx(-9 / 15)


@pytest.mark.parametrize(
    ("scaling", "surplus"),
    # Two steps of a failure cost as much as those of a success, or half of it, or nothing.
    [("penalty", 0.0), ("unspent", 0.0), ("floor", 0.5 * 2 / 15), ("clipped", 2 / 10)],
)
def test_a_window_inside_of_a_failure_costs_less_where_its_steps_do(scaling, surplus):
    scale, values = scale_of(scaling), np.full(9, -0.4)
    in_failure, in_success = (
        n_step_advantages(scale.rewards(9, outcome_is_success=outcome), values, horizon=2)[0]
        for outcome in (False, True)
    )
    assert in_failure - in_success == pytest.approx(surplus, abs=1e-12)


def test_the_setting_makes_the_scale_and_is_the_papers_reward_unless_asked_otherwise():
    assert ReturnConfig().scale(80) == ReturnScale(max_steps=80, failure_penalty_fraction=0.5)
    assert ReturnScale(max_steps=80).scaling is FailureScaling.PENALTY
    config = draccus.parse(
        ReturnConfig, args=["--scaling=floor", "--failure_penalty_fraction=0.25"]
    )
    assert config.scale(80) == scale_of("floor", max_steps=80, fraction=0.25)
