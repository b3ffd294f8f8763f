"""Training: against a truth in closed form, from a seed, from a checkpoint."""

from dataclasses import replace
from itertools import pairwise

import numpy as np
import pytest
import torch

from data.errors import CheckpointError, ConfigError
from data.files import content_hash
from value_models.bins import cross_entropy
from value_models.checkpoint import save_checkpoint
from value_models.config import ValueModelConfig, ValueTrainingConfig
from value_models.frames import BatchReader, JudgedFrames, Observations, shift_in_place
from value_models.optimisation import learning_rate_share
from value_models.prediction import predict_values
from value_models.training import train_value_model


def assert_same_weights(first, second):
    one, other = first.model.state_dict(), second.model.state_dict()
    assert one.keys() == other.keys()
    assert all(torch.equal(one[name], other[name]) for name in one)


@pytest.mark.slow
def test_it_learns_the_true_value_of_a_random_walk_from_images_and_words(random_walk, every_place):
    config = ValueTrainingConfig(
        model=ValueModelConfig(bins=61, channels=8, keypoints=4, hidden_size=64),
        dropout=0.0,
        steps=240,
        learning_rate=3e-3,
        shift_pixels=0,
        brightness=0.0,
    )
    trained = train_value_model(random_walk(500), config=config)
    observations, truth = every_place
    error_steps = np.abs(predict_values(trained.model, observations) - truth) * 60.0
    # True values lie 1 to 15 steps from the goal, and single returns up to 20 from them.
    assert error_steps.mean() < 1.0
    assert error_steps.max() < 3.0
    assert trained.metrics["held_out"]["rank_correlation_successes"] > 0.6


def test_the_same_seed_gives_the_same_weights_to_the_bit_and_another_does_not(frames, tiny):
    state_before = torch.random.get_rng_state()
    first = train_value_model(frames, config=tiny)
    second = train_value_model(frames, config=tiny)
    assert_same_weights(first, second)
    assert first.metrics == second.metrics
    assert torch.equal(torch.random.get_rng_state(), state_before)
    other = train_value_model(frames, config=replace(tiny, seed=1))
    with pytest.raises(AssertionError):
        assert_same_weights(first, other)


def test_fine_tuning_a_saved_model_is_the_same_whenever_it_is_done(frames, tiny, tmp_path):
    save_checkpoint(train_value_model(frames, config=tiny).model, tmp_path / "base")
    tuned = [
        train_value_model(frames, config=replace(tiny, seed=3), initial=tmp_path / "base")
        for _ in range(2)
    ]
    assert_same_weights(*tuned)
    assert tuned[0].model.spec.base_fingerprint == content_hash(tmp_path / "base")


def test_fine_tuning_keeps_statistics_and_sizes_and_adds_tasks(frames, tiny, tmp_path):
    base = train_value_model(frames, config=tiny, trainset_fingerprint="old").model
    save_checkpoint(base, tmp_path / "base")
    renamed = replace(
        frames,
        observations=replace(frames.observations, tasks=("walk to the left", "jump at once")),
        normalisers={"walk to the left": 70.0, "jump at once": 90.0},
    )
    bigger = replace(tiny, model=ValueModelConfig(bins=21))
    spec = train_value_model(
        renamed, config=bigger, initial=tmp_path / "base", trainset_fingerprint="new"
    ).model.spec
    assert spec.config == tiny.model
    assert (spec.state_mean, spec.state_std) == (base.spec.state_mean, base.spec.state_std)
    assert spec.vocabulary == base.spec.vocabulary == ("left", "right", "the", "to", "walk")
    assert spec.tasks == ("walk to the left", "walk to the right", "jump at once")
    assert spec.normalisers == {
        "walk to the left": 70.0,
        "walk to the right": 60.0,
        "jump at once": 90.0,
    }
    assert spec.trainset_fingerprint == "new"


def test_the_weights_of_the_lowest_held_out_loss_are_kept(frames, tiny):
    config = replace(tiny, steps=40, measurements=8, learning_rate=0.05)
    trained = train_value_model(frames, config=config)
    measured = [h["held_out_loss"] for h in trained.metrics["history"] if "held_out_loss" in h]
    assert len(measured) == 8
    assert trained.metrics["held_out"]["cross_entropy"] == pytest.approx(min(measured), abs=1e-5)
    assert min(measured) < measured[-1]


def test_progress_tells_the_loss_and_reaches_the_end(frames, tiny):
    heard = []
    train_value_model(
        frames, config=replace(tiny, steps=45), progress=lambda *said: heard.append(said)
    )
    assert [said[:2] for said in heard] == [(20, 45), (23, 45), (40, 45), (45, 45)]
    assert all("loss" in figures for *_, figures in heard)
    assert "held_out_loss" in heard[-1][2]


def test_metrics_count_episodes_and_state_the_gap(frames, tiny):
    metrics = train_value_model(frames, config=tiny).metrics
    assert (metrics["train_episodes"], metrics["held_out_episodes"]) == (48, 12)
    assert metrics["train_frames"] + metrics["held_out_frames"] == len(frames.returns)
    assert metrics["overfitting_gap"] == pytest.approx(
        metrics["held_out"]["cross_entropy"] - metrics["train"]["cross_entropy"]
    )


def test_the_model_is_compared_with_every_baseline_and_judged(frames, tiny):
    metrics = train_value_model(frames, config=tiny).metrics
    assert set(metrics["baselines"]) == {"time", "task", "linear_probe"}
    assert len(metrics["pit"]) == 10
    # It learns nothing in six steps, and twelve held-out episodes do not prove it.
    assert metrics["gate"]["verdict"] == "weak"
    assert any("the mean of the task" in reason for reason in metrics["gate"]["reasons"])


