"""What one camera saw in one attempt, on its way to the disk: encoded, counted, fingerprinted.

Every frame passes once, whether it comes from memory or from a camera that is running.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from data.lerobot_format import video_path
from data.statistics import pixel_counts
from data.videos import VideoWriter, count_frames

if TYPE_CHECKING:
    from collections.abc import Iterable
    from pathlib import Path

    from numpy.typing import NDArray


@dataclass(frozen=True, slots=True, kw_only=True)
class Pictures:
    """What is remembered of the frames of one camera once they are encoded."""

    frames: int
    """Number of frames found in the finished video."""

    counts: NDArray[np.int64]
    """``(3, 256)`` how often each channel took each value, before the encoding."""

    digest: str
    """SHA-256 of the pixels of all frames, before the encoding."""


class PictureWriter:
    """Writes the video of one camera into the folder of an episode, frame by frame."""

    def __init__(self, folder: Path, camera: str, *, size: tuple[int, int], fps: int) -> None:
        """Open the video for frames of ``size``, (height, width) in pixels."""
        self._path = folder / video_path(camera, 0)
        self._path.parent.mkdir(parents=True)
        self._video = VideoWriter(self._path, size=size, fps=fps)
        self._counts = np.zeros((3, 256), dtype=np.int64)
        self._digest = hashlib.sha256()

    def add(self, pixels: NDArray[np.uint8]) -> None:
        """Encode, count and fingerprint the next ``(H, W, 3)`` frame."""
        self._video.add(pixels)
        self._counts += pixel_counts(pixels[None])
        self._digest.update(pixels)

    def close(self) -> Pictures:
        """Finish the file and count the frames in it.

        Decoding here would double the cost of recording; training decodes every frame anyway.

        Raises:
            EpisodeError: If the file does not read back.
        """
        self._video.close()
        return Pictures(
            frames=count_frames(self._path),
            counts=self._counts,
            digest=self._digest.hexdigest(),
        )

    def abandon(self) -> None:
        """Let go of a video that nobody wants any more; its file stays where it is."""
        self._video.abandon()


def picture_digest(frames: Iterable[NDArray[np.uint8]]) -> str:
    """Return the digest that `Pictures` of these frames have."""
    digest = hashlib.sha256()
    for pixels in frames:
        digest.update(np.ascontiguousarray(pixels))
    return digest.hexdigest()
