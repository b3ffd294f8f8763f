"""The files of a LeRobotDataset v3.0, written directly.

LeRobot's own writer costs 0.2 to 0.4 s an episode, and its merge 16 s for 60 episodes; recording
must cost a fraction of simulating. So this module knows the format: which columns, which types,
which paths. The tests open the result with the stock ``LeRobotDataset``.
"""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq

from data import videos
from data.errors import EpisodeError
from data.schema import (
    ACTION_KEY,
    EPISODE_KEY,
    IMAGE_PREFIX,
    PILOT_KEY,
    POLICY_ACTION_KEY,
    POLICY_KEY,
    STATE_KEY,
    Layout,
)

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path

    from numpy.typing import NDArray

    from data.statistics import Statistics

CODEBASE_VERSION = "v3.0"
FILES_PER_CHUNK = 1000

INFO_PATH = "meta/info.json"
STATS_PATH = "meta/stats.json"
TASKS_PATH = "meta/tasks.parquet"
EPISODES_PATH = "meta/episodes/chunk-000/file-000.parquet"
TABLE_PATH = "data/chunk-000/file-000.parquet"

VECTOR_KEYS = (STATE_KEY, ACTION_KEY, POLICY_ACTION_KEY)
STRING_KEYS = (PILOT_KEY, EPISODE_KEY, POLICY_KEY)
NUMBER_KEYS = ("timestamp", "frame_index", "episode_index", "index", "task_index")
MEASURED_KEYS = (STATE_KEY, ACTION_KEY, *NUMBER_KEYS)
"""Columns of the table that have statistics. What the policy asked for is mostly unknown."""


def video_path(camera: str, number: int) -> str:
    """Return the path of the ``number``-th video file of a camera, inside the dataset."""
    chunk, file = divmod(number, FILES_PER_CHUNK)
    return f"videos/{IMAGE_PREFIX}{camera}/chunk-{chunk:03d}/file-{file:03d}.mp4"


def dataset_info(layout: Layout, *, episodes: int, frames: int, tasks: int) -> dict[str, Any]:
    """Return ``meta/info.json``."""
    return {
        "codebase_version": CODEBASE_VERSION,
        "fps": layout.fps,
        "features": _features(layout),
        "total_episodes": episodes,
        "total_frames": frames,
        "total_tasks": tasks,
        "chunks_size": FILES_PER_CHUNK,
        "data_files_size_in_mb": 100,
        "video_files_size_in_mb": 200,
        "data_path": "data/chunk-{chunk_index:03d}/file-{file_index:03d}.parquet",
        "video_path": "videos/{video_key}/chunk-{chunk_index:03d}/file-{file_index:03d}.mp4",
        "robot_type": layout.robot_type,
        "splits": {"train": f"0:{episodes}"},
    }


def layout_of(info: Mapping[str, Any]) -> Layout:
    """Read the layout back from ``meta/info.json``.

    Raises:
        EpisodeError: If a field is missing or has another type.
    """
    try:
        features = info["features"]
        return Layout(
            fps=info["fps"],
            cameras={
                key.removeprefix(IMAGE_PREFIX): (feature["shape"][0], feature["shape"][1])
                for key, feature in features.items()
                if feature["dtype"] == "video"
            },
            state_names=tuple(features[STATE_KEY]["names"]),
            action_names=tuple(features[ACTION_KEY]["names"]),
            robot_type=info["robot_type"],
        )
    except (KeyError, TypeError, IndexError) as error:
        message = f"{INFO_PATH} has no usable {error}"
        raise EpisodeError(message) from error


def frame_table(
    vectors: Mapping[str, NDArray[np.float32]],
    strings: Mapping[str, Sequence[str]],
    numbers: Mapping[str, NDArray[Any]],
) -> pa.Table:
    """Build the table of frames.

    Args:
        vectors: ``(N, D)`` values of each of `VECTOR_KEYS`.
        strings: ``N`` values of each of `STRING_KEYS`.
        numbers: ``(N,)`` values of each of `NUMBER_KEYS`.
    """
    columns: dict[str, pa.Array] = {}
    for key in VECTOR_KEYS:
        columns[key] = _vector_column(vectors[key])
    for key in STRING_KEYS:
        columns[key] = pa.array(strings[key], type=pa.string())
    for key in NUMBER_KEYS:
        columns[key] = pa.array(numbers[key].astype(_number_type(key)))
    widths = {key: values.shape[1] for key, values in vectors.items()}
    return pa.table(columns).replace_schema_metadata({"huggingface": _hugging_face(widths)})


def with_policy_action(table: pa.Table) -> pa.Table:
    """Complete the table of an episode from before `POLICY_ACTION_KEY`: nobody asked the policy."""
    if POLICY_ACTION_KEY in table.column_names:
        return table
    widths = {key: column_of(table, key).shape[1] for key in (STATE_KEY, ACTION_KEY)}
    widths[POLICY_ACTION_KEY] = widths[ACTION_KEY]
    unknown = np.full((table.num_rows, widths[ACTION_KEY]), np.nan, dtype=np.float32)
    position = table.column_names.index(ACTION_KEY) + 1
    like_action = _vector_column(unknown).cast(table.schema.field(ACTION_KEY).type)
    completed = table.add_column(position, POLICY_ACTION_KEY, like_action)
    return completed.replace_schema_metadata({"huggingface": _hugging_face(widths)})


def column_of(table: pa.Table, key: str) -> NDArray[Any]:
    """Return one numeric column of a table of frames: ``(N, D)`` for vectors, else ``(N,)``."""
    column = table.column(key).combine_chunks()
    if isinstance(column, pa.ChunkedArray):
        column = column.chunk(0)
    if key not in VECTOR_KEYS:
        return np.asarray(column.to_numpy(zero_copy_only=False))
    flat = column.flatten() if pa.types.is_fixed_size_list(column.type) else column
    return np.asarray(flat.to_numpy(zero_copy_only=False)).reshape(table.num_rows, -1)


