"""Which episodes a lap trains on, what was seen in them, and what they were worth."""

from pathlib import Path
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from data.episodes import EpisodeStore
from data.files import whole_file
from data.frames import FrameCache
from data.outcomes import OutcomeStore
from data.schema import Outcome
from data.trainset import Trainset
from recap.core.returns import ReturnScale
from recap.progress import ProgressFactory
from recap.project import Project
from value_models.frames import JudgedFrames, Observations

STATISTICS_OF_TRAINSET = Path("meta/stats.json")
STATISTICS_OF_BASE = "statistics.json"


class PerEpisode(Protocol):
    """Numbers of one whole episode, one for each of its frames."""

    def __call__(self, length: int, *, outcome_is_success: bool) -> NDArray[np.float64]:
        """Give the ``(length,)`` numbers."""
        ...


def open_store(project: Project) -> EpisodeStore:
    """Open the project's episodes."""
    from envs.tabletop import LAYOUT

    return EpisodeStore(project.episodes, LAYOUT)


def gather(
    project: Project, *, iteration: int | None, base: Path | None, skip_unjudged: bool
) -> Trainset:
    """Merge every episode up to a lap into its training set, or open it if it is there.

    Normalisation must not move between laps, or what the pre-trained models learned would not
    fit: the statistics are the base's, else the demonstrations', and are frozen in the project.

    Args:
        project: Whose episodes to merge.
        iteration: The newest lap that counts; None, pre-training, means the demonstrations.
        base: The base that the laps start from; None if this project pre-trains its own.
        skip_unjudged: Leave out episodes without an outcome instead of refusing them.

    Raises:
        UnjudgedError: If an episode has no outcome and ``skip_unjudged`` is false.
    """
    if not project.statistics.exists():
        given = None if base is None else base / STATISTICS_OF_BASE
        if given is None or not given.exists():
            demonstrations = _merge(project, newest=0, statistics=None, skip_unjudged=skip_unjudged)
            given = demonstrations.root / STATISTICS_OF_TRAINSET
        with whole_file(project.statistics) as partial:
            partial.write_bytes(given.read_bytes())
    return _merge(
        project,
        newest=iteration or 0,
        statistics=project.statistics,
        skip_unjudged=skip_unjudged,
    )


def _merge(
    project: Project, *, newest: int, statistics: Path | None, skip_unjudged: bool
) -> Trainset:
    store, outcomes = open_store(project), _judgements(project)
    uids = [info.uid for info in store.infos() if info.iteration <= newest]
    if skip_unjudged:
        uids = [uid for uid in uids if uid in outcomes]
    return Trainset.build(
        store,
        outcomes,
        uids=uids,
        destination_root=project.trainsets,
        statistics=statistics,
    )


def _judgements(project: Project) -> dict[str, Outcome]:
    if not project.outcomes.exists():
        return {}  # to look for judgements must not make an empty store of them
    store = OutcomeStore(project.outcomes)
    outcomes = store.latest()
    store.close()
    return outcomes


def observe(project: Project, trainset: Trainset, progress: ProgressFactory) -> Observations:
    """Read what was seen, felt and asked for in every frame of a training set."""
    bar = progress("frames")
    return Observations(
        images=FrameCache(project.frame_cache).load(trainset, progress=bar.update),
        state=trainset.state().copy(),  # torch does not share memory that it may not write
        task_index=trainset.task_index(),
        tasks=trainset.tasks,
    )


def judge(trainset: Trainset, observations: Observations, scale: ReturnScale) -> JudgedFrames:
    """Say what every frame of a training set was worth."""
    return JudgedFrames(
        observations=observations,
        returns=per_frame(trainset, scale.returns),
        episode_index=trainset.episode_index(),
        is_success=per_frame(trainset, _outcomes).astype(bool),
        normalisers=dict.fromkeys(trainset.tasks, scale.normaliser),
    )


def per_frame(trainset: Trainset, numbers: PerEpisode) -> NDArray[np.float64]:
    """Give ``numbers(length, outcome_is_success=...)`` of every episode, in row order."""
    return np.concatenate(
        [
            numbers(e.stop - e.start, outcome_is_success=e.outcome is Outcome.SUCCESS)
            for e in trainset.episodes
        ]
    )


def _outcomes(length: int, *, outcome_is_success: bool) -> NDArray[np.float64]:
    return np.full(length, float(outcome_is_success))
