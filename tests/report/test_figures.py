import math
import re
from dataclasses import replace

import numpy as np
import pytest

from recap.core.intervals import Interval
from recap.report.axes import Axis, linear_axis, round_ticks, rounded_up
from recap.report.content import AdvantageHistogram, LearningCurve, Series
from recap.report.figures import (
    MOST_POINTS,
    histogram_figure,
    interval_figure,
    leaders,
    learning_figure,
    lowest_value,
    ratio_axis,
    ribbon,
    runs,
    value_figure,
)


def bars(figure, kind):
    pattern = rf'<rect class="bar {kind}" x="([^"]+)" y="[^"]+" width="[^"]+" height="([^"]+)"'
    return [(float(x), float(height)) for x, height in re.findall(pattern, figure)]


def test_runs_cut_at_every_change():
    flags = np.array([True, True, False, True])
    assert runs(flags) == [(0, 2, True), (2, 3, False), (3, 4, True)]
    assert runs(np.array([], dtype=bool)) == []


@pytest.mark.parametrize(
    ("low", "high", "count", "ticks"),
    [
        (0.0, 1.0, 5, (0.0, 0.2, 0.4, 0.6, 0.8, 1.0)),
        (-1.0, 0.0, 4, (-1.0, -0.8, -0.6, -0.4, -0.2, 0.0)),
        (0.0, 95.0, 6, (0, 20, 40, 60, 80)),
        (3.0, 1503.0, 3, (500, 1000, 1500)),
    ],
)
def test_ticks_are_round_numbers_inside_the_range(low, high, count, ticks):
    np.testing.assert_allclose(round_ticks(low, high, count=count), ticks, atol=1e-12)


@pytest.mark.parametrize(("value", "end"), [(1236, 1500), (0.7, 0.8), (10, 10), (0, 1)])
def test_an_axis_ends_at_a_round_number_beyond_its_last_value(value, end):
    assert rounded_up(value) == pytest.approx(end)


def test_a_logarithmic_axis_puts_one_half_and_two_equally_far_from_one():
    axis = Axis(low=0.25, high=4.0, is_logarithmic=True)
    np.testing.assert_allclose(axis.shares(np.array([0.5, 1.0, 2.0])), [0.25, 0.5, 0.75])
    assert axis.share(math.inf) == 1.0
    assert axis.share(0.0) == 0.0


def test_the_axis_of_ratios_holds_every_interval_and_marks_one():
    axis = ratio_axis([("a", Interval(1.2, 3.0, 5.0)), ("b", Interval(0.1, 0.3, math.inf))])
    assert axis.low < 0.1
    assert axis.high > 10.0
    assert 1.0 in axis.ticks
    assert len(axis.ticks) <= 5


def test_an_interval_is_drawn_where_it_belongs():
    figure = interval_figure(
        [("sft", Interval(0.2, 0.25, 0.5))],
        axis=linear_axis(0.0, 1.0),
        value_text=str,
        main=(0,),
        reference=0.5,
    )
    assert '<i class="whisker" style="left:20.00%;width:30.00%">' in figure
    assert '<i class="point" style="left:25.00%">' in figure
    assert '<i class="reference" style="left:50.00%">' in figure


def test_no_bar_of_a_histogram_is_on_both_sides_of_the_threshold():
    advantages = np.random.default_rng(0).normal(0.0, 1.0, 4000)
    figure = histogram_figure(AdvantageHistogram(task="t", advantages=advantages, threshold=0.37))
    negative, positive = bars(figure, "negative"), bars(figure, "positive")
    drawn = sum(height for _, height in positive)
    share = drawn / (drawn + sum(height for _, height in negative))
    assert max(x for x, _ in negative) < min(x for x, _ in positive)
    assert share == pytest.approx(np.mean(advantages > 0.37), abs=2e-3)


def test_an_advantage_equal_to_its_threshold_is_drawn_as_negative():
    advantages = np.array([-1.0, 0.5, 0.5, 0.5, 1.0])
    figure = histogram_figure(AdvantageHistogram(task="t", advantages=advantages, threshold=0.5))
    assert sum(height for _, height in bars(figure, "positive")) == pytest.approx(960 / 3)
    assert max(height for _, height in bars(figure, "negative")) == 960.0


def test_a_value_curve_changes_colour_with_the_indicator_without_a_gap(value_curve):
    figure = value_figure(value_curve, lowest=-1.0)
    lines = re.findall(r'<polyline class="value (\w+)" points="([^"]+)"', figure)
    assert [kind for kind, _ in lines] == ["positive", "negative"]
    assert lines[0][1].split()[-1] == lines[1][1].split()[0]


def test_a_value_curve_shades_its_corrections_and_its_steepest_fall(value_curve):
    figure = value_figure(value_curve, lowest=-1.0)
    assert figure.count('class="corrected"') == 1
    assert figure.count('class="fall"') == 1
    rising = replace(
        value_curve, values=np.linspace(-1, 0, 20), is_correction=np.zeros(20, dtype=bool)
    )
    figure = value_figure(rising, lowest=-1.0)
    assert 'class="corrected"' not in figure
    assert 'class="fall"' not in figure


def test_a_leader_starts_at_its_frame_and_ends_above_its_picture(value_curve):
    # Frame 9 of 0...19 is at 9/19 of the axis; the second of three pictures is at one half.
    assert '<polyline class="leader" points="473.7,0.0 500.0,1000.0"/>' in leaders(value_curve)


def test_value_curves_share_an_axis_that_holds_them_all(value_curve):
    higher = replace(value_curve, values=value_curve.values / 2, returns=value_curve.returns / 2)
    assert lowest_value([higher]) == -0.5
    assert lowest_value([higher, value_curve]) == -1.0
    assert lowest_value([replace(value_curve, values=value_curve.values * 0 - 1)]) == -1.0


def test_a_long_noisy_curve_is_thinned_and_smoothed():
    steps = np.arange(5000.0)
    values = np.random.default_rng(0).normal(size=5000)
    curve = LearningCurve(
        stage="s", metric="loss", series=(Series(name="", steps=steps, values=values),)
    )
    faint, smooth = re.findall(
        r'<polyline class="series-0[^"]*" points="([^"]+)"', learning_figure(curve)
    )
    heights = [
        np.array([float(point.split(",")[1]) for point in points.split()])
        for points in (faint, smooth)
    ]
    assert len(heights[0]) == len(heights[1]) <= MOST_POINTS
    assert heights[1].std() < 0.5 * heights[0].std()


def test_a_short_curve_is_drawn_as_it_is():
    curve = LearningCurve(
        stage="s",
        metric="loss",
        series=(Series(name="", steps=np.array([0.0, 10.0]), values=np.array([1.0, 1.0])),),
    )
    figure = learning_figure(curve)
    assert 'points="0.0,500.0 1000.0,500.0"' in figure
    assert "faint" not in figure


def test_a_ribbon_gives_each_pilot_its_share_of_the_episode():
    parts = re.findall(r'class="(\w+)" style="width:([\d.]+)%', ribbon(np.array([0, 1, 1, 0]) > 0))
    assert parts == [("own", "25.00"), ("corrected", "50.00"), ("own", "25.00")]
