"""The picture of whether returns come out as often as the value model says."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from markupsafe import Markup

from recap.core.intervals import Interval
from recap.report.axes import box, chart, line, linear_axis, rounded_up

EDGE = 0.08
"""Share of a bar's width that is left free on either side."""


def pit_figure(bars: Sequence[Interval]) -> Markup:
    """Draw how many returns fell into each equal part of their predicted distribution.

    The line is where every bar ends if the distributions are right; the uprights in the bars are
    their intervals.

    Args:
        bars: Share of the returns in each part, at least one, from the lowest part to the highest.
    """
    count = len(bars)
    x = linear_axis(0.0, 1.0, label="share of the distribution below the return", tick_count=5)
    y = linear_axis(0.0, rounded_up(max(bar.high for bar in bars)), tick_count=4)
    marks: list[Markup] = []
    for place, bar in enumerate(bars):
        left, right = (place + EDGE) / count, (place + 1 - EDGE) / count
        low, point, high = y.shares(np.array([bar.low, bar.point, bar.high]))
        middle = np.full(2, (place + 0.5) / count)
        marks.append(box(left, right, 0.0, point, kind="bar pit"))
        marks.append(line(middle, np.array([low, high]), kind="bar-interval"))
    marks.append(line(np.array([0.0, 1.0]), np.full(2, y.share(1.0 / count)), kind="threshold"))
    shares = ", ".join(f"{100 * bar.point:.0f}%" for bar in bars)
    return chart(
        marks,
        x=x,
        y=y,
        kind="short",
        description=f"Returns in each part of their predicted distribution: {shares}.",
    )