def write_table(table: pa.Table, path: Path, *, starts: Sequence[int] = (0,)) -> None:
    """Write a table of frames, one row group per episode as LeRobot does.

    Args:
        table: What `frame_table` built.
        path: Where to, inside a folder that is not in place yet.
        starts: First row of each episode.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    with pq.ParquetWriter(path, table.schema, compression="snappy") as writer:
        for start, stop in zip(starts, [*starts[1:], table.num_rows], strict=True):
            writer.write_table(table.slice(start, stop - start))


def write_tasks(tasks: Sequence[str], folder: Path) -> None:
    """Write ``meta/tasks.parquet``: the instructions as pandas index, numbered from 0."""
    frame = pd.DataFrame({"task_index": range(len(tasks))}, index=pd.Index(tasks, name="task"))
    pq.write_table(pa.Table.from_pandas(frame), folder / TASKS_PATH)


def read_tasks(folder: Path) -> list[str]:
    """Read the instructions in the order of their numbers."""
    table = pq.read_table(folder / TASKS_PATH).sort_by("task_index")
    return [str(task) for task in table.column("task").to_pylist()]


def episode_row(
    layout: Layout, *, number: int, task: str, rows: range, statistics: Mapping[str, Statistics]
) -> dict[str, Any]:
    """Return the line of ``meta/episodes`` of one episode whose video files bear its number."""
    chunk, file = divmod(number, FILES_PER_CHUNK)
    row: dict[str, Any] = {
        "episode_index": number,
        "tasks": [task],
        "length": len(rows),
        "data/chunk_index": 0,
        "data/file_index": 0,
        "dataset_from_index": rows.start,
        "dataset_to_index": rows.stop,
    }
    for camera in layout.cameras:
        prefix = f"videos/{layout.image_key(camera)}"
        row[f"{prefix}/chunk_index"] = chunk
        row[f"{prefix}/file_index"] = file
        row[f"{prefix}/from_timestamp"] = 0.0
        row[f"{prefix}/to_timestamp"] = len(rows) / layout.fps
    for feature, measured in statistics.items():
        row.update({f"stats/{feature}/{name}": value for name, value in measured.items()})
    return {**row, "meta/episodes/chunk_index": 0, "meta/episodes/file_index": 0}


def write_episodes(rows: Sequence[Mapping[str, Any]], folder: Path) -> None:
    """Write ``meta/episodes``."""
    path = folder / EPISODES_PATH
    path.parent.mkdir(parents=True, exist_ok=True)
    table = pa.table({key: [row[key] for row in rows] for key in rows[0]})
    # A hundred columns of a few numbers: dictionaries and column statistics only cost time.
    pq.write_table(table, path, use_dictionary=False, write_statistics=False)


def write_json(content: Mapping[str, Any], path: Path) -> None:
    """Write a JSON file into a folder that is not in place yet."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(content, allow_nan=False), encoding="utf-8")


def _features(layout: Layout) -> dict[str, Any]:
    return {
        **{
            layout.image_key(camera): {
                "dtype": "video",
                "shape": [height, width, 3],
                "names": ["height", "width", "channels"],
                "info": _video_info(height, width, layout.fps),
            }
            for camera, (height, width) in layout.cameras.items()
        },
        STATE_KEY: _vector_feature(layout.state_names),
        ACTION_KEY: _vector_feature(layout.action_names),
        POLICY_ACTION_KEY: _vector_feature(layout.action_names),
        **{key: {"dtype": "string", "shape": [1], "names": None} for key in STRING_KEYS},
        **{key: {"dtype": _number_type(key), "shape": [1], "names": None} for key in NUMBER_KEYS},
    }


def _vector_column(values: NDArray[np.float32]) -> pa.Array:
    flat = pa.array(np.ascontiguousarray(values, dtype=np.float32).reshape(-1))
    width = values.shape[1]
    # LeRobot stores a vector of one component as a plain number.
    return flat if width == 1 else pa.FixedSizeListArray.from_arrays(flat, width)


def _vector_feature(names: Sequence[str]) -> dict[str, Any]:
    return {"dtype": "float32", "shape": [len(names)], "names": list(names)}


def _video_info(height: int, width: int, fps: int) -> dict[str, Any]:
    return {
        "video.height": height,
        "video.width": width,
        "video.codec": videos.CODEC,
        "video.pix_fmt": videos.PIXEL_FORMAT,
        "video.fps": fps,
        "video.channels": 3,
        "has_audio": False,
        "video.g": videos.KEYFRAME_INTERVAL,
        "video.crf": videos.CONSTANT_RATE_FACTOR,
        "video.preset": videos.PRESET,
        "video.fast_decode": 0,
        "video.video_backend": "pyav",
        "video.extra_options": {},
        "is_depth_map": False,
    }


def _number_type(key: str) -> str:
    return "float32" if key == "timestamp" else "int64"


def _hugging_face(widths: Mapping[str, int]) -> str:
    """Describe the columns for the ``datasets`` library, which LeRobot reads them with."""

    def value(dtype: str) -> dict[str, Any]:
        return {"dtype": dtype, "_type": "Value"}

    features: dict[str, Any] = {}
    for key in VECTOR_KEYS:
        many = {"feature": value("float32"), "length": widths[key], "_type": "List"}
        features[key] = value("float32") if widths[key] == 1 else many
    features |= {key: value("string") for key in STRING_KEYS}
    features |= {key: value(_number_type(key)) for key in NUMBER_KEYS}
    return json.dumps({"info": {"features": features}})
