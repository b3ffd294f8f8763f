"""Each mistake before a session: one message, exit code 2, nothing made and nothing moved."""

import shutil

import pytest

from data.files import content_hash
from envs.mujoco_robot import TabletopRobot
from recap.cli import main
from recap.project import Project
from recap.settings import plain_settings, read_settings

ARM = "--robot.type=recap_tabletop_arm"
PERSON = "--teleop.type=recap_scripted"


@pytest.fixture(autouse=True)
def _nothing_moves(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("lerobot.robots.robot.HF_LEROBOT_CALIBRATION", tmp_path / "calibration")
    monkeypatch.setattr(
        "lerobot.teleoperators.teleoperator.HF_LEROBOT_CALIBRATION", tmp_path / "calibration"
    )
    monkeypatch.setattr(TabletopRobot, "connect", lambda robot: pytest.fail("it was connected"))


def refuse(capsys, *words):
    """Let a session refuse to begin, and return what it said."""
    assert main(["collect", "--project=run", *words]) == 2
    captured = capsys.readouterr()
    assert captured.out == ""
    return captured.err


def kept(project):
    return {
        path.relative_to(project.folder): content_hash(path)
        for path in project.folder.rglob("*")
        if path.is_file() and path.name != ".lock"
    }


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (
            ["--robot.type=so101_folower", "--iteration=0"],
            "--robot.type=so101_folower is not a type that LeRobot knows. "
            "Did you mean 'so101_follower'?",
        ),
        (
            [ARM, "--iteration=0", "--teleop.type=recap_script"],
            "--teleop.type=recap_script is not a type that LeRobot knows. "
            "Did you mean 'recap_scripted'?",
        ),
        (
            [ARM, "--iteration=0"],
            "Iteration 0 holds demonstrations, and nobody is there to give one. Name the device "
            "that a person holds with --teleop.type=..., or fly a policy with --iteration=1.",
        ),
        (
            [ARM, PERSON, "--iteration=0", "--session.rate_hz=0"],
            "session.rate_hz must be at least 1, got 0.",
        ),
        (
            [ARM, PERSON, "--iteration=0", "--episodes=0"],
            "How long shall the session be? Set --episodes=... or --minutes=...",
        ),
        (
            [ARM, PERSON, "--iteration=0", "--minutes=-1"],
            "session.minutes must be at least 0, got -1.0.",
        ),
        (
            [ARM, PERSON, "--iteration=0", "--safety.speeds.griper.pos=7"],
            "safety.speeds: the robot has no joint 'griper.pos'. Did you mean 'gripper.pos'?",
        ),
        (
            [ARM, PERSON, "--iteration=0", "--safety.high={griper.pos: 7}"],
            "safety.high: the robot has no joint 'griper.pos'. Did you mean 'gripper.pos'?",
        ),
        pytest.param(
            [ARM, "--iteration=1", "--policy.path=no/such"],
            "no/such is not a policy checkpoint: it has no config.json.",
            marks=pytest.mark.slow,
        ),
        (
            [ARM, "--iteration=2"],
            "Iteration 2 flies the policy of iteration 1, and there is no "
            "run/iterations/1/policy. Train it with `recap train-policy --project=run "
            "--iteration=1`, or name another with --policy.path=...",
        ),
        (
            [ARM, "--iteration=1", "--policy.address=gpu"],
            "policy.address must be host:port, got 'gpu'. "
            "Type for example --policy.address=192.168.1.20:8765",
        ),
    ],
)
def test_a_mistake_is_told_before_a_project_is_made(capsys, tmp_path, words, message):
    assert refuse(capsys, *words) == f"{message}\n"
    assert not (tmp_path / "run").exists()


class OtherArm(TabletopRobot):
    """An arm with joints that no leader here moves, and no scenes of its own."""

    reset_scene = property()  # which has nothing to say: it is as good as absent

    action_features = property(lambda arm: {"base_yaw.pos": float, "tail.pos": float})
    observation_features = property(lambda arm: {"base_yaw.pos": float, "front": (96, 96, 3)})


@pytest.fixture
def other_arm(monkeypatch):
    monkeypatch.setattr("envs.devices.make_robot_from_config", OtherArm)


def test_a_robot_that_lays_no_scenes_needs_a_task(capsys, tmp_path, other_arm):
    assert refuse(capsys, ARM, PERSON, "--iteration=0") == (
        "What is the robot to do? Say it in words: --task='put the cube on the pad'\n"
    )
    assert not (tmp_path / "run").exists()


def test_a_leader_that_misses_joints(capsys, tmp_path, other_arm):
    assert refuse(capsys, ARM, PERSON, "--iteration=0", "--task=push") == (
        "The teleoperator 'recap_scripted' does not move tail.pos of the robot. Choose the one "
        "that belongs to the robot with --teleop.type=...\n"
    )
    assert not (tmp_path / "run").exists()


@pytest.mark.slow
def test_a_policy_that_was_trained_on_other_pictures(capsys, tmp_path, arm_policy):
    assert refuse(capsys, ARM, "--iteration=1", f"--policy.path={arm_policy}") == (
        f"{arm_policy} does not fit this robot. The policy wants cameras front (48 by 64), "
        f"wrist (48 by 64), 6 numbers in a state, 6 numbers in a command; the robot has cameras "
        f"front (96 by 96), wrist (96 by 96), 6 numbers in a state, 6 numbers in a command. Name "
        f"and size the robot's cameras as in the episodes that the policy was trained on, or take "
        f"another policy.\n"
    )
    assert not (tmp_path / "run").exists()


@pytest.mark.slow
def test_a_policy_without_weights(capsys, tmp_path, arm_policy):
    shutil.copytree(arm_policy, tmp_path / "policy")
    (tmp_path / "policy/model.safetensors").unlink()
    assert refuse(capsys, ARM, "--iteration=1", "--policy.path=policy") == (
        "policy has no weights (model.safetensors is missing), and a policy without them acts at "
        "random. Train it again, or restore the file.\n"
    )
    assert not (tmp_path / "run").exists()


def test_a_robot_with_other_cameras_than_the_project(capsys, tmp_path):
    from envs.devices import make_robot
    from envs.hardware import layout_of_robot
    from recap.trainsets import fix_layout

    words = [ARM, PERSON, "--iteration=0"]
    config = read_settings(["--project=run", *words])
    project = Project.create(config.project, plain_settings(config))
    fix_layout(project, layout_of_robot(make_robot(config.robot), rate_hz=30))
    before = kept(project)
    assert refuse(capsys, *words, "--robot.image_height=48", "--session.rate_hz=50") == (
        "run was recorded with another robot or camera setting: fps was 30, is 50; camera 'front' "
        "was 96x96, is 48x96; camera 'wrist' was 96x96, is 48x96. Only episodes that are alike can "
        "be merged: go back to that setting, or begin a new project with --project=...\n"
    )
    assert kept(project) == before
