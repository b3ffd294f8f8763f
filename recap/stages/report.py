"""Make the page of a lap.

Reads: everything in ``iterations/<k>``, the evaluations of the laps before, the training set, the
pictures of the episodes it shows, and ``metrics.jsonl``. Iteration 0 has no value model of its own
and shows that of pre-training, where this project pre-trained.
Writes: ``iterations/<k>/report.html``, one file that needs nothing beside it.
"""

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from data.files import read_json, whole_file
from data.frames import decode_episode
from data.schema import Source
from recap.lap import read_lap
from recap.metrics import read_metrics
from recap.progress import Progress, ProgressFactory
from recap.project import Project
from recap.report.content import (
    LearningCurve,
    ReportContent,
    ValueCurve,
    ValueMetric,
    ValueQuality,
    Video,
)
from recap.report.instants import filmstrip_frames
from recap.report.learning import learning_curves
from recap.report.marks import advantage_histograms, source_shares
from recap.report.measured import (
    comparison,
    conditioning_rows,
    policy_row,
    value_metrics,
    value_quality,
)
from recap.report.page import render_page
from recap.report.pictures import rollout_video
from recap.report.provenance import provenance
from recap.report.telling import Candidate, telling_episodes

if TYPE_CHECKING:
    import pandas as pd

    from data.annotations import AdvantageTable
    from data.trainset import TrainEpisode
    from recap.config import RecapConfig
    from recap.lap import Lap

SCRIPTED = (
    "Demonstrations and corrections come from a script, not from people. The demonstrator has bad "
    "habits on purpose, such as people have: it is slow, hesitates, misses grasps, and sometimes "
    "fails."
)
"""What a reader must know who would take the numbers for those of people."""

