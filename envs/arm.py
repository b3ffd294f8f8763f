"""Where the arm's joints must go for its fingertips to be somewhere: closed-form kinematics."""

from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]

SHOULDER_HEIGHT_METRES: Final = 0.15
UPPER_ARM_METRES: Final = 0.26
FOREARM_METRES: Final = 0.26
HAND_METRES: Final = 0.11
"""From the wrist to the point between the fingertips; the hand always points straight down."""

ARM_JOINTS: Final = ("base_yaw", "shoulder", "elbow", "wrist_pitch", "wrist_roll")
FINGER_JOINTS: Final = ("left_finger", "right_finger")
FINGER_OPEN_METRES: Final = 0.036
"""How far each finger stands from the closed position when the gripper is open."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Workspace:
    """The box the fingertips are kept in: metres from the arm's base, and radians of yaw."""

    low: tuple[float, float, float, float] = (0.14, -0.24, 0.012, -1.0)
    high: tuple[float, float, float, float] = (0.44, 0.24, 0.26, 1.0)

    def clip(self, pose: Floats) -> Floats:
        """Return the nearest pose ``(x, y, z, yaw)`` inside the box."""
        return np.clip(pose, self.low, self.high)


def joints_for(pose: Floats) -> Floats:
    """Solve the joint angles that put the fingertips at a pose, hand pointing down.

    Args:
        pose: ``(4,)`` fingertip position x, y, z in metres and yaw in radians.

    Returns:
        ``(5,)`` angles of :data:`ARM_JOINTS` in radians, elbow up. A pose out of reach gives the
        stretched arm.
    """
    x, y, z, yaw = pose
    base_yaw = np.arctan2(y, x)
    forward = np.hypot(x, y)
    upward = z + HAND_METRES - SHOULDER_HEIGHT_METRES
    distance = np.hypot(forward, upward)

    bend = np.arccos(_cosine_of_elbow(distance))
    lean = np.arctan2(forward, upward) - _angle_at_shoulder(distance)
    return np.array([base_yaw, lean, bend, np.pi - lean - bend, base_yaw - yaw])


def _cosine_of_elbow(distance: float) -> float:
    a, b = UPPER_ARM_METRES, FOREARM_METRES
    return float(np.clip((distance**2 - a**2 - b**2) / (2 * a * b), -1.0, 1.0))


def _angle_at_shoulder(distance: float) -> float:
    a, b = UPPER_ARM_METRES, FOREARM_METRES
    cosine = (a**2 + distance**2 - b**2) / (2 * a * max(distance, 1e-9))
    return float(np.arccos(np.clip(cosine, -1.0, 1.0)))
