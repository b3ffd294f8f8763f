"""Small made-up recordings, and policies trained on them for a moment."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

TASKS = ("put the red cube on the green pad", "put the blue cube on the white pad")
EPISODE_FRAMES = 12
STATE_SIZE = 6
ACTION_SIZE = 3


class Make:
    """Makes small things of the kinds that training needs."""

    def frames(self, episodes=4, *, task=None, seed=0):
        from recap.policies.batches import TrainingFrames

        generator = np.random.default_rng(seed)
        frames = episodes * EPISODE_FRAMES
        starts = range(0, frames, EPISODE_FRAMES)
        return TrainingFrames(
            images={
                camera: generator.integers(0, 256, (frames, 32, 32, 3), dtype=np.uint8)
                for camera in ("front", "wrist")
            },
            state=generator.normal(size=(frames, STATE_SIZE)).astype(np.float32),
            action=generator.uniform(-1.0, 1.0, (frames, ACTION_SIZE)).astype(np.float32),
            bounds=[(start, start + EPISODE_FRAMES) for start in starts],
            tasks=[task or TASKS[i % len(TASKS)] for i in range(episodes)],
            indicator=generator.choice(np.array([-1, 1], dtype=np.int8), frames),
        )

    def statistics(self, frames):
        return {
            key: {"mean": values.mean(axis=0), "std": values.std(axis=0)}
            for key, values in (("observation.state", frames.state), ("action", frames.action))
        }

    def shape(self, **changes):
        from recap.policies.config import PolicyShape

        sizes = {"chunk_size": 4, "n_action_steps": 2, "keypoints": 8, "hidden_size": 32}
        return PolicyShape(**{**sizes, "layers": 2, **changes})

    def settings(self, **changes):
        from recap.policies.config import PolicyTrainingConfig

        return PolicyTrainingConfig(**{"steps": 3, "batch_size": 16, "noise_samples": 2, **changes})

    def observation(self, frames, rows):
        """What a world shows at these rows, as LeRobot hands it to a preprocessor."""
        import torch

        from recap.policies.prepared import as_pictures

        distinct, numbers = frames.task_rows()
        return {
            **{
                f"observation.images.{name}": as_pictures(images[rows])
                for name, images in frames.images.items()
            },
            "observation.state": torch.from_numpy(frames.state[rows]),
            "task": [distinct[number] for number in numbers[rows]],
        }


@pytest.fixture(scope="session")
def make():
    return Make()


@pytest.fixture(scope="session")
def frames(make):
    return make.frames()


@pytest.fixture(scope="session")
def checkpoints(tmp_path_factory, frames, make) -> dict[str, Path]:
    """One briefly trained checkpoint for each placement of the indicator."""
    from recap.policies.training import train_policy

    root = tmp_path_factory.mktemp("policies")
    for placement in ("prompt", "expert"):
        train_policy(
            frames,
            destination=root / placement,
            settings=make.settings(steps=20),
            start=make.shape(indicator_placement=placement),
            statistics=make.statistics(frames),
        )
    return {placement: root / placement for placement in ("prompt", "expert")}
