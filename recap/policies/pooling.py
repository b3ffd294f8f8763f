"""From an output with many places to one row of numbers."""

from __future__ import annotations

from typing import Final

import torch
from torch import Tensor
from torch.nn import functional

from value_models.policy_features_config import Pooling

GRID_SIDE: Final = 4
"""A map is averaged over this many fields a side, a sequence over as many stretches as fields."""

_ROW, _SEQUENCE, _MAP = 2, 3, 4


def pooled(output: Tensor, *, mask: Tensor | None, pooling: Pooling) -> Tensor:
    """Bring an output to one row for each of its B frames.

    Args:
        output: ``(B, F)``, which is a row already; ``(B, L, D)`` tokens; ``(B, D, H, W)`` maps.
        mask: ``(B, L)`` which tokens hold something; None where all do.
        pooling: What to keep: ``mean`` ``(B, D)``; ``mean_max`` ``(B, 2 D)``; ``grid``
            ``(B, 16 D)``, the means of 4 x 4 fields of a map, or of 16 stretches of a sequence
            that are as long as each other to within a token, fewer where it has fewer tokens. A
            stretch in which nothing is there gives 0.

    Returns:
        ``(B, F')``.

    Raises:
        ValueError: If the output has more axes than those.
    """
    if output.ndim == _ROW:
        return output
    if output.ndim == _MAP:
        if pooling is Pooling.GRID:
            return functional.adaptive_avg_pool2d(output, GRID_SIDE).flatten(1)
        output = output.flatten(2).transpose(1, 2)
    if output.ndim != _SEQUENCE:
        message = f"an output of shape {tuple(output.shape)} cannot be pooled."
        raise ValueError(message)
    is_there = torch.ones(output.shape[:2], device=output.device) if mask is None else mask.float()
    match pooling:
        case Pooling.MEAN:
            return _mean(output, is_there)
        case Pooling.MEAN_MAX:
            lowest = torch.finfo(output.dtype).min
            largest = output.masked_fill(is_there[:, :, None] == 0.0, lowest).amax(dim=1)
            return torch.cat([_mean(output, is_there), largest], dim=1)
        case Pooling.GRID:
            tokens = torch.arange(output.shape[1])
            stretches = tokens.tensor_split(min(GRID_SIDE**2, len(tokens)))
            means = [_mean(output[:, s], is_there[:, s]) for s in stretches]
            return torch.cat(means, dim=1)


def _mean(tokens: Tensor, is_there: Tensor) -> Tensor:
    """Average ``(B, L, D)`` tokens over those that are there; 0 where none is."""
    total: Tensor = torch.einsum("bld,bl->bd", tokens, is_there)
    return total / is_there.sum(dim=1, keepdim=True).clamp(min=1.0)
