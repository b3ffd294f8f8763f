"""One episode for Rerun's viewer: pictures, value, quantiles, advantage and corrections on a line.

Rerun is an extra, ``recap[rerun]``: it is imported only where somebody asks for it.
"""

from __future__ import annotations

from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Final

import numpy as np

from data.errors import ConfigError
from recap.report.palette import light_colours
from recap.report.value_view import EpisodeView

if TYPE_CHECKING:
    from numpy.typing import NDArray
    from rerun import RecordingStream
    from rerun.blueprint import Blueprint

JPEG_QUALITY: Final = 92
FRAME: Final = "frame"
TIME: Final = "time"

LINES: Final = {
    "value/expected": "ink",
    "value/q05": "base",
    "value/q25": "soft",
    "value/q75": "soft",
    "value/q95": "base",
    "value/return": "success",
    "advantage/advantage": "accent",
    "advantage/is_positive": "positive",
    "correction/is_correction": "correction",
}
"""Entity of every line, and its colour."""


def require_rerun() -> None:
    """Refuse to go on where Rerun is not installed.

    Raises:
        ConfigError: With what to install.
    """
    if find_spec("rerun") is None:
        message = (
            "Rerun is not installed, and --rerun needs it. Install the extra in this checkout: "
            "pip install -e '.[rerun]'\nWithout it, leave --rerun out: the picture and the film "
            "need nothing more."
        )
        raise ConfigError(message)


def write_recording(view: EpisodeView, path: Path) -> None:
    """Write an episode as a file that ``rerun FILE.rrd`` opens."""
    stream = _new_stream(view)
    stream.save(str(path), default_blueprint=_blueprint(view))
    _log(view, stream)
    stream.flush()
    stream.disconnect()


def show_in_viewer(view: EpisodeView) -> None:
    """Open Rerun's viewer on an episode; it stays open when the command ends."""
    stream = _new_stream(view)
    stream.spawn(default_blueprint=_blueprint(view))
    _log(view, stream)
    stream.flush()


def lines_of(view: EpisodeView) -> dict[str, NDArray[np.float64]]:
    """Give entity to ``(T,)`` numbers, NaN where there is none; what is not known is missing."""
    lines = {
        "value/expected": view.values,
        "value/q05": view.most[:, 0],
        "value/q25": view.half[:, 0],
        "value/q75": view.half[:, 1],
        "value/q95": view.most[:, 1],
        "correction/is_correction": view.is_correction,
    }
    if view.returns is not None:
        lines["value/return"] = view.returns
    if view.advantages is not None and view.signs is not None:
        lines["advantage/advantage"] = view.advantages
        lines["advantage/is_positive"] = np.where(view.signs == 0, np.nan, view.signs > 0)
    return {name: np.asarray(numbers, dtype=np.float64) for name, numbers in lines.items()}


def _new_stream(view: EpisodeView) -> RecordingStream:
    import rerun as rr

    return rr.RecordingStream("recap_value", recording_id=view.uid)


def _log(view: EpisodeView, stream: RecordingStream) -> None:
    import rerun as rr

    colours = light_colours()
    outcome = "unjudged" if view.outcome is None else view.outcome.value
    about = f"# {view.task}\n{view.uid}: {outcome}"
    document = rr.TextDocument(about, media_type="text/markdown")
    rr.log("about", document, static=True, recording=stream)
    for name, numbers in lines_of(view).items():
        colour = tuple(bytes.fromhex(colours[LINES[name]][1:]))
        style = rr.SeriesLines(colors=[colour], names=[name.rpartition("/")[2]])
        rr.log(name, style, static=True, recording=stream)
        known = np.flatnonzero(np.isfinite(numbers))
        rr.send_columns(
            name,
            indexes=[
                rr.TimeColumn(FRAME, sequence=known),
                rr.TimeColumn(TIME, duration=known / view.fps),
            ],
            columns=rr.Scalars.columns(scalars=numbers[known]),
            recording=stream,
        )
    for frame in range(len(view)):
        rr.set_time(FRAME, sequence=frame, recording=stream)
        rr.set_time(TIME, duration=frame / view.fps, recording=stream)
        for camera, images in view.images.items():
            picture = rr.Image(images[frame]).compress(jpeg_quality=JPEG_QUALITY)
            rr.log(f"cameras/{camera}", picture, recording=stream)
        chances = rr.BarChart(np.asarray(view.probabilities[frame], dtype=np.float64))
        rr.log("distribution", chances, recording=stream)


def _blueprint(view: EpisodeView) -> Blueprint:
    from rerun import blueprint as rrb

    lines = [
        rrb.TimeSeriesView(origin=origin, name=origin)
        for origin in ("value", "advantage", "correction")
        if any(name.startswith(f"{origin}/") for name in lines_of(view))
    ]
    pictures = [rrb.Spatial2DView(origin=f"cameras/{name}", name=name) for name in view.images]
    top = rrb.Horizontal(*pictures, rrb.BarChartView(origin="distribution", name="distribution"))
    shares = [3, 1, 0.6][: len(lines)]
    return rrb.Blueprint(
        rrb.Vertical(top, *lines, row_shares=[2, *shares]),
        rrb.TimePanel(timeline=FRAME, state="collapsed"),
        collapse_panels=True,
    )
