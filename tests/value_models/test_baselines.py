"""What a value model must beat: clocks, means and a linear probe."""

from dataclasses import replace

import numpy as np
import pytest
import torch

from value_models.baselines import (
    BASELINE_MEANINGS,
    baseline_predictions,
    cells_of_training,
    gaussian_mass,
    steps_in_episode,
)
from value_models.bins import BinSupport
from value_models.config import Projection, ValueModelConfig
from value_models.frames import JudgedFrames, Observations
from value_models.probe import FIELDS_A_SIDE, LinearProbe, coarse_features

SUPPORT = BinSupport.of(ValueModelConfig(bins=5, projection=Projection.ONE_HOT))


def attempts(*returns, tasks=("a", "b"), task=None):
    """Frames of episodes with these returns, of task 0 unless it is said."""
    lengths = [len(of_episode) for of_episode in returns]
    return JudgedFrames(
        observations=Observations(
            images={},
            state=np.zeros((sum(lengths), 1), np.float32),
            task_index=np.repeat(task or [0] * len(returns), lengths),
            tasks=tasks,
        ),
        returns=np.concatenate(returns),
        episode_index=np.repeat(np.arange(len(returns)), lengths),
        is_success=np.ones(sum(lengths), dtype=bool),
        normalisers=dict.fromkeys(tasks, 10.0),
    )


def test_steps_count_from_zero_in_every_episode():
    assert steps_in_episode(np.array([7, 7, 7, 2, 2, 9])).tolist() == [0, 1, 2, 0, 1, 0]


def test_means_by_task_and_step_worked_by_hand():
    frames = attempts([-0.5, -0.25, 0.0], [-1.0, -0.75], [-0.5, 0.0], task=[0, 0, 1])
    by_task, by_time, cell = cells_of_training(frames, np.arange(7), support=SUPPORT)
    np.testing.assert_allclose(by_task.means, [-0.5, -0.25])
    # Task 0: both episodes at steps 0 and 1, one at step 2. Task 1 has no step 2.
    np.testing.assert_allclose(by_time.means, [-0.75, -0.5, 0.0, -0.5, 0.0, -0.25])
    assert cell.tolist() == [0, 1, 2, 0, 1, 3, 4]


def test_distributions_are_counts_with_one_frame_of_the_coarser_kind():
    frames = attempts([-1.0, -1.0, -0.5, 0.0], tasks=("a",))
    by_task, by_time, _ = cells_of_training(frames, np.arange(4), support=SUPPORT)
    everything = (np.array([2, 0, 1, 0, 1]) + 0.2) / 5
    of_task = (np.array([2, 0, 1, 0, 1]) + everything) / 5
    np.testing.assert_allclose(by_task.probabilities[0], of_task)
    np.testing.assert_allclose(by_time.probabilities[0], (np.array([1, 0, 0, 0, 0]) + of_task) / 2)
    np.testing.assert_allclose(by_time.probabilities.sum(axis=1), 1.0)


def test_a_later_step_counts_as_the_last_one_and_an_unknown_task_as_all():
    frames = attempts([-0.5, -0.25], [-1.0, -1.0, -1.0], [-1.0, -0.5], task=[0, 0, 1])
    train, held_out = np.array([0, 1]), np.arange(2, 7)
    said = baseline_predictions(frames, train, held_out, support=SUPPORT)
    np.testing.assert_allclose(said["time"].values, [-0.5, -0.25, -0.25, -0.375, -0.375])
    np.testing.assert_allclose(said["task"].values, [-0.375] * 5)


def test_a_baseline_is_scored_like_a_model():
    frames = attempts([-1.0, 0.0, 0.0], [-1.0], tasks=("a",))
    said = baseline_predictions(frames, np.arange(3), np.array([3]), support=SUPPORT)["task"]
    everything = (np.array([1, 0, 0, 0, 2]) + 0.2) / 4
    mass = (np.array([1, 0, 0, 0, 2]) + everything) / 4
    assert said.cross_entropy == pytest.approx([-np.log(mass[0])])
    assert said.pit_lower == pytest.approx([0.0])
    assert said.pit_upper == pytest.approx([mass[0]])


def test_baselines_see_nothing_of_the_held_out_episodes(frames):
    support = BinSupport.of(ValueModelConfig(bins=21))
    train = np.flatnonzero(frames.episode_index % 3 > 0)
    held_out = np.flatnonzero(frames.episode_index % 3 == 0)
    returns = frames.returns.copy()
    returns[held_out] = -0.123
    said = [
        baseline_predictions(some, train, held_out, support=support)
        for some in (frames, replace(frames, returns=returns))
    ]
    assert said[0].keys() == BASELINE_MEANINGS.keys()
    for name in said[0]:
        np.testing.assert_array_equal(said[0][name].values, said[1][name].values)


def test_the_mass_of_a_gaussian_lies_within_the_bins():
    mass = gaussian_mass(np.array([-0.5, 0.0, 3.0]), std=0.1, bins=11)
    np.testing.assert_allclose(mass.sum(axis=1), 1.0)
    assert mass[0].argmax() == 5
    np.testing.assert_allclose(mass[0], mass[0][::-1])
    np.testing.assert_allclose(mass[1], mass[2])
    below = torch.special.ndtr(torch.tensor([-0.5, 0.5], dtype=torch.float64))
    assert mass[0, 5] == pytest.approx(float(below[1] - below[0]), rel=1e-6)


