"""Does the indicator matter? The conditioning gap, measured on recorded frames.

A reproduction of the method found that its tag had no effect at all, another that it worked the
wrong way round. Both are seen here before any robot moves.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

import numpy as np
import torch
from numpy.typing import NDArray

from recap.policies.batches import Rows, TrainingFrames
from recap.policies.checkpoint import LoadedPolicy, statistics_of
from recap.policies.flow.modeling_recap_flow import IMAGE_FEATURES_KEY, NOISE_TIME_POWER
from recap.policies.prepared import PreparedFrames
from recap.policies.prompts import ABSENT, NEGATIVE, POSITIVE

SMALL_ACTION_DIFFERENCE: Final = 0.02
"""Standard deviations of the actions below which two chunks are as good as the same."""

NOISE_SAMPLES: Final = 8
FRAMES_AT_ONCE: Final = 256


@dataclass(frozen=True, slots=True, kw_only=True)
class ConditioningGap:
    """How much a policy's losses and actions depend on the indicator."""

    told_loss: float
    """Mean flow-matching loss with each frame's own indicator."""

    flipped_loss: float
    """The same with the other indicator, under the same noise."""

    untold_loss: float
    """The same without an indicator."""

    action_difference: float
    """Mean distance between the chunks for positive and negative, from the same noise.

    Per entry, in standard deviations of the actions.
    """

    @property
    def loss_gap(self) -> float:
        """How much worse the loss gets when the indicator is flipped; above zero is right."""
        return self.flipped_loss - self.told_loss

    def warnings(self) -> list[str]:
        """Say in words what looks wrong."""
        found = []
        if self.action_difference < SMALL_ACTION_DIFFERENCE:
            found.append(
                f"The indicator hardly changes the actions (by {self.action_difference:.3f} "
                f"standard deviations). Try policy.shape.indicator_placement=expert."
            )
        elif self.loss_gap <= 0.0:
            found.append(
                f"The conditioning is not learned: the loss with the indicators flipped is not "
                f"higher ({self.flipped_loss:.4f} against {self.told_loss:.4f})."
            )
        return found


@torch.no_grad()
def conditioning_gap(
    loaded: LoadedPolicy, frames: TrainingFrames, *, most_frames: int = 2000, seed: int = 0
) -> ConditioningGap:
    """Measure the conditioning gap on frames that have an indicator.

    Args:
        loaded: The policy.
        frames: Recorded frames; those it was trained on show at least whether it listens.
        most_frames: A random choice of so many of them is used.
        seed: Seed of the choice and the noise.

    Raises:
        ValueError: If no frame has an indicator.
    """
    generator = np.random.default_rng(seed)
    rows = np.flatnonzero(frames.indicator != ABSENT)
    if not len(rows):
        message = "No frame has an indicator, so there is no conditioning to measure."
        raise ValueError(message)
    rows = np.sort(generator.choice(rows, size=min(most_frames, len(rows)), replace=False))
    prepared = PreparedFrames(loaded.policy, frames, statistics_of(loaded.preprocessor))
    noise_source = torch.Generator().manual_seed(seed)
    sums = np.zeros(4)
    for start in range(0, len(rows), FRAMES_AT_ONCE):
        part = rows[start : start + FRAMES_AT_ONCE]
        sums += len(part) * _gaps(prepared, part, noise_source)
    told, flipped, untold, difference = (float(value) for value in sums / len(rows))
    return ConditioningGap(
        told_loss=told,
        flipped_loss=flipped,
        untold_loss=untold,
        action_difference=difference,
    )


def _gaps(prepared: PreparedFrames, rows: Rows, generator: torch.Generator) -> NDArray[np.float64]:
    """Return the told, flipped and untold loss and the action difference of some frames."""
    policy = prepared.policy
    features = policy.encode_images(prepared.pictures(rows))
    shape = (policy.config.chunk_size, policy.action_size)
    noise = torch.randn((len(rows), NOISE_SAMPLES, *shape), generator=generator)
    uniform = torch.rand(noise.shape[:2], generator=generator)
    time = 1.0 - uniform**NOISE_TIME_POWER
    own = prepared.frames.indicator[rows]
    losses = [
        policy.flow_losses(prepared.batch(rows, told), features, noise, time).mean()
        for told in (own, -own, np.zeros_like(own))
    ]
    positive, negative = (
        policy.predict_action_chunk(
            {
                **prepared.batch(rows, np.full_like(own, sign)),
                IMAGE_FEATURES_KEY: features,
            },
            noise=noise[:, 0],
        )
        for sign in (POSITIVE, NEGATIVE)
    )
    difference = (positive - negative).abs().mean()
    return np.array([*(float(loss) for loss in losses), float(difference)])
