"""One episode as a picture: film strip, predicted distribution, return, advantage, corrections.

What is drawn here once, the film of :mod:`recap.report.value_video` shows under every frame.
"""

from __future__ import annotations

import io
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

import numpy as np
from numpy.typing import ArrayLike, NDArray

from data.schema import Outcome
from recap.report.content import Floats, Pixels
from recap.report.figures import runs
from recap.report.palette import light_colours
from recap.report.value_canvas import SMALL, WIDTH, new_canvas, place, rendered
from recap.report.value_film_strip import draw_film_strip, film_strip_height
from recap.report.value_view import NEGATIVE, POSITIVE, UNMARKED, EpisodeView, key_moments
from recap.report.value_view import value_changes as changes_of

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

LEFT, RIGHT = 104, 84
"""Pixels beside the plot, for the labels of its axes."""

CURVE_HEIGHT: Final = 330
STRIP_HEIGHT: Final = 22
BELOW: Final = 96
"""Pixels under the plot, for the axis and the legend."""

ABOVE: Final = 10
"""Pixels over the plot, for half of the uppermost tick's label."""

HEADING: Final = 72
FADE: Final = 0.55
"""Power that lifts small probabilities, so that the tails of a distribution are seen."""

MINUS = "−"


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class DrawnPlot:
    """A plot as pixels, and where its frames are in it."""

    heading: Pixels
    """``(HEADING, W, 3)`` task, outcome and name."""

    pixels: Pixels
    """``(H, W, 3)`` the plot, without the heading."""

    columns: NDArray[np.int64]
    """``(T,)`` pixel column of every frame."""

    rows: NDArray[np.int64]
    """``(T,)`` pixel row of every frame's value."""

    top: int
    """First pixel row of the axes."""

    bottom: int
    """Pixel row below the last of the axes, the strip among them."""

    strip_row: int | None
    """Pixel row in the middle of the strip; None where there is none."""


def draw_plot(view: EpisodeView) -> DrawnPlot:
    """Draw the curve, the strip and the legend, and the heading apart from them."""
    top = new_canvas(HEADING)
    _write_heading(top, view, height=HEADING)
    height = _plot_height(view)
    figure = new_canvas(height)
    curve, strip = _draw_axes(figure, view, height=height)
    pixels = rendered(figure)
    places = curve.transData.transform(np.column_stack([np.arange(len(view)), view.values]))
    box = curve.get_window_extent()
    strip_box = None if strip is None else strip.get_window_extent()
    return DrawnPlot(
        heading=rendered(top),
        pixels=pixels,
        columns=np.rint(places[:, 0]).astype(np.int64),
        rows=np.rint(height - places[:, 1]).astype(np.int64),
        top=round(height - box.y1),
        bottom=round(height - (box if strip_box is None else strip_box).y0),
        strip_row=None if strip_box is None else round(height - (strip_box.y0 + strip_box.y1) / 2),
    )


def episode_picture(view: EpisodeView) -> bytes:
    """Draw the episode as a PNG: film strip above, plot below; the same bytes every time."""
    height = HEADING + film_strip_height(view) + _plot_height(view)
    figure = new_canvas(height)
    _write_heading(figure, view, height=height)
    curve, _ = _draw_axes(figure, view, height=height)
    draw_film_strip(
        figure,
        view,
        curve,
        key_moments(view.values),
        top=height - HEADING,
        axis_top=_plot_height(view) - ABOVE,
    )
    buffer = io.BytesIO()
    figure.savefig(buffer, format="png", metadata={"Software": None})
    return buffer.getvalue()


def _plot_height(view: EpisodeView) -> int:
    strip = 0 if view.signs is None else STRIP_HEIGHT + 4
    return ABOVE + CURVE_HEIGHT + strip + BELOW


def _write_heading(figure: Figure, view: EpisodeView, *, height: int) -> None:
    colours = light_colours()
    x = LEFT / WIDTH
    figure.text(
        x,
        1 - 12 / height,
        view.task,
        va="top",
        fontsize=14,
        fontweight="bold",
        color=colours["ink"],
    )
    outcome = "unjudged" if view.outcome is None else view.outcome.value
    told = figure.text(
        x,
        1 - 41 / height,
        outcome,
        va="top",
        fontsize=11,
        fontweight="bold",
        color=colours[outcome if outcome in Outcome and outcome in colours else "soft"],
    )
    width = told.get_window_extent().width
    error = view.error_steps
    words = (
        view.uid,
        f"{len(view)} frames, {view.fps} a second",
        *([] if error is None else [f"off by {error:.1f} steps on average"]),
        *view.notes,
    )
    figure.text(
        x + (width + 12) / WIDTH,
        1 - 41 / height,
        "   ".join(words),
        va="top",
        fontsize=10.5,
        color=colours["soft"],
    )


