import json
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
from lerobot.teleoperators import TeleopEvents, make_teleoperator_from_config
from lerobot.utils.errors import DeviceAlreadyConnectedError, DeviceNotConnectedError

from data.errors import ConfigError
from envs.arm import POSITION_KEYS
from envs.mujoco_robot import (
    ScriptedTeleop,
    ScriptedTeleopConfig,
    TabletopRobot,
    TabletopRobotConfig,
)

ROOT = Path(__file__).parents[2]
STOCK = Path(sys.executable).parent
DEVICES = [
    "--robot.discover_packages_path=envs.mujoco_robot",
    "--robot.type=recap_tabletop_arm",
    "--teleop.type=recap_scripted",
]


@pytest.fixture(autouse=True)
def _calibration_stays_here(tmp_path, monkeypatch):
    monkeypatch.setattr("lerobot.robots.robot.HF_LEROBOT_CALIBRATION", tmp_path)
    monkeypatch.setattr("lerobot.teleoperators.teleoperator.HF_LEROBOT_CALIBRATION", tmp_path)


@pytest.fixture
def arm():
    robot = TabletopRobot(TabletopRobotConfig(id="arm", speed=5.0, camera_rate_hz=2.0))
    robot.connect()
    yield robot
    if robot.process_id is not None:
        robot.disconnect()


@pytest.fixture
def leader():
    def sit_down(**settings):
        teleop = ScriptedTeleop(ScriptedTeleopConfig(robot_id="arm", **settings))
        teleop.connect()
        return teleop

    return sit_down


def positions(action):
    return np.array([action[key] for key in POSITION_KEYS])


def elapsed_s(robot):
    truth = robot.truth()
    return float(truth["time_s"] - truth["scene_began_s"])


def drive(robot, teleop, *, until_s, rate_hz=50.0):
    """Steer until the task is done or so many of the robot's seconds have passed."""
    while not robot.is_success and elapsed_s(robot) < until_s:
        robot.send_action(teleop.get_action())
        time.sleep(1.0 / rate_hz / robot.config.speed)
    return robot.is_success


def test_the_leader_has_the_six_positions_of_the_arm_and_no_motors():
    teleop = ScriptedTeleop(ScriptedTeleopConfig())
    assert teleop.action_features == dict.fromkeys(POSITION_KEYS, float)
    assert teleop.feedback_features == {}
    assert teleop.is_calibrated
    assert not teleop.is_connected


def test_lerobot_makes_the_leader_from_its_config():
    config = ScriptedTeleopConfig()
    assert config.type == "recap_scripted"
    assert type(make_teleoperator_from_config(config)) is ScriptedTeleop


@pytest.mark.parametrize(
    ("setting", "message"),
    [
        ({"skill": 1.5}, "teleop.skill must lie in [0, 1], got 1.5."),
        ({"takeover_after_s": -1.0}, "teleop.takeover_after_s must be a number and not negative"),
        ({"release_after_s": -1.0}, "teleop.release_after_s must be a number and not negative"),
    ],
)
def test_settings_that_cannot_be_are_refused(setting, message):
    with pytest.raises(ConfigError) as error:
        ScriptedTeleopConfig(**setting)
    assert message in str(error.value)


def test_a_leader_connects_once_and_answers_only_then():
    teleop = ScriptedTeleop(ScriptedTeleopConfig())
    for ask in (teleop.get_action, teleop.get_teleop_events, teleop.disconnect):
        with pytest.raises(DeviceNotConnectedError):
            ask()
    teleop.connect()
    with pytest.raises(DeviceAlreadyConnectedError):
        teleop.connect()
    teleop.disconnect()
    assert not teleop.is_connected


def test_a_leader_without_its_arm_says_what_to_type(leader):
    with pytest.raises(ConfigError) as error:
        leader().get_action()
    assert str(error.value) == (
        "recap_scripted drives a connected recap_tabletop_arm of the same process, but none has "
        "the id 'arm' (connected: none). Give both the same: "
        "--robot.type=recap_tabletop_arm --robot.id=arm --teleop.robot_id=arm."
    )


@pytest.mark.render
def test_the_leader_begins_where_the_arm_is(arm, leader):
    arm.send_action({"base_yaw.pos": 12.0})
    time.sleep(0.3)
    action = leader().get_action()
    assert list(action) == list(POSITION_KEYS)
    np.testing.assert_allclose(positions(action), arm.truth()["positions"], atol=1.5)


@pytest.mark.render
def test_the_leader_moves_evenly_between_the_decisions_of_the_expert(arm, leader):
    teleop, moved = leader(), []
    while elapsed_s(arm) < 0.4:
        moved.append(positions(teleop.get_action())[:5])
        arm.send_action(dict(zip(POSITION_KEYS[:5], moved[-1].tolist(), strict=True)))
        time.sleep(0.001)
    # A decision moves some joint by several degrees; readings in between take small parts of it.
    jumps = np.abs(np.diff(moved, axis=0)).max(axis=1)
    assert np.abs(np.subtract(moved[-1], moved[0])).max() > 5.0
    assert np.percentile(jumps, 75) < 2.0