def test_the_rest_of_the_settings_do_something(frames, tiny):
    plain = train_value_model(frames, config=tiny)
    for change in (
        {"shift_pixels": 0},
        {"brightness": 0.0},
        {"use_bfloat16": True},
        {"weight_decay": 1.0},
        {"gradient_clip": 0.01},
        {"warmup_steps": 0},
        {"dropout": 0.0},
    ):
        with pytest.raises(AssertionError):
            assert_same_weights(plain, train_value_model(frames, config=replace(tiny, **change)))


def test_predictions_do_not_depend_on_the_batch_and_leave_the_mode_alone(frames, tiny):
    model = train_value_model(frames, config=tiny).model
    heard = []
    values = predict_values(
        model, frames.observations, batch_size=100, progress=lambda *said: heard.append(said)
    )
    assert values.dtype == np.float32
    assert np.all((values >= -1.0) & (values <= 0.0))
    assert heard[-1] == (len(values), len(values))
    np.testing.assert_allclose(
        values, predict_values(model.train(), frames.observations, batch_size=7), atol=1e-6
    )
    assert model.training


def test_an_unseen_instruction_is_answered(frames, tiny):
    model = train_value_model(frames, config=tiny).model
    foreign = replace(frames.observations, tasks=("fly away", "sing a song loudly and well"))
    assert np.isfinite(predict_values(model, foreign)).all()


def test_frames_of_another_robot_are_refused(frames, tiny, tmp_path):
    model = train_value_model(frames, config=tiny).model
    front_only = replace(frames.observations, images={"front": frames.observations.images["front"]})
    with pytest.raises(CheckpointError, match=r"made for cameras .*wrist.* have .*front.*16, 16"):
        predict_values(model, front_only)
    longer = replace(frames.observations, state=np.zeros((len(frames.returns), 3), np.float32))
    save_checkpoint(model, tmp_path / "base")
    with pytest.raises(CheckpointError, match="made for 2 state entries, and the episodes have 3"):
        train_value_model(
            replace(frames, observations=longer), config=tiny, initial=tmp_path / "base"
        )


def test_one_episode_is_too_few(random_walk, tiny):
    with pytest.raises(ConfigError, match=r"at least 2 judged episodes.* there are 1"):
        train_value_model(random_walk(1), config=tiny)


@pytest.mark.parametrize("device", ["cuda:77", "abacus"])
def test_a_device_that_is_not_there_is_named(frames, tiny, device):
    with pytest.raises(ConfigError, match=f"value.device={device} cannot be used here"):
        train_value_model(frames, config=replace(tiny, device=device))


def test_the_learning_rate_rises_and_falls():
    shares = [learning_rate_share(step, steps=10, warmup_steps=2) for step in range(1, 11)]
    assert shares[:3] == [0.5, 1.0, 1.0]
    assert shares[6] == pytest.approx(0.5)
    assert all(later < earlier for earlier, later in pairwise(shares[2:]))
    assert 0.0 < shares[-1] < 0.05
    assert learning_rate_share(1, steps=1, warmup_steps=50) == 1.0


def test_images_move_by_their_own_shift_and_the_border_stays():
    images = np.arange(2 * 3 * 3).reshape(2, 3, 3, 1).repeat(3, axis=3).astype(np.uint8)
    shift_in_place(images, np.array([[1, 0], [0, -2]]))
    assert images[0, :, :, 0].tolist() == [[0, 1, 2], [0, 1, 2], [3, 4, 5]]
    assert images[1, :, :, 0].tolist() == [[11, 10, 11], [14, 13, 14], [17, 16, 17]]


def test_shifting_leaves_the_recorded_images_alone(frames, tiny):
    before = {name: pixels.copy() for name, pixels in frames.observations.images.items()}
    train_value_model(frames, config=replace(tiny, shift_pixels=3))
    for name, pixels in frames.observations.images.items():
        np.testing.assert_array_equal(pixels, before[name])


def test_frames_that_do_not_belong_together_are_refused(frames):
    seen = frames.observations
    with pytest.raises(ValueError, match="must hold the same frames"):
        Observations(
            images=seen.images, state=seen.state[1:], task_index=seen.task_index, tasks=seen.tasks
        )
    for change, message in (
        ({"is_success": frames.is_success[1:]}, "must hold the frames observed"),
        ({"returns": frames.returns - 1.0}, r"every return must lie in \[-1, 0\]"),
        ({"returns": frames.returns * np.nan}, r"every return must lie in \[-1, 0\]"),
        ({"normalisers": {"walk to the left": 60.0}}, "no normaliser for .*right"),
    ):
        with pytest.raises(ValueError, match=message):
            replace(frames, **change)


def test_the_loss_of_a_batch_is_the_cross_entropy_of_forward(frames, tiny):
    model = train_value_model(frames, config=tiny).model
    batch = BatchReader(frames.observations, device=torch.device("cpu")).read(np.arange(4))
    in_floats = {name: pixels.float() for name, pixels in batch.images.items()}
    with torch.no_grad():
        logits = model(batch)
        floats = model(replace(batch, images=in_floats))
    assert logits.shape == (4, 11)
    assert torch.equal(logits, floats)
    target = model.support.project(torch.from_numpy(frames.returns[:4]))
    assert (cross_entropy(logits, target) > 0).all()
    assert isinstance(frames, JudgedFrames)
