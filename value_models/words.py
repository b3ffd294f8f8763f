"""Instructions as numbers, open to words that come later."""

from __future__ import annotations

import re
import zlib
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache

import torch
from torch import Tensor

PADDING = 0
_WORD = re.compile(r"\w+")


def split_words(text: str) -> list[str]:
    """Split an instruction into words, without case or punctuation."""
    return _WORD.findall(text.casefold())


@dataclass(frozen=True, slots=True, kw_only=True)
class WordTable:
    """Number words: 0 is padding, then the vocabulary, then slots that unknown words share.

    An unknown word always falls into the same slot, so that a model that is trained on a new
    task learns its new words without a change of shape.
    """

    vocabulary: tuple[str, ...]
    """Known words, in the order of their numbers."""

    unknown_words: int
    """Slots for words outside the vocabulary."""

    @classmethod
    def of(cls, tasks: Sequence[str], *, unknown_words: int) -> WordTable:
        """Know every word of ``tasks``."""
        words = sorted({word for task in tasks for word in split_words(task)})
        return cls(vocabulary=tuple(words), unknown_words=unknown_words)

    def __len__(self) -> int:
        return 1 + len(self.vocabulary) + self.unknown_words

    def encode(self, texts: Sequence[str]) -> Tensor:
        """Give ``(len(texts), longest)`` int64 word numbers, padded at the end with 0."""
        numbers = {word: i for i, word in enumerate(self.vocabulary, start=1)}
        rows = [
            [numbers.get(word, self._slot(word)) for word in split_words(text)] for text in texts
        ]
        tokens = torch.full((len(rows), max(1, *map(len, rows), 1)), PADDING, dtype=torch.int64)
        for row, found in zip(tokens, rows, strict=True):
            row[: len(found)] = torch.tensor(found, dtype=torch.int64)
        return tokens

    def encode_frames(
        self, tasks: tuple[str, ...], task_index: Tensor, device: torch.device
    ) -> Tensor:
        """Give the ``(B, longest)`` word numbers of frames, from the place of each one's task."""
        return _encoded(self, tasks)[task_index.cpu()].to(device)

    def _slot(self, word: str) -> int:
        # Python's own hash differs from process to process.
        return 1 + len(self.vocabulary) + zlib.crc32(word.encode()) % self.unknown_words


@lru_cache(maxsize=64)
def _encoded(words: WordTable, tasks: tuple[str, ...]) -> Tensor:
    """Number the instructions of a data set once, and not in every batch."""
    return words.encode(tasks)
