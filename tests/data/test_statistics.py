import numpy as np
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from data.statistics import (
    QUANTILES,
    pixel_counts,
    pixel_statistics,
    table_statistics,
    vector_statistics,
)

FRAMES = hnp.arrays(
    np.uint8, st.tuples(st.integers(1, 5), st.integers(1, 4), st.integers(1, 4), st.just(3))
)
VECTORS = hnp.arrays(
    np.float32,
    st.tuples(st.integers(1, 30), st.integers(1, 4)),
    elements=st.floats(-1e3, 1e3, width=32),
)


def slow_statistics(values):
    """Measure ``(N, D)`` values with one NumPy call each."""
    return {
        "min": values.min(axis=0),
        "max": values.max(axis=0),
        "mean": values.mean(axis=0),
        "std": values.std(axis=0),
        **{name: np.quantile(values, share, axis=0) for name, share in QUANTILES.items()},
    }


@given(FRAMES)
def test_counted_pixels_have_the_statistics_of_the_pixels_themselves(frames):
    measured = pixel_statistics(pixel_counts(frames), frames=len(frames))
    expected = slow_statistics(frames.reshape(-1, 3) / 255.0)
    for name, value in expected.items():
        assert np.shape(measured[name]) == (3, 1, 1)
        np.testing.assert_allclose(np.ravel(measured[name]), value, atol=1e-12, err_msg=name)
    assert measured["count"] == [len(frames)]


@given(st.lists(FRAMES, min_size=1, max_size=4))
def test_the_counts_of_a_merge_are_the_sum_of_the_counts(episodes):
    pixels = np.concatenate([frames.reshape(-1, 1, 1, 3) for frames in episodes])
    np.testing.assert_array_equal(sum(map(pixel_counts, episodes)), pixel_counts(pixels))


@given(VECTORS)
def test_vectors_are_measured_as_numpy_measures_them(values):
    measured = vector_statistics(values)
    for name, value in slow_statistics(values.astype(np.float64)).items():
        np.testing.assert_allclose(measured[name], value, rtol=1e-12, atol=1e-9, err_msg=name)
    assert measured["count"] == [len(values)]


@given(VECTORS)
def test_columns_measured_together_are_measured_as_alone(values):
    steps = np.arange(len(values))
    together = table_statistics({"state": values, "index": steps})
    assert together["index"] == vector_statistics(steps)
    for name, value in vector_statistics(values).items():
        np.testing.assert_allclose(together["state"][name], value, rtol=1e-12, atol=1e-9)


def test_quantiles_of_the_whole_are_not_the_mean_of_the_episodes_quantiles():
    # 99 frames near 0 and one episode of one frame at 30: the mean of medians would be 15.
    values = np.append(np.zeros(99), 30.0)
    assert vector_statistics(values)["q50"] == [0.0]


def test_a_scalar_column_has_one_component():
    measured = vector_statistics(np.array([0.0, 1.0, 2.0, 3.0]))
    assert measured["mean"] == [1.5]
    assert measured["q10"] == [0.30000000000000004]
    assert measured["std"] == [np.sqrt(1.25)]
