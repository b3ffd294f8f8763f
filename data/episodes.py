"""The episode store: one finished attempt is one small LeRobotDataset, whole or absent.

An episode is written aside in ``.partial/``, reopened and checked, flushed to the disk and renamed
into place. Many processes may write into one store at once. A process that is killed loses the
attempt it was writing and nothing else.
"""

from __future__ import annotations

import hashlib
import json
from typing import TYPE_CHECKING, Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from data import lerobot_format as lerobot
from data.errors import EpisodeError, ProjectError
from data.files import content_hash, read_json, sweep_partials, whole_folder
from data.schema import (
    ACTION_KEY,
    EPISODE_KEY,
    PILOT_KEY,
    POLICY_KEY,
    STATE_KEY,
    EpisodeInfo,
    EpisodeRecord,
    Layout,
    is_correction,
)
from data.statistics import pixel_counts, pixel_statistics, table_statistics
from data.videos import count_frames, encode_video

if TYPE_CHECKING:
    from pathlib import Path

    import pandas as pd
    from numpy.typing import NDArray

RECAP_PATH = "meta/recap.json"


class EpisodeStore:
    """The episodes of a project, each in a folder named by its uid."""

    def __init__(self, root: Path, layout: Layout) -> None:
        """Look at the episodes below ``root``, which need not exist yet."""
        self.root = root
        self.layout = layout

    def write(self, record: EpisodeRecord) -> Path:
        """Write a finished attempt and return its folder.

        Writing the same record twice is harmless and leaves the first as it is.

        Raises:
            EpisodeError: If the uid names an episode with another content, if a state or action
                is not finite, or if what was written does not read back.
            ValueError: If the arrays fit neither each other nor the layout.
        """
        _check_record(record, self.layout)
        destination = self.root / record.info.uid
        record_hash = _record_hash(record)
        try:
            with whole_folder(destination) as folder:
                _write_dataset(folder, record, self.layout, record_hash)
        except FileExistsError:
            if self._sidecar(record.info.uid)["record_hash"] != record_hash:
                message = (
                    f"{destination} already holds another attempt under the same name. Episodes "
                    f"are never overwritten: move the folder away, or record with another seed."
                )
                raise EpisodeError(message) from None
        return destination

    def uids(self) -> list[str]:
        """Return the uids of all episodes, sorted."""
        if not self.root.is_dir():
            return []
        return sorted(
            entry.name
            for entry in self.root.iterdir()
            if entry.is_dir() and not entry.name.startswith(".")
        )

    def info(self, uid: str) -> EpisodeInfo:
        """Return what is known about an episode as a whole."""
        return _info_in(self._sidecar(uid), self.root / uid)

    def infos(self) -> list[EpisodeInfo]:
        """Return the info of every episode, in the order of `uids`."""
        return [self.info(uid) for uid in self.uids()]

    def content_hash(self, uid: str) -> str:
        """Return the SHA-256 of the info, the table and the videos, as noted when written."""
        return str(self._sidecar(uid)["content_hash"])

    def pixel_counts(self, uid: str) -> dict[str, NDArray[np.int64]]:
        """Return, for each camera, how often each channel takes each value: ``(3, 256)``."""
        counts = self._sidecar(uid)["pixel_counts"]
        return {camera: np.array(counts[camera], dtype=np.int64) for camera in self.layout.cameras}

    def table(self, uid: str) -> pd.DataFrame:
        """Return the frames of an episode as a table, without the images."""
        frame: pd.DataFrame = self.frames(uid).to_pandas()
        return frame

    def frames(self, uid: str) -> pa.Table:
        """Return the frames of an episode as an Arrow table, without the images."""
        self._sidecar(uid)
        try:
            # Not read_table: it looks for partitions, which triples the time of a small file.
            return pq.ParquetFile(self.root / uid / lerobot.TABLE_PATH).read(use_threads=False)
        except (pa.ArrowInvalid, OSError) as error:
            raise _damaged(self.root / uid, str(error)) from error

    def verify(self, uid: str) -> None:
        """Read every byte of an episode and compare it with what was written.

        Raises:
            EpisodeError: If something is missing or changed, or the layout is not the project's.
        """
        folder = self.root / uid
        sidecar = self._sidecar(uid)
        info = _info_in(sidecar, folder)
        try:
            found = _content_hash(folder, info, self.layout)
            layout = lerobot.layout_of(read_json(folder / lerobot.INFO_PATH))
        except FileNotFoundError as error:
            missing = str(error.filename).removeprefix(f"{folder}/")
            raise _damaged(folder, f"{missing} is missing") from None
        except (EpisodeError, ProjectError) as error:
            raise _damaged(folder, str(error)) from error
        if layout != self.layout:
            different = [
                name
                for name in ("fps", "cameras", "state_names", "action_names", "robot_type")
                if getattr(layout, name) != getattr(self.layout, name)
            ]
            message = (
                f"{folder} was recorded with another robot or camera setting than this project "
                f"has ({', '.join(different)} differ). Move it away; it cannot be merged."
            )
            raise EpisodeError(message)
        if found != sidecar["content_hash"]:
            raise _damaged(folder, "its files changed after they were written")

    def sweep_partials(self) -> list[str]:
        """Remove what killed writers left behind and return the names removed."""
        return sweep_partials(self.root)

    def _sidecar(self, uid: str) -> dict[str, Any]:
        folder = self.root / uid
        if not folder.is_dir():
            message = f"There is no episode '{uid}' in {self.root}."
            raise EpisodeError(message)
        if not (folder / RECAP_PATH).is_file():
            raise _damaged(folder, f"{RECAP_PATH} is missing")
        try:
            sidecar = read_json(folder / RECAP_PATH)
        except ProjectError as error:
            raise _damaged(folder, f"{RECAP_PATH} is not valid JSON") from error
        expected = {"info", "record_hash", "content_hash", "pixel_counts"}
        if not isinstance(sidecar, dict) or set(sidecar) != expected:
            raise _damaged(folder, f"{RECAP_PATH} does not describe an episode")
        return sidecar


