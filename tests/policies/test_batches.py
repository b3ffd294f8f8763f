from __future__ import annotations

import numpy as np
import pytest

from recap.policies.batches import (
    NO_ROW,
    TrainingFrames,
    chunk_rows,
    next_gripper_changes,
    shifted,
)


def test_a_chunk_past_the_episode_repeats_the_last_action_and_says_so():
    rows, is_pad = chunk_rows([(0, 3), (3, 5)], chunk=3)

    assert rows.tolist() == [[0, 1, 2], [1, 2, 2], [2, 2, 2], [3, 4, 4], [4, 4, 4]]
    assert is_pad.astype(int).tolist() == [[0, 0, 0], [0, 0, 1], [0, 1, 1], [0, 0, 1], [0, 1, 1]]


def test_the_next_gripper_change_stays_inside_its_episode():
    gripper = np.array([-1, -1, 1, 1, -1, -1, 1, 1], dtype=np.float32)

    found = next_gripper_changes(gripper, [(0, 6), (6, 8)])

    #   frame 0, 1: closes at 2; frame 2, 3: opens at 4; 4, 5: nothing more; 6, 7: never changes
    assert found.tolist() == [2, 2, 4, 4, NO_ROW, NO_ROW, NO_ROW, NO_ROW]


def test_a_shift_moves_every_image_by_whole_pixels_within_the_limit():
    ramp = np.arange(8, dtype=np.uint8)
    image = np.stack(np.broadcast_arrays(ramp[:, None] * 10, ramp[None] * 10, 0), axis=-1)
    images = np.repeat(image[None].astype(np.uint8), 50, axis=0)

    moved = shifted(images, pixels=2, generator=np.random.default_rng(0))

    corner = moved[:, 4, 4, :2].astype(int) // 10 - 4
    assert set(corner.flatten().tolist()) == {-2, -1, 0, 1, 2}
    np.testing.assert_array_equal(images, np.repeat(image[None], 50, axis=0))


def test_no_shift_returns_the_images_themselves():
    images = np.zeros((2, 4, 4, 3), dtype=np.uint8)

    assert shifted(images, pixels=0, generator=np.random.default_rng(0)) is images


def test_frames_whose_parts_differ_in_length_are_refused():
    with pytest.raises(ValueError, match=r"The frames' parts differ in length: \[3, 4\]"):
        TrainingFrames(
            images={"front": np.zeros((4, 8, 8, 3), dtype=np.uint8)},
            state=np.zeros((4, 2), dtype=np.float32),
            action=np.zeros((3, 2), dtype=np.float32),
            bounds=[(0, 4)],
            tasks=["a task"],
            indicator=np.zeros(4, dtype=np.int8),
        )
