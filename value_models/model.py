"""V(observation, task): a distribution over the returns still to come."""

from __future__ import annotations

from pathlib import Path

from torch import Tensor, nn

from value_models.bins import BinSupport
from value_models.config import EncoderKind
from value_models.encoder import Encoder, ObservationBatch
from value_models.policy_features import PolicyFeaturesEncoder
from value_models.small import SmallEncoder
from value_models.spec import ValueSpec


class DistributionalValueModel(nn.Module):
    """Judge a moment: an encoder sees, reads and feels, and a head names the odds of every return.

    The head is the same whatever the encoder.
    """

    def __init__(self, spec: ValueSpec, *, assets: Path | None = None) -> None:
        """Make the model; ``assets`` is the checkpoint it is loaded from, if it is."""
        super().__init__()
        config = spec.config
        self.spec = spec
        self.support = BinSupport.of(config)
        self.encoder = make_encoder(spec, assets=assets)
        joined = self.encoder.output_size
        self.head = nn.Sequential(
            nn.LayerNorm(joined),
            nn.Dropout(0.0),  # how much is left out is a setting of training
            nn.Linear(joined, config.hidden_size),
            nn.ReLU(),
            nn.Linear(config.hidden_size, config.hidden_size),
            nn.ReLU(),
            nn.Linear(config.hidden_size, config.bins),
        )

    def forward(self, batch: ObservationBatch) -> Tensor:
        """Give the ``(B, bins)`` unnormalised log-probabilities of every frame's return."""
        logits: Tensor = self.head(self.encoder(batch))
        return logits

    def values(self, batch: ObservationBatch) -> Tensor:
        """Give the ``(B,)`` expected return of every frame."""
        return self.support.expectation(self(batch))


def make_encoder(spec: ValueSpec, *, assets: Path | None = None) -> Encoder:
    """Make the encoder that a specification names.

    Args:
        spec: What the value model is made for.
        assets: Folder of the checkpoint that is being loaded, whose weights follow; None to
            begin from what the settings name, or from nothing.
    """
    match spec.config.encoder:
        case EncoderKind.SMALL:
            return SmallEncoder(spec)
        case EncoderKind.POLICY:
            return PolicyFeaturesEncoder(spec)
        case EncoderKind.VLM:
            from value_models.vlm.encoder import VlmEncoder

            return VlmEncoder(spec, assets=assets)
