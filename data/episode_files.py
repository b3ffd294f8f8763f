"""The files of one episode, written into a folder that is not in place yet.

Whoever records an attempt, from memory or while it is being made, ends here: the same frames
become the same bytes.
"""

from __future__ import annotations

import hashlib
import json
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import pyarrow.parquet as pq

from data import lerobot_format as lerobot
from data.errors import EpisodeError
from data.files import content_hash
from data.schema import (
    ACTION_KEY,
    EPISODE_KEY,
    PILOT_KEY,
    POLICY_ACTION_KEY,
    POLICY_KEY,
    RECAP_PATH,
    STATE_KEY,
    EpisodeInfo,
    Layout,
    Pilot,
    is_correction,
)
from data.statistics import pixel_statistics, table_statistics

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence
    from pathlib import Path

    import pyarrow as pa
    from numpy.typing import NDArray

    from data.pictures import Pictures

SIDECAR_FIELDS = frozenset({"info", "record_hash", "content_hash", "pixel_counts"})


@dataclass(frozen=True, slots=True, kw_only=True)
class FrameColumns:
    """What is known of every frame of an attempt, beside the pictures."""

    state: NDArray[np.float32]
    """``(T, S)`` states, each seen before the action of the same row."""

    action: NDArray[np.float32]
    """``(T, A)`` commanded actions."""

    policy_action: NDArray[np.float32]
    """``(T, A)`` what the policy asked for; NaN where nobody asked it."""

    pilot: Sequence[Pilot]
    """Who was in control, frame by frame."""


def check_columns(info: EpisodeInfo, columns: FrameColumns, layout: Layout) -> None:
    """Refuse frames that contradict the info or the layout.

    Raises:
        EpisodeError: If a state or action is not finite.
        ValueError: If the columns fit neither the info nor the layout.
    """
    length = info.frames
    for name, values, width in (
        ("state", columns.state, len(layout.state_names)),
        ("action", columns.action, len(layout.action_names)),
        ("policy_action", columns.policy_action, len(layout.action_names)),
    ):
        require_array(f"{info.uid}: {name}", values, np.float32, (length, width))
    if length < 1 or len(columns.pilot) != length:
        message = f"{info.uid}: {length} frames and {len(columns.pilot)} pilots do not fit"
        raise ValueError(message)
    corrected = sum(is_correction(info.source, pilot) for pilot in columns.pilot)
    if corrected != info.corrected_frames:
        message = f"{info.uid}: {corrected} corrected frames, the info says otherwise"
        raise ValueError(message)
    for name, values in (("state", columns.state), ("action", columns.action)):
        if not np.isfinite(values).all():
            frame = int(np.flatnonzero(~np.isfinite(values).all(axis=1))[0])
            message = f"{info.uid}: the {name} of frame {frame} is not finite."
            raise EpisodeError(message)


def require_array(
    name: str,
    array: NDArray[np.generic] | None,
    dtype: type[np.generic],
    shape: tuple[int, ...],
) -> None:
    """Refuse an array of another type or shape with a `ValueError`."""
    if array is None or array.dtype != dtype or array.shape != shape:
        found = "nothing" if array is None else f"{array.dtype} {array.shape}"
        message = f"{name} must be {dtype.__name__} {shape}, got {found}"
        raise ValueError(message)


def write_episode(
    folder: Path,
    *,
    info: EpisodeInfo,
    columns: FrameColumns,
    pictures: Mapping[str, Pictures],
    layout: Layout,
) -> None:
    """Write everything but the videos, which are there already.

    Args:
        folder: The folder in the making.
        info: The episode as a whole.
        columns: Its frames, as `check_columns` wants them.
        pictures: What each camera saw.
        layout: What every frame of the project holds.

    Raises:
        EpisodeError: If frames are missing in a video, or the table does not read back.
    """
    for camera, seen in pictures.items():
        if seen.frames != info.frames:
            message = (
                f"{info.uid}: the video of camera '{camera}' has {seen.frames} of {info.frames} "
                f"frames, so the attempt is not kept. Record it again."
            )
            raise EpisodeError(message)
    table = _frame_table(info, columns, layout)
    lerobot.write_table(table, folder / lerobot.TABLE_PATH)
    if not _read_back(folder / lerobot.TABLE_PATH, like=table):
        raise damaged(folder, "the table does not read back as written")
    statistics = {
        **{
            layout.image_key(camera): pixel_statistics(pictures[camera].counts, frames=info.frames)
            for camera in layout.cameras
        },
        **table_statistics({k: lerobot.column_of(table, k) for k in lerobot.MEASURED_KEYS}),
    }
    row = lerobot.episode_row(
        layout, number=0, task=info.task, rows=range(info.frames), statistics=statistics
    )
    lerobot.write_episodes([row], folder)
    lerobot.write_tasks([info.task], folder)
    lerobot.write_json(statistics, folder / lerobot.STATS_PATH)
    described = lerobot.dataset_info(layout, episodes=1, frames=info.frames, tasks=1)
    lerobot.write_json(described, folder / lerobot.INFO_PATH)
    digests = {camera: seen.digest for camera, seen in pictures.items()}
    sidecar = {
        "info": info.to_json(),
        "record_hash": record_hash(info, columns, digests),
        "content_hash": episode_hash(folder, info, layout),
        "pixel_counts": {camera: pictures[camera].counts.tolist() for camera in layout.cameras},
    }
    lerobot.write_json(sidecar, folder / RECAP_PATH)


