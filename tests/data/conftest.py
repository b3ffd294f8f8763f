"""Small episodes whose every pixel and number tells which episode and frame it belongs to."""

import os

import numpy as np
import pytest

from data.episodes import EpisodeStore
from data.schema import Ending, EpisodeInfo, EpisodeRecord, Layout, Outcome, Pilot, Source
from data.trainset import Trainset

LAYOUT = Layout(
    fps=20,
    cameras={"front": (32, 48), "wrist": (16, 16)},
    state_names=("x", "y", "grip"),
    action_names=("dx", "dy"),
    robot_type="test_arm",
)


def episode(
    uid="rollout-01-00000001",
    *,
    frames=6,
    task="put the red cube on the green pad",
    source=Source.ROLLOUT,
    pilot=None,
    seed=1,
    shade=100,
):
    """Make an attempt: a grey scene that brightens by 4 a frame, with a dark left half."""
    pilot = pilot or [Pilot.POLICY if source is Source.ROLLOUT else Pilot.EXPERT] * frames
    corrected = sum(p is not Pilot.POLICY for p in pilot) if source is Source.ROLLOUT else 0
    images = {}
    for camera, (height, width) in LAYOUT.cameras.items():
        pixels = np.zeros((frames, height, width, 3), dtype=np.uint8)
        pixels[:, :, width // 2 :] = (shade + 4 * np.arange(frames) % 100)[:, None, None, None]
        images[camera] = pixels
    rng = np.random.default_rng(seed)
    return EpisodeRecord(
        info=EpisodeInfo(
            uid=uid,
            task=task,
            seed=seed,
            source=source,
            iteration=int(source is Source.ROLLOUT),
            policy_id="base" if source is Source.ROLLOUT else "",
            ending=Ending.TERMINATED,
            frames=frames,
            corrected_frames=corrected,
            measured_success=True,
        ),
        images=images,
        state=rng.normal(size=(frames, 3)).astype(np.float32),
        action=rng.normal(size=(frames, 2)).astype(np.float32),
        pilot=pilot,
    )


@pytest.fixture
def layout():
    return LAYOUT


@pytest.fixture
def make_episode():
    return episode


@pytest.fixture
def store(tmp_path):
    return EpisodeStore(tmp_path / "episodes", LAYOUT)


@pytest.fixture
def three_episodes(store):
    """A demonstration, a rollout with two corrected frames, and a rollout of another task."""
    helped = [Pilot.POLICY] * 3 + [Pilot.EXPERT] * 2 + [Pilot.POLICY] * 2
    records = [
        episode("demonstration-00-00000007", frames=5, source=Source.DEMONSTRATION, seed=7),
        episode("rollout-01-00000001", frames=7, pilot=helped, seed=8, shade=140),
        episode("rollout-01-00000002", frames=4, task="stack", seed=9, shade=60),
    ]
    for record in records:
        store.write(record)
    return records


@pytest.fixture
def outcomes():
    return {
        "demonstration-00-00000007": Outcome.SUCCESS,
        "rollout-01-00000001": Outcome.SUCCESS,
        "rollout-01-00000002": Outcome.FAILURE,
    }


@pytest.fixture
def trainset(store, three_episodes, outcomes, tmp_path):
    return Trainset.build(
        store,
        outcomes,
        uids=[record.info.uid for record in three_episodes],
        destination_root=tmp_path / "trainsets",
        statistics=None,
    )


@pytest.fixture(scope="session")
def open_in_lerobot(tmp_path_factory):
    """Open a folder with the stock LeRobotDataset, without a network."""
    os.environ["HF_HUB_OFFLINE"] = "1"
    os.environ.setdefault("HF_DATASETS_CACHE", str(tmp_path_factory.mktemp("hf_datasets")))

    def opened(root, **options):
        from lerobot.datasets.lerobot_dataset import LeRobotDataset

        return LeRobotDataset("test/episodes", root=root, video_backend="pyav", **options)

    return opened