def linear_world(episodes=20, *, noise=0.0):
    """Returns that are a linear function of one joint and of the brightness of a corner."""
    rng = np.random.default_rng(0)
    count = episodes * 10
    state = rng.uniform(size=(count, 2)).astype(np.float32)
    images = rng.integers(0, 255, (count, 16, 16, 3), dtype=np.uint8)
    corner = rng.integers(0, 255, count)
    images[:, :2, :2] = corner[:, None, None, None]
    returns = -0.1 - 0.4 * state[:, 0] - 0.3 * corner / 255 + rng.normal(0, noise, count)
    return JudgedFrames(
        observations=Observations(
            images={"front": images},
            state=state,
            task_index=np.zeros(count, dtype=int),
            tasks=("a",),
        ),
        returns=np.clip(returns, -1, 0),
        episode_index=np.repeat(np.arange(episodes), 10),
        is_success=np.ones(count, dtype=bool),
        normalisers={"a": 10.0},
    )


def test_the_probe_finds_what_is_linear():
    frames = linear_world(100)
    probe = LinearProbe.fit(frames, np.arange(800))
    asked = np.arange(800, 1000)
    np.testing.assert_allclose(probe.predict(asked), frames.returns[asked], atol=0.02)
    assert probe.error_std < 0.01


def test_the_error_of_the_probe_is_that_on_episodes_it_did_not_see():
    frames = linear_world(40, noise=0.1)
    probe = LinearProbe.fit(frames, np.arange(300))
    error = probe.predict(np.arange(300, 400)) - frames.returns[300:]
    assert probe.error_std == pytest.approx(np.sqrt(np.mean(error**2)), rel=0.3)
    assert probe.error_std > 0.09


def test_what_only_names_the_episode_teaches_nothing_about_others():
    """Frames of one episode are alike: leaving out single frames would call this a good fit."""
    rng = np.random.default_rng(0)
    frames = linear_world(30)
    name, luck = rng.normal(size=(30, 30)), rng.uniform(-0.9, -0.1, 30)
    named = replace(
        frames,
        observations=replace(
            frames.observations, images={}, state=np.repeat(name, 10, axis=0).astype(np.float32)
        ),
        returns=np.repeat(luck, 10),
    )
    assert LinearProbe.fit(named, np.arange(300)).error_std > 0.8 * luck.std()


def test_what_only_names_the_session_teaches_nothing_about_others():
    rng = np.random.default_rng(0)
    frames = linear_world(60)
    session = np.arange(60) // 6
    name, luck = rng.normal(size=(10, 10)), rng.uniform(-0.9, -0.1, 10)
    named = replace(
        frames,
        observations=replace(
            frames.observations,
            images={},
            state=np.repeat(name[session], 10, axis=0).astype(np.float32),
        ),
        returns=np.repeat(luck[session], 10),
    )
    everything = np.arange(600)
    assert LinearProbe.fit(named, everything).error_std < 0.3 * luck.std()
    by_session = replace(named, group_index=np.repeat(session, 10))
    assert LinearProbe.fit(by_session, everything).error_std > 0.5 * luck.std()
    # Of fewer sessions than are needed to leave one in five out, episodes are left out.
    by_half = replace(named, group_index=np.repeat(session % 4, 10))
    by_episode = LinearProbe.fit(named, everything)
    assert LinearProbe.fit(by_half, everything).error_std == by_episode.error_std


def test_too_few_episodes_fit_no_probe():
    frames = linear_world(5)
    assert LinearProbe.fit(frames, np.arange(40)) is None
    assert LinearProbe.fit(frames, np.arange(50)) is not None
    support = BinSupport.of(ValueModelConfig(bins=21))
    said = baseline_predictions(frames, np.arange(40), np.arange(40, 50), support=support)
    assert set(said) == {"time", "task"}


def test_features_are_joints_task_and_the_means_of_fields():
    frames = linear_world(2)
    features = coarse_features(frames.observations, np.array([3, 0]))
    assert features.shape == (2, 2 + 1 + 3 * FIELDS_A_SIDE**2)
    image = frames.observations.images["front"][3].astype(float)
    fields = [
        image[r : r + 2, c : c + 2].mean(axis=(0, 1))
        for r in range(0, 16, 2)
        for c in range(0, 16, 2)
    ]
    np.testing.assert_allclose(features[0, :3], [*frames.observations.state[3], 1.0])
    np.testing.assert_allclose(features[0, 3:], np.stack(fields, axis=1).ravel() / 255, atol=1e-6)


def test_very_many_frames_are_thinned_for_the_probe(monkeypatch):
    frames = linear_world(100)
    monkeypatch.setattr("value_models.probe.MOST_FRAMES", 300)
    probe = LinearProbe.fit(frames, np.arange(900))
    assert probe.offset == pytest.approx(frames.returns[:900:3].mean())
