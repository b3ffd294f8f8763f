from __future__ import annotations

import pytest
import torch

from recap.policies.batches import NO_ROW
from recap.policies.waypoints import waypoint_loss


def test_a_frame_without_a_gripper_change_ahead_teaches_no_waypoint():
    predicted = torch.tensor([[0.0, 0.0], [9.0, 9.0]])
    position = torch.tensor([[1.0, 1.0], [0.0, 0.0]])

    loss = waypoint_loss(predicted, position, torch.tensor([7, NO_ROW]))

    #   Huber with beta 0.1: |1| - 0.05 in both entries of the one frame that counts
    assert loss.item() == pytest.approx(0.95)


def test_no_gripper_change_at_all_is_no_loss():
    loss = waypoint_loss(torch.ones(2, 3), torch.zeros(2, 3), torch.tensor([NO_ROW, NO_ROW]))

    assert loss.item() == 0.0
