"""Real policies of every known type, small and untrained: what is read of them, and what is not."""

from __future__ import annotations

import json
import shutil

import numpy as np
import pytest
import torch

from data.errors import CheckpointError
from recap.policies.backbone import PolicyBackbone
from recap.policies.checkpoint import load_policy
from value_models.policy_features_config import PolicyFeaturesConfig, Pooling

ROWS = np.arange(0, 40, 11)
ACTS = {
    "recap_flow": "expert",
    "smolvla": "model.action_in_proj",
    "pi0": "model.action_in_proj",
    "pi05": "model.action_in_proj",
    "act": "model.decoder",
    "diffusion": "diffusion.unet",
    "diffusion, one encoder": "diffusion.unet",
}
"""Policy type to a module that runs only where actions are made."""


def read(folder, frames, rows=ROWS, *, pooling=Pooling.MEAN, module="", backbone=None):
    """Read features of some rows."""
    settings = PolicyFeaturesConfig(path=str(folder), pooling=pooling, module=module)
    backbone = backbone or PolicyBackbone(settings)
    tasks, numbers = frames.task_rows()
    return backbone.features(
        {camera: images[rows] for camera, images in frames.images.items()},
        frames.state[rows],
        [tasks[number] for number in numbers[rows]],
    )


def batch_of(loaded, frames, make, rows=ROWS):
    """What the policy gets at inference when nobody tells it how good it should be."""
    return loaded.preprocessor(make.observation(frames, rows))


def loaded_without_indicator(folder, kind):
    told = {"indicator": "none"} if kind in ("recap_flow", "smolvla") else {}
    return load_policy(folder, **told)


def mean_of_tokens(hidden, mask):
    """Average, frame by frame, over the tokens that are there."""
    return torch.stack(
        [tokens[there].mean(dim=0) for tokens, there in zip(hidden, mask, strict=True)]
    )


@torch.no_grad()
def by_hand(kind, loaded, batch):
    """Call what comes before the actions, part by part."""
    policy = loaded.policy
    if kind == "recap_flow":
        images = policy.encode_images(batch)
        return policy.encode_context(batch, images)[0]
    if kind == "act":
        seen = []
        policy.model.decoder.register_forward_pre_hook(lambda _, inputs: seen.append(inputs[1]))
        policy.predict_action_chunk(batch)
        return seen[0].mean(dim=0)
    if kind.startswith("diffusion"):
        cameras = [batch[key] for key in policy.config.image_features]
        encoders = policy.diffusion.rgb_encoder
        encoders = encoders if kind == "diffusion" else [encoders] * len(cameras)
        seen = [encode(pixels) for encode, pixels in zip(encoders, cameras, strict=True)]
        return torch.cat(seen, dim=1)
    from lerobot.policies.common.vla_utils import make_att_2d_masks, prepare_attention_masks_4d

    model = policy.model
    words = batch["observation.language.tokens"], batch["observation.language.attention_mask"]
    if kind == "smolvla":
        state = policy.prepare_state(batch)
        prefix, there, sees = model.embed_prefix(*policy.prepare_images(batch), *words, state=state)
    else:
        prefix, there, sees = model.embed_prefix(*policy._preprocess_images(batch), *words)
    mask = make_att_2d_masks(there, sees)
    joint = model.vlm_with_expert if kind == "smolvla" else model.paligemma_with_expert
    (hidden, _), _ = joint.forward(
        attention_mask=mask if kind == "smolvla" else prepare_attention_masks_4d(mask),
        position_ids=torch.cumsum(there, dim=1) - 1,
        past_key_values=None,
        inputs_embeds=[prefix, None],
        use_cache=True,
    )
    assert not there.all()  # there is something to leave out
    return mean_of_tokens(hidden, there.bool())


@pytest.mark.slow
@pytest.mark.parametrize("kind", ACTS)
def test_features_are_what_the_parts_before_the_actions_give(kind, tiny_policies, frames, make):
    folder = tiny_policies(kind)
    loaded = loaded_without_indicator(folder, kind)
    wanted = by_hand(kind, loaded, batch_of(loaded, frames, make)).numpy()

    found = read(folder, frames)

    assert found.dtype == np.float32
    np.testing.assert_allclose(found, wanted, atol=2e-5, rtol=1e-4)
    assert np.ptp(found, axis=0).max() > 0.0  # not the same for every frame


