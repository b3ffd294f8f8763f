from __future__ import annotations

import json
import shutil

import numpy as np
import pytest
import torch
from lerobot.configs import PreTrainedConfig
from lerobot.policies.factory import get_policy_class, make_pre_post_processors

from data.errors import CheckpointError
from recap.policies.checkpoint import load_policy


@pytest.fixture
def copied(checkpoints, tmp_path):
    return shutil.copytree(checkpoints["prompt"], tmp_path / "policy")


def test_lerobots_own_factory_loads_the_checkpoint_bit_for_bit(checkpoints, frames, make):
    folder = checkpoints["prompt"]
    ours = load_policy(folder)

    config = PreTrainedConfig.from_pretrained(folder)
    policy = get_policy_class(config.type).from_pretrained(folder, config=config)
    preprocessor, postprocessor = make_pre_post_processors(config, pretrained_path=str(folder))

    observation = make.observation(frames, np.arange(4))
    batch, ours_batch = preprocessor(dict(observation)), ours.preprocessor(dict(observation))
    assert batch.keys() == ours_batch.keys()
    generators = [torch.Generator().manual_seed(0) for _ in range(2)]
    actions = postprocessor(policy.predict_action_chunk(batch, generator=generators[0]))
    expected = ours.postprocessor(
        ours.policy.predict_action_chunk(ours_batch, generator=generators[1])
    )
    assert torch.equal(actions, expected)


def test_the_processors_travel_with_the_checkpoint(checkpoints):
    saved = json.loads((checkpoints["prompt"] / "policy_preprocessor.json").read_text())
    steps = {step.get("class") or step["registry_name"]: step["config"] for step in saved["steps"]}

    assert steps["recap.policies.indicator.IndicatorStep"]["runtime"] == "positive"
    tokenizer = steps["recap.policies.flow.processor_recap_flow.WordTokenizerStep"]
    assert tokenizer["vocabulary"] == sorted(
        ["put", "the", "red", "cube", "on", "green", "pad", "blue", "white"]
    )


def test_an_action_survives_the_way_there_and_back(checkpoints, frames, make):
    loaded = load_policy(checkpoints["prompt"])
    action = torch.from_numpy(frames.action)

    observation = make.observation(frames, np.arange(len(action)))
    batch = loaded.preprocessor({**observation, "action": action})

    assert batch["action"].mean().abs() < 1e-5
    torch.testing.assert_close(loaded.postprocessor(batch["action"]), action)


def test_one_observation_without_a_batch_axis_is_understood(checkpoints, frames, make):
    loaded = load_policy(checkpoints["prompt"])
    many = make.observation(frames, np.arange(1))
    one = {key: value[0] for key, value in many.items()}

    batch = loaded.preprocessor(one)

    assert loaded.policy.select_action(batch).shape == (1, frames.action.shape[1])


def test_an_entry_that_never_moved_is_not_blown_up():
    from recap.policies.flow.processor_recap_flow import guarded_statistics

    guarded = guarded_statistics({"action": {"mean": np.zeros(3), "std": np.array([0, 1e-9, 1])}})

    torch.testing.assert_close(guarded["action"]["std"], torch.tensor([1e-3, 1e-3, 1.0]))


def test_a_checkpoint_without_weights_is_refused(copied):
    (copied / "model.safetensors").unlink()

    with pytest.raises(CheckpointError, match=r"has no weights \(model.safetensors is missing\)"):
        load_policy(copied)


def test_a_damaged_weights_file_is_refused(copied):
    (copied / "model.safetensors").write_bytes(b"not a tensor")

    with pytest.raises(CheckpointError, match=r"model\.safetensors is damaged"):
        load_policy(copied)


@pytest.mark.parametrize(
    ("change", "complaint"),
    [
        ({"layers": 3}, r"\d+ tensor\(s\) are missing or left over, first 'expert\.blocks\.2"),
        ({"hidden_size": 48}, "size mismatch for "),
    ],
)
def test_weights_that_do_not_fit_are_refused(copied, change, complaint):
    config = json.loads((copied / "config.json").read_text())
    (copied / "config.json").write_text(json.dumps({**config, **change}))

    with pytest.raises(CheckpointError, match=rf"does not fit its config\.json: {complaint}"):
        load_policy(copied)


def test_a_folder_that_is_no_checkpoint_is_refused(tmp_path):
    with pytest.raises(
        CheckpointError, match=r"is not a policy checkpoint: it has no config\.json"
    ):
        load_policy(tmp_path)
