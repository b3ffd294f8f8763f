"""The tabletop task: put the cube that was asked for on the pad that was asked for."""

from functools import cache
from pathlib import Path
from typing import Final

import numpy as np
from numpy.typing import NDArray

from data.schema import Ending, Layout
from envs.arm import (
    ARM_JOINTS,
    FINGER_JOINTS,
    FINGER_OPEN_METRES,
    Floats,
    Workspace,
    joints_for,
)
from envs.renderer import choose_renderer
from envs.world import Observation

choose_renderer()
import mujoco  # noqa: E402  (MuJoCo reads MUJOCO_GL when it is imported)

CONTROL_RATE_HZ: Final = 20
PHYSICS_STEPS_PER_ACTION: Final = 10
TIME_LIMIT_STEPS: Final = 100

STEP_METRES: Final = 0.03
"""How far a full action moves the fingertips in one control step."""
STEP_RADIANS: Final = 0.2
"""How far a full action turns the gripper in one control step."""
LEAD_METRES: Final = 0.06
"""The commanded pose never runs further than this ahead of where the arm is."""

CUBES: Final = ("red", "blue")
PADS: Final = ("green", "white")
TASKS: Final = tuple(f"put the {cube} cube on the {pad} pad" for cube in CUBES for pad in PADS)

CUBE_HALF_METRES: Final = 0.018
GOAL_RADIUS_METRES: Final = 0.045
RESTING_SPEED: Final = 0.05
"""Metres per second under which a cube counts as resting."""
OPEN_GRIP: Final = 1.0
"""What the gripper is told as long as nobody has said anything yet."""
OPEN_FRACTION: Final = 0.6
"""The gripper counts as open from this share of its full opening."""

STATE_NAMES: Final = ("ee_x", "ee_y", "ee_z", "ee_yaw", "gripper", *ARM_JOINTS)
ACTION_NAMES: Final = ("dx", "dy", "dz", "dyaw", "grip")
CAMERAS: Final = ("front", "wrist")
IMAGE_PIXELS: Final = 64

LAYOUT: Final = Layout(
    fps=CONTROL_RATE_HZ,
    cameras=dict.fromkeys(CAMERAS, (IMAGE_PIXELS, IMAGE_PIXELS)),
    state_names=STATE_NAMES,
    action_names=ACTION_NAMES,
    robot_type="recap_tabletop_arm",
)

START_POSE: Final = np.array([0.22, 0.0, 0.2, 0.0])
"""Where attempts start, more or less: fingertip position in metres and yaw in radians."""
_FREE_SPACE_METRES: Final = 0.095
"""Cubes and pads start at least this far from each other."""


@cache
def _model() -> mujoco.MjModel:
    return mujoco.MjModel.from_xml_path(str(Path(__file__).parent / "assets" / "tabletop.xml"))


@cache
def _renderer(height: int, width: int) -> mujoco.Renderer:
    """Share one renderer among the worlds of a process: they differ in data, not in model."""
    return mujoco.Renderer(_model(), height=height, width=width)


