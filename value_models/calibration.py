"""Whether returns come out as often as a value model's distributions say.

A return's *PIT* is the share of its predicted distribution that lies below it. Where the
distributions are right, PITs are spread evenly from 0 to 1. A distribution over bins has jumps,
and a return stands for its whole bin: its PIT is then spread evenly over the jump, from the mass
below its bin to the mass up to its end (the expected value of the randomised PIT, without drawing
anything). So a forecast that is certain and right is calibrated, too.

Source:
    Czado, Gneiting and Held, *Predictive model assessment for count data*, 2009.
"""

from __future__ import annotations

from itertools import pairwise

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from value_models.bins import HIGHEST_RETURN, LOWEST_RETURN

Floats = NDArray[np.float64]

PIT_BARS = 10
"""Bars of the PIT histogram, each a tenth of the predicted mass."""


def pit_bounds(probabilities: Tensor, returns: Tensor) -> tuple[Tensor, Tensor]:
    """Find between which shares of its predicted distribution each return's bin lies.

    Args:
        probabilities: ``(B, bins)`` mass of every bin; rows sum to one.
        returns: ``(B,)`` normalised returns; one outside [-1, 0] counts as the nearer end.

    Returns:
        ``(B,)`` mass below the return's bin, and ``(B,)`` mass up to the end of it, in [0, 1].
    """
    inside = returns.to(probabilities.device).double().clamp(LOWEST_RETURN, HIGHEST_RETURN)
    places = ((inside - LOWEST_RETURN) * (probabilities.shape[1] - 1)).round().long()[:, None]
    mass = probabilities.double()
    through = (mass.cumsum(dim=1) / mass.sum(dim=1, keepdim=True)).clamp(max=1.0)
    padded = torch.nn.functional.pad(through, (1, 0))
    return padded.gather(1, places)[:, 0], padded.gather(1, places + 1)[:, 0]


def pit_within(
    lower: NDArray[np.floating], upper: NDArray[np.floating], *, start: float, stop: float
) -> Floats:
    """Give the share of each PIT that falls within ``[start, stop)``; 1 itself counts below it.

    Args:
        lower: ``(M,)`` mass below each return's bin.
        upper: ``(M,)`` mass up to the end of it.
        start: Lower end.
        stop: Upper end.

    Returns:
        ``(M,)`` shares in [0, 1]. Where a return's bin has no mass its PIT is a point.
    """
    lower, upper = np.asarray(lower, np.float64), np.asarray(upper, np.float64)
    width = upper - lower
    overlap = np.clip(np.minimum(upper, stop) - np.maximum(lower, start), 0.0, None)
    is_inside = (lower >= start) & ((lower < stop) | (stop >= 1.0))
    with np.errstate(divide="ignore", invalid="ignore"):
        return np.where(width > 0.0, overlap / width, is_inside.astype(np.float64))


def central_share(
    lower: NDArray[np.floating], upper: NDArray[np.floating], *, coverage: float
) -> Floats:
    """Give the share of each PIT inside the central interval that should hold ``coverage``."""
    tail = (1.0 - coverage) / 2.0
    return pit_within(lower, upper, start=tail, stop=1.0 - tail)


def pit_shares(lower: NDArray[np.floating], upper: NDArray[np.floating]) -> Floats:
    """Give the ``(M, PIT_BARS)`` share of each PIT in every bar of the histogram."""
    edges = [bar / PIT_BARS for bar in range(PIT_BARS + 1)]
    bars = [pit_within(lower, upper, start=start, stop=stop) for start, stop in pairwise(edges)]
    return np.stack(bars, axis=1)
