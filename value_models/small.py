"""The small encoder: it sees, reads and feels fast enough for a CPU, and learns from nothing."""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch
from torch import Tensor, nn
from torch.nn import functional

from value_models.encoder import Encoder, ObservationBatch
from value_models.words import PADDING, WordTable

if TYPE_CHECKING:
    from value_models.spec import ValueSpec

PATCH_PIXELS = 4
"""Side of the patches an image is cut into first; also the step between keypoint places."""

POOLED_SIDE = 4
"""The coarse features are averaged over this many fields a side."""

STATE_WIDTH = 64
"""Width of the joints' features."""


class SmallEncoder(Encoder):
    """See every camera's image in the light of the instruction, and feel the robot's joints.

    Language steers how the images are seen, and joins them again in what the head is given.
    """

    def __init__(self, spec: ValueSpec) -> None:
        super().__init__()
        config = spec.config
        self.cameras = tuple(spec.cameras)
        self.words = WordTable(vocabulary=spec.vocabulary, unknown_words=config.unknown_words)
        self.language = LanguageEncoder(len(self.words), width=config.text_width)
        self.state = StateEncoder(
            torch.tensor(spec.state_mean), torch.tensor(spec.state_std), width=STATE_WIDTH
        )
        self.images = nn.ModuleList(
            ImageEncoder(
                channels=config.channels,
                keypoints=config.keypoints,
                text_size=self.language.output_size,
            )
            for _ in self.cameras
        )

    @property
    def output_size(self) -> int:
        """Width of the features."""
        return (
            self.language.output_size
            + self.state.output_size
            + sum(encoder.output_size for encoder in self._encoders())
        )

    def forward(self, batch: ObservationBatch) -> Tensor:
        """Give the ``(B, output_size)`` features of every frame."""
        text = self.language(self.words.encode_frames(batch.tasks, batch.task_index, batch.device))
        seen = [
            encoder(batch.images[camera], text)
            for camera, encoder in zip(self.cameras, self._encoders(), strict=True)
        ]
        return torch.cat([text, self.state(batch.state), *seen], dim=1)

    def _encoders(self) -> list[ImageEncoder]:
        return [module for module in self.images if isinstance(module, ImageEncoder)]


class LanguageEncoder(nn.Module):
    """Read an instruction: word embeddings, then the strongest answer over word triples.

    The triples keep what belongs together: "red cube" differs from "red pad".
    """

    def __init__(self, words: int, *, width: int) -> None:
        super().__init__()
        self.embedding = nn.Embedding(words, width, padding_idx=PADDING)
        self.triples = nn.Conv1d(width, 2 * width, kernel_size=3, padding=1)
        self.output_size = 2 * width

    def forward(self, tokens: Tensor) -> Tensor:
        """Turn ``(B, L)`` word numbers into ``(B, output_size)`` features."""
        features = functional.relu(self.triples(self.embedding(tokens).transpose(1, 2)))
        is_word = (tokens != PADDING).unsqueeze(1)
        return (features * is_word).amax(dim=2)


class ImageEncoder(nn.Module):
    """See one camera's image: where things are (keypoints) and what is there (pooled features).

    Every 4 x 4 patch becomes a vector that also knows its place. The instruction scales and
    shifts these vectors (FiLM), so that the same network can look for another cube. A spatial
    softmax turns some of the maps into image coordinates, with the strength of each; a strided
    convolution, averaged over 4 x 4 fields, keeps the rest.
    """

    def __init__(self, *, channels: int, keypoints: int, text_size: int) -> None:
        super().__init__()
        coarse = channels + channels // 2
        self.patches = nn.Conv2d(
            3, channels, kernel_size=PATCH_PIXELS, stride=PATCH_PIXELS, bias=False
        )
        self.place = nn.Conv2d(2, channels, kernel_size=1)
        self.mix = nn.Conv2d(channels, channels, kernel_size=3, padding=1)
        self.film = nn.Linear(text_size, 2 * channels)
        self.attention = nn.Conv2d(channels, keypoints, kernel_size=1)
        self.coarse = nn.Conv2d(channels, coarse, kernel_size=3, stride=2, padding=1)
        self.output_size = 3 * keypoints + coarse * POOLED_SIDE**2

    def forward(self, image: Tensor, text: Tensor) -> Tensor:
        """Turn ``(B, H, W, 3)`` images in [0, 255] into ``(B, output_size)`` features."""
        # Channels come last in memory as they are, which is what the convolutions like best.
        features = self.patches(image.permute(0, 3, 1, 2).float())
        places = _places(*features.shape[-2:], device=image.device)
        # Pixels should lie in [-1, 1]; a convolution is linear, and its output is the smaller.
        offset = self.place(places) - self.patches.weight.sum(dim=(1, 2, 3))[:, None, None]
        features = functional.relu(torch.add(offset, features, alpha=2.0 / 255.0))
        scale, shift = self.film(text)[:, :, None, None].chunk(2, dim=1)
        features = functional.relu(torch.addcmul(shift, self.mix(features), 1.0 + scale))

        heat = self.attention(features).float().flatten(2)
        weight = heat.softmax(dim=2)
        points = (weight @ places.flatten(2)[0].T).flatten(1)
        strength = (weight * heat).sum(dim=2)

        coarse = functional.relu(self.coarse(features))
        pooled = functional.adaptive_avg_pool2d(coarse, POOLED_SIDE).flatten(1)
        return torch.cat([points, strength, pooled.float()], dim=1)


class StateEncoder(nn.Module):
    """Feel the robot's joints, as many standard deviations from their mean as they are."""

    FARTHEST = 5.0
    """Standard deviations beyond which a joint counts as this far."""

    mean: Tensor
    std: Tensor

    def __init__(self, mean: Tensor, std: Tensor, *, width: int) -> None:
        super().__init__()
        # Not weights: the checkpoint's config.json states them.
        self.register_buffer("mean", mean, persistent=False)
        self.register_buffer("std", std, persistent=False)
        self.layers = nn.Sequential(
            nn.Linear(len(mean), width), nn.ReLU(), nn.Linear(width, width), nn.ReLU()
        )
        self.output_size = width

    def forward(self, state: Tensor) -> Tensor:
        """Turn ``(B, S)`` joints into ``(B, output_size)`` features."""
        standard = ((state - self.mean) / self.std).clamp(-self.FARTHEST, self.FARTHEST)
        features: Tensor = self.layers(standard)
        return features


def _places(height: int, width: int, *, device: torch.device) -> Tensor:
    """Give the ``(1, 2, height, width)`` row and column of every place, from -1 to 1."""
    rows = torch.linspace(-1.0, 1.0, height, device=device)
    columns = torch.linspace(-1.0, 1.0, width, device=device)
    return torch.stack(torch.meshgrid(rows, columns, indexing="ij"))[None]
