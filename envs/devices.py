"""LeRobot's robots and teleoperators, made from settings in LeRobot's own words."""

import difflib
import importlib
import pkgutil
from collections.abc import Mapping
from dataclasses import fields
from typing import Any, Final

import draccus
import lerobot.cameras
import lerobot.robots
import lerobot.teleoperators
from draccus.utils import DecodingError, ParsingError
from lerobot.robots import Robot, RobotConfig, make_robot_from_config
from lerobot.teleoperators import (
    Teleoperator,
    TeleoperatorConfig,
    make_teleoperator_from_config,
)
from lerobot.utils.import_utils import register_third_party_plugins

from data.errors import ConfigError, DeviceError

TYPE: Final = "type"
PLUGIN: Final = "discover_packages_path"
"""LeRobot's name for a package to import, so that what it registers is known."""

OWN_DEVICES: Final = "envs.mujoco_robot"


def make_robot(settings: Mapping[str, Any]) -> Robot:
    """Make the robot that ``--robot.type=... --robot.port=...`` describe; it is not connected.

    Raises:
        ConfigError: If the type or a setting is unknown, or a value is one it cannot have.
        DeviceError: If the robot cannot be made, say for a driver that is not installed.
    """
    config = _decode("robot", RobotConfig, settings)
    try:
        return make_robot_from_config(config)
    except (ImportError, OSError, ValueError) as error:
        message = f"The robot '{settings.get(TYPE)}' cannot be made: {error}"
        raise DeviceError(message) from error


def make_teleoperator(settings: Mapping[str, Any]) -> Teleoperator:
    """Make the teleoperator that ``--teleop.type=...`` describes; it is not connected.

    Raises:
        ConfigError: If the type or a setting is unknown, or a value is one it cannot have.
        DeviceError: If the teleoperator cannot be made.
    """
    config = _decode("teleop", TeleoperatorConfig, settings)
    try:
        return make_teleoperator_from_config(config)
    except (ImportError, OSError, ValueError) as error:
        message = f"The teleop '{settings.get(TYPE)}' cannot be made: {error}"
        raise DeviceError(message) from error


def _decode(name: str, kind: Any, settings: Mapping[str, Any]) -> Any:  # noqa: ANN401 - LeRobot's
    _register(settings.get(PLUGIN))
    own = {key: value for key, value in settings.items() if key != PLUGIN}
    _require_known_type(name, kind, own)
    _require_known_fields(name, kind, own)
    try:
        return draccus.decode(kind, own)
    except (DecodingError, ParsingError) as error:
        words = " ".join(str(error).replace("`", "").split())
        message = f"--{name}.*: {words}."
        raise ConfigError(message) from error
    except ValueError as error:  # some configurations check themselves
        message = f"--{name}.*: {error}"
        raise ConfigError(message) from error


def _require_known_fields(name: str, kind: Any, settings: Mapping[str, Any]) -> None:  # noqa: ANN401
    known = [field.name for field in fields(kind.get_choice_class(settings[TYPE]))]
    for key in settings:
        if key not in {*known, TYPE}:
            nearest = difflib.get_close_matches(key, known, n=1)
            hint = f"Did you mean '{nearest[0]}'?" if nearest else f"It has {', '.join(known)}."
            message = f"--{name}.{key} is not a setting of '{settings[TYPE]}'. {hint}"
            raise ConfigError(message)


def _require_known_type(name: str, kind: Any, settings: Mapping[str, Any]) -> None:  # noqa: ANN401
    known = sorted(kind.get_known_choices())
    wanted = settings.get(TYPE)
    if wanted in known:
        return
    if not wanted:
        message = f"--{name}.type is missing. LeRobot knows {', '.join(known)}."
        raise ConfigError(message)
    nearest = difflib.get_close_matches(str(wanted), known, n=1)
    hint = f" Did you mean '{nearest[0]}'?" if nearest else f" Known are {', '.join(known)}."
    message = f"--{name}.type={wanted} is not a type that LeRobot knows.{hint}"
    raise ConfigError(message)


def _register(plugin: object) -> None:
    """Import everything that registers a device: LeRobot's own, installed plug-ins, ours."""
    for package in (lerobot.cameras, lerobot.robots, lerobot.teleoperators):
        for module in pkgutil.iter_modules(package.__path__):
            if module.ispkg:
                importlib.import_module(f"{package.__name__}.{module.name}")
    register_third_party_plugins()
    importlib.import_module(OWN_DEVICES)
    if plugin is not None:
        try:
            importlib.import_module(str(plugin))
        except ImportError as error:
            message = f"--{PLUGIN}={plugin} cannot be imported ({error})."
            raise ConfigError(message) from error
