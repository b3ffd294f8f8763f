"""The picture of a value model's PIT histogram."""

import re

from recap.core.intervals import Interval
from recap.report.calibration import pit_figure


def test_every_bar_is_as_high_as_its_share_with_its_interval_and_the_line_is_even():
    bars = [Interval(0.1, 0.25, 0.4), Interval(0.6, 0.75, 0.8)]
    drawn = str(pit_figure(bars))
    # The axis ends at 0.8, so that a share of 0.25 is 312.5 of 1000 drawing units.
    heights = re.findall(r'class="bar pit".*?height="([\d.]+)"', drawn)
    assert [float(height) for height in heights] == [312.5, 937.5]
    assert 'class="bar-interval" points="250.0,875.0 250.0,500.0"' in drawn
    assert 'class="threshold" points="0.0,375.0 1000.0,375.0"' in drawn
    assert "Returns in each part of their predicted distribution: 25%, 75%." in drawn


def test_bars_do_not_touch():
    drawn = str(pit_figure([Interval(0.0, 0.1, 0.2)] * 10))
    places = re.findall(r'class="bar pit" x="([\d.]+)" y="[\d.]+" width="([\d.]+)"', drawn)
    ends = [float(x) + float(width) for x, width in places]
    starts = [float(x) for x, _ in places]
    assert all(end < start for end, start in zip(ends, starts[1:], strict=False))
