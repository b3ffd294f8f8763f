"""Moments of an episode above the plot, each over its time where there is room."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Final

import numpy as np

from recap.report.content import Floats
from recap.report.palette import light_colours
from recap.report.value_canvas import DOTS_PER_INCH, SMALL, WIDTH, place
from recap.report.value_view import EpisodeView, Moment

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

THUMBNAIL_WIDTH: Final = 128
THUMBNAIL_GAP: Final = 8
CAPTION: Final = 36
FRAME: Final = 4

LEADERS: Final = 16
"""Pixels between the film strip and the plot, where lines lead to the pictures' times."""


def film_strip_height(view: EpisodeView) -> int:
    """Say how many pixels high the film strip is, leaders and all."""
    heights = (THUMBNAIL_WIDTH * i.shape[1] // i.shape[2] + FRAME for i in view.images.values())
    return CAPTION + sum(heights) + LEADERS


def draw_film_strip(
    figure: Figure,
    view: EpisodeView,
    curve: Axes,
    moments: Sequence[Moment],
    *,
    top: int,
    axis_top: int,
) -> None:
    """Put a picture above the time of every moment, moved aside where they would overlap."""
    from matplotlib.lines import Line2D

    colours = light_colours()
    height = round(figure.get_figheight() * DOTS_PER_INCH)
    frames = np.array([moment.frame for moment in moments])
    times = curve.transData.transform(np.column_stack([frames, np.zeros(len(frames))]))[:, 0]
    centres = spread_out(
        times,
        width=THUMBNAIL_WIDTH + THUMBNAIL_GAP,
        low=THUMBNAIL_WIDTH / 2 + 8,
        high=WIDTH - THUMBNAIL_WIDTH / 2 - 8,
    )
    for moment, time, centre in zip(moments, times, centres, strict=True):
        name = {"fall": "negative", "rise": "success"}.get(moment.kind, "soft")
        left = centre - THUMBNAIL_WIDTH / 2
        figure.text(
            left / WIDTH,
            (top - 2) / height,
            f"frame {moment.frame}\n{moment.words}",
            va="top",
            fontsize=SMALL,
            color=colours[name],
            linespacing=1.25,
        )
        bottom = float(top - CAPTION)
        for images in view.images.values():
            rows = THUMBNAIL_WIDTH * images.shape[1] // images.shape[2]
            bottom -= rows + FRAME
            axes = figure.add_axes(place(left, bottom, THUMBNAIL_WIDTH, rows, of=height))
            axes.imshow(images[moment.frame], aspect="auto")
            axes.set_xticks([])
            axes.set_yticks([])
            for spine in axes.spines.values():
                spine.set_color(colours[name])
                spine.set_linewidth(2.0 if moment.kind else 0.8)
        figure.add_artist(
            Line2D(
                [centre / WIDTH, time / WIDTH],
                [(bottom - 2) / height, axis_top / height],
                color=colours[name],
                lw=1.4 if moment.kind else 0.9,
                alpha=0.9,
            )
        )


def spread_out(wanted: Floats, *, width: float, low: float, high: float) -> Floats:
    """Move centres as little as is simple, so that none is nearer than ``width`` to the next.

    Args:
        wanted: ``(K,)`` centres, ascending.
        width: What each needs.
        low: Least centre allowed.
        high: Greatest centre allowed; where there is no room for all, they are spread evenly.
    """
    if (len(wanted) - 1) * width > high - low:
        return np.linspace(low, high, len(wanted))
    offsets = np.arange(len(wanted)) * width
    # Without the room that those before need, "no overlap" is "in order".
    least, most = low, high - offsets[-1]
    free = np.clip(wanted - offsets, least, most)
    forwards, backwards = np.maximum.accumulate(free), np.minimum.accumulate(free[::-1])[::-1]
    centres: Floats = (forwards + backwards) / 2 + offsets
    return centres
