"""Returns as distributions over bins, and back."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from value_models.config import Projection, ValueModelConfig

LOWEST_RETURN = -1.0
HIGHEST_RETURN = 0.0


@dataclass(frozen=True, slots=True, kw_only=True)
class BinSupport:
    """Evenly spaced returns from -1 to 0, both included, one at the centre of every bin.

    As numbers, bins stand for their centres (``expectation``). As a distribution, the mass of a
    bin lies evenly between its edges, half a bin to both sides of its centre, so that cumulative
    probabilities rise in straight lines and quantiles need no bin to be hit. The outer halves of
    the first and the last bin lie outside of [-1, 0]: their mass counts as at -1 and at 0.
    """

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

    def entropy(self, logits: Tensor) -> Tensor:
        """Give the ``(B,)`` entropy of ``(B, bins)`` logits over the bins, in nats.

        Zero where one bin is certain, ``log(bins)`` where nothing is known. The two_hot target of
        a return between two bins has up to ``log(2)``, the hl_gauss target about
        ``log(4.13 * gaussian_bins)``: a perfect model cannot have less.
        """
        entropy: Tensor = torch.special.entr(logits.float().softmax(dim=1)).sum(dim=1)
        return entropy

    def cumulative(self, logits: Tensor, returns: Tensor) -> Tensor:
        """Give the probability that the return is at most so much.

        Args:
            logits: ``(B, bins)`` unnormalised log-probabilities.
            returns: ``(B,)`` normalised returns, one for each row, or ``(B, K)``, several.

        Returns:
            Probabilities in the shape of ``returns``: 0 below -1, 1 from 0 on, and rising in
            straight lines between the edges of the bins.
        """
        below = self._below_edges(logits)
        several = returns.to(logits.device).float().reshape(len(logits), -1)
        places = ((several - LOWEST_RETURN) * (self.bins - 1) + 0.5).clamp(0.0, self.bins)
        bin_index = places.long().clamp(max=self.bins - 1)
        low, high = below.gather(1, bin_index), below.gather(1, bin_index + 1)
        probability = low + (places - bin_index) * (high - low)
        probability = torch.where(several >= HIGHEST_RETURN, 1.0, probability)
        probability = torch.where(several < LOWEST_RETURN, 0.0, probability)
        return probability.reshape(returns.shape)

    def quantiles(self, logits: Tensor, levels: Sequence[float]) -> Tensor:
        """Give the returns that are not exceeded with the given probabilities.

        The inverse of ``cumulative``: a level that is reached inside of a bin lies as far into it
        as the share of the bin's mass that it takes. Where the bins around a level have no mass
        at all, the least of the returns that fit is given.

        Args:
            logits: ``(B, bins)`` unnormalised log-probabilities.
            levels: ``L`` probabilities above 0 and below 1; 0.5 is the median.

        Returns:
            ``(B, L)`` returns in [-1, 0], in the order of ``levels``.

        Raises:
            ValueError: If a level is not above 0 and below 1.
        """
        outside = [level for level in levels if not 0.0 < level < 1.0]
        if outside:
            message = f"a quantile's level must lie above 0 and below 1, got {outside[0]}."
            raise ValueError(message)
        below = self._below_edges(logits)
        wanted = below.new_tensor(list(levels)).repeat(len(below), 1)
        wanted = wanted.clamp(min=torch.finfo(wanted.dtype).tiny)  # zero would lie in no bin
        # Less is below the bin's lower edge than wanted, and at its upper edge enough.
        bin_index = torch.searchsorted(below[:, 1:].contiguous(), wanted)
        low, high = below.gather(1, bin_index), below.gather(1, bin_index + 1)
        places = bin_index - 0.5 + (wanted - low) / (high - low)
        returns: Tensor = LOWEST_RETURN + places / (self.bins - 1)
        return returns.clamp(LOWEST_RETURN, HIGHEST_RETURN)

    def interval(self, logits: Tensor, *, coverage: float) -> Tensor:
        """Give the central interval: as much lies below it as above.

        Args:
            logits: ``(B, bins)`` unnormalised log-probabilities.
            coverage: Probability that the return lies inside, above 0 and below 1. An interval
                that ends at -1 or 0 may hold more.

        Returns:
            ``(B, 2)`` lower and upper end, in [-1, 0].

        Raises:
            ValueError: If ``coverage`` is not above 0 and below 1.
        """
        if not 0.0 < coverage < 1.0:
            message = f"coverage must lie above 0 and below 1, got {coverage}."
            raise ValueError(message)
        return self.quantiles(logits, (0.5 - coverage / 2, 0.5 + coverage / 2))

    def _below_edges(self, logits: Tensor) -> Tensor:
        """Give the ``(B, bins + 1)`` mass below every edge: 0 first, exactly 1 last."""
        summed = logits.float().softmax(dim=1).cumsum(dim=1)
        return torch.nn.functional.pad(summed / summed[:, -1:], (1, 0))


def cross_entropy(logits: Tensor, targets: Tensor) -> Tensor:
    """Give the ``(B,)`` cross-entropy of each row, in nats."""
    return -(targets * logits.float().log_softmax(dim=1)).sum(dim=1)
