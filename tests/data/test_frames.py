"""The images of a training set: bit-equal to the videos wherever they are kept."""

import numpy as np
import pytest

from data import frame_cache as frame_cache_module
from data.errors import ConfigError, EpisodeError
from data.frames import TrainsetFrames, decode_episode
from data.frames_config import GIB, FramesConfig
from data.trainset import Trainset

EPISODE_BYTES = [5 * (32 * 48 + 16 * 16) * 3, 7 * (32 * 48 + 16 * 16) * 3, 4 * 5376]
HEADERS = 2 * 128


def config(*, memory=0, cache=10**9, decoders=2):
    """Settings in bytes."""
    return FramesConfig(memory_gib=memory / GIB, cache_gib=cache / GIB, decoders=decoders)


WAYS = {
    "in memory": config(memory=10**9),
    "in memory, and no room on disk": config(memory=10**9, cache=1),
    "on disk": config(),
    "in windows": config(cache=2 * (EPISODE_BYTES[1] + HEADERS)),
}


@pytest.fixture
def truth(trainset, store):
    """Camera to all frames, each video decoded by itself."""
    return {
        camera: np.concatenate(
            [decode_episode(store.root / e.info.uid, camera) for e in trainset.episodes]
        )
        for camera in ("front", "wrist")
    }


@pytest.mark.parametrize("way", WAYS)
def test_frames_are_those_of_the_videos_wherever_they_are_kept(trainset, truth, tmp_path, way):
    frames = TrainsetFrames(trainset, tmp_path / "cache", WAYS[way])
    rng = np.random.default_rng(0)
    for camera, expected in truth.items():
        images = frames[camera]
        assert images.shape == expected.shape == (16, *expected.shape[1:])
        assert len(images) == 16
        for index in (rng.permutation(16), rng.integers(0, 16, 40), np.array([15, 0, 0, 3])):
            seen = images[index]
            assert seen.dtype == np.uint8
            np.testing.assert_array_equal(seen, expected[index])
            seen[:] = 0  # a copy: it may be written to
        np.testing.assert_array_equal(images[3:14], expected[3:14])
        np.testing.assert_array_equal(
            images[expected[:, 0, -1, 0] > 120], expected[expected[:, 0, -1, 0] > 120]
        )
        np.testing.assert_array_equal(images[-1], expected[-1])
        assert images[np.empty(0, dtype=np.int64)].shape == (0, *expected.shape[1:])


@pytest.mark.parametrize(
    ("way", "is_warm", "decoders"),
    [
        ("in memory", False, 1),
        ("in memory", True, 2),
        ("on disk", False, 5),
        ("in windows", False, 2),
        ("in windows", True, 1),
    ],
)
def test_batches_in_order_are_those_of_the_videos(
    trainset, truth, tmp_path, way, is_warm, decoders
):
    if is_warm:
        TrainsetFrames(trainset, tmp_path / "cache").bring_to_hand()
    settings = FramesConfig(
        memory_gib=WAYS[way].memory_gib, cache_gib=WAYS[way].cache_gib, decoders=decoders
    )
    frames = TrainsetFrames(trainset, tmp_path / "cache", settings)
    for batches in (
        np.array_split(np.arange(16), 4),
        [np.array([0, 3, 3, 11]), np.array([12, 15])],
        [np.array([9, 2]), np.array([0])],  # any order is right
    ):
        seen = list(frames.in_order(batches))
        for index, images in zip(batches, seen, strict=True):
            assert images.keys() == truth.keys()
            for camera, expected in truth.items():
                np.testing.assert_array_equal(images[camera], expected[index])


def test_what_is_read_in_order_is_decoded_once_and_not_kept(trainset, tmp_path, monkeypatch):
    opened = []
    real = frame_cache_module.VideoReader

    def counted(path, **options):
        opened.append(path.name)
        return real(path, **options)

    monkeypatch.setattr(frame_cache_module, "VideoReader", counted)
    frames = TrainsetFrames(trainset, tmp_path / "cache")
    for _ in frames.in_order(np.array_split(np.arange(16), 5)):
        pass
    assert len(opened) == 6
    assert frames.used_bytes() == 0


def refuse(path, **_):
    raise AssertionError(path)


@pytest.mark.parametrize("way", ["in memory", "on disk"])
def test_each_episode_is_decoded_once_ever(trainset, tmp_path, monkeypatch, way):
    first = TrainsetFrames(trainset, tmp_path / "cache", WAYS[way]).load()
    monkeypatch.setattr(frame_cache_module, "VideoReader", refuse)
    again = TrainsetFrames(trainset, tmp_path / "cache", WAYS[way])
    for camera, rows in first.items():
        np.testing.assert_array_equal(again[camera][np.arange(16)], rows)


def test_progress_counts_every_episode(trainset, tmp_path):
    seen = []
    frames = TrainsetFrames(
        trainset, tmp_path / "cache", progress=lambda *counts: seen.append(counts)
    )
    assert seen == []  # nothing is decoded before it is read
    frames["front"][np.array([3])]
    frames["wrist"][np.array([3])]
    assert seen == [(1, 3), (2, 3), (3, 3)]


