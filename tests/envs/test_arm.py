import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from envs.arm import (
    ARM_JOINTS,
    FOREARM_METRES,
    HAND_METRES,
    HIGHEST_POSITIONS,
    JOINT_LIMITS_RADIANS,
    LOWEST_POSITIONS,
    POSITION_KEYS,
    SHOULDER_HEIGHT_METRES,
    UPPER_ARM_METRES,
    Workspace,
    joints_for,
    joints_of,
    positions_of,
)

BOX = Workspace()


def poses():
    box = st.tuples(*(st.floats(a, b) for a, b in zip(BOX.low, BOX.high, strict=True)))
    return box.filter(is_within_reach)


def is_within_reach(pose):
    """Whether the arm gets there; the far upper corners of the box are just out of its reach."""
    x, y, z, _ = pose
    wrist = np.linalg.norm([x, y, z + HAND_METRES - SHOULDER_HEIGHT_METRES])
    return wrist < UPPER_ARM_METRES + FOREARM_METRES


def pose_of(joints):
    """Follow the links from the base to the fingertips."""
    base, shoulder, elbow, pitch, roll = joints
    forward = up = 0.0
    angle = 0.0  # from straight up, leaning forward
    for length, turn in [
        (UPPER_ARM_METRES, shoulder),
        (FOREARM_METRES, elbow),
        (HAND_METRES, pitch),
    ]:
        angle += turn
        forward += length * np.sin(angle)
        up += length * np.cos(angle)
    x, y = forward * np.cos(base), forward * np.sin(base)
    return np.array([x, y, SHOULDER_HEIGHT_METRES + up, base - roll]), angle


@given(poses())
def test_the_joints_put_the_fingertips_where_they_were_asked_for(pose):
    reached, _ = pose_of(joints_for(np.array(pose)))
    np.testing.assert_allclose(reached, pose, atol=1e-7)


@given(poses())
def test_the_hand_points_straight_down_and_the_elbow_up(pose):
    joints = joints_for(np.array(pose))
    _, angle = pose_of(joints)
    assert angle == pytest.approx(np.pi)
    assert joints[2] > 0.0


def test_a_pose_out_of_reach_stretches_the_arm_towards_it():
    joints = joints_for(np.array([2.0, 0.0, 0.1, 0.0]))
    assert joints[2] == 0.0
    reached, _ = pose_of(joints)
    assert reached[0] == pytest.approx(0.52, abs=0.01)
    assert reached[1] == 0.0


def test_a_place_worked_by_hand():
    # Shoulder height for the wrist, and a right angle at the elbow: the wrist is 0.26 √2 away.
    pose = np.array([0.26 * np.sqrt(2), 0.0, SHOULDER_HEIGHT_METRES - HAND_METRES, 0.5])
    quarter = np.pi / 4
    expected = [0.0, quarter, 2 * quarter, quarter, -0.5]
    np.testing.assert_allclose(joints_for(pose), expected, atol=1e-12)


@given(st.tuples(*[st.floats(-5.0, 5.0)] * 4))
def test_the_workspace_keeps_every_pose_inside(pose):
    inside = BOX.clip(np.array(pose))
    assert (inside >= BOX.low).all()
    assert (inside <= BOX.high).all()
    np.testing.assert_array_equal(BOX.clip(inside), inside)


@given(poses())
def test_the_model_has_the_lengths_that_the_kinematics_assume(pose):
    mujoco = pytest.importorskip("mujoco")
    from envs.tabletop import _model

    data = mujoco.MjData(_model())
    for name, angle in zip(ARM_JOINTS, joints_for(np.array(pose)), strict=True):
        data.joint(name).qpos[0] = angle
    mujoco.mj_kinematics(_model(), data)
    np.testing.assert_allclose(data.site("grasp").xpos, pose[:3], atol=1e-7)


def test_positions_worked_by_hand():
    joints = np.array([0.0, np.pi, np.pi / 2, -np.pi / 4, 1.0])
    expected = [0.0, 180.0, 90.0, -45.0, 57.29577951, 25.0]
    np.testing.assert_allclose(positions_of(joints, opening=0.25), expected, atol=1e-8)


@given(st.lists(st.floats(-4.0, 4.0), min_size=5, max_size=5), st.floats(0.0, 1.0))
def test_joints_come_back_from_positions(joints, opening):
    again, opening_again = joints_of(positions_of(np.array(joints), opening=opening))
    np.testing.assert_allclose(again, joints, atol=1e-12)
    assert opening_again == pytest.approx(opening)


def test_the_six_positions_have_the_names_and_units_of_a_lerobot_arm():
    assert POSITION_KEYS == (
        "base_yaw.pos",
        "shoulder.pos",
        "elbow.pos",
        "wrist_pitch.pos",
        "wrist_roll.pos",
        "gripper.pos",
    )
    assert LOWEST_POSITIONS[2] == 0.0
    assert HIGHEST_POSITIONS[2] == pytest.approx(166.157, abs=0.001)
    assert (LOWEST_POSITIONS[5], HIGHEST_POSITIONS[5]) == (0.0, 100.0)


def test_the_model_has_the_limits_that_the_positions_are_kept_in():
    pytest.importorskip("mujoco")
    from envs.tabletop import _model

    limits = [_model().joint(name).range for name in ARM_JOINTS]
    np.testing.assert_allclose(limits, JOINT_LIMITS_RADIANS)
