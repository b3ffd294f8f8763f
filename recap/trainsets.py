"""The episodes of a project: which a lap trains on, what was seen in them, what they were worth."""

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Protocol

import numpy as np
from numpy.typing import NDArray

from data.episodes import EpisodeStore, layout_of_episode
from data.errors import ConfigError, ProjectError
from data.files import locked, read_json, whole_file, write_json_atomically
from data.frames import FrameCache
from data.outcomes import OutcomeStore
from data.schema import Ending, EpisodeInfo, Layout, Outcome
from data.trainset import Trainset
from recap.core.returns import ReturnScale
from recap.progress import ProgressFactory
from recap.project import Project
from value_models.frames import JudgedFrames, Observations

if TYPE_CHECKING:
    from recap.config import RecapConfig

STATISTICS_OF_TRAINSET = Path("meta/stats.json")
STATISTICS_OF_BASE = "statistics.json"


class PerEpisode(Protocol):
    """Numbers of one whole episode, one for each of its frames."""

    def __call__(self, length: int, *, outcome_is_success: bool) -> NDArray[np.float64]:
        """Give the ``(length,)`` numbers."""
        ...


def fix_layout(project: Project, layout: Layout) -> None:
    """Write down what every frame of the project holds, or check it against what is there.

    Raises:
        ProjectError: If the project was recorded with another robot or camera setting.
    """
    with locked(project.folder):
        fixed = _find_layout(project)
        different = [] if fixed is None else fixed.differences(layout)
        if different:
            message = (
                f"{project.folder} was recorded with another robot or camera setting: "
                f"{'; '.join(different)}. Only episodes that are alike can be merged: go back to "
                f"that setting, or begin a new project with --project=..."
            )
            raise ProjectError(message)
        if not project.layout.exists():
            write_json_atomically(project.layout, layout.to_json())


def recorded_layout(project: Project) -> Layout:
    """Return what every frame of the project holds.

    Raises:
        ProjectError: If nothing was recorded yet, or the file that says so is damaged.
        EpisodeError: If the project is older than that file, and its first episode is damaged.
    """
    layout = _find_layout(project)
    if layout is None:
        message = (
            f"No attempt was recorded yet in {project.folder}. Record some with "
            f"`recap collect --project={project.folder}`."
        )
        raise ProjectError(message)
    return layout


def _find_layout(project: Project) -> Layout | None:
    if project.layout.exists():
        try:
            return Layout.from_json(read_json(project.layout))
        except ConfigError as error:
            message = f"{project.layout} is damaged: {error}. Restore it, or delete it."
            raise ProjectError(message) from error
    # Projects from before that file have the layout in their episodes alone.
    first = next(iter(sorted(project.episodes.glob("[!.]*/"))), None)
    return None if first is None else layout_of_episode(first)


def open_store(project: Project) -> EpisodeStore:
    """Open the project's episodes; the tabletop's are meant where none was recorded yet."""
    from envs.tabletop import LAYOUT

    return EpisodeStore(project.episodes, _find_layout(project) or LAYOUT)


def trainset_of(config: "RecapConfig", project: Project, *, iteration: int | None) -> Trainset:
    """Gather what a lap trains on, with the choices that the settings make."""
    return gather(
        project,
        iteration=iteration,
        base=config.base,
        skip_unjudged=config.skip_unjudged,
        include_interrupted=config.include_interrupted,
    )


def gather(
    project: Project,
    *,
    iteration: int | None,
    base: Path | None,
    skip_unjudged: bool,
    include_interrupted: bool = False,
) -> Trainset:
    """Merge every episode up to a lap into its training set, or open it if it is there.

    Discarded episodes are left out. They do not count as unjudged, nor do interrupted ones.

    Normalisation must not move between laps, or what the pre-trained models learned would not
    fit: the statistics are the base's, else the demonstrations', and are frozen in the project.

    Args:
        project: Whose episodes to merge.
        iteration: The newest lap that counts; None, pre-training, means the demonstrations.
        base: The base that the laps start from; None if this project pre-trains its own.
        skip_unjudged: Leave out episodes without an outcome instead of refusing them.
        include_interrupted: Take the interrupted episodes that somebody judged.

    Raises:
        UnjudgedError: If an episode has no outcome and ``skip_unjudged`` is false.
        ProjectError: If nothing was recorded yet.
    """
    choice = _Choice(skip_unjudged=skip_unjudged, include_interrupted=include_interrupted)
    if not project.statistics.exists():
        given = None if base is None else base / STATISTICS_OF_BASE
        if given is None or not given.exists():
            demonstrations = _merge(project, choice, newest=0, statistics=None)
            given = demonstrations.root / STATISTICS_OF_TRAINSET
        with whole_file(project.statistics) as partial:
            partial.write_bytes(given.read_bytes())
    return _merge(project, choice, newest=iteration or 0, statistics=project.statistics)


@dataclass(frozen=True, slots=True, kw_only=True)
class _Choice:
    """Which episodes to train on."""

    skip_unjudged: bool
    include_interrupted: bool

    def takes(self, info: EpisodeInfo, outcome: Outcome | None) -> bool:
        """Whether an episode belongs to the training set, or must be judged before."""
        if outcome is Outcome.DISCARD:
            return False
        if info.ending is Ending.INTERRUPTED:
            return self.include_interrupted and outcome is not None
        return outcome is not None or not self.skip_unjudged


def _merge(project: Project, choice: _Choice, *, newest: int, statistics: Path | None) -> Trainset:
    store = EpisodeStore(project.episodes, recorded_layout(project))
    outcomes = _judgements(project)
    uids = [
        info.uid
        for info in store.infos()
        if info.iteration <= newest and choice.takes(info, outcomes.get(info.uid))
    ]
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