def record_hash(info: EpisodeInfo, columns: FrameColumns, digests: Mapping[str, str]) -> str:
    """Fingerprint an attempt as it was recorded, before anything was encoded.

    Args:
        info: The episode as a whole.
        columns: Its frames.
        digests: Camera name to the digest of its pixels.
    """
    lines = [_canonical(info), ",".join(columns.pilot)]
    lines += [f"{camera} {digests[camera]}" for camera in sorted(digests)]
    digest = hashlib.sha256("\n".join(lines).encode())
    for values in (columns.state, columns.action, columns.policy_action):
        digest.update(np.ascontiguousarray(values))
    return digest.hexdigest()


def episode_hash(folder: Path, info: EpisodeInfo, layout: Layout) -> str:
    """Return the SHA-256 of the info, the table and the videos."""
    videos = [lerobot.video_path(camera, 0) for camera in sorted(layout.cameras)]
    paths = [lerobot.INFO_PATH, lerobot.TABLE_PATH, *videos]
    files = content_hash(*(folder / path for path in paths))
    return hashlib.sha256(f"{_canonical(info)}\n{files}".encode()).hexdigest()


def damaged(folder: Path, reason: str) -> EpisodeError:
    """Say that a folder is not a whole episode, and what to do about it."""
    return EpisodeError(
        f"{folder} is not a whole episode: {reason}. Move the folder away or delete it; the "
        f"attempt can then be recorded again."
    )


@contextmanager
def writing_to(root: Path) -> Iterator[None]:
    """Tell a full disk, or any other failure to write, as a mistake that can be mended."""
    try:
        yield
    except FileExistsError:
        raise
    except OSError as error:
        message = (
            f"An attempt cannot be written to {root} ({error.strerror or error}). Nothing of it "
            f"was kept: make room there, or check the disk, and record it again."
        )
        raise EpisodeError(message) from error


def _read_back(path: Path, *, like: pa.Table) -> bool:
    """Compare bit by bit: a NaN does not equal itself."""
    found = pq.ParquetFile(path).read(use_threads=False)
    if found.schema != like.schema or len(found) != len(like):
        return False
    known = [name for name in like.column_names if name != POLICY_ACTION_KEY]
    asked, written = (lerobot.column_of(t, POLICY_ACTION_KEY) for t in (like, found))
    same: bool = found.select(known).equals(like.select(known))
    return same and np.array_equal(asked.view(np.uint32), written.view(np.uint32))


def _frame_table(info: EpisodeInfo, columns: FrameColumns, layout: Layout) -> pa.Table:
    length = info.frames
    steps = np.arange(length)
    zeros = np.zeros(length, dtype=np.int64)
    return lerobot.frame_table(
        vectors={
            STATE_KEY: columns.state,
            ACTION_KEY: columns.action,
            POLICY_ACTION_KEY: columns.policy_action,
        },
        strings={
            PILOT_KEY: [pilot.value for pilot in columns.pilot],
            EPISODE_KEY: [info.uid] * length,
            POLICY_KEY: [info.policy_id] * length,
        },
        numbers={
            "timestamp": steps / layout.fps,
            "frame_index": steps,
            "episode_index": zeros,
            "index": steps,
            "task_index": zeros,
        },
    )


def _canonical(info: EpisodeInfo) -> str:
    return json.dumps(info.to_json(), sort_keys=True)
