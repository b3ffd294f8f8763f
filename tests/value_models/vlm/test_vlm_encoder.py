from dataclasses import replace

import numpy as np
import pytest
import torch

from value_models.config import ValueTrainingConfig
from value_models.frames import JudgedFrames, Observations
from value_models.training import train_value_model
from value_models.vlm.config import StateInput, WeightType

SEEN = 1e-4
"""Features that differ by more have seen the difference; rounding stays below a hundredth of it."""


def features(model, batch):
    with torch.inference_mode():
        return model.encoder(batch)


def difference(one, other):
    return (one - other).abs().amax(dim=1).tolist()


def test_every_camera_the_instruction_and_the_state_are_seen(tiny, kind):
    model = tiny.model(kind)
    batch = tiny.batch((0, 1))
    plain = features(model, batch)
    assert plain.shape == (2, model.encoder.output_size)
    assert plain.dtype == torch.float32
    for camera, pixels in batch.images.items():
        changed = pixels.clone()
        changed[0, 4:12, 4:12] = 255 - changed[0, 4:12, 4:12]
        one, other = difference(
            features(model, replace(batch, images={**batch.images, camera: changed})), plain
        )
        assert one > SEEN > 100 * other, camera
    swapped = replace(batch, task_index=torch.tensor([2, 1]))
    assert difference(features(model, swapped), plain)[0] > SEEN
    moved = replace(batch, state=batch.state + torch.tensor([[0.5, 0.0], [0.0, 0.0]]))
    one, other = difference(features(model, moved), plain)
    assert one > SEEN > 100 * other


@pytest.mark.parametrize("state", StateInput)
def test_the_state_enters_as_it_is_told_to(tiny, kind, state):
    model = tiny.model(kind, state=state)
    batch = tiny.batch((0, 1))
    # A hundredth of a standard deviation: text rounds it away, an embedding does not.
    slightly = replace(batch, state=batch.state.clone())
    slightly.state[0, 0] = 0.003
    batch.state[0, 0] = 0.013
    much = replace(batch, state=batch.state + 1.0)
    plain = features(model, batch)
    assert (difference(features(model, slightly), plain)[0] > 1e-6) == (state is StateInput.TOKEN)
    assert (difference(features(model, much), plain)[0] > SEEN) == (state is not StateInput.NONE)


@pytest.mark.parametrize("state", [StateInput.TEXT, StateInput.TOKEN])
def test_a_batch_equals_its_frames_one_by_one(tiny, kind, state):
    model = tiny.model(kind, state=state)
    batch = tiny.batch((0, 1, 2))
    together = features(model, batch)
    for place in range(3):
        alone = replace(
            batch,
            images={name: pixels[[place]] for name, pixels in batch.images.items()},
            state=batch.state[[place]],
            task_index=batch.task_index[[place]],
        )
        torch.testing.assert_close(features(model, alone)[0], together[place])


@pytest.mark.parametrize("lora_rank", [0, 2])
def test_gradient_checkpointing_changes_no_gradient(tiny, kind, lora_rank):
    gradients = []
    for checkpointing in (False, True):
        model = tiny.model(kind, gradient_checkpointing=checkpointing, lora_rank=lora_rank).train()
        model.encoder.begin_training()
        adapted = [p for name, p in model.named_parameters() if "lora_B" in name]
        for parameter in adapted:
            torch.nn.init.constant_(parameter, 0.01)
        layers = [m for m in model.modules() if hasattr(m, "_gradient_checkpointing_func")]
        assert bool(layers) == checkpointing
        model(tiny.batch((0, 1))).square().sum().backward()
        gradients.append({n: p.grad for n, p in model.named_parameters() if p.requires_grad})
    plain, saved = gradients
    assert plain.keys() == saved.keys()
    for name, gradient in plain.items():
        assert gradient is not None, name  # nothing trained is left out
        torch.testing.assert_close(saved[name], gradient, msg=lambda m, n=name: f"{n}: {m}")


def test_bfloat16_weights_give_nearly_the_same_features(tiny, kind):
    batch = tiny.batch((0, 1))
    exact = features(tiny.model(kind), batch)
    rough = tiny.model(kind, dtype=WeightType.BFLOAT16)
    dtypes = {p.dtype for p in rough.encoder.backbone.language.parameters()}
    assert dtypes == {torch.bfloat16}
    answer = features(rough, batch)
    assert answer.dtype == torch.float32
    # Three significant digits a step, through five layers of features of size one.
    assert 0.0 < (answer - exact).abs().max() < 0.15


def test_what_joins_the_two_stays_in_float32(tiny):
    encoder = tiny.model(dtype=WeightType.BFLOAT16, state=StateInput.TOKEN).encoder
    new = [*encoder.backbone.projection.parameters(), *encoder.state.parameters()]
    assert {parameter.dtype for parameter in new} == {torch.float32}


def judged(tiny):
    """Two episodes of frames that tell their return by image, task and state together."""
    batch = tiny.batch((0, 1, 2, 3) * 2)
    returns = np.array([-0.9, -0.6, -0.3, 0.0] * 2)
    return JudgedFrames(
        observations=Observations(
            images={name: np.concatenate([p.numpy()] * 2) for name, p in batch.images.items()},
            state=np.concatenate([batch.state.numpy()] * 2),
            task_index=np.concatenate([batch.task_index.numpy()] * 2),
            tasks=tiny.tasks,
        ),
        returns=np.concatenate([returns, returns]),
        episode_index=np.repeat(np.arange(2), 8),
        is_success=np.ones(16, dtype=bool),
        normalisers=dict.fromkeys(tiny.tasks, 60.0),
    )


@pytest.mark.slow
@pytest.mark.parametrize("lora_rank", [0, 4])
def test_training_learns_a_handful_of_frames(tiny, lora_rank):
    frames = judged(tiny)
    config = ValueTrainingConfig(
        model=tiny.spec(lora_rank=lora_rank).config,
        steps=60,
        batch_size=8,
        learning_rate=1e-2,
        warmup_steps=5,
        holdout_fraction=0.5,
        measurements=2,
        shift_pixels=0,
        brightness=0.0,
        dropout=0.0,
    )
    trained = train_value_model(frames, config=config)
    # The episodes are alike, so the held-out one measures what was learnt of the other.
    errors = trained.model.values(tiny.batch((0, 1, 2, 3) * 2)) - torch.from_numpy(
        frames.returns[:8]
    )
    assert errors.abs().max() < 0.03
    assert not [name for name, _ in trained.model.named_parameters() if "lora" in name]
