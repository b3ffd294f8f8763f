"""The tabletop with its servos laid bare, and the tabletop as a mirror of another one."""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from envs.arm import (
    ARM_JOINTS,
    FINGER_OPEN_METRES,
    HIGHEST_POSITIONS,
    LOWEST_POSITIONS,
    Floats,
    joints_for,
    joints_of,
    positions_of,
)
from envs.renderer import choose_renderer
from envs.tabletop import TASKS, Tabletop

choose_renderer()
import mujoco  # noqa: E402  (MuJoCo reads MUJOCO_GL when it is imported)


class ServoTabletop(Tabletop):
    """The tabletop with its servos laid bare: one target per joint, one physics step at a time."""

    def steer(self, positions: Floats) -> None:
        """Tell the servos where to go: ``(6,)`` in a LeRobot arm's units."""
        joints, opening = joints_of(np.clip(positions, LOWEST_POSITIONS, HIGHEST_POSITIONS))
        self._data.ctrl[: len(ARM_JOINTS)] = joints
        self._data.ctrl[len(ARM_JOINTS) :] = opening * FINGER_OPEN_METRES

    def step_physics(self) -> None:
        """Let 5 ms pass."""
        mujoco.mj_step(self._model, self._data)

    @property
    def target(self) -> Floats:
        """``(6,)`` positions that the servos were last told."""
        opening = float(self._data.ctrl[-1]) / FINGER_OPEN_METRES
        return positions_of(self._data.ctrl[: len(ARM_JOINTS)], opening=opening)

    @property
    def positions(self) -> Floats:
        """``(6,)`` positions that the servos have."""
        return positions_of(self._data.qpos[self._joint_index], opening=self.opening)

    @property
    def everything(self) -> tuple[Floats, Floats]:
        """Where everything is: ``(21,)`` generalised positions and ``(2, 3)`` pads in metres."""
        return np.array(self._data.qpos), np.array(self._data.mocap_pos)


class MirrorTabletop(Tabletop):
    """The tabletop as it stands elsewhere, and the pose that this person's leader commands."""

    def look(self, truth: NDArray[Any]) -> None:
        """Put everything where it is there."""
        self._data.qpos[:] = truth["qpos"]
        self._data.mocap_pos[:] = truth["pads"]
        self._task = TASKS[int(truth["task"])]
        mujoco.mj_kinematics(self._model, self._data)

    def grasp_the_leader(self) -> None:
        """Bring the leader to where the arm is."""
        joints = self._data.qpos[self._joint_index]
        self._commanded = self._workspace.clip(np.append(self.fingertips, joints[0] - joints[-1]))

    def move_leader(self, action: NDArray[np.float32]) -> None:
        """Move the leader by one decision of the expert's."""
        self._move_command(action)

    @property
    def leader(self) -> Floats:
        """``(5,)`` degrees of the leader's joints."""
        return positions_of(joints_for(self._commanded), opening=0.0)[:-1]
