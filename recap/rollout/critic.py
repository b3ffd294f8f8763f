"""The value model beside the policy: what it says about attempts while they are made."""

import logging
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np

from data.schema import Layout
from envs.world import Observation
from recap.values import as_seen, backbone_of, with_features
from value_models.belonging import unknown_tasks
from value_models.checkpoint import load_checkpoint
from value_models.frames import Observations
from value_models.prediction import predict_values

logger = logging.getLogger(__name__)


class Critic:
    """Values of several attempts at once.

    Like the policy it has a batch of fixed size in which every attempt keeps its place, so that
    what it says of one attempt does not depend on the others.
    """

    def __init__(self, folder: Path, *, batch_size: int, layout: Layout | None = None) -> None:
        """Load the value model.

        Args:
            folder: Its checkpoint.
            batch_size: Attempts at once.
            layout: What every frame of these attempts holds, to be compared with what the value
                model was made for; None where only what is seen can be.

        Raises:
            CheckpointError: If it is not whole, or it reads a policy's features and the policy is
                not there.
            FingerprintError: If that policy is another one by now.
        """
        self._model = load_checkpoint(folder)
        self._backbone = backbone_of(self._model.spec)
        self._batch_size = batch_size
        self._layout = layout
        self._warned_of: set[str] = set()

    def values(self, seen: Mapping[int, Observation]) -> dict[int, float]:
        """Say what the attempts are worth.

        Args:
            seen: Place in the batch to what is seen there.

        Returns:
            The same places to normalised returns in [-1, 0].

        Raises:
            CheckpointError: If the value model was made for other cameras, joints or another rate.
        """
        somebody = next(iter(seen.values()))
        places = [seen.get(place, somebody) for place in range(self._batch_size)]
        tasks = sorted({observation.task for observation in places})
        self._warn_of_unknown(tasks)
        images = {
            camera: np.stack([observation.images[camera] for observation in places])
            for camera in somebody.images
        }
        observations = Observations(
            images=as_seen(self._model.spec.config, images),
            state=np.stack([observation.state for observation in places]),
            task_index=np.array([tasks.index(observation.task) for observation in places]),
            tasks=tasks,
            fps=None if self._layout is None else self._layout.fps,
            state_names=None if self._layout is None else self._layout.state_names,
        )
        values = predict_values(
            self._model,
            with_features(self._backbone, observations),
            batch_size=self._batch_size,
        )
        return {place: float(values[place]) for place in seen}

    def _warn_of_unknown(self, tasks: Sequence[str]) -> None:
        """Say once of every task that the value model only guesses; the attempts go on."""
        for task in unknown_tasks(self._model.spec, tasks):
            if task not in self._warned_of:
                self._warned_of.add(task)
                logger.warning("The value model was not trained on '%s': it guesses.", task)
