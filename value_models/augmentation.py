"""Random changes of what was seen that leave what it was worth as it is."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
import torch
from numpy.typing import NDArray

from value_models.encoder import ObservationBatch

Floats = NDArray[np.float32]
Index = NDArray[np.int64]


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Changes:
    """How the images of B frames are changed."""

    shifts: Index | None
    """``(B, cameras, 2)`` rows and columns to move each image by."""

    brightness: tuple[Floats, ...]
    """``(B,)`` factors for each camera; empty where brightness stays."""

    def rows(self, rows: slice) -> Changes:
        """Give the changes of some of the frames."""
        return Changes(
            shifts=None if self.shifts is None else self.shifts[rows],
            brightness=tuple(factors[rows] for factors in self.brightness),
        )

    def brighten(self, batch: ObservationBatch) -> ObservationBatch:
        """Change the brightness of a batch; its images are shifted as they are read."""
        if not self.brightness:
            return batch
        images = {
            name: pixels * torch.from_numpy(factors).view(-1, 1, 1, 1).to(batch.device)
            for (name, pixels), factors in zip(batch.images.items(), self.brightness, strict=True)
        }
        return replace(batch, images=images)


@dataclass(frozen=True, slots=True, kw_only=True)
class Augmentation:
    """How far images may be changed."""

    shift_pixels: int
    """Largest shift, in pixels."""

    brightness: float
    """Largest change of brightness, as a share."""

    cameras: int
    """Cameras of the frames."""

    reads_images: bool
    """Whether there will be images to change."""

    def draw(self, batch: int, rng: np.random.Generator) -> Changes:
        """Draw the changes of a whole batch: first all shifts, then brightness by camera."""
        most = self.shift_pixels
        shape = (batch, self.cameras, 2)
        shifts = None if most == 0 else rng.integers(-most, most, size=shape, endpoint=True)
        is_brightened = self.brightness > 0.0 and self.reads_images
        low, high = 1.0 - self.brightness, 1.0 + self.brightness
        return Changes(
            shifts=shifts,
            brightness=tuple(
                rng.uniform(low, high, size=batch).astype(np.float32)
                for _ in range(self.cameras if is_brightened else 0)
            ),
        )