def _damaged(folder: Path, reason: str) -> EpisodeError:
    return EpisodeError(
        f"{folder} is not a whole episode: {reason}. Move the folder away or delete it; the "
        f"attempt can then be recorded again."
    )


def _info_in(sidecar: dict[str, Any], folder: Path) -> EpisodeInfo:
    try:
        info = EpisodeInfo.from_json(sidecar["info"])
    except EpisodeError as error:
        raise _damaged(folder, f"{RECAP_PATH}: {error}") from error
    if info.uid != folder.name:
        raise _damaged(folder, f"it holds '{info.uid}', so the folder was renamed or copied")
    return info


def _check_record(record: EpisodeRecord, layout: Layout) -> None:
    length = record.info.frames
    expected = {
        "state": (record.state, np.float32, (length, len(layout.state_names))),
        "action": (record.action, np.float32, (length, len(layout.action_names))),
        **{
            f"images[{camera!r}]": (record.images.get(camera), np.uint8, (length, *size, 3))
            for camera, size in layout.cameras.items()
        },
    }
    for name, (array, dtype, shape) in expected.items():
        if array is None or array.dtype != dtype or array.shape != shape:
            found = "nothing" if array is None else f"{array.dtype} {array.shape}"
            message = f"{record.info.uid}: {name} must be {dtype.__name__} {shape}, got {found}"
            raise ValueError(message)
    if length < 1 or len(record.pilot) != length or set(record.images) != set(layout.cameras):
        message = f"{record.info.uid}: frames, pilots or cameras do not fit the layout"
        raise ValueError(message)
    corrected = sum(is_correction(record.info.source, pilot) for pilot in record.pilot)
    if corrected != record.info.corrected_frames:
        message = f"{record.info.uid}: {corrected} corrected frames, the info says otherwise"
        raise ValueError(message)
    for name, values in (("state", record.state), ("action", record.action)):
        if not np.isfinite(values).all():
            frame = int(np.flatnonzero(~np.isfinite(values).all(axis=1))[0])
            message = f"{record.info.uid}: the {name} of frame {frame} is not finite."
            raise EpisodeError(message)


def _write_dataset(folder: Path, record: EpisodeRecord, layout: Layout, record_hash: str) -> None:
    info = record.info
    counts = {
        camera: _write_video(folder, camera, record.images[camera], layout.fps)
        for camera in layout.cameras
    }
    table = _frame_table(record, layout)
    lerobot.write_table(table, folder / lerobot.TABLE_PATH)
    if not pq.ParquetFile(folder / lerobot.TABLE_PATH).read(use_threads=False).equals(table):
        raise _damaged(folder, "the table does not read back as written")
    statistics = {
        **{
            layout.image_key(camera): pixel_statistics(counted, frames=info.frames)
            for camera, counted in counts.items()
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
    sidecar = {
        "info": info.to_json(),
        "record_hash": record_hash,
        "content_hash": _content_hash(folder, info, layout),
        "pixel_counts": {camera: counted.tolist() for camera, counted in counts.items()},
    }
    lerobot.write_json(sidecar, folder / RECAP_PATH)


def _write_video(
    folder: Path, camera: str, frames: NDArray[np.uint8], fps: int
) -> NDArray[np.int64]:
    """Encode one camera, make sure that no frame is missing, and count the recorded pixels.

    Decoding here would double the cost of recording; training decodes every frame anyway.
    """
    path = folder / lerobot.video_path(camera, 0)
    path.parent.mkdir(parents=True)
    encode_video(path, frames, fps=fps)
    written = count_frames(path)
    if written != len(frames):
        raise _damaged(folder, f"{path.name} of '{camera}' has {written} frames")
    return pixel_counts(frames)


def _frame_table(record: EpisodeRecord, layout: Layout) -> pa.Table:
    length = record.info.frames
    steps = np.arange(length)
    zeros = np.zeros(length, dtype=np.int64)
    return lerobot.frame_table(
        vectors={STATE_KEY: record.state, ACTION_KEY: record.action},
        strings={
            PILOT_KEY: [pilot.value for pilot in record.pilot],
            EPISODE_KEY: [record.info.uid] * length,
            POLICY_KEY: [record.info.policy_id] * length,
        },
        numbers={
            "timestamp": steps / layout.fps,
            "frame_index": steps,
            "episode_index": zeros,
            "index": steps,
            "task_index": zeros,
        },
    )


def _content_hash(folder: Path, info: EpisodeInfo, layout: Layout) -> str:
    videos = [lerobot.video_path(camera, 0) for camera in sorted(layout.cameras)]
    paths = [lerobot.INFO_PATH, lerobot.TABLE_PATH, *videos]
    files = content_hash(*(folder / path for path in paths))
    return hashlib.sha256(f"{_canonical(info)}\n{files}".encode()).hexdigest()


def _record_hash(record: EpisodeRecord) -> str:
    digest = hashlib.sha256(f"{_canonical(record.info)}\n{','.join(record.pilot)}\n".encode())
    for camera in sorted(record.images):
        digest.update(np.ascontiguousarray(record.images[camera]))
    digest.update(np.ascontiguousarray(record.state))
    digest.update(np.ascontiguousarray(record.action))
    return digest.hexdigest()


def _canonical(info: EpisodeInfo) -> str:
    return json.dumps(info.to_json(), sort_keys=True)
