"""A scripted person at a leader arm: ``--teleop.type=recap_scripted``."""

import time
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
from lerobot.teleoperators.config import TeleoperatorConfig
from lerobot.teleoperators.teleoperator import Teleoperator
from lerobot.teleoperators.utils import TeleopEvents
from lerobot.utils.errors import DeviceAlreadyConnectedError, DeviceNotConnectedError
from numpy.typing import NDArray

from data.errors import ConfigError
from envs.arm import POSITION_KEYS, Floats
from envs.expert import Expert, draw_habits
from envs.faults import require_not_negative
from envs.mujoco_robot.robot import TabletopRobot, connected_robot
from envs.tabletop import CONTROL_RATE_HZ
from envs.tabletop_views import MirrorTabletop

STEP_SECONDS: Final = 1.0 / CONTROL_RATE_HZ
LET_GO_SECONDS: Final = 0.5
"""Whoever did not ask for so long was not being steered: they are taken over anew."""
MOST_STEPS_AT_ONCE: Final = 3


@TeleoperatorConfig.register_subclass("recap_scripted")
@dataclass(kw_only=True)
class ScriptedTeleopConfig(TeleoperatorConfig):
    """Who steers the simulated arm, and when they say that they do."""

    robot_id: str | None = None
    """The ``--robot.id`` of the arm to steer; None for the one without an id."""

    skill: float = 1.0
    """Share of the attempts that a practised person makes; the others are a novice's."""

    seed: int = 0
    """Decides the habits of every attempt."""

    takeover_after_s: float | None = None
    """When the person takes over, in seconds of the attempt; None for never."""

    release_after_s: float | None = None
    """When the person lets go again, in seconds of the attempt; None for never."""

    def __post_init__(self) -> None:
        if not 0.0 <= self.skill <= 1.0:
            message = f"teleop.skill must lie in [0, 1], got {self.skill}."
            raise ConfigError(message)
        for name in ("takeover_after_s", "release_after_s"):
            if getattr(self, name) is not None:
                require_not_negative(f"teleop.{name}", getattr(self, name))


