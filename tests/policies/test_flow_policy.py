from __future__ import annotations

import numpy as np
import pytest
import torch

from recap.policies.checkpoint import load_policy
from recap.policies.flow.language import indicator_of, indicator_positions
from recap.policies.flow.modeling_recap_flow import IMAGE_FEATURES_KEY
from recap.policies.flow.processor_recap_flow import WordTokenizerStep

PLACEMENTS = ["prompt", "expert"]
ROWS = np.arange(5)


@pytest.fixture
def batch_for(checkpoints, frames, make):
    def load(placement, indicator):
        loaded = load_policy(checkpoints[placement], indicator=indicator)
        return loaded.policy, loaded.preprocessor(make.observation(frames, ROWS))

    return load


def noise_for(policy):
    shape = (len(ROWS), policy.config.chunk_size, policy.action_size)
    return torch.randn(shape, generator=torch.Generator().manual_seed(3))


@pytest.mark.parametrize("placement", PLACEMENTS)
def test_guidance_of_one_is_plain_conditioning(batch_for, placement):
    policy, batch = batch_for(placement, "positive")
    noise = noise_for(policy)
    plain = policy.predict_action_chunk(batch, noise=noise)

    policy.config.guidance_scale = 1.0 + 1e-6  # takes the path with two passes

    torch.testing.assert_close(policy.predict_action_chunk(batch, noise=noise), plain)


@pytest.mark.parametrize("placement", PLACEMENTS)
def test_guidance_of_zero_forgets_the_indicator(batch_for, placement):
    policy, batch = batch_for(placement, "positive")
    _, untold = batch_for(placement, "none")
    noise = noise_for(policy)
    expected = policy.predict_action_chunk(untold, noise=noise)

    policy.config.guidance_scale = 0.0

    torch.testing.assert_close(policy.predict_action_chunk(batch, noise=noise), expected)


@pytest.mark.parametrize("placement", PLACEMENTS)
def test_a_masked_indicator_is_exactly_no_indicator(batch_for, placement):
    policy, batch = batch_for(placement, "negative")
    _, untold = batch_for(placement, "none")
    features = policy.encode_images(batch)

    masked, sign = policy.encode_context(batch, features, is_conditioned=False)
    expected, _ = policy.encode_context(untold, features)

    assert torch.equal(masked, expected)
    assert not sign.any()


@pytest.mark.parametrize("placement", PLACEMENTS)
def test_the_trained_indicator_changes_the_actions(batch_for, placement):
    policy, positive = batch_for(placement, "positive")
    _, negative = batch_for(placement, "negative")
    noise = noise_for(policy)

    actions = [policy.predict_action_chunk(b, noise=noise) for b in (positive, negative)]

    assert not torch.allclose(*actions)


def test_precomputed_image_features_take_the_place_of_images(batch_for):
    policy, batch = batch_for("prompt", "positive")
    noise = noise_for(policy)
    features = policy.encode_images(batch)
    blind = {key: value for key, value in batch.items() if "images" not in key}

    from_features = policy.predict_action_chunk(
        {**blind, IMAGE_FEATURES_KEY: features}, noise=noise
    )

    assert torch.equal(from_features, policy.predict_action_chunk(batch, noise=noise))


def test_image_features_do_not_depend_on_what_is_told(batch_for):
    policy, positive = batch_for("prompt", "positive")
    _, negative = batch_for("prompt", "negative")

    assert torch.equal(policy.encode_images(positive), policy.encode_images(negative))


def test_padded_actions_do_not_count_in_the_loss(batch_for):
    policy, batch = batch_for("prompt", "positive")
    chunk = (len(ROWS), policy.config.chunk_size)
    batch["action"] = torch.zeros(*chunk, policy.action_size)
    batch["action_is_pad"] = torch.zeros(chunk, dtype=torch.bool)
    batch["action_is_pad"][:, 2:] = True
    noise, time = torch.randn(len(ROWS), 2, *batch["action"].shape[1:]), torch.zeros(len(ROWS), 2)
    before, _ = policy(batch, reduction="none", noise=noise, time=time)

    batch["action"][:, 2:] = 100.0  # at flow time 0 the network sees noise alone

    after, _ = policy(batch, reduction="none", noise=noise, time=time)
    assert before.shape == (len(ROWS),)
    torch.testing.assert_close(after, before)


def test_a_chunk_is_carried_out_action_by_action(batch_for):
    policy, batch = batch_for("prompt", "positive")
    policy.reset()
    torch.manual_seed(0)
    chunk = policy.predict_action_chunk(batch)
    torch.manual_seed(0)

    first, second = policy.select_action(batch), policy.select_action(batch)

    assert torch.equal(torch.stack([first, second], dim=1), chunk[:, :2])
    assert not torch.equal(policy.select_action(batch), chunk[:, 2])  # a new chunk begins


def test_only_a_sign_after_the_indicators_word_is_the_indicator():
    tokenizer = WordTokenizerStep(vocabulary=["draw", "a", "sign"], length=8)
    tokens, mask = tokenizer.tokenize(
        ["draw a positive sign", "draw a positive sign\nAdvantage: negative"]
    )

    assert indicator_of(tokens, mask).tolist() == [0, 2]
    assert indicator_positions(tokens).sum(dim=1).tolist() == [0, 2]


def test_a_prompt_that_is_too_long_loses_words_of_the_task_and_keeps_the_indicator():
    tokenizer = WordTokenizerStep(vocabulary=["very"], length=6)
    tokens, mask = tokenizer.tokenize(["very " * 20 + "\nAdvantage: positive"])

    assert mask.all()
    assert indicator_of(tokens, mask).tolist() == [1]
