"""Value settings may be changed in a project that exists; a value model that is there stays."""

import pytest

from data.errors import ConfigError
from recap import perform as performing
from recap.cli import main
from recap.manifest import Manifest, StageEntry, Status
from recap.perform import perform
from recap.progress import silent
from recap.project import Project, different_settings
from recap.settings import plain_settings, read_settings

REPORT = {"headline": "a model"}


@pytest.fixture
def project(tmp_path):
    config = read_settings([f"--project={tmp_path / 'run'}"])
    return Project.create(config.project, plain_settings(config))


def trained(project, monkeypatch, *flags):
    """Note that lap 1's value model was trained with these flags."""
    config = read_settings([f"--project={project.folder}", *flags])
    settings = {"value": plain_settings(config)["value"]}
    entry = StageEntry(
        status=Status.COMPLETE, seed=0, settings=settings, versions={}, report=REPORT
    )
    Manifest(project.manifest(1)).keep("train-value", entry)
    monkeypatch.setattr(performing, "_is_complete", lambda *_: True)


def train(project, *flags):
    config = read_settings([f"--project={project.folder}", *flags])
    return perform("train-value", config, project, iteration=1, progress=silent)


def test_another_way_of_training_is_refused_where_a_value_model_is(project, monkeypatch):
    trained(project, monkeypatch, "--value.steps=7")
    with pytest.raises(ConfigError) as refused:
        train(project, "--value.steps=7", "--value.patience=3", "--value.from_base=false")
    assert str(refused.value) == (
        f"{project.value(1)} was trained with other settings: value.from_base was true, is false; "
        f"value.patience was 0, is 3. Delete the folder to train it again with the new ones, or go "
        f"back to the old ones."
    )


def test_what_does_not_decide_the_result_may_differ(project, monkeypatch):
    trained(project, monkeypatch, "--value.threads=1")
    assert train(project, "--value.threads=2", "--value.save_every=9").was_complete


def test_the_project_remembers_how_its_value_model_was_trained(project, monkeypatch, capsys):
    trained(project, monkeypatch, "--value.steps=7")
    assert main(["train-value", f"--project={project.folder}", "--value.steps=7"]) == 0
    assert "The project remembers: value.steps was 600, is 7." in capsys.readouterr().out
    assert read_settings([f"--project={project.folder}"]).value.steps == 7


def test_settings_are_shown_as_they_are_typed():
    before = {"a": {"on": True, "name": "x"}, "same": 1, "none": None}
    now = {"a": {"on": False, "name": "y"}, "same": 1, "none": 2}
    assert different_settings(before, now) == [
        "a.name was 'x', is 'y'",
        "a.on was true, is false",
        "none was null, is 2",
    ]
    assert different_settings({"on": 1}, {"on": 2}, group="a") == ["a.on was 1, is 2"]


def test_weights_that_are_no_numbers_are_refused(tmp_path):
    from pathlib import Path
    from shutil import copytree

    from safetensors.torch import load_file, save_file

    from data.errors import CheckpointError
    from value_models.checkpoint import load_checkpoint

    folder = copytree(Path("assets/base/value"), tmp_path / "value")
    weights = load_file(folder / "model.safetensors")
    weights["head.2.weight"][0, 0] = float("nan")
    save_file(weights, folder / "model.safetensors")
    with pytest.raises(CheckpointError, match=r"is damaged: 1 tensor.*'head\.2\.weight'"):
        load_checkpoint(folder)