@pytest.mark.slow
@pytest.mark.parametrize("kind", ACTS)
def test_a_policy_is_stopped_before_it_makes_actions(kind, tiny_policies, frames):
    backbone = PolicyBackbone(PolicyFeaturesConfig(path=str(tiny_policies(kind))))
    acted = []
    expert = backbone._loaded.policy.get_submodule(ACTS[kind])
    expert.register_forward_hook(lambda *_: acted.append(kind))

    read(None, frames, backbone=backbone)
    assert acted == []

    policy = backbone._loaded.policy
    batch = backbone._loaded.preprocessor(
        backbone._as_batch(
            {camera: images[:1] for camera, images in frames.images.items()},
            frames.state[:1],
            frames.tasks[:1],
        )
    )
    policy.select_action(batch)
    assert acted  # the watch works, and the policy still acts when it is let


@pytest.mark.parametrize("placement", ["prompt", "expert"])
@pytest.mark.parametrize("told", ["positive", "negative", "none"])
def test_features_do_not_depend_on_the_indicator(placement, told, checkpoints, frames, tmp_path):
    folder = shutil.copytree(checkpoints[placement], tmp_path / "policy")
    path = folder / "policy_preprocessor.json"
    saved = json.loads(path.read_text())
    (step,) = [s for s in saved["steps"] if s.get("class", "").endswith("IndicatorStep")]
    step["config"]["runtime"] = told
    path.write_text(json.dumps(saved))

    np.testing.assert_array_equal(read(folder, frames), read(checkpoints[placement], frames))


def test_the_indicator_would_have_been_in_the_features(checkpoints, frames, make):
    loaded = {
        told: load_policy(checkpoints["prompt"], indicator=told) for told in ("none", "positive")
    }
    by_told = {
        told: by_hand("recap_flow", policy, batch_of(policy, frames, make))
        for told, policy in loaded.items()
    }
    assert not torch.allclose(by_told["none"], by_told["positive"])


def test_a_step_that_inserts_an_indicator_on_its_own_is_refused(checkpoints, frames):
    from recap.policies.indicator import IndicatorStep

    class Stubborn(IndicatorStep):
        def __setattr__(self, name, value):
            super().__setattr__(name, "positive" if name == "runtime" else value)

    backbone = PolicyBackbone(PolicyFeaturesConfig(path=str(checkpoints["prompt"])))
    steps = backbone._loaded.preprocessor.steps
    place = next(i for i, step in enumerate(steps) if isinstance(step, IndicatorStep))
    steps[place] = Stubborn()
    with pytest.raises(CheckpointError, match="by a step that cannot be switched off here"):
        read(None, frames, backbone=backbone)


def test_the_same_frames_give_the_same_features_and_leave_the_random_source_alone(
    checkpoints, frames
):
    backbone = PolicyBackbone(PolicyFeaturesConfig(path=str(checkpoints["prompt"])))
    before = torch.random.get_rng_state()
    first = read(None, frames, backbone=backbone)
    assert torch.equal(before, torch.random.get_rng_state())
    np.testing.assert_array_equal(first, read(None, frames, backbone=backbone))
    # Whatever is in the batch with it, a frame is what it is; more than one part is read here.
    every = read(None, frames, np.arange(48), backbone=backbone)
    np.testing.assert_allclose(every[ROWS], first, atol=1e-5)


def test_the_fingerprint_names_the_policy_the_place_and_the_pooling(checkpoints, tmp_path):
    moved = shutil.copytree(checkpoints["prompt"], tmp_path / "moved")

    def fingerprint(folder=moved, **settings):
        return PolicyBackbone(PolicyFeaturesConfig(path=str(folder), **settings)).fingerprint

    first = fingerprint()
    assert first == fingerprint(checkpoints["prompt"])  # where it lies does not matter
    assert first == fingerprint(module=" context")  # the known place, spelt out
    others = {fingerprint(module="encoders"), fingerprint(pooling=Pooling.GRID)}
    (moved / "README.md").write_text("another one")
    assert len({first, *others, fingerprint()}) == 4


