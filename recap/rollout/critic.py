"""The value model beside the policy: what it says about attempts while they are made."""

from collections.abc import Mapping
from pathlib import Path

import numpy as np

from envs.world import Observation
from value_models.checkpoint import load_checkpoint
from value_models.frames import Observations
from value_models.prediction import predict_values


class Critic:
    """Values of several attempts at once.

    Like the policy it has a batch of fixed size in which every attempt keeps its place, so that
    what it says of one attempt does not depend on the others.
    """

    def __init__(self, folder: Path, *, batch_size: int) -> None:
        """Load the value model.

        Raises:
            CheckpointError: If it is not whole.
        """
        self._model = load_checkpoint(folder)
        self._batch_size = batch_size

    def values(self, seen: Mapping[int, Observation]) -> dict[int, float]:
        """Say what the attempts are worth.

        Args:
            seen: Place in the batch to what is seen there.

        Returns:
            The same places to normalised returns in [-1, 0].

        Raises:
            CheckpointError: If the value model was made for other cameras or joints.
        """
        somebody = next(iter(seen.values()))
        places = [seen.get(place, somebody) for place in range(self._batch_size)]
        tasks = sorted({observation.task for observation in places})
        values = predict_values(
            self._model,
            Observations(
                images={
                    camera: np.stack([observation.images[camera] for observation in places])
                    for camera in somebody.images
                },
                state=np.stack([observation.state for observation in places]),
                task_index=np.array([tasks.index(observation.task) for observation in places]),
                tasks=tasks,
            ),
            batch_size=self._batch_size,
        )
        return {place: float(values[place]) for place in seen}
