"""Returns as distributions over bins, and back."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from value_models.config import Projection, ValueModelConfig

LOWEST_RETURN = -1.0
HIGHEST_RETURN = 0.0


@dataclass(frozen=True, slots=True, kw_only=True)
class BinSupport:
    """Evenly spaced returns from -1 to 0, both included, one at the centre of every bin."""

    bins: int
    """Number of bins."""

    projection: Projection
    """How a return becomes a distribution over the bins."""

    gaussian_bins: float
    """Standard deviation of the ``hl_gauss`` target, in bins."""

    @classmethod
    def of(cls, config: ValueModelConfig) -> BinSupport:
        """Make the bins that a value model is configured for."""
        return cls(
            bins=config.bins, projection=config.projection, gaussian_bins=config.gaussian_bins
        )

    def centres(self) -> Tensor:
        """Give the ``(bins,)`` return that each bin stands for."""
        # Divided, not added up: -1, 0 and whole fractions in between come out exact.
        return torch.arange(1 - self.bins, 1, dtype=torch.float32) / (self.bins - 1)

    def project(self, returns: Tensor) -> Tensor:
        """Turn returns into target distributions.

        - ``one_hot``: all mass on the nearest bin; the expectation is off by half a bin at most.
        - ``two_hot``: mass on the two nearest bins; the expectation is the return.
        - ``hl_gauss``: a Gaussian's mass in each bin, renormalised. Neighbouring bins learn from
          one another; within three standard deviations of -1 and 0 the part that would lie
          outside is missing, which draws the expectation inwards, by less than one.

        Args:
            returns: ``(B,)`` normalised returns; one outside [-1, 0] counts as the nearer end.

        Returns:
            ``(B, bins)`` float32 probabilities; every row sums to one.

        Source:
            The paper names the bins, not the projection; HL-Gauss is Farebrother et al., 2024.
        """
        places = (returns.float().clamp(LOWEST_RETURN, HIGHEST_RETURN) - LOWEST_RETURN) * (
            self.bins - 1
        )
        every_bin = torch.arange(self.bins, dtype=torch.float32, device=returns.device)
        if self.projection is Projection.HL_GAUSS:
            edges = torch.cat([every_bin - 0.5, every_bin[-1:] + 0.5])
            below = torch.special.ndtr((edges - places[:, None]) / self.gaussian_bins)
            mass = below[:, 1:] - below[:, :-1]
            whole: Tensor = mass / mass.sum(dim=1, keepdim=True)
            return whole
        if self.projection is Projection.ONE_HOT:
            places = places.round()
        return (1.0 - (every_bin - places[:, None]).abs()).clamp(min=0.0)

    def expectation(self, logits: Tensor) -> Tensor:
        """Give the ``(B,)`` expected return of ``(B, bins)`` unnormalised log-probabilities."""
        expected: Tensor = logits.float().softmax(dim=1) @ self.centres().to(logits.device)
        return expected


def cross_entropy(logits: Tensor, targets: Tensor) -> Tensor:
    """Give the ``(B,)`` cross-entropy of each row, in nats."""
    return -(targets * logits.float().log_softmax(dim=1)).sum(dim=1)
