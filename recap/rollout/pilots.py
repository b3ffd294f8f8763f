"""The policy as a pilot: observations of several attempts in, chunks of actions out."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from data.schema import IMAGE_PREFIX, STATE_KEY
from envs.world import Observation
from recap.policies.checkpoint import load_policy
from recap.rollout.attempt import NOISE_STREAM

Floats = NDArray[np.float32]


class PolicyPilot:
    """A trained policy, run through the processors that its own checkpoint carries.

    Attempts are kept at fixed places of a batch of fixed size, and each draws its noise from its
    own seed. So what the policy does in an attempt depends on that attempt and its place alone,
    not on how the others go, and a collection that is stopped and goes on makes the same episodes.
    """

    def __init__(
        self,
        folder: Path,
        *,
        batch_size: int,
        indicator: str | None = None,
        guidance: float | None = None,
    ) -> None:
        """Load the checkpoint; ``indicator`` and ``guidance`` override what it was saved with."""
        loaded = load_policy(folder, indicator=indicator, guidance_scale=guidance)
        self._policy = loaded.policy
        self._preprocess = loaded.preprocessor
        self._postprocess = loaded.postprocessor
        self._batch_size = batch_size
        self._noise: list[torch.Generator] = []

    @property
    def steps_between_looks(self) -> int:
        """How many actions of a chunk are carried out before the next one is predicted."""
        steps: int = self._policy.config.n_action_steps
        return steps

    def begin(self, seeds: Sequence[int]) -> None:
        """Forget earlier attempts and seed the noise of the new ones."""
        self._policy.reset()
        self._noise = [torch.Generator().manual_seed(_noise_seed(seed)) for seed in seeds]

    @torch.inference_mode()
    def chunks(self, observations: Mapping[int, Observation]) -> dict[int, Floats]:
        """Predict a chunk of actions for every attempt that wants one.

        Args:
            observations: Place in the batch to what is seen there.

        Returns:
            The same places to ``(chunk, A)`` actions in the world's units.
        """
        somebody = next(iter(observations.values()))
        places = [observations.get(place, somebody) for place in range(self._batch_size)]
        batch = self._preprocess(_as_batch(places))
        predicted = self._policy.predict_action_chunk(batch, noise=self._draw(observations))
        actions = self._postprocess(predicted).cpu().numpy().astype(np.float32)
        return {place: actions[place] for place in observations}

    def _draw(self, observations: Mapping[int, Observation]) -> torch.Tensor:
        config = self._policy.config
        shape = (config.chunk_size, config.output_features["action"].shape[0])
        noise = torch.zeros(self._batch_size, *shape)
        for place in observations:
            noise[place] = torch.randn(shape, generator=self._noise[place])
        return noise


def _noise_seed(seed: int) -> int:
    return int(np.random.SeedSequence([seed, NOISE_STREAM]).generate_state(1)[0])


def _as_batch(observations: Sequence[Observation]) -> dict[str, Any]:
    """Arrange observations as LeRobot's environments do: pictures ``(B, 3, H, W)`` in [0, 1]."""
    batch: dict[str, Any] = {}
    for camera in observations[0].images:
        pictures = np.stack([seen.images[camera] for seen in observations])
        channels_first = torch.from_numpy(pictures).permute(0, 3, 1, 2).contiguous()
        batch[IMAGE_PREFIX + camera] = channels_first.float() / 255
    batch[STATE_KEY] = torch.from_numpy(np.stack([seen.state for seen in observations]))
    batch["task"] = [seen.task for seen in observations]
    return batch
