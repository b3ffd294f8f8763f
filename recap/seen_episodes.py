"""Recorded episodes as a value model sees them, one at a time, judged or not."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from data.annotations import AdvantageTable
from data.episodes import EpisodeStore
from data.files import content_hash, read_json
from data.frames import decode_episode
from data.lerobot_format import column_of
from data.schema import PILOT_KEY, STATE_KEY, EpisodeInfo, Indicator, Outcome, Pilot, is_correction
from data.trainset import Trainset
from recap.judgements import read_decisions
from recap.project import Project
from recap.report.value_picking import Pickable
from recap.report.value_view import NEGATIVE, POSITIVE, UNMARKED, EpisodeView
from recap.trainsets import recorded_layout
from recap.values import as_seen, backbone_of, with_features
from value_models.checkpoint import METRICS_FILE, load_checkpoint
from value_models.distributions import predict_distributions
from value_models.frames import Observations

if TYPE_CHECKING:
    from data.verdicts import Decision
    from recap.config import RecapConfig

HELD_OUT = "held_out_episode_index"
"""Where the metrics of a value model number the episodes of its training set that it was trained
without."""

Floats = NDArray[np.float64]


@dataclass(frozen=True, slots=True, kw_only=True)
class ValueModelAt:
    """Where a value model lies, and the marks that were made with it."""

    folder: Path
    """The checkpoint."""

    marks: Path
    """The marked frames, where there are some."""

    pictures: Path
    """Where pictures of it go, if nobody says otherwise."""


class SeenEpisodes:
    """The episodes of a project, and what one of its value models says of them."""

    def __init__(self, config: RecapConfig, project: Project, at: ValueModelAt) -> None:
        """Load the value model.

        Raises:
            CheckpointError: If it is not whole, or reads a policy that is not there.
            FingerprintError: If that policy is another one by now.
            ProjectError: If nothing was recorded yet.
        """
        self._at = at
        self._project = project
        self._layout = recorded_layout(project)
        self._model = load_checkpoint(at.folder)
        self._backbone = backbone_of(self._model.spec)
        self._threads = config.value.threads
        self._is_trimmed = config.label.trim_after_success
        self._scale = config.returns.scale(config.world.time_limit_steps)
        self._decisions: Mapping[str, Decision] = read_decisions(
            project, config.label.decision_rule, config.label.database_url
        )
        self.store = EpisodeStore(project.episodes, self._layout)

    def pickable(self) -> list[Pickable]:
        """List every episode that was recorded."""
        return [
            Pickable(
                uid=info.uid,
                iteration=info.iteration,
                outcome=self._outcome(info.uid),
                is_corrected=info.corrected_frames > 0,
                is_held_out=self._is_held_out(info.uid),
            )
            for info in self.store.infos()
        ]

    def is_on_scale(self) -> bool:
        """Say whether the value model predicts returns as these settings make them."""
        return all(self._is_on_scale(task) for task in {i.task for i in self.store.infos()})

    def error_steps(self, uid: str) -> float | None:
        """Say how far the value is from the return, on average over an episode, in steps.

        None where there is no return to compare it with.
        """
        info = self.store.info(uid)
        returns = self._returns(info)
        if returns is None:
            return None
        values = predict_distributions(
            self._model, self._observe(info, self._images(info)), threads=self._threads
        ).values
        return float(np.nanmean(np.abs(values - returns)) * self._steps_per_return(info.task))

    def view(self, uid: str) -> EpisodeView:
        """Gather what there is to see of an episode."""
        info = self.store.info(uid)
        images = self._images(info)
        predicted = predict_distributions(
            self._model, self._observe(info, images), threads=self._threads
        )
        marks = self._marks_of(uid, info.frames)
        signs, advantages = (None, None) if marks is None else marks
        returns = self._returns(info)
        return EpisodeView(
            uid=uid,
            task=info.task,
            outcome=self._outcome(uid),
            fps=self._layout.fps,
            steps_per_return=self._steps_per_return(info.task),
            images=images,
            values=predicted.values.astype(np.float64),
            probabilities=predicted.probabilities,
            half=predicted.interval(0.5),
            most=predicted.interval(0.9),
            returns=returns,
            signs=signs,
            advantages=advantages,
            is_correction=self._is_correction(info),
            notes=self._notes(uid, is_marked=marks is not None),
        )

    def missing(self, view: EpisodeView) -> list[str]:
        """Say what a picture of the episode lacks, and why."""
        lacks = []
        if view.returns is None:
            lacks.append(f"no return line: {self._why_no_return(view)}")
        if view.signs is None:
            lacks.append(f"no advantages: {self._why_no_marks(view.uid)}")
        return lacks

    def _images(self, info: EpisodeInfo) -> dict[str, NDArray[np.uint8]]:
        folder = self.store.root / info.uid
        return {camera: decode_episode(folder, camera) for camera in self._layout.cameras}

    def _observe(self, info: EpisodeInfo, images: Mapping[str, NDArray[np.uint8]]) -> Observations:
        seen = Observations(
            images=as_seen(self._model.spec.config, images),
            state=column_of(self.store.frames(info.uid), STATE_KEY).copy(),
            task_index=np.zeros(info.frames, dtype=np.int64),
            tasks=(info.task,),
            fps=self._layout.fps,
            state_names=self._layout.state_names,
        )
        return with_features(self._backbone, seen)

    def _is_correction(self, info: EpisodeInfo) -> NDArray[np.bool_]:
        pilots = self.store.frames(info.uid).column(PILOT_KEY).to_pylist()
        return np.array([is_correction(info.source, Pilot(pilot)) for pilot in pilots])

    def _outcome(self, uid: str) -> Outcome | None:
        decision = self._decisions.get(uid)
        return None if decision is None else decision.outcome

    def _returns(self, info: EpisodeInfo) -> Floats | None:
        """Give the returns as training would see them, NaN where a success was cut.

        On the scale of the value model: a success is worth the same steps on every one. What a
        failure costs besides is of the settings, so on another scale it has no return.
        """
        decision, outcome = self._decisions.get(info.uid), self._outcome(info.uid)
        if decision is None or outcome not in {Outcome.SUCCESS, Outcome.FAILURE}:
            return None
        length, moment = info.frames, decision.success_frame
        if self._is_trimmed and outcome is Outcome.SUCCESS and moment is not None:
            length = min(moment + 1, length)
        returns = np.full(info.frames, np.nan)
        if not self._is_on_scale(info.task):
            steps = self._steps_per_return(info.task)
            if outcome is Outcome.FAILURE or length > steps:
                return None
            returns[:length] = -np.arange(length)[::-1] / steps
            return returns
        if length > self._scale.max_steps:
            return None
        returns[:length] = self._scale.returns(
            length, outcome_is_success=outcome is Outcome.SUCCESS
        )
        return returns

    def _steps_per_return(self, task: str) -> float:
        return float(self._model.spec.normalisers.get(task, self._scale.normaliser))

    def _is_on_scale(self, task: str) -> bool:
        """Say whether the value model predicts returns as these settings make them."""
        made_for = self._model.spec.scaling, self._steps_per_return(task)
        return made_for == (self._scale.scaling.value, self._scale.normaliser)

    def _why_no_return(self, view: EpisodeView) -> str:
        if view.outcome is None:
            return "nobody has judged the episode"
        if view.outcome is Outcome.DISCARD:
            return "the episode was discarded"
        if not self._is_on_scale(view.task):
            if view.outcome is Outcome.SUCCESS:
                steps = self._steps_per_return(view.task)
                return f"the episode is longer than the {steps:g} steps of the value model's scale"
            return (
                f"the value model was made for another scale of returns "
                f"({self._steps_per_return(view.task):g} steps, {self._model.spec.scaling}) than "
                f"the settings make ({self._scale.normaliser:g} steps, {self._scale.scaling}), and "
                f"what a failure costs on it was not noted"
            )
        return f"the episode is longer than world.time_limit_steps={self._scale.max_steps}"

    def _why_no_marks(self, uid: str) -> str:
        if not self._at.marks.exists():
            return "nothing was marked with this value model yet (`recap mark-advantage`)"
        if self._table is None:
            return f"{self._at.marks.name} was made with another value model"
        return f"{uid} is not in the training set that was marked"

    @cached_property
    def _table(self) -> AdvantageTable | None:
        """The marks, if they were made with this value model."""
        if not self._at.marks.exists():
            return None
        table = AdvantageTable.load(self._at.marks)
        return table if table.value_fingerprint == content_hash(self._at.folder) else None

    def _marks_of(self, uid: str, length: int) -> tuple[NDArray[np.int8], Floats] | None:
        if self._table is None:
            return None
        rows = self._table.frames[self._table.frames["episode_uid"] == uid]
        if rows.empty:
            return None
        places = rows["frame_index"].to_numpy()
        is_positive = rows["indicator"].to_numpy() == Indicator.POSITIVE.value
        signs = np.full(length, UNMARKED, dtype=np.int8)
        signs[places] = np.where(is_positive, POSITIVE, NEGATIVE)
        advantages = np.full(length, np.nan)
        advantages[places] = rows["advantage"].to_numpy()
        return signs, advantages

    @cached_property
    def _of_trainset(self) -> tuple[str, ...]:
        """The episodes of its training set, held out or not; none where it was made elsewhere."""
        fingerprint = self._model.spec.trainset_fingerprint
        folder = self._project.trainsets / fingerprint
        if not fingerprint or not folder.is_dir():
            return ()
        return tuple(episode.info.uid for episode in Trainset.open(folder).episodes)

    @cached_property
    def _held_out(self) -> frozenset[str] | None:
        """The episodes of its training set that it was measured on; None where not noted."""
        measured = self._at.folder / METRICS_FILE
        noted = read_json(measured).get(HELD_OUT) if measured.exists() else None
        return None if noted is None else frozenset(self._of_trainset[number] for number in noted)

    def _is_in_trainset(self, uid: str) -> bool:
        return uid in self._of_trainset

    def _is_held_out(self, uid: str) -> bool:
        if not self._is_in_trainset(uid):
            return True  # trained elsewhere, or recorded since
        return self._held_out is not None and uid in self._held_out

    def _notes(self, uid: str, *, is_marked: bool) -> tuple[str, ...]:
        is_known = self._held_out is not None or not self._is_in_trainset(uid)
        words = ["not trained on" if self._is_held_out(uid) else "trained on"] * is_known
        return (*words, *([] if is_marked else ["advantages not marked"]))
