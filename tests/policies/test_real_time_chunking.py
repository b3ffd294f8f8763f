"""A chunk agrees with what will be done anyway, by LeRobot's guidance, in our time convention."""

import numpy as np
import pytest
import torch
from lerobot.configs import RTCAttentionSchedule
from lerobot.policies.rtc import RTCConfig

from recap.policies.checkpoint import load_policy

ROWS = np.arange(5)


@pytest.fixture
def load(checkpoints, frames, make):
    def loaded(*, guidance=1.0, flow_steps=5, schedule=None, weight=10.0, placement="prompt"):
        found = load_policy(checkpoints[placement], indicator="positive", guidance_scale=guidance)
        policy = found.policy
        policy.config.flow_steps = flow_steps
        if schedule is not None:
            policy.config.rtc_config = RTCConfig(
                prefix_attention_schedule=RTCAttentionSchedule(schedule),
                max_guidance_weight=weight,
            )
        policy.init_rtc_processor()
        return policy, found.preprocessor(make.observation(frames, ROWS))

    return loaded


def noise_for(policy, seed=3):
    shape = (len(ROWS), policy.config.chunk_size, policy.action_size)
    return torch.randn(shape, generator=torch.Generator().manual_seed(seed))


def test_lerobots_rollout_accepts_the_policy(load):
    from lerobot.rollout.inference.rtc import supports_rtc_inference

    policy, _ = load()
    assert supports_rtc_inference(policy)


@pytest.mark.parametrize("guidance", [1.0, 1.5])
def test_without_a_prefix_nothing_changes_by_a_bit(load, guidance):
    plain, batch = load(guidance=guidance)
    ready, _ = load(guidance=guidance, schedule="LINEAR")
    noise = noise_for(plain)
    expected = plain.predict_action_chunk(batch, noise=noise)
    assert torch.equal(ready.predict_action_chunk(batch, noise=noise), expected)
    free = ready.predict_action_chunk(
        batch, noise=noise, inference_delay=2, prev_chunk_left_over=None
    )
    assert torch.equal(free, expected)


def test_a_prefix_says_nothing_to_a_policy_that_was_not_prepared_for_it(load):
    policy, batch = load()
    noise = noise_for(policy)
    guided = policy.predict_action_chunk(
        batch, noise=noise, inference_delay=2, prev_chunk_left_over=torch.ones(5, 3, 3)
    )
    assert torch.equal(guided, policy.predict_action_chunk(batch, noise=noise))


def test_as_strong_as_it_gets_the_chunk_is_the_prefix(load):
    policy, batch = load(flow_steps=20, schedule="ONES", weight=1e6)
    noise = noise_for(policy)
    prefix = torch.ones_like(noise)
    chunk = policy.predict_action_chunk(
        batch, noise=noise, inference_delay=4, prev_chunk_left_over=prefix, execution_horizon=4
    )
    torch.testing.assert_close(chunk, prefix, atol=0.02, rtol=0.0)
    assert (policy.predict_action_chunk(batch, noise=noise) - prefix).abs().mean() > 0.3


@pytest.mark.parametrize("guidance", [1.0, 1.5])
@pytest.mark.parametrize("placement", ["prompt", "expert"])
def test_the_guided_flow_is_the_one_worked_out_step_by_step(load, guidance, placement):
    policy, batch = load(guidance=guidance, schedule="LINEAR", weight=3.0, placement=placement)
    noise, prefix = noise_for(policy), noise_for(policy, seed=4)[:, :3]
    guided = policy.predict_action_chunk(
        batch, noise=noise, inference_delay=1, prev_chunk_left_over=prefix, execution_horizon=3
    )

    # One row will be done anyway, of the two others 2/3 and 1/3 count, and the last is free.
    weights = torch.tensor([1.0, 2 / 3, 1 / 3, 0.0])[:, None]
    target = torch.cat([prefix, torch.zeros(len(ROWS), 1, 3)], dim=1)
    told = policy.encode_context(batch, policy.encode_images(batch))
    untold = policy.encode_context(batch, policy.encode_images(batch), is_conditioned=False)
    chunk = noise
    for step in range(5):
        time = step / 5
        at = torch.full((len(ROWS), 1), time)
        flat = chunk.flatten(1)[:, None]
        with torch.no_grad():
            base = policy.expert(flat, at, *untold)
            velocity = base + guidance * (policy.expert(flat, at, *told) - base)
        velocity = velocity.view_as(chunk)
        actions = chunk + (1 - time) * velocity  # where the flow is heading
        pull = 3.0
        if time > 0:
            pull = min(3.0, (1 - time) / time * ((1 - time) ** 2 + time**2) / (1 - time) ** 2)
        chunk = chunk + (velocity + pull * weights * (target - actions)) / 5
    torch.testing.assert_close(guided, chunk, atol=1e-5, rtol=1e-5)


def test_a_pull_that_would_overshoot_is_cut_to_one_full_step(load):
    chunks = []
    for weight in (5.0, 10.0):  # five steps: a weight of 5 goes all the way in one
        policy, batch = load(schedule="LINEAR", weight=weight)
        noise = noise_for(policy)
        chunks.append(
            policy.predict_action_chunk(
                batch, noise=noise, inference_delay=2, prev_chunk_left_over=noise[:, :3]
            )
        )
    assert torch.equal(*chunks)
    assert policy.config.rtc_config.max_guidance_weight == 10.0  # what was asked for stays written


def test_a_prefix_without_a_batch_and_longer_than_a_chunk_is_taken_as_lerobot_gives_it(load):
    policy, batch = load(schedule="LINEAR")
    noise = noise_for(policy)[:1]
    one = {key: value[:1] for key, value in batch.items() if isinstance(value, torch.Tensor)}
    prefix = torch.linspace(-1, 1, 30).view(10, 3)
    flat = policy.predict_action_chunk(
        one, noise=noise, inference_delay=2, prev_chunk_left_over=prefix
    )
    cut = policy.predict_action_chunk(
        one, noise=noise, inference_delay=2, prev_chunk_left_over=prefix[None, :4]
    )
    torch.testing.assert_close(flat, cut)


def test_a_switched_off_configuration_guides_nothing(load):
    policy, batch = load()
    policy.config.rtc_config = RTCConfig(enabled=False)
    policy.init_rtc_processor()
    noise = noise_for(policy)
    guided = policy.predict_action_chunk(
        batch, noise=noise, inference_delay=2, prev_chunk_left_over=noise
    )
    assert torch.equal(guided, policy.predict_action_chunk(batch, noise=noise))
