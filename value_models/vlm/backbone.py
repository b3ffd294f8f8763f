"""What both arrangements of a vision-language model offer the encoder."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from pathlib import Path

import torch
from torch import Tensor, nn

from value_models.vlm.tokens import TokenRows

Images = Sequence[Sequence[Tensor]]
"""For each of B samples its images, ``(3, H, W)`` in [0, 255], uint8 or float."""


class Backbone(nn.Module, ABC):
    """Images and text in, features of every token out."""

    @property
    @abstractmethod
    def width(self) -> int:
        """Width of a token's features."""

    @abstractmethod
    def rows(
        self, prompts: Sequence[str], images: Images, answers: Sequence[str] | None = None
    ) -> TokenRows:
        """Write the prompts as the model wants them, with their images and perhaps answers."""

    @abstractmethod
    def pixels(self, images: Images) -> dict[str, Tensor]:
        """Resize and normalise images where they lie, as the checkpoint's image processor says."""

    @abstractmethod
    def hidden(
        self, pixels: Mapping[str, Tensor], rows: TokenRows, state: Tensor | None = None
    ) -> Tensor:
        """Give the ``(B, L, width)`` features of the rows' tokens, which have seen the images.

        Args:
            pixels: What ``pixels`` gave.
            rows: What ``rows`` gave, on the same device.
            state: ``(B, width)`` embeddings that take the place of the rows' last tokens.
        """

    @abstractmethod
    def logits(self, hidden: Tensor) -> Tensor:
        """Give the unnormalised log-probabilities of the token after each of ``(..., width)``."""

    @property
    @abstractmethod
    def vision(self) -> nn.Module:
        """The part that sees."""

    @property
    @abstractmethod
    def language(self) -> nn.Module:
        """The part that reads, its embeddings included."""

    @property
    @abstractmethod
    def idle(self) -> Sequence[nn.Module]:
        """Parts that the value does not depend on, such as a language head of its own."""

    @abstractmethod
    def save(self, folder: Path) -> None:
        """Write configuration, tokenizer and processor: all but the weights."""


def in_place_of_last(embedded: Tensor, rows: TokenRows, state: Tensor) -> Tensor:
    """Put ``(B, width)`` states in the place of the last tokens of ``(B, L, width)`` rows."""
    is_last = torch.arange(embedded.shape[1], device=embedded.device) == rows.last()[:, None]
    return torch.where(is_last[..., None], state.to(embedded.dtype)[:, None], embedded)
