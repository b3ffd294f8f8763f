"""Devices made from settings in LeRobot's words; none of them is connected."""

import pytest

from data.errors import ConfigError, DeviceError
from envs.devices import make_robot, make_teleoperator


@pytest.fixture(autouse=True)
def _calibration_stays_here(tmp_path, monkeypatch):
    monkeypatch.setattr("lerobot.robots.robot.HF_LEROBOT_CALIBRATION", tmp_path)
    monkeypatch.setattr("lerobot.teleoperators.teleoperator.HF_LEROBOT_CALIBRATION", tmp_path)


def message_of(make, **settings):
    with pytest.raises(ConfigError) as caught:
        make(settings)
    return str(caught.value)


def test_a_robot_of_ours_is_made_with_its_settings():
    robot = make_robot({"type": "recap_tabletop_arm", "id": "left", "image_height": 48})
    assert (robot.name, robot.id, robot.config.image_height) == ("recap_tabletop_arm", "left", 48)
    assert not robot.is_connected


@pytest.mark.parametrize(("make", "name"), [(make_robot, "robot"), (make_teleoperator, "teleop")])
def test_a_driver_that_is_not_installed_is_named(make, name, monkeypatch):
    def fail(config):
        message = "Install it with: pip install 'lerobot[feetech]'"
        raise ImportError(message)

    for kind in ("robot", "teleoperator"):
        monkeypatch.setattr(f"envs.devices.make_{kind}_from_config", fail)
    kind = "recap_tabletop_arm" if name == "robot" else "recap_scripted"
    with pytest.raises(DeviceError) as caught:
        make({"type": kind})
    assert str(caught.value) == (
        f"The {name} '{kind}' cannot be made: Install it with: pip install 'lerobot[feetech]'"
    )


def test_a_teleoperator_is_made_with_its_settings():
    teleoperator = make_teleoperator({"type": "recap_scripted", "takeover_after_s": 2})
    assert teleoperator.config.takeover_after_s == 2


def test_a_type_that_is_misspelled_names_its_neighbour():
    assert message_of(make_robot, type="so101_folower") == (
        "--robot.type=so101_folower is not a type that LeRobot knows. "
        "Did you mean 'so101_follower'?"
    )


def test_no_type_at_all_lists_what_there_is():
    message = message_of(make_teleoperator, port="/dev/null")
    assert message.startswith("--teleop.type is missing. LeRobot knows ")
    assert "so101_leader" in message


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        (
            {"type": "recap_tabletop_arm", "image_heigth": 48},
            "--robot.image_heigth is not a setting of 'recap_tabletop_arm'. "
            "Did you mean 'image_height'?",
        ),
        (
            {"type": "recap_tabletop_arm", "image_height": "tall"},
            "--robot.*: image_height: Couldn't parse 'tall' into an int.",
        ),
        (
            {"type": "recap_tabletop_arm", "image_height": 31},
            "robot.image_height must be even and lie in [2, 480] pixels, got 31.",
        ),
        (
            {"type": "so101_follower"},
            "--robot.*: Missing required field(s) port for SOFollowerRobotConfig.",
        ),
    ],
)
def test_a_setting_that_is_wrong_is_told_with_its_group(settings, message):
    assert message_of(make_robot, **settings) == message


def test_a_package_that_cannot_be_imported_is_named():
    assert message_of(make_robot, type="x", discover_packages_path="no.such.package") == (
        "--discover_packages_path=no.such.package cannot be imported (No module named 'no')."
    )