def test_several_modules_are_read_side_by_side(checkpoints, frames):
    folder = checkpoints["prompt"]
    apart = [read(folder, frames, module=name) for name in ("context", "encoders.1", "prompt")]
    together = read(folder, frames, module="context, encoders.1,prompt")
    np.testing.assert_array_equal(together, np.concatenate(apart, axis=1))


def test_maps_of_an_image_are_pooled(checkpoints, frames, make):
    loaded = load_policy(checkpoints["prompt"])
    encoder = loaded.policy.encoders[0]
    maps = []
    encoder.trunk.register_forward_hook(lambda _, __, output: maps.append(output.detach()))
    with torch.no_grad():
        encoder(batch_of(loaded, frames, make)["observation.images.front"])
    (of,) = maps
    size = of.shape[-1]
    fields = [
        of[:, :, r * size // 4 : -(-(r + 1) * size // 4), c * size // 4 : -(-(c + 1) * size // 4)]
        for r in range(4)
        for c in range(4)
    ]
    wanted = {
        Pooling.MEAN: of.mean(dim=(2, 3)),
        Pooling.MEAN_MAX: torch.cat([of.mean(dim=(2, 3)), of.amax(dim=(2, 3))], dim=1),
        Pooling.GRID: torch.stack([f.mean(dim=(2, 3)) for f in fields], dim=2).flatten(1),
    }
    for pooling, expected in wanted.items():
        found = read(checkpoints["prompt"], frames, module="encoders.0.trunk", pooling=pooling)
        np.testing.assert_allclose(found, expected.numpy(), atol=1e-5)


@pytest.mark.parametrize(
    ("module", "complaint"),
    [
        (
            "encodrs",
            r"has no module 'encodrs'\. Read another one with "
            r"--value\.model\.policy\.module=\.\.\., for example encoders",
        ),
        ("zzz", r"for example encoders, prompt, context, expert, encoders\.0"),
        ("encoders.0.trunk.0.nothing", "has no module 'encoders.0.trunk.0.nothing'"),
        ("maps", "has no module 'maps'"),
    ],
)
def test_a_module_that_is_not_there_is_refused_with_names(module, complaint, checkpoints, frames):
    with pytest.raises(CheckpointError, match=complaint):
        read(checkpoints["prompt"], frames, module=module)


def test_a_module_that_inference_does_not_run_is_refused(checkpoints, frames):
    backbone = PolicyBackbone(PolicyFeaturesConfig(path=str(checkpoints["prompt"]), module="spare"))
    backbone._loaded.policy.add_module("spare", torch.nn.Linear(1, 1))
    with pytest.raises(CheckpointError, match="predicts without running all of spare"):
        read(None, frames, backbone=backbone)


def test_a_policy_of_a_type_that_is_not_known_needs_a_module(
    checkpoints, frames, tmp_path, monkeypatch
):
    monkeypatch.delitem(PolicyBackbone.__init__.__globals__["KNOWN_PLACES"], "recap_flow")
    with pytest.raises(CheckpointError) as refused:
        PolicyBackbone(PolicyFeaturesConfig(path=str(checkpoints["prompt"])))
    assert str(refused.value) == (
        f"{checkpoints['prompt']} is a policy of type recap_flow, of which it is not known where "
        f"its backbone ends. Say which module to read with --value.model.policy.module=..., for "
        f"example encoders, prompt, context, expert, encoders.0, encoders.1, prompt.output, "
        f"context.state_in, context.hidden, expert.blocks, encoders.0.trunk, encoders.1.trunk."
    )
    assert read(checkpoints["prompt"], frames, module="context").shape == (len(ROWS), 32)


def test_frames_of_another_robot_are_refused(checkpoints, frames):
    backbone = PolicyBackbone(PolicyFeaturesConfig(path=str(checkpoints["prompt"])))
    with pytest.raises(
        CheckpointError, match=r"and the episodes have \{'front': \(32, 32\)\} and 6"
    ):
        backbone.features({"front": frames.images["front"][:2]}, frames.state[:2], ["go"] * 2)
    larger = {name: images[:2].repeat(2, axis=1) for name, images in frames.images.items()}
    with pytest.raises(CheckpointError, match=r"'front': \(64, 32\)"):
        backbone.features(larger, frames.state[:2], ["go"] * 2)
    with pytest.raises(CheckpointError, match="6 numbers in a state"):
        backbone.features(
            {name: images[:2] for name, images in frames.images.items()},
            frames.state[:2, :5],
            ["go"] * 2,
        )


@pytest.mark.slow
def test_a_tensor_in_a_mapping_is_found(tiny_policies, frames, make):
    """ACT's image network puts out a mapping with one map, for one camera after the other."""
    loaded = load_policy(tiny_policies("act"))
    front = batch_of(loaded, frames, make)["observation.images.front"]
    with torch.no_grad():
        wanted = loaded.policy.model.backbone(front)["feature_map"].mean(dim=(2, 3))
    found = read(tiny_policies("act"), frames, module="model.backbone")
    np.testing.assert_allclose(found, wanted.numpy(), atol=1e-5)


@pytest.mark.parametrize("output", [None, {"a": 1}, (1, "b"), 3.0])
def test_an_output_without_a_tensor_is_refused(output, checkpoints, frames):
    backbone = PolicyBackbone(
        PolicyFeaturesConfig(path=str(checkpoints["prompt"]), module="context")
    )
    backbone._loaded.policy.context.forward = lambda *_: output
    with pytest.raises(CheckpointError, match="without a tensor, so there is nothing to read"):
        read(None, frames, backbone=backbone)


def test_an_output_that_has_no_row_for_each_frame_is_refused(checkpoints, frames):
    backbone = PolicyBackbone(
        PolicyFeaturesConfig(path=str(checkpoints["prompt"]), module="context")
    )
    backbone._loaded.policy.context.forward = lambda *_: torch.zeros(7, 5)
    with pytest.raises(CheckpointError, match=r"put out \(7, 5\) for 4 frames, which is not a row"):
        read(None, frames, backbone=backbone)


@pytest.mark.parametrize("module", ["", "context"])
def test_a_folder_that_is_no_policy_is_refused(module, tmp_path, checkpoints):
    with pytest.raises(CheckpointError, match="is not a policy whose features can be read"):
        PolicyBackbone(PolicyFeaturesConfig(path=str(tmp_path), module=module))
    copied = shutil.copytree(checkpoints["prompt"], tmp_path / "policy")
    (copied / "config.json").write_text("{}")
    with pytest.raises(CheckpointError, match="does not say which type of policy it is"):
        PolicyBackbone(PolicyFeaturesConfig(path=str(copied)))


def test_a_name_on_the_hub_is_refused_with_how_to_get_its_folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(CheckpointError) as caught:
        PolicyBackbone(PolicyFeaturesConfig(path="lerobot/smolvla_base"))
    assert str(caught.value) == (
        "value.model.policy.path=lerobot/smolvla_base: there is no folder lerobot/smolvla_base on "
        "this machine, and a policy's features are read from a folder only, whose weights can be "
        "checked.\n"
        "Download it with `hf download lerobot/smolvla_base --local-dir models/smolvla_base` and "
        "name that: --value.model.policy.path=models/smolvla_base"
    )
    for path in ("/no/where", "./no/where", "runs/mine/pretrained_model", "~/policy"):
        with pytest.raises(CheckpointError, match="is not a policy whose features can be read"):
            PolicyBackbone(PolicyFeaturesConfig(path=path))
    (tmp_path / "lerobot" / "smolvla_base").mkdir(parents=True)
    with pytest.raises(CheckpointError, match="is not a policy whose features can be read"):
        PolicyBackbone(PolicyFeaturesConfig(path="lerobot/smolvla_base"))
