"""Recorded frames made ready for a policy: normalised, tokenised and, where it pays, encoded."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

import numpy as np
import torch
from lerobot.utils.constants import (
    ACTION,
    OBS_LANGUAGE_ATTENTION_MASK,
    OBS_LANGUAGE_TOKENS,
    OBS_STATE,
)
from numpy.typing import NDArray
from torch import Tensor

from data.schema import IMAGE_PREFIX
from recap.policies.batches import Pixels, Rows, TrainingFrames, chunk_rows, shifted
from recap.policies.flow.configuration_recap_flow import RecapFlowConfig
from recap.policies.flow.modeling_recap_flow import (
    ACTION_PAD_KEY,
    IMAGE_FEATURES_KEY,
    RecapFlowPolicy,
)
from recap.policies.flow.processor_recap_flow import (
    WordTokenizerStep,
    make_recap_flow_pre_post_processors,
)
from recap.policies.prompts import ABSENT, NEGATIVE, POSITIVE, with_indicator

Statistics = Mapping[str, Mapping[str, Any]]

ENCODING_BATCH: Final = 256


class PreparedFrames:
    """Batches of recorded frames, exactly as the checkpoint's preprocessor would make them."""

    def __init__(
        self, policy: RecapFlowPolicy, frames: TrainingFrames, statistics: Statistics
    ) -> None:
        """Normalise the arrays once and tokenise every prompt once."""
        self.policy = policy
        self.frames = frames
        self.state, self.action = _normalised(policy.config, frames, statistics)
        rows, is_pad = chunk_rows(frames.bounds, chunk=policy.config.chunk_size)
        self.chunk_rows, self.is_pad = torch.from_numpy(rows), torch.from_numpy(is_pad)
        self.tokens, self.mask, self.task = _prompts(policy.config, frames)
        self.features: Tensor | None = None

    def __len__(self) -> int:
        """Return the number of frames."""
        return len(self.state)

    @torch.no_grad()
    def encode_images(self, *, use_bfloat16: bool) -> None:
        """Compute the image features of all frames; batches hold them in place of images."""
        parts = []
        for start in range(0, len(self), ENCODING_BATCH):
            rows = np.arange(start, min(start + ENCODING_BATCH, len(self)))
            with torch.autocast("cpu", dtype=torch.bfloat16, enabled=use_bfloat16):
                parts.append(self.policy.encode_images(self.pictures(rows)))
        self.features = torch.cat(parts)

    def pictures(
        self, rows: Rows, *, shift_pixels: int = 0, generator: np.random.Generator | None = None
    ) -> dict[str, Tensor]:
        """Return the cameras' images of some frames, shifted at random where asked to."""
        chosen = {camera: images[rows] for camera, images in self.frames.images.items()}
        if generator is not None:
            chosen = {
                camera: shifted(images, pixels=shift_pixels, generator=generator)
                for camera, images in chosen.items()
            }
        return {IMAGE_PREFIX + camera: as_pictures(images) for camera, images in chosen.items()}

    def batch(self, rows: Rows, indicator: NDArray[np.int8]) -> dict[str, Tensor]:
        """Return everything but the images of some frames, told the given indicators.

        Args:
            rows: ``(B,)`` frames.
            indicator: ``(B,)`` 1 positive, -1 negative, 0 none.
        """
        picked = torch.from_numpy(rows)
        prompt = (self.task[picked], torch.from_numpy(indicator.astype(np.int64)) - NEGATIVE)
        batch = {
            OBS_STATE: self.state[picked],
            ACTION: self.action[self.chunk_rows[picked]],
            ACTION_PAD_KEY: self.is_pad[picked],
            OBS_LANGUAGE_TOKENS: self.tokens[prompt],
            OBS_LANGUAGE_ATTENTION_MASK: self.mask[prompt],
        }
        if self.features is not None:
            batch[IMAGE_FEATURES_KEY] = self.features[picked]
        return batch


def as_pictures(images: Pixels) -> Tensor:
    """Turn ``(B, H, W, 3)`` uint8 into ``(B, 3, H, W)`` float32 in ``[0, 1]``."""
    return torch.from_numpy(images).permute(0, 3, 1, 2).float() / 255.0


def _normalised(
    config: RecapFlowConfig, frames: TrainingFrames, statistics: Statistics
) -> tuple[Tensor, Tensor]:
    kept = {key: dict(statistics[key]) for key in (OBS_STATE, ACTION)}
    preprocessor, _ = make_recap_flow_pre_post_processors(config, kept)
    normalizer = preprocessor.steps[-1]
    state = torch.from_numpy(np.array(frames.state, dtype=np.float32))
    action = torch.from_numpy(np.array(frames.action, dtype=np.float32))
    transition = preprocessor.to_transition({OBS_STATE: state, ACTION: action})
    batch = preprocessor.to_output(normalizer(transition))
    return batch[OBS_STATE], batch[ACTION]


def _prompts(config: RecapFlowConfig, frames: TrainingFrames) -> tuple[Tensor, Tensor, Tensor]:
    """Tokenise every task with every indicator.

    Returns:
        Tokens and mask ``(tasks, 3, L)``, the middle axis being negative, none, positive; and
        ``(N,)`` the task of every frame.
    """
    tasks, numbers = frames.task_rows()
    tokenizer = WordTokenizerStep(vocabulary=config.vocabulary, length=config.text_length)
    signs = (NEGATIVE, ABSENT, POSITIVE)
    tokens, mask = tokenizer.tokenize(
        [with_indicator(task, sign) for task in tasks for sign in signs]
    )
    shape = (len(tasks), len(signs), config.text_length)
    return tokens.view(shape), mask.view(shape), torch.from_numpy(numbers)
