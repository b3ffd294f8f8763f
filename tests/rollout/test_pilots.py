"""The policy of one robot: any checkpoint, chunk by chunk."""

import json
import shutil
from dataclasses import replace

import numpy as np
import pytest

from data.errors import CheckpointError
from envs.tabletop import LAYOUT, Tabletop
from envs.world import Observation
from recap.policies.fingerprint import policy_fingerprint
from recap.rollout.chunks import Prefix
from recap.rollout.execution import ExecutionConfig
from recap.rollout.pilots import PolicyPilot, PolicySource, Question

pytestmark = pytest.mark.render


@pytest.fixture(scope="module")
def seen():
    return Tabletop().reset(seed=0)


def chunk_of(source, observation, *, prefix=None, seed=1):
    source.begin(seed=seed)
    return source.predict(observation, prefix)


def test_a_source_does_what_a_pilot_of_one_attempt_does(tiny_policy, seen):
    source = PolicySource(tiny_policy, layout=LAYOUT)
    pilot = PolicyPilot(tiny_policy, batch_size=1)
    source.begin(seed=5)
    pilot.begin([5])
    for _ in range(2):
        ours, theirs = source.predict(seen, None), pilot.chunks({0: Question(observation=seen)})[0]
        np.testing.assert_array_equal(ours.actions, theirs.actions)
        np.testing.assert_array_equal(ours.normalised, theirs.normalised)


def test_a_source_says_what_it_is(tiny_policy):
    source = PolicySource(tiny_policy)
    assert (source.chunk_steps, source.executed_steps) == (8, 4)
    assert source.follows_prefix
    assert source.policy_id == policy_fingerprint(tiny_policy)


def test_a_chunk_is_in_the_worlds_units_and_as_predicted(tiny_policy, seen):
    from recap.policies.checkpoint import load_policy

    chunk = chunk_of(PolicySource(tiny_policy), seen)
    assert chunk.actions.shape == chunk.normalised.shape == (8, 5)
    assert chunk.actions.dtype == chunk.normalised.dtype == np.float32
    statistics = load_policy(tiny_policy).postprocessor.steps[0].stats["action"]
    expected = chunk.normalised * np.array(statistics["std"]) + np.array(statistics["mean"])
    np.testing.assert_allclose(chunk.actions, expected, rtol=1e-4, atol=1e-5)


def test_noise_comes_from_the_attempts_seed(tiny_policy, seen):
    source = PolicySource(tiny_policy)
    first, again = chunk_of(source, seen), chunk_of(source, seen)
    np.testing.assert_array_equal(first.actions, again.actions)
    assert not np.array_equal(source.predict(seen, None).actions, first.actions)
    assert not np.array_equal(chunk_of(source, seen, seed=2).actions, first.actions)


@pytest.mark.parametrize("told", [{"indicator": "negative"}, {"guidance": 3.0}])
def test_indicator_and_guidance_reach_the_policy(tiny_policy, seen, told):
    plain, other = PolicySource(tiny_policy), PolicySource(tiny_policy, **told)
    assert not np.array_equal(chunk_of(plain, seen).actions, chunk_of(other, seen).actions)


@pytest.mark.parametrize("told", [{}, {"guidance": 3.0}, {"indicator": "negative"}])
def test_under_real_time_execution_a_chunk_agrees_with_its_prefix(tiny_policy, seen, told):
    execution = ExecutionConfig(type="real_time", prefix_schedule="ones")
    source = PolicySource(tiny_policy, execution=execution, **told)
    prefix = Prefix(normalised=np.full((6, 5), 0.7, dtype=np.float32), delay_steps=3)
    free, guided = chunk_of(source, seen), chunk_of(source, seen, prefix=prefix)
    distance = [np.abs(chunk.normalised[:6] - 0.7).mean() for chunk in (free, guided)]
    assert distance[1] < 0.2 * distance[0]


def test_the_strength_and_the_fading_of_the_pull_are_settings(tiny_policy, seen):
    prefix = Prefix(normalised=np.full((6, 5), 0.7, dtype=np.float32), delay_steps=3)
    chunks = [
        chunk_of(
            PolicySource(tiny_policy, execution=ExecutionConfig(type="real_time", **settings)),
            seen,
            prefix=prefix,
        ).actions
        for settings in ({}, {"prefix_schedule": "zeros"}, {"max_guidance_weight": 0.5})
    ]
    assert not np.array_equal(chunks[0], chunks[1])
    assert not np.array_equal(chunks[0], chunks[2])


def test_cameras_that_the_policy_does_not_know_are_left_out(tiny_policy, seen):
    more = replace(seen, images={"above": np.zeros((9, 9, 3), dtype=np.uint8), **seen.images})
    source = PolicySource(tiny_policy)
    np.testing.assert_array_equal(chunk_of(source, more).actions, chunk_of(source, seen).actions)


