"""When a stage is done: what it wrote is there, and what it read is what was written last."""

import shutil
from dataclasses import dataclass, replace

import pytest

from recap.config import RecapConfig
from recap.perform import perform
from recap.progress import silent
from recap.project import Project
from recap.settings import plain_settings
from recap.stages.label import LabelConfig


@dataclass(frozen=True, kw_only=True)
class PretendedReport:
    inputs: dict[str, str]
    outputs: dict[str, str]

    def headline(self):
        return "done"


class Workshop:
    """Stages that each read the value model, or write it; a model that is made again is another."""

    def __init__(self, folder):
        self.config = RecapConfig(project=folder)
        self.project = Project.create(folder, plain_settings(self.config))
        self.fingerprint = "first"

    def __call__(self, module):
        workshop, name = self, module.rpartition(".")[2]

        class Module:
            @staticmethod
            def run(config, project, *, iteration, progress):
                return workshop.run(name)

        return Module

    def run(self, name):
        path = self.project.value(1) if name == "train_value" else self.project.lap(1) / name
        path.mkdir(parents=True, exist_ok=True)
        value = {self.project.relative(self.project.value(1)): self.fingerprint}
        if name == "train_value":
            return PretendedReport(inputs={}, outputs=value)
        return PretendedReport(inputs=value, outputs={self.project.relative(path): name})

    def was_done(self, stage, **changes):
        config = replace(self.config, **changes)
        done = perform(stage, config, self.project, iteration=1, progress=silent)
        return done.was_complete


@pytest.fixture
def workshop(tmp_path, monkeypatch):
    workshop = Workshop(tmp_path / "run")
    monkeypatch.setattr("recap.perform.import_module", workshop)
    return workshop


def test_a_stage_is_done_once(workshop):
    stages = ("label", "train-value", "mark-advantage", "evaluate")
    assert [workshop.was_done(stage) for stage in stages] == [False] * 4
    assert [workshop.was_done(stage) for stage in stages] == [True] * 4


@pytest.mark.parametrize(("fingerprint", "is_done"), [("first", True), ("second", False)])
def test_what_was_made_from_something_else_is_made_again(workshop, fingerprint, is_done):
    for stage in ("train-value", "mark-advantage"):
        workshop.was_done(stage)
    shutil.rmtree(workshop.project.value(1))
    workshop.fingerprint = fingerprint
    assert not workshop.was_done("train-value")
    assert workshop.was_done("mark-advantage") is is_done
    assert workshop.was_done("mark-advantage")
    assert workshop.was_done("train-value")  # what comes after a stage does not count


def test_people_are_never_done_judging(workshop):
    people = LabelConfig(rater="people")
    assert [workshop.was_done("label", label=people) for _ in range(2)] == [False, False]
    assert not workshop.was_done("train-value", label=people)
    assert workshop.was_done("train-value", label=people)
    assert workshop.was_done("label", label=LabelConfig())
