"""The look of the pictures of a value model: figures without a screen, PNGs without a date."""

from __future__ import annotations

import io
from typing import TYPE_CHECKING, Final, Literal

from recap.report.palette import light_colours

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

DOTS_PER_INCH: Final = 110
SMALL: Final = 9
MEDIUM: Final = 10.5


def new_figure(width: float, height: float, *, rows: int = 1, columns: int = 1) -> Figure:
    """Make a figure of so many inches, for so many charts."""
    from matplotlib.figure import Figure  # not pyplot: nothing global, no screen is looked for

    figure = Figure(
        figsize=(width, height),
        dpi=DOTS_PER_INCH,
        facecolor=light_colours()["card"],
        layout="constrained",
    )
    figure.subplots(rows, columns, squeeze=False)
    return figure


def style(axes: Axes, *, title: str = "", x: str = "", y: str = "") -> None:
    """Give a chart its title, its labels, and quiet lines."""
    colours = light_colours()
    axes.set_title(title, fontsize=MEDIUM, color=colours["ink"], loc="left", fontweight="bold")
    axes.set_xlabel(x, fontsize=MEDIUM, color=colours["soft"])
    axes.set_ylabel(y, fontsize=MEDIUM, color=colours["soft"])
    axes.tick_params(labelsize=SMALL, colors=colours["soft"], length=3)
    axes.grid(color=colours["rule"], lw=0.8, alpha=0.7)
    axes.set_axisbelow(True)
    for name, spine in axes.spines.items():
        spine.set_visible(name in {"left", "bottom"})
        spine.set_color(colours["rule"])


def legend(axes: Axes, *, where: Literal["best", "upper right", "lower right"]) -> None:
    """Explain the lines of a chart."""
    axes.legend(
        loc=where,
        fontsize=SMALL,
        labelcolor=light_colours()["soft"],
        framealpha=0.85,
        edgecolor="none",
    )


def png(figure: Figure) -> bytes:
    """Give the figure as a file; the same drawing gives the same bytes."""
    buffer = io.BytesIO()
    figure.savefig(buffer, format="png", metadata={"Software": None})
    return buffer.getvalue()
