"""A LeRobot robot as a world: one attempt at a time, in real time."""

from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from typing import Any, Final

import numpy as np
from lerobot.cameras import Camera
from lerobot.robots import Robot
from numpy.typing import NDArray

from data.errors import ConfigError, DeviceError
from data.schema import Layout
from envs.world import Observation

Floats = NDArray[np.float32]

LOST: Final = (OSError, RuntimeError)
"""What LeRobot's robots, motors and cameras raise when they are gone; its own
``DeviceNotConnectedError`` and time-outs are kinds of `OSError`."""

GRIPPER: Final = "gripper"
"""What the name of a joint that holds things has in it: ``gripper.pos``, ``left_gripper.pos``."""

SPEEDS: Final = (".vel", ".vx", ".vy", ".vtheta")
"""How LeRobot's robots end the name of a component that is a speed, not a position."""

COLOURS: Final = 3


class RobotWorld:
    """Any LeRobot ``Robot``, seen as `envs.world.World`.

    The state holds every number that the robot reports, and the action every number that it takes,
    both in the robot's own order and units. Nothing is scaled.

    A simulated robot may offer more than LeRobot asks for, and is then used for it:
    ``reset_scene(seed)``, which lays a new scene and returns the instruction in words, and
    ``is_success``.
    """

    def __init__(self, robot: Robot, *, rate_hz: int, task: str) -> None:
        """Describe the robot; it need not be connected.

        Args:
            robot: The robot.
            rate_hz: Control steps a second.
            task: The instruction in words; empty where the robot's own scene has one.

        Raises:
            ConfigError: If a camera has no size, an odd one or no colours, if the robot is told
                speeds, or if nobody says what the task is.
        """
        self._robot = robot
        self._task = task
        self._lays_scenes = hasattr(robot, "reset_scene")
        if not task and not self._lays_scenes:
            message = "What is the robot to do? Say it in words: --task='put the cube on the pad'"
            raise ConfigError(message)
        self._layout = layout_of_robot(robot, rate_hz=rate_hz)
        self._measured: Mapping[str, float] = {}
        self._commanded: Mapping[str, float] = {}

    @property
    def layout(self) -> Layout:
        """Cameras, state and action names, and the control rate."""
        return self._layout

    @property
    def task(self) -> str:
        """The instruction of this attempt."""
        return self._task

    @property
    def lays_scenes(self) -> bool:
        """Whether the robot can put its scene back itself; else a person has to."""
        return self._lays_scenes

    @property
    def is_success(self) -> bool | None:
        """Whether the attempt has succeeded by now; None where nothing can measure it."""
        if not hasattr(type(self._robot), "is_success"):
            return None
        return self._watched("measure success", lambda: bool(self._robot.is_success))

    def connect(self) -> None:
        """Connect the robot and its cameras.

        Raises:
            DeviceError: If it does not answer.
        """
        if not self._robot.is_connected:
            self._watched("connect", self._robot.connect)

    def reconnect(self) -> None:
        """Connect the robot again after it, or one of its cameras, was lost.

        Only what does not answer is connected anew: letting go of the motors would let the arm
        fall.

        Raises:
            DeviceError: If it does not answer yet.
        """
        for mend in (self._mend_cameras, self._connect_anew):
            with suppress(DeviceError):
                self.observe()
                return
            mend()
        self._commanded = {}  # it may have let go of whatever it was told before
        self.observe()

    def _mend_cameras(self) -> None:
        for camera in getattr(self._robot, "cameras", {}).values():
            if not isinstance(camera, Camera):
                continue
            try:
                camera.async_read()
            except LOST:
                with suppress(*LOST):
                    camera.disconnect()
                with suppress(*LOST):
                    camera.connect()

    def _connect_anew(self) -> None:
        # Nobody can answer a question about calibration now, and it was calibrated before.
        try:
            self._robot.connect(calibrate=False)
        except LOST:
            with suppress(*LOST):
                self._robot.disconnect()  # what is left of it was in the way
            self._watched("connect", lambda: self._robot.connect(calibrate=False))

    def disconnect(self) -> None:
        """Let go of the robot; one that is gone already is let go of silently."""
        with suppress(*LOST):
            if self._robot.is_connected:
                self._robot.disconnect()

    def reset(self, *, seed: int) -> Observation:
        """Begin an attempt; a simulated robot lays the scene that belongs to the seed."""
        if self._lays_scenes:
            words = self._watched("reset", lambda: self._robot.reset_scene(seed))
            self._task = words or self._task
        self._commanded = {}
        return self.observe()

    def observe(self) -> Observation:
        """Read the joints and the newest picture of every camera.

        Raises:
            DeviceError: If the robot or a camera is gone, or does not say what it announced.
        """
        seen = self._watched("observe", self._robot.get_observation)
        layout = self._layout
        state = np.array([seen[name] for name in layout.state_names], dtype=np.float32)
        images = {camera: np.asarray(seen[camera]) for camera in layout.cameras}
        wrong = [n for n, at in zip(layout.state_names, state, strict=True) if not np.isfinite(at)]
        wrong += [n for n, size in layout.cameras.items() if images[n].shape != (*size, COLOURS)]
        if wrong:
            message = f"The robot was lost (observe: {', '.join(wrong)} makes no sense)."
            raise DeviceError(message)
        self._remember_position(seen)
        return Observation(images=images, state=state, task=self._task)

    def act(self, action: Floats) -> None:
        """Send a command to the motors.

        Raises:
            DeviceError: If the robot is gone.
        """
        names = self._layout.action_names
        command = dict(zip(names, map(float, action), strict=True))
        self._watched("act", lambda: self._robot.send_action(command))
        self._commanded = command

    def hold(self) -> None:
        """Stop the robot where it is, if it can still be told.

        One with a way of its own to hold uses that; another is told its last command again. A
        robot that is gone is left alone: there is nothing more that could be done.
        """
        with suppress(*LOST):
            if hasattr(self._robot, "hold"):
                self._robot.hold()
            elif self._commanded:
                self._robot.send_action(dict(self._commanded))

    @property
    def position(self) -> Floats:
        """``(A,)`` where the robot stands, in the terms of an action.

        A component that the robot does not report is where it was last told to be, else 0.
        """
        return self._vector({**self._commanded, **self._measured})

    @property
    def standstill(self) -> Floats:
        """``(A,)`` the command that keeps the robot where it stands.

        That is `position`, but a gripper keeps what it was last told: its grip is the distance
        between the two, and without it whatever it holds would be dropped.
        """
        grip = {n: at for n, at in self._commanded.items() if GRIPPER in n}
        return self._vector({**self._commanded, **self._measured, **grip})

    def _vector(self, named: Mapping[str, float]) -> Floats:
        return np.array([named.get(n, 0.0) for n in self._layout.action_names], dtype=np.float32)

    def _remember_position(self, seen: Mapping[str, Any]) -> None:
        self._measured = {
            name: float(seen[name]) for name in self._layout.action_names if name in seen
        }

    def _watched[Result](self, doing: str, work: Callable[[], Result]) -> Result:
        try:
            return work()
        except LOST as error:
            message = f"The robot was lost ({doing}: {error})."
            raise DeviceError(message) from error


