"""The episode store: one finished attempt is one small LeRobotDataset, whole or absent.

An episode is written aside in ``.partial/``, reopened and checked, flushed to the disk and renamed
into place. Many processes may write into one store at once. A process that is killed loses the
attempt it was writing and nothing else.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from data import lerobot_format as lerobot
from data.episode_files import (
    SIDECAR_FIELDS,
    FrameColumns,
    check_columns,
    damaged,
    episode_hash,
    record_hash,
    require_array,
    write_episode,
    writing_to,
)
from data.errors import EpisodeError, ProjectError
from data.files import read_json, sweep_partials, whole_folder
from data.pictures import Pictures, PictureWriter, picture_digest
from data.schema import RECAP_PATH, EpisodeInfo, EpisodeRecord, Layout

if TYPE_CHECKING:
    from pathlib import Path

    import pandas as pd
    from numpy.typing import NDArray


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
        columns = _columns(record)
        check_columns(record.info, columns, self.layout)
        _check_images(record, self.layout)
        destination = self.root / record.info.uid
        try:
            with writing_to(self.root), whole_folder(destination) as folder:
                pictures = _write_pictures(folder, record, self.layout)
                write_episode(
                    folder,
                    info=record.info,
                    columns=columns,
                    pictures=pictures,
                    layout=self.layout,
                )
        except FileExistsError:
            digests = {camera: picture_digest(seen) for camera, seen in record.images.items()}
            self.require_same(record.info.uid, record_hash(record.info, columns, digests))
        return destination

    def require_same(self, uid: str, fingerprint: str) -> None:
        """Refuse an attempt whose name is taken, unless it is the very one that has it.

        Args:
            uid: The name.
            fingerprint: `record_hash` of the attempt that wants it.

        Raises:
            EpisodeError: If another attempt has it.
        """
        if self._sidecar(uid)["record_hash"] != fingerprint:
            message = (
                f"{self.root / uid} already holds another attempt under the same name. Episodes "
                f"are never overwritten: move the folder away, or record with another seed."
            )
            raise EpisodeError(message)

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
            table = pq.ParquetFile(self.root / uid / lerobot.TABLE_PATH).read(use_threads=False)
        except (pa.ArrowInvalid, OSError) as error:
            raise damaged(self.root / uid, str(error)) from error
        return lerobot.with_policy_action(table)

    def verify(self, uid: str) -> None:
        """Read every byte of an episode and compare it with what was written.

        Raises:
            EpisodeError: If something is missing or changed, or the layout is not the project's.
        """
        folder = self.root / uid
        sidecar = self._sidecar(uid)
        info = _info_in(sidecar, folder)
        try:
            found = episode_hash(folder, info, self.layout)
            layout = lerobot.layout_of(read_json(folder / lerobot.INFO_PATH))
        except FileNotFoundError as error:
            missing = str(error.filename).removeprefix(f"{folder}/")
            raise damaged(folder, f"{missing} is missing") from None
        except (EpisodeError, ProjectError) as error:
            raise damaged(folder, str(error)) from error
        different = self.layout.differences(layout)
        if different:
            message = (
                f"{folder} was recorded with another robot or camera setting than this project "
                f"has: {'; '.join(different)}. Move it away; it cannot be merged."
            )
            raise EpisodeError(message)
        if found != sidecar["content_hash"]:
            raise damaged(folder, "its files changed after they were written")

    def sweep_partials(self) -> list[str]:
        """Remove what killed writers left behind and return the names removed."""
        return sweep_partials(self.root)

    def _sidecar(self, uid: str) -> dict[str, Any]:
        folder = self.root / uid
        if not folder.is_dir():
            message = f"There is no episode '{uid}' in {self.root}."
            raise EpisodeError(message)
        if not (folder / RECAP_PATH).is_file():
            raise damaged(folder, f"{RECAP_PATH} is missing")
        try:
            sidecar = read_json(folder / RECAP_PATH)
        except ProjectError as error:
            raise damaged(folder, f"{RECAP_PATH} is not valid JSON") from error
        if not isinstance(sidecar, dict) or set(sidecar) != SIDECAR_FIELDS:
            raise damaged(folder, f"{RECAP_PATH} does not describe an episode")
        return sidecar


def layout_of_episode(folder: Path) -> Layout:
    """Return what every frame of one episode holds.

    Raises:
        EpisodeError: If its description is missing or damaged.
    """
    try:
        return lerobot.layout_of(read_json(folder / lerobot.INFO_PATH))
    except (EpisodeError, ProjectError) as error:
        raise damaged(folder, str(error)) from error


def _info_in(sidecar: dict[str, Any], folder: Path) -> EpisodeInfo:
    try:
        info = EpisodeInfo.from_json(sidecar["info"])
    except EpisodeError as error:
        raise damaged(folder, f"{RECAP_PATH}: {error}") from error
    if info.uid != folder.name:
        raise damaged(folder, f"it holds '{info.uid}', so the folder was renamed or copied")
    return info


def _columns(record: EpisodeRecord) -> FrameColumns:
    asked = record.policy_action
    return FrameColumns(
        state=record.state,
        action=record.action,
        policy_action=np.full_like(record.action, np.nan) if asked is None else asked,
        pilot=record.pilot,
    )


def _check_images(record: EpisodeRecord, layout: Layout) -> None:
    for camera, size in layout.cameras.items():
        name = f"{record.info.uid}: images[{camera!r}]"
        expected = (record.info.frames, *size, 3)
        require_array(name, record.images.get(camera), np.uint8, expected)
    if set(record.images) != set(layout.cameras):
        message = f"{record.info.uid}: the cameras do not fit the layout"
        raise ValueError(message)


def _write_pictures(folder: Path, record: EpisodeRecord, layout: Layout) -> dict[str, Pictures]:
    written = {}
    for camera, size in layout.cameras.items():
        writer = PictureWriter(folder, camera, size=size, fps=layout.fps)
        try:
            for pixels in np.ascontiguousarray(record.images[camera]):
                writer.add(pixels)
            written[camera] = writer.close()
        finally:
            writer.abandon()
    return written
