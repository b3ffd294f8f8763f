"""How large a value model sees what was recorded."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from data.errors import ConfigError
from value_models.beginning import beginning
from value_models.config import EncoderKind, ValueModelConfig, ValueTrainingConfig
from value_models.seen_size import seen_size, seen_sizes

sides = st.integers(4, 2000)
limits = st.integers(1, 200).map(lambda number: 4 * number)


@pytest.mark.parametrize(
    ("image_size", "recorded", "seen"),
    [
        (96, (480, 640), (72, 96)),
        (96, (640, 480), (96, 72)),
        (96, (64, 64), (64, 64)),
        (96, (96, 96), (96, 96)),
        (96, (98, 50), (96, 48)),  # 48.98, and 4 goes into 48
        (96, (240, 424), (56, 96)),  # 54.34, nearer to 56 than to 52
        (96, (2, 960), (4, 96)),
        (96, (7, 97), (4, 96)),  # 6.93 is nearer to 8, which would enlarge it
        (0, (480, 640), (480, 640)),
        (224, (480, 640), (168, 224)),
    ],
)
def test_sizes_worked_by_hand(image_size, recorded, seen):
    assert seen_size(ValueModelConfig(image_size=image_size), *recorded) == seen


@given(sides, sides, limits)
def test_what_is_larger_is_reduced_and_nothing_is_enlarged(height, width, most):
    seen = seen_size(ValueModelConfig(image_size=most), height, width)
    if max(height, width) <= most:
        assert seen == (height, width)
        return
    assert max(seen) == most
    assert seen[0] <= height
    assert seen[1] <= width
    for side, recorded in zip(seen, (height, width), strict=True):
        exact = recorded * most / max(height, width)
        assert side % 4 == 0
        assert side >= 4
        assert abs(side - exact) < 4
    assert seen_size(ValueModelConfig(image_size=most), *seen) == seen


@given(sides, sides, st.sampled_from([EncoderKind.POLICY, EncoderKind.VLM]))
def test_encoders_that_prepare_images_themselves_get_them_as_recorded(height, width, encoder):
    assert seen_size(ValueModelConfig(encoder=encoder), height, width) == (height, width)


def test_every_camera_has_its_own_size():
    recorded = {"front": (480, 640), "wrist": (64, 64)}
    assert seen_sizes(ValueModelConfig(), recorded) == {"front": (72, 96), "wrist": (64, 64)}


@pytest.mark.parametrize("wrong", [-4, 2, 98])
def test_a_size_that_cuts_a_patch_is_refused(wrong):
    with pytest.raises(ConfigError, match=r"value\.model\.image_size must be a multiple of 4"):
        ValueModelConfig(image_size=wrong)


def test_a_model_is_not_made_for_frames_larger_than_it_is_shown_later(frames):
    with pytest.raises(ConfigError) as told:
        beginning(
            frames,
            frames.episode_index,
            ValueTrainingConfig(model=ValueModelConfig(image_size=8)),
            initial=None,
        )
    assert str(told.value) == (
        "the frames have cameras {'front': (16, 16), 'wrist': (12, 16)} (height, width), and with "
        "value.model.image_size=8 they must come as {'front': (8, 8), 'wrist': (8, 8)}. Reduce "
        "them, or let the model see them as recorded: value.model.image_size=0."
    )
