"""What a value model was made for, and from."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from value_models.config import ValueModelConfig


@dataclass(frozen=True, slots=True, kw_only=True)
class FeatureSource:
    """Where the features of a frozen backbone come from."""

    path: str
    """Folder of the policy, as it was given."""

    fingerprint: str
    """Content hash of that folder, and of how its backbone is read."""

    size: int
    """Width of the features."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ValueSpec:
    """What a value model was made for, and from: all of its checkpoint that is not a weight."""

    config: ValueModelConfig
    """Sizes, bins and projection."""

    tasks: tuple[str, ...]
    """Instructions it was trained on, in words. No advantage is made of what it says of others."""

    vocabulary: tuple[str, ...]
    """Words with an embedding of their own."""

    cameras: Mapping[str, tuple[int, int]]
    """Camera name to height and width in pixels."""

    state_mean: tuple[float, ...]
    """Mean of every joint, frozen when the model was first made."""

    state_std: tuple[float, ...]
    """Standard deviation of every joint, frozen with the mean; none is zero."""

    normalisers: Mapping[str, float]
    """Task to control steps in one unit of return, frozen for the iteration."""

    fps: int | None = None
    """Frames, which are control steps, a second; None where that was not known."""

    state_names: tuple[str, ...] | None = None
    """Name of every joint; None where they were not known."""

    scaling: str = "penalty"
    """How failures share the bins with successes in those returns, as ``returns.scaling`` says."""

    trainset_fingerprint: str = ""
    """The training set it was last trained on."""

    base_fingerprint: str = ""
    """Content hash of the checkpoint that training started from; empty where from nothing."""

    features: FeatureSource | None = None
    """The frozen backbone whose features it reads; None where it sees the images itself."""
