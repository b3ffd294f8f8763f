"""Projections and what is read out of a distribution: worked by hand, and laws."""

import math
from statistics import NormalDist

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

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


ANY_LOGITS = arrays(
    np.float32,
    st.tuples(st.integers(1, 4), st.integers(2, 12)),
    elements=st.floats(-30.0, 30.0, width=32),
)
LEVELS = st.lists(st.floats(0.01, 0.99), min_size=1, max_size=5)

# Five bins from -1 to 0 with edges at -1.125, -0.875, -0.625, -0.375, -0.125 and 0.125.
FIVE = support(Projection.TWO_HOT)
MASS = [0.1, 0.2, 0.4, 0.2, 0.1]


def obvious_masses(logits):
    """The masses of one row, and what lies below each edge."""
    weights = [math.exp(logit - max(logits)) for logit in logits]
    masses = [weight / sum(weights) for weight in weights]
    return masses, [sum(masses[:edge]) for edge in range(len(masses) + 1)]


def obvious_cumulative(logits, value):
    if value < -1.0 or value >= 0.0:
        return float(value >= 0.0)
    masses, _ = obvious_masses(logits)
    width = 1.0 / (len(masses) - 1)
    total = 0.0
    for number, mass in enumerate(masses):
        lower_edge = -1.0 + (number - 0.5) * width
        total += mass * min(max((value - lower_edge) / width, 0.0), 1.0)
    return total


def obvious_quantile(logits, level):
    """Walk up the bins until enough lies below."""
    masses, below = obvious_masses(logits)
    width = 1.0 / (len(masses) - 1)
    for number, mass in enumerate(masses):
        if below[number + 1] >= level or number == len(masses) - 1:
            lower_edge = -1.0 + (number - 0.5) * width
            return min(max(lower_edge + width * (level - below[number]) / mass, -1.0), 0.0)
    raise AssertionError


def test_entropy_worked_by_hand():
    rows = torch.tensor([[0.5, 0.25, 0.25, 0.0, 0.0], [0.2] * 5, [0.0, 1.0, 0.0, 0.0, 0.0]])
    # 0.5 log 2 + 2 * 0.25 log 4 = 1.5 log 2; then log 5; then nothing is open.
    expected = [1.5 * math.log(2.0), math.log(5.0), 0.0]
    torch.testing.assert_close(FIVE.entropy(rows.log()), torch.tensor(expected))


@given(logits=ANY_LOGITS)
def test_entropy_is_what_a_prediction_loses_against_itself(logits):
    rows = torch.from_numpy(logits)
    bins = support(Projection.TWO_HOT, bins=rows.shape[1])
    entropy = bins.entropy(rows)
    torch.testing.assert_close(entropy, cross_entropy(rows, rows.softmax(dim=1)), atol=1e-5, rtol=0)
    assert torch.all((entropy >= 0.0) & (entropy <= math.log(rows.shape[1]) + 1e-5))


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        (-1.5, 0.0),
        (-1.0, 0.05),  # half of the first bin lies at -1, as nothing lies below
        (-0.875, 0.1),  # the edge of the first bin
        (-0.75, 0.2),  # half of the second bin
        (-0.5, 0.5),
        (-0.4375, 0.6),  # three quarters of the third bin
        (-0.0625, 0.925),  # a quarter of the last bin
        (0.0, 1.0),  # and what would lie above counts as at 0
        (0.5, 1.0),
    ],
)
def test_cumulative_probabilities_worked_by_hand(value, expected):
    row = torch.tensor([MASS]).log()
    assert FIVE.cumulative(row, torch.tensor([value])).item() == pytest.approx(expected, abs=1e-6)


def test_one_return_or_several_can_be_asked_of_every_row():
    rows = torch.tensor([MASS, [1.0, 0.0, 0.0, 0.0, 0.0]]).log()
    one = FIVE.cumulative(rows, torch.tensor([-0.5, -1.0]))
    torch.testing.assert_close(one, torch.tensor([0.5, 0.5]))
    several = FIVE.cumulative(rows, torch.tensor([[-0.75, -0.5, 0.0], [-1.0, -0.9375, -0.875]]))
    torch.testing.assert_close(several, torch.tensor([[0.2, 0.5, 1.0], [0.5, 0.75, 1.0]]))


