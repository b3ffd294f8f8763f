"""One episode as a film: as many frames as the episode, and the cursor at the moment."""

import av
import numpy as np

from data.videos import decode_video
from recap.report.palette import light_colours
from recap.report.value_episode import HEADING, draw_plot
from recap.report.value_video import (
    MARGIN,
    READING_HEIGHT,
    film_frames,
    put_cursor,
    reading,
    write_film,
)

INK = np.frombuffer(bytes.fromhex(light_colours()["ink"][1:]), dtype=np.uint8)


def test_the_film_has_the_frames_of_the_episode_in_real_time(make_view, tmp_path):
    write_film(make_view(9, fps=10), tmp_path / "film.mp4")
    with av.open(str(tmp_path / "film.mp4")) as container:
        stream = container.streams.video[0]
        assert stream.codec_context.name == "h264"
        assert stream.codec_context.pix_fmt == "yuv420p"
        times = [float(frame.pts * frame.time_base) for frame in container.decode(stream)]
    np.testing.assert_allclose(times, np.arange(9) / 10)


def test_the_cursor_stands_at_the_time_of_every_frame(make_view, tmp_path):
    view = make_view(9)
    plot = draw_plot(view)
    write_film(view, tmp_path / "film.mp4")
    film = decode_video(tmp_path / "film.mp4").astype(int)
    top = HEADING + 256 + MARGIN + READING_HEIGHT  # under cameras that are enlarged to 256
    for frame in range(9):
        # The line goes over the whole height, the strip included: dark where it is, and only there.
        row = film[frame, top + plot.strip_row].sum(axis=1)
        dark = [t for t in range(9) if row[plot.columns[t] - 1 : plot.columns[t] + 1].max() < 250]
        assert dark == [frame]


def test_the_cursor_marks_the_value(make_view):
    view = make_view(values=[-0.9, -0.5, -0.1])
    plot = draw_plot(view)
    pixels = plot.pixels.copy()
    put_cursor(pixels, plot, 1)
    across = pixels[plot.rows[1], plot.columns[1] - 5 : plot.columns[1] + 6]
    assert (across == INK).all()  # the dot is wider than the line
    changed = np.nonzero((pixels != plot.pixels).any(axis=2))
    assert np.abs(changed[1] - plot.columns[1]).max() <= 8
    assert changed[0].min() >= plot.top - 8
    assert changed[0].max() < plot.bottom


def test_the_cameras_of_the_moment_are_shown(make_view):
    film = np.zeros((4, 32, 32, 3), dtype=np.uint8)
    film[:, :, :, 0] = np.array([40, 90, 140, 190])[:, None, None]
    view = make_view(4, images={"a": film})
    shown = list(film_frames(view, draw_plot(view)))
    middle = [int(frame[HEADING + 128, frame.shape[1] // 2, 0]) for frame in shown]
    assert middle == [40, 90, 140, 190]
    assert all(side % 2 == 0 for side in shown[0].shape[:2])


def test_wide_cameras_are_reduced_to_the_film(make_view):
    wide = {name: np.zeros((3, 480, 640, 3), dtype=np.uint8) for name in "abc"}
    view = make_view(3, images=wide)
    assert next(film_frames(view, draw_plot(view))).shape[1] == 1280


def test_an_episode_without_cameras_is_a_film_of_its_plot(make_view, tmp_path):
    write_film(make_view(3, images={}), tmp_path / "film.mp4")
    assert len(decode_video(tmp_path / "film.mp4")) == 3


def test_the_same_episode_is_the_same_film(make_view, tmp_path):
    for name in ("one.mp4", "two.mp4"):
        write_film(make_view(4), tmp_path / name)
    assert (tmp_path / "one.mp4").read_bytes() == (tmp_path / "two.mp4").read_bytes()


def test_a_reading_says_what_is_known_of_the_frame(make_view):
    view = make_view(values=[-0.25] * 5, fps=10, advantages=np.array([0.5, np.nan, 0, 0, 0]))
    assert reading(view, 0).split("   ") == [
        "  0.0 s",
        "frame 0",
        "value −0.25",
        "90 % −0.35 to −0.15",
        "return −0.35",
        "advantage +0.50",
    ]
    assert "advantage" not in reading(view, 1)
    assert "return" not in reading(make_view(returns=None), 0)
