"""Dropout that is the same however many processes a batch is shared among."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import torch
from torch import Tensor, nn


class BatchDropout(nn.Module):
    """Dropout whose mask is drawn for the whole batch, of which each process takes its rows.

    In one process it draws and gives what ``torch.nn.Dropout`` does on the CPU, to the bit. The
    mask is drawn on the CPU wherever the model is: all processes then draw the same.
    """

    def __init__(self, p: float) -> None:
        super().__init__()
        self.p = p
        self._batch = 0
        self._rows = slice(None)
        self._mask: Tensor | None = None

    def begin(self, batch: int) -> None:
        """Begin a step with a batch of so many frames: a new mask is drawn when it is needed."""
        self._batch, self._mask = batch, None

    def take(self, rows: slice) -> None:
        """Say which rows of the batch come next."""
        self._rows = rows

    def forward(self, features: Tensor) -> Tensor:
        """Leave some of the ``(B, F)`` features out, and scale the rest."""
        if not self.training or self.p == 0.0:
            return features
        if self._mask is None:
            kept = torch.empty((self._batch, *features.shape[1:]), dtype=features.dtype)
            self._mask = kept.bernoulli_(1.0 - self.p).div_(1.0 - self.p).to(features.device)
        return features * self._mask[self._rows]


@contextmanager
def batch_dropout(layers: nn.Sequential, *, share: float) -> Iterator[list[BatchDropout]]:
    """Let dropout among the layers leave out a share, for as long as training takes."""
    before = {place: layer for place, layer in enumerate(layers) if isinstance(layer, nn.Dropout)}
    instead = {place: BatchDropout(share) for place in before}
    for place, layer in instead.items():
        layers[place] = layer
    try:
        yield list(instead.values())
    finally:
        for place, original in before.items():
            layers[place] = original.train(layers.training)