PRETRAINED = (
    "Values and advantages on this page are those of pre-training. The policy of this iteration "
    "starts from the pre-trained one and imitates every demonstration alike."
)
"""What the page of iteration 0 must say where it shows marks: its policy was not told them."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ReportReport:
    """What the page holds."""

    inputs: Mapping[str, str]
    outputs: Mapping[str, str]
    path: str
    episodes_shown: int
    bytes: int

    def headline(self) -> str:
        """Say where the page lies and what it weighs."""
        return f"page {self.path}, {self.episodes_shown} episodes shown, {self.bytes / 1e6:.1f} MB"


def run(
    config: "RecapConfig",
    project: Project,
    *,
    iteration: int | None,
    progress: ProgressFactory,
) -> ReportReport:
    """Make the page of one lap."""
    lap = read_lap(config, project, number=iteration or 0)
    content = _content(config, lap, progress("report"))

    page = render_page(content).encode()
    destination = project.report(lap.number)
    with whole_file(destination) as partial:
        partial.write_bytes(page)

    inputs = lap.inputs()
    return ReportReport(
        inputs=inputs,
        # The page says when it was made; what it was made from is what identifies it.
        outputs={project.relative(destination): _fingerprint(inputs)},
        path=str(destination),
        episodes_shown=len(content.videos),
        bytes=len(page),
    )


def _content(config: "RecapConfig", lap: "Lap", bar: Progress) -> ReportContent:
    evaluation, marks = lap.evaluations[lap.number], lap.marks
    curves, videos = _shown_episodes(lap, bar)
    frames = None if marks is None else _frames(lap, marks)
    metrics, quality = _value_model(lap)
    return ReportContent(
        project=lap.project.name,
        iteration=lap.number,
        made_at=f"{datetime.now(UTC):%Y-%m-%d %H:%M} UTC",
        policies=tuple(
            policy_row(_policy_name(number), measured["summary"])
            for number, measured in lap.evaluations.items()
        ),
        comparison=comparison(evaluation),
        notes=_notes(lap),
        conditioning=conditioning_rows(evaluation),
        value_curves=curves,
        advantage_histograms=(
            advantage_histograms(frames, marks.thresholds) if frames is not None and marks else ()
        ),
        source_shares=source_shares(frames) if frames is not None else (),
        learning_curves=_learning_curves(lap),
        value_metrics=metrics,
        value_quality=quality,
        videos=videos,
        provenance=provenance(
            lap.stages,
            worlds={
                "collect": config.collection_seeds(lap.number),
                "evaluate": config.evaluation_seeds(),
            },
        ),
    )


def _notes(lap: "Lap") -> tuple[str, ...]:
    warnings = [text for entry in lap.stages.values() for text in entry.report.get("warnings", ())]
    shows_pretraining = lap.number == 0 and lap.marks is not None
    # Every stage that builds on a doubtful value model says so; the page says it once.
    return (*dict.fromkeys(warnings), *([PRETRAINED] if shows_pretraining else []), SCRIPTED)


def _policy_name(number: int) -> str:
    return "SFT" if number == 0 else f"RECAP, iteration {number}"


def _shown_episodes(lap: "Lap", bar: Progress) -> tuple[tuple[ValueCurve, ...], tuple[Video, ...]]:
    """Choose the newest attempts that tell the most, and show their values and their films."""
    values = np.zeros(len(lap.trainset))
    if lap.marks is not None:
        values = lap.marks.frames["value"].to_numpy()
    newest = {e.info.uid: e for e in lap.trainset.episodes if e.info.iteration == lap.number}
    chosen = telling_episodes(
        [
            Candidate(
                uid=uid,
                outcome=episode.outcome,
                is_corrected=episode.info.corrected_frames > 0,
                values=values[episode.start : episode.stop],
            )
            for uid, episode in newest.items()
        ]
    )
    curves, videos = [], []
    for done, (title, candidate) in enumerate(chosen, start=1):
        episode = newest[candidate.uid]
        taken = episode.stop - episode.start  # it may have been cut after its success
        cameras = {
            camera: decode_episode(lap.project.episodes / candidate.uid, camera)[:taken]
            for camera in lap.trainset.layout.cameras
        }
        videos.append(_video(lap, episode, cameras))
        if lap.marks is not None:
            curves.append(_value_curve(lap.marks, title, episode, cameras))
        bar.update(done, len(chosen), title)
    return tuple(curves), tuple(videos)


def _video(lap: "Lap", episode: "TrainEpisode", cameras: Mapping[str, NDArray[np.uint8]]) -> Video:
    is_correction = lap.trainset.is_correction()[episode.start : episode.stop]
    is_demonstration = episode.info.source is Source.DEMONSTRATION
    return rollout_video(
        cameras,
        control_rate_hz=lap.trainset.layout.fps,
        title="Demonstration"
        if is_demonstration
        else f"Collected with {_policy_name(lap.number - 1)}",
        task=episode.info.task,
        outcome=episode.outcome,
        is_correction=is_correction | is_demonstration,
    )


def _value_curve(
    marks: "AdvantageTable",
    title: str,
    episode: "TrainEpisode",
    cameras: Mapping[str, NDArray[np.uint8]],
) -> ValueCurve:
    rows = slice(episode.start, episode.stop)
    frames = marks.frames[rows]
    values = frames["value"].to_numpy()
    pictured = filmstrip_frames(values)
    front = next(iter(cameras.values()))  # a layout names the camera that sees everything first
    return ValueCurve(
        title=title,
        task=episode.info.task,
        outcome=episode.outcome,
        values=values,
        returns=frames["return"].to_numpy(),
        is_positive=marks.positive()[rows],
        is_correction=frames["is_correction"].to_numpy(),
        filmstrip_frames=pictured,
        filmstrip=front[pictured],
    )


def _frames(lap: "Lap", marks: "AdvantageTable") -> "pd.DataFrame":
    """Say of every marked frame which task it belongs to, and which attempt."""
    trainset = lap.trainset
    episode_index = trainset.episode_index()
    infos = [episode.info for episode in trainset.episodes]
    return marks.frames.assign(
        task=np.array(trainset.tasks)[trainset.task_index()],
        iteration=np.array([info.iteration for info in infos])[episode_index],
        source=np.array([info.source.value for info in infos])[episode_index],
    )


def _learning_curves(lap: "Lap") -> tuple[LearningCurve, ...]:
    records = []
    for record in read_metrics(lap.project.metrics):
        part, stage = record.get("iteration"), str(record.get("stage")).replace("-", " ")
        if part in lap.parts:
            stage = stage if part is not None else f"pre-training: {stage}"
            records.append({**record, "stage": stage})
    return learning_curves(records)


def _value_model(lap: "Lap") -> tuple[tuple[ValueMetric, ...], ValueQuality | None]:
    from value_models.baselines import BASELINE_MEANINGS
    from value_models.checkpoint import METRICS_FILE
    from value_models.measurement import METRIC_MEANINGS

    if lap.marks is None:
        return (), None
    measured = read_json(lap.project.value(lap.marked) / METRICS_FILE)
    return value_metrics(measured, METRIC_MEANINGS), value_quality(measured, BASELINE_MEANINGS)


def _fingerprint(inputs: Mapping[str, str]) -> str:
    lines = [f"{name} {fingerprint}" for name, fingerprint in sorted(inputs.items())]
    return hashlib.sha256("\n".join(lines).encode()).hexdigest()
