"""The training set: judged episodes merged into one immutable LeRobotDataset.

The folder is named by a fingerprint of what went in, so the same episodes with the same outcomes
are the same training set, and a changed mind about one outcome makes another one. Videos are hard
links, so a merge costs no space. ``meta/recap.json`` says which rows belong to which episode.

An episode may be cut after its moment of success. Then its rows end there, and so does its video
as far as LeRobot reads it, which goes by the times that ``meta/episodes`` names.
"""

from __future__ import annotations

import hashlib
import os
import shutil
from collections import Counter
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from data import lerobot_format as lerobot
from data.errors import EpisodeError, ProjectError, UnjudgedError
from data.files import content_hash, read_json, whole_folder
from data.schema import (
    ACTION_KEY,
    PILOT_KEY,
    RECAP_PATH,
    STATE_KEY,
    EpisodeInfo,
    Outcome,
    Pilot,
    Source,
)
from data.statistics import Statistics, pixel_counts, pixel_statistics, table_statistics
from data.videos import decode_video

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence
    from pathlib import Path

    import pandas as pd
    from numpy.typing import NDArray

    from data.episodes import EpisodeStore


@dataclass(frozen=True, slots=True, kw_only=True)
class TrainEpisode:
    """One episode of a training set."""

    info: EpisodeInfo
    """What was known when it ended, of all its frames."""

    outcome: Outcome
    """How it was judged when the training set was built."""

    content_hash: str
    """Which content it had."""

    start: int
    """Its first row in the table."""

    stop: int
    """The row after its last; of a success that was cut, the row after the moment of success."""


class Trainset:
    """An immutable training set on disk. Make one with `build` or `open`."""

    def __init__(self, root: Path, sidecar: Mapping[str, Any], tasks: list[str]) -> None:
        """Take what `open` has read."""
        self.root = root
        self.fingerprint: str = sidecar["fingerprint"]
        self.layout = lerobot.layout_of(read_json(root / lerobot.INFO_PATH))
        self.tasks = tasks
        self.episodes = [_episode_from_json(line) for line in sidecar["episodes"]]

    @classmethod
    def open(cls, root: Path) -> Trainset:
        """Open the training set in ``root``.

        Raises:
            ProjectError: If there is none, or its description is damaged.
        """
        sidecar = read_json(root / RECAP_PATH)
        try:
            return cls(root, sidecar, lerobot.read_tasks(root))
        except (EpisodeError, KeyError, TypeError, ValueError, OSError) as error:
            message = (
                f"{root} is not a whole training set ({error}). Delete the folder; the command "
                f"that made it makes it again from the episodes."
            )
            raise ProjectError(message) from error

    @classmethod
    def build(
        cls,
        store: EpisodeStore,
        outcomes: Mapping[str, Outcome],
        *,
        uids: Iterable[str],
        destination_root: Path,
        statistics: Path | None,
        success_frames: Mapping[str, int] | None = None,
    ) -> Trainset:
        """Merge judged episodes, in sorted order, or open the merge if it exists already.

        Args:
            store: Where the episodes are.
            outcomes: Judgements; those of other episodes are ignored.
            uids: The episodes to merge.
            destination_root: The training set becomes ``destination_root/<fingerprint>``.
            statistics: ``meta/stats.json`` of an earlier training set, to be used as it is so
                that normalisation does not move between iterations; None measures this one.
            success_frames: Episode to the frame at which its task was done. Of a success, the
                frames after it are left out; an episode that is absent here is taken whole.

        Raises:
            UnjudgedError: If an episode has no outcome.
            EpisodeError: If an episode is damaged, has no frame of that number, or there are none.
            ValueError: If an episode is discarded: it has no place in a training set.
        """
        chosen = sorted(set(uids))
        _require_outcomes(store, outcomes, chosen)
        _require_none_discarded(outcomes, chosen)
        for uid in chosen:
            store.verify(uid)
        moments = success_frames or {}
        members = [_member(store, uid, Outcome(outcomes[uid]), moments.get(uid)) for uid in chosen]
        fingerprint = _fingerprint(members, statistics)
        destination = destination_root / fingerprint
        try:
            with whole_folder(destination) as folder:
                _merge(folder, store, members, fingerprint, statistics)
        except FileExistsError:
            pass  # built before, or by another process just now: the name is the content
        return cls.open(destination)

    def __len__(self) -> int:
        """Return the number of frames."""
        return self.episodes[-1].stop

    def table(self) -> pd.DataFrame:
        """Return all frames as a table, without the images."""
        frame: pd.DataFrame = self._frames.to_pandas()
        return frame

    def state(self) -> NDArray[np.float32]:
        """Return the ``(N, S)`` states."""
        return lerobot.column_of(self._frames, STATE_KEY)

    def action(self) -> NDArray[np.float32]:
        """Return the ``(N, A)`` commanded actions."""
        return lerobot.column_of(self._frames, ACTION_KEY)

    def task_index(self) -> NDArray[np.int64]:
        """Return, for each frame, the number of its task in `tasks`."""
        return lerobot.column_of(self._frames, "task_index")

    def episode_index(self) -> NDArray[np.int64]:
        """Return, for each frame, the number of its episode in `episodes`."""
        return lerobot.column_of(self._frames, "episode_index")

    def is_correction(self) -> NDArray[np.bool_]:
        """Say for each frame whether it corrects the policy: a rollout not flown by it."""
        pilot = self._frames.column(PILOT_KEY)
        flown = pc.equal(pilot, Pilot.POLICY.value).to_numpy(zero_copy_only=False).astype(bool)
        is_rollout = np.array([e.info.source is Source.ROLLOUT for e in self.episodes])
        corrections: NDArray[np.bool_] = is_rollout[self.episode_index()] & ~flown
        return corrections

    @cached_property
    def _frames(self) -> pa.Table:
        return pq.ParquetFile(self.root / lerobot.TABLE_PATH).read()


