"""Ranks, their correlation and the AUC: by hand, by SciPy, and in resamples."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats

from value_models.ranking import (
    Ordered,
    rank_correlation,
    rank_correlations,
    success_auc,
    success_aucs,
)

few_numbers = st.lists(st.integers(-3, 3), min_size=2, max_size=25)


def test_the_weight_below_each_number_worked_by_hand():
    ordered = Ordered(np.array([5.0, 1.0, 5.0, 3.0]))
    weights = np.array([[1.0, 1.0, 1.0, 1.0], [2.0, 0.0, 1.0, 3.0]])
    # Below 5 lie 1 and 3, and half of the two fives. In the second row 3 was drawn three times.
    expected = [[3.0, 0.5, 3.0, 1.5], [4.5, 0.0, 4.5, 1.5]]
    np.testing.assert_allclose(ordered.weight_below(weights), expected)


def test_auc_worked_by_hand():
    values = np.array([0.9, 0.4, 0.4, 0.1])
    # Pairs of success and failure: 0.9 beats both, 0.4 ties one and beats the other: 3.5 of 4.
    assert success_auc(values, np.array([True, True, False, False])) == pytest.approx(3.5 / 4)


@given(values=few_numbers, seed=st.integers(0, 1000))
def test_auc_is_the_statistic_of_mann_and_whitney(values, seed):
    numbers = np.array(values, dtype=float)
    success = np.random.default_rng(seed).random(len(values)) < 0.5
    if success.all() or not success.any():
        assert success_auc(numbers, success) is None
        return
    u = stats.mannwhitneyu(numbers[success], numbers[~success]).statistic
    assert success_auc(numbers, success) == pytest.approx(u / (success.sum() * (~success).sum()))


def test_only_pairs_of_one_task_count():
    values = np.array([0.9, 0.8, 0.2, 0.1, 0.5])
    success = np.array([True, False, True, False, True])
    task = np.array([0, 0, 1, 1, 2])
    once = np.ones((1, 5))
    # Both pairs are won, though the failure at the easy task is above the success at the hard one.
    assert success_aucs(values, success, task, once)[0] == 1.0
    assert success_auc(values, success) == pytest.approx(4 / 6)
    alone = success_aucs(values, success, np.arange(5), once)
    assert np.isnan(alone[0])


@given(values=few_numbers, seed=st.integers(0, 1000))
def test_resamples_are_the_same_as_samples_that_were_drawn(values, seed):
    rng = np.random.default_rng(seed)
    numbers = np.array(values, dtype=float)
    other = rng.integers(-3, 4, len(values)).astype(float)
    success, task = rng.random(len(values)) < 0.5, rng.integers(0, 2, len(values))
    column = np.sort(rng.integers(0, 4, len(values)))
    weights = rng.integers(0, 3, (3, 4)).astype(float)
    aucs = success_aucs(numbers, success, task, weights[:, column])
    ranks = rank_correlations(numbers, other, weights, column=column)
    for row, draw in enumerate(weights):
        drawn = np.repeat(np.arange(len(values)), draw[column].astype(int))
        pairs = [
            1.0 if numbers[s] > numbers[f] else 0.5 if numbers[s] == numbers[f] else 0.0
            for s in drawn[success[drawn]]
            for f in drawn[~success[drawn]]
            if task[s] == task[f]
        ]
        np.testing.assert_allclose(aucs[row], np.mean(pairs) if pairs else np.nan)
        slow = np.nan
        if len({*numbers[drawn]}) > 1 and len({*other[drawn]}) > 1:
            slow = stats.spearmanr(numbers[drawn], other[drawn])[0]
        np.testing.assert_allclose(ranks[row], slow, atol=1e-12)


def test_many_resamples_are_worked_off_in_pieces(monkeypatch):
    rng = np.random.default_rng(0)
    first, second, column = rng.normal(size=30), rng.normal(size=30), np.arange(30)
    weights = rng.integers(0, 3, (7, 30)).astype(float)
    whole = rank_correlations(first, second, weights, column=column)
    monkeypatch.setattr("value_models.ranking.NUMBERS_AT_ONCE", 60)
    np.testing.assert_array_equal(rank_correlations(first, second, weights, column=column), whole)


def test_rank_correlation_agrees_with_scipy_and_is_absent_for_a_constant():
    first, second = np.array([1.0, 5.0, 5.0, 2.0]), np.array([2.0, 9.0, 7.0, 7.0])
    assert rank_correlation(first, second) == pytest.approx(stats.spearmanr(first, second)[0])
    assert rank_correlation(np.ones(4), second) is None
    assert rank_correlation(first[:1], second[:1]) is None
    assert rank_correlation(first[:0], second[:0]) is None
