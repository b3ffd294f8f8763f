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


JOINT_LIMITS_RADIANS: Final = ((-1.6, 1.6), (-1.6, 2.2), (0.0, 2.9), (-1.0, 3.2), (-3.2, 3.2))
"""Least and greatest angle of each of :data:`ARM_JOINTS`, as the model has them."""

POSITION_KEYS: Final = tuple(f"{joint}.pos" for joint in (*ARM_JOINTS, "gripper"))
"""What LeRobot calls the arm's six servos: five joints in degrees, the gripper in 0 to 100."""
LOWEST_POSITIONS: Final = (*(float(np.rad2deg(low)) for low, _ in JOINT_LIMITS_RADIANS), 0.0)
HIGHEST_POSITIONS: Final = (*(float(np.rad2deg(high)) for _, high in JOINT_LIMITS_RADIANS), 100.0)


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


def positions_of(joints: Floats, *, opening: float) -> Floats:
    """Say how the arm stands in the units of a LeRobot arm.

    Args:
        joints: ``(5,)`` angles of :data:`ARM_JOINTS` in radians.
        opening: How far the gripper is open: 0 closed, 1 open.

    Returns:
        ``(6,)`` values of :data:`POSITION_KEYS`: degrees, and 0 (closed) to 100 (open).
    """
    return np.append(np.rad2deg(joints), 100.0 * opening)


def joints_of(positions: Floats) -> tuple[Floats, float]:
    """Undo :func:`positions_of`: return ``(5,)`` radians and the opening, 0 closed, 1 open."""
    return np.deg2rad(positions[:-1]), float(positions[-1]) / 100.0


def _cosine_of_elbow(distance: float) -> float:
    a, b = UPPER_ARM_METRES, FOREARM_METRES
    return float(np.clip((distance**2 - a**2 - b**2) / (2 * a * b), -1.0, 1.0))


def _angle_at_shoulder(distance: float) -> float:
    a, b = UPPER_ARM_METRES, FOREARM_METRES
    cosine = (a**2 + distance**2 - b**2) / (2 * a * max(distance, 1e-9))
    return float(np.arccos(np.clip(cosine, -1.0, 1.0)))