@dataclass(frozen=True, slots=True, kw_only=True)
class _Member:
    """An episode to merge."""

    info: EpisodeInfo
    content_hash: str
    outcome: Outcome
    frames: int
    """How many of its frames to take, from the first."""

    @property
    def is_cut(self) -> bool:
        return self.frames < self.info.frames


def _member(store: EpisodeStore, uid: str, outcome: Outcome, success_frame: int | None) -> _Member:
    info, frames = store.info(uid), None
    if success_frame is not None and outcome is Outcome.SUCCESS:
        if not 0 <= success_frame < info.frames:
            message = (
                f"The moment of success of {uid} is frame {success_frame}, and its frames are 0 to "
                f"{info.frames - 1}. Judge it again with `recap label "
                f"--project={store.root.parent}`, or take attempts whole with "
                f"`--label.trim_after_success=false`."
            )
            raise EpisodeError(message)
        frames = success_frame + 1
    return _Member(
        info=info,
        content_hash=store.content_hash(uid),
        outcome=outcome,
        frames=frames or info.frames,
    )


def _require_outcomes(
    store: EpisodeStore, outcomes: Mapping[str, Outcome], uids: Sequence[str]
) -> None:
    if not uids:
        message = f"There is no episode to train on in {store.root}. Collect some first."
        raise EpisodeError(message)
    infos = [store.info(uid) for uid in uids if uid not in outcomes]
    unjudged = Counter(info.task for info in infos)
    if infos:
        counted = ", ".join(f"{n} episode(s) of '{task}'" for task, n in sorted(unjudged.items()))
        first = min(info.iteration for info in infos)
        message = (
            f"{counted} have no outcome. A missing label is never read as a failure. Judge them "
            f"with `recap label --project={store.root.parent}`, let the simulation judge with "
            f"`recap auto-label --project={store.root.parent} --iteration={first}`, or leave them "
            f"out with `--skip_unjudged=true`."
        )
        raise UnjudgedError(message)


def _require_none_discarded(outcomes: Mapping[str, Outcome], uids: Sequence[str]) -> None:
    discarded = [uid for uid in uids if outcomes[uid] is Outcome.DISCARD]
    if discarded:
        # Everything after this asks "success or not?", and would take it for a failure.
        message = f"discarded episodes cannot be merged: {', '.join(discarded)}"
        raise ValueError(message)


def _fingerprint(members: Sequence[_Member], statistics: Path | None) -> str:
    lines = [
        f"{m.info.uid} {m.content_hash} {m.outcome}{f' {m.frames} frames' if m.is_cut else ''}"
        for m in members
    ]
    if statistics is not None:
        lines.append(f"statistics {content_hash(statistics)}")
    return hashlib.sha256("\n".join(lines).encode()).hexdigest()[:16]


