import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from recap.report.instants import filmstrip_frames, steepest_fall


def test_the_steepest_fall_is_where_the_value_drops():
    values = np.concatenate([np.full(30, -0.3), np.full(30, -0.8)])
    start, stop = steepest_fall(values, window=5)
    assert start <= 29 < 30 <= stop
    assert stop - start == 5


def test_a_value_that_only_rises_has_no_fall():
    assert steepest_fall(np.linspace(-1, 0, 40), window=5) is None
    assert steepest_fall(np.array([-0.5]), window=5) is None


def test_the_filmstrip_shows_both_ends_of_the_fall():
    values = np.concatenate([np.linspace(-0.5, -0.3, 45), np.full(55, -0.9)])
    frames = filmstrip_frames(values, count=8, window=6)
    start, stop = steepest_fall(values, window=6)
    assert {start, stop} <= set(frames.tolist())
    assert len(frames) == 8


@given(
    values=arrays(np.float64, st.integers(1, 120), elements=st.floats(-1, 0)),
    count=st.integers(2, 12),
)
def test_filmstrip_frames_are_distinct_ascending_and_hold_both_ends(values, count):
    frames = filmstrip_frames(values, count=count)
    assert frames[0] == 0
    assert frames[-1] == len(values) - 1
    assert np.all(np.diff(frames) > 0)
    assert len(frames) == min(count, len(values))


def test_a_filmstrip_of_one_picture_is_refused():
    with pytest.raises(ValueError, match="A filmstrip needs 2 pictures and a value, got 1 and 5"):
        filmstrip_frames(np.zeros(5), count=1)
