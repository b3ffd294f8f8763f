import json

import numpy as np
import pytest
from safetensors.numpy import load_file, save_file

from data.errors import CheckpointError
from data.files import read_json, write_json_atomically
from recap.config import RecapConfig
from recap.project import Project
from recap.settings import plain_settings


@pytest.fixture
def project(tmp_path):
    """A project that looks as if `recap pretrain` had run in it."""
    config = RecapConfig(project=tmp_path / "base")
    made = Project.create(config.project, plain_settings(config))
    for part in (made.value(None), made.policy(None)):
        part.mkdir(parents=True)
        save_file({"layer": np.zeros((3, 5), dtype=np.float32)}, part / "model.safetensors")
    write_json_atomically(made.value(None) / "config.json", {"width": 3})
    write_json_atomically(made.policy(None) / "config.json", {"pretrained_path": "/nowhere/at/all"})
    save_file({"indicators": np.ones(3, dtype=np.int8)}, made.policy(None) / "step_2.safetensors")
    indicator = {"table": str(tmp_path / "advantages.parquet"), "runtime": "positive"}
    steps = [{"config": indicator, "state_file": "step_2.safetensors"}]
    write_json_atomically(made.policy(None) / "policy_preprocessor.json", {"steps": steps})
    write_json_atomically(made.statistics, {"action": {"mean": [0.5]}})
    reports = {
        0: {"collect": {"frames": 12345}, "label": {"successes": 150}},
        None: {"train-value": {"headline": "AUC 0.9"}, "train-policy": {"headline": "loss 0.1"}},
    }
    for lap, stages in reports.items():
        content = {"stages": {name: {"report": report} for name, report in stages.items()}}
        write_json_atomically(made.manifest(lap), content)
    return made


def test_a_base_is_its_two_halves_their_statistics_and_a_card(script, project, tmp_path):
    destination = tmp_path / "assets" / "base"
    size = script("export_base").export(project, destination)
    files = {str(path.relative_to(destination)) for path in destination.rglob("*.*")}
    assert files == {
        "README.md",
        "policy/config.json",
        "policy/model.safetensors",
        "policy/policy_preprocessor.json",
        "statistics.json",
        "value/config.json",
        "value/model.safetensors",
    }
    assert 0 < size < 10_000
    assert read_json(destination / "statistics.json") == {"action": {"mean": [0.5]}}
    card = (destination / "README.md").read_text()
    for fact in (
        "300 attempts, 12,345 frames, 50% of them successes",
        "seeds 2000000 to 2000299",
        "15 weights",
        "AUC 0.9",
        "loss 0.1",
        "license: apache-2.0",
        "make base",
    ):
        assert fact in card


def test_no_place_of_this_machine_goes_along(script, project, tmp_path):
    destination = tmp_path / "assets" / "base"
    script("export_base").export(project, destination)
    steps = read_json(destination / "policy" / "policy_preprocessor.json")["steps"]
    assert steps == [{"config": {"table": "", "runtime": "positive"}}]
    assert read_json(destination / "policy" / "config.json") == {"pretrained_path": None}


def test_a_place_that_nobody_thought_of_is_found(script, project, tmp_path, monkeypatch):
    monkeypatch.setenv("HOME", str(tmp_path))
    path = project.policy(None) / "config.json"
    path.write_text(json.dumps({"cache": str(tmp_path / "cache")}))
    with pytest.raises(CheckpointError, match=r"policy/config\.json names a place"):
        script("export_base").export(project, tmp_path / "assets" / "base")
    assert not (tmp_path / "assets" / "base").exists()


def test_a_base_that_is_too_large_stays_here(script, project, tmp_path, monkeypatch):
    module = script("export_base")
    monkeypatch.setattr(module, "LARGEST_BYTES", 100)
    with pytest.raises(CheckpointError, match="at most 0 MB may go"):
        module.export(project, tmp_path / "assets" / "base")
    assert not (tmp_path / "assets" / "base").exists()


def test_a_policy_in_16_bits_has_the_same_weights_to_three_digits(script, project, tmp_path):
    destination = tmp_path / "assets" / "base"
    weights = np.linspace(-2.0, 2.0, 15, dtype=np.float32)
    save_file({"layer": weights}, project.policy(None) / "model.safetensors")
    script("export_base").export(project, destination, is_half=True)
    kept = load_file(destination / "policy" / "model.safetensors")["layer"]
    assert kept.dtype == np.float16
    np.testing.assert_allclose(kept, weights, rtol=1e-3)
    value = load_file(destination / "value" / "model.safetensors")["layer"]
    assert value.dtype == np.float32


def test_a_new_base_takes_the_place_of_the_old_one(script, project, tmp_path):
    destination = tmp_path / "assets" / "base"
    destination.mkdir(parents=True)
    (destination / "left_over.json").write_text("{}")
    script("export_base").export(project, destination)
    assert not (destination / "left_over.json").exists()
    assert [path.name for path in destination.parent.iterdir() if path.name[0] != "."] == ["base"]


def test_without_a_base_one_line_says_so(script, tmp_path, capsys, monkeypatch):
    monkeypatch.setattr("sys.argv", ["export_base.py", f"--project={tmp_path / 'none'}"])
    assert script("export_base").main() == 2
    assert "is not a base to start from: no value and no policy" in capsys.readouterr().err
