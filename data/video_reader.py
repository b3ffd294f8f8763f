"""Read a video forwards: some of its frames, each decoded once and only those converted."""

from __future__ import annotations

from typing import TYPE_CHECKING, Self

import av
import av.error
from av.video.reformatter import VideoReformatter

from data.errors import EpisodeError

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path
    from types import TracebackType

    import numpy as np
    from numpy.typing import NDArray


class VideoReader:
    """A video that is open at one of its frames. Close it, or use it in a ``with``."""

    def __init__(
        self,
        path: Path,
        *,
        frames: int,
        threads: int = 1,
        size: tuple[int, int] | None = None,
    ) -> None:
        """Open the file at its first frame.

        Args:
            path: The video.
            frames: How many frames it must have.
            threads: Threads that decode it.
            size: Height and width to which frames are reduced, by averaging over the area of each
                pixel, while their colours are made; None for as recorded.

        Raises:
            EpisodeError: If the file is missing or damaged.
        """
        self.path = path
        self.position = 0
        """The next frame to decode."""
        self._frames = frames
        self._size = size
        self._convert = VideoReformatter()  # one for all frames: it keeps its tables
        try:
            self._container = av.open(str(path))
            stream = self._container.streams.video[0]
            stream.thread_count = threads
            if threads > 1:
                stream.thread_type = "FRAME"
            self._decoded = self._container.decode(stream)
        except (av.error.FFmpegError, OSError, IndexError) as error:
            raise self._damaged(error) from error

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()

    def close(self) -> None:
        """Let go of the file."""
        self._container.close()

    def read_into(self, rows: Sequence[int], pixels: NDArray[np.uint8]) -> None:
        """Decode up to the frames ``rows``, in rising order, and put them into ``pixels``.

        Args:
            rows: ``(B,)`` frames at or after `position`.
            pixels: ``(B, H, W, 3)`` RGB, filled.

        Raises:
            EpisodeError: If the video is damaged, or has another number of frames than it must.
        """
        for place, row in enumerate(rows):
            while True:
                frame = self._next()
                self.position += 1
                if self.position > row:
                    break
            pixels[place] = self._in_colour(frame).to_ndarray()
        if self.position == self._frames:
            self._require_end()

    def _in_colour(self, frame: av.VideoFrame) -> av.VideoFrame:
        if self._size is None:
            return self._convert.reformat(frame, format="rgb24")
        height, width = self._size
        # Planes, as swscale writes packed colours at half of the width that is left.
        return self._convert.reformat(
            frame, width=width, height=height, format="gbrp", interpolation="AREA"
        )

    def _next(self) -> av.VideoFrame:
        try:
            return next(self._decoded)
        except StopIteration:
            raise self._wrong_length() from None
        except (av.error.FFmpegError, OSError) as error:
            raise self._damaged(error) from error

    def _require_end(self) -> None:
        try:
            rest = sum(1 for _ in self._decoded)
        except (av.error.FFmpegError, OSError) as error:
            raise self._damaged(error) from error
        if rest:
            self.position += rest
            raise self._wrong_length()

    def _wrong_length(self) -> EpisodeError:
        return EpisodeError(
            f"{self.path} has {self.position} frames, the episode has {self._frames}."
        )

    def _damaged(self, error: Exception) -> EpisodeError:
        return EpisodeError(f"{self.path} cannot be decoded ({error}).")
