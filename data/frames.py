"""The images of a training set, read like arrays: each video is decoded once, in order, and kept.

Reading single frames out of videos costs 12 ms a sample; out of an array it costs nothing. Where
the decoded frames are kept goes by what all of them take:

- at most ``frames.memory_gib``: in memory, which is fastest, and on disk for the next command;
- else at most ``frames.cache_gib``: on disk;
- else what was prepared is on disk, an episode at a time, and the rest is read from the videos.

What is read is the same, to the bit, in all three.
"""

from __future__ import annotations

import threading
from collections.abc import Generator, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, Final, Protocol

import numpy as np

from data.ahead import ahead
from data.episode_windows import EpisodeKeeper
from data.errors import ConfigError
from data.frame_cache import MOST_OPEN, FrameCache, Video
from data.frames_config import FramesConfig, enough_gib, in_words
from data.lerobot_format import video_path
from data.videos import decode_video

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from numpy.typing import NDArray

    from data.trainset import TrainEpisode, Trainset
    from data.video_reader import VideoReader

    Pixels = NDArray[np.uint8]
    Index = NDArray[np.int64]
    Rows = slice | NDArray[np.integer] | NDArray[np.bool_]

BATCHES_AHEAD: Final = 2
"""Batches that are decoded before they are asked for, where frames are read in order."""


class Images(Protocol):
    """``(N, H, W, 3)`` uint8 images: an array, or what is read like one."""

    @property
    def shape(self) -> tuple[int, ...]:
        """N, H, W, 3."""
        ...

    def __len__(self) -> int: ...

    def __getitem__(self, index: Rows, /) -> Pixels: ...


def decode_episode(folder: Path, camera: str) -> NDArray[np.uint8]:
    """Return the frames of one camera of an episode folder: ``(T, H, W, 3)`` RGB.

    Raises:
        EpisodeError: If the video is missing or damaged.
    """
    return decode_video(folder / video_path(camera, 0))


class CameraFrames:
    """One camera's ``(N, H, W, 3)`` uint8 images of a training set, read by frame numbers."""

    def __init__(self, frames: TrainsetFrames, camera: str, size: tuple[int, int]) -> None:
        self._frames = frames
        self._camera = camera
        self.shape = (frames.length, *size, 3)

    def __len__(self) -> int:
        return self.shape[0]

    def __getitem__(self, index: Rows, /) -> Pixels:
        """Copy the ``(B, H, W, 3)`` images of some frames, or the ``(H, W, 3)`` image of one."""
        rows = np.arange(len(self))[index]
        pixels = self._frames.read(self._camera, np.atleast_1d(rows))
        return pixels if np.ndim(rows) else pixels[0]


