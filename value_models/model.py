"""V(observation, task): a distribution over the returns still to come."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from value_models.bins import BinSupport
from value_models.config import ValueModelConfig
from value_models.encoders import ImageEncoder, LanguageEncoder, StateEncoder
from value_models.words import WordTable


@dataclass(frozen=True, slots=True, kw_only=True)
class ValueSpec:
    """What a value model was made for, and from: all of its checkpoint that is not a weight."""

    config: ValueModelConfig
    """Sizes, bins and projection."""

    tasks: tuple[str, ...]
    """Instructions it was trained on, in words. Others may be asked, at one's own risk."""

    vocabulary: tuple[str, ...]
    """Words with an embedding of their own."""

    cameras: Mapping[str, tuple[int, int]]
    """Camera name to height and width in pixels."""

    state_mean: tuple[float, ...]
    """Mean of every joint, frozen when the model was first made."""

    state_std: tuple[float, ...]
    """Standard deviation of every joint, frozen with the mean; none is zero."""

    normalisers: Mapping[str, float]
    """Task to control steps in one unit of return, frozen for the iteration."""

    scaling: str = "penalty"
    """How failures share the bins with successes in those returns, as ``returns.scaling`` says."""

    trainset_fingerprint: str = ""
    """The training set it was last trained on."""

    base_fingerprint: str = ""
    """Content hash of the checkpoint that training started from; empty where from nothing."""


class DistributionalValueModel(nn.Module):
    """Judge a moment from every camera's image, the instruction and the robot's joints.

    Language steers how the images are seen, and joins them again before the head.
    """

    STATE_WIDTH = 64

    def __init__(self, spec: ValueSpec) -> None:
        super().__init__()
        config = spec.config
        self.spec = spec
        self.support = BinSupport.of(config)
        self.words = WordTable(vocabulary=spec.vocabulary, unknown_words=config.unknown_words)
        self.language = LanguageEncoder(len(self.words), width=config.text_width)
        self.state = StateEncoder(
            torch.tensor(spec.state_mean), torch.tensor(spec.state_std), width=self.STATE_WIDTH
        )
        self.images = nn.ModuleList(
            ImageEncoder(
                channels=config.channels,
                keypoints=config.keypoints,
                text_size=self.language.output_size,
            )
            for _ in spec.cameras
        )
        joined = (
            self.language.output_size
            + self.state.output_size
            + sum(encoder.output_size for encoder in self._encoders())
        )
        self.head = nn.Sequential(
            nn.LayerNorm(joined),
            nn.Dropout(config.dropout),
            nn.Linear(joined, config.hidden_size),
            nn.ReLU(),
            nn.Linear(config.hidden_size, config.hidden_size),
            nn.ReLU(),
            nn.Linear(config.hidden_size, config.bins),
        )

    def forward(self, images: Mapping[str, Tensor], state: Tensor, tokens: Tensor) -> Tensor:
        """Give the distribution over returns of every frame.

        Args:
            images: Camera name to ``(B, H, W, 3)`` images, uint8 or float, in [0, 255].
            state: ``(B, S)`` float32 joints, as recorded.
            tokens: ``(B, L)`` word numbers of ``self.words.encode``.

        Returns:
            ``(B, bins)`` unnormalised log-probabilities.
        """
        text = self.language(tokens)
        seen = [
            encoder(images[camera], text)
            for camera, encoder in zip(self.spec.cameras, self._encoders(), strict=True)
        ]
        logits: Tensor = self.head(torch.cat([text, self.state(state), *seen], dim=1))
        return logits

    def values(self, images: Mapping[str, Tensor], state: Tensor, tokens: Tensor) -> Tensor:
        """Give the ``(B,)`` expected return of every frame; arguments as in ``forward``."""
        return self.support.expectation(self(images, state, tokens))

    def _encoders(self) -> list[ImageEncoder]:
        return [module for module in self.images if isinstance(module, ImageEncoder)]
