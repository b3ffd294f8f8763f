"""Exact statistics of a dataset, in the shape LeRobot's normalisers read.

LeRobot averages the quantiles of the episodes, which is not a quantile of the whole and can be far
off. Here states and actions are measured over all frames at once, and images through a histogram
of the 256 values of each channel, which loses nothing: episodes store their counts, and the counts
of a merge are their sum.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import cv2
import numpy as np

if TYPE_CHECKING:
    from collections.abc import Mapping

    from numpy.typing import NDArray

QUANTILES = {"q01": 0.01, "q10": 0.10, "q50": 0.50, "q90": 0.90, "q99": 0.99}
"""LeRobot's name of each quantile to the share of values below it."""

Statistics = dict[str, Any]
"""One feature: min, max, mean, std, count and the quantiles, as nested lists."""

_LEVELS = 256


def vector_statistics(values: NDArray[Any]) -> Statistics:
    """Measure ``(N,)`` or ``(N, D)`` values, component by component, over all ``N`` frames.

    The standard deviation is the population's (divided by ``N``), quantiles are interpolated
    linearly between the two nearest values, both in float64.
    """
    columns = np.asarray(values, dtype=np.float64).reshape(len(values), -1)
    quantiles = np.quantile(columns, list(QUANTILES.values()), axis=0)
    return {
        "min": columns.min(axis=0).tolist(),
        "max": columns.max(axis=0).tolist(),
        "mean": columns.mean(axis=0).tolist(),
        "std": columns.std(axis=0).tolist(),
        "count": [len(columns)],
        **{name: row.tolist() for name, row in zip(QUANTILES, quantiles, strict=True)},
    }


def table_statistics(columns: Mapping[str, NDArray[Any]]) -> dict[str, Statistics]:
    """Measure several columns of the same frames at once: the same as one by one, but faster."""
    matrices = {key: values.reshape(len(values), -1) for key, values in columns.items()}
    joined = vector_statistics(np.concatenate(list(matrices.values()), axis=1, dtype=np.float64))
    edges = np.cumsum([0, *(matrix.shape[1] for matrix in matrices.values())])
    return {
        key: {
            name: value if name == "count" else value[start:stop] for name, value in joined.items()
        }
        for key, start, stop in zip(matrices, edges, edges[1:], strict=False)
    }


def pixel_counts(frames: NDArray[np.uint8]) -> NDArray[np.int64]:
    """Count how often each channel of ``(T, H, W, 3)`` frames takes each value: ``(3, 256)``.

    Exact for frames of up to 2^24 pixels: OpenCV hands its counts over as float32. It takes a
    sixth of the time of `numpy.bincount` and, unlike it, lets other threads run meanwhile.
    """
    counts = np.zeros((3, _LEVELS), dtype=np.int64)
    for pixels in frames:
        for channel in range(3):
            counted = cv2.calcHist([pixels], [channel], None, [_LEVELS], [0, _LEVELS])
            counts[channel] += counted[:, 0].astype(np.int64)
    return counts


def pixel_statistics(counts: NDArray[np.int64], *, frames: int) -> Statistics:
    """Turn pixel counts into the statistics of images in [0, 1], each of shape ``(3, 1, 1)``.

    Args:
        counts: ``(3, 256)`` counts of every pixel of every frame.
        frames: Number of frames counted; LeRobot's ``count`` of an image.
    """
    levels = np.arange(_LEVELS) / (_LEVELS - 1)
    total = counts.sum(axis=1)
    mean = counts @ levels / total
    variance = (counts * (levels - mean[:, None]) ** 2).sum(axis=1) / total
    cumulative = counts.cumsum(axis=1)
    measured = {
        "min": levels[(counts > 0).argmax(axis=1)],
        "max": levels[_LEVELS - 1 - (counts[:, ::-1] > 0).argmax(axis=1)],
        "mean": mean,
        "std": np.sqrt(variance),
        **{
            name: np.array([_counted_quantile(row, share) for row in cumulative])
            for name, share in QUANTILES.items()
        },
    }
    shaped: Statistics = {name: value.reshape(3, 1, 1).tolist() for name, value in measured.items()}
    return {**shaped, "count": [frames]}


def _counted_quantile(cumulative: NDArray[np.int64], share: float) -> float:
    """Interpolate between the two order statistics around ``share``, as NumPy does."""
    position = share * (int(cumulative[-1]) - 1)
    below = int(np.floor(position))
    low, high = np.searchsorted(cumulative, [below, below + (position > below)], side="right")
    return float((low + (position - below) * (high - low)) / (_LEVELS - 1))
