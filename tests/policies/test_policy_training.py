from __future__ import annotations

import numpy as np
import pytest
import torch

from data.errors import CheckpointError, ConfigError
from recap.policies.checkpoint import load_policy, statistics_of
from recap.policies.conditioning import ConditioningGap, conditioning_gap
from recap.policies.fingerprint import policy_fingerprint
from recap.policies.training import learning_rate_at, train_policy


def weights_of(folder):
    return load_policy(folder).policy.state_dict()


def test_the_same_seed_gives_the_same_weights(tmp_path, frames, make):
    for name, seed in (("a", 1), ("b", 1), ("c", 2)):
        train_policy(
            frames,
            destination=tmp_path / name,
            settings=make.settings(seed=seed),
            start=make.shape(),
            statistics=make.statistics(frames),
        )

    first = policy_fingerprint(tmp_path / "a")
    assert first == policy_fingerprint(tmp_path / "b")
    assert first != policy_fingerprint(tmp_path / "c")


def test_a_frozen_encoder_is_unchanged_by_training_and_the_rest_is_not(
    tmp_path, checkpoints, frames, make
):
    train_policy(
        frames,
        destination=tmp_path / "tuned",
        settings=make.settings(freeze_encoder=True),
        start=checkpoints["prompt"],
    )

    before, after = weights_of(checkpoints["prompt"]), weights_of(tmp_path / "tuned")
    changed = {name for name in before if not torch.equal(before[name], after[name])}
    assert not {name for name in changed if name.startswith("encoders.")}
    assert {name for name in changed if name.startswith("expert.blocks.")}


def test_statistics_come_from_the_start_unless_given(tmp_path, checkpoints, frames, make):
    other = {key: {"mean": 0.5, "std": 2.0} for key in ("observation.state", "action")}
    for name, statistics in (("kept", None), ("given", other)):
        train_policy(
            frames,
            destination=tmp_path / name,
            settings=make.settings(steps=1),
            start=checkpoints["prompt"],
            statistics=statistics,
        )

    kept, given, base = (
        statistics_of(load_policy(folder).preprocessor)["action"]["std"]
        for folder in (tmp_path / "kept", tmp_path / "given", checkpoints["prompt"])
    )
    np.testing.assert_array_equal(kept, base)
    assert given == 2.0


def test_new_words_of_a_task_find_room_in_a_policy_that_is_tuned(tmp_path, checkpoints, make):
    frames = make.frames(2, task="stack the yellow cube")

    train_policy(
        frames,
        destination=tmp_path / "tuned",
        settings=make.settings(),
        start=checkpoints["prompt"],
    )

    vocabulary = load_policy(tmp_path / "tuned").policy.config.vocabulary
    before = load_policy(checkpoints["prompt"]).policy.config.vocabulary
    assert vocabulary == [*before, "stack", "yellow"]


@pytest.mark.slow
def test_one_small_batch_is_learned_by_heart(tmp_path, make):
    frames = make.frames(1)
    settings = make.settings(
        steps=250,
        batch_size=12,
        learning_rate=3e-3,
        noise_samples=8,
        waypoint_weight=0.0,
        shift_pixels=0,
        indicator_dropout=0.0,
        ema_decay=0.95,
    )

    train_policy(
        frames,
        destination=tmp_path / "policy",
        settings=settings,
        start=make.shape(chunk_size=1, n_action_steps=1, hidden_size=64),
        statistics=make.statistics(frames),
    )

    rows = np.flatnonzero(frames.indicator == 1)
    loaded = load_policy(tmp_path / "policy", indicator="positive")
    batch = loaded.preprocessor(make.observation(frames, rows))
    torch.manual_seed(0)
    actions = loaded.postprocessor(loaded.policy.predict_action_chunk(batch)[:, 0])
    spread = frames.action.std()
    assert np.abs(actions.numpy() - frames.action[rows]).mean() < 0.3 * spread


def test_progress_ends_with_the_last_step_and_the_losses(tmp_path, frames, make):
    seen = []

    report = train_policy(
        frames,
        destination=tmp_path / "policy",
        settings=make.settings(),
        start=make.shape(),
        statistics=make.statistics(frames),
        progress=lambda *event: seen.append(event),
    )

    assert seen == [(3, 3, report.metrics)]
    assert set(report.metrics) == {"flow_loss", "waypoint_loss"}


def test_a_destination_that_exists_is_refused_and_left_alone(tmp_path, frames, make):
    (tmp_path / "mine").write_text("keep me")

    with pytest.raises(CheckpointError, match=r"mine exists already\. Move it away"):
        train_policy(
            frames,
            destination=tmp_path / "mine",
            settings=make.settings(),
            start=make.shape(),
            statistics=make.statistics(frames),
        )

    assert (tmp_path / "mine").read_text() == "keep me"


def test_a_frozen_encoder_needs_a_checkpoint_to_come_from(tmp_path, frames, make):
    with pytest.raises(ConfigError, match="name a checkpoint to start from"):
        train_policy(
            frames,
            destination=tmp_path / "policy",
            settings=make.settings(freeze_encoder=True),
            start=make.shape(),
            statistics=make.statistics(frames),
        )


def test_the_learning_rate_rises_then_falls(make):
    settings = make.settings(steps=100, warmup_steps=10, learning_rate=1.0)
    rates = [learning_rate_at(step, settings) for step in range(1, 101)]

    assert rates[0] < 0.11
    assert max(rates) == pytest.approx(0.98, abs=0.02)
    assert rates[9:] == sorted(rates[9:], reverse=True)
    assert rates[-1] == pytest.approx(0.02)


@pytest.mark.parametrize("placement", ["prompt", "expert"])
def test_the_conditioning_gap_sees_whether_the_tag_matters(checkpoints, frames, placement):
    loaded = load_policy(checkpoints[placement])
    gap = conditioning_gap(loaded, frames)
    assert gap.action_difference > 0.0
    assert gap == conditioning_gap(loaded, frames)

    policy = loaded.policy
    policy.prompt.words.weight.data[2:5] = 0.0  # all three words of the indicator mean the same
    policy.expert.indicator.weight.data[:] = 0.0
    deaf = conditioning_gap(loaded, frames)

    assert deaf.action_difference == pytest.approx(0.0, abs=1e-6)
    assert deaf.loss_gap == pytest.approx(0.0, abs=1e-6)
    assert "The indicator hardly changes the actions" in deaf.warnings()[0]


def test_a_conditioning_that_works_the_wrong_way_round_is_reported():
    gap = ConditioningGap(
        told_loss=0.5,
        flipped_loss=0.4,
        untold_loss=0.45,
        action_difference=0.3,
    )

    assert [warning.split(":")[0].split(" (")[0] for warning in gap.warnings()] == [
        "The conditioning is not learned",
    ]
