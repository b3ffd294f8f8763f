"""Policies of every known type: LeRobot's own classes at a size that is built in a moment."""

from __future__ import annotations

from functools import cache, partial

import pytest

WIDTH = 16
STEPS = {"chunk_size": 4, "n_action_steps": 2}


def inputs_of(frames, *, cameras=("front", "wrist")):
    """Describe the frames as LeRobot does."""
    from lerobot.configs import FeatureType, PolicyFeature

    images = {
        f"observation.images.{name}": PolicyFeature(
            type=FeatureType.VISUAL, shape=(3, *frames.images[name].shape[1:3])
        )
        for name in cameras
    }
    state = PolicyFeature(type=FeatureType.STATE, shape=(frames.state.shape[1],))
    action = PolicyFeature(type=FeatureType.ACTION, shape=(frames.action.shape[1],))
    return {
        "input_features": {**images, "observation.state": state},
        "output_features": {"action": action},
        "device": "cpu",
        "push_to_hub": False,
    }


def write(folder, policy, statistics):
    """Write a policy with its own processors."""
    import torch
    from lerobot.policies.factory import make_pre_post_processors

    exact = {
        key: {
            **{name: torch.as_tensor(value).float() for name, value in entry.items()},
            "min": torch.as_tensor(entry["mean"] - 2.0 * entry["std"]).float(),
            "max": torch.as_tensor(entry["mean"] + 2.0 * entry["std"]).float(),
        }
        for key, entry in statistics.items()
    }
    for part in (policy, *make_pre_post_processors(policy.config, dataset_stats=exact)):
        part.save_pretrained(folder)
    return folder


def write_act(folder, frames, statistics):
    from lerobot.policies.act.configuration_act import ACTConfig
    from lerobot.policies.act.modeling_act import ACTPolicy

    sizes = {"dim_model": WIDTH, "n_heads": 2, "dim_feedforward": 32, "n_encoder_layers": 1}
    config = ACTConfig(
        **inputs_of(frames), **STEPS, **sizes, use_vae=False, pretrained_backbone_weights=None
    )
    return write(folder, ACTPolicy(config), statistics)


def write_diffusion(folder, frames, statistics, *, shares_encoder=False):
    """It looks at two moments; its noise schedule is a stand-in for a library not installed."""
    from lerobot.policies.diffusion.configuration_diffusion import DiffusionConfig
    from lerobot.policies.diffusion.modeling_diffusion import DiffusionPolicy

    config = DiffusionConfig(
        **inputs_of(frames),
        n_obs_steps=2,
        use_separate_rgb_encoder_per_camera=not shares_encoder,
        horizon=8,
        n_action_steps=4,
        down_dims=(8, 16),
        n_groups=4,
        crop_shape=None,
        resize_shape=(96, 96),
        spatial_softmax_num_keypoints=4,
        use_group_norm=True,
        pretrained_backbone_weights=None,
        num_inference_steps=1,
    )
    return write(folder, DiffusionPolicy(config), statistics)


class OneStep:
    """A noise schedule that takes its first answer."""

    class config:  # noqa: N801 - as diffusers call it
        num_train_timesteps = 2

    timesteps = (1,)

    def set_timesteps(self, steps):
        pass

    def step(self, answer, time, sample, **_):
        class Step:
            prev_sample = answer

        return Step


def shrunk(make):
    """Let one of transformers' PaliGemma classes be made at a small size."""

    def made(config):
        if hasattr(config, "vision_config"):
            config._vocab_size = 64
            config.image_token_index = config.image_token_id = 63
            config.text_config.vocab_size = 64
            vision = {"hidden_size": WIDTH, "intermediate_size": 32, "num_hidden_layers": 1}
            vision |= {"num_attention_heads": 2, "patch_size": 8, "projection_dim": 32}
            for name, value in vision.items():
                setattr(config.vision_config, name, value)
        else:
            config.vocab_size = 64
        return make(config=config)

    return made


def patch_pi(monkeypatch, kind, tokenizer):
    """LeRobot's sizes of pi0 and pi05 are fixed, and their tokenizer is not on this machine."""
    from importlib import import_module

    model = import_module(f"lerobot.policies.{kind}.modeling_{kind}")
    processor = import_module(f"lerobot.policies.{kind}.processor_{kind}")
    tiny = model.GemmaConfig(width=32, depth=2, mlp_dim=32, num_heads=8, num_kv_heads=1, head_dim=8)
    monkeypatch.setattr(model, "get_gemma_config", lambda variant: tiny)
    for name in ("PaliGemmaForConditionalGenerationWithPiGemma", "PiGemmaForCausalLM"):
        monkeypatch.setattr(model, name, shrunk(getattr(model, name)))
    step = processor.TokenizerProcessorStep

    def tokenize(**settings):
        return step(**{**settings, "tokenizer_name": str(tokenizer)})

    monkeypatch.setattr(processor, "TokenizerProcessorStep", tokenize)


def write_pi(folder, frames, statistics, *, kind):
    from importlib import import_module

    config = import_module(f"lerobot.policies.{kind}.configuration_{kind}")
    model = import_module(f"lerobot.policies.{kind}.modeling_{kind}")
    name = kind.upper()
    settings = getattr(config, f"{name}Config")(
        **inputs_of(frames),
        **STEPS,
        image_resolution=(32, 32),
        max_state_dim=8,
        max_action_dim=8,
        num_inference_steps=1,
        tokenizer_max_length=32,
        normalization_mapping={"VISUAL": "IDENTITY", "STATE": "MEAN_STD", "ACTION": "MEAN_STD"},
    )
    return write(folder, getattr(model, f"{name}Policy")(settings), statistics)


def write_smolvla(folder, frames, statistics, *, settings):
    from recap.policies.small_smolvla import train_small_smolvla

    train_small_smolvla(
        frames, destination=folder, settings=settings, statistics=statistics, width=32, layers=2
    )
    return folder


@pytest.fixture(scope="session")
def tiny_policies(tmp_path_factory, frames, make, checkpoints):
    """A folder with a policy of a type, made when it is first asked for."""
    import torch

    root = tmp_path_factory.mktemp("tiny")
    statistics = make.statistics(frames)

    def tokenizer():
        from recap.policies.small_smolvla import write_small_smolvlm

        folder = root / "tokenizer"
        if not folder.exists():
            write_small_smolvlm(folder, tasks=sorted(set(frames.tasks)), width=16, layers=1)
        return folder

    with pytest.MonkeyPatch.context() as monkeypatch:

        @cache
        def made(kind):
            torch.manual_seed(0)
            if kind == "recap_flow":
                return checkpoints["prompt"]
            if kind.startswith("diffusion"):
                module = "lerobot.policies.diffusion.modeling_diffusion"
                monkeypatch.setattr(f"{module}.require_package", lambda *_, **__: None)
                monkeypatch.setattr(f"{module}._make_noise_scheduler", lambda *_, **__: OneStep())
            if kind in ("pi0", "pi05"):
                patch_pi(monkeypatch, kind, tokenizer())
            return {
                "act": write_act,
                "diffusion": write_diffusion,
                "diffusion, one encoder": partial(write_diffusion, shares_encoder=True),
                "pi0": partial(write_pi, kind="pi0"),
                "pi05": partial(write_pi, kind="pi05"),
                "smolvla": partial(write_smolvla, settings=make.settings(steps=1)),
            }[kind](root / kind, frames, statistics)

        yield made
