"""Several processes that share a batch: the same as one."""

import importlib.util
import json
import os
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file

from data.errors import ConfigError
from value_models.processes import Hardware, hardware, told_by_main
from value_models.training import train_value_model

SCRIPT = Path(__file__).with_name("several_processes.py")
TORCHRUN = ("-m", "torch.distributed.run", "--standalone", "--nproc_per_node=2")


def run(folder, *, changes):
    """Start the script in two processes."""
    words = [sys.executable, *TORCHRUN, str(SCRIPT), str(folder), json.dumps(changes)]
    environment = {**os.environ, "OMP_NUM_THREADS": "1"}
    done = subprocess.run(
        words, env=environment, capture_output=True, text=True, timeout=120, check=False
    )
    assert done.returncode == 0, done.stderr


@pytest.fixture(scope="module")
def settings():
    about = importlib.util.spec_from_file_location("several_processes", SCRIPT)
    script = importlib.util.module_from_spec(about)
    about.loader.exec_module(script)
    return script.SETTINGS


@pytest.mark.slow
def test_two_processes_learn_what_one_does(settings, random_walk, tmp_path):
    """With dropout, augmentation and an average, the shares of a batch each in two parts."""
    run(tmp_path, changes={"ema_decay": 0.9, "accumulate": 2})
    alone = train_value_model(random_walk(30), config=replace(settings, ema_decay=0.9))
    main, other = (load_file(tmp_path / f"{name}.safetensors") for name in ("main", "other"))
    for name, tensor in alone.model.state_dict().items():
        assert torch.equal(main[name], other[name])
        torch.testing.assert_close(main[name], tensor, rtol=0.0, atol=1e-6)
    said, told = (json.loads((tmp_path / f"{name}.json").read_text()) for name in ("main", "other"))
    assert (said["processes"], told["processes"]) == (2, 2)
    assert len(said["metrics"]["history"]) == 4
    for entry, expected in zip(said["metrics"]["history"], alone.metrics["history"], strict=True):
        assert entry == pytest.approx(expected, abs=1e-6)
    # Only the main process measures and reports, and what it says is what the others hear.
    assert said["heard"] == 4
    assert (told["metrics"], told["heard"], told["told"]) == ({}, 0, 7.0)
    states = [path.name for path in (tmp_path / "workspace").glob("member-0/step-*")]
    assert states == ["step-00000040"]


def test_alone_nobody_has_to_be_told():
    assert told_by_main(3.0, device="cpu") == 3.0


def test_the_cpu_is_taken_at_its_word(frames, tiny, monkeypatch):
    with hardware("cpu") as here:
        assert here.device == here.accelerator.device == torch.device("cpu")
        assert isinstance(here, Hardware)
        assert here.is_main
    monkeypatch.setenv("ACCELERATE_USE_CPU", "true")
    with (
        pytest.raises(ConfigError, match=r"value\.device=meta, but the launcher asked for cpu\."),
        hardware("meta"),
    ):
        pass
    monkeypatch.setenv("ACCELERATE_GRADIENT_ACCUMULATION_STEPS", "4")
    monkeypatch.setenv("ACCELERATE_MIXED_PRECISION", "bf16")
    meddled = train_value_model(frames, config=tiny).model.state_dict()
    monkeypatch.undo()
    plain = train_value_model(frames, config=replace(tiny)).model.state_dict()
    assert all(torch.equal(meddled[name], plain[name]) for name in plain)
