"""What the robot's process and ours tell each other: the newest of each thing, without waiting.

A board lies in memory that two processes share. Each ring on it has one writer, which fills its
places in turn, and any number of readers, which copy the newest one. Nobody holds a lock, so
neither a slow reader nor one that dies can stop the writer.
"""

import mmap
import os
import tempfile
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from envs.arm import POSITION_KEYS

SENSED: Final = np.dtype([("time_s", "f8"), ("positions", "f8", len(POSITION_KEYS))])
"""What the servos report: when, and the positions in a LeRobot arm's units."""

TRUTH: Final = np.dtype(
    [
        ("time_s", "f8"),
        ("scene", "i8"),
        ("scene_began_s", "f8"),
        ("actions_heard", "i8"),
        ("task", "i8"),
        ("is_success", "?"),
        ("target", "f8", len(POSITION_KEYS)),
        ("positions", "f8", len(POSITION_KEYS)),
        ("qpos", "f8", 21),
        ("pads", "f8", (2, 3)),
    ]
)
"""What only the simulator knows: the scene, how often it was drawn anew, how many actions were
heard in it, whether the task is done, what the servos are told, and where everything is."""

_PLACES: Final = 16
_PICTURE_PLACES: Final = 4
_ALIGNMENT: Final = 64


class Ring:
    """A row of places for arrays of one kind, of which the newest counts."""

    def __init__(
        self, memory: mmap.mmap, offset: int, dtype: np.dtype[Any], shape: tuple[int, ...]
    ) -> None:
        """Lay the row over shared memory, ``(places, ...)``; see :func:`ring_bytes`."""
        self._count: NDArray[np.int64] = np.ndarray((1,), np.int64, memory, offset)
        self._rows: NDArray[Any] = np.ndarray(shape, dtype, memory, offset + _ALIGNMENT)

    @property
    def count(self) -> int:
        """How many were published so far."""
        return int(self._count[0])

    def publish(self, item: Any) -> None:  # noqa: ANN401 - a row, as its dtype has it
        """Make this the newest."""
        following = self.count + 1
        self._rows[following % len(self._rows)] = item
        self._count[0] = following

    def newest(self) -> NDArray[Any]:
        """Copy the newest; zeros before there is any."""
        while True:
            count = self.count
            row: NDArray[Any] = self._rows[count % len(self._rows)].copy()
            # While we copied, the writer may have come round to the same place again.
            if self.count - count < len(self._rows) - 1:
                return row


def _ring_bytes(dtype: np.dtype[Any], shape: tuple[int, ...]) -> int:
    payload = int(np.prod(shape)) * dtype.itemsize
    return _ALIGNMENT + -(-payload // _ALIGNMENT) * _ALIGNMENT


@dataclass(frozen=True, slots=True)
class Board:
    """The four rings between a simulated robot and whoever drives it."""

    sensed: Ring
    """:data:`SENSED`, written by the robot after its observation latency."""

    pictures: Ring
    """``(cameras, H, W, 3)`` uint8 of one moment, written by the robot."""

    truth: Ring
    """:data:`TRUTH`, written by the robot without any latency."""

    targets: Ring
    """``(6,)`` positions the servos are to reach, written by the driver."""

    @classmethod
    def open(cls, descriptor: int, *, cameras: int, height: int, width: int) -> "Board":
        """Lay a board over a file; both sides give the same sizes.

        The file grows as needed. It may be closed afterwards: the memory stays.
        """
        kinds: list[tuple[np.dtype[Any], tuple[int, ...]]] = [
            (SENSED, (_PLACES,)),
            (np.dtype(np.uint8), (_PICTURE_PLACES, cameras, height, width, 3)),
            (TRUTH, (_PLACES,)),
            (np.dtype(np.float64), (_PLACES, len(POSITION_KEYS))),
        ]
        sizes = [_ring_bytes(dtype, shape) for dtype, shape in kinds]
        if os.fstat(descriptor).st_size < sum(sizes):
            os.truncate(descriptor, sum(sizes))
        memory = mmap.mmap(descriptor, sum(sizes))
        offsets = np.cumsum([0, *sizes]).tolist()
        rings = [
            Ring(memory, offset, dtype, shape)
            for offset, (dtype, shape) in zip(offsets, kinds, strict=False)
        ]
        return cls(*rings)


def nameless_file() -> int:
    """Open a file that no folder lists, so that nothing is left of it whoever is killed.

    Returns:
        Its descriptor. The file is in memory where the system can do that.
    """
    if hasattr(os, "memfd_create"):
        return os.memfd_create("recap-board")
    with tempfile.TemporaryFile() as file:
        return os.dup(file.fileno())