def layout_of_robot(robot: Robot, *, rate_hz: int) -> Layout:
    """Read a robot's cameras, state and action out of its features.

    Raises:
        ConfigError: If a camera has no size, an odd one or no colours, or the robot is told speeds.
    """
    seen = robot.observation_features
    pictures = {name: kind for name, kind in seen.items() if isinstance(kind, tuple)}
    for name, shape in pictures.items():
        _require_recordable(name, shape)
    action_names = tuple(name for name, kind in robot.action_features.items() if kind is float)
    _require_positions(robot.name, action_names)
    return Layout(
        fps=rate_hz,
        cameras={name: (shape[0], shape[1]) for name, shape in pictures.items()},
        state_names=tuple(name for name, kind in seen.items() if kind is float),
        action_names=action_names,
        robot_type=str(robot.name),
    )


def _require_recordable(camera: str, shape: tuple[int | None, ...]) -> None:
    if None in shape:
        message = (
            f"Camera '{camera}' has no size. Say it beside its other settings, as in "
            f"{{type: opencv, index_or_path: 0, width: 640, height: 480, fps: 30}}."
        )
        raise ConfigError(message)
    if len(shape) != COLOURS or shape[-1] != COLOURS:
        message = (
            f"Camera '{camera}' gives {'x'.join(map(str, shape))}, and only colour pictures, "
            f"HEIGHTxWIDTHx3, are recorded. Leave depth out with use_depth: false."
        )
        raise ConfigError(message)


def _require_positions(robot: str, names: Sequence[str]) -> None:
    """Refuse speeds: to hold repeats a command, and a speed that is repeated goes on."""
    told = set(names)
    speeds = [
        name
        for name in names
        if name.endswith(SPEEDS) and f"{name.rpartition('.')[0]}.pos" not in told
    ]
    if speeds:
        message = (
            f"The robot '{robot}' is told speeds ({', '.join(speeds)}), and one that holds would "
            f"drive on. Only robots that are told positions can take part in a session."
        )
        raise ConfigError(message)
