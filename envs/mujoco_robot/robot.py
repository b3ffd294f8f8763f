"""The tabletop's arm behind LeRobot's own ``Robot``: six servos and two cameras, in real time."""

import math
import threading
import time
import weakref
from functools import cached_property
from typing import Any, Final

import numpy as np
from lerobot.robots.robot import Robot
from lerobot.utils.errors import DeviceAlreadyConnectedError, DeviceNotConnectedError
from numpy.typing import NDArray

from data.errors import ConfigError
from envs.arm import HIGHEST_POSITIONS, LOWEST_POSITIONS, POSITION_KEYS, Floats
from envs.faults import Mishap
from envs.mujoco_robot.config import TabletopRobotConfig
from envs.mujoco_robot.simulator import Simulator
from envs.tabletop import CAMERAS, TASKS

_NOISE_STREAM: Final = 4


class TabletopRobot(Robot):
    """Five joints in degrees, a gripper from 0 (closed) to 100 (open), cameras front and wrist.

    Observation: ``{"base_yaw.pos": float, ..., "gripper.pos": float, "front": (H, W, 3) uint8,
    "wrist": (H, W, 3) uint8}``, the newest there is; reading waits for nothing.
    Action: the same six positions, absolute, as targets of the servos.

    Beyond LeRobot's interface a rollout manager may use, where a robot has them:
    :meth:`reset_scene`, :attr:`task`, :attr:`is_success` and :meth:`hold`. Connecting puts a scene
    in place too, so that stock tools need none of these.
    """

    config_class = TabletopRobotConfig
    name = "recap_tabletop_arm"

    def __init__(self, config: TabletopRobotConfig) -> None:
        """Describe the arm; nothing is started before :meth:`connect`."""
        super().__init__(config)
        self.config = config
        size = (config.image_height, config.image_width)
        self.cameras: dict[str, tuple[int, int]] = dict.fromkeys(CAMERAS, size)
        self._simulator: Simulator | None = None
        self._target: Floats = np.zeros(len(POSITION_KEYS))
        self._sending = threading.Lock()
        self._noise = np.random.default_rng([config.seed, _NOISE_STREAM])
        self._plug_is_pulled = Mishap(config.disconnect_after_s)
        self._cameras_stop = Mishap(config.lose_camera_after_s)

    @cached_property
    def observation_features(self) -> dict[str, Any]:
        """Six positions as floats, two pictures as ``(H, W, 3)``."""
        pictures = {name: (*size, 3) for name, size in self.cameras.items()}
        return {**self.action_features, **pictures}

    @cached_property
    def action_features(self) -> dict[str, Any]:
        """Six positions as floats."""
        return dict.fromkeys(POSITION_KEYS, float)

    @property
    def is_connected(self) -> bool:
        """Whether the arm answers. Lost cameras do not count: the arm can still be told to stop."""
        is_there = self._simulator is not None and self._simulator.is_running
        return is_there and not self._plug_is_pulled.has_struck(self._now_s())

    @property
    def is_calibrated(self) -> bool:
        """A simulated arm always is."""
        return True

    def calibrate(self) -> None:
        """Do nothing: there is nothing to calibrate."""

    def configure(self) -> None:
        """Do nothing: there is nothing to set."""

    def connect(self, calibrate: bool = True) -> None:  # noqa: ARG002, FBT001, FBT002 - LeRobot's
        """Start the arm, with a scene before it; or reach it again after a mishap, as it stands.

        Raises:
            DeviceAlreadyConnectedError: If nothing is wrong with it.
        """
        now_s = self._now_s()
        if self.is_connected and not self._cameras_stop.has_struck(now_s):
            message = f"{self} is already connected."
            raise DeviceAlreadyConnectedError(message)
        if self._simulator is None or not self._simulator.is_running:
            self._stop()
            self._simulator = Simulator(self.config.live_settings())
            self._begin_scene(self._simulator, self.config.seed)
            now_s = self._now_s()
        for mishap in (self._plug_is_pulled, self._cameras_stop):
            mishap.start_clock(now_s)
        _connected.add(self)

    def disconnect(self) -> None:
        """End the arm's process; the scene is gone with it.

        Raises:
            DeviceNotConnectedError: If there is nothing to disconnect from.
        """
        if self._simulator is None:
            message = f"{self} is not connected."
            raise DeviceNotConnectedError(message)
        self._stop()

    def get_observation(self) -> dict[str, Any]:
        """Return the newest positions and pictures at once.

        Raises:
            DeviceNotConnectedError: If the arm does not answer.
            TimeoutError: If the cameras have stopped.
        """
        board = self._reachable().board
        if self._cameras_stop.has_struck(self._now_s()):
            message = f"Timed out waiting for a frame of the cameras of {self}."
            raise TimeoutError(message)
        positions = board.sensed.newest()["positions"]
        if self.config.joint_noise_degrees:
            positions = positions + self._noise.normal(
                0.0, self.config.joint_noise_degrees, positions.shape
            )
        pictures: NDArray[np.uint8] = board.pictures.newest()
        return {
            **dict(zip(POSITION_KEYS, positions.tolist(), strict=True)),
            **dict(zip(CAMERAS, pictures, strict=True)),
        }

    def send_action(self, action: dict[str, Any]) -> dict[str, Any]:
        """Tell the servos where to go; joints that are not named keep their targets.

        Returns:
            What was sent: the same keys, within the joints' limits.

        Raises:
            DeviceNotConnectedError: If the arm does not answer.
            ValueError: If a key is not the arm's, or a position is not a finite number.
        """
        simulator = self._reachable()
        unknown = sorted(set(action) - set(POSITION_KEYS))
        if unknown:
            message = f"{self} has no {', '.join(unknown)}; it has {', '.join(POSITION_KEYS)}."
            raise ValueError(message)
        wrong = {key: value for key, value in action.items() if not math.isfinite(value)}
        if wrong:
            message = f"{self} cannot go to {wrong}."
            raise ValueError(message)
        with self._sending:
            for index, key in enumerate(POSITION_KEYS):
                self._target[index] = action.get(key, self._target[index])
            self._target = np.clip(self._target, LOWEST_POSITIONS, HIGHEST_POSITIONS)
            simulator.board.targets.publish(self._target)
            sent = dict(zip(POSITION_KEYS, self._target.tolist(), strict=True))
        return {key: sent[key] for key in POSITION_KEYS if key in action}

    def reset_scene(self, seed: int) -> str:
        """Drive the arm to its starting pose, then draw cubes, pads and instruction anew.

        It takes about a second of the robot's. The same seed gives the scene that
        :class:`envs.tabletop.Tabletop` draws from it.

        Returns:
            The instruction in words.

        Raises:
            DeviceNotConnectedError: If the arm does not answer.
        """
        return self._begin_scene(self._reachable(), seed)

    def hold(self) -> None:
        """Stop where the arm is now. The gripper keeps its target, so that nothing is dropped.

        Raises:
            DeviceNotConnectedError: If the arm does not answer.
        """
        positions = self._reachable().board.truth.newest()["positions"]
        self.send_action(dict(zip(POSITION_KEYS[:-1], positions[:-1].tolist(), strict=True)))

    @property
    def task(self) -> str:
        """The instruction of this scene.

        Raises:
            DeviceNotConnectedError: If there is no simulator.
        """
        return TASKS[int(self.truth()["task"])]

    @property
    def is_success(self) -> bool:
        """Whether the right cube rests on the right pad, gripper open.

        Raises:
            DeviceNotConnectedError: If there is no simulator.
        """
        return bool(self.truth()["is_success"])

    def truth(self) -> NDArray[Any]:
        """Return what only the simulator knows, :data:`envs.board.TRUTH`, of this moment.

        For scripted teleoperators and tests; pulled plugs do not matter to it.

        Raises:
            DeviceNotConnectedError: If there is no simulator.
        """
        if self._simulator is None or not self._simulator.is_running:
            raise DeviceNotConnectedError
        return self._simulator.board.truth.newest()

    @property
    def process_id(self) -> int | None:
        """The simulator's process, None where there is none."""
        return None if self._simulator is None else self._simulator.process_id

    def _now_s(self) -> float:
        return time.monotonic() * self.config.speed

    def _reachable(self) -> Simulator:
        if self._simulator is None or not self.is_connected:
            message = f"{self} is not connected. Run `.connect()` first."
            raise DeviceNotConnectedError(message)
        return self._simulator

    def _begin_scene(self, simulator: Simulator, seed: int) -> str:
        with self._sending:
            task, target = simulator.begin_scene(seed)
            self._target = np.array(target)
        return task

    def _stop(self) -> None:
        _connected.discard(self)
        if self._simulator is not None:
            self._simulator.stop()
            self._simulator = None


_connected: "weakref.WeakSet[TabletopRobot]" = weakref.WeakSet()


def connected_robot(robot_id: str | None) -> TabletopRobot:
    """Find the connected arm of this process that has an id.

    Raises:
        ConfigError: If there is none, or more than one.
    """
    found = [robot for robot in _connected if robot.id == robot_id]
    if len(found) == 1:
        return found[0]
    there = ", ".join(sorted(f"'{robot.id}'" for robot in _connected)) or "none"
    how_many = "none" if not found else f"{len(found)} of them"
    message = (
        f"recap_scripted drives a connected recap_tabletop_arm of the same process, but {how_many} "
        f"has the id '{robot_id}' (connected: {there}). Give both the same: "
        f"--robot.type=recap_tabletop_arm --robot.id=arm --teleop.robot_id=arm."
    )
    raise ConfigError(message)
