"""A world whose values are known in closed form: a dot on a line, seen as a 16 x 16 image."""

import numpy as np
import pytest

from value_models.config import ValueModelConfig, ValueTrainingConfig
from value_models.frames import JudgedFrames, Observations

PLACES = 8
CHANCE = 0.5
NORMALISER = 60.0
TASKS = ("walk to the left", "walk to the right")


def draw(place: int) -> np.ndarray:
    """Draw the dot, two pixels wide, somewhere between the left and the right border."""
    image = np.zeros((16, 16, 3), dtype=np.uint8)
    image[6:10, 2 * place : 2 * place + 2] = 255
    return image


def true_return(place: int, task: int) -> float:
    """A step succeeds with CHANCE; the last frame is the one from which the goal is reached."""
    distance = place + 1 if task == 0 else PLACES - place
    return -(distance / CHANCE - 1.0) / NORMALISER


def walk(episodes: int, *, seed: int = 0) -> JudgedFrames:
    """Walk to the goal of a task drawn for every episode; every fifth one fails at its end."""
    rng = np.random.default_rng(seed)
    images, tasks, returns, index, success = [], [], [], [], []
    for episode in range(episodes):
        place, task = int(rng.integers(PLACES)), episode % 2
        visited = []
        while 0 <= place < PLACES:
            visited.append(place)
            place += (1 if task else -1) * int(rng.random() < CHANCE)
        images += [draw(place) for place in visited]
        tasks += [task] * len(visited)
        returns += [-left / NORMALISER for left in reversed(range(len(visited)))]
        index += [episode] * len(visited)
        success += [episode % 5 > 0] * len(visited)
    side = np.stack(images)
    return JudgedFrames(
        observations=Observations(
            images={"front": side, "wrist": np.ascontiguousarray(side[:, :12])},
            # Joints that tell nothing: the place must be seen, the goal must be read.
            state=np.stack([rng.normal(size=len(tasks)), np.ones(len(tasks))], axis=1).astype(
                np.float32
            ),
            task_index=np.array(tasks),
            tasks=TASKS,
        ),
        returns=np.array(returns),
        episode_index=np.array(index),
        is_success=np.array(success),
        normalisers=dict.fromkeys(TASKS, NORMALISER),
    )


@pytest.fixture(scope="session")
def random_walk():
    """Make the walks of so many episodes."""
    return walk


@pytest.fixture(scope="session")
def every_place() -> tuple[Observations, np.ndarray]:
    """Every place in both tasks, and the true returns there."""
    grid = [(place, task) for task in range(2) for place in range(PLACES)]
    side = np.stack([draw(place) for place, _ in grid])
    observations = Observations(
        images={"front": side, "wrist": np.ascontiguousarray(side[:, :12])},
        state=np.zeros((len(grid), 2), dtype=np.float32),
        task_index=np.array([task for _, task in grid]),
        tasks=TASKS,
    )
    return observations, np.array([true_return(*point) for point in grid])


@pytest.fixture(scope="session")
def frames() -> JudgedFrames:
    return walk(60)


@pytest.fixture(scope="session")
def tiny() -> ValueTrainingConfig:
    """Settings that train in a blink, and learn nothing worth having."""
    return ValueTrainingConfig(
        model=ValueModelConfig(bins=11, channels=4, keypoints=2, text_width=4, hidden_size=8),
        steps=6,
        batch_size=8,
        measurements=2,
        holdout_fraction=0.2,
        dropout=0.1,
    )
