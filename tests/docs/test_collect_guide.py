"""Every command of docs/collect.md: those that need no arm are run, the others are parsed.

The commands of `recap` are run in this process, in the order of the page and in an empty folder
beside ``configs``; those of LeRobot, and the server, in processes of their own.
"""

import importlib
import os
import re
import shlex
import subprocess
import sys
from importlib.metadata import distribution, version
from pathlib import Path

import draccus
import pytest

from data.errors import DeviceError
from recap.cli import main
from recap.settings import read_settings

ROOT = Path(__file__).parents[2]
GUIDE = (ROOT / "docs" / "collect.md").read_text(encoding="utf-8")
BIN = Path(sys.executable).parent

# What is appended to a command of the page, so that it does not take long. The settings of training
# belong to the project, so they are given where it is made.
QUICK_TRAINING = [f"--{m}.steps=2" for m in ("pretraining.value", "pretraining.policy")] + [
    "--value.steps=2",
    "--policy.steps=2",
]
QUICK_ATTEMPT = ["--episodes=1", "--teleop.takeover_after_s=0.2"]
ANY_PORT = ["--serve.port=0"]


def commands(section):
    """The indented lines below a heading, as words."""
    (text,) = re.findall(rf"^## {section}\n(.*?)(?=^## |\Z)", GUIDE, re.MULTILINE | re.DOTALL)
    lines = re.findall(r"^ {4}(\S.*)$", text, re.MULTILINE)
    return [shlex.split(line) for line in lines]


def test_every_command_of_the_page_is_looked_at_here():
    tested = ("Without a robot", "With an SO-101", "A policy on another machine")
    everywhere = re.findall(r"^ {4}(\S.*)$", GUIDE, re.MULTILINE)
    assert sum(len(commands(section)) for section in tested) == len(everywhere) > 10


def test_every_link_of_the_page_leads_somewhere():
    headings = re.findall(r"^#+ (.+)$", GUIDE, re.MULTILINE)
    anchors = {heading.lower().replace(" ", "-") for heading in headings}
    for target in re.findall(r"\]\(([^)]+)\)", GUIDE):
        if target.startswith("#"):
            assert target[1:] in anchors
        else:
            assert (ROOT / "docs" / target.partition("#")[0]).exists()


def parse_recap(words):
    if words[0] == "collect":
        read_settings(words[1:])
    else:
        assert main([words[0], "--help"]) == 0


def parse_lerobot(name, words):
    """Parse a command of LeRobot's as it does, without the devices."""
    from envs.devices import _register

    (entry,) = (e for e in distribution("lerobot").entry_points if e.name == name)
    _register(None)
    script = importlib.import_module(entry.module)
    kinds = [getattr(script, f"{kind}Config", None) for kind in ("Calibrate", "Teleoperate")]
    kind = next(filter(None, kinds), None)
    if kind is None:
        assert words == []
    else:
        draccus.parse(kind, args=words)


@pytest.mark.parametrize("words", commands("With an SO-101"), ids=" ".join)
def test_a_command_for_an_arm_parses(words, monkeypatch):
    monkeypatch.chdir(ROOT)
    name, *rest = words
    if name == "pip":
        (requirement,) = rest[1:]
        assert requirement == f"lerobot[feetech]=={version('lerobot')}"
        assert "feetech" in distribution("lerobot").metadata.get_all("Provides-Extra")
    elif name == "recap":
        parse_recap(rest)
    else:
        parse_lerobot(name, rest)


def test_the_settings_for_an_so101_describe_devices_that_lerobot_has(tmp_path, monkeypatch):
    from envs.devices import make_robot, make_teleoperator

    for module in ("robots.robot", "teleoperators.teleoperator"):
        monkeypatch.setattr(f"lerobot.{module}.HF_LEROBOT_CALIBRATION", tmp_path)
    config = read_settings(["--config_path", str(ROOT / "configs" / "so101.yaml")])
    for make, described in ((make_robot, config.robot), (make_teleoperator, config.teleop)):
        try:
            made = make(described).name
        except DeviceError as error:  # everything but the driver is there
            made = str(error)
        assert "pip install 'lerobot[feetech]'" in made or made.startswith("so_")


@pytest.fixture
def workshop(tmp_path, monkeypatch):
    """An empty folder beside ``configs``, as a checkout has it."""
    (tmp_path / "configs").symlink_to(ROOT / "configs")
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("RECAP_POLICY_TOKEN", raising=False)
    for module in ("robots.robot", "teleoperators.teleoperator"):
        monkeypatch.setattr(f"lerobot.{module}.HF_LEROBOT_CALIBRATION", tmp_path / "calibration")
    return tmp_path


def run_lerobot(words, folder):
    environment = {
        **os.environ,
        "OMP_NUM_THREADS": "1",
        "HF_HUB_OFFLINE": "1",
        "HF_LEROBOT_HOME": str(folder / "lerobot"),
    }
    done = subprocess.run(
        [BIN / words[0], *words[1:]],
        env=environment,
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )
    assert done.returncode == 0, done.stderr


def run_served(serve, collect):
    """Run the server of the page, and the robot with the token and the address that it prints."""
    with subprocess.Popen(
        [BIN / serve[0], *serve[1:], *ANY_PORT], stdout=subprocess.PIPE, text=True
    ) as server:
        try:
            said = ""
            while not (port := re.search(r":(\d+)\. On the robot", said)):
                line = server.stdout.readline()
                assert line, said
                said += line
            token = re.search(r"RECAP_POLICY_TOKEN=(\S+)", said)[1]
            words = [word.replace("HOST:8765", f"127.0.0.1:{port[1]}") for word in collect]
            assert words != collect
            with pytest.MonkeyPatch.context() as patch:
                patch.setenv("RECAP_POLICY_TOKEN", token)
                assert main([*words[1:], *QUICK_ATTEMPT]) == 0
        finally:
            server.terminate()


@pytest.mark.slow
@pytest.mark.render
def test_the_commands_without_a_robot_run_in_their_order(workshop, capsys):
    makes_the_project, *others = commands("Without a robot")
    assert main([*makes_the_project[1:], *QUICK_TRAINING]) == 0
    for words in others:
        if words[0] == "recap":
            assert main(words[1:]) == 0, capsys.readouterr().err
        else:
            run_lerobot(words, workshop)
    said = capsys.readouterr().out
    assert "iteration 0, session: 3 episodes" in said
    assert "iteration 1, session: 2 episodes" in said
    assert (workshop / "runs/arm/iterations/1/policy/model.safetensors").is_file()

    serve, collect = commands("A policy on another machine")
    run_served(serve, collect)
    assert "iteration 1, session: 1 episodes" in capsys.readouterr().out
