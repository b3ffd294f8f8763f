"""A lesson in seeing: where will the gripper next open or close?

The answer is read in hindsight from the robot's own state, so it needs no privileged knowledge.
Before a grasp it is where the object lies, after it where the object goes. The head that learns it
is thrown away after training; what stays is an encoder that looks at the right things.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

from recap.policies.batches import NO_ROW


class WaypointHead(nn.Module):
    """Predict a position from image features, state and the task's text."""

    def __init__(self, feature_size: int, state_size: int, text_width: int, outputs: int) -> None:
        """Build the layers."""
        super().__init__()
        self.gate = nn.Linear(text_width, feature_size)
        self.layers = nn.Sequential(
            nn.Linear(feature_size + state_size + text_width, 256),
            nn.SiLU(),
            nn.Linear(256, 256),
            nn.SiLU(),
            nn.Linear(256, outputs),
        )

    def forward(self, features: Tensor, state: Tensor, text: Tensor) -> Tensor:
        """Return ``(B, outputs)`` positions in normalised state."""
        gated = features * (1.0 + self.gate(text))
        position: Tensor = self.layers(torch.cat([gated, state, text], dim=1))
        return position


def waypoint_loss(predicted: Tensor, position: Tensor, rows: Tensor) -> Tensor:
    """Return the mean distance (Huber) to the positions, over the frames that have one.

    Args:
        predicted: ``(B, D)``.
        position: ``(B, D)`` where the gripper changes; anything where it does not.
        rows: ``(B,)`` rows of those changes, ``NO_ROW`` where there is none.
    """
    exists = (rows != NO_ROW).to(predicted.dtype)
    distance = nn.functional.smooth_l1_loss(predicted, position, reduction="none", beta=0.1)
    return (distance.mean(dim=1) * exists).sum() / exists.sum().clamp(min=1.0)
