"""What there is to see of an episode, and which moments of it."""

import numpy as np
import pytest

from recap.report.value_view import key_moments, value_changes


def test_the_error_is_the_mean_distance_in_control_steps(make_view):
    # Off by 0.1 and by 0.3 of 50 steps, and once by nobody knows how much.
    view = make_view(
        values=[-0.5, -0.5, -0.5], returns=np.array([-0.6, -0.2, np.nan]), steps_per_return=50.0
    )
    assert view.error_steps == pytest.approx((5.0 + 15.0) / 2)


def test_an_unjudged_episode_has_no_error(make_view):
    assert make_view(returns=None).error_steps is None


@pytest.mark.parametrize("name", ["returns", "signs", "is_correction", "probabilities", "most"])
def test_arrays_of_other_frames_are_refused_by_name(make_view, name):
    with pytest.raises(ValueError, match=f"12 values, and other numbers of {name}"):
        make_view(**{name: np.zeros((3, 2))})


def test_the_greatest_fall_and_rise_are_found_where_they_are():
    values = np.full(60, -0.5)
    values[20:40] = -0.2  # up at 20, down at 40
    values[40:] = -0.9
    fall, rise = value_changes(values)["fall"], value_changes(values)["rise"]
    assert fall[0] < 40 <= fall[1]
    assert rise[0] < 20 <= rise[1]


def test_what_hardly_changes_neither_falls_nor_rises():
    assert value_changes(np.linspace(-0.5, -0.49, 60)) == {}


def test_the_film_strip_names_start_fall_and_end():
    values = np.full(60, -0.2)
    values[30:] = -0.9
    moments = {moment.frame: moment for moment in key_moments(values)}
    first, last = value_changes(values)["fall"]
    assert moments[0].words == "start"
    assert (moments[first].words, moments[first].kind) == ("before the fall", "fall")
    assert (moments[last].words, moments[last].kind) == ("after −0.70", "fall")
    assert moments[59].words == "end"
    assert len(moments) == 8
    gaps = np.diff([0, *sorted(moments)])
    assert gaps.max() <= 15  # what is left goes into the widest gaps


def test_a_fall_that_ends_with_the_episode_is_one_picture():
    values = np.full(30, -0.2)
    values[27:] = -0.9
    last = key_moments(values)[-1]
    assert (last.frame, last.words) == (29, "end, after −0.70")


@pytest.mark.parametrize("length", [1, 2, 3, 7])
def test_a_short_episode_gives_each_frame_once(length):
    frames = [moment.frame for moment in key_moments(np.linspace(-0.9, 0.0, length))]
    assert frames == list(range(length))
