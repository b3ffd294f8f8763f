"""From whole recorded episodes to batches of frames, chunks and prompts."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

import numpy as np
from numpy.typing import NDArray

if TYPE_CHECKING:
    from data.frames import Images

Floats = NDArray[np.float32]
Pixels = NDArray[np.uint8]
Rows = NDArray[np.int64]

NO_ROW: Final = -1
"""In a table of rows: there is none."""


@dataclass(frozen=True, slots=True, kw_only=True)
class TrainingFrames:
    """The frames a policy is trained on, as arrays over all episodes, one after the other."""

    images: Mapping[str, Images]
    """``(N, H, W, 3)`` uint8 by the camera's name."""

    state: Floats
    """``(N, S)`` as recorded."""

    action: Floats
    """``(N, A)`` as commanded."""

    bounds: Sequence[tuple[int, int]]
    """Rows ``[start, stop)`` of every episode, in order and without gaps."""

    tasks: Sequence[str]
    """The task in words, one per episode."""

    indicator: NDArray[np.int8]
    """``(N,)``: 1 positive, -1 negative, 0 none."""

    def __post_init__(self) -> None:
        """Check that the parts belong together."""
        lengths = {len(self.state), len(self.action), len(self.indicator)}
        lengths |= {len(images) for images in self.images.values()}
        lengths |= {self.bounds[-1][1] if self.bounds else 0}
        if len(lengths) != 1 or len(self.tasks) != len(self.bounds):
            message = f"The frames' parts differ in length: {sorted(lengths)}."
            raise ValueError(message)

    def task_rows(self) -> tuple[list[str], Rows]:
        """Return the distinct tasks in alphabetical order and ``(N,)`` each frame's number."""
        distinct = sorted(set(self.tasks))
        numbers = [distinct.index(task) for task in self.tasks]
        lengths = [stop - start for start, stop in self.bounds]
        return distinct, np.repeat(np.array(numbers, dtype=np.int64), lengths)


def chunk_rows(bounds: Sequence[tuple[int, int]], *, chunk: int) -> tuple[Rows, NDArray[np.bool_]]:
    """Find the actions of the chunk that begins at every frame.

    A chunk that runs past its episode repeats the last action, and says so.

    Args:
        bounds: Rows ``[start, stop)`` of every episode.
        chunk: Actions per chunk.

    Returns:
        ``(N, chunk)`` rows and ``(N, chunk)`` bool, true where the episode was over.
    """
    rows = np.concatenate(
        [np.arange(start, stop)[:, None] + np.arange(chunk) for start, stop in bounds]
    )
    last = np.concatenate([np.full(stop - start, stop - 1) for start, stop in bounds])[:, None]
    return np.minimum(rows, last), rows > last


def next_gripper_changes(gripper: Floats, bounds: Sequence[tuple[int, int]]) -> Rows:
    """Find, for every frame, when the gripper is next told to open or close.

    Args:
        gripper: ``(N,)`` gripper commands; positive and not positive are the two states.
        bounds: Rows ``[start, stop)`` of every episode.

    Returns:
        ``(N,)`` the first later row of the same episode whose command differs from the one
        before it, ``NO_ROW`` where there is none.
    """
    closed = gripper > 0.0
    found = np.full(len(gripper), NO_ROW, dtype=np.int64)
    for start, stop in bounds:
        changes = start + 1 + np.flatnonzero(np.diff(closed[start:stop]))
        following = np.searchsorted(changes, np.arange(start, stop), side="right")
        has_one = following < len(changes)
        found[start:stop][has_one] = changes[following[has_one]]
    return found


def shifted(images: Pixels, *, pixels: int, generator: np.random.Generator) -> Pixels:
    """Shift every image by up to ``pixels`` each way, repeating the border.

    Args:
        images: ``(B, H, W, 3)``.
        pixels: Largest shift; 0 returns the images themselves.
        generator: Source of the shifts, one per image.
    """
    if pixels == 0:
        return images
    _, height, width, _ = images.shape
    border = (pixels, pixels)
    padded = np.pad(images, ((0, 0), border, border, (0, 0)), mode="edge")
    offsets = generator.integers(0, 2 * pixels + 1, size=(len(images), 2))
    moved = np.empty_like(images)
    for target, source, (down, right) in zip(moved, padded, offsets, strict=True):
        target[...] = source[down : down + height, right : right + width]
    return moved