def test_quantiles_worked_by_hand():
    levels = (0.01, 0.1, 0.2, 0.5, 0.6, 0.925, 0.99)
    # 0.01 and 0.99 lie in the outer halves of the end bins, which count as the ends.
    expected = [[-1.0, -0.875, -0.75, -0.5, -0.4375, -0.0625, 0.0]]
    quantiles = FIVE.quantiles(torch.tensor([MASS]).log(), levels)
    torch.testing.assert_close(quantiles, torch.tensor(expected))


def test_between_two_bins_with_an_empty_one_the_least_return_that_fits_is_given():
    row = torch.tensor([[0.0, 0.5, 0.0, 0.5, 0.0]]).log()
    expected = [[-0.75, -0.625, -0.25]]
    torch.testing.assert_close(
        FIVE.quantiles(row, (0.25, 0.5, 0.75)), torch.tensor(expected), atol=1e-6, rtol=0
    )


def test_the_smallest_level_is_answered_where_the_first_bin_is_empty():
    row = torch.tensor([[0.0, 0.0, 1.0, 0.0, 0.0]]).log()
    assert FIVE.quantiles(row, (1e-60,)).item() == pytest.approx(-0.625)


def test_a_level_next_to_one_is_answered_however_the_masses_were_rounded():
    rows = torch.from_numpy(np.random.default_rng(0).normal(size=(200, 201)).astype(np.float32))
    quantiles = support(Projection.TWO_HOT, bins=201).quantiles(rows, (1.0 - 1e-12,))
    assert torch.all((quantiles > -0.01) & (quantiles <= 0.0))


def test_a_central_interval_leaves_as_much_below_as_above():
    ends = FIVE.interval(torch.tensor([MASS]).log(), coverage=0.6)
    torch.testing.assert_close(ends, torch.tensor([[-0.75, -0.25]]))


def test_quantiles_and_intervals_of_a_gaussian_are_the_gaussians():
    bins = support(Projection.HL_GAUSS, bins=201, gaussian_bins=8.0)
    row = logits_of(bins.project(torch.tensor([-0.4])))
    gaussian = NormalDist(-0.4, 8.0 / 200)
    levels = (0.05, 0.25, 0.5, 0.75, 0.95)
    expected = torch.tensor([[gaussian.inv_cdf(level) for level in levels]])
    torch.testing.assert_close(bins.quantiles(row, levels), expected, atol=2e-4, rtol=0)
    torch.testing.assert_close(
        bins.interval(row, coverage=0.9), expected[:, [0, 4]], atol=2e-4, rtol=0
    )
    entropy = 0.5 * math.log(2.0 * math.pi * math.e * 8.0**2)  # in bins
    assert bins.entropy(row).item() == pytest.approx(entropy, abs=1e-3)


@given(logits=ANY_LOGITS, levels=LEVELS)
def test_quantiles_rise_with_their_levels_and_lie_on_the_support(logits, levels):
    rows = torch.from_numpy(logits)
    bins = support(Projection.TWO_HOT, bins=rows.shape[1])
    quantiles = bins.quantiles(rows, sorted(levels))
    assert quantiles.shape == (len(rows), len(levels))
    assert torch.all(quantiles.diff(dim=1) >= 0.0)
    assert torch.all((quantiles >= -1.0) & (quantiles <= 0.0))


@given(
    logits=arrays(np.float32, (3, 7), elements=st.floats(-3.0, 3.0, width=32)),
    levels=LEVELS,
)
def test_a_quantile_has_its_level_below_it_and_more_only_at_an_end(logits, levels):
    rows, bins = torch.from_numpy(logits), support(Projection.TWO_HOT, bins=7)
    quantiles = bins.quantiles(rows, levels)
    surplus = bins.cumulative(rows, quantiles) - torch.tensor(levels)
    assert torch.all(surplus >= -1e-4)
    inside = (quantiles > -1.0) & (quantiles < 0.0)
    assert torch.all(surplus[inside] <= 1e-4)


