"""An encoder that sees through a policy's eyes: the frozen backbone's features, and little else."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional

from value_models.encoder import Encoder, ObservationBatch
from value_models.small import STATE_WIDTH, LanguageEncoder, StateEncoder
from value_models.words import WordTable

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from value_models.spec import ValueSpec

FARTHEST = 5.0
"""Standard deviations beyond which a feature counts as this far."""

COLUMNS_AT_ONCE = 256
"""Features whose statistics are computed together: all frames of more would fill the memory."""

SMALLEST_SHARE = 1e-3
"""A feature that varies less than this share of the typical one does not vary."""


class PolicyFeaturesEncoder(Encoder):
    """Read what a policy's backbone makes of a moment, in the light of the instruction.

    The features are standardised by statistics that are frozen when the model is first made; a
    layer of its own brings them to a small width, which the instruction scales and shifts (FiLM).
    Joints and instruction join them again in what the head is given, as in the small encoder: not
    every backbone reads them.
    """

    reads_images = False

    feature_mean: Tensor
    feature_std: Tensor

    def __init__(self, spec: ValueSpec) -> None:
        """Make the layers; the statistics are ``freeze_statistics``'s to set, or a checkpoint's.

        Raises:
            ValueError: If the specification does not say whose features it reads.
        """
        super().__init__()
        if spec.features is None:
            message = "a value model of features must say whose they are: spec.features is None"
            raise ValueError(message)
        config, size = spec.config, spec.features.size
        self.words = WordTable(vocabulary=spec.vocabulary, unknown_words=config.unknown_words)
        self.language = LanguageEncoder(len(self.words), width=config.text_width)
        self.state = StateEncoder(
            torch.tensor(spec.state_mean), torch.tensor(spec.state_std), width=STATE_WIDTH
        )
        self.register_buffer("feature_mean", torch.zeros(size))
        self.register_buffer("feature_std", torch.ones(size))
        self.projection = nn.Linear(size, config.policy.width)
        self.film = nn.Linear(self.language.output_size, 2 * config.policy.width)

    @property
    def output_size(self) -> int:
        """Width of the features."""
        return self.language.output_size + self.state.output_size + self.projection.out_features

    def forward(self, batch: ObservationBatch) -> Tensor:
        """Give the ``(B, output_size)`` features of every frame.

        Raises:
            ValueError: If the batch holds no features.
        """
        if batch.features is None:
            message = "the batch holds no features: recap.values reads them"
            raise ValueError(message)
        text = self.language(self.words.encode_frames(batch.tasks, batch.task_index, batch.device))
        standard = ((batch.features - self.feature_mean) / self.feature_std).clamp(
            -FARTHEST, FARTHEST
        )
        scale, shift = self.film(text).chunk(2, dim=1)
        seen = functional.relu(torch.addcmul(shift, self.projection(standard), 1.0 + scale))
        return torch.cat([text, self.state(batch.state), seen], dim=1)

    @torch.no_grad()
    def freeze_statistics(self, features: NDArray[np.floating]) -> None:
        """Take the mean and standard deviation of ``(N, F)`` features, for good."""
        mean, std = np.empty((2, features.shape[1]))
        for start in range(0, len(mean), COLUMNS_AT_ONCE):
            some = slice(start, start + COLUMNS_AT_ONCE)
            exact = features[:, some].astype(np.float64)
            mean[some], std[some] = exact.mean(axis=0), exact.std(axis=0)
        varies = (std > 0.0) & (std > SMALLEST_SHARE * np.median(std))
        self.feature_mean.copy_(torch.from_numpy(mean))
        # Over infinity, what does not vary is zero whatever comes later.
        self.feature_std.copy_(torch.from_numpy(np.where(varies, std, np.inf)))
