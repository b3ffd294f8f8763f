"""Projections and expectation, worked by hand."""

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from value_models.bins import BinSupport, cross_entropy
from value_models.config import Projection, ValueModelConfig


def support(projection: Projection, **changes) -> BinSupport:
    return BinSupport(**({"bins": 5, "projection": projection, "gaussian_bins": 1.0} | changes))


def logits_of(probabilities):
    return probabilities.clamp(min=1e-30).log()


def test_bins_are_evenly_spaced_and_hold_both_ends_exactly():
    assert support(Projection.TWO_HOT).centres().tolist() == [-1.0, -0.75, -0.5, -0.25, 0.0]
    assert BinSupport.of(ValueModelConfig()).centres()[100].item() == -0.5


def test_two_hot_shares_a_return_between_its_neighbours():
    # -0.3 lies four fifths of the way from -0.5 to -0.25.
    rows = support(Projection.TWO_HOT).project(torch.tensor([-0.3, -0.75, -1.0, 0.0]))
    expected = [[0, 0, 0.2, 0.8, 0], [0, 1, 0, 0, 0], [1, 0, 0, 0, 0], [0, 0, 0, 0, 1]]
    torch.testing.assert_close(rows, torch.tensor(expected, dtype=torch.float32))


def test_one_hot_takes_the_nearest_bin():
    rows = support(Projection.ONE_HOT).project(torch.tensor([-0.3, -0.95]))
    assert rows.tolist() == [[0, 0, 0, 1, 0], [1, 0, 0, 0, 0]]


def test_hl_gauss_is_the_mass_of_a_gaussian_in_every_bin():
    row = support(Projection.HL_GAUSS).project(torch.tensor([-0.5]))[0]
    # Masses of a standard Gaussian in unit bins around its mean, over their sum (2.5 sigma).
    mass = torch.tensor([0.0606, 0.2417, 0.3829, 0.2417, 0.0606])
    torch.testing.assert_close(row, mass / mass.sum(), atol=1e-4, rtol=0)


@given(value=st.floats(-1.0, 0.0, width=32), projection=st.sampled_from(Projection))
def test_every_projection_sums_to_one(value, projection):
    rows = support(projection, bins=201).project(torch.tensor([value]))
    assert rows.min() >= 0.0
    assert rows.sum().item() == pytest.approx(1.0, abs=1e-5)


@given(value=st.floats(-1.0, 0.0, width=32))
def test_the_expectation_of_a_two_hot_projection_is_the_return(value):
    bins = support(Projection.TWO_HOT, bins=201)
    expected = bins.expectation(logits_of(bins.project(torch.tensor([value]))))
    assert expected.item() == pytest.approx(value, abs=1e-5)


@given(value=st.floats(-1.0, 0.0, width=32))
def test_the_expectation_of_a_one_hot_projection_misses_by_half_a_bin_at_most(value):
    bins = support(Projection.ONE_HOT, bins=201)
    expected = bins.expectation(logits_of(bins.project(torch.tensor([value]))))
    assert abs(expected.item() - value) <= 0.0025 + 1e-5


@given(value=st.floats(-0.9375, -0.0625, width=32))
def test_the_expectation_of_an_hl_gauss_projection_is_the_return_away_from_the_ends(value):
    bins = support(Projection.HL_GAUSS, bins=201, gaussian_bins=2.0)
    expected = bins.expectation(logits_of(bins.project(torch.tensor([value]))))
    assert expected.item() == pytest.approx(value, abs=1e-4)


def test_hl_gauss_is_drawn_inwards_at_the_ends_by_less_than_a_standard_deviation():
    bins = support(Projection.HL_GAUSS, bins=201, gaussian_bins=2.0)
    low, high = bins.expectation(logits_of(bins.project(torch.tensor([-1.0, 0.0]))))
    assert -1.0 < low < -1.0 + 2.0 / 200
    assert -2.0 / 200 < high < 0.0


def test_a_return_outside_the_support_counts_as_the_nearer_end():
    for projection in Projection:
        bins = support(projection)
        outside, ends = bins.project(torch.tensor([-7.0, 3.0])), torch.tensor([-1.0, 0.0])
        torch.testing.assert_close(outside, bins.project(ends))


def test_cross_entropy_worked_by_hand():
    logits = torch.tensor([[0.5, 0.25, 0.25]]).log()
    # -(0.5 log 0.5 + 0.5 log 0.25) = 1.5 log 2
    loss = cross_entropy(logits, torch.tensor([[0.5, 0.5, 0.0]]))
    assert loss.item() == pytest.approx(1.5 * 0.6931472)
