"""A checkpoint at work: observations and noise in, chunks of actions out."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import numpy as np
import torch
from lerobot.configs import RTCAttentionSchedule
from lerobot.policies.rtc import RTCConfig
from lerobot.processor import RelativeActionsProcessorStep, RenameObservationsProcessorStep
from lerobot.utils.constants import ACTION
from torch import Tensor

from data.errors import CheckpointError
from data.schema import IMAGE_PREFIX, STATE_KEY
from recap.policies.checkpoint import load_policy
from recap.policies.fingerprint import policy_fingerprint
from recap.rollout.attempt import NOISE_STREAM
from recap.rollout.chunks import Chunk, Prefix
from recap.rollout.execution.config import REAL_TIME, ExecutionConfig

if TYPE_CHECKING:
    from envs.world import Observation

NOISE_TAKERS: Final = frozenset({"recap_flow", "smolvla", "pi0", "pi05"})
"""Policy types that accept the noise they start from. Others draw it from torch's own source."""

RESIZING: Final = ("resize_imgs_with_padding", "image_resolution")
"""Settings of policies that bring pictures of any size to their own."""

EMPTY_CAMERA: Final = "empty_camera"
"""LeRobot's name for places of pictures that no camera fills."""


class Predictor:
    """A policy of any LeRobot type, run through the processors that its own checkpoint carries."""

    def __init__(
        self,
        folder: Path,
        *,
        indicator: str | None,
        guidance: float | None,
        execution: ExecutionConfig,
    ) -> None:
        """Load the checkpoint; ``indicator`` and ``guidance`` override what it was saved with.

        Raises:
            CheckpointError: See :func:`recap.policies.checkpoint.load_policy`; also if the policy
                wants to see several moments at once.
        """
        loaded = load_policy(folder, indicator=indicator, guidance_scale=guidance)
        self._folder = folder
        self._policy = loaded.policy.requires_grad_(requires_grad=False)
        self._preprocess = loaded.preprocessor
        self._postprocess = loaded.postprocessor
        self._config = loaded.policy.config
        self._moments_must_be_one()
        self._can_follow = self._policy.supports_rtc() and not any(
            isinstance(step, RelativeActionsProcessorStep) and step.enabled
            for step in loaded.preprocessor.steps
        )
        if self._can_follow and execution.type == REAL_TIME:
            self._config.rtc_config = RTCConfig(
                prefix_attention_schedule=RTCAttentionSchedule(execution.prefix_schedule.upper()),
                max_guidance_weight=execution.max_guidance_weight,
            )
            self._policy.init_rtc_processor()

    @property
    def chunk_steps(self) -> int:
        """Actions in a chunk."""
        steps: int = getattr(self._config, "chunk_size", self._config.n_action_steps)
        return steps

    @property
    def executed_steps(self) -> int:
        """Actions of a chunk that the checkpoint was made to execute before it looks again."""
        steps: int = self._config.n_action_steps
        return steps

    @property
    def policy_id(self) -> str:
        """The fingerprint of the checkpoint."""
        return policy_fingerprint(self._folder)

    @property
    def follows_prefix(self) -> bool:
        """Whether chunks can be made to agree with a prefix.

        Not where actions are relative to the state: the prefix was relative to an earlier one.
        """
        return self._can_follow

    def reset(self) -> None:
        """Forget the attempts before."""
        self._policy.reset()
        self._preprocess.reset()
        self._postprocess.reset()

    def draw_noise(self, generator: torch.Generator) -> Tensor:
        """Draw ``(h, A')`` for one chunk, where the policy's flow starts."""
        size = getattr(self._config, "max_action_dim", self._action_size)
        return torch.randn((self.chunk_steps, size), generator=generator)

    # Not `inference_mode`: guidance towards a prefix takes a gradient.
    @torch.no_grad()
    def predict(
        self, observations: Sequence[Observation], noise: Tensor, prefixes: Sequence[Prefix | None]
    ) -> list[Chunk]:
        """Predict a chunk for every observation.

        Args:
            observations: What is seen in each of ``B`` attempts.
            noise: ``(B, h, A')`` where the flow starts.
            prefixes: What will be done anyway in each attempt; in all of them the same number of
                steps and the same delay, or None in all of them.
        """
        batch = self._preprocess(self._as_batch(observations))
        settings = self._prefix_settings(prefixes)
        if self._config.type in NOISE_TAKERS:
            settings["noise"] = noise.to(str(self._config.device))
        with torch.random.fork_rng(devices=[]):
            if self._config.type not in NOISE_TAKERS:
                torch.manual_seed(int(noise.flatten()[0].view(torch.int32)))
            predicted = self._policy.predict_action_chunk(batch, **settings)
        normalised = predicted.float().cpu().numpy()
        actions = self._postprocess(predicted).float().cpu().numpy()
        return [
            Chunk(actions=rows, normalised=before)
            for rows, before in zip(actions, normalised, strict=True)
        ]

    def require_fit(
        self,
        *,
        cameras: Mapping[str, tuple[int, int]],
        state_size: int,
        action_size: int | None = None,
    ) -> None:
        """Refuse a robot that does not show, report or do what the policy was trained with.

        Args:
            cameras: Name to height and width in pixels.
            state_size: Numbers in the robot's state.
            action_size: Numbers in a command; None where that is not known.

        Raises:
            CheckpointError: If something does not fit; it says what is wanted and what there is.
        """
        wanted = self._cameras()
        resizes = any(hasattr(self._config, name) for name in RESIZING)
        fits = all(
            name in cameras and (resizes or cameras[name] == size) for name, size in wanted.items()
        )
        states = self._state_size
        actions = self._action_size if action_size is not None else None
        if fits and (state_size, action_size) == (states, actions):
            return
        message = (
            f"{self._folder} does not fit this robot. The policy wants "
            f"{_in_words(wanted, states, actions)}; the robot has "
            f"{_in_words(cameras, state_size, action_size)}. Name and size the robot's cameras as "
            f"in the episodes that the policy was trained on, or take another policy."
        )
        raise CheckpointError(message)

    @property
    def _action_size(self) -> int:
        size: int = self._config.output_features[ACTION].shape[0]
        return size

    @property
    def _state_size(self) -> int:
        size: int = self._config.input_features[STATE_KEY].shape[0]
        return size

    def _cameras(self) -> dict[str, tuple[int, int]]:
        """The cameras that the checkpoint wants, under the names that robots have for them."""
        renamed: dict[str, str] = {}
        for step in self._preprocess.steps:
            if isinstance(step, RenameObservationsProcessorStep):
                renamed |= {new: old for old, new in step.rename_map.items()}
        return {
            renamed.get(key, key).removeprefix(IMAGE_PREFIX): tuple(feature.shape[-2:])
            for key, feature in self._config.image_features.items()
            if EMPTY_CAMERA not in key
        }

    def _as_batch(self, observations: Sequence[Observation]) -> dict[str, Any]:
        """Arrange them as LeRobot's environments do: pictures ``(B, 3, H, W)`` in [0, 1]."""
        seen = observations[0]
        sizes = {name: (len(rows), rows.shape[1]) for name, rows in seen.images.items()}
        self.require_fit(cameras=sizes, state_size=len(seen.state))
        batch: dict[str, Any] = {}
        for camera in self._cameras():
            pictures = np.stack([seen.images[camera] for seen in observations])
            channels_first = torch.from_numpy(pictures).permute(0, 3, 1, 2).contiguous()
            batch[IMAGE_PREFIX + camera] = channels_first.float() / 255
        batch[STATE_KEY] = torch.from_numpy(np.stack([seen.state for seen in observations]))
        batch["task"] = [seen.task for seen in observations]
        return batch

    def _prefix_settings(self, prefixes: Sequence[Prefix | None]) -> dict[str, Any]:
        given = [prefix for prefix in prefixes if prefix is not None]
        if not given or not self._can_follow:
            return {}
        left = torch.from_numpy(np.stack([prefix.normalised for prefix in given]))
        return {
            "prev_chunk_left_over": left.to(str(self._config.device)),
            "inference_delay": given[0].delay_steps,
            "execution_horizon": left.shape[1],
        }

    def _moments_must_be_one(self) -> None:
        moments = getattr(self._config, "n_obs_steps", 1)
        if moments > 1:
            message = (
                f"{self._folder} is a policy of type {self._config.type} that looks at {moments} "
                f"moments at once, and only policies that look at one can be run here."
            )
            raise CheckpointError(message)


def noise_generator(seed: int) -> torch.Generator:
    """Return the source of an attempt's noise, which depends on the attempt's seed alone."""
    words = np.random.SeedSequence([seed, NOISE_STREAM]).generate_state(1)
    return torch.Generator().manual_seed(int(words[0]))


def _in_words(
    cameras: Mapping[str, tuple[int, int]], state_size: int, action_size: int | None
) -> str:
    named = [f"{name} ({height} by {width})" for name, (height, width) in sorted(cameras.items())]
    commands = "" if action_size is None else f", {action_size} numbers in a command"
    return f"cameras {', '.join(named) or 'none'}, {state_size} numbers in a state{commands}"