@pytest.mark.render
def test_it_solves_the_task_and_then_rests(arm, leader):
    teleop = leader()
    arm.reset_scene(3)
    assert drive(arm, teleop, until_s=8.0)
    # The last decision is carried out, then nothing more is decided.
    teleop.get_action()
    time.sleep(0.05)
    rest = [positions(teleop.get_action()) for _ in range(20) if time.sleep(0.005) is None]
    assert len(np.unique(rest, axis=0)) == 1


@pytest.mark.render
def test_it_takes_over_from_wherever_the_arm_stands(arm, leader):
    arm.reset_scene(8)
    for target in ({"base_yaw.pos": 40.0}, {"shoulder.pos": 30.0, "gripper.pos": 10.0}):
        arm.send_action(target)
        time.sleep(0.2)
    assert drive(arm, leader(), until_s=12.0)


@pytest.mark.slow
@pytest.mark.render
@pytest.mark.parametrize("rate_hz", [20.0, 50.0])
def test_a_practised_person_succeeds_in_nearly_every_scene(arm, leader, rate_hz):
    teleop = leader()
    successes = 0
    for seed in range(1000, 1020):
        arm.reset_scene(seed)
        successes += drive(arm, teleop, until_s=8.0, rate_hz=rate_hz)
    assert successes >= 18


@pytest.mark.render
def test_the_person_intervenes_when_the_script_says_so_in_every_attempt(arm, leader):
    teleop = leader(takeover_after_s=0.6, release_after_s=1.8)
    for seed in (1, 2):
        arm.reset_scene(seed)
        said = {}
        while (now_s := elapsed_s(arm)) < 2.4:
            events = teleop.get_teleop_events()
            said[now_s] = events[TeleopEvents.IS_INTERVENTION]
            time.sleep(0.005)
        begins = min(moment for moment, is_said in said.items() if is_said)
        ends = max(moment for moment, is_said in said.items() if is_said)
        assert begins == pytest.approx(0.6, abs=0.15)
        assert ends == pytest.approx(1.8, abs=0.15)
        assert sum(said.values()) > 0.3 * len(said)


@pytest.mark.render
def test_unless_a_script_says_otherwise_the_person_says_nothing_but_success(arm, leader):
    teleop = leader()
    assert teleop.get_teleop_events() == dict.fromkeys(TeleopEvents, False)
    arm.reset_scene(3)
    assert drive(arm, teleop, until_s=8.0)
    events = teleop.get_teleop_events()
    assert {event for event, is_said in events.items() if is_said} == {
        TeleopEvents.SUCCESS,
        TeleopEvents.TERMINATE_EPISODE,
    }


def stock(program, *arguments, tmp_path):
    environment = {
        "HOME": str(tmp_path),
        "HF_HOME": str(tmp_path / "hf"),
        "HF_HUB_OFFLINE": "1",
        "OMP_NUM_THREADS": "1",
    }
    return subprocess.run(
        [str(STOCK / program), *DEVICES, *arguments],
        cwd=ROOT,
        env=environment,
        capture_output=True,
        text=True,
        timeout=150,
        check=False,
    )


@pytest.mark.slow
@pytest.mark.render
def test_stock_teleoperate_runs_the_pair(tmp_path):
    done = stock("lerobot-teleoperate", "--fps=50", "--teleop_time_s=2", tmp_path=tmp_path)
    assert done.returncode == 0, done.stderr
    assert done.stdout.count("Teleop loop time") > 60


@pytest.mark.slow
@pytest.mark.render
def test_stock_record_records_the_pair(tmp_path):
    root = tmp_path / "recorded"
    done = stock(
        "lerobot-record",
        "--dataset.repo_id=someone/recorded",
        f"--dataset.root={root}",
        "--dataset.fps=20",
        "--dataset.num_episodes=1",
        "--dataset.episode_time_s=3",
        "--dataset.single_task=put a cube on a pad",
        "--dataset.push_to_hub=false",
        "--dataset.streaming_encoding=true",
        "--dataset.rgb_encoder.vcodec=h264",
        "--play_sounds=false",
        tmp_path=tmp_path,
    )
    assert done.returncode == 0, done.stderr
    info = json.loads((root / "meta" / "info.json").read_text(encoding="utf-8"))
    assert info["total_episodes"] == 1
    assert 40 <= info["total_frames"] <= 60
    assert info["robot_type"] == "recap_tabletop_arm"
    assert info["features"]["action"]["names"] == list(POSITION_KEYS)
    assert info["features"]["observation.state"]["names"] == list(POSITION_KEYS)
    assert info["features"]["observation.images.front"]["shape"] == [96, 96, 3]
