"""A value model as a folder: bit-equal when read back, one clear message when damaged."""

import json

import numpy as np
import pytest
import torch
from safetensors.torch import load_file, save_file

from data.errors import CheckpointError
from value_models.checkpoint import load_checkpoint, save_checkpoint
from value_models.prediction import predict_values
from value_models.training import train_value_model


@pytest.fixture(scope="module")
def trained(frames, tiny):
    return train_value_model(frames, config=tiny, trainset_fingerprint="0123abcd")


@pytest.fixture
def folder(trained, tmp_path):
    save_checkpoint(trained.model, tmp_path / "value", metrics=trained.metrics)
    return tmp_path / "value"


def test_a_model_read_back_predicts_the_same_bits(trained, folder, frames):
    loaded = load_checkpoint(folder)
    assert loaded.spec == trained.model.spec
    assert not loaded.training
    for name, tensor in trained.model.state_dict().items():
        assert torch.equal(tensor, loaded.state_dict()[name])
    np.testing.assert_array_equal(
        predict_values(trained.model, frames.observations),
        predict_values(loaded, frames.observations),
    )


def test_the_folder_states_what_the_model_was_made_for(folder, trained):
    assert sorted(path.name for path in folder.iterdir()) == [
        "config.json",
        "metrics.json",
        "model.safetensors",
    ]
    stated = json.loads((folder / "config.json").read_text())
    assert stated["tasks"] == ["walk to the left", "walk to the right"]
    assert stated["cameras"] == {"front": [16, 16], "wrist": [12, 16]}
    assert stated["normalisers"] == {"walk to the left": 60.0, "walk to the right": 60.0}
    assert stated["state_std"][1] == 1.0  # a joint that never moves is not divided by zero
    assert stated["scaling"] == "penalty"
    assert stated["trainset_fingerprint"] == "0123abcd"
    assert stated["base_fingerprint"] == ""
    assert stated["config"]["bins"] == 11
    assert json.loads((folder / "metrics.json").read_text()) == trained.metrics


def test_a_checkpoint_states_its_scaling(folder):
    stated = json.loads((folder / "config.json").read_text())
    (folder / "config.json").write_text(json.dumps({**stated, "scaling": "floor"}))
    assert load_checkpoint(folder).spec.scaling == "floor"


def test_a_checkpoint_is_never_overwritten(trained, folder):
    before = (folder / "model.safetensors").stat()
    with pytest.raises(CheckpointError, match="exists already and is not overwritten"):
        save_checkpoint(trained.model, folder)
    assert (folder / "model.safetensors").stat() == before


def test_a_failed_write_leaves_nothing(trained, tmp_path):
    with pytest.raises(ValueError, match="not JSON compliant"):
        save_checkpoint(trained.model, tmp_path / "value", metrics={"loss": float("nan")})
    assert not (tmp_path / "value").exists()


def test_a_missing_folder_is_named(tmp_path):
    with pytest.raises(CheckpointError, match=r"nowhere does not exist. Train .*`recap train-val"):
        load_checkpoint(tmp_path / "nowhere")


def test_a_checkpoint_without_weights_is_named(folder):
    (folder / "model.safetensors").unlink()
    with pytest.raises(CheckpointError) as caught:
        load_checkpoint(folder)
    assert str(caught.value) == (
        f"{folder} holds no weights: model.safetensors is missing. Copy the whole folder again, "
        f"or delete it and run `recap train-value` again."
    )


def test_a_folder_that_is_no_value_model_is_named(tmp_path):
    with pytest.raises(CheckpointError, match=r"is not a value model: it holds no config\.json"):
        load_checkpoint(tmp_path)


def test_damaged_weights_are_named(folder):
    content = (folder / "model.safetensors").read_bytes()
    (folder / "model.safetensors").write_bytes(content[: len(content) // 2])
    with pytest.raises(CheckpointError, match=r"model\.safetensors is damaged"):
        load_checkpoint(folder)


@pytest.mark.parametrize("change", ["missing", "unknown", "shape", "kind"])
def test_tensors_must_match_exactly(folder, change):
    weights = load_file(folder / "model.safetensors")
    name = "head.2.weight"
    if change == "missing":
        del weights[name]
    elif change == "unknown":
        name = "head.99.weight"
        weights[name] = torch.zeros(1)
    elif change == "shape":
        weights[name] = weights[name][:-1].clone()
    else:
        weights[name] = weights[name].double()
    save_file(weights, folder / "model.safetensors")
    with pytest.raises(CheckpointError, match=rf"does not fit config\.json .*1 tensor.*'{name}'"):
        load_checkpoint(folder)


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        ("{", "it is not JSON"),
        ('{"kind": "policy"}', "it says 'policy' where 'recap value model, format 2'"),
        ("{}", "does not describe a value model of this version. Restore"),
        ("[]", "does not describe a value model of this version"),
    ],
)
def test_a_damaged_configuration_is_named(folder, content, reason):
    (folder / "config.json").write_text(content)
    with pytest.raises(CheckpointError, match=r"config\.json does not describe") as caught:
        load_checkpoint(folder)
    assert reason in str(caught.value)


def test_settings_out_of_range_in_a_checkpoint_are_named(folder):
    stated = json.loads((folder / "config.json").read_text())
    stated["config"]["bins"] = 1
    (folder / "config.json").write_text(json.dumps(stated))
    with pytest.raises(CheckpointError, match="bins must be at least 2, got 1"):
        load_checkpoint(folder)
