"""The settings of the simulated arm, under LeRobot's name ``--robot.type=recap_tabletop_arm``."""

from dataclasses import dataclass
from typing import Final

from lerobot.robots.config import RobotConfig

from data.errors import ConfigError
from envs.faults import Faults, require_not_negative
from envs.live_arm import LiveSettings

LARGEST_HEIGHT: Final = 480
LARGEST_WIDTH: Final = 640


@RobotConfig.register_subclass("recap_tabletop_arm")
@dataclass(kw_only=True)
class TabletopRobotConfig(RobotConfig):
    """A simulated arm at a table, in real time. LeRobot wants its configs mutable."""

    image_height: int = 96
    """Rows of every picture; even, at most 480."""

    image_width: int = 96
    """Columns of every picture; even, at most 640."""

    camera_rate_hz: float = 30.0
    """Pictures of each camera in a second."""

    speed: float = 1.0
    """The robot's seconds in a second of wall clock; more than 1 is for tests."""

    seed: int = 0
    """Decides the scene that connecting draws, and whatever is drawn of noise and losses."""

    action_latency_s: float = 0.0
    """From sending an action until the servos hear of it."""

    observation_latency_s: float = 0.0
    """From a moment until its joints and pictures can be read."""

    joint_noise_degrees: float = 0.0
    """Standard deviation of every reported joint, in degrees; of the gripper, in its hundredths."""

    dropped_frame_fraction: float = 0.0
    """Share of the pictures that get lost; whoever looks sees the picture before."""

    disconnect_after_s: float | None = None
    """When the plug is pulled, once, after connecting; None for never. Connecting mends it."""

    lose_camera_after_s: float | None = None
    """When the cameras stop, once, after connecting; None for never. Connecting mends it."""

    def __post_init__(self) -> None:
        super().__post_init__()
        _require_size("image_height", self.image_height, largest=LARGEST_HEIGHT)
        _require_size("image_width", self.image_width, largest=LARGEST_WIDTH)
        for name in ("camera_rate_hz", "speed"):
            if not 0.0 < getattr(self, name) <= 1000.0:
                message = f"robot.{name} must lie in (0, 1000], got {getattr(self, name)}."
                raise ConfigError(message)
        require_not_negative("robot.joint_noise_degrees", self.joint_noise_degrees)
        for name in ("disconnect_after_s", "lose_camera_after_s"):
            if getattr(self, name) is not None:
                require_not_negative(f"robot.{name}", getattr(self, name))
        self.live_settings()

    def live_settings(self) -> LiveSettings:
        """Return what the simulator's process needs to know."""
        faults = Faults(
            action_latency_s=self.action_latency_s,
            observation_latency_s=self.observation_latency_s,
            dropped_frame_fraction=self.dropped_frame_fraction,
            seed=self.seed,
        )
        return LiveSettings(
            height=self.image_height,
            width=self.image_width,
            camera_rate_hz=self.camera_rate_hz,
            speed=self.speed,
            faults=faults,
        )


def _require_size(name: str, pixels: int, *, largest: int) -> None:
    if pixels % 2 or not 2 <= pixels <= largest:
        message = f"robot.{name} must be even and lie in [2, {largest}] pixels, got {pixels}."
        raise ConfigError(message)
