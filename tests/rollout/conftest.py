"""A policy that can do nothing yet, and the ways to let it try."""

import numpy as np
import pytest

from data.episodes import EpisodeStore
from data.frames import decode_episode
from data.schema import ACTION_KEY, STATE_KEY
from envs.tabletop import LAYOUT
from recap.progress import silent
from recap.rollout.attempt import AttemptPlan
from recap.rollout.manager import PilotSpec, RecordingSpec, Rollouts, run_rollouts

TIME_LIMIT_STEPS = 24


def roll_out(plans, *, pilot=None, episodes=None, workers=1, worlds=4):
    """Make attempts, recorded under ``episodes`` where it is given."""
    recording = episodes and RecordingSpec(episodes=episodes, iteration=1, policy_id="tiny")
    rollouts = Rollouts(
        plans=plans,
        pilot=pilot and PilotSpec(folder=pilot),
        recording=recording,
        workers=workers,
        worlds_per_worker=worlds,
    )
    return run_rollouts(rollouts, silent("collect"))


def plan(seed, *, takeover_step=None, time_limit_steps=TIME_LIMIT_STEPS, **others):
    """Plan a short attempt."""
    return AttemptPlan(
        seed=seed, takeover_step=takeover_step, time_limit_steps=time_limit_steps, **others
    )


def demonstrations(count, **others):
    """Plan attempts that the skilled expert makes alone."""
    return [plan(seed, takeover_step=0, time_limit_steps=100, **others) for seed in range(count)]


@pytest.fixture(name="plan")
def plan_():
    return plan


@pytest.fixture(name="demonstrations")
def demonstrations_():
    return demonstrations


@pytest.fixture(name="roll_out")
def roll_out_():
    return roll_out


@pytest.fixture
def hashes():
    """The content hash of every episode under a folder."""

    def of(episodes):
        store = EpisodeStore(episodes, LAYOUT)
        return {uid: store.content_hash(uid) for uid in store.uids()}

    return of


@pytest.fixture(scope="session")
def demonstrated(tmp_path_factory):
    """Three flawless demonstrations on disk."""
    episodes = tmp_path_factory.mktemp("demonstrated") / "episodes"
    roll_out(demonstrations(3), episodes=episodes)
    return EpisodeStore(episodes, LAYOUT)


@pytest.fixture(scope="session")
def tiny_policy(demonstrated, tmp_path_factory):
    """A checkpoint of a few steps' training: the real thing in everything but skill."""
    from recap.policies.batches import TrainingFrames
    from recap.policies.config import PolicyShape, PolicyTrainingConfig
    from recap.policies.training import train_policy

    tables = [demonstrated.table(uid) for uid in demonstrated.uids()]
    stops = np.cumsum([len(table) for table in tables])
    columns = {
        key: np.concatenate([np.stack(table[key]) for table in tables]).astype(np.float32)
        for key in (STATE_KEY, ACTION_KEY)
    }
    folders = [demonstrated.root / uid for uid in demonstrated.uids()]
    frames = TrainingFrames(
        images={
            camera: np.concatenate([decode_episode(folder, camera) for folder in folders])
            for camera in LAYOUT.cameras
        },
        state=columns[STATE_KEY],
        action=columns[ACTION_KEY],
        bounds=[(stop - len(t), stop) for stop, t in zip(stops.tolist(), tables, strict=True)],
        tasks=[demonstrated.info(uid).task for uid in demonstrated.uids()],
        indicator=np.where(np.arange(stops[-1]) % 2, 1, -1).astype(np.int8),
    )
    folder = tmp_path_factory.mktemp("tiny") / "policy"
    train_policy(
        frames,
        destination=folder,
        settings=PolicyTrainingConfig(steps=6, batch_size=16, noise_samples=2),
        start=PolicyShape(keypoints=8, hidden_size=32, layers=1, text_width=8, flow_steps=3),
        statistics={
            key: {"mean": values.mean(axis=0), "std": values.std(axis=0)}
            for key, values in columns.items()
        },
    )
    return folder
