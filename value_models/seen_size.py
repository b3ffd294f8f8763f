"""How large the images are that a value model sees."""

from __future__ import annotations

from typing import TYPE_CHECKING

from value_models.config import EncoderKind, ValueModelConfig

if TYPE_CHECKING:
    from collections.abc import Mapping

MULTIPLE = 4
"""Sides are multiples of the small encoder's patch."""


def seen_size(config: ValueModelConfig, height: int, width: int) -> tuple[int, int]:
    """Give the height and width in which a value model sees images that were recorded so large.

    Images whose longer side is at most ``config.image_size`` stay as they are. The others keep
    their aspect, as far as multiples of 4 pixels can. The encoders `policy` and `vlm` have a
    preprocessing of their own, and get every image as recorded.
    """
    most, longest = config.image_size, max(height, width)
    if config.encoder is not EncoderKind.SMALL or most == 0 or longest <= most:
        return height, width
    return _reduced(height, most / longest), _reduced(width, most / longest)


def seen_sizes(
    config: ValueModelConfig, cameras: Mapping[str, tuple[int, int]]
) -> dict[str, tuple[int, int]]:
    """Give the same for cameras, by name."""
    return {name: seen_size(config, height, width) for name, (height, width) in cameras.items()}


def _reduced(side: int, share: float) -> int:
    """Round a side to a multiple that is not above it."""
    nearest = round(side * share / MULTIPLE) * MULTIPLE
    return max(MULTIPLE, min(nearest, side // MULTIPLE * MULTIPLE))
