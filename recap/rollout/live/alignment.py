"""Leader and robot are brought together before a person gets control, so that nothing jumps."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final, Protocol, TypeGuard

import numpy as np
from numpy.typing import NDArray

from data.errors import ConfigError

Floats = NDArray[np.float32]

SETTLING_STEPS: Final = 10
"""Control steps that a leader with motors gets to arrive after it was told the last position."""


@dataclass(frozen=True, slots=True, kw_only=True)
class AlignmentConfig:
    """Settings of the moment in which a person takes control."""

    speed: float = 60.0
    """Most that a joint moves in a second while leader and robot come together, in the robot's
    own unit (degrees, or percent of its range)."""

    tolerance: float = 3.0
    """Distance per joint at which they count as together, in the robot's own unit. What is left of
    it is taken at the speed that the safety allows."""

    def __post_init__(self) -> None:
        """Refuse a speed or a tolerance with which they would never come together."""
        for name in ("speed", "tolerance"):
            value = getattr(self, name)
            if not (math.isfinite(value) and value > 0):
                message = f"alignment.{name} must be a finite number above 0, got {value}."
                raise ConfigError(message)


class LeaderMotors(Protocol):
    """A leader that can be driven; LeRobot's teleoperators with motors are."""

    def enable_torque(self) -> None:
        """Hold the position last told."""
        ...

    def disable_torque(self) -> None:
        """Let a hand move it."""
        ...

    def send_feedback(self, feedback: dict[str, Any]) -> None:
        """Tell it where to go: joint name to position."""
        ...


def has_motors(teleoperator: object) -> TypeGuard[LeaderMotors]:
    """Say whether a LeRobot teleoperator can be driven, by LeRobot's own rule."""
    features: Mapping[str, Any] = getattr(teleoperator, "feedback_features", {})
    return bool(features) and all(
        hasattr(teleoperator, name) for name in ("enable_torque", "disable_torque")
    )


def bring_together(robot: Floats, leader: Floats, *, largest_step: float) -> Floats:
    """Move the robot towards the leader by one bounded step.

    Args:
        robot: ``(A,)`` the command that the robot has, in its own unit.
        leader: ``(A,)`` where the leader stands, in the robot's unit.
        largest_step: Most that any joint moves, in the same unit.

    Returns:
        ``(A,)`` the next command: exactly the leader's position in every joint within reach.
    """
    here = robot.astype(np.float64)
    return np.clip(leader, here - largest_step, here + largest_step).astype(np.float32)


def are_together(robot: Floats, leader: Floats, *, tolerance: float) -> bool:
    """Say whether no joint is further away than ``tolerance``; never for what is not a number."""
    return bool(np.all(np.abs(robot.astype(np.float64) - leader) <= tolerance))


class Alignment:
    """Brings leader and robot together, one control step at a time.

    A leader with motors is driven to the robot, which holds; then it is let go, and a hand has to
    hold it. What is left of the distance, or all of it where the leader has no motors, the robot
    goes. Both go by bounded steps. It is done when they are together, and begins anew with the
    next step after that.
    """

    def __init__(
        self,
        *,
        names: Sequence[str],
        largest_step: float,
        tolerance: float,
        motors: LeaderMotors | None = None,
    ) -> None:
        """Prepare.

        Args:
            names: ``A`` names of the robot's joints; the leader's are called the same.
            largest_step: Most that a joint may move in one control step, in the robot's unit.
            tolerance: Distance per joint at which they are together, in the same unit.
            motors: The leader's motors; None if it has none.
        """
        self._names = tuple(names)
        self._largest_step = largest_step
        self._tolerance = tolerance
        self._motors = motors
        self._leader_goal: Floats | None = None
        self._settling_steps = 0
        self.is_running = False
        self.is_done = False

    def step(self, *, robot: Floats, leader: Floats) -> Floats:
        """Bring them together by one step; with motors this tells the leader where to go.

        Args:
            robot: ``(A,)`` the command that the robot has.
            leader: ``(A,)`` where the leader stands. The robot holds where that is not a number.

        Returns:
            ``(A,)`` the next command for the robot.
        """
        if not self.is_running:
            self._begin()
        if not np.isfinite(leader).all():
            return robot
        is_near = are_together(robot, leader, tolerance=self._tolerance)
        if self._motors is not None and self._settling_steps > 0 and not is_near:
            self._drive(self._motors, robot, leader)
            return robot
        self._let_go()
        command = bring_together(robot, leader, largest_step=self._largest_step)
        self.is_done = are_together(command, leader, tolerance=self._tolerance)
        self.is_running = not self.is_done
        return command

    def abandon(self) -> None:
        """Stop half-way and let the leader go; the next step begins anew."""
        self._let_go()
        self.is_running = False

    def _begin(self) -> None:
        self.is_running, self.is_done = True, False
        self._leader_goal = None
        self._settling_steps = 0 if self._motors is None else SETTLING_STEPS

    def _drive(self, motors: LeaderMotors, robot: Floats, leader: Floats) -> None:
        if self._leader_goal is None:
            # Told before the motors hold, or they would jump to wherever they were told last.
            motors.send_feedback(self._named(leader))
            motors.enable_torque()
            self._leader_goal = leader
        if np.array_equal(self._leader_goal, robot):
            self._settling_steps -= 1
        self._leader_goal = bring_together(
            self._leader_goal, robot, largest_step=self._largest_step
        )
        motors.send_feedback(self._named(self._leader_goal))

    def _named(self, position: Floats) -> dict[str, Any]:
        return {name: float(at) for name, at in zip(self._names, position, strict=True)}

    def _let_go(self) -> None:
        if self._motors is not None and self._leader_goal is not None:
            self._motors.disable_torque()
            self._leader_goal = None
        self._settling_steps = 0
