"""Decoded videos on disk, bounded: one file each, and the least recently opened make room.

Several processes may share the folder. A file is locked by whoever reads it or makes it, and the
kernel drops a lock with its process, so nothing in use is ever removed, and what a killed process
left behind is. Deleting the folder costs only the time to decode again.
"""

from __future__ import annotations

import errno
import fcntl
import io
import mmap
import os
import threading
import time
from collections import Counter, OrderedDict
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Final

import numpy as np

from data.errors import ConfigError, ProjectError
from data.files import locked
from data.frames_config import in_words
from data.video_reader import VideoReader

if TYPE_CHECKING:
    from collections.abc import Iterator

    from numpy.typing import NDArray

    Pixels = NDArray[np.uint8]

MOST_OPEN: Final = 512
"""Files that are open at a time: each takes a descriptor, of which a process has about 1,000."""

SECONDS_TO_WAIT: Final = 60.0
"""How long to wait for another process to let go of what it uses, where there is no room."""

_SECONDS_BETWEEN_LOOKS: Final = 0.02
_PARTIAL: Final = ".partial"


@dataclass(frozen=True, kw_only=True)
class Video:
    """One camera of one episode."""

    name: str
    """What its decoded frames are called: never that of another video."""

    source: Path
    """The video."""

    shape: tuple[int, int, int, int]
    """Frames, height, width, 3."""

    is_reduced: bool = False
    """Whether that is smaller than the frames were recorded, which are then reduced to it."""

    def open(self, *, threads: int = 1) -> VideoReader:
        """Open it at its first frame; see `VideoReader`."""
        frames, height, width, _ = self.shape
        size = (height, width) if self.is_reduced else None
        return VideoReader(self.source, frames=frames, threads=threads, size=size)

    @property
    def file_bytes(self) -> int:
        """What its decoded frames take on disk."""
        return len(self.header) + int(np.prod(self.shape))

    @cached_property
    def header(self) -> bytes:
        """How its file of decoded frames begins: it is an ordinary .npy."""
        written = io.BytesIO()
        described = {"descr": "|u1", "fortran_order": False, "shape": self.shape}
        np.lib.format.write_array_header_1_0(written, described)  # type: ignore[no-untyped-call]
        return written.getvalue()


class FrameCache:
    """A folder of decoded videos that never holds more than it may."""

    def __init__(self, root: Path, *, most_bytes: int, seconds: float = SECONDS_TO_WAIT) -> None:
        """Use a folder, which is made when needed.

        Args:
            root: The folder.
            most_bytes: What its files may take together.
            seconds: How long to wait for room while others use everything in it.
        """
        self.root = root
        self.most_bytes = most_bytes
        self._seconds = seconds
        self._guard = threading.Lock()
        self._open: OrderedDict[str, Pixels] = OrderedDict()
        self._kept: Counter[str] = Counter()

    def frames(self, video: Video) -> Pixels:
        """Give the ``(T, H, W, 3)`` frames of a video, decoding it if it is not there.

        Raises:
            EpisodeError: If the video is missing, damaged or of another length.
            ConfigError: If the cache is too small for it, or in use to the brim.
            ProjectError: If the disk is full.
        """
        while True:
            found = self.find(video)
            if found is not None:
                return found
            self._decode(video)

    def find(self, video: Video) -> Pixels | None:
        """Give the frames of a video if they are there, without decoding it."""
        with self._guard:
            if video.name in self._open:
                self._open.move_to_end(video.name)
                return self._open[video.name]
        found = _map(self.root / video.name, video)
        if found is not None:
            with self._guard:
                self._open[video.name] = found
                self._close_some()
        return found

    def keep(self, video: Video) -> None:
        """Decode a video if it is not there, and leave it there until it is released as often."""
        with self._guard:
            self._kept[video.name] += 1
        try:
            self.frames(video)
        except BaseException:
            self.release(video)
            raise

    def release(self, video: Video) -> None:
        """Let a video make room again, for this process and for others."""
        with self._guard:
            self._kept[video.name] -= 1
            if self._kept[video.name] <= 0:
                del self._kept[video.name]
                self._open.pop(video.name, None)

    def used_bytes(self) -> int:
        """Give what the folder holds."""
        return sum(size for _, size, _ in self._files())

    def _close_some(self) -> None:
        """Close what was not read for longest, but nothing that is kept."""
        surplus = len(self._open) - MOST_OPEN
        if surplus > 0:
            for name in self._idle()[:surplus]:
                del self._open[name]

    def _close_idle(self) -> None:
        with self._guard:
            for name in self._idle():
                del self._open[name]

    def _idle(self) -> list[str]:
        return [name for name in self._open if name not in self._kept]

    def _decode(self, video: Video) -> None:
        if video.file_bytes > self.most_bytes:
            message = (
                f"{video.source} takes {in_words(video.file_bytes)} decoded, and the cache of "
                f"decoded frames may hold {in_words(self.most_bytes)}. Give it more with "
                f"--frames.cache_gib=..."
            )
            raise ConfigError(message)
        self._close_idle()  # another process may need their room to finish what we wait for
        self.root.mkdir(parents=True, exist_ok=True)
        path = self.root / video.name
        with _partial(self.root / f".{video.name}{_PARTIAL}") as (partial, handle):
            if _map(path, video) is not None:
                partial.unlink()  # another one has decoded it while we waited for the lock
                return
            self._reserve(handle, video.file_bytes)
            _decode_into(video, handle)
            os.fsync(handle)
            partial.replace(path)
        _sync_folder(self.root)

    def _reserve(self, handle: int, size: int) -> None:
        """Make room, and take it at once, so that every other process counts it."""
        deadline = time.monotonic() + self._seconds
        while True:
            with locked(self.root):
                os.ftruncate(handle, 0)
                if self._make_room(size):
                    try:
                        os.posix_fallocate(handle, 0, size)
                    except OSError as error:
                        os.ftruncate(handle, 0)
                        if error.errno not in {errno.ENOSPC, errno.EDQUOT}:
                            raise
                        if self._remove(size) == 0:
                            raise self._disk_full(size) from error
                        continue
                    return
            if time.monotonic() > deadline:
                raise self._in_use(size)
            time.sleep(_SECONDS_BETWEEN_LOOKS)

    def _make_room(self, size: int) -> bool:
        """Remove files until so many bytes more may be written; say whether that was possible."""
        surplus = self.used_bytes() + size - self.most_bytes
        return surplus <= 0 or self._remove(surplus) >= surplus

    def _remove(self, wanted: int) -> int:
        """Remove what was not opened for longest and nobody uses; give the bytes it took."""
        self._close_idle()
        freed = 0
        for path, size, _ in sorted(self._files(), key=lambda file: file[2]):
            if freed >= wanted:
                break
            if size and _remove_unused(path):
                freed += size
        return freed

    def _files(self) -> list[tuple[Path, int, int]]:
        """Give every file with its size and when it was last opened."""
        found = []
        try:
            with os.scandir(self.root) as entries:
                for entry in entries:
                    try:
                        stat = entry.stat(follow_symlinks=False)
                    except FileNotFoundError:
                        continue
                    if entry.is_file(follow_symlinks=False):
                        found.append((Path(entry.path), stat.st_size, stat.st_mtime_ns))
        except FileNotFoundError:
            return []
        return found

    def _in_use(self, size: int) -> ConfigError:
        return ConfigError(
            f"The cache of decoded frames {self.root} may hold {in_words(self.most_bytes)}, and "
            f"all of it is in use: there is no room for {in_words(size)} more. Give it more with "
            f"--frames.cache_gib=..., or wait until other commands have ended."
        )

    def _disk_full(self, size: int) -> ProjectError:
        return ProjectError(
            f"The disk is full: {in_words(size)} of decoded frames do not fit into {self.root}. "
            f"Free some space; what is in that folder may be deleted, and costs only time."
        )


