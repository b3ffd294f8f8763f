"""Sessions with the simulated arm in real time: a policy that can do nothing, and how to begin."""

import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from data.episodes import EpisodeStore, layout_of_episode
from data.schema import ACTION_KEY, STATE_KEY

ROOT = Path(__file__).parents[2]
SIZE = (48, 64)
RATE_HZ = 25
SETTINGS = (
    f"--config_path={ROOT / 'configs' / 'mujoco_arm.yaml'}",
    f"--robot.image_height={SIZE[0]}",
    f"--robot.image_width={SIZE[1]}",
    f"--session.rate_hz={RATE_HZ}",
    "--session.operator=anna",
)


def make_policy(folder, *, size=SIZE, spread_degrees=4.0):
    """Save a policy with random weights that moves the arm about its starting pose."""
    from envs.live_arm import HOME_POSITIONS
    from recap.policies.batches import TrainingFrames
    from recap.policies.config import PolicyShape, PolicyTrainingConfig
    from recap.policies.training import train_policy

    rng = np.random.default_rng(0)
    frames = 40
    rows = (HOME_POSITIONS + rng.normal(scale=spread_degrees, size=(frames, 6))).astype(np.float32)
    statistics = {"mean": rows.mean(axis=0), "std": rows.std(axis=0)}
    train_policy(
        TrainingFrames(
            images={
                camera: rng.integers(0, 256, (frames, *size, 3), dtype=np.uint8)
                for camera in ("front", "wrist")
            },
            state=rows,
            action=rows,
            bounds=[(0, frames)],
            tasks=["put the red cube on the green pad"],
            indicator=np.ones(frames, dtype=np.int8),
        ),
        destination=folder,
        settings=PolicyTrainingConfig(steps=1, batch_size=4, noise_samples=1, waypoint_weight=0.0),
        start=PolicyShape(keypoints=4, hidden_size=16, layers=1, text_width=8, flow_steps=2),
        statistics={STATE_KEY: statistics, ACTION_KEY: statistics},
    )
    return folder


@pytest.fixture(scope="session")
def arm_policy(tmp_path_factory):
    """A policy for the small pictures of these tests."""
    return make_policy(tmp_path_factory.mktemp("arm") / "policy")


@pytest.fixture(scope="session")
def settings():
    """What every session here is started with."""
    return SETTINGS


@pytest.fixture
def project(tmp_path):
    return tmp_path / "run"


@pytest.fixture
def recorded():
    """The episodes of a project in the order of their names, which is that of time."""

    def read(project):
        folders = sorted((project / "episodes").glob("[!.]*/"))
        if not folders:
            return None, []
        store = EpisodeStore(project / "episodes", layout_of_episode(folders[0]))
        return store, store.infos()

    return read


@pytest.fixture
def environment(tmp_path):
    """The environment of a command in a process of its own."""
    found = {**os.environ, "OMP_NUM_THREADS": "1", "HF_LEROBOT_HOME": str(tmp_path / "lerobot")}
    found.pop("RECAP_POLICY_TOKEN", None)
    return found


@pytest.fixture
def spawn(environment):
    """Start recap in a process of its own; whatever is left of it at the end is killed."""
    started = []

    def start(*words, **options):
        process = subprocess.Popen(
            [sys.executable, "-m", "recap.cli", *map(str, words)],
            cwd=ROOT,
            env={**environment, **options.pop("variables", {})},
            **{"stdin": subprocess.DEVNULL, "stdout": -1, "stderr": -1, "text": True, **options},
        )
        started.append(process)
        return process

    yield start
    for process in started:
        process.kill()
        process.communicate()
