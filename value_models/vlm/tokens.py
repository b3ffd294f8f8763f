"""Prompts as rows of token numbers."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Final

import torch
from torch import Tensor, nn

from data.errors import CheckpointError

Encode = Callable[[list[str]], list[list[int]]]

MOST_REMEMBERED: Final = 4096
"""Prompts whose tokens are kept; joints as text make ever new ones."""


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class TokenRows:
    """B prompts, and perhaps their answers, as long as the longest of them."""

    ids: Tensor
    """``(B, L)`` int64 token numbers, padded on the right."""

    valid: Tensor
    """``(B, L)`` bool, False where padded."""

    is_answer: Tensor
    """``(B, L)`` bool, True for the tokens of the answer, its end included."""

    def to(self, device: torch.device) -> TokenRows:
        """Give the same rows on a device."""
        return replace(
            self,
            ids=self.ids.to(device),
            valid=self.valid.to(device),
            is_answer=self.is_answer.to(device),
        )

    def with_place_for_state(self) -> TokenRows:
        """Give every row one more token at its end, whose embedding is to be replaced."""
        length = self.ids.shape[1] + 1
        place = torch.arange(length, device=self.ids.device)
        return TokenRows(
            ids=nn.functional.pad(self.ids, (0, 1)),
            valid=place <= self.valid.sum(dim=1, keepdim=True),
            is_answer=nn.functional.pad(self.is_answer, (0, 1)),
        )

    def last(self) -> Tensor:
        """Give the ``(B,)`` place of every row's last token."""
        return self.valid.sum(dim=1) - 1


def make_rows(
    prompts: Sequence[list[int]], answers: Sequence[list[int]] | None = None, *, padding: int = 0
) -> TokenRows:
    """Lay prompts, each followed by its answer, into rows.

    Args:
        prompts: Token numbers of every prompt.
        answers: Token numbers of every answer; None where nothing is answered.
        padding: Token number that fills up a row; nothing attends to it.
    """
    answers = [[]] * len(prompts) if answers is None else answers
    joined = [prompt + answer for prompt, answer in zip(prompts, answers, strict=True)]
    length = max(map(len, joined))
    ids = torch.tensor([row + [padding] * (length - len(row)) for row in joined])
    place = torch.arange(length)
    stop = torch.tensor([len(row) for row in joined])[:, None]
    start = torch.tensor([len(prompt) for prompt in prompts])[:, None]
    valid = place < stop
    return TokenRows(ids=ids, valid=valid, is_answer=(place >= start) & valid)


class PromptTokens:
    """Turn texts into token numbers, each distinct text once."""

    def __init__(self, encode: Encode, *, vocabulary_size: int) -> None:
        """Take how texts are encoded, and how many token numbers the model has embeddings for."""
        self._encode = encode
        self._vocabulary_size = vocabulary_size
        self._known: dict[str, list[int]] = {}

    def __call__(self, texts: Sequence[str]) -> list[list[int]]:
        """Give the token numbers of every text.

        Raises:
            CheckpointError: If the tokenizer knows tokens that the model does not.
        """
        distinct = dict.fromkeys(texts)
        if len(self._known) + len(distinct) > MOST_REMEMBERED:
            self._known.clear()
        new = [text for text in distinct if text not in self._known]
        if new:
            for text, ids in zip(new, self._encode(new), strict=True):
                self._require_known(ids)
                self._known[text] = ids
        return [self._known[text] for text in texts]

    def _require_known(self, ids: list[int]) -> None:
        highest = max(ids, default=0)
        if highest >= self._vocabulary_size:
            message = (
                f"the tokenizer writes token {highest}, and the language model has embeddings for "
                f"{self._vocabulary_size}.\nThey belong to different models: take both from one."
            )
            raise CheckpointError(message)
