"""The training set: judged episodes merged into one immutable LeRobotDataset.

The folder is named by a fingerprint of what went in, so the same episodes with the same outcomes
are the same training set, and a changed mind about one outcome makes another one. Videos are hard
links, so a merge costs no space. ``meta/recap.json`` says which rows belong to which episode.
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
    STATE_KEY,
    EpisodeInfo,
    Outcome,
    Pilot,
    Source,
)
from data.statistics import Statistics, pixel_statistics, table_statistics

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence
    from pathlib import Path

    import pandas as pd
    from numpy.typing import NDArray

    from data.episodes import EpisodeStore

RECAP_PATH = "meta/recap.json"


@dataclass(frozen=True, slots=True, kw_only=True)
class TrainEpisode:
    """One episode of a training set."""

    info: EpisodeInfo
    """What was known when it ended."""

    outcome: Outcome
    """How it was judged when the training set was built."""

    content_hash: str
    """Which content it had."""

    start: int
    """Its first row in the table."""

    stop: int
    """The row after its last."""


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
    ) -> Trainset:
        """Merge judged episodes, in sorted order, or open the merge if it exists already.

        Args:
            store: Where the episodes are.
            outcomes: Judgements; those of other episodes are ignored.
            uids: The episodes to merge.
            destination_root: The training set becomes ``destination_root/<fingerprint>``.
            statistics: ``meta/stats.json`` of an earlier training set, to be used as it is so
                that normalisation does not move between iterations; None measures this one.

        Raises:
            UnjudgedError: If an episode has no outcome.
            EpisodeError: If an episode is damaged, or there are none.
            ValueError: If an episode is discarded: it has no place in a training set.
        """
        chosen = sorted(set(uids))
        _require_outcomes(store, outcomes, chosen)
        _require_none_discarded(outcomes, chosen)
        for uid in chosen:
            store.verify(uid)
        members = [
            (store.info(uid), store.content_hash(uid), Outcome(outcomes[uid])) for uid in chosen
        ]
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


Member = tuple[EpisodeInfo, str, Outcome]
"""An episode to merge: its info, its content hash, its outcome."""


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
            f"with `recap label --project={store.root.parent} --iteration={first}`, or leave them "
            f"out with `--skip_unjudged=true`."
        )
        raise UnjudgedError(message)


def _require_none_discarded(outcomes: Mapping[str, Outcome], uids: Sequence[str]) -> None:
    discarded = [uid for uid in uids if outcomes[uid] is Outcome.DISCARD]
    if discarded:
        # Everything after this asks "success or not?", and would take it for a failure.
        message = f"discarded episodes cannot be merged: {', '.join(discarded)}"
        raise ValueError(message)


def _fingerprint(members: Sequence[Member], statistics: Path | None) -> str:
    lines = [f"{info.uid} {content} {outcome}" for info, content, outcome in members]
    if statistics is not None:
        lines.append(f"statistics {content_hash(statistics)}")
    return hashlib.sha256("\n".join(lines).encode()).hexdigest()[:16]


def _merge(
    folder: Path,
    store: EpisodeStore,
    members: Sequence[Member],
    fingerprint: str,
    statistics: Path | None,
) -> None:
    layout = store.layout
    tasks = sorted({info.task for info, _, _ in members})
    starts = np.cumsum([0, *(info.frames for info, _, _ in members)]).tolist()
    tables, rows, counts = [], [], []
    for number, (info, _, _) in enumerate(members):
        span = range(starts[number], starts[number + 1])
        table = _renumber(store.frames(info.uid), number, span.start, tasks.index(info.task))
        counted = store.pixel_counts(info.uid)
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
                "info": info.to_json(),
                "outcome": outcome,
                "content_hash": content,
                "start": start,
                "stop": stop,
            }
            for (info, content, outcome), start, stop in zip(
                members, starts, starts[1:], strict=False
            )
        ],
    }
    lerobot.write_json(sidecar, folder / RECAP_PATH)


def _episode_from_json(line: Mapping[str, Any]) -> TrainEpisode:
    typed = {"info": EpisodeInfo.from_json(line["info"]), "outcome": Outcome(line["outcome"])}
    return TrainEpisode(**{**line, **typed})


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
