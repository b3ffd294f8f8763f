"""The PIT of distributions over bins, its histogram and its coverage."""

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from value_models.calibration import (
    PIT_BARS,
    central_share,
    pit_bounds,
    pit_shares,
    pit_within,
)


def test_the_bounds_of_a_pit_worked_by_hand():
    # Five bins stand for -1, -0.75, -0.5, -0.25 and 0.
    mass = torch.tensor([[0.1, 0.2, 0.3, 0.4, 0.0]]).repeat(4, 1)
    lower, upper = pit_bounds(mass, torch.tensor([-1.0, -0.55, -0.25, 0.0]))
    np.testing.assert_allclose(lower, [0.0, 0.3, 0.6, 1.0], atol=1e-7)
    np.testing.assert_allclose(upper, [0.1, 0.6, 1.0, 1.0], atol=1e-7)


def test_a_return_outside_counts_as_the_nearer_end():
    mass = torch.tensor([[0.5, 0.5]]).repeat(2, 1)
    lower, upper = pit_bounds(mass, torch.tensor([-1.5, 0.5]))
    assert (lower.tolist(), upper.tolist()) == ([0.0, 0.5], [0.5, 1.0])


def test_shares_of_a_spread_pit_worked_by_hand():
    lower, upper = np.array([0.2, 0.0, 0.95]), np.array([0.6, 1.0, 1.0])
    np.testing.assert_allclose(pit_within(lower, upper, start=0.5, stop=0.7), [0.25, 0.2, 0.0])
    np.testing.assert_allclose(central_share(lower, upper, coverage=0.5), [0.875, 0.5, 0.0])
    np.testing.assert_allclose(central_share(lower, upper, coverage=0.9), [1.0, 0.9, 0.0])


@pytest.mark.parametrize(("place", "bar"), [(0.0, 0), (0.3, 3), (0.35, 3), (1.0, PIT_BARS - 1)])
def test_a_return_without_mass_falls_into_one_bar(place, bar):
    shares = pit_shares(np.array([place]), np.array([place]))[0]
    assert shares.tolist() == [float(number == bar) for number in range(PIT_BARS)]


@given(st.lists(st.floats(0, 1), min_size=2, max_size=2).map(sorted))
def test_every_pit_falls_into_the_histogram_as_a_whole(bounds):
    shares = pit_shares(np.array(bounds[:1]), np.array(bounds[1:]))
    assert shares.sum() == pytest.approx(1.0)


@given(seed=st.integers(0, 1000), bins=st.integers(2, 9))
def test_returns_drawn_from_their_own_distributions_are_calibrated(seed, bins):
    """The law behind it: weighting every bin by its mass gives an even PIT, exactly."""
    mass = np.random.default_rng(seed).dirichlet(np.full(bins, 0.5))
    everywhere = torch.arange(bins) / (bins - 1) - 1.0
    lower, upper = pit_bounds(torch.from_numpy(mass).repeat(bins, 1), everywhere)
    bounds = lower.numpy(), upper.numpy()
    np.testing.assert_allclose(mass @ pit_shares(*bounds), 1 / PIT_BARS, atol=1e-9)
    for coverage in (0.5, 0.9):
        assert mass @ central_share(*bounds, coverage=coverage) == pytest.approx(coverage)


def test_being_too_sure_is_too_little_coverage_and_a_hollow_histogram():
    rng = np.random.default_rng(0)
    returns = torch.from_numpy(rng.normal(-0.5, 0.1, 4000))
    centres = torch.arange(201) / 200 - 1.0

    def coverage(std):
        mass = torch.softmax(-0.5 * ((centres + 0.5) / std) ** 2, dim=0).repeat(4000, 1)
        lower, upper = (bound.numpy() for bound in pit_bounds(mass, returns))
        return central_share(lower, upper, coverage=0.9).mean(), pit_shares(lower, upper).mean(0)

    right, even = coverage(0.1)
    narrow, hollow = coverage(0.05)
    wide, full = coverage(0.2)
    assert right == pytest.approx(0.9, abs=0.02)
    np.testing.assert_allclose(even, 0.1, atol=0.02)
    assert narrow < 0.65
    assert wide > 0.99
    assert hollow[0] > 2 * hollow[5]
    assert full[5] > 2 * full[0]
