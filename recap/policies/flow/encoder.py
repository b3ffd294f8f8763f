"""From pixels to a short list of numbers: where things are, and what is there."""

from __future__ import annotations

import math
from itertools import pairwise
from typing import Final

import torch
from torch import Tensor, nn

COORDINATE_CHANNELS: Final = 2
FIRST_KERNEL: Final = 6
"""Pixels on a side that the first convolution sees."""

FIRST_SHARPNESS: Final = 3.0
"""Scale of the first logits. Flat ones put every keypoint in the middle and learn slowly."""


def coordinate_grid(height: int, width: int, *, like: Tensor) -> Tensor:
    """Return ``(2, height, width)`` x and y positions of the pixels, in ``[-1, 1]``."""
    y = torch.linspace(-1.0, 1.0, height, device=like.device, dtype=like.dtype)
    x = torch.linspace(-1.0, 1.0, width, device=like.device, dtype=like.dtype)
    rows, columns = torch.meshgrid(y, x, indexing="ij")
    return torch.stack([columns, rows])


class ImageEncoder(nn.Module):
    """Find keypoints in one camera's images by spatial softmax.

    Every keypoint gives its expected position ``(x, y)`` in ``[-1, 1]`` and the expected value of
    a map of its own there; the mean of the last convolution's maps is added. Knows no language,
    so the features of a frame may be computed once and kept.

    Shapes: images ``(B, 3, H, W)`` in ``[0, 1]`` -> ``(B, feature_size)`` float32.
    """

    def __init__(self, channels: list[int], keypoints: int) -> None:
        """Build the convolutions: 6x6 stride 2, 3x3 stride 2, then 3x3 without stride."""
        super().__init__()
        self.keypoints = keypoints
        first, *rest = channels
        layers: list[nn.Module] = [
            nn.Conv2d(3 + COORDINATE_CHANNELS, first, FIRST_KERNEL, stride=2, padding=2),
            nn.ReLU(),
        ]
        for depth, (narrow, wide) in enumerate(pairwise([first, *rest])):
            layers += [nn.Conv2d(narrow, wide, 3, stride=2 if depth == 0 else 1, padding=1)]
            layers += [nn.ReLU()]
        self.trunk = nn.Sequential(*layers)
        self.maps = nn.Linear(channels[-1], 2 * keypoints)
        self.log_temperature = nn.Parameter(torch.zeros(keypoints))
        self.feature_size = 3 * keypoints + channels[-1]
        for layer in self.trunk:
            if isinstance(layer, nn.Conv2d):
                nn.init.kaiming_normal_(layer.weight, nonlinearity="relu")
        nn.init.normal_(self.maps.weight, std=channels[-1] ** -0.5)
        nn.init.constant_(self.log_temperature, math.log(FIRST_SHARPNESS))

    def forward(self, images: Tensor) -> Tensor:
        """Describe a batch of images."""
        batch, _, height, width = images.shape
        grid = coordinate_grid(height, width, like=images)
        pixels = torch.cat([images * 2.0 - 1.0, grid.expand(batch, -1, -1, -1)], dim=1)
        trunk = self.trunk(pixels.contiguous(memory_format=torch.channels_last))
        # Places come before channels from here on, the order in which they lie in memory.
        cells = trunk.permute(0, 2, 3, 1).flatten(1, 2)
        # The temperature scales the weights, which are fewer than the logits.
        scale = torch.cat([self.log_temperature.exp(), torch.ones_like(self.log_temperature)])
        weight, bias = self.maps.weight * scale[:, None], self.maps.bias * scale
        logits, content = nn.functional.linear(cells, weight, bias).chunk(2, dim=2)
        # Positions need more digits than the lower precision that training may use around here.
        with torch.autocast(images.device.type, enabled=False):
            attention = torch.softmax(logits.float(), dim=1)
            where = coordinate_grid(*trunk.shape[2:], like=attention).flatten(1) @ attention
            what = (attention * content).sum(dim=1)
            mean = cells.float().mean(dim=1)
            return torch.cat([where.flatten(1), what, mean], dim=1)
