"""Held-out episodes and what is measured on them."""

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats

from value_models.validation import (
    METRIC_MEANINGS,
    episode_places,
    hold_out_episodes,
    rank_correlation,
    success_auc,
    value_metrics,
)


def hold_out(frames, fraction, seed=0):
    return hold_out_episodes(frames, holdout_fraction=fraction, rng=np.random.default_rng(seed))


def test_no_episode_is_on_both_sides(frames):
    held_out = hold_out(frames, 0.3)
    shared = set(frames.episode_index[held_out]) & set(frames.episode_index[~held_out])
    assert not shared
    assert len(set(frames.episode_index[held_out])) == 18


def test_every_task_and_outcome_gives_its_share(frames):
    for seed in range(20):
        held_out = hold_out(frames, 0.25, seed)
        for task in (0, 1):
            for outcome in (False, True):
                group = (frames.observations.task_index == task) & (frames.is_success == outcome)
                episodes = len(set(frames.episode_index[group]))
                given_away = len(set(frames.episode_index[group & held_out]))
                assert abs(given_away - episodes / 4) < 1.0 + 1e-9


def test_another_seed_holds_out_other_episodes(frames):
    assert not np.array_equal(hold_out(frames, 0.3, 0), hold_out(frames, 0.3, 1))


@pytest.mark.parametrize("fraction", [0.01, 0.5])
def test_both_sides_have_an_episode(random_walk, fraction):
    held_out = hold_out(random_walk(2), fraction)
    assert held_out.any()
    assert not held_out.all()


def test_a_single_episode_cannot_be_split(random_walk):
    with pytest.raises(ValueError, match="at least two episodes, got 1"):
        hold_out(random_walk(1), 0.5)


def test_places_along_two_episodes_worked_by_hand():
    episode = np.array([4, 4, 4, 4, 4, 1, 1, 1])
    assert episode_places(episode, fraction=0.0).tolist() == [0, 5]
    assert episode_places(episode, fraction=0.5).tolist() == [2, 6]
    assert episode_places(episode, fraction=1.0).tolist() == [4, 7]


def test_auc_worked_by_hand():
    values = np.array([0.9, 0.4, 0.4, 0.1])
    # Pairs of success and failure: 0.9 beats both, 0.4 ties one and beats the other: 3.5 of 4.
    assert success_auc(values, np.array([True, True, False, False])) == pytest.approx(3.5 / 4)


@given(
    values=st.lists(st.integers(-5, 5), min_size=2, max_size=40),
    seed=st.integers(0, 1000),
)
def test_auc_is_the_statistic_of_mann_and_whitney(values, seed):
    numbers = np.array(values, dtype=float)
    success = np.random.default_rng(seed).random(len(values)) < 0.5
    if success.all() or not success.any():
        assert success_auc(numbers, success) is None
        return
    u = stats.mannwhitneyu(numbers[success], numbers[~success]).statistic
    assert success_auc(numbers, success) == pytest.approx(u / (success.sum() * (~success).sum()))


def test_rank_correlation_agrees_with_scipy_and_is_absent_for_a_constant():
    first, second = np.array([1.0, 5.0, 5.0, 2.0]), np.array([2.0, 9.0, 7.0, 7.0])
    assert rank_correlation(first, second) == pytest.approx(stats.spearmanr(first, second)[0])
    assert rank_correlation(np.ones(4), second) is None
    assert rank_correlation(first[:1], second[:1]) is None


def test_a_perfect_value_model_measures_as_one(frames):
    index = np.arange(len(frames.returns))
    metrics = value_metrics(
        frames, index, values=frames.returns, cross_entropy=np.full(len(index), 2.0)
    )
    assert metrics.keys() == METRIC_MEANINGS.keys()
    assert metrics["cross_entropy"] == 2.0
    assert metrics["mae_steps"] == 0.0
    assert metrics["rank_correlation_successes"] == pytest.approx(1.0)


def test_errors_are_counted_in_the_steps_of_each_task(frames):
    index = np.arange(len(frames.returns))
    task = frames.observations.task_index
    rescaled = replace(frames, normalisers={"walk to the left": 60.0, "walk to the right": 120.0})
    metrics = value_metrics(
        rescaled, index, values=frames.returns - 0.1, cross_entropy=np.zeros(len(index))
    )
    assert metrics["mae_steps"] == pytest.approx(np.where(task == 1, 12.0, 6.0).mean())


def test_without_a_failure_there_is_nothing_to_tell_apart(frames):
    index = np.flatnonzero(frames.is_success)
    metrics = value_metrics(
        frames, index, values=frames.returns[index], cross_entropy=np.zeros(len(index))
    )
    assert metrics["auc_25"] is metrics["auc_50"] is metrics["auc_75"] is None
