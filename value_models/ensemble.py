"""Several value models as one: their distributions averaged, and where they disagree."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import TYPE_CHECKING

import torch
from torch import Tensor, nn

from value_models.model import DistributionalValueModel

if TYPE_CHECKING:
    from value_models.encoder import Encoder, ObservationBatch
    from value_models.spec import ValueSpec


class ValueEnsemble(DistributionalValueModel):
    """Value models of one specification, asked together wherever a single one could be.

    The members saw the same frames in other orders and began with other weights, or, fine-tuned
    from one model, saw other batches and augmentation. Where data say little they part.
    """

    def __init__(self, members: Sequence[DistributionalValueModel]) -> None:
        """Join the members; all of them must have one specification.

        Raises:
            ValueError: If there is none, or they have not.
        """
        nn.Module.__init__(self)  # the parent would make a model of its own
        if not members or any(member.spec != members[0].spec for member in members):
            message = "an ensemble takes one or more members of the same specification."
            raise ValueError(message)
        self.support = members[0].support
        self.members = nn.ModuleList(members)

    @property
    def spec(self) -> ValueSpec:
        """What every member was made for, and from."""
        return self._models()[0].spec

    @spec.setter
    def spec(self, spec: ValueSpec) -> None:
        for member in self._models():
            member.spec = spec

    @property
    def encoder(self) -> Encoder:  # type: ignore[override]
        """The first member's encoder: all of them read and keep beside their weights the same."""
        return self._models()[0].encoder

    def forward(self, batch: ObservationBatch) -> Tensor:
        """Give the ``(B, bins)`` logarithm of the mean of the members' distributions."""
        logs = [member(batch).float().log_softmax(dim=1) for member in self._models()]
        return torch.stack(logs).logsumexp(dim=0) - math.log(len(logs))

    def disagreement(self, batch: ObservationBatch) -> Tensor:
        """Give the ``(B,)`` standard deviation of the members' expected returns.

        It is that of these members, not an estimate for others: 0 for a single one.
        """
        values = [member.values(batch) for member in self._models()]
        return torch.stack(values).std(dim=0, correction=0)

    def _models(self) -> list[DistributionalValueModel]:
        return [model for model in self.members if isinstance(model, DistributionalValueModel)]


def members_of(model: DistributionalValueModel) -> list[DistributionalValueModel]:
    """Give the members of an ensemble; a single model is its own only one."""
    if isinstance(model, ValueEnsemble):
        return [member for member in model.members if isinstance(member, DistributionalValueModel)]
    return [model]


def join(members: Sequence[DistributionalValueModel]) -> DistributionalValueModel:
    """Make an ensemble of several models; a single one stays what it is."""
    return members[0] if len(members) == 1 else ValueEnsemble(members)
