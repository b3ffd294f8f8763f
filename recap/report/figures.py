"""The figures of the page, each a piece of HTML that needs nothing but the style sheet."""

from __future__ import annotations

import math
from collections.abc import Callable, Collection, Iterable, Sequence
from itertools import pairwise

import numpy as np
from markupsafe import Markup

from recap.core.intervals import Interval
from recap.report.axes import (
    SIZE,
    Axis,
    box,
    chart,
    dots,
    line,
    linear_axis,
    rounded_up,
    upright,
)
from recap.report.content import (
    AdvantageHistogram,
    Bools,
    Comparison,
    Floats,
    LearningCurve,
    PolicyRow,
    Series,
    SourceShare,
    ValueCurve,
)
from recap.report.instants import steepest_fall
from recap.report.words import number_text, percent_text, ratio_text

HISTOGRAM_BINS = 48
MOST_POINTS = 400
"""A line is thinned to this many points by averaging: a page need not carry every step."""

NOISY_POINTS = 60
"""A line with more points than this also gets a smoothed one."""

FALL_WINDOW = 10
"""Frames over which the steepest fall of a value curve is looked for."""

NOTICEABLE_FALL = 0.05
"""Falls smaller than this are not pointed at."""

IntervalRow = tuple[str, Interval]


def percent_tick(share: float) -> str:
    """Write a tick of a share axis."""
    return f"{100 * share:.0f}%"


def share_axis() -> Axis:
    """Make the axis of a success rate: always the whole of it."""
    return linear_axis(0.0, 1.0, tick_count=5, tick_text=percent_tick)


def amount_axis(rows: Sequence[IntervalRow]) -> Axis:
    """Make an axis from zero to beyond the last interval."""
    ends = [row.high for _, row in rows if math.isfinite(row.high)]
    return linear_axis(0.0, rounded_up(max(ends, default=1.0)), tick_count=5)


def ratio_axis(rows: Sequence[IntervalRow]) -> Axis:
    """Make a logarithmic axis around one that holds every interval."""
    ends = [end for _, r in rows for end in (r.low, r.high) if math.isfinite(end) and end > 0]
    reach = max([2.0, *(max(end, 1 / end) for end in ends)])
    reach = min(reach * 1.15, 100.0)
    spacing = next(ratio for ratio in (2.0, 3.0, 10.0) if ratio**3 > reach or ratio == 10.0)
    ticks = [spacing**power for power in range(-2, 3) if 1 / reach <= spacing**power <= reach]
    return Axis(
        low=1 / reach,
        high=reach,
        ticks=tuple(ticks),
        tick_text=lambda tick: f"{tick:.2g}×",
        is_logarithmic=True,
    )


def success_figure(rows: Sequence[PolicyRow], *, first_is_main: bool = False) -> Markup:
    """Draw the success rates of some policies; the last is the one to look at, or the first."""
    pairs = [(row.name, row.success) for row in rows]
    main = (0,) if first_is_main else (len(rows) - 1,)
    return interval_figure(pairs, axis=share_axis(), value_text=percent_text, main=main)


def throughput_figure(rows: Sequence[PolicyRow], *, first_is_main: bool = False) -> Markup:
    """Draw the successes per hour of some policies, like :func:`success_figure`."""
    pairs = [(row.name, row.successes_per_hour) for row in rows]
    main = (0,) if first_is_main else (len(rows) - 1,)
    return interval_figure(pairs, axis=amount_axis(pairs), value_text=number_text, main=main)


def ratio_figure(comparison: Comparison) -> Markup:
    """Draw the two ratios of a paired comparison around one."""
    pairs = [
        ("successes per hour", comparison.throughput_ratio),
        ("failure rate", comparison.failure_ratio),
    ]
    return interval_figure(
        pairs,
        axis=ratio_axis(pairs),
        value_text=ratio_text,
        main=(0, 1),
        reference=1.0,
    )


def interval_figure(
    rows: Sequence[IntervalRow],
    *,
    axis: Axis,
    value_text: Callable[[float], str],
    main: Collection[int],
    reference: float | None = None,
) -> Markup:
    """Draw one dot with its interval for each row.

    Args:
        rows: Name and interval of each row, top to bottom.
        axis: What is measured.
        value_text: How the dot's value is written above it.
        main: Indices of the rows to look at; the others are drawn quietly.
        reference: Value to mark with a line, such as a ratio of one.
    """
    drawn = []
    for index, (name, interval) in enumerate(rows):
        kind = "main" if index in main else "base"
        marks = _interval_marks(interval, axis=axis, text=value_text)
        if reference is not None:
            marks += Markup('<i class="reference" style="left:{}%"></i>').format(
                _percent(axis.share(reference))
            )
        drawn.append(
            Markup(
                '<div class="interval-row {}"><span class="row-name">{}</span>'
                '<div class="track">{}</div></div>'
            ).format(kind, name, marks)
        )
    ticks = Markup("").join(
        Markup('<span style="left:{}%">{}</span>').format(
            _percent(axis.share(tick)), axis.tick_text(tick)
        )
        for tick in axis.ticks
    )
    return Markup(
        '<div class="intervals"><div class="interval-rows">{}</div>'
        '<div class="interval-axis"><div class="x-ticks">{}</div></div></div>'
    ).format(Markup("").join(drawn), ticks)


