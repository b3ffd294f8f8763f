"""Ask a value model for the whole distribution of every frame's return, not its mean alone."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray

from value_models.frames import BatchReader, Observations, require_fitting
from value_models.model import DistributionalValueModel
from value_models.prediction import evaluating, limited_threads

Floats = NDArray[np.float32]

LEVELS = (0.05, 0.25, 0.5, 0.75, 0.95)
"""The quantiles that bound the central 50 % and 90 %, and the median between them."""


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Distributions:
    """What is predicted of N frames."""

    values: Floats
    """``(N,)`` expected returns, in [-1, 0]."""

    probabilities: Floats
    """``(N, bins)`` mass of every bin, from the return -1 to the return 0; rows sum to one."""

    quantiles: Floats
    """``(N, L)`` returns that are not exceeded with the probabilities of ``levels``."""

    levels: tuple[float, ...] = LEVELS
    """The ``L`` probabilities of ``quantiles``, ascending."""

    def __len__(self) -> int:
        return len(self.values)

    def interval(self, coverage: float) -> Floats:
        """Give the ``(N, 2)`` ends of the central interval that should hold ``coverage``.

        Raises:
            ValueError: If its ends are not among the quantiles.
        """
        ends = [
            column
            for column, level in enumerate(self.levels)
            if abs(abs(level - 0.5) - coverage / 2.0) < 1e-9
        ]
        if len(ends) != 2:
            message = f"no quantiles bound the central {coverage}: there are {self.levels}."
            raise ValueError(message)
        return self.quantiles[:, ends]


def predict_distributions(
    model: DistributionalValueModel,
    observations: Observations,
    *,
    levels: Sequence[float] = LEVELS,
    batch_size: int = 256,
    threads: int = 1,
) -> Distributions:
    """Predict the distribution of every frame's normalised return.

    Args:
        model: The value model; it is asked without dropout, whatever mode it is in.
        observations: The frames. Tasks the model was not trained on are answered too.
        levels: Probabilities of the quantiles to give, above 0 and below 1, ascending.
        batch_size: Frames at a time.
        threads: Threads torch may use on the CPU.

    Returns:
        The distributions; their expectations are what ``predict_values`` gives.

    Raises:
        CheckpointError: If the model was made for other cameras, image sizes or joints.
    """
    require_fitting(model.spec, observations)
    device = next(model.parameters()).device
    reader = BatchReader(observations, device=device, reads_images=model.encoder.reads_images)
    frames, bins = len(observations), model.support.bins
    values = np.empty(frames, dtype=np.float32)
    probabilities = np.empty((frames, bins), dtype=np.float32)
    quantiles = np.empty((frames, len(levels)), dtype=np.float32)
    with limited_threads(threads), evaluating(model):
        for start in range(0, frames, batch_size):
            part = slice(start, min(start + batch_size, frames))
            logits = model(reader.read(np.arange(part.start, part.stop))).float()
            values[part] = model.support.expectation(logits).cpu().numpy()
            probabilities[part] = torch.softmax(logits, dim=1).cpu().numpy()
            quantiles[part] = model.support.quantiles(logits, levels).cpu().numpy()
    return Distributions(
        values=values, probabilities=probabilities, quantiles=quantiles, levels=tuple(levels)
    )
