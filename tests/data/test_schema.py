import json
from dataclasses import fields, replace

import pytest

from data.errors import ConfigError, EpisodeError
from data.schema import Ending, EpisodeInfo, Layout, Pilot, Source, is_correction


@pytest.mark.parametrize(
    ("source", "pilot", "expected"),
    [
        (Source.ROLLOUT, Pilot.POLICY, False),
        (Source.ROLLOUT, Pilot.EXPERT, True),
        (Source.ROLLOUT, Pilot.TELEOPERATOR, True),
        (Source.DEMONSTRATION, Pilot.EXPERT, False),
        (Source.DEMONSTRATION, Pilot.TELEOPERATOR, False),
    ],
)
def test_a_correction_is_a_rollout_frame_not_flown_by_the_policy(source, pilot, expected):
    assert is_correction(source, pilot) is expected


@pytest.mark.parametrize("measured", [True, False, None])
def test_an_info_survives_json(make_episode, measured):
    info = replace(make_episode().info, measured_success=measured)
    assert EpisodeInfo.from_json(json.loads(json.dumps(info.to_json()))) == info


def test_an_info_with_other_fields_names_them(make_episode):
    content = make_episode().info.to_json()
    content["sead"] = content.pop("seed")
    with pytest.raises(EpisodeError) as caught:
        EpisodeInfo.from_json(content)
    assert str(caught.value) == "missing or unknown field(s): sead, seed"


def test_an_info_with_an_unknown_word_names_it(make_episode):
    content = {**make_episode().info.to_json(), "ending": "bored"}
    with pytest.raises(EpisodeError) as caught:
        EpisodeInfo.from_json(content)
    assert str(caught.value) == "'bored' is not a valid Ending"


@pytest.mark.parametrize("uid", ["", ".hidden", "a/b", "..", "a b"])
def test_a_uid_that_is_no_folder_name_is_refused(make_episode, uid):
    with pytest.raises(ValueError, match="uid"):
        replace(make_episode().info, uid=uid)


def test_more_corrections_than_frames_are_refused(make_episode):
    with pytest.raises(ValueError, match="7 of 6 frames corrected"):
        replace(make_episode().info, corrected_frames=7)


@pytest.mark.parametrize("seed", [7, None])
def test_a_world_need_not_have_a_seed(make_episode, seed):
    info = replace(make_episode().info, seed=seed, ending=Ending.INTERRUPTED)
    assert EpisodeInfo.from_json(json.loads(json.dumps(info.to_json()))) == info


def test_a_session_survives_json_and_is_absent_where_there_was_none(make_episode):
    info = make_episode().info
    sat = replace(info, session="20260102T030405678901")
    assert EpisodeInfo.from_json(json.loads(json.dumps(sat.to_json()))) == sat
    # As before there were sessions: an episode without one hashes as it did then.
    assert set(info.to_json()) == {field.name for field in fields(EpisodeInfo)} - {"session"}
    assert EpisodeInfo.from_json(info.to_json()).session == ""


@pytest.mark.parametrize("session", ["two words", "../up", ".", 7, None])
def test_a_session_that_is_no_name_is_refused(make_episode, session):
    with pytest.raises(EpisodeError):
        EpisodeInfo.from_json({**make_episode().info.to_json(), "session": session})


def test_a_layout_survives_json(layout):
    assert Layout.from_json(json.loads(json.dumps(layout.to_json()))) == layout


@pytest.mark.parametrize("damage", [{"fps": None}, {"cameras": {"front": [1]}}, {"cameras": 3}])
def test_a_damaged_layout_is_refused(layout, damage):
    with pytest.raises(ConfigError, match="a layout has no usable"):
        Layout.from_json({**layout.to_json(), **damage})
    with pytest.raises(ConfigError, match="a layout has no usable 'fps'"):
        Layout.from_json({})


def test_what_differs_between_layouts_is_told_thing_by_thing(layout):
    assert layout.differences(layout) == []
    other = replace(
        layout,
        fps=30,
        robot_type="so101",
        cameras={"front": (32, 64), "top": (16, 16)},
        state_names=("x",),
        action_names=("dy", "dx"),
    )
    assert layout.differences(other) == [
        "fps was 20, is 30",
        "robot_type was test_arm, is so101",
        "camera 'front' was 32x48, is 32x64",
        "camera 'top' was absent, is 16x16",
        "camera 'wrist' was 16x16, is absent",
        "state_names were x, y, grip, are x",
        "action_names were dx, dy, are dy, dx",
    ]


def test_an_odd_camera_is_refused_with_what_to_do(layout):
    with pytest.raises(ConfigError) as caught:
        replace(layout, cameras={"front": (480, 641)})
    assert str(caught.value) == (
        "Camera 'front' is 480x641, but the video format needs an even height and width. Crop or "
        "resize it by one pixel."
    )


def test_a_layout_needs_time_and_components(layout):
    with pytest.raises(ConfigError, match="fps must be at least 1 frame a second, got 0"):
        replace(layout, fps=0)
    with pytest.raises(ConfigError, match="at least one state and one action component"):
        replace(layout, action_names=())