def _map(path: Path, video: Video) -> Pixels | None:
    """Open a file of decoded frames, locked against removal as long as its frames are held."""
    try:
        handle = os.open(path, os.O_RDONLY)
    except FileNotFoundError:
        return None
    try:
        fcntl.flock(handle, fcntl.LOCK_SH)
        stat = os.fstat(handle)
        if stat.st_nlink == 0:
            return None
        header = os.pread(handle, len(video.header), 0)
        if stat.st_size != video.file_bytes or header != video.header:
            path.unlink(missing_ok=True)  # cut short, or written by something else
            return None
        os.utime(handle)
        # The map has a descriptor of its own of the same open file, and with it the lock.
        memory = mmap.mmap(handle, stat.st_size, prot=mmap.PROT_READ)
    finally:
        os.close(handle)
    return np.ndarray(video.shape, np.uint8, memory, len(header))


@contextmanager
def _partial(path: Path) -> Iterator[tuple[Path, int]]:
    """Open an unfinished file that nobody else writes, waiting for whoever does."""
    while True:
        handle = os.open(path, os.O_RDWR | os.O_CREAT, 0o644)
        # Not to wait for the lock itself: once finished, the same file is locked by its readers.
        with suppress(BlockingIOError):
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
            if _is_at(path, handle):
                break
        os.close(handle)
        time.sleep(_SECONDS_BETWEEN_LOOKS)
    try:
        yield path, handle
    except BaseException:
        path.unlink(missing_ok=True)
        raise
    finally:
        os.close(handle)


def _is_at(path: Path, handle: int) -> bool:
    """Whether the open file still has this name."""
    try:
        return path.stat().st_ino == os.fstat(handle).st_ino
    except FileNotFoundError:
        return False


def _decode_into(video: Video, handle: int) -> None:
    memory = mmap.mmap(handle, video.file_bytes)  # closed with the last array that looks into it
    memory[: len(video.header)] = video.header
    pixels: Pixels = np.ndarray(video.shape, np.uint8, memory, len(video.header))
    with video.open() as reader:
        reader.read_into(range(video.shape[0]), pixels)
    memory.flush()


def _remove_unused(path: Path) -> bool:
    try:
        handle = os.open(path, os.O_RDONLY)
    except FileNotFoundError:
        return False
    try:
        fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        path.unlink(missing_ok=True)
    except BlockingIOError:
        return False
    finally:
        os.close(handle)
    return True


def _sync_folder(folder: Path) -> None:
    handle = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
