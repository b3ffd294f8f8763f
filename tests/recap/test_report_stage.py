"""The page of a lap, made from a project whose every file was written by hand."""

import json
import re
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from data.annotations import SCHEMA, AdvantageTable
from data.errors import FingerprintError, ProjectError
from data.files import content_hash, write_json_atomically
from data.outcomes import OutcomeStore
from data.schema import (
    EPISODE_KEY,
    Ending,
    EpisodeInfo,
    EpisodeRecord,
    Indicator,
    Outcome,
    Pilot,
    Source,
)
from recap.config import RecapConfig
from recap.manifest import Manifest
from recap.progress import silent
from recap.project import Project
from recap.stages.label import LabelConfig
from recap.stages.report import PRETRAINED, SCRIPTED, run
from recap.trainsets import open_store, trainset_of

TASK = "put the red cube on the white pad"
SUMMARY = {
    "n": 4,
    "success": [0.05, 0.25, 0.7],
    "successes_per_hour": [0.0, 200.0, 600.0],
    "median_steps_to_success": 61.0,
}
WARNING = "2.3 negative frames for every positive one"


class HandmadeProject:
    """Two demonstrations, an imitation, and one lap with a success, a failure and a rescue."""

    def __init__(
        self, folder: Path, *, base: Path | None, moments: Mapping[str, int] | None = None
    ) -> None:
        self.moments = moments or {}
        label = LabelConfig(trim_after_success=bool(moments))
        self.config = RecapConfig(project=folder, base=base, iterations=1, label=label)
        self.project = Project(folder)
        folder.mkdir()
        for uid, outcome, corrected_from in (
            ("demonstration-00-02000000", Outcome.SUCCESS, 0),
            ("demonstration-00-02000001", Outcome.FAILURE, 0),
            ("rollout-01-01000000", Outcome.SUCCESS, None),
            ("rollout-01-01000001", Outcome.FAILURE, None),
            ("rollout-01-01000002", Outcome.SUCCESS, 12),
        ):
            self.record(uid, outcome, corrected_from=corrected_from)
        for lap in (0, 1):
            self.evaluate(lap)
        for part in (1,) if base else (None, 1):
            self.mark(part)

    def record(self, uid, outcome, *, corrected_from, frames=20):
        source, lap, seed = uid.split("-")
        corrected = 0 if corrected_from is None else frames - corrected_from
        info = EpisodeInfo(
            uid=uid,
            task=TASK,
            seed=int(seed),
            source=Source(source),
            iteration=int(lap),
            policy_id="",
            ending=Ending.TIME_LIMIT,
            frames=frames,
            corrected_frames=corrected if source == "rollout" else 0,
            measured_success=outcome is Outcome.SUCCESS,
        )
        store = open_store(self.project)
        layout = store.layout
        rng = np.random.default_rng(int(seed))
        images = {
            camera: np.full((frames, *size, 3), rng.integers(256, size=3), dtype=np.uint8)
            for camera, size in layout.cameras.items()
        }
        store.write(
            EpisodeRecord(
                info=info,
                images=images,
                state=rng.normal(size=(frames, len(layout.state_names))).astype(np.float32),
                action=rng.normal(size=(frames, len(layout.action_names))).astype(np.float32),
                pilot=[Pilot.POLICY] * (frames - corrected) + [Pilot.EXPERT] * corrected,
            )
        )
        judgements = OutcomeStore(self.project.outcomes)
        judgements.judge(uid, outcome, rater="test", success_frame=self.moments.get(uid))
        judgements.close()

    def evaluate(self, lap):
        path = self.project.relative(self.project.policy(lap))
        evaluation = {
            "policy": {"path": path, "fingerprint": f"policy-{lap}"},
            "indicator": "positive",
            "summary": SUMMARY,
        }
        if lap > 0:
            evaluation["against_sft"] = {
                "throughput_ratio": [0.5, 2.0, None],
                "failure_ratio": [0.2, 0.5, 0.9],
                "mcnemar_p": 0.3,
            }
            evaluation["conditioning"] = {"none": SUMMARY, "negative": SUMMARY}
        write_json_atomically(self.project.evaluation(lap), evaluation)
        self.note(lap, "train-policy", outputs={path: f"policy-{lap}"})
        records = [
            {
                "stage": "train-policy",
                "iteration": lap,
                "step": step,
                f"loss_in_lap_{lap}": 1 / step,
            }
            for step in (1, 2, 3)
        ]
        with self.project.metrics.open("a") as stream:
            stream.writelines(json.dumps(record) + "\n" for record in records)

    def mark(self, part):
        value = self.project.value(part)
        figures = {"cross_entropy": 2.5, "auc_50": None}
        write_json_atomically(value / "metrics.json", {"held_out": figures, "train": figures})
        trainset = trainset_of(replace(self.config, base=None), self.project, iteration=part)
        table = trainset.table()
        values = -np.abs(np.sin(np.arange(len(trainset))))
        columns = {
            "episode_uid": table[EPISODE_KEY],
            "frame_index": table["frame_index"],
            "index": table["index"],
            "return": values,
            "value": values,
            "advantage": values + 0.5,
            "indicator": np.where(values > -0.5, Indicator.POSITIVE, Indicator.NEGATIVE),
            "is_correction": trainset.is_correction(),
        }
        AdvantageTable(
            frames=pd.DataFrame(columns, columns=SCHEMA.names),
            thresholds={TASK: 0.0},
            trainset_fingerprint=trainset.fingerprint,
            value_fingerprint=content_hash(value),
            settings={},
        ).save(self.project.advantages(part))
        self.note(part, "mark-advantage", report={"headline": "marked", "warnings": [WARNING]})

    def note(self, part, stage, **said):
        manifest = Manifest(self.project.manifest(part))
        with manifest.running(stage, settings={"advantage": {"horizon": 20}}, seed=7) as stage_run:
            stage_run.complete(**{"inputs": {}, "outputs": {}, "report": {}, **said})

    def report(self, lap):
        done = run(self.config, self.project, iteration=lap, progress=silent)
        return done, self.project.report(lap).read_text(encoding="utf-8")


