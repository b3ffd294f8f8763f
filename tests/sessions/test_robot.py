"""Whole sessions of the simulated arm, in this process, so that its commands can be watched."""

import time

import numpy as np
import pytest

from data.outcomes import OutcomeStore
from data.schema import ACTION_KEY, PILOT_KEY, POLICY_ACTION_KEY, Ending, Outcome
from envs.arm import POSITION_KEYS
from envs.mujoco_robot import TabletopRobot
from recap.cli import main
from recap.project import Project
from recap.rollout.live.policy import LivePolicy
from recap.trainsets import Choice, gather

pytestmark = [pytest.mark.slow, pytest.mark.render]

MAX_SPEED = 120.0
RATE_HZ = 25


@pytest.fixture(autouse=True)
def _calibration_stays_here(tmp_path, monkeypatch):
    monkeypatch.setattr("lerobot.robots.robot.HF_LEROBOT_CALIBRATION", tmp_path)
    monkeypatch.setattr("lerobot.teleoperators.teleoperator.HF_LEROBOT_CALIBRATION", tmp_path)


@pytest.fixture
def commands(monkeypatch):
    """Every command the arm is sent, with the way it came, in order."""
    noted = []
    send, hold, reset = (getattr(TabletopRobot, n) for n in ("send_action", "hold", "reset_scene"))

    def noting_send(robot, action):
        noted.append(("command", [action.get(key, np.nan) for key in POSITION_KEYS]))
        return send(robot, action)

    def noting_hold(robot):
        noted.append(("hold", None))
        hold(robot)

    def noting_reset(robot, seed):
        noted.append(("reset", seed))
        return reset(robot, seed)

    monkeypatch.setattr(TabletopRobot, "send_action", noting_send)
    monkeypatch.setattr(TabletopRobot, "hold", noting_hold)
    monkeypatch.setattr(TabletopRobot, "reset_scene", noting_reset)
    return noted


def between_resets(commands):
    """The commands of each attempt; what `hold` sends of its own is not among them."""
    attempts, is_holding = [], False
    for kind, what in commands:
        if kind == "reset":
            attempts.append([])
        elif kind == "command" and not is_holding and attempts:
            attempts[-1].append(what)
        is_holding = kind == "hold"
    return [np.array(attempt) for attempt in attempts]


def column(table, key):
    return np.stack(table[key].to_numpy())


def test_a_correction_in_an_attempt_of_the_policy(
    project, settings, arm_policy, commands, recorded, monkeypatch
):
    forgotten = []
    forget = LivePolicy.forget
    monkeypatch.setattr(
        LivePolicy, "forget", lambda policy: (forgotten.append(1), forget(policy))[1]
    )
    flags = [
        f"--project={project}",
        "--iteration=1",
        "--episodes=1",
        f"--policy.path={arm_policy}",
        "--teleop.takeover_after_s=0.8",
        "--teleop.release_after_s=2.0",
        "--world.time_limit_steps=60",
        f"--safety.max_speed={MAX_SPEED}",
        "--safety.speeds={}",
        "--execution.type=real_time",
    ]
    assert main(["collect", *settings, *flags]) == 0
    store, (info,) = recorded(project)
    table = store.table(info.uid)
    (about,) = Project(project).sessions(1).glob("*.json")
    assert info.session == about.stem

    pilots = table[PILOT_KEY].tolist()
    changes = [a for a, b in zip(pilots, [None, *pilots], strict=False) if a != b]
    assert changes == ["policy", "teleoperator", "policy"]
    assert info.corrected_frames == pilots.count("teleoperator") > 5
    assert (info.frames, info.ending) == (60, Ending.TIME_LIMIT)

    # The policy was asked in every frame, also while it was corrected, and it was asked for more
    # than it was given: its wishes are kept as they were.
    asked, action = column(table, POLICY_ACTION_KEY), column(table, ACTION_KEY)
    assert np.isfinite(asked).mean() > 0.9
    is_person = np.array(pilots) == "teleoperator"
    assert np.isfinite(asked[is_person]).mean() > 0.8
    assert not np.allclose(asked[is_person], action[is_person], atol=1.0)
    assert forgotten == [1, 1]  # when the attempt began, and when the policy got control back

    # What was sent, recorded or not, never jumps: neither at the handovers nor anywhere else.
    (sent,) = between_resets(commands)
    assert np.abs(np.diff(sent, axis=0)).max() <= MAX_SPEED / RATE_HZ + 1e-3
    assert len(sent) >= info.frames
    assert {tuple(row) for row in action} <= {tuple(row) for row in sent.astype(np.float32)}


@pytest.mark.parametrize("mishap", ["disconnect_after_s", "lose_camera_after_s"])
def test_a_robot_that_is_lost_leaves_an_interrupted_attempt_and_the_session_goes_on(
    project, settings, commands, recorded, capsys, mishap
):
    # A novice takes so long that it strikes in the first attempt, however slow the machine is.
    flags = [f"--project={project}", "--iteration=0", "--episodes=2", "--teleop.skill=0.0"]
    began_s = time.monotonic()
    assert main(["collect", *settings, *flags, f"--robot.{mishap}=3.5"]) == 0
    assert time.monotonic() - began_s < 30
    store, infos = recorded(project)
    assert [info.ending is Ending.INTERRUPTED for info in infos] == [True, False]
    assert infos[0].frames > 3
    assert infos[0].measured_success is None
    said = capsys.readouterr().err
    assert "1 of 2: ended" in said
    assert "2 of 2: lost" in said
    assert "The robot was lost (observe: " in said
    for info in infos:
        store.verify(info.uid)

    # The arm is told to hold when it is lost, and what it was told before does not go on.
    kinds = [kind for kind, _ in commands]
    assert kinds.count("hold") == 2
    assert kinds.count("reset") == 2

    outcomes = OutcomeStore(project / "outcomes.db")
    assert set(outcomes.outcomes()) <= {infos[1].uid}
    for info in infos:
        outcomes.judge(info.uid, Outcome.SUCCESS, rater="anna")
    outcomes.close()

    def trained_on(**others):
        trainset = gather(Project(project), iteration=0, base=None, choice=Choice(**others))
        return [episode.info.uid for episode in trainset.episodes]

    assert trained_on() == [infos[1].uid]
    assert sorted(trained_on(include_interrupted=True)) == [info.uid for info in infos]


def test_a_leader_that_is_lost_does_not_cost_the_arm(
    project, settings, commands, recorded, monkeypatch
):
    from envs.mujoco_robot import ScriptedTeleop

    get_action, asked = ScriptedTeleop.get_action, []

    def failing(teleop):
        asked.append(1)
        if 20 < len(asked) <= 23:
            message = "the cable of the leader"
            raise ConnectionError(message)
        return get_action(teleop)

    monkeypatch.setattr(ScriptedTeleop, "get_action", failing)
    monkeypatch.setattr("recap.rollout.live.session.SECONDS_BETWEEN_RECONNECTS", 0.1)
    flags = [f"--project={project}", "--iteration=0", "--episodes=2"]
    assert main(["collect", *settings, *flags]) == 0
    _, infos = recorded(project)
    assert [info.ending is Ending.INTERRUPTED for info in infos] == [True, False]
    assert [kind for kind, _ in commands].count("hold") == 2
