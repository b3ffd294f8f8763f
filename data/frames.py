"""Fast access to images: every episode is decoded once, in order, and kept as an array.

Reading single frames out of videos costs 12 ms a sample; out of an array it costs nothing.
"""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING

import numpy as np

from data.errors import EpisodeError
from data.files import whole_file
from data.lerobot_format import video_path
from data.videos import decode_video

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from numpy.typing import NDArray

    from data.trainset import TrainEpisode, Trainset

_DECODERS = 2


def decode_episode(folder: Path, camera: str) -> NDArray[np.uint8]:
    """Return the frames of one camera of an episode folder: ``(T, H, W, 3)`` RGB.

    Raises:
        EpisodeError: If the video is missing or damaged.
    """
    return decode_video(folder / video_path(camera, 0))


class FrameCache:
    """Decoded frames on disk, one array per episode and camera, shared by all training sets.

    An array holds the whole episode, also where a training set takes only its first frames. A file
    is named by the uid, the first 8 digits of the content hash, and the camera, so it can never
    stand for another episode. Deleting the folder costs only the time to decode again.
    """

    def __init__(self, root: Path) -> None:
        """Use the folder ``root``, which is made when needed."""
        self.root = root

    def load(
        self, trainset: Trainset, *, progress: Callable[[int, int], None] | None = None
    ) -> dict[str, NDArray[np.uint8]]:
        """Return camera name to ``(N, H, W, 3)`` frames, in the row order of the training set.

        Args:
            trainset: Whose episodes to load.
            progress: Called with the number of episodes loaded so far, and of all.
        """
        frames: dict[str, NDArray[np.uint8]] = {
            camera: np.empty((len(trainset), height, width, 3), dtype=np.uint8)
            for camera, (height, width) in trainset.layout.cameras.items()
        }

        def load_episode(number: int) -> None:
            episode = trainset.episodes[number]
            for camera, rows in frames.items():
                source = trainset.root / video_path(camera, number)
                rows[episode.start : episode.stop] = self._episode(episode, camera, source)

        with ThreadPoolExecutor(_DECODERS) as pool:
            loaded = pool.map(load_episode, range(len(trainset.episodes)))
            for done, _ in enumerate(loaded, start=1):
                if progress is not None:
                    progress(done, len(trainset.episodes))
        return frames

    def _episode(self, episode: TrainEpisode, camera: str, source: Path) -> NDArray[np.uint8]:
        path = self.root / f"{episode.info.uid}.{episode.content_hash[:8]}.{camera}.npy"
        taken, length = episode.stop - episode.start, episode.info.frames
        try:
            cached: NDArray[np.uint8] = np.load(path, mmap_mode="r", allow_pickle=False)
            if len(cached) == length:
                return cached[:taken]
        except (FileNotFoundError, ValueError, EOFError):
            pass  # never decoded, or the file was cut short: decode
        decoded = decode_video(source)
        if len(decoded) != length:
            message = f"{source} has {len(decoded)} frames, the episode has {length}."
            raise EpisodeError(message)
        with whole_file(path) as partial:
            np.save(partial, decoded, allow_pickle=False)
        return decoded[:taken]