@pytest.mark.parametrize("way", WAYS)
def test_a_damaged_video_is_named(trainset, tmp_path, way):
    path = trainset.root / "videos/observation.images.front/chunk-000/file-001.mp4"
    path.unlink()
    path.write_bytes(b"not a video")
    frames = TrainsetFrames(trainset, tmp_path / "cache", WAYS[way])
    with pytest.raises(EpisodeError, match=r"file-001\.mp4 cannot be decoded"):
        frames["front"][np.arange(16)]
    with pytest.raises(EpisodeError, match=r"file-001\.mp4 cannot be decoded"):
        list(frames.in_order([np.arange(16)]))


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize(("other", "count"), [("file-002.mp4", 4), ("file-000.mp4", 5)])
def test_a_video_that_is_too_short_is_refused(trainset, tmp_path, way, other, count):
    folder = trainset.root / "videos/observation.images.front/chunk-000"
    (folder / "file-001.mp4").unlink()
    (folder / "file-001.mp4").hardlink_to(folder / other)
    frames = TrainsetFrames(trainset, tmp_path / "cache", WAYS[way])
    with pytest.raises(EpisodeError, match=rf"file-001\.mp4 has {count} frames, the episode has 7"):
        frames["front"][np.arange(16)]


@pytest.mark.parametrize("way", WAYS)
def test_a_video_that_is_too_long_is_refused(trainset, tmp_path, way):
    folder = trainset.root / "videos/observation.images.front/chunk-000"
    (folder / "file-002.mp4").unlink()
    (folder / "file-002.mp4").hardlink_to(folder / "file-001.mp4")
    frames = TrainsetFrames(trainset, tmp_path / "cache", WAYS[way])
    with pytest.raises(EpisodeError, match=r"file-002\.mp4 has 7 frames, the episode has 4"):
        frames["front"][np.arange(16)]


@pytest.mark.parametrize("way", WAYS)
def test_of_a_cut_episode_the_first_frames_are_given(trainset, store, outcomes, tmp_path, way):
    cut = Trainset.build(
        store,
        outcomes,
        uids=outcomes,
        destination_root=tmp_path / "cut",
        statistics=None,
        success_frames={"rollout-01-00000001": 2},
    )
    expected = decode_episode(store.root / "rollout-01-00000001", "front")[:3]
    last = decode_episode(store.root / "rollout-01-00000002", "front")
    for _ in ("decoded", "read again"):
        frames = TrainsetFrames(cut, tmp_path / "cache", WAYS[way])
        rows = frames["front"][np.arange(12)]
        np.testing.assert_array_equal(rows[5:8], expected)
        np.testing.assert_array_equal(rows[8:], last)
        (seen,) = frames.in_order([np.arange(12)])
        np.testing.assert_array_equal(seen["front"], rows)


def test_of_a_cut_episode_all_frames_are_kept(trainset, store, outcomes, tmp_path):
    cut = Trainset.build(
        store,
        outcomes,
        uids=outcomes,
        destination_root=tmp_path / "cut",
        statistics=None,
        success_frames={"rollout-01-00000001": 2},
    )
    TrainsetFrames(cut, tmp_path / "cache").load()
    (kept,) = (tmp_path / "cache").glob("rollout-01-00000001.*.front.npy")
    whole = decode_episode(store.root / "rollout-01-00000001", "front")
    # So that a set that takes all of it decodes nothing.
    np.testing.assert_array_equal(np.load(kept, allow_pickle=False), whole)


def test_in_windows_what_was_prepared_is_read_from_the_cache(trainset, truth, tmp_path):
    frames = TrainsetFrames(trainset, tmp_path / "cache", WAYS["in windows"])
    assert not frames.fits
    frames.prepare([2, 1])
    for camera in ("front", "wrist"):
        np.testing.assert_array_equal(frames[camera][np.arange(5, 16)], truth[camera][5:])
    names = sorted(path.name for path in (tmp_path / "cache").glob("*.npy"))
    assert [name.split(".")[0][-1] for name in names] == ["1", "1", "2", "2"]
    frames.release([2, 1])
    # A path of its own for what was not prepared: nothing is written for it.
    np.testing.assert_array_equal(frames["front"][np.arange(5)], truth["front"][:5])
    assert sorted(path.name for path in (tmp_path / "cache").glob("*.npy")) == names


def test_an_error_in_the_background_is_raised_where_the_frames_are_read(trainset, tmp_path):
    path = trainset.root / "videos/observation.images.front/chunk-000/file-001.mp4"
    path.unlink()
    frames = TrainsetFrames(trainset, tmp_path / "cache", WAYS["in windows"])
    frames.prepare([1])
    with pytest.raises(EpisodeError, match=r"file-001\.mp4 cannot be decoded"):
        frames["front"][np.array([6])]
    frames.release([1])
    frames.prepare([2, 0])  # and the cache is not left full of what failed
    assert frames["front"][np.array([0, 15])].shape == (2, 32, 48, 3)


def test_a_cache_that_cannot_hold_two_episodes_says_how_much_it_takes(trainset, tmp_path):
    most = EPISODE_BYTES[1] + HEADERS
    with pytest.raises(ConfigError) as caught:
        TrainsetFrames(trainset, tmp_path / "cache", config(cache=2 * most - 2))
    assert str(caught.value) == (
        "The largest episode takes 37.00 KiB decoded, and the cache must hold two: one to learn "
        "from, and one to decode meanwhile. It may hold 74.00 KiB. Give it more with "
        "--frames.cache_gib=7.1e-05"
    )


def test_all_frames_at_once_need_a_cache_that_holds_them(trainset, tmp_path):
    frames = TrainsetFrames(trainset, tmp_path / "cache", WAYS["in windows"])
    with pytest.raises(ConfigError, match="All frames are needed at once, and decoded they take"):
        frames.bring_to_hand()


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"cache_gib": 0.0}, "frames.cache_gib must be above 0, got 0.0."),
        ({"memory_gib": -1.0}, "frames.memory_gib must not be negative, got -1.0."),
        ({"decoders": 0}, "frames.decoders must be at least 1, got 0."),
    ],
)
def test_settings_that_hold_nothing_are_refused(settings, message):
    with pytest.raises(ConfigError) as caught:
        FramesConfig(**settings)
    assert str(caught.value) == message
