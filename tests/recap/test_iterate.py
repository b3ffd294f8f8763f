"""The loop with stages that only pretend: order, resuming, and how it ends."""

import json
import os
import shutil
from dataclasses import dataclass
from pathlib import Path

import pytest

from recap.config import RecapConfig
from recap.iterate import iterate, pretrain
from recap.manifest import Manifest
from recap.progress import silent
from recap.project import WEIGHTS_FILE, Project
from recap.settings import plain_settings

LAPS = (None, 0, 1, 2)
SUMMARY = {
    "n": 200,
    "success": [0.35, 0.42, 0.49],
    "successes_per_hour": [300.0, 350.0, 400.0],
    "median_steps_to_success": 61.0,
}
AGAINST = {"throughput_ratio": [1.9, 2.4, 2.9], "failure_ratio": [0.2, 0.3, 0.4], "mcnemar_p": 0.01}


class Killed(BaseException):
    """Whatever stops a process."""


@dataclass(frozen=True, kw_only=True)
class PretendedReport:
    inputs: dict[str, str]
    outputs: dict[str, str]

    def headline(self) -> str:
        return "done"


@pytest.fixture(autouse=True)
def no_waiting_for_the_disk(monkeypatch):
    monkeypatch.setattr(os, "fsync", lambda handle: None)


class PretendedStages:
    """Stages that write one file each, and are killed when told to, before or after writing."""

    def __init__(self, *, kill_at: int = -1, after_writing: bool = False) -> None:
        self.kill_at = kill_at
        self.after_writing = after_writing
        self.ran: list[tuple[str, int | None]] = []

    def __call__(self, module: str):
        stages, name = self, module.rpartition(".")[2]

        class Module:
            @staticmethod
            def run(config, project, *, iteration, progress):
                return stages.run(name, project, iteration, progress)

        return Module

    def run(self, name: str, project: Project, iteration: int | None, progress):
        is_last = len(self.ran) == self.kill_at
        self.ran.append((name, iteration))
        if is_last and not self.after_writing:
            raise Killed
        path = self.write(name, project, iteration)
        progress(name).update(1, 1)
        if is_last:
            raise Killed
        return PretendedReport(inputs={}, outputs={project.relative(path): f"{name} {iteration}"})

    def write(self, name: str, project: Project, iteration: int | None) -> Path:
        if name == "evaluate":
            path = project.evaluation(iteration)
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(json.dumps({"summary": SUMMARY, "against_sft": AGAINST}))
            return path
        path = {
            "train_value": project.value,
            "train_policy": project.policy,
        }.get(name, lambda lap: project.lap(lap) / name)(iteration)
        path.mkdir(parents=True, exist_ok=True)
        (path / WEIGHTS_FILE).touch()
        return path


def run_loop(folder, monkeypatch, **kill):
    stages = PretendedStages(**kill)
    monkeypatch.setattr("recap.perform.import_module", stages)
    config = RecapConfig(project=folder)
    said: list[str] = []
    project = Project.create(folder, plain_settings(config))
    try:
        answer = iterate(config, project, silent, said.append)
    except Killed:
        answer = None
    return stages, said, answer


@pytest.fixture(scope="module")
def undisturbed(tmp_path_factory):
    """A loop that nobody killed, and its manifests."""
    folder = tmp_path_factory.mktemp("undisturbed") / "run"
    with pytest.MonkeyPatch.context() as monkeypatch:
        monkeypatch.setattr(os, "fsync", lambda handle: None)
        stages, _, _ = run_loop(folder, monkeypatch)
    return stages, comparable(folder)


def comparable(folder):
    project = Project(folder)
    return [Manifest(project.manifest(lap)).comparable() for lap in LAPS]


