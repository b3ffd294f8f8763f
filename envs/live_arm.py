"""The tabletop in real time, in a process of its own: physics, servos and cameras.

``python -m envs.live_arm SETTINGS`` is started by :mod:`envs.mujoco_robot.simulator`. Physics and
drawing would disturb a control loop in the same process: they share one interpreter lock. The two
sides share a :class:`envs.board.Board`; what happens rarely is a line of JSON on standard input,
answered by a line on standard output. The process ends when its input does, or when whoever
started it is gone, however that happened.
"""

import json
import os
import select
import sys
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass, replace
from typing import Final

import numpy as np
from numpy.typing import NDArray

from envs.arm import Floats, joints_for, positions_of
from envs.board import TRUTH, Board
from envs.faults import Delay, Faults, FrameLoss
from envs.tabletop import CAMERAS, LAYOUT, START_POSE, TASKS
from envs.tabletop_views import ServoTabletop

PHYSICS_SECONDS: Final = 0.005
HOMING_SECONDS: Final = 1.0
"""How long the arm takes to its starting pose before a new scene."""
HOME_POSITIONS: Final = positions_of(joints_for(START_POSE), opening=1.0)
"""Above the table, in the middle of where attempts start, gripper open."""
MOST_BEHIND_SECONDS: Final = 0.25
"""A simulation that is further behind the clock lets the clock wait."""
_PARENT_CHECK_SECONDS: Final = 0.5


@dataclass(frozen=True, slots=True, kw_only=True)
class LiveSettings:
    """What the process is told when it starts."""

    height: int
    """Rows of every picture."""

    width: int
    """Columns of every picture."""

    camera_rate_hz: float
    """Pictures of each camera in a second of wall clock."""

    speed: float
    """The robot's seconds in a second of wall clock; 1 is real time."""

    faults: Faults
    """What goes wrong on purpose."""

    def to_json(self) -> str:
        """Write the settings on one line."""
        return json.dumps(asdict(self))

    @classmethod
    def from_json(cls, text: str) -> "LiveSettings":
        """Read what :meth:`to_json` wrote."""
        content = json.loads(text)
        return cls(**{**content, "faults": Faults(**content["faults"])})