@pytest.fixture
def handmade(tmp_path):
    return HandmadeProject(tmp_path / "run", base=None)


def sections(page):
    return re.findall(r'<section id="(\w+)"', page)


def test_a_lap_shows_everything_it_has(handmade):
    done, page = handmade.report(1)
    assert sections(page) == [
        "headline",
        "conditioning",
        "values",
        "advantages",
        "rollouts",
        "training",
        "provenance",
    ]
    assert page.index(">SFT</th>") < page.index(">RECAP, iteration 1</th>")
    assert page.count("<video") == done.episodes_shown == 3
    assert WARNING in page
    assert SCRIPTED in page
    assert PRETRAINED not in page
    assert "AUC" not in page
    assert "20 steps, 8 of them corrected" in page
    assert "advantage.horizon" in page


def test_a_success_that_was_cut_is_shown_as_far_as_it_was_trained_on(tmp_path):
    cut = HandmadeProject(tmp_path / "run", base=None, moments={"rollout-01-01000002": 14})
    _, page = cut.report(1)
    assert "15 steps, 3 of them corrected" in page


def test_a_lap_shows_the_curves_of_its_own_training(handmade):
    assert "loss in lap 1" in handmade.report(1)[1]
    assert "loss in lap 0" not in handmade.report(1)[1]


def test_imitation_shows_the_pretraining_it_came_from(handmade):
    _, page = handmade.report(0)
    assert sections(page) == [
        "headline",
        "values",
        "advantages",
        "rollouts",
        "training",
        "provenance",
    ]
    assert "pre-training, mark-advantage" in page
    assert PRETRAINED in page
    assert page.count("20 steps, none of them under the policy") == 2


def test_imitation_from_a_base_has_no_values_to_show(tmp_path):
    _, page = HandmadeProject(tmp_path / "run", base=tmp_path / "base").report(0)
    assert sections(page) == ["headline", "rollouts", "training", "provenance"]


def test_the_time_of_the_making_does_not_count(handmade):
    assert handmade.report(1)[0].outputs == handmade.report(1)[0].outputs


def test_a_lap_that_was_not_evaluated_has_no_page(handmade):
    handmade.project.evaluation(0).unlink()
    with pytest.raises(ProjectError, match=r"0/evaluation.json .* --iteration=0` first\.$"):
        handmade.report(1)


def test_marks_of_another_value_model_are_refused(handmade):
    (handmade.project.value(1) / "model.safetensors").write_bytes(b"another")
    with pytest.raises(FingerprintError, match="made with another value model"):
        handmade.report(1)


def test_an_evaluation_of_another_policy_is_refused(handmade):
    handmade.note(1, "train-policy", outputs={"iterations/1/policy": "policy-new"})
    with pytest.raises(FingerprintError, match="measured the policy policy-1, but"):
        handmade.report(1)
