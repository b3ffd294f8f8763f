"""The tabletop as a LeRobot robot, and a scripted person to steer it.

Stock tools find both with ``--robot.discover_packages_path=envs.mujoco_robot``: LeRobot looks for
a device's class in the package that holds the module of its config.
"""

from envs.mujoco_robot.config import TabletopRobotConfig
from envs.mujoco_robot.robot import TabletopRobot, connected_robot
from envs.mujoco_robot.teleop import ScriptedTeleop, ScriptedTeleopConfig

__all__ = [
    "ScriptedTeleop",
    "ScriptedTeleopConfig",
    "TabletopRobot",
    "TabletopRobotConfig",
    "connected_robot",
]