def value_figure(curve: ValueCurve, *, lowest: float) -> Markup:
    """Draw the value of one episode over its frames.

    The line has the colour of the indicator; the return is the thin line; corrections are shaded;
    dots are the moments of the filmstrip below, and leaders lead to its pictures.

    Args:
        curve: The episode.
        lowest: Lower end of the axis, common to all curves of a page so that they compare.
    """
    length = len(curve.values)
    x = linear_axis(0.0, max(length - 1, 1), label="frame", tick_count=6)
    y = linear_axis(lowest, 0.0, label="value", tick_count=4)
    across, up = x.shares(np.arange(length, dtype=np.float64)), y.shares(curve.values)
    marks = [
        box(across[start], across[stop - 1], 0.0, 1.0, kind="corrected")
        for start, stop, flag in runs(curve.is_correction)
        if flag
    ]
    fall = steepest_fall(curve.values, window=FALL_WINDOW)
    if fall is not None and curve.values[fall[0]] - curve.values[fall[1]] > NOTICEABLE_FALL:
        marks.append(box(across[fall[0]], across[fall[1]], 0.0, 1.0, kind="fall"))
    marks.append(line(across, y.shares(curve.returns), kind="return"))
    for start, stop, is_positive in runs(curve.is_positive):
        reach = slice(start, min(stop + 1, length))  # one frame over, or the line has gaps
        kind = "value positive" if is_positive else "value negative"
        marks.append(line(across[reach], up[reach], kind=kind))
    pictured = curve.filmstrip_frames
    marks.append(dots(across[pictured], up[pictured], kind="instant-rim"))
    marks.append(dots(across[pictured], up[pictured], kind="instant"))
    return chart(
        marks,
        x=x,
        y=y,
        kind="tall",
        description=f"Value over {length} frames of a {curve.outcome} at {curve.task!r}, "
        f"from {curve.values[0]:.2f} to {curve.values[-1]:.2f}.",
    )


def leaders(curve: ValueCurve) -> Markup:
    """Draw the lines that lead from the frames of the axis to the pictures below."""
    count, last = len(curve.filmstrip_frames), max(len(curve.values) - 1, 1)
    lines = [
        line(np.array([frame / last, (index + 0.5) / count]), np.array([1.0, 0.0]), kind="leader")
        for index, frame in enumerate(curve.filmstrip_frames)
    ]
    return Markup(
        '<svg class="leaders" viewBox="0 0 {0:.0f} {0:.0f}" preserveAspectRatio="none" '
        'aria-hidden="true">{1}</svg>'
    ).format(SIZE, Markup("").join(lines))


def runs(flags: Bools) -> list[tuple[int, int, bool]]:
    """Cut flags into runs of the same flag: ``(start, stop, flag)``, stop excluded."""
    if len(flags) == 0:
        return []
    cuts = [0, *(np.flatnonzero(np.diff(flags.astype(np.int8))) + 1).tolist(), len(flags)]
    return [(a, b, bool(flags[a])) for a, b in pairwise(cuts)]


def histogram_figure(histogram: AdvantageHistogram) -> Markup:
    """Draw how the advantages of one task are spread, split at its threshold.

    The threshold is the edge of a bin, so that no bar is of both kinds. The outermost half percent
    on each side is counted into the end bars: a single outlier would flatten the rest.
    """
    advantages, threshold = histogram.advantages, histogram.threshold
    low, high = np.quantile(advantages, [0.005, 0.995]) if len(advantages) else (-1.0, 1.0)
    low, high = min(float(low), threshold), max(float(high), threshold)
    width = (high - low) / HISTOGRAM_BINS or 1.0 / HISTOGRAM_BINS
    below = math.ceil((threshold - low) / width - 1e-9) + 1
    above = math.ceil((high - threshold) / width - 1e-9) + 1
    edges = threshold + width * np.arange(-below, above + 1)
    # An advantage equal to its threshold is not above it: bars hold (left, right].
    inside = np.clip(np.searchsorted(edges, advantages, side="left") - 1, 0, len(edges) - 2)
    counts = np.bincount(inside, minlength=len(edges) - 1)

    x = linear_axis(float(edges[0]), float(edges[-1]), label="advantage", tick_count=5)
    tallest = max(int(counts.max()), 1)
    places = x.shares(edges)
    marks = [
        box(
            places[index],
            places[index + 1],
            0.0,
            0.96 * int(count) / tallest,
            kind="bar positive" if index >= below else "bar negative",
        )
        for index, count in enumerate(counts)
        if count
    ]
    marks.append(upright(x.share(threshold), kind="threshold"))
    return chart(
        marks,
        x=x,
        y=None,
        kind="short",
        description=f"Histogram of {len(advantages)} advantages of {histogram.task!r}: "
        + histogram_text(histogram),
    )


