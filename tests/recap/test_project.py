import os
import subprocess
import sys
from contextlib import ExitStack
from pathlib import Path

import pytest

from data.errors import CheckpointError, ProjectError
from recap.config import RecapConfig
from recap.project import Project
from recap.settings import plain_settings, read_settings
from recap.stages.label import LabelConfig
from recap.stages.mark_advantage import AdvantageConfig
from recap.web.config import FormConfig


def settings_of(folder, **changes):
    return plain_settings(RecapConfig(project=folder, **changes))


@pytest.fixture
def folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    return tmp_path.__class__("run")


def test_a_project_opens_again_with_the_same_settings(folder):
    made = Project.create(folder, settings_of(folder))
    assert Project.create(folder, settings_of(folder)) == made
    assert Project.open(folder, settings_of(folder)) == made


def test_what_changes_no_result_may_change(folder):
    Project.create(folder, settings_of(folder))
    Project.open(folder, settings_of(folder, workers=7, iteration=2, iterations=5))
    moved = folder.rename("moved")
    Project.open(moved, settings_of(moved))


def test_how_people_judge_may_change(folder):
    Project.create(folder, settings_of(folder))
    Project.open(folder, settings_of(folder, label=LabelConfig(rater="people", rule="unanimous")))
    Project.open(folder, settings_of(folder, form=FormConfig(port=8500)))


def test_a_value_model_may_be_accepted_later(folder):
    Project.create(folder, settings_of(folder))
    Project.open(folder, settings_of(folder, advantage=AdvantageConfig(accept_unusable=True)))


def test_a_changed_setting_is_named(folder):
    Project.create(folder, settings_of(folder))
    other = settings_of(folder, seed=1, advantage=AdvantageConfig(horizon=9))
    with pytest.raises(ProjectError) as caught:
        Project.create(folder, other)
    assert str(caught.value) == (
        "run was made with other settings: advantage.horizon was 50, is 9; seed was 0, is 1. "
        "A project keeps the settings it was made with: go back to them, or begin a new project "
        "with --project=..."
    )


def test_a_missing_project_is_named(folder):
    with pytest.raises(ProjectError) as caught:
        Project.open(folder, settings_of(folder))
    assert str(caught.value) == (
        "run is not a project: it has no project.yaml. Make one with "
        "`recap iterate --config_path configs/demo.yaml --project=run`."
    )
    assert not folder.exists()


def test_a_folder_of_something_else_is_left_alone(folder):
    folder.mkdir()
    (folder / "thesis.tex").write_text("")
    with pytest.raises(ProjectError) as caught:
        Project.create(folder, settings_of(folder))
    assert str(caught.value) == (
        "run is there already and is not a project: it has no project.yaml. "
        "Choose another folder with --project=..."
    )
    assert [path.name for path in folder.iterdir()] == ["thesis.tex"]


def test_a_second_command_is_kept_out(folder):
    project = Project.create(folder, settings_of(folder))
    with project.at_work(), pytest.raises(ProjectError) as caught, project.at_work():
        pass
    assert str(caught.value) == (
        f"Process {os.getpid()} is at work in run. Wait for it to end, or stop it."
    )
    with project.at_work():
        pass


BESIDE = """
import sys, pathlib
from recap.project import Project
with Project(pathlib.Path(sys.argv[1])).at_work(is_shared=True):
    print("at work", flush=True)
    sys.stdin.read()
"""


def beside(folder, stack):
    """Start another process that is at work in a project and shares it, until it is stopped."""
    command = [sys.executable, "-c", BESIDE, str(folder.absolute())]
    root = Path(__file__).parents[2]
    pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "text": True}
    process = stack.enter_context(subprocess.Popen(command, cwd=root, **pipes))
    stack.callback(process.kill)
    assert process.stdout.readline() == "at work\n"
    return process


def test_several_may_record_at_once_but_who_trains_is_alone(folder):
    project = Project.create(folder, settings_of(folder))

    def train():
        with project.at_work():
            pass

    with ExitStack() as stack:
        one, two = sorted((beside(folder, stack) for _ in range(2)), key=lambda p: p.pid)
        with pytest.raises(ProjectError) as caught:
            train()
        assert str(caught.value) == (
            f"Processes {one.pid} and {two.pid} are at work in run. Wait for them to end, or stop "
            f"them."
        )
        one.kill()  # leaves its note behind
        one.wait()
        with project.at_work(is_shared=True):
            pass
        with pytest.raises(ProjectError) as caught:
            train()
        assert str(caught.value) == (
            f"Process {two.pid} is at work in run. Wait for it to end, or stop it."
        )
        two.kill()
        two.wait()
    train()
    with project.at_work(), pytest.raises(ProjectError) as caught, project.at_work(is_shared=True):
        pass
    assert str(caught.value).startswith(f"Process {os.getpid()} is at work in run.")


def test_a_base_without_its_halves_is_refused(folder, tmp_path):
    project = Project.create(folder, settings_of(folder))
    (tmp_path / "base" / "value").mkdir(parents=True)
    with pytest.raises(CheckpointError) as caught:
        project.starting_point(tmp_path.__class__("base"))
    assert str(caught.value) == (
        "base is not a base to start from: no policy. Make one with `make base`, or leave the "
        "setting `base` out to pre-train here."
    )
    (tmp_path / "base" / "policy").mkdir()
    (tmp_path / "base" / "value" / "model.safetensors").touch()
    with pytest.raises(CheckpointError) as caught:
        project.starting_point(tmp_path.__class__("base"))
    assert str(caught.value).startswith(
        "base is not a base to start from: no policy/model.safetensors. Make one"
    )
    with pytest.raises(CheckpointError) as caught:
        project.starting_point(None)
    assert str(caught.value) == (
        "run/pretrained is not a base to start from: no value and no policy. Pre-train one with "
        "`recap pretrain --project=run`."
    )


def test_a_checklist_keeps_the_order_of_its_questions(tmp_path):
    criteria = {"upright": "Does it stand?", "centred": "Is it on the pad?"}
    Project.create(tmp_path / "p", {"label": {"criteria": criteria}})
    config = read_settings([f"--project={tmp_path / 'p'}"])
    assert list(config.label.criteria) == ["upright", "centred"]


@pytest.mark.parametrize(
    ("beside", "typed", "instead"),
    [
        (["first", "second"], "frist", "Did you mean --project=runs/first?"),
        (["a", "b"], "first", "There are runs/a, runs/b."),
        (list("abcdefg"), "first", "There are runs/a, runs/b, runs/c, runs/d, runs/e and 2 more."),
    ],
)
def test_a_mistyped_project_names_those_that_are_there(
    tmp_path, monkeypatch, beside, typed, instead
):
    monkeypatch.chdir(tmp_path)
    runs = Path("runs")
    for name in beside:
        Project.create(runs / name, {})
    (runs / "fristt").mkdir()  # no project
    Project.create(runs / ".frist", {})
    with pytest.raises(ProjectError) as caught:
        Project.open(runs / typed, {})
    assert str(caught.value) == (
        f"runs/{typed} is not a project: it has no project.yaml. {instead} `recap collect` and "
        f"`recap iterate` make a new one, from a --config_path."
    )
