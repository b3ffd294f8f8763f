"""Reduce images that are in memory, as the reader of videos reduces frames when it decodes them.

Both average over the area of each new pixel. The reader does so in the YUV of the video, before
colours are made of it, so that the two differ by a little.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import cv2
import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray


def reduce_image(image: NDArray[np.uint8], size: tuple[int, int]) -> NDArray[np.uint8]:
    """Give an ``(H, W, 3)`` image in another height and width; as it is where it has those."""
    if image.shape[:2] == size:
        return image
    reduced = cv2.resize(image, size[::-1], interpolation=cv2.INTER_AREA)
    return np.asarray(reduced, dtype=np.uint8)


def reduce_images(images: NDArray[np.uint8], size: tuple[int, int]) -> NDArray[np.uint8]:
    """Give ``(T, H, W, 3)`` images in another height and width, as `reduce_image` does."""
    if images.shape[1:3] == size:
        return images
    return np.stack([reduce_image(image, size) for image in images])
