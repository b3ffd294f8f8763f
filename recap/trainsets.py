"""The episodes of a project: which a lap trains on, what was seen in them, what they were worth."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Protocol

import numpy as np
from numpy.typing import NDArray

from data.episodes import EpisodeStore, layout_of_episode
from data.errors import ConfigError, ProjectError
from data.files import locked, read_json, whole_file, write_json_atomically
from data.frames import TrainsetFrames
from data.frames_config import FramesConfig
from data.schema import Ending, EpisodeInfo, Layout, Outcome
from data.trainset import Trainset
from data.verdicts import LATEST_RULE, Decision, DecisionRule
from recap.core.returns import ReturnScale
from recap.judgements import read_decisions
from recap.progress import Progress, ProgressFactory
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
        choice=Choice(
            skip_unjudged=config.skip_unjudged,
            include_interrupted=config.include_interrupted,
            rule=config.label.decision_rule,
            trim_after_success=config.label.trim_after_success,
            database_url=config.label.database_url,
        ),
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class Choice:
    """Which episodes to train on, and how much of them."""

    skip_unjudged: bool = False
    """Leave out episodes without an outcome instead of refusing them."""

    include_interrupted: bool = False
    """Take the interrupted episodes that somebody judged."""

    rule: DecisionRule = LATEST_RULE
    """How verdicts become outcomes."""

    trim_after_success: bool = False
    """Leave out the frames after the moment of success, where somebody named it."""

    database_url: str = ""
    """Where the verdicts are; empty for where the project says."""

    def takes(self, info: EpisodeInfo, outcome: Outcome | None) -> bool:
        """Whether an episode belongs to the training set, or must be judged before."""
        if outcome is Outcome.DISCARD:
            return False
        if info.ending is Ending.INTERRUPTED:
            return self.include_interrupted and outcome is not None
        return outcome is not None or not self.skip_unjudged

    def moments(self, decisions: Mapping[str, Decision]) -> dict[str, int]:
        """Episode to the frame after which it is cut, for those that are."""
        return {
            uid: decision.success_frame
            for uid, decision in decisions.items()
            if self.trim_after_success and decision.success_frame is not None
        }


def gather(
    project: Project,
    *,
    iteration: int | None,
    base: Path | None,
    choice: Choice,
) -> Trainset:
    """Merge every episode up to a lap into its training set, or open it if it is there.

    Discarded episodes are left out. They do not count as unjudged, nor do interrupted ones.

    Normalisation must not move between laps, or what the pre-trained models learned would not
    fit: the statistics are the base's, else the demonstrations', and are frozen in the project.

    Args:
        project: Whose episodes to merge.
        iteration: The newest lap that counts; None, pre-training, means the demonstrations.
        base: The base that the laps start from; None if this project pre-trains its own.
        choice: Which of its episodes to take.

    Raises:
        UnjudgedError: If an episode has no outcome and those are not to be left out.
        ProjectError: If nothing was recorded yet.
    """
    if not project.statistics.exists():
        given = None if base is None else base / STATISTICS_OF_BASE
        if given is None or not given.exists():
            demonstrations = _merge(project, choice, newest=0, statistics=None)
            given = demonstrations.root / STATISTICS_OF_TRAINSET
        with whole_file(project.statistics) as partial:
            partial.write_bytes(given.read_bytes())
    return _merge(project, choice, newest=iteration or 0, statistics=project.statistics)


def _merge(project: Project, choice: Choice, *, newest: int, statistics: Path | None) -> Trainset:
    store = EpisodeStore(project.episodes, recorded_layout(project))
    decisions = read_decisions(project, choice.rule, choice.database_url)
    outcomes = {uid: d.outcome for uid, d in decisions.items() if d.outcome is not None}
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
        success_frames=choice.moments(decisions),
    )


def observe(
    project: Project,
    trainset: Trainset,
    progress: ProgressFactory,
    *,
    frames: FramesConfig | None = None,
    sizes: Mapping[str, tuple[int, int]] | None = None,
    at_once: bool = False,
) -> Observations:
    """Read what was seen, felt and asked for in every frame of a training set.

    Args:
        project: Whose cache of decoded frames to use.
        trainset: The training set.
        progress: Shows how far the decoding has come.
        frames: How much is kept decoded, and where; the defaults if None.
        sizes: Camera to the height and width to which its images are reduced when they are
            decoded; None for as recorded.
        at_once: Whether all images are needed at once, in any order. Otherwise nothing is decoded
            before it is looked at.

    Raises:
        ConfigError: If the cache is too small.
    """
    bars: list[Progress] = []  # none is shown where nothing is decoded beforehand

    def note(done: int, episodes: int) -> None:
        if not bars:
            bars.append(progress("frames"))
        bars[0].update(done, episodes)

    images = TrainsetFrames(trainset, project.frame_cache, frames, sizes=sizes, progress=note)
    if at_once:
        images.bring_to_hand()
    return Observations(
        images=images,
        state=trainset.state().copy(),  # torch does not share memory that it may not write
        task_index=trainset.task_index(),
        tasks=trainset.tasks,
        fps=trainset.layout.fps,
        state_names=trainset.layout.state_names,
    )


def judge(
    trainset: Trainset,
    observations: Observations,
    scale: ReturnScale,
    *,
    groups: Sequence[str] | None = None,
) -> JudgedFrames:
    """Say what every frame of a training set was worth.

    Args:
        trainset: The training set.
        observations: What was seen in its frames.
        scale: How returns are counted, for all of its tasks.
        groups: Name of the group that each episode belongs to, as `recap.groups` names them; None
            where each stands for itself.
    """
    return JudgedFrames(
        observations=observations,
        returns=per_frame(trainset, scale.returns),
        episode_index=trainset.episode_index(),
        is_success=per_frame(trainset, _outcomes).astype(bool),
        normalisers=dict.fromkeys(trainset.tasks, scale.normaliser),
        scaling=scale.scaling.value,
        group_index=None if groups is None else _numbered(groups)[trainset.episode_index()],
    )


def per_frame(trainset: Trainset, numbers: PerEpisode) -> NDArray[np.float64]:
    """Give ``numbers(length, outcome_is_success=...)`` of every episode, in row order."""
    return np.concatenate(
        [
            numbers(e.stop - e.start, outcome_is_success=e.outcome is Outcome.SUCCESS)
            for e in trainset.episodes
        ]
    )


def _numbered(names: Sequence[str]) -> NDArray[np.int64]:
    numbers: NDArray[np.int64] = np.unique(names, return_inverse=True)[1]
    return numbers


def _outcomes(length: int, *, outcome_is_success: bool) -> NDArray[np.float64]:
    return np.full(length, float(outcome_is_success))
