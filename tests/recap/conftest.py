"""Demonstrations made by hand, for projects that need something to train on."""

import numpy as np
import pytest

from data.schema import Ending, EpisodeInfo, EpisodeRecord, Pilot, Source

TASKS = ("put the red cube on the green pad", "put the blue cube on the white pad")
FRAMES = 12


def demonstrate(project, seeds):
    """Record demonstrations of noise; the world measured the first four as successes."""
    from recap.trainsets import open_store

    store = open_store(project)
    rng = np.random.default_rng(0)
    for number, seed in enumerate(seeds):
        info = EpisodeInfo(
            uid=f"demonstration-00-{seed:08d}",
            task=TASKS[number % 2],
            seed=seed,
            source=Source.DEMONSTRATION,
            iteration=0,
            policy_id="",
            ending=Ending.TERMINATED,
            frames=FRAMES,
            corrected_frames=0,
            measured_success=number < 4,
        )
        images = {
            camera: rng.integers(0, 255, (FRAMES, *size, 3), dtype=np.uint8)
            for camera, size in store.layout.cameras.items()
        }
        store.write(
            EpisodeRecord(
                info=info,
                images=images,
                state=rng.normal(size=(FRAMES, len(store.layout.state_names))).astype(np.float32),
                action=rng.normal(size=(FRAMES, len(store.layout.action_names))).astype(np.float32),
                pilot=[Pilot.EXPERT] * FRAMES,
            )
        )


@pytest.fixture(scope="session", name="demonstrate")
def demonstrate_():
    return demonstrate
