"""The loop: every step is that of the obvious one, however it is shared, averaged or cut short."""

from dataclasses import replace

import numpy as np
import pytest
import torch
from torch import nn

from data.errors import ConfigError
from value_models.beginning import beginning
from value_models.bins import cross_entropy
from value_models.course import Course
from value_models.dropout import BatchDropout, batch_dropout
from value_models.encoder import ObservationBatch
from value_models.held_out import hold_out_episodes
from value_models.launch import is_main_process, process_count
from value_models.optimisation import AveragedWeights, learned_tensors, learning_rate_share
from value_models.processes import Hardware
from value_models.small import SmallEncoder
from value_models.training import train_value_model


def moved(image, down, right):
    """Give an image moved by rows and columns; what is uncovered keeps its pixels."""
    result = image.copy()
    height, width = image.shape[:2]
    for row in range(height):
        for column in range(width):
            if 0 <= row - down < height and 0 <= column - right < width:
                result[row, column] = image[row - down, column - right]
    return result


def obvious_loop(frames, config):
    """Train as the settings say, in plain words and without measuring; give the last weights."""
    rng = np.random.default_rng(config.seed)
    is_held_out = hold_out_episodes(frames, holdout_fraction=config.holdout_fraction, rng=rng)
    train = np.flatnonzero(~is_held_out)
    torch.manual_seed(config.seed)
    model = beginning(frames, train, config, initial=None).train()
    optimizer = torch.optim.AdamW(
        model.parameters(), weight_decay=config.weight_decay, fused=True, lr=0.0
    )
    seen, waiting = frames.observations, []
    for step in range(1, config.steps + 1):
        while len(waiting) < config.batch_size:
            waiting += rng.permutation(train).tolist()
        index, waiting = waiting[: config.batch_size], waiting[config.batch_size :]
        most = config.shift_pixels
        shifts = rng.integers(-most, most + 1, size=(len(index), len(seen.images), 2))
        images = {}
        for camera, name in enumerate(sorted(seen.images)):
            factors = rng.uniform(
                1.0 - config.brightness, 1.0 + config.brightness, size=len(index)
            ).astype(np.float32)
            images[name] = torch.stack(
                [
                    torch.from_numpy(moved(seen.images[name][frame], *shift[camera])) * factor
                    for frame, shift, factor in zip(index, shifts, factors, strict=True)
                ]
            )
        batch = ObservationBatch(
            images=images,
            state=torch.from_numpy(seen.state[index]),
            task_index=torch.from_numpy(seen.task_index[index]),
            tasks=tuple(seen.tasks),
        )
        returns = torch.tensor(frames.returns[index], dtype=torch.float32)
        optimizer.param_groups[0]["lr"] = config.learning_rate * learning_rate_share(
            step, steps=config.steps, warmup_steps=config.warmup_steps
        )
        model.head[1].p = config.dropout
        optimizer.zero_grad()
        cross_entropy(model(batch), model.support.project(returns)).mean().backward()
        nn.utils.clip_grad_norm_(model.parameters(), config.gradient_clip)
        optimizer.step()
    return model.state_dict()


def assert_same(weights, others):
    assert weights.keys() == others.keys()
    assert all(torch.equal(weights[name], others[name]) for name in weights)


def assert_close(weights, others, *, most):
    assert weights.keys() == others.keys()
    for name in weights:
        torch.testing.assert_close(weights[name], others[name], rtol=0.0, atol=most)


def test_training_takes_the_steps_of_the_obvious_loop_to_the_bit(frames, tiny):
    config = replace(tiny, steps=12, measurements=1, gradient_clip=0.5, seed=5)
    with torch.random.fork_rng(devices=[]):
        expected = obvious_loop(frames, config)
    # One measurement, after the last step: its weights are the best there are.
    assert_same(train_value_model(frames, config=config).model.state_dict(), expected)


def test_a_batch_computed_in_parts_gives_the_same(frames, tiny):
    config = replace(tiny, steps=20)
    whole = train_value_model(frames, config=config)
    parts = train_value_model(frames, config=replace(config, accumulate=4))
    assert_close(whole.model.state_dict(), parts.model.state_dict(), most=1e-6)
    for one, other in zip(whole.metrics["history"], parts.metrics["history"], strict=True):
        assert one == pytest.approx(other, abs=1e-6)


