"""One episode as a film: its cameras, and under them the plot with a cursor that moves along.

The plot is drawn once; a frame is put together with NumPy.
"""

from __future__ import annotations

from collections.abc import Iterator
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import numpy as np

from data.videos import VideoWriter
from recap.report.content import Pixels
from recap.report.palette import light_colours
from recap.report.pictures import stack_side_by_side
from recap.report.value_canvas import WIDTH
from recap.report.value_episode import LEFT, MINUS, DrawnPlot, draw_plot
from recap.report.value_view import NEGATIVE, POSITIVE, EpisodeView

if TYPE_CHECKING:
    from numpy.typing import NDArray

MARGIN: Final = 8
"""Pixels between the cameras and the plot."""

READING_HEIGHT: Final = 30
"""Pixels of the line that says what there is at the frame of the moment."""

READING_SIZE: Final = 15

SECONDS_BETWEEN_KEYFRAMES: Final = 1.0
"""Nearly all of a picture stands still: only a film with few whole pictures stays small."""

DOT_RADIUS: Final = 6
CURSOR_HALF_WIDTH: Final = 1


def write_film(view: EpisodeView, path: Path) -> None:
    """Write the film of an episode, in real time: as many frames as the episode has.

    The same view gives the same bytes.

    Args:
        view: The episode.
        path: Where to, ending in ``.mp4``: H.264 in yuv420p, which every browser plays.

    Raises:
        OSError: If it cannot be written.
    """
    plot = draw_plot(view)
    frames = film_frames(view, plot)
    first = next(frames)
    writer = VideoWriter(
        path,
        size=(first.shape[0], first.shape[1]),
        fps=view.fps,
        keyframe_interval=max(1, round(SECONDS_BETWEEN_KEYFRAMES * view.fps)),
    )
    try:
        writer.add(first)
        for frame in frames:
            writer.add(frame)
        writer.close()
    finally:
        writer.abandon()


def film_frames(view: EpisodeView, plot: DrawnPlot) -> Iterator[Pixels]:
    """Give the ``(H, W, 3)`` pictures of a film, one for each frame of the episode."""
    heading, cameras = len(plot.heading), _cameras_at(view, 0)
    rows = heading + len(cameras) + MARGIN + READING_HEIGHT
    height = rows + len(plot.pixels)
    # Everything but the cameras, the reading and the cursor stays from frame to frame.
    still = np.empty((height + height % 2, WIDTH, 3), dtype=np.uint8)
    still[:] = _rgb("card")
    still[:heading] = plot.heading
    still[rows : rows + len(plot.pixels)] = plot.pixels
    for frame in range(len(view)):
        picture = still.copy()
        cameras = _cameras_at(view, frame)
        left = (WIDTH - cameras.shape[1]) // 2
        picture[heading : heading + len(cameras), left : left + cameras.shape[1]] = cameras
        top = heading + len(cameras) + MARGIN // 2
        picture[top : top + READING_HEIGHT] = _reading_picture(view, frame)
        put_cursor(picture[rows:], plot, frame)
        yield picture


def put_cursor(pixels: Pixels, plot: DrawnPlot, frame: int) -> None:
    """Draw an upright line at the time of a frame, and a dot on its value, into a plot's pixels."""
    column, row = int(plot.columns[frame]), int(plot.rows[frame])
    left, right = column - CURSOR_HALF_WIDTH, column + CURSOR_HALF_WIDTH
    pixels[plot.top : plot.bottom, max(left, 0) : right] = _rgb("ink")
    reach = np.arange(-DOT_RADIUS - 2, DOT_RADIUS + 3)
    distance = np.hypot(reach[:, None], reach[None, :])
    for radius, name in ((DOT_RADIUS + 2, "card"), (DOT_RADIUS, "ink")):
        down, across = np.nonzero(distance <= radius)
        down, across = row + reach[down], column + reach[across]
        inside = (down >= 0) & (down < pixels.shape[0]) & (across >= 0) & (across < WIDTH)
        pixels[down[inside], across[inside]] = _rgb(name)


def reading(view: EpisodeView, frame: int) -> str:
    """Say in a line what the value model says of a frame."""
    low, high = view.most[frame]
    words = [
        f"{frame / view.fps:5.1f} s   frame {frame}",
        f"value {view.values[frame]:.2f}",
        f"90 % {low:.2f} to {high:.2f}",
    ]
    if view.returns is not None and np.isfinite(view.returns[frame]):
        words.append(f"return {view.returns[frame]:.2f}")
    if view.advantages is not None and np.isfinite(view.advantages[frame]):
        words.append(f"advantage {view.advantages[frame]:+.2f}")
    return "   ".join(words).replace("-", MINUS)


def _reading_picture(view: EpisodeView, frame: int) -> Pixels:
    from PIL import Image, ImageDraw

    image = Image.new("RGB", (WIDTH, READING_HEIGHT), tuple(_rgb("card").tolist()))
    draw = ImageDraw.Draw(image)
    text, font = reading(view, frame), _font()
    baseline = READING_HEIGHT // 2
    draw.text((LEFT, baseline), text, font=font, fill=light_colours()["ink"], anchor="lm")
    left = LEFT + draw.textlength(text, font=font) + 24
    sign = 0 if view.signs is None else int(view.signs[frame])
    for word, colour, is_so in (
        ("positive", "positive", sign == POSITIVE),
        ("negative", "negative", sign == NEGATIVE),
        ("correction", "correction", bool(view.is_correction[frame])),
    ):
        if is_so:
            fill = light_colours()[colour]
            draw.text((left, baseline), word, font=font, fill=fill, anchor="lm")
            left += draw.textlength(word, font=font) + 16
    return np.asarray(image)


@cache
def _font() -> Any:  # noqa: ANN401 - Pillow's class is named differently without FreeType
    """Load the typeface of the plot, which comes with Matplotlib."""
    from matplotlib.font_manager import findfont
    from PIL import ImageFont

    return ImageFont.truetype(findfont("DejaVu Sans"), READING_SIZE)


def _cameras_at(view: EpisodeView, frame: int) -> Pixels:
    """Put one frame's cameras side by side, no wider than the film."""
    if not view.images:
        return np.empty((0, 0, 3), dtype=np.uint8)
    cameras = {name: images[frame : frame + 1] for name, images in view.images.items()}
    pictures: Pixels = stack_side_by_side(cameras)[0]
    factor = -(-pictures.shape[1] // WIDTH)
    reduced: Pixels = pictures[::factor, ::factor]
    return reduced


@cache
def _rgb(name: str) -> NDArray[np.uint8]:
    return np.frombuffer(bytes.fromhex(light_colours()[name][1:]), dtype=np.uint8)
