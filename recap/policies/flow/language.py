"""The prompt as numbers, with the indicator told apart from the task."""

from __future__ import annotations

from typing import Final

import torch
from torch import Tensor, nn

PAD_ID: Final = 0
UNKNOWN_ID: Final = 1
INDICATOR_ID: Final = 2
POSITIVE_ID: Final = 3
NEGATIVE_ID: Final = 4
RESERVED_WORDS: Final = ("<pad>", "<unk>", "advantage:", "positive", "negative")
"""Words with fixed numbers; the words of the tasks come after them."""

INDICATOR_EMBEDDINGS: Final = 3
"""None, positive, negative."""


def indicator_positions(tokens: Tensor) -> Tensor:
    """Mark the indicator's words: ``advantage:`` and the sign that follows it.

    A ``positive`` or ``negative`` that belongs to the task itself is left alone.

    Args:
        tokens: ``(B, L)`` word numbers.

    Returns:
        ``(B, L)`` bool.
    """
    opens = tokens == INDICATOR_ID
    follows = torch.zeros_like(opens)
    follows[:, 1:] = opens[:, :-1]
    return opens | follows


def indicator_of(tokens: Tensor, mask: Tensor) -> Tensor:
    """Return ``(B,)`` the indicator told in each prompt: 0 none, 1 positive, 2 negative."""
    told = indicator_positions(tokens) & mask
    positive = (told & (tokens == POSITIVE_ID)).any(dim=1)
    negative = (told & (tokens == NEGATIVE_ID)).any(dim=1)
    return positive.long() + 2 * negative.long()


class PromptEncoder(nn.Module):
    """Read a prompt with a few learned questions that attend to its words.

    A masked word has weight zero, so a prompt whose indicator is masked is exactly the prompt
    without one. Shapes: tokens and mask ``(B, L)`` -> ``(B, width)``.
    """

    QUESTIONS: Final = 4

    def __init__(self, capacity: int, length: int, width: int) -> None:
        """Build the embedding tables."""
        super().__init__()
        self.words = nn.Embedding(capacity, width, padding_idx=PAD_ID)
        self.positions = nn.Parameter(torch.randn(length, width) * 0.1)
        self.questions = nn.Parameter(torch.randn(self.QUESTIONS, width) * width**-0.5)
        self.output = nn.Sequential(
            nn.Linear(self.QUESTIONS * width, width), nn.SiLU(), nn.Linear(width, width)
        )

    def forward(self, tokens: Tensor, mask: Tensor) -> Tensor:
        """Encode prompts; one without any visible word gives the encoding of silence."""
        words = self.words(tokens) + self.positions[: tokens.shape[1]]
        scores = torch.einsum("qw,blw->bql", self.questions, words)
        lowest = torch.finfo(scores.dtype).min
        weights = torch.softmax(scores.masked_fill(~mask[:, None], lowest), dim=-1)
        weights = weights * mask[:, None]
        answers = torch.einsum("bql,blw->bqw", weights, words)
        encoded: Tensor = self.output(answers.flatten(1))
        return encoded