class LiveArm:
    """Keeps a tabletop in step with a clock and puts what happens on a board."""

    def __init__(
        self, settings: LiveSettings, board: Board, *, clock: Callable[[], float] = time.monotonic
    ) -> None:
        """Build the world; nothing moves until a scene begins."""
        size = (settings.height, settings.width)
        self.time_s = 0.0
        self._settings = settings
        self._board = board
        self._clock = clock
        self._world = ServoTabletop(replace(LAYOUT, cameras=dict.fromkeys(CAMERAS, size)))
        self._began_at: float | None = None
        self._scene = 0
        self._scene_began_s = 0.0
        self._actions_heard = 0
        self._targets_read = board.targets.count
        self._next_pictures_at = 0.0
        faults = settings.faults
        self._actions: Delay[Floats] = Delay(faults.action_latency_s)
        self._sensations: Delay[tuple[float, Floats]] = Delay(faults.observation_latency_s)
        self._pictures: Delay[NDArray[np.uint8]] = Delay(faults.observation_latency_s)
        self._loss = FrameLoss(faults.dropped_frame_fraction, seed=faults.seed)

    def begin_scene(self, seed: int) -> None:
        """Drive the arm home, then draw cubes, pads and instruction as the tabletop does."""
        if self._scene:
            self._drive_home()
        self._world.reset(seed=seed)
        self._scene += 1
        self._scene_began_s = self.time_s
        self._actions_heard = 0
        self._targets_read = self._board.targets.count
        self._actions.clear()
        if self._began_at is None:
            self._began_at = self._clock()
            # Whoever looks before anything has arrived sees how it began.
            self._board.sensed.publish((self.time_s, self._world.positions))
            self._board.pictures.publish(self._draw())
        self._tell()
        self._look()

    @property
    def task(self) -> str:
        """The instruction of this scene."""
        return self._world.task

    @property
    def target(self) -> Floats:
        """``(6,)`` positions that the servos were last told."""
        return self._world.target

    def advance(self, *, is_listening: bool = True) -> None:
        """Catch up with the clock, and take pictures when it is time."""
        if self._began_at is None:
            return
        speed = self._settings.speed
        behind_s = (self._clock() - self._began_at) * speed - self.time_s
        if behind_s > MOST_BEHIND_SECONDS * max(1.0, speed):
            self._began_at += behind_s / speed
            behind_s = 0.0
        for _ in range(int(behind_s / PHYSICS_SECONDS + 1e-9)):
            self._tick(is_listening=is_listening)
        if self._clock() >= self._next_pictures_at:
            self._look()

    def seconds_to_next_tick(self) -> float:
        """Return the seconds of wall clock in which there is nothing to do."""
        if self._began_at is None:
            return _PARENT_CHECK_SECONDS
        due = self._began_at + (self.time_s + PHYSICS_SECONDS) / self._settings.speed
        return max(0.0, due - self._clock())

    def _tick(self, *, is_listening: bool) -> None:
        if is_listening:
            self._listen()
        self._world.step_physics()
        self.time_s += PHYSICS_SECONDS
        self._tell()

    def _listen(self) -> None:
        count = self._board.targets.count
        if count != self._targets_read:
            self._targets_read = count
            self._actions.put(self._board.targets.newest(), now_s=self.time_s)
        for positions in self._actions.arrived(now_s=self.time_s):
            self._world.steer(positions)
            self._actions_heard += 1

    def _tell(self) -> None:
        positions = self._world.positions
        self._sensations.put((self.time_s, positions), now_s=self.time_s)
        for sensation in self._sensations.arrived(now_s=self.time_s)[-1:]:
            self._board.sensed.publish(sensation)
        self._show()
        truth = np.zeros((), TRUTH)
        truth["time_s"], truth["scene"] = self.time_s, self._scene
        truth["scene_began_s"], truth["actions_heard"] = self._scene_began_s, self._actions_heard
        truth["task"], truth["is_success"] = TASKS.index(self.task), self._world.is_success
        truth["target"], truth["positions"] = self._world.target, positions
        truth["qpos"], truth["pads"] = self._world.everything
        self._board.truth.publish(truth)

    def _look(self) -> None:
        now, period = self._clock(), 1.0 / self._settings.camera_rate_hz
        # Cameras keep their beat, unless drawing takes longer than the beat.
        due = self._next_pictures_at + period
        self._next_pictures_at = due if due > now else now + period
        if self._loss.strikes():
            return
        self._pictures.put(self._draw(), now_s=self.time_s)
        self._show()

    def _show(self) -> None:
        for pictures in self._pictures.arrived(now_s=self.time_s)[-1:]:
            self._board.pictures.publish(pictures)

    def _draw(self) -> NDArray[np.uint8]:
        size = (self._settings.height, self._settings.width)
        return np.stack([self._world.picture(name, *size) for name in CAMERAS])

    def _drive_home(self) -> None:
        begin, started_s = self._world.target, self.time_s
        while (share := (self.time_s - started_s) / HOMING_SECONDS) < 1.0:
            self._world.steer(begin + (HOME_POSITIONS - begin) * share)
            time.sleep(self.seconds_to_next_tick())
            self.advance(is_listening=False)


def _serve(arm: LiveArm, *, parent: int) -> None:
    commands = sys.stdin.buffer
    while os.getppid() == parent:
        ready, _, _ = select.select([commands], [], [], arm.seconds_to_next_tick())
        if ready:
            line = commands.readline()
            if not line:
                return
            arm.begin_scene(json.loads(line)["seed"])
            reply = {"task": arm.task, "target": arm.target.tolist()}
            sys.stdout.write(json.dumps(reply) + "\n")
            sys.stdout.flush()
        arm.advance()


def main(arguments: list[str]) -> None:
    """Run until told to stop: ``descriptor of the board, parent's process id, settings``."""
    descriptor, parent, settings = int(arguments[0]), int(arguments[1]), arguments[2]
    live = LiveSettings.from_json(settings)
    board = Board.open(descriptor, cameras=len(CAMERAS), height=live.height, width=live.width)
    os.close(descriptor)
    _serve(LiveArm(live, board), parent=parent)


if __name__ == "__main__":
    main(sys.argv[1:])
