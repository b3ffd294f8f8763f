"""What a person holds: a LeRobot teleoperator, read in the terms of the robot's action."""

from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from typing import Any

import numpy as np
from lerobot.teleoperators import Teleoperator
from numpy.typing import NDArray

from data.errors import ConfigError, DeviceError, RecapError
from envs.hardware import LOST

Floats = NDArray[np.float32]


class Leader:
    """A LeRobot ``Teleoperator`` that moves the robot joint by joint."""

    def __init__(self, teleoperator: Teleoperator, *, action_names: Sequence[str]) -> None:
        """Pair a teleoperator with a robot.

        Raises:
            ConfigError: If it does not say what each of the robot's joints is to do.
        """
        missing = sorted(set(action_names) - set(teleoperator.action_features))
        if missing:
            message = (
                f"The teleoperator '{teleoperator.name}' does not move {', '.join(missing)} of the "
                f"robot. Choose the one that belongs to the robot with --teleop.type=..."
            )
            raise ConfigError(message)
        self.teleoperator = teleoperator
        self._names = tuple(action_names)

    def connect(self) -> None:
        """Connect it.

        Raises:
            DeviceError: If it does not answer.
        """
        if not self.teleoperator.is_connected:
            self._watched("connect", self.teleoperator.connect)

    def reconnect(self) -> None:
        """Connect it again if it does not answer.

        Raises:
            DeviceError: If it does not answer yet.
        """
        with suppress(DeviceError):
            self.action()
            return
        with suppress(*LOST):
            self.teleoperator.disconnect()  # what is left of it would be in the way
        # Nobody can answer a question about calibration now, and it was calibrated before.
        self._watched("connect", lambda: self.teleoperator.connect(calibrate=False))
        self.action()

    def disconnect(self) -> None:
        """Let go of it; one that is gone already is let go of silently."""
        with suppress(*LOST):
            if self.teleoperator.is_connected:
                self.teleoperator.disconnect()

    def action(self) -> Floats:
        """Read ``(A,)``: where the person wants the robot to be.

        Raises:
            DeviceError: If the teleoperator is gone.
        """
        wanted: Mapping[str, Any] = self._watched("read", self.teleoperator.get_action)
        return np.array([wanted[name] for name in self._names], dtype=np.float32)

    # What moves a leader that has motors, for the moment in which it is brought to the robot.

    def enable_torque(self) -> None:
        """Let its motors hold the position last told; only for one that has motors.

        Raises:
            DeviceError: If the teleoperator is gone.
        """
        self._watched("hold", self.teleoperator.enable_torque)

    def disable_torque(self) -> None:
        """Let a hand move it; one that is gone is nothing to let go of."""
        with suppress(*LOST):
            self.teleoperator.disable_torque()

    def send_feedback(self, feedback: dict[str, Any]) -> None:
        """Tell its motors where to go: joint name to position.

        Raises:
            DeviceError: If the teleoperator is gone.
        """
        self._watched("drive", lambda: self.teleoperator.send_feedback(feedback))

    def _watched[Result](self, doing: str, work: Callable[[], Result]) -> Result:
        try:
            return work()
        except LOST as error:
            message = f"The teleoperator was lost ({doing}: {error})."
            raise DeviceError(message) from error


class LeaderButtons:
    """The buttons of a teleoperator, which must not break a control loop.

    One that is gone goes on saying what it said last: letting go of everything would hand the
    robot back to the policy. That it is gone shows where it is asked where to go.
    """

    def __init__(self, leader: Leader) -> None:
        """Listen to a leader whose teleoperator has LeRobot's events."""
        self._teleoperator = leader.teleoperator
        self._told: Mapping[Any, Any] = {}

    def get_teleop_events(self) -> Mapping[Any, Any]:
        """Return which of LeRobot's ``TeleopEvents`` hold now."""
        with suppress(*LOST, RecapError):
            self._told = self._teleoperator.get_teleop_events()
        return self._told