class TrainsetFrames(Mapping[str, Images]):
    """Camera name to the images of a training set, in its row order.

    Nothing is decoded before it is read. Where not all frames can be at hand at once, episodes
    can be made so in windows (:class:`value_models.order.Windows`).
    """

    def __init__(
        self,
        trainset: Trainset,
        root: Path,
        config: FramesConfig | None = None,
        *,
        sizes: Mapping[str, tuple[int, int]] | None = None,
        progress: Callable[[int, int], None] | None = None,
    ) -> None:
        """Read a training set through the cache in the folder ``root``.

        Args:
            trainset: Whose images.
            root: Folder of the cache, which is made when needed. An array in it holds the whole
                episode, also where a training set takes only its first frames. A file is named by
                the uid, the first 8 digits of the content hash, the camera, and the size where
                frames are reduced, so it can never stand for another episode or size.
            config: How much is kept, and where; the defaults if None.
            sizes: Camera to the height and width to which its frames are reduced when they are
                decoded; cameras that are not named stay as recorded.
            progress: Called with the number of episodes decoded, and of all, where all of them
                are before the first frame is read.

        Raises:
            ConfigError: If the cache can hold neither all episodes nor any two of them.
        """
        self.config = config or FramesConfig()
        self.length = len(trainset)
        self.starts = np.array([0, *(e.stop for e in trainset.episodes)], dtype=np.int64)
        recorded = trainset.layout.cameras
        self._sizes = {camera: (sizes or {}).get(camera, recorded[camera]) for camera in recorded}
        reduced = {camera for camera, size in self._sizes.items() if size != recorded[camera]}
        self._videos = [
            {
                camera: Video(
                    name=_file_name(episode, camera, size if camera in reduced else None),
                    source=trainset.root / video_path(camera, number),
                    shape=(episode.info.frames, *size, 3),
                    is_reduced=camera in reduced,
                )
                for camera, size in self._sizes.items()
            }
            for number, episode in enumerate(trainset.episodes)
        ]
        self.episode_bytes = np.array(
            [sum(video.file_bytes for video in videos.values()) for videos in self._videos]
        )
        self._cache = FrameCache(root, most_bytes=self.config.cache_bytes)
        self._keeper = EpisodeKeeper(self._cache, self._videos, decoders=self.config.decoders)
        self._progress = progress
        self._guard = threading.Lock()
        self._arrays: dict[str, Pixels] = {}
        self._is_on_disk = False
        self._forward: dict[str, _ForwardReader] = {}
        if not self.fits:
            self._require_room_for_two()

    def __getitem__(self, camera: str) -> Images:
        """Give one camera's images."""
        if camera in self._arrays:
            return self._arrays[camera]
        return CameraFrames(self, camera, self._sizes[camera])

    def __iter__(self) -> Iterator[str]:
        return iter(self._sizes)

    def __len__(self) -> int:
        return len(self._sizes)

    @property
    def total_bytes(self) -> int:
        """What all frames take, decoded."""
        return int(self.episode_bytes.sum())

    @property
    def fits(self) -> bool:
        """Whether all frames can be at hand at once."""
        return self.total_bytes <= max(self.config.memory_bytes, self.config.cache_bytes)

    @property
    def window_bytes(self) -> int:
        """What may be prepared at a time: half of the cache, so that the next half can be too."""
        return self.config.cache_bytes // 2

    @property
    def window_episodes(self) -> int:
        """How many episodes may be prepared at a time, however small they are."""
        return max(1, MOST_OPEN // 2 // max(1, len(self._sizes)))

    def used_bytes(self) -> int:
        """What the cache holds on disk."""
        return self._cache.used_bytes()

    def prepare(self, episodes: Sequence[int]) -> None:
        """Begin to decode episodes into the cache, in this order, and keep them there."""
        self._keeper.prepare(episodes)

    def release(self, episodes: Sequence[int]) -> None:
        """Let episodes that were prepared make room for others."""
        self._keeper.release(episodes)

    def read(self, camera: str, rows: Index) -> Pixels:
        """Read the ``(B, H, W, 3)`` images of some frames, in any order.

        Raises:
            EpisodeError: If a video is missing, damaged or of another length.
            ProjectError: If the disk is full.
        """
        if self.fits:
            self.bring_to_hand()
            if self._arrays:
                return self._arrays[camera][rows]
        with self._guard:  # readers stand at one frame
            if camera not in self._forward:
                self._forward[camera] = _ForwardReader(self, camera, threads=1)
            return self._forward[camera].read(rows)

    def in_order(self, batches: Sequence[Index]) -> Generator[dict[str, Pixels]]:
        """Read batches of frames in rising order, the next ones while one is used.

        What is not at hand goes straight from its video into the batches and is not kept: to
        write it to disk, to be read once, takes longer than to decode it.

        Args:
            batches: Frame numbers. Any order is right; a rising one decodes every video once.

        Yields:
            Camera name to the ``(B, H, W, 3)`` images of a batch.
        """
        if self._arrays:
            yield from ({c: self._arrays[c][rows] for c in self} for rows in batches)
            return
        workers = max(1, min(self.config.decoders, len(self)))
        threads = max(1, self.config.decoders // max(1, len(self)))
        made = [
            ahead(self._batches(list(self)[first::workers], batches, threads), depth=BATCHES_AHEAD)
            for first in range(workers)
        ]
        try:
            for parts in zip(*made, strict=True):
                yield {camera: pixels for part in parts for camera, pixels in part.items()}
        finally:
            for one in made:
                one.close()

    def bring_to_hand(self) -> None:
        """Decode all frames, into memory if they fit there, else into the cache.

        Raises:
            ConfigError: If they fit into neither.
        """
        if not self.fits:
            message = (
                f"All frames are needed at once, and decoded they take "
                f"{in_words(self.total_bytes)}: more than the cache may hold. Give it more with "
                f"--frames.cache_gib={enough_gib(self.total_bytes)}"
            )
            raise ConfigError(message)
        with self._guard:
            if self._arrays or self._is_on_disk:
                return
            if self.total_bytes <= self.config.memory_bytes:
                self._arrays = self._load()
            else:
                self._each_episode(self._keep_on_disk)
                self._is_on_disk = True

    def load(self) -> dict[str, Pixels]:
        """Return camera name to ``(N, H, W, 3)`` images in memory, whatever they take."""
        with self._guard:
            if not self._arrays:
                self._arrays = self._load()
        return dict(self._arrays)

    def find(self, camera: str, episode: int) -> Pixels | None:
        """Give the ``(T, H, W, 3)`` frames of an episode if they are on disk, or will be."""
        found = self._keeper.find(episode, camera)
        if found is not None:
            return found
        video = self._videos[episode][camera]
        return self._cache.frames(video) if self._is_on_disk else self._cache.find(video)

    def video(self, camera: str, episode: int) -> Video:
        """Give the video of one camera of an episode."""
        return self._videos[episode][camera]

    def _load(self) -> dict[str, Pixels]:
        arrays: dict[str, Pixels] = {
            camera: np.empty((self.length, *size, 3), dtype=np.uint8)
            for camera, size in self._sizes.items()
        }
        is_kept = self.total_bytes <= self.config.cache_bytes

        def load(number: int) -> None:
            span = slice(self.starts[number], self.starts[number + 1])
            for camera, video in self._videos[number].items():
                rows = arrays[camera][span]
                if is_kept:
                    rows[:] = self._cache.frames(video)[: len(rows)]
                else:
                    with video.open() as reader:
                        reader.read_into(range(len(rows)), rows)

        self._each_episode(load)
        return arrays

    def _keep_on_disk(self, number: int) -> None:
        for video in self._videos[number].values():
            self._cache.frames(video)

    def _each_episode(self, do: Callable[[int], None]) -> None:
        episodes = len(self._videos)
        with ThreadPoolExecutor(self.config.decoders) as pool:
            for done, _ in enumerate(pool.map(do, range(episodes)), start=1):
                if self._progress is not None:
                    self._progress(done, episodes)

    def _batches(
        self, cameras: Sequence[str], batches: Sequence[Index], threads: int
    ) -> Iterator[dict[str, Pixels]]:
        readers = {camera: _ForwardReader(self, camera, threads=threads) for camera in cameras}
        try:
            for rows in batches:
                yield {camera: reader.read(rows) for camera, reader in readers.items()}
        finally:
            for reader in readers.values():
                reader.close()

    def _require_room_for_two(self) -> None:
        largest = int(self.episode_bytes.max())
        if largest > self.window_bytes:
            message = (
                f"The largest episode takes {in_words(largest)} decoded, and the cache must hold "
                f"two: one to learn from, and one to decode meanwhile. It may hold "
                f"{in_words(self.config.cache_bytes)}. Give it more with "
                f"--frames.cache_gib={enough_gib(2 * largest)}"
            )
            raise ConfigError(message)


class _ForwardReader:
    """Reads one camera's frames: from the cache what is there, else on from where it stands."""

    def __init__(self, frames: TrainsetFrames, camera: str, *, threads: int) -> None:
        self._frames = frames
        self._camera = camera
        self._threads = threads
        self._episode = -1
        self._video: VideoReader | None = None

    def read(self, rows: Index) -> Pixels:
        shape = self._frames[self._camera].shape
        pixels = np.empty((len(rows), *shape[1:]), dtype=np.uint8)
        starts = self._frames.starts
        of_row = np.searchsorted(starts, rows, side="right") - 1
        for episode in np.unique(of_row).tolist():
            places = np.flatnonzero(of_row == episode)
            inside = rows[places] - starts[episode]
            found = self._frames.find(self._camera, episode)
            pixels[places] = self._decode(episode, inside) if found is None else found[inside]
        return pixels

    def close(self) -> None:
        if self._video is not None:
            self._video.close()
            self._video = None

    def _decode(self, episode: int, inside: Index) -> Pixels:
        wanted, place = np.unique(inside, return_inverse=True)
        video = self._frames.video(self._camera, episode)
        at = self._video
        if at is None or episode != self._episode or at.position > wanted[0]:
            self.close()
            at = video.open(threads=self._threads)
            self._video, self._episode = at, episode
        pixels = np.empty((len(wanted), *video.shape[1:]), dtype=np.uint8)
        at.read_into(wanted.tolist(), pixels)
        return pixels[place]


def _file_name(episode: TrainEpisode, camera: str, reduced_to: tuple[int, int] | None) -> str:
    # Neither a uid nor a hash has a dot, so what a camera is called can never pass for a size.
    size = "" if reduced_to is None else f"-{reduced_to[0]}x{reduced_to[1]}"
    return f"{episode.info.uid}.{episode.content_hash[:8]}{size}.{camera}.npy"