def test_the_stages_run_in_the_order_of_the_algorithm(tmp_path, monkeypatch):
    stages, _, _ = run_loop(tmp_path / "run", monkeypatch)
    lap = [
        "collect",
        "label",
        "train_value",
        "mark_advantage",
        "train_policy",
        "evaluate",
        "report",
    ]
    assert stages.ran == [
        ("collect", 0),
        ("label", 0),
        ("train_value", None),
        ("mark_advantage", None),
        ("train_policy", None),
        ("train_policy", 0),
        ("evaluate", 0),
        ("report", 0),
        *[(name, 1) for name in lap],
        *[(name, 2) for name in lap],
    ]


def test_a_base_takes_the_place_of_pretraining(tmp_path, monkeypatch):
    stages = PretendedStages()
    monkeypatch.setattr("recap.perform.import_module", stages)
    for half in ("value", "policy"):
        (tmp_path / "base" / half).mkdir(parents=True)
        (tmp_path / "base" / half / WEIGHTS_FILE).touch()
    config = RecapConfig(project=tmp_path / "run", base=tmp_path / "base")
    iterate(config, Project.create(config.project, plain_settings(config)), silent, str)
    assert [place for place in stages.ran if place[1] is None] == []


def test_pretraining_alone_ends_with_a_base(tmp_path, monkeypatch):
    stages = PretendedStages()
    monkeypatch.setattr("recap.perform.import_module", stages)
    config = RecapConfig(project=tmp_path / "run")
    answer = pretrain(config, Project.create(config.project, plain_settings(config)), silent, str)
    assert answer.content == {"base": str(tmp_path / "run" / "pretrained")}
    assert len(stages.ran) == 5


@pytest.mark.parametrize("after_writing", [False, True])
@pytest.mark.parametrize("kill_at", range(22))
def test_a_loop_that_was_killed_ends_with_the_same_manifest(
    tmp_path, monkeypatch, undisturbed, kill_at, after_writing
):
    whole, manifests = undisturbed
    killed, _, _ = run_loop(
        tmp_path / "killed", monkeypatch, kill_at=kill_at, after_writing=after_writing
    )
    resumed, _, _ = run_loop(tmp_path / "killed", monkeypatch)
    assert killed.ran[:-1] + resumed.ran == whole.ran
    assert comparable(tmp_path / "killed") == manifests


def test_a_loop_that_is_done_does_nothing_and_says_the_same(tmp_path, monkeypatch):
    _, _, first = run_loop(tmp_path / "run", monkeypatch)
    stages, said, second = run_loop(tmp_path / "run", monkeypatch)
    assert stages.ran == []
    assert said[0] == "iteration 0, collect: done (done before)"
    assert second == first


def test_a_stage_whose_output_was_deleted_runs_again(tmp_path, monkeypatch):
    run_loop(tmp_path / "run", monkeypatch)
    shutil.rmtree(Project(tmp_path / "run").value(1))
    stages, _, _ = run_loop(tmp_path / "run", monkeypatch)
    assert stages.ran == [("train_value", 1)]


def test_the_loop_ends_with_the_table_and_a_line_for_machines(tmp_path, monkeypatch):
    _, _, answer = run_loop(tmp_path / "run", monkeypatch)
    head, rule, *rows, _, ratios = answer.text.splitlines()
    assert head.split("  ")[0] == "200 held-out episodes"
    assert set(rule) == {"-", " "}
    assert [" ".join(row.split()) for row in rows] == [
        f"{name} 42.0% [35.0%, 49.0%] 350 [300, 400] 61"
        for name in ("SFT: imitation alone", "RECAP, iteration 1", "RECAP, iteration 2")
    ]
    assert " ".join(ratios.split()) == (
        "last over first failures × 0.30 [0.20, 0.40] × 2.40 [1.90, 2.90]"
    )
    assert answer.content == {
        "throughput_ratio": 2.4,
        "throughput_ratio_ci95": [1.9, 2.9],
        "failure_ratio": 0.3,
        "failure_ratio_ci95": [0.2, 0.4],
        "sft_success": 0.42,
        "recap_success": 0.42,
        "episodes": 200,
        "minutes": 0.0,
    }