def _merge(
    folder: Path,
    store: EpisodeStore,
    members: Sequence[_Member],
    fingerprint: str,
    statistics: Path | None,
) -> None:
    layout = store.layout
    tasks = sorted({member.info.task for member in members})
    starts = np.cumsum([0, *(member.frames for member in members)]).tolist()
    tables, rows, counts = [], [], []
    for number, member in enumerate(members):
        info = member.info
        span = range(starts[number], starts[number + 1])
        taken = store.frames(info.uid).slice(0, member.frames)
        table = _renumber(taken, number, span.start, tasks.index(info.task))
        counted = _pixel_counts(store, member)
        measured = _measure(table, {layout.image_key(c): n for c, n in counted.items()})
        rows.append(
            lerobot.episode_row(
                layout, number=number, task=info.task, rows=span, statistics=measured
            )
        )
        tables.append(table)
        counts.append(counted)
        for camera in layout.cameras:
            source = store.root / info.uid / lerobot.video_path(camera, 0)
            _link(source, folder / lerobot.video_path(camera, number))

    merged = pa.concat_tables(tables)
    lerobot.write_table(merged, folder / lerobot.TABLE_PATH, starts=starts[:-1])
    lerobot.write_episodes(rows, folder)
    lerobot.write_tasks(tasks, folder)
    if statistics is None:
        total = {
            layout.image_key(c): np.sum([n[c] for n in counts], axis=0) for c in layout.cameras
        }
        lerobot.write_json(_measure(merged, total), folder / lerobot.STATS_PATH)
    else:
        shutil.copyfile(statistics, folder / lerobot.STATS_PATH)
    described = lerobot.dataset_info(
        layout, episodes=len(members), frames=starts[-1], tasks=len(tasks)
    )
    lerobot.write_json(described, folder / lerobot.INFO_PATH)
    sidecar = {
        "fingerprint": fingerprint,
        "episodes": [
            {
                "info": member.info.to_json(),
                "outcome": member.outcome,
                "content_hash": member.content_hash,
                "start": start,
                "stop": stop,
            }
            for member, start, stop in zip(members, starts, starts[1:], strict=False)
        ],
    }
    lerobot.write_json(sidecar, folder / RECAP_PATH)


def _episode_from_json(line: Mapping[str, Any]) -> TrainEpisode:
    typed = {"info": EpisodeInfo.from_json(line["info"]), "outcome": Outcome(line["outcome"])}
    return TrainEpisode(**{**line, **typed})


def _pixel_counts(store: EpisodeStore, member: _Member) -> dict[str, NDArray[np.int64]]:
    """Count the pixels of the frames that are taken.

    Those of a whole episode were counted when it was recorded, before its video was encoded. Of a
    cut one the frames are counted as the video gives them back, by a shade here and there.
    """
    if not member.is_cut:
        return store.pixel_counts(member.info.uid)
    folder = store.root / member.info.uid
    return {
        camera: pixel_counts(decode_video(folder / lerobot.video_path(camera, 0))[: member.frames])
        for camera in store.layout.cameras
    }


def _renumber(table: pa.Table, episode: int, start: int, task: int) -> pa.Table:
    length = table.num_rows
    numbers = {
        "episode_index": np.full(length, episode, dtype=np.int64),
        "index": np.arange(start, start + length, dtype=np.int64),
        "task_index": np.full(length, task, dtype=np.int64),
    }
    for key, values in numbers.items():
        table = table.set_column(table.column_names.index(key), key, pa.array(values))
    return table


def _measure(table: pa.Table, counts: Mapping[str, NDArray[np.int64]]) -> dict[str, Statistics]:
    columns = {key: lerobot.column_of(table, key) for key in lerobot.MEASURED_KEYS}
    return {
        **{key: pixel_statistics(n, frames=table.num_rows) for key, n in counts.items()},
        **table_statistics(columns),
    }


def _link(source: Path, destination: Path) -> None:
    destination.parent.mkdir(parents=True, exist_ok=True)
    try:
        os.link(source, destination)
    except OSError:  # another file system, or one without hard links
        shutil.copyfile(source, destination)
