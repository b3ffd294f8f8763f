"""One episode as a picture: every mark where the number says."""

import io

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from recap.report.palette import light_colours
from recap.report.value_canvas import WIDTH
from recap.report.value_episode import draw_plot, episode_picture
from recap.report.value_film_strip import spread_out


def colour(name):
    return tuple(bytes.fromhex(light_colours()[name][1:]))


def pixel(plot, row, column):
    return tuple(int(part) for part in plot.pixels[row, column])


def test_the_strip_has_the_colour_of_every_frames_sign(make_view):
    signs = np.array([1, 1, -1, 0, -1, 1, -1, -1, 1, 0], dtype=np.int8)
    plot = draw_plot(make_view(10, signs=signs))
    expected = {1: colour("positive"), -1: colour("negative"), 0: colour("card")}
    assert [pixel(plot, plot.strip_row, column) for column in plot.columns] == [
        expected[int(sign)] for sign in signs
    ]


def test_without_marks_there_is_no_strip(make_view):
    plot = draw_plot(make_view(signs=None, advantages=None))
    assert plot.strip_row is None
    found = {tuple(p) for p in plot.pixels.reshape(-1, 3).tolist()}
    assert colour("positive") not in found


def test_values_stand_at_their_height(make_view):
    view = make_view(values=[0.0, -1.0, -0.5, -0.25])
    plot = draw_plot(make_view(values=view.values, signs=None, advantages=None))
    height = plot.bottom - plot.top
    shares = (plot.rows - plot.top) / height
    np.testing.assert_allclose(shares, [0.0, 1.0, 0.5, 0.25], atol=1.5 / height)


def test_the_value_is_drawn_in_the_colour_of_its_sign(make_view):
    # Far from the return and the intervals, so that nothing else is drawn there.
    values = np.full(12, -0.5)
    plot = draw_plot(make_view(values=values, returns=values - 0.3))
    assert pixel(plot, plot.rows[2], plot.columns[2]) == colour("positive")
    assert pixel(plot, plot.rows[9], plot.columns[9]) == colour("negative")


def test_the_distribution_is_dark_where_its_mass_is(make_view):
    values = np.full(12, -0.8)
    mass = np.zeros((12, 201), dtype=np.float32)
    mass[:6, 150] = 1.0  # at the return -0.25, of the first six frames
    mass[6:, 50] = 1.0
    plot = draw_plot(make_view(values=values, returns=None, probabilities=mass, signs=None))
    at = plot.top + round(0.25 * (plot.bottom - plot.top))
    brightness = plot.pixels[at].sum(axis=1).astype(int)
    assert brightness[plot.columns[2]] < 330 < 700 < brightness[plot.columns[9]]


def test_corrections_are_shaded(make_view):
    is_correction = np.arange(12) >= 8
    plot = draw_plot(make_view(values=np.full(12, -0.8), is_correction=is_correction))
    row = plot.top + 30
    free, shaded = pixel(plot, row, plot.columns[3]), pixel(plot, row, plot.columns[10])
    assert free == colour("card")
    assert shaded != free
    assert np.argmin(shaded) == 1  # violet: least of green


def test_the_same_episode_is_the_same_picture(make_view):
    first, second = episode_picture(make_view()), episode_picture(make_view())
    assert first == second
    assert b"Software" not in first


@pytest.mark.parametrize("length", [1, 2, 300])
def test_episodes_of_any_length_are_drawn(make_view, length):
    picture = Image.open(io.BytesIO(episode_picture(make_view(length))))
    assert picture.width == WIDTH


def test_an_unjudged_unmarked_episode_without_cameras_is_drawn(make_view):
    view = make_view(returns=None, signs=None, advantages=None, outcome=None, images={})
    assert Image.open(io.BytesIO(episode_picture(view))).width == WIDTH


def test_the_film_strip_shows_the_frames_of_its_moments(make_view):
    film = np.zeros((12, 32, 32, 3), dtype=np.uint8)
    film[0] = (250, 10, 10)
    film[-1] = (10, 250, 10)
    pixels = np.asarray(Image.open(io.BytesIO(episode_picture(make_view(images={"a": film})))))
    red, green = (np.all(pixels[:, :, :3] == film[frame, 0, 0], axis=2) for frame in (0, -1))
    assert red.sum() > 10_000
    assert green.sum() > 10_000
    assert np.nonzero(red)[1].max() < np.nonzero(green)[1].min()


@given(
    wanted=st.lists(st.floats(0, 1000), min_size=1, max_size=9).map(sorted),
    width=st.floats(1, 100),
)
def test_pictures_never_overlap_and_stay_inside(wanted, width):
    centres = spread_out(np.array(wanted), width=width, low=0.0, high=1000.0)
    assert np.all(np.diff(centres) >= width - 1e-6)
    assert centres.min() >= -1e-6
    assert centres.max() <= 1000.0 + 1e-6


def test_pictures_with_room_stay_where_their_time_is():
    wanted = np.array([100.0, 300.0, 305.0, 900.0])
    centres = spread_out(wanted, width=50.0, low=0.0, high=1000.0)
    np.testing.assert_allclose(centres[[0, 3]], wanted[[0, 3]])
    assert centres[2] - centres[1] == pytest.approx(50.0)
    assert np.abs(centres - wanted).max() <= 45.0


def test_without_room_pictures_are_spread_evenly():
    centres = spread_out(np.zeros(5), width=100.0, low=0.0, high=200.0)
    np.testing.assert_allclose(centres, [0, 50, 100, 150, 200])