class Tabletop:
    """A five-joint arm, two cubes, two pads, and one of four instructions.

    Action: ``(5,)`` in [-1, 1]. The first three move the commanded fingertip position, 3 cm a step
    at most; the fourth turns the gripper, 0.2 rad a step at most; the fifth closes the gripper
    below zero and opens it from zero on.
    Observation: pictures of two cameras, and the fingertip position (m) and yaw (rad), the gripper
    opening (0 closed, 1 open) and the five joint angles (rad).
    Success: the right cube rests within 4.5 cm of the middle of the right pad, gripper open.
    One control step lasts 0.05 s. Everything drawn depends on the seed of ``reset`` alone.
    """

    def __init__(self, layout: Layout = LAYOUT) -> None:
        """Build the world; pictures have the sizes that the layout gives."""
        self._layout = layout
        self._model = _model()
        self._data = mujoco.MjData(self._model)
        self._workspace = Workspace()
        self._commanded = START_POSE.copy()
        self._task = TASKS[0]
        self._joint_index = np.array([self._model.joint(name).qposadr[0] for name in ARM_JOINTS])
        self._finger_index = np.array([self._model.joint(n).qposadr[0] for n in FINGER_JOINTS])

    @property
    def layout(self) -> Layout:
        """Cameras, state and action names, and the control rate."""
        return self._layout

    @property
    def task(self) -> str:
        """The instruction of this attempt."""
        return self._task

    def reset(self, *, seed: int) -> Observation:
        """Draw the task, the places of cubes and pads, and the arm's starting pose."""
        rng = np.random.default_rng(seed)
        mujoco.mj_resetData(self._model, self._data)
        self._task = TASKS[rng.integers(len(TASKS))]
        self._place_things(rng)
        start = START_POSE + rng.uniform([-0.03, -0.06, -0.02, -0.2], [0.05, 0.06, 0.03, 0.2])
        self._commanded = self._workspace.clip(start)
        self._data.qpos[self._joint_index] = joints_for(self._commanded)
        self._data.qpos[self._finger_index] = FINGER_OPEN_METRES
        self._command(is_closing=False)
        mujoco.mj_step(self._model, self._data, nstep=PHYSICS_STEPS_PER_ACTION)
        return self.observe()

    def act(self, action: NDArray[np.float32]) -> None:
        """Move the commanded pose by the action and let 0.05 s pass."""
        self._move_command(action)
        self._command(is_closing=bool(action[4] < 0))
        mujoco.mj_step(self._model, self._data, nstep=PHYSICS_STEPS_PER_ACTION)

    def observe(self) -> Observation:
        """Render the cameras and read the joints."""
        return Observation(
            images={name: self.picture(name, *size) for name, size in self._layout.cameras.items()},
            state=self._state(),
            task=self._task,
        )

    def picture(self, camera: str, height: int, width: int) -> NDArray[np.uint8]:
        """Render one camera as ``(H, W, 3)``."""
        renderer = _renderer(height, width)
        renderer.update_scene(self._data, camera=camera)
        picture: NDArray[np.uint8] = renderer.render()
        return picture

    @property
    def is_success(self) -> bool:
        """Whether the right cube rests on the right pad with the gripper open."""
        cube, pad = self.target_cube, self.target_pad
        speed = float(np.linalg.norm(self._data.joint(f"{self._target('cube')}_cube").qvel[:3]))
        return bool(
            np.linalg.norm(cube[:2] - pad[:2]) < GOAL_RADIUS_METRES
            and abs(cube[2] - CUBE_HALF_METRES) < 0.01
            and speed < RESTING_SPEED
            and self.opening > OPEN_FRACTION
        )

    @property
    def ending(self) -> Ending | None:
        """An attempt ends when it has succeeded; None while it goes on."""
        return Ending.TERMINATED if self.is_success else None

    def hold_action(self, last: NDArray[np.float32] | None) -> NDArray[np.float32]:
        """Return the ``(5,)`` action that moves nothing and keeps the gripper as it was told."""
        grip = OPEN_GRIP if last is None else float(last[4])
        return np.array([0.0, 0.0, 0.0, 0.0, grip], dtype=np.float32)

    # What follows is the truth that only the scripted expert and the tests may look at.

    @property
    def fingertips(self) -> Floats:
        """``(3,)`` position between the fingertips in metres."""
        return np.array(self._data.site("grasp").xpos)

    @property
    def commanded(self) -> Floats:
        """``(4,)`` pose that the arm was last told to reach."""
        return self._commanded.copy()

    @property
    def opening(self) -> float:
        """How far the gripper is open: 0 closed, 1 open."""
        return float(self._data.qpos[self._finger_index].mean() / FINGER_OPEN_METRES)

    @property
    def target_cube(self) -> Floats:
        """``(3,)`` position of the cube that the task names, in metres."""
        return self.cube(self._target("cube"))

    @property
    def target_pad(self) -> Floats:
        """``(3,)`` position of the pad that the task names, in metres."""
        return np.array(self._data.body(f"{self._target('pad')}_pad").xpos)

    def cube(self, colour: str) -> Floats:
        """Return the ``(3,)`` position of a cube in metres."""
        return np.array(self._data.body(f"{colour}_cube").xpos)

    def cube_yaw(self, colour: str) -> float:
        """Return how far a cube is turned, in radians within a quarter turn around zero."""
        w, x, y, z = self._data.body(f"{colour}_cube").xquat
        yaw = np.arctan2(2 * (w * z + x * y), 1 - 2 * (y * y + z * z))
        return float((yaw + np.pi / 4) % (np.pi / 2) - np.pi / 4)

    @property
    def target_colour(self) -> str:
        """The colour of the cube that the task names."""
        return self._target("cube")

    def _target(self, kind: str) -> str:
        words = self._task.split()
        return words[words.index(kind) - 1]

    def _place_things(self, rng: np.random.Generator) -> None:
        places = _scatter(rng, count=len(CUBES) + len(PADS))
        for colour, place in zip(CUBES, places[: len(CUBES)], strict=True):
            yaw = rng.uniform(-0.4, 0.4)
            pose = [*place, CUBE_HALF_METRES, np.cos(yaw / 2), 0.0, 0.0, np.sin(yaw / 2)]
            self._data.joint(f"{colour}_cube").qpos[:] = pose
        for colour, place in zip(PADS, places[len(CUBES) :], strict=True):
            mocap = self._model.body(f"{colour}_pad").mocapid[0]
            self._data.mocap_pos[mocap] = [*place, 0.0]

    def _move_command(self, action: NDArray[np.float32]) -> None:
        action = np.clip(np.asarray(action, dtype=np.float64), -1.0, 1.0)
        self._commanded[:3] += action[:3] * STEP_METRES
        self._commanded[3] += action[3] * STEP_RADIANS
        ahead = self._commanded[:3] - self.fingertips
        distance = float(np.linalg.norm(ahead))
        if distance > LEAD_METRES:
            self._commanded[:3] = self.fingertips + ahead * (LEAD_METRES / distance)
        self._commanded = self._workspace.clip(self._commanded)

    def _command(self, *, is_closing: bool) -> None:
        self._data.ctrl[: len(ARM_JOINTS)] = joints_for(self._commanded)
        self._data.ctrl[len(ARM_JOINTS) :] = 0.0 if is_closing else FINGER_OPEN_METRES

    def _state(self) -> NDArray[np.float32]:
        joints = self._data.qpos[self._joint_index]
        yaw = joints[0] - joints[4]
        return np.array([*self.fingertips, yaw, self.opening, *joints], dtype=np.float32)


def _scatter(rng: np.random.Generator, *, count: int) -> Floats:
    """Draw ``(count, 2)`` places on the table that keep their distance from each other."""
    while True:
        places = rng.uniform([0.2, -0.17], [0.38, 0.17], size=(count, 2))
        gaps = np.linalg.norm(places[:, None] - places[None], axis=-1) + np.eye(count)
        if gaps.min() > _FREE_SPACE_METRES:
            return places