def histogram_text(histogram: AdvantageHistogram) -> str:
    """Say where the threshold of a histogram lies and how much is above it."""
    share = _positive_share(histogram)
    return f"{percent_text(share)} above the threshold of {number_text(histogram.threshold)}"


def percent_width(share: SourceShare) -> str:
    """Give the length of a source's bar in percent of its track."""
    return _percent(share.positive / share.frames if share.frames else 0.0)


def learning_figure(curve: LearningCurve) -> Markup:
    """Draw one metric over training steps; noisy lines are faint under a smoothed one."""
    values = np.concatenate([series.values for series in curve.series])
    steps = np.concatenate([series.steps for series in curve.series])
    low, high = float(values.min()), float(values.max())
    margin = 0.06 * (high - low) or 0.5
    x = linear_axis(float(steps.min()), float(steps.max()), label="step", tick_count=4)
    y = linear_axis(low - margin, high + margin, tick_count=4)
    marks: list[Markup] = []
    for index, series in enumerate(curve.series):
        marks.extend(_learning_line(series, x=x, y=y, kind=f"series-{index % 4}"))
    return chart(
        marks,
        x=x,
        y=y,
        kind="short",
        description=f"{curve.metric} of {curve.stage} over {len(steps)} recorded steps, "
        f"from {values[0]:.3g} to {curve.series[0].values[-1]:.3g}.",
    )


def ribbon(is_correction: Bools) -> Markup:
    """Draw who was in control over an episode: policy, or somebody correcting it."""
    length = max(len(is_correction), 1)
    parts = (
        Markup('<i class="{}" style="width:{}%"></i>').format(
            "corrected" if flag else "own", _percent((stop - start) / length)
        )
        for start, stop, flag in runs(is_correction)
    )
    return Markup('<div class="ribbon">{}</div>').format(Markup("").join(parts))


def lowest_value(curves: Iterable[ValueCurve]) -> float:
    """Find the lower end of an axis that holds all curves: a tenth with room below, or -1."""
    lows = [min(float(c.values.min()), float(c.returns.min())) for c in curves]
    return max(-1.0, math.floor(10 * min(lows, default=-1.0) - 1e-9) / 10)


def _interval_marks(interval: Interval, *, axis: Axis, text: Callable[[float], str]) -> Markup:
    if math.isnan(interval.point):  # zero over zero: there is nothing to place
        return Markup("")
    low, point, high = axis.shares(_ends(interval))
    return Markup(
        '<i class="whisker" style="left:{low}%;width:{width}%"></i>'
        '<i class="point" style="left:{point}%"></i><b style="left:{point}%">{text}</b>'
    ).format(
        low=_percent(low),
        width=_percent(high - low),
        point=_percent(point),
        text=text(interval.point),
    )


def _ends(interval: Interval) -> Floats:
    return np.array([interval.low, interval.point, interval.high], dtype=np.float64)


def _positive_share(histogram: AdvantageHistogram) -> float:
    if len(histogram.advantages) == 0:
        return math.nan
    return float(np.mean(histogram.advantages > histogram.threshold))


def _percent(share: float) -> str:
    return f"{100 * share:.2f}"


def _learning_line(series: Series, *, x: Axis, y: Axis, kind: str) -> list[Markup]:
    steps, values = series.steps, series.values
    if len(values) <= NOISY_POINTS:
        return [line(x.shares(steps), y.shares(values), kind=kind)]
    group = -(-len(values) // MOST_POINTS)
    starts = np.arange(0, len(values), group)
    sizes = np.diff(np.append(starts, len(values)))
    thin_steps = np.add.reduceat(steps, starts) / sizes
    thin_values = np.add.reduceat(values, starts) / sizes
    return [
        line(x.shares(thin_steps), y.shares(thin_values), kind=f"{kind} faint"),
        line(x.shares(thin_steps), y.shares(_smoothed(thin_values)), kind=kind),
    ]


def _smoothed(values: Floats) -> Floats:
    """Average over a twentieth of the line around each point, over less at its ends."""
    reach = max(len(values) // 40, 1)
    total = np.concatenate([[0.0], np.cumsum(values)])
    index = np.arange(len(values))
    start, stop = np.maximum(index - reach, 0), np.minimum(index + reach + 1, len(values))
    return np.asarray((total[stop] - total[start]) / (stop - start))