def _draw_axes(figure: Figure, view: EpisodeView, *, height: int) -> tuple[Axes, Axes | None]:
    across = WIDTH - LEFT - RIGHT
    bottom = _plot_height(view) - CURVE_HEIGHT - ABOVE
    curve = figure.add_axes(place(LEFT, bottom, across, CURVE_HEIGHT, of=height))
    _draw_curve(curve, view)
    strip = None
    if view.signs is not None:
        strip = figure.add_axes(place(LEFT, BELOW, across, STRIP_HEIGHT, of=height), sharex=curve)
        _draw_strip(strip, view)
    _label_time(curve if strip is None else strip, view)
    if strip is not None:
        curve.tick_params(labelbottom=False, bottom=False)
    _draw_legend(figure, view, height=height)
    return curve, strip


def _draw_curve(axes: Axes, view: EpisodeView) -> None:
    colours = light_colours()
    length = len(view)
    frames = np.arange(length)
    _draw_distribution(axes, view)
    for start, stop, is_corrected in runs(view.is_correction):
        if is_corrected:
            axes.axvspan(start - 0.5, stop - 0.5, color=colours["correction"], alpha=0.16, lw=0)
    for kind, (first, last) in changes_of(view.values).items():
        colour = colours["negative" if kind == "fall" else "success"]
        axes.axvspan(first, last, ymin=1.0, ymax=1.02, color=colour, lw=0, clip_on=False)
    for ends, dashes, width in ((view.most, (1.5, 2.0), 1.0), (view.half, (None, None), 1.0)):
        for end in ends.T:
            axes.plot(frames, end, color=colours["ink"], lw=width, dashes=dashes, alpha=0.55)
    if view.returns is not None:
        _draw_line(axes, frames, view.returns, colour=colours["ink"], width=1.8, dashes=(5, 3))
    _draw_values(axes, view)
    axes.set_xlim(-0.5, length - 0.5)
    axes.set_ylim(-1.0, 0.0)
    axes.set_ylabel("return, normalised", fontsize=10.5, color=colours["soft"])
    _draw_quietly(axes)
    steps = axes.secondary_yaxis("right", functions=_scaling(view.steps_per_return))
    steps.set_ylabel("in control steps", fontsize=10.5, color=colours["soft"])
    steps.tick_params(labelsize=SMALL, colors=colours["soft"])
    steps.spines["right"].set_visible(False)


def _scaling(factor: float) -> tuple[Callable[[ArrayLike], Floats], Callable[[ArrayLike], Floats]]:
    """Give what multiplies by a factor, and what undoes it."""
    return (
        lambda returns: np.asarray(returns, dtype=np.float64) * factor,
        lambda steps: np.asarray(steps, dtype=np.float64) / factor,
    )


def _draw_distribution(axes: Axes, view: EpisodeView) -> None:
    """Draw the mass of every bin at every frame, darker where there is more."""
    from matplotlib.colors import LinearSegmentedColormap

    colours = light_colours()
    shades = LinearSegmentedColormap.from_list("mass", [colours["card"], "#b3b8bf", "#5c646e"])
    mass = np.asarray(view.probabilities, dtype=np.float64).T
    # One certain frame must not turn all the others white.
    most = max(float(np.quantile(mass.max(axis=0), 0.9)), 1e-9)
    half = 0.5 / (len(mass) - 1)
    axes.imshow(
        np.clip(mass / most, 0.0, 1.0) ** FADE,
        cmap=shades,
        vmin=0.0,
        vmax=1.0,
        origin="lower",
        aspect="auto",
        interpolation="nearest",
        extent=(-0.5, len(view) - 0.5, -1.0 - half, half),
        zorder=0,
    )


def _draw_values(axes: Axes, view: EpisodeView) -> None:
    """Draw the expectation, in the colour of the advantage where frames are marked."""
    colours = light_colours()
    signs = np.zeros(len(view), np.int8) if view.signs is None else view.signs
    of_sign = {POSITIVE: colours["positive"], NEGATIVE: colours["negative"]}
    for sign in (0, POSITIVE, NEGATIVE):
        for start, stop, is_it in runs(signs == sign):
            if not is_it:
                continue
            reach = slice(start, min(stop + 1, len(view)))  # one frame over, or there are gaps
            _draw_line(
                axes,
                np.arange(len(view))[reach],
                view.values[reach],
                colour=of_sign.get(sign, colours["ink"]),
                width=3.0,
            )
    if len(view) == 1:
        axes.plot([0], view.values, "o", color=of_sign.get(int(signs[0]), colours["ink"]))