class ScriptedTeleop(Teleoperator):
    """Steers a simulated arm of the same process, looking at the simulator's truth.

    Action: the six positions of :data:`envs.arm.POSITION_KEYS`, as a leader arm gives them. The
    expert decides 20 times in a second of the robot's; in between, the leader moves evenly.
    Once the task is done, the leader rests.
    """

    config_class = ScriptedTeleopConfig
    name = "recap_scripted"

    def __init__(self, config: ScriptedTeleopConfig) -> None:
        """Describe the person; the arm is looked for when it is needed."""
        super().__init__(config)
        self.config = config
        self._is_connected = False
        self._view = MirrorTabletop()
        self._expert: Expert | None = None
        self._scene = (0, 0)
        self._last_asked = -np.inf
        self._was_intervening = False
        self._before: Floats = np.zeros(len(POSITION_KEYS))
        self._after: Floats = np.zeros(len(POSITION_KEYS))
        self._step_ends_s = 0.0

    @property
    def action_features(self) -> dict[str, Any]:
        """Six positions as floats."""
        return dict.fromkeys(POSITION_KEYS, float)

    @property
    def feedback_features(self) -> dict[str, Any]:
        """None: there are no motors."""
        return {}

    @property
    def is_connected(self) -> bool:
        """Whether somebody sits at the leader."""
        return self._is_connected

    @property
    def is_calibrated(self) -> bool:
        """There is nothing to calibrate."""
        return True

    def calibrate(self) -> None:
        """Do nothing: there is nothing to calibrate."""

    def configure(self) -> None:
        """Do nothing: there is nothing to set."""

    def connect(self, calibrate: bool = True) -> None:  # noqa: ARG002, FBT001, FBT002 - LeRobot's
        """Sit down. LeRobot connects leaders before robots, so the arm need not be there yet.

        Raises:
            DeviceAlreadyConnectedError: If it is connected.
        """
        if self._is_connected:
            message = f"{self} is already connected."
            raise DeviceAlreadyConnectedError(message)
        self._is_connected = True

    def disconnect(self) -> None:
        """Stand up.

        Raises:
            DeviceNotConnectedError: If it is not connected.
        """
        self._require_connected()
        self._is_connected = False
        self._expert = None

    def send_feedback(self, feedback: dict[str, Any]) -> None:
        """Do nothing: there are no motors."""

    def get_action(self) -> dict[str, Any]:
        """Return where the leader stands now.

        Raises:
            DeviceNotConnectedError: If the leader, or the simulator of its arm, is not there.
            ConfigError: If no connected arm of this process has the id.
        """
        self._require_connected()
        truth = self._robot().truth()
        self._view.look(truth)
        now_s = float(truth["time_s"])
        if self._must_take_over(truth):
            self._take_over(truth)
        self._last_asked = time.monotonic()
        self._step_ends_s = max(self._step_ends_s, now_s - MOST_STEPS_AT_ONCE * STEP_SECONDS)
        while self._step_ends_s <= now_s:
            self._step(is_done=bool(truth["is_success"]))
        share = 1.0 - (self._step_ends_s - now_s) / STEP_SECONDS
        positions = self._before + (self._after - self._before) * share
        return dict(zip(POSITION_KEYS, positions.tolist(), strict=True))

    def get_teleop_events(self) -> dict[TeleopEvents, bool]:
        """Return what the person says, in LeRobot's words.

        They intervene from ``takeover_after_s`` to ``release_after_s`` of every attempt, and call
        it a success, which ends it, when the simulator measures one.

        Raises:
            DeviceNotConnectedError: If the leader, or the simulator of its arm, is not there.
            ConfigError: If no connected arm of this process has the id.
        """
        self._require_connected()
        truth = self._robot().truth()
        is_intervening = self._intervenes(float(truth["time_s"] - truth["scene_began_s"]))
        if is_intervening and not self._was_intervening:
            self.take_over()
        self._was_intervening = is_intervening
        is_success = bool(truth["is_success"])
        return {
            **dict.fromkeys(TeleopEvents, False),
            TeleopEvents.IS_INTERVENTION: is_intervening,
            TeleopEvents.SUCCESS: is_success,
            TeleopEvents.TERMINATE_EPISODE: is_success,
        }

    def take_over(self) -> None:
        """Bring the leader to where the arm is, with the next action.

        Needed only by whoever goes on asking for actions that they do not send to the arm.
        """
        self._last_asked = -np.inf

    def _intervenes(self, attempt_s: float) -> bool:
        begin, end = self.config.takeover_after_s, self.config.release_after_s
        return begin is not None and begin <= attempt_s and (end is None or attempt_s < end)

    def _robot(self) -> TabletopRobot:
        return connected_robot(self.config.robot_id)

    def _require_connected(self) -> None:
        if not self._is_connected:
            message = f"{self} is not connected. Run `.connect()` first."
            raise DeviceNotConnectedError(message)

    def _must_take_over(self, truth: NDArray[Any]) -> bool:
        is_another_scene = self._scene != self._scene_of(truth)
        return is_another_scene or time.monotonic() - self._last_asked > LET_GO_SECONDS

    def _scene_of(self, truth: NDArray[Any]) -> tuple[int, int]:
        return self._robot().process_id or 0, int(truth["scene"])

    def _take_over(self, truth: NDArray[Any]) -> None:
        if self._expert is None or self._scene != self._scene_of(truth):
            self._scene = self._scene_of(truth)
            rng = np.random.default_rng([self.config.seed, int(truth["scene"])])
            self._expert = Expert(rng=rng, habits=draw_habits(rng, skill=self.config.skill))
        self._view.grasp_the_leader()
        if truth["actions_heard"]:
            self._expert.take_over(self._view)
        self._after = np.append(self._view.leader, truth["target"][-1])
        self._before = self._after
        self._step_ends_s = float(truth["time_s"])

    def _step(self, *, is_done: bool) -> None:
        self._before = self._after
        self._step_ends_s += STEP_SECONDS
        if is_done or self._expert is None:
            return
        action = self._expert.action(self._view)
        self._view.move_leader(action)
        self._after = np.append(self._view.leader, 0.0 if action[-1] < 0 else 100.0)
