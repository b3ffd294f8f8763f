"""What a vision-language model is asked about a frame, in words."""

from __future__ import annotations

from typing import Final

import torch
from torch import Tensor

STATE_BINS: Final = 256
"""Numbers a joint may be written as, as pi05 does."""

FARTHEST: Final = 3.0
"""Standard deviations from its mean at which a joint is written as 0 or 255, and beyond."""


def standardise(state: Tensor, mean: Tensor, std: Tensor) -> Tensor:
    """Give ``(B, S)`` joints in [-1, 1]: three standard deviations either side of their mean.

    Three, because then 256 numbers tell joints apart that differ by 0.023 standard deviations,
    and only one frame in 400 of a normal joint lies beyond.
    """
    return ((state - mean) / (FARTHEST * std)).clamp(-1.0, 1.0)


def state_bins(standard: Tensor) -> Tensor:
    """Give the ``(B, S)`` number, from 0 to 255, of joints in [-1, 1].

    Source:
        ``Pi05PrepareStateTokenizerProcessorStep`` of LeRobot, with its upper edge in the last bin.
    """
    return ((standard + 1.0) * (STATE_BINS / 2)).floor().clamp(0, STATE_BINS - 1).to(torch.int64)


def write_prompt(instruction: str, bins: list[int] | None = None) -> str:
    """Write the prompt of a frame as pi05 writes its own, asking for the value at the end.

    Args:
        instruction: The task in words.
        bins: Number of every joint; None leaves them out.
    """
    task = instruction.strip().replace("_", " ").replace("\n", " ")
    state = "" if bins is None else ", State: " + " ".join(map(str, bins))
    return f"Task: {task}{state};\nValue:"
