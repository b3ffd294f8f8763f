"""`torchrun -m recap.cli train-value`: several processes make what one makes."""

import os
import shutil
import subprocess
import sys

import pytest
import torch
from safetensors.torch import load_file

from data.errors import ConfigError
from data.files import read_json
from recap import cli
from recap.project import Project
from recap.settings import plain_settings, read_settings

ONE = (sys.executable, "-m", "recap.cli")
TWO = (
    *(sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc_per_node=2"),
    *("-m", "recap.cli"),
)
SETTINGS = (
    *("--value.steps=6", "--value.batch_size=8", "--value.measurements=2"),
    "--value.from_base=false",
)


@pytest.fixture
def project(tmp_path, demonstrate):
    folder = tmp_path / "one"
    config = read_settings([f"--project={folder}", "--iteration=0", *SETTINGS])
    project = Project.create(folder, plain_settings(config))
    demonstrate(project, range(6))
    return project


def recap(program, command, project, *flags):
    return subprocess.run(
        [*program, command, f"--project={project.folder}", "--iteration=0", *flags],
        env={**os.environ, "OMP_NUM_THREADS": "1"},
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )


@pytest.mark.slow
def test_two_processes_train_the_value_model_that_one_trains(project, tmp_path):
    assert recap(ONE, "auto-label", project).returncode == 0
    both = Project(shutil.copytree(project.folder, tmp_path / "two"))
    alone = recap(ONE, "train-value", project)
    assert alone.returncode == 0, alone.stderr
    shared = recap(TWO, "train-value", both)
    assert shared.returncode == 0, shared.stderr
    assert shared.stdout.count("train-value") == 1  # the other process says nothing
    one, other = (load_file(p.value(0) / "model.safetensors") for p in (project, both))
    assert one.keys() == other.keys()
    for name, tensor in one.items():
        # Adam divides by what is small at first, and so widens differences in the last digit.
        torch.testing.assert_close(other[name], tensor, rtol=0.0, atol=2e-5)
    losses = [
        [record["loss"] for record in read_json(p.value(0) / "metrics.json")["history"]]
        for p in (project, both)
    ]
    assert losses[0] == pytest.approx(losses[1], abs=1e-6)
    assert (both.value(0) / "learning.png").exists()
    assert not list(both.folder.rglob("*.training"))  # no state is left behind
    again = recap(TWO, "train-value", both)
    assert again.returncode == 0, again.stderr
    assert "(done before)" in again.stdout


def test_a_command_that_is_for_one_process_says_so(monkeypatch, capsys, tmp_path):
    monkeypatch.setattr(cli, "process_count", lambda: 2)
    with pytest.raises(ConfigError) as refused:
        cli._run("evaluate", [f"--project={tmp_path}"])
    assert str(refused.value) == (
        "`recap evaluate` is for one process, and torchrun started 2. Several can share: "
        "train-value, pretrain, iterate."
    )