@given(
    logits=arrays(np.float32, (3, 7), elements=st.floats(-3.0, 3.0, width=32)),
    coverage=st.floats(0.05, 0.95),
)
def test_a_central_interval_holds_what_it_promises(logits, coverage):
    rows, bins = torch.from_numpy(logits), support(Projection.TWO_HOT, bins=7)
    ends = bins.interval(rows, coverage=coverage)
    held = bins.cumulative(rows, ends).diff(dim=1)[:, 0]
    held = torch.where(ends[:, 0] > -1.0, held, bins.cumulative(rows, ends[:, 1]))
    assert torch.all(held >= coverage - 1e-4)


@given(
    logits=arrays(np.float32, (3, 7), elements=st.floats(-5.0, 5.0, width=32)),
    values=arrays(np.float32, (3, 4), elements=st.floats(-1.5, 0.5, width=32)),
    levels=LEVELS,
)
def test_readouts_agree_with_a_walk_from_bin_to_bin(logits, values, levels):
    rows, bins = torch.from_numpy(logits), support(Projection.TWO_HOT, bins=7)
    cumulative = bins.cumulative(rows, torch.from_numpy(values))
    quantiles = bins.quantiles(rows, levels)
    slow = np.array(
        [[obvious_cumulative(row, v) for v in own] for row, own in zip(logits, values, strict=True)]
    )
    np.testing.assert_allclose(cumulative.numpy(), slow, atol=1e-5)
    slow = np.array([[obvious_quantile(row, level) for level in levels] for row in logits])
    # A bin of mass m turns a rounding of e in the level into e / m of its width.
    np.testing.assert_allclose(quantiles.numpy(), slow, atol=1e-3)


@given(value=st.floats(-1.0, 0.0, width=32))
def test_a_two_hot_target_lies_on_two_neighbours_and_a_one_hot_target_on_one_bin(value):
    two = support(Projection.TWO_HOT, bins=9).project(torch.tensor([value]))[0]
    places = two.nonzero()[:, 0].tolist()
    assert places == list(range(places[0], places[0] + len(places)))
    assert len(places) <= 2
    one = support(Projection.ONE_HOT, bins=9).project(torch.tensor([value]))[0]
    assert sorted(one.tolist()) == [0.0] * 8 + [1.0]
    assert two[one.argmax()] >= 0.5


@pytest.mark.parametrize("projection", [Projection.ONE_HOT, Projection.TWO_HOT])
def test_a_return_on_a_centre_takes_its_bin_alone(projection):
    bins = support(projection, bins=9)  # eighths are exact
    assert torch.equal(bins.project(bins.centres()), torch.eye(9))


@given(value=st.floats(-1.0, 0.0, width=32), spread=st.floats(0.5, 4.0))
def test_an_hl_gauss_target_is_the_gaussians_mass_between_the_edges(value, spread):
    row = support(Projection.HL_GAUSS, bins=21, gaussian_bins=spread).project(torch.tensor([value]))
    gaussian = NormalDist((value + 1.0) * 20, spread)
    masses = [gaussian.cdf(number + 0.5) - gaussian.cdf(number - 0.5) for number in range(21)]
    np.testing.assert_allclose(row[0], np.array(masses) / sum(masses), atol=1e-5)


@pytest.mark.parametrize("level", [0.0, 1.0, -0.1, float("nan")])
def test_a_level_that_no_quantile_has_is_refused(level):
    row = torch.zeros(1, 5)
    with pytest.raises(ValueError, match=f"must lie above 0 and below 1, got {level}"):
        FIVE.quantiles(row, (0.5, level))
    with pytest.raises(ValueError, match=f"coverage must lie above 0 and below 1, got {level}"):
        FIVE.interval(row, coverage=level)
