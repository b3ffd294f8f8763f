"""A picture in pixels: where things are is counted, not guessed."""

from __future__ import annotations

import io
from typing import TYPE_CHECKING, Final

import numpy as np

from recap.report.content import Pixels
from recap.report.palette import light_colours

if TYPE_CHECKING:
    from matplotlib.figure import Figure

WIDTH: Final = 1280
"""Pixels across a picture, and across a film."""

DOTS_PER_INCH: Final = 100
SMALL: Final = 9
"""Points of the smallest text."""


def new_canvas(height: int) -> Figure:
    """Make a figure of ``WIDTH`` by so many pixels."""
    # Figure itself, not pyplot: nothing global, and no screen is looked for.
    from matplotlib.figure import Figure

    return Figure(
        figsize=(WIDTH / DOTS_PER_INCH, height / DOTS_PER_INCH),
        dpi=DOTS_PER_INCH,
        facecolor=light_colours()["card"],
    )


def rendered(figure: Figure) -> Pixels:
    """Draw a canvas: ``(H, WIDTH, 3)``."""
    buffer = io.BytesIO()
    figure.savefig(buffer, format="rgba")
    pixels = np.frombuffer(buffer.getvalue(), dtype=np.uint8).reshape(-1, WIDTH, 4)
    return pixels[:, :, :3].copy()


def place(
    left: float, bottom: float, width: float, height: float, *, of: int
) -> tuple[float, float, float, float]:
    """Turn pixels, counted from the lower left, into shares of a figure ``of`` so many high."""
    return (left / WIDTH, bottom / of, width / WIDTH, height / of)