def test_a_batch_that_cannot_be_shared_evenly_is_refused(frames, tiny):
    with pytest.raises(ConfigError) as caught:
        train_value_model(frames, config=replace(tiny, accumulate=3))
    assert str(caught.value) == (
        "value.batch_size=8 cannot be shared evenly among 1 process(es) in 3 part(s) each. "
        "Use a multiple of 3, such as value.batch_size=9."
    )


def test_training_stops_when_so_many_measurements_brought_nothing(frames, tiny):
    config = replace(tiny, steps=60, measurements=30, learning_rate=0.1, patience=3)
    trained = train_value_model(frames, config=config)
    measured = [h["held_out_loss"] for h in trained.metrics["history"] if "held_out_loss" in h]
    best = int(np.argmin(measured))
    assert len(measured) == best + 1 + 3 < 30
    assert trained.metrics["members"] == [
        {
            "steps": 2 * len(measured),
            "best_step": 2 * (best + 1),
            "best_held_out_loss": measured[best],
        }
    ]
    assert trained.metrics["held_out"]["cross_entropy"] == pytest.approx(measured[best], abs=1e-5)


@pytest.mark.parametrize(("steps", "measurements"), [(10, 3), (7, 7), (5, 9), (600, 10), (1, 1)])
def test_measurements_are_spread_evenly_and_end_with_the_last_step(steps, measurements):
    due = {-(-steps * k // measurements) for k in range(1, measurements + 1)}
    found = {
        step
        for step in range(1, steps + 1)
        if Course(step=step).is_measured(steps=steps, measurements=measurements)
    }
    assert found == due
    assert steps in found


def test_an_average_of_weights_worked_by_hand():
    model = nn.Linear(1, 1, bias=False)
    nn.init.constant_(model.weight, 1.0)
    average = AveragedWeights(model, decay=0.5)
    for step, weight, expected in (
        (1, 12.0, 10.0),  # early on it keeps (1 + 1) / (10 + 1) alone: 1 + 9/11 * 11
        (100, 20.0, 15.0),  # later on its decay: half way from 10 to 20
    ):
        nn.init.constant_(model.weight, weight)
        average.update(model, step)
        assert average.tensors["weight"].item() == pytest.approx(expected)
    with average.in_place(model):
        assert model.weight.item() == pytest.approx(15.0)
    assert model.weight.item() == 20.0


def test_with_an_average_it_is_the_average_that_is_measured_and_kept(frames, tiny):
    config = replace(tiny, steps=30, measurements=3, learning_rate=0.01)
    plain = train_value_model(frames, config=config)
    averaged = train_value_model(frames, config=replace(config, ema_decay=0.9))
    measured = [h["held_out_loss"] for h in averaged.metrics["history"] if "held_out_loss" in h]
    assert averaged.metrics["held_out"]["cross_entropy"] == pytest.approx(min(measured), abs=1e-5)
    # The steps are the same, and what is kept is not.
    assert [h["loss"] for h in averaged.metrics["history"]] == [
        h["loss"] for h in plain.metrics["history"]
    ]
    with pytest.raises(AssertionError):
        assert_same(plain.model.state_dict(), averaged.model.state_dict())


def test_rate_norm_and_speed_are_told_and_only_what_comes_again_is_kept(frames, tiny):
    heard = []
    config = replace(tiny, steps=40, warmup_steps=20, measurements=1)
    trained = train_value_model(frames, config=config, progress=lambda *said: heard.append(said[2]))
    assert heard[0]["learning_rate"] == config.learning_rate
    assert all(figures["gradient_norm"] > 0.0 for figures in heard)
    assert all(figures["frames_per_second"] > 0.0 for figures in heard)
    assert all("frames_per_second" not in entry for entry in trained.metrics["history"])
    assert trained.metrics["history"][0]["gradient_norm"] == heard[0]["gradient_norm"]


def test_a_loss_that_is_no_number_is_named(frames, tiny):
    config = replace(tiny, learning_rate=1e30, steps=20, warmup_steps=0)
    with pytest.raises(ConfigError, match=r"is (nan|inf) after step \d+: training ran away\. Low"):
        train_value_model(frames, config=config)


def test_frozen_weights_stay_as_they_were_and_the_encoder_is_told(frames, tiny, monkeypatch):
    said = []
    begin = {}

    def freeze(encoder):
        encoder.language.requires_grad_(requires_grad=False)
        begin.update({n: t.clone() for n, t in encoder.language.state_dict().items()})
        said.append("begin")

    monkeypatch.setattr(SmallEncoder, "begin_training", freeze)
    monkeypatch.setattr(SmallEncoder, "finish_training", lambda encoder: said.append("finish"))
    model = train_value_model(frames, config=replace(tiny, weight_decay=1.0)).model
    assert said == ["begin", "finish"]
    assert_same(model.encoder.language.state_dict(), begin)
    assert not any(".language." in name for name in learned_tensors(model))


def test_pairs_are_learned_beside_the_frames(frames, tiny, monkeypatch):
    heard = []

    class Pairs:
        def __init__(self, config, *, seed):
            self.weight = config.weight

        def loss(self, encoder, step):
            heard.append(step)
            return self.weight * encoder.language.embedding.weight.square().sum()

    monkeypatch.setattr("value_models.training_loop.CoTraining", Pairs)
    alone = train_value_model(frames, config=tiny)
    beside = replace(tiny, cotraining=replace(tiny.cotraining, path="pairs", weight=50.0))
    both = train_value_model(frames, config=beside)
    assert heard == [1, 2, 3, 4, 5, 6]
    length = {
        name: trained.model.encoder.language.embedding.weight.norm().item()
        for name, trained in (("alone", alone), ("both", both))
    }
    assert length["both"] < length["alone"]


def test_dropout_for_a_batch_is_torchs_to_the_bit_and_each_takes_its_rows():
    features = torch.randn(6, 40)
    layers = nn.Sequential(nn.LayerNorm(40), nn.Dropout(0.3))
    silent = nn.Sequential(layers[0], nn.Dropout(0.0))
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(1)
        expected = layers(features)
        torch.manual_seed(1)
        with batch_dropout(silent, share=0.3) as (dropout,):
            dropout.begin(6)
            halves = []
            for rows in (slice(0, 3), slice(3, 6)):
                dropout.take(rows)
                halves.append(silent(features[rows]))
    assert torch.equal(torch.cat(halves), expected)
    assert (expected == 0.0).any()
    assert type(silent[1]) is nn.Dropout
    assert torch.equal(BatchDropout(0.3).eval()(features), features)


def test_gradients_are_averaged_over_processes_also_where_only_some_have_one():
    """A stand-in for the second process adds what that one has."""
    both, other, none = (nn.Parameter(torch.zeros(2)) for _ in range(3))
    both.grad = torch.tensor([2.0, 4.0])

    class TwoProcesses:
        num_processes, process_index = 2, 0
        theirs = iter([torch.tensor([1.0, 1.0, 0.0]), torch.tensor([4.0, 0.0, 6.0, 8.0])])

        def reduce(self, tensor, reduction):
            assert reduction == "mean"
            return (tensor + next(self.theirs)) / 2

    here = Hardware(accelerator=TwoProcesses(), device=torch.device("cpu"))
    here.average_gradients([both, other, none])
    assert both.grad.tolist() == [3.0, 2.0]
    assert other.grad.tolist() == [3.0, 4.0]
    assert none.grad is None
    assert here.own_rows(8, parts=2) == [slice(0, 2), slice(2, 4)]


def test_training_leaves_what_accelerate_keeps_as_it_was(frames, tiny):
    from accelerate import Accelerator
    from accelerate.state import AcceleratorState, GradientState, PartialState

    kept = (AcceleratorState, PartialState, GradientState)
    assert all(kind._shared_state == {} for kind in kept)
    try:
        other = Accelerator(cpu=True, mixed_precision="bf16")
        train_value_model(frames, config=replace(tiny, steps=1))
        assert other.mixed_precision == "bf16"
        assert AcceleratorState().mixed_precision == "bf16"
    finally:
        for kind in kept:
            kind._shared_state.clear()


def test_one_process_where_several_were_asked_for_is_refused(frames, tiny, monkeypatch):
    monkeypatch.setenv("ACCELERATE_MIXED_PRECISION", "no")
    monkeypatch.setenv("MASTER_PORT", "29500")
    with pytest.raises(ConfigError, match=r"several processes and started one.*Use `torchrun"):
        train_value_model(frames, config=tiny)


def test_the_launcher_says_which_process_this_is(monkeypatch):
    for name in ("WORLD_SIZE", "RANK"):
        monkeypatch.delenv(name, raising=False)
    assert (process_count(), is_main_process()) == (1, True)
    monkeypatch.setenv("WORLD_SIZE", "4")
    monkeypatch.setenv("RANK", "3")
    assert (process_count(), is_main_process()) == (4, False)