def test_a_robot_with_other_cameras_and_joints_is_refused_before_it_moves(tiny_policy):
    layout = replace(
        LAYOUT,
        cameras={"top": (480, 640), "front": (64, 64)},
        state_names=("shoulder", "elbow"),
        action_names=("shoulder", "elbow"),
    )
    with pytest.raises(CheckpointError) as refusal:
        PolicySource(tiny_policy, layout=layout)
    assert str(refusal.value) == (
        f"{tiny_policy} does not fit this robot. The policy wants cameras front (64 by 64), wrist "
        f"(64 by 64), 10 numbers in a state, 5 numbers in a command; the robot has cameras front "
        f"(64 by 64), top (480 by 640), 2 numbers in a state, 2 numbers in a command. Name and "
        f"size the robot's cameras as in the episodes that the policy was trained on, or take "
        f"another policy."
    )


@pytest.mark.parametrize("what", ["no camera", "another size", "another state"])
def test_an_observation_that_does_not_fit_is_refused(tiny_policy, seen, what):
    wrong = {
        "no camera": replace(seen, images={}),
        "another size": replace(
            seen, images={**seen.images, "front": np.zeros((64, 48, 3), dtype=np.uint8)}
        ),
        "another state": replace(seen, state=np.zeros(6, dtype=np.float32)),
    }[what]
    with pytest.raises(CheckpointError, match="does not fit this robot"):
        PolicySource(tiny_policy).predict(wrong, None)


def without_indicator(folder, destination):
    """A copy of a checkpoint as somebody else would have trained it."""
    shutil.copytree(folder, destination)
    path = destination / "policy_preprocessor.json"
    content = json.loads(path.read_text())
    content["steps"] = [
        step for step in content["steps"] if not step.get("class", "").endswith("IndicatorStep")
    ]
    path.write_text(json.dumps(content))
    return destination


def test_a_policy_without_an_indicator_flies_but_cannot_be_told(tiny_policy, seen, tmp_path):
    plain = without_indicator(tiny_policy, tmp_path / "policy")
    chunk_of(PolicySource(plain), seen)
    with pytest.raises(CheckpointError) as refusal:
        PolicySource(plain, indicator="positive")
    assert str(refusal.value) == (
        f"{plain} was not trained with an indicator, so it cannot be told 'positive'. Leave the "
        f"indicator out."
    )


@pytest.mark.filterwarnings("ignore")
@pytest.mark.slow
def test_a_smolvla_flies_any_robot_and_follows_prefixes(tmp_path):
    from recap.policies.batches import TrainingFrames
    from recap.policies.config import PolicyTrainingConfig
    from recap.policies.small_smolvla import train_small_smolvla

    rng = np.random.default_rng(0)
    frames = TrainingFrames(
        images={"top": rng.integers(0, 256, (24, 40, 56, 3), dtype=np.uint8)},
        state=rng.normal(size=(24, 3)).astype(np.float32),
        action=rng.uniform(-1, 1, (24, 2)).astype(np.float32),
        bounds=[(0, 12), (12, 24)],
        tasks=["push", "pull"],
        indicator=np.ones(24, dtype=np.int8),
    )
    folder = train_small_smolvla(
        frames,
        destination=tmp_path / "smolvla",
        settings=PolicyTrainingConfig(steps=2, batch_size=4),
        statistics={
            "observation.state": {"mean": np.zeros(3), "std": np.ones(3)},
            "action": {"mean": np.zeros(2), "std": np.ones(2)},
        },
        width=32,
        layers=2,
    ).destination
    source = PolicySource(folder, execution=ExecutionConfig(type="real_time"))
    picture = np.zeros((48, 64, 3), dtype=np.uint8)  # it brings pictures to its own size itself
    seen = Observation(images={"top": picture}, state=np.zeros(3, dtype=np.float32), task="push")
    free, again = chunk_of(source, seen), chunk_of(source, seen)
    assert free.actions.shape == (8, 2)
    np.testing.assert_array_equal(free.actions, again.actions)
    prefix = Prefix(normalised=np.full((8, 2), 0.7, dtype=np.float32), delay_steps=8)
    guided = chunk_of(source, seen, prefix=prefix)
    assert source.follows_prefix
    distance = [np.abs(chunk.normalised - 0.7).mean() for chunk in (free, guided)]
    assert distance[1] < 0.2 * distance[0]
    with pytest.raises(CheckpointError, match=r"which has no guidance, so it cannot be 2\.0"):
        PolicySource(folder, guidance=2.0)
