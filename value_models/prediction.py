"""Ask a value model about many frames."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray

from value_models.bins import cross_entropy
from value_models.calibration import pit_bounds
from value_models.frames import BatchReader, JudgedFrames, Observations, require_fitting
from value_models.model import DistributionalValueModel

Floats = NDArray[np.float32]
PIXELS_AT_A_TIME = 2**20
"""Pixels of a batch on a CPU: with more, the maps of a layer leave its caches, and two cameras of
240 x 320 pixels take two and a half times as long."""

PredictionProgress = Callable[[int, int], None]
"""Called with frames done and frames in all."""


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Predictions:
    """What was predicted of M judged frames, and how it compares with what came."""

    values: Floats
    """``(M,)`` predicted returns, in [-1, 0]."""

    cross_entropy: Floats
    """``(M,)`` nats between the return, as a target over the bins, and the distribution."""

    pit_lower: Floats
    """``(M,)`` predicted mass below the return's bin."""

    pit_upper: Floats
    """``(M,)`` predicted mass up to the end of the return's bin."""


def predict_values(
    model: DistributionalValueModel,
    observations: Observations,
    *,
    batch_size: int = 256,
    threads: int = 1,
    progress: PredictionProgress | None = None,
) -> Floats:
    """Predict the normalised return of every frame.

    Args:
        model: The value model; it is asked without dropout, whatever mode it is in.
        observations: The frames. Tasks the model was not trained on are answered too.
        batch_size: Frames at a time.
        threads: Threads torch may use on the CPU.
        progress: Told how far the work has come.

    Returns:
        ``(N,)`` expected returns in [-1, 0].

    Raises:
        CheckpointError: If the model was made for other cameras, image sizes or joints.
    """
    require_fitting(model.spec, observations)
    device = next(model.parameters()).device
    reader = BatchReader(observations, device=device, reads_images=model.encoder.reads_images)
    values = np.empty(len(observations), dtype=np.float32)
    batches = in_batches(np.arange(len(values)), model, observations, at_most=batch_size)
    with limited_threads(threads), evaluating(model):
        for index, batch in zip(batches, reader.in_order(batches), strict=True):
            values[index] = model.values(batch).cpu().numpy()
            if progress is not None:
                progress(int(index[-1]) + 1, len(values))
    return values


def predict_judged(
    model: DistributionalValueModel,
    frames: JudgedFrames,
    index: NDArray[np.int64],
    *,
    batch_size: int = 256,
) -> Predictions:
    """Predict ``(M,)`` judged frames, and compare with what they were worth."""
    device = next(model.parameters()).device
    reader = BatchReader(
        frames.observations, device=device, reads_images=model.encoder.reads_images
    )
    answers = np.empty((4, len(index)), dtype=np.float32)
    batches = in_batches(index, model, frames.observations, at_most=batch_size)
    with evaluating(model):
        start = 0
        for some, batch in zip(batches, reader.in_order(batches), strict=True):
            logits = model(batch)
            returns = torch.from_numpy(frames.returns[some].astype(np.float32)).to(device)
            columns = (
                model.support.expectation(logits),
                cross_entropy(logits, model.support.project(returns)),
                *pit_bounds(logits.float().softmax(dim=1).cpu(), returns.cpu()),  # in float64
            )
            for row, column in zip(answers, columns, strict=True):
                row[start : start + len(some)] = column.cpu().numpy()
            start += len(some)
    values, losses, lower, upper = answers
    return Predictions(values=values, cross_entropy=losses, pit_lower=lower, pit_upper=upper)


def in_batches(
    index: NDArray[np.int64],
    model: DistributionalValueModel,
    observations: Observations,
    *,
    at_most: int,
) -> list[NDArray[np.int64]]:
    """Cut ``(M,)`` frames into batches: of ``at_most``, or on a CPU of what its caches hold."""
    size = at_most
    if model.encoder.reads_images and next(model.parameters()).device.type == "cpu":
        pixels = sum(height * width for height, width in observations.camera_sizes().values())
        size = min(size, max(1, PIXELS_AT_A_TIME // max(1, pixels)))
    return [index[start : start + size] for start in range(0, len(index), size)]


@contextmanager
def evaluating(model: DistributionalValueModel) -> Iterator[None]:
    """Switch dropout and gradients off, and back afterwards."""
    was_training = model.training
    model.eval()
    try:
        with torch.inference_mode():
            yield
    finally:
        model.train(was_training)


@contextmanager
def limited_threads(threads: int) -> Iterator[None]:
    """Let torch use this many threads, and as many as before afterwards."""
    before = torch.get_num_threads()
    torch.set_num_threads(threads)
    try:
        yield
    finally:
        torch.set_num_threads(before)
