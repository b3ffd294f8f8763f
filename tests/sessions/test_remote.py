"""A policy on another machine: here, in another process, which is killed in the middle."""

import re
import subprocess
import sys
import threading
import time
from pathlib import Path

import numpy as np
import pytest

from data.schema import Ending
from envs.arm import POSITION_KEYS
from envs.mujoco_robot import TabletopRobot
from recap.cli import main

pytestmark = [pytest.mark.slow, pytest.mark.render]

ROOT = Path(__file__).parents[2]
TOKEN = "correct-horse-battery"  # noqa: S105 - of a server of this test
SERVE = """
import sys
from pathlib import Path
import recap.rollout.pilots  # what takes seconds, before anybody waits for it
from recap.remote.config import ServeConfig
from recap.remote.server import serve
print("ready", flush=True)
port = int(sys.stdin.readline())
serve(ServeConfig(path=Path(sys.argv[1]), port=port), lambda line: print(line, flush=True))
"""


@pytest.fixture(autouse=True)
def _calibration_stays_here(tmp_path, monkeypatch):
    monkeypatch.setattr("lerobot.robots.robot.HF_LEROBOT_CALIBRATION", tmp_path)
    monkeypatch.setattr("lerobot.teleoperators.teleoperator.HF_LEROBOT_CALIBRATION", tmp_path)


@pytest.fixture
def commands(monkeypatch):
    noted = []
    send = TabletopRobot.send_action

    def noting(robot, action):
        if len(action) == len(POSITION_KEYS):  # to hold, it tells itself to stay, without the grip
            noted.append(list(action.values()))
        return send(robot, action)

    monkeypatch.setattr(TabletopRobot, "send_action", noting)
    return noted


class Server:
    """A server in a process of its own, which listens when it is told to."""

    def __init__(self, policy, environment):
        self.process = subprocess.Popen(
            [sys.executable, "-c", SERVE, str(policy)],
            cwd=ROOT,
            env={**environment, "RECAP_POLICY_TOKEN": TOKEN},
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )

    def listen(self, port=0):
        """Begin to serve, and return the port."""
        assert self.process.stdout.readline() == "ready\n"
        self.process.stdin.write(f"{port}\n")
        self.process.stdin.flush()
        for line in self.process.stdout:
            if found := re.search(r"at 127\.0\.0\.1:(\d+)\. On the robot", line):
                return int(found[1])
        message = "the server ended"
        raise AssertionError(message)

    def kill(self):
        self.process.kill()
        self.process.communicate()


@pytest.fixture
def servers(arm_policy, environment):
    both = [Server(arm_policy, environment) for _ in range(2)]
    yield both
    for server in both:
        server.kill()


def test_the_robot_holds_while_the_server_is_away_and_flies_on_when_it_is_back(
    project, settings, servers, commands, recorded, capsys, monkeypatch
):
    first, second = servers
    port = first.listen()
    flags = [
        f"--project={project}",
        "--iteration=1",
        "--episodes=1",
        f"--policy.address=127.0.0.1:{port}",
        "--world.time_limit_steps=50",
        "--execution.type=real_time",
    ]

    monkeypatch.setenv("RECAP_POLICY_TOKEN", "wrong-horse-battery")
    assert main(["collect", *settings, *flags]) == 2
    assert capsys.readouterr().err == (
        f"ws://127.0.0.1:{port} wants another token. Set RECAP_POLICY_TOKEN to the one that "
        f"`recap serve-policy` was started with or printed.\n"
    )
    assert commands == []

    monkeypatch.setenv("RECAP_POLICY_TOKEN", TOKEN)
    away = []

    def interrupt():
        while len(commands) < 20:
            time.sleep(0.01)
        first.kill()
        time.sleep(0.3)  # the deadline of a question under way
        away.append(len(commands))
        time.sleep(1.0)
        away.append(len(commands))
        second.listen(port)

    thread = threading.Thread(target=interrupt)
    thread.start()
    assert main(["collect", *settings, *flags]) == 0
    thread.join()

    sent = np.array(commands)
    assert away[1] - away[0] > 15  # it was told to hold at every step of that second
    assert np.ptp(sent[away[0] : away[1]], axis=0).max() == 0
    assert np.ptp(sent[: away[0]], axis=0).max() > 1
    assert np.ptp(sent[away[1] :], axis=0).max() > 1

    said = capsys.readouterr().err
    assert f"The policy at ws://127.0.0.1:{port} cannot be reached: " in said
    assert "the policy does not answer in time: holding" in said
    _, (info,) = recorded(project)
    assert (info.ending, info.frames) == (Ending.TIME_LIMIT, 50)


def test_a_server_that_is_not_there_is_told_before_anything_moves(
    project, settings, commands, capsys
):
    flags = [f"--project={project}", "--iteration=1", "--policy.address=127.0.0.1:9"]
    assert main(["collect", *settings, *flags]) == 2
    assert capsys.readouterr().err == (
        "The policy at ws://127.0.0.1:9 cannot be reached: nothing listens there.\n"
    )
    assert commands == []
