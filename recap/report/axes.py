"""Axes, ticks and the frame of a chart.

Charts are drawn as SVG that stretches to its column while strokes keep their width, and labels are
HTML beside it. So one page fits a phone and a desktop without text that shrinks, and colours come
from the style sheet, so that dark mode needs no second picture. Hence no plotting library: its SVG
scales text with the picture and bakes the colours in.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable
from dataclasses import dataclass

import numpy as np
from markupsafe import Markup

from recap.report.content import Floats
from recap.report.words import tick_text

SIZE = 1000.0
"""Drawing units across a chart, in both directions."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Axis:
    """One direction of a chart."""

    low: float
    """Value at the left or at the bottom."""

    high: float
    """Value at the right or at the top."""

    label: str = ""
    """What is measured."""

    ticks: tuple[float, ...] = ()
    """Values that get a label."""

    tick_text: Callable[[float], str] = tick_text
    """How a tick is written."""

    is_logarithmic: bool = False
    """Whether equal ratios are equally far apart."""

    def shares(self, values: Floats) -> Floats:
        """Place values along the axis: 0 at its low end, 1 at its high end, clipped to it."""
        low, high = self.low, self.high
        clipped = np.clip(np.asarray(values, dtype=np.float64), low, high)
        if self.is_logarithmic:
            low, high, clipped = math.log(low), math.log(high), np.log(clipped)
        return np.asarray((clipped - low) / (high - low))

    def share(self, value: float) -> float:
        """Place one value along the axis."""
        return float(self.shares(np.array([value]))[0])


def linear_axis(
    low: float,
    high: float,
    *,
    label: str = "",
    tick_count: int = 5,
    tick_text: Callable[[float], str] = tick_text,
) -> Axis:
    """Make an axis from ``low`` to ``high`` with round ticks; an empty range is widened by one."""
    if high <= low:
        high = low + 1.0
    ticks = round_ticks(low, high, count=tick_count)
    return Axis(low=low, high=high, label=label, ticks=ticks, tick_text=tick_text)


def round_ticks(low: float, high: float, *, count: int) -> tuple[float, ...]:
    """Choose about ``count`` round numbers (steps of 1, 2 or 5) within ``[low, high]``."""
    rough = (high - low) / max(count, 1)
    magnitude = 10.0 ** math.floor(math.log10(rough))
    step = next(magnitude * m for m in (1, 2, 5, 10) if magnitude * m >= rough * 0.7)
    first, last = math.ceil(low / step - 1e-9), math.floor(high / step + 1e-9)
    return tuple(index * step for index in range(first, last + 1))


def rounded_up(value: float) -> float:
    """Round a positive number up to one or two and a half leading steps, for the end of an axis."""
    if not (value > 0 and math.isfinite(value)):
        return 1.0
    magnitude = 10.0 ** math.floor(math.log10(value))
    return next(magnitude * m for m in (1, 1.5, 2, 3, 4, 5, 6, 8, 10) if magnitude * m >= value)


def line(x: Floats, y: Floats, *, kind: str) -> Markup:
    """Draw a line through shares of the axes.

    Args:
        x: ``(N,)`` shares of the horizontal axis.
        y: ``(N,)`` shares of the vertical axis, upwards.
        kind: Class in the style sheet.
    """
    points = " ".join(f"{SIZE * a:.1f},{SIZE * (1 - b):.1f}" for a, b in zip(x, y, strict=True))
    return Markup('<polyline class="{}" points="{}"/>').format(kind, points)


def dots(x: Floats, y: Floats, *, kind: str) -> Markup:
    """Draw round dots: strokes of no length, which keep their shape when the chart stretches."""
    path = "".join(f"M{SIZE * a:.1f} {SIZE * (1 - b):.1f}h.01" for a, b in zip(x, y, strict=True))
    return Markup('<path class="{}" d="{}"/>').format(kind, path)


def box(left: float, right: float, bottom: float, top: float, *, kind: str) -> Markup:
    """Draw a rectangle between shares of the axes."""
    return Markup('<rect class="{}" x="{}" y="{}" width="{}" height="{}"/>').format(
        kind,
        f"{SIZE * left:.1f}",
        f"{SIZE * (1 - top):.1f}",
        f"{SIZE * (right - left):.2f}",
        f"{SIZE * (top - bottom):.1f}",
    )


def upright(x: float, *, kind: str) -> Markup:
    """Draw a vertical line over the whole height."""
    return line(np.array([x, x]), np.array([0.0, 1.0]), kind=kind)


def chart(
    marks: Iterable[Markup], *, x: Axis, y: Axis | None, description: str, kind: str = ""
) -> Markup:
    """Put marks into a frame with ticks and labels.

    Args:
        marks: What :func:`line`, :func:`dots` and :func:`box` returned, lowest layer first.
        x: Horizontal axis.
        y: Vertical axis; None draws neither labels nor grid for it.
        description: The chart in one sentence, for those who cannot see it.
        kind: Additional class in the style sheet.
    """
    grid = Markup("")
    if y is not None:
        grid = Markup("").join(
            line(np.array([0.0, 1.0]), np.array([y.share(t)] * 2), kind="rule") for t in y.ticks
        )
    drawing = Markup(
        '<svg viewBox="0 0 1000 1000" preserveAspectRatio="none" role="img" aria-label="{}">'
        "{}{}</svg>"
    ).format(description, grid, Markup("").join(marks))
    return Markup(
        '<div class="chart {kind}">{y_label}<div class="y-ticks">{y_ticks}</div>'
        '<div class="plot">{drawing}</div><div class="x-ticks">{x_ticks}</div>{x_label}</div>'
    ).format(
        kind=kind if y is not None else f"{kind} bare",
        y_label=_label(y.label if y else "", kind="y-label"),
        y_ticks=_ticks(y, side="bottom") if y else Markup(""),
        drawing=drawing,
        x_ticks=_ticks(x, side="left"),
        x_label=_label(x.label, kind="x-label"),
    )


def _ticks(axis: Axis, *, side: str) -> Markup:
    return Markup("").join(
        Markup('<span style="{}:{}%">{}</span>').format(
            side, f"{100 * axis.share(tick):.2f}", axis.tick_text(tick)
        )
        for tick in axis.ticks
    )


def _label(text: str, *, kind: str) -> Markup:
    return Markup('<div class="{}">{}</div>').format(kind, text) if text else Markup("")