def _draw_line(
    axes: Axes,
    x: NDArray[np.generic],
    y: NDArray[np.floating],
    *,
    colour: str,
    width: float,
    dashes: tuple[float | None, float | None] = (None, None),
) -> None:
    """Draw a line with a light rim, which sets it off from the distribution under it."""
    from matplotlib import patheffects

    rim = patheffects.withStroke(linewidth=width + 2.0, foreground="white", alpha=0.85)
    axes.plot(
        x, y, color=colour, lw=width, dashes=dashes, path_effects=[rim], solid_capstyle="round"
    )


def _draw_strip(axes: Axes, view: EpisodeView) -> None:
    colours = light_colours()
    signs = np.asarray(view.signs)
    for sign, name in ((POSITIVE, "positive"), (NEGATIVE, "negative")):
        for start, stop, is_it in runs(signs == sign):
            if is_it:
                axes.axvspan(start - 0.5, stop - 0.5, color=colours[name], lw=0)
    for start, stop, is_corrected in runs(view.is_correction):
        if is_corrected:
            axes.axvspan(start - 0.5, stop - 0.5, ymax=0.3, color=colours["correction"], lw=0)
    axes.set_ylim(0.0, 1.0)
    axes.set_yticks([])
    axes.set_ylabel(
        "advantage",
        rotation=0,
        ha="right",
        va="center",
        fontsize=10.5,
        color=colours["soft"],
        labelpad=8,
    )
    for spine in axes.spines.values():
        spine.set_visible(False)


def _draw_quietly(axes: Axes) -> None:
    colours = light_colours()
    axes.tick_params(labelsize=SMALL, colors=colours["soft"], length=3)
    axes.grid(axis="y", color=colours["rule"], lw=0.8, alpha=0.7)
    for name, spine in axes.spines.items():
        spine.set_visible(name == "left")
        spine.set_color(colours["rule"])
    axes.yaxis.set_major_formatter(lambda value, _: f"{value:g}".replace("-", MINUS))


def _label_time(axes: Axes, view: EpisodeView) -> None:
    from matplotlib.ticker import MaxNLocator

    colours = light_colours()
    axes.xaxis.set_major_locator(MaxNLocator(nbins=10, integer=True, min_n_ticks=1))
    axes.tick_params(axis="x", labelsize=SMALL, colors=colours["soft"], length=3)
    seconds = len(view) / view.fps
    axes.set_xlabel(
        f"frame ({seconds:.1f} s in all)", fontsize=10.5, color=colours["soft"], labelpad=3
    )


def _draw_legend(figure: Figure, view: EpisodeView, *, height: int) -> None:
    from matplotlib.lines import Line2D
    from matplotlib.patches import Patch

    colours = light_colours()
    ink = colours["ink"]
    entries: list[Line2D | Patch] = [Patch(color="#8d949d", label="predicted distribution")]
    entries.append(Line2D([], [], color=ink, lw=1, alpha=0.55, label="its central 50 %"))
    entries.append(Line2D([], [], color=ink, lw=1, alpha=0.55, dashes=(1.5, 2.0), label="90 %"))
    if view.signs is None or UNMARKED in view.signs:
        entries.append(Line2D([], [], color=ink, lw=3, label="value, its mean"))
    for sign, name in ((POSITIVE, "positive"), (NEGATIVE, "negative")):
        if view.signs is not None and sign in view.signs:
            entries.append(Line2D([], [], color=colours[name], lw=3, label=f"value, {name}"))
    if view.returns is not None:
        entries.append(Line2D([], [], color=ink, lw=1.8, dashes=(5, 3), label="return that came"))
    if view.is_correction.any():
        entries.append(Patch(color=colours["correction"], alpha=0.45, label="correction"))
    found = changes_of(view.values)
    if "fall" in found:
        entries.append(Patch(color=colours["negative"], label="greatest fall"))
    if "rise" in found:
        entries.append(Patch(color=colours["success"], label="greatest rise"))
    figure.legend(
        handles=entries,
        loc="lower center",
        bbox_to_anchor=(0.5, 4 / height),
        ncols=len(entries),
        frameon=False,
        fontsize=SMALL,
        labelcolor=colours["soft"],
        handlelength=1.6,
        columnspacing=1.3,
        handletextpad=0.5,
    )
