import io
from base64 import b64decode
from dataclasses import replace

import av
import numpy as np
import pytest
from PIL import Image

from recap.report.pictures import (
    GAP,
    LARGEST_HEIGHT,
    mp4_uri,
    picture_uri,
    stack_side_by_side,
)


def film(colour, *, frames=3, height=64, width=64):
    return np.full((frames, height, width, 3), colour, dtype=np.uint8)


def opened(uri):
    return Image.open(io.BytesIO(b64decode(uri.split(",", 1)[1])))


def test_small_cameras_are_enlarged_by_whole_pixels_and_put_side_by_side():
    front = film((0, 0, 0))
    front[:, 0, 0] = 255
    stacked = stack_side_by_side({"front": front, "wrist": film((9, 9, 9))})
    assert stacked.shape == (3, 256, 256 + GAP + 256, 3)
    assert np.all(stacked[:, :4, :4] == 255)
    assert np.all(stacked[:, 4:, :256] == 0)
    assert np.all(stacked[:, :, 256 + GAP :] == 9)


@pytest.mark.parametrize("height", [31, 64, 255, 300, 481, 720])
def test_every_film_has_even_sides_a_player_can_show(height):
    stacked = stack_side_by_side({"one": film((1, 2, 3), height=height, width=37)})
    assert stacked.shape[1] % 2 == stacked.shape[2] % 2 == 0
    assert 240 <= stacked.shape[1] <= max(LARGEST_HEIGHT, 2 * 255) + 1


def test_cameras_of_different_lengths_are_refused():
    cameras = {"front": film((0, 0, 0)), "wrist": film((0, 0, 0), frames=4)}
    with pytest.raises(ValueError, match=r"frames, got \{'front': 3, 'wrist': 4\}"):
        stack_side_by_side(cameras)
    with pytest.raises(ValueError, match=r"same number of frames, got \{\}"):
        stack_side_by_side({})


def test_a_rollout_film_is_h264_with_every_frame_at_the_control_rate(video):
    with av.open(io.BytesIO(video.mp4)) as container:
        stream = container.streams.video[0]
        pictures = [frame.to_ndarray(format="rgb24") for frame in container.decode(stream)]
        assert stream.codec_context.name == "h264"
        assert stream.codec_context.pix_fmt == "yuv420p"
        assert stream.average_rate == 20
    assert len(pictures) == 6
    left, right = pictures[3][128, 100].astype(int), pictures[3][128, 400].astype(int)
    assert left[0] > left[2] + 100
    assert right[2] > right[0] + 100
    assert video.poster.shape == pictures[0].shape


def test_a_film_inside_the_page_is_the_film(video):
    assert b64decode(mp4_uri(video.mp4).removeprefix("data:video/mp4;base64,")) == video.mp4


def test_small_pictures_are_kept_exactly_and_large_ones_reduced():
    small = np.random.default_rng(0).integers(0, 256, (64, 48, 3), dtype=np.uint8)
    np.testing.assert_array_equal(np.asarray(opened(picture_uri(small)).convert("RGB")), small)
    large = np.zeros((480, 640, 3), dtype=np.uint8)
    assert opened(picture_uri(large, largest_height=160)).size == (213, 160)


def test_a_value_curve_refuses_what_does_not_fit_together(value_curve):
    with pytest.raises(ValueError, match="for each of its 20 values, got 3, 20 and 20"):
        replace(value_curve, returns=np.zeros(3))
    with pytest.raises(ValueError, match=r"1 filmstrip picture\(s\) for 3 filmstrip frame"):
        replace(value_curve, filmstrip=value_curve.filmstrip[:1])
