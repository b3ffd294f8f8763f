import numpy as np
import pytest

from data import frames as frames_module
from data.errors import EpisodeError
from data.frames import FrameCache, decode_episode
from data.trainset import Trainset


def test_frames_stand_in_the_row_order_of_the_training_set(trainset, store, tmp_path):
    loaded = FrameCache(tmp_path / "cache").load(trainset)
    assert {camera: rows.shape for camera, rows in loaded.items()} == {
        "front": (16, 32, 48, 3),
        "wrist": (16, 16, 16, 3),
    }
    for episode in trainset.episodes:
        for camera, rows in loaded.items():
            expected = decode_episode(store.root / episode.info.uid, camera)
            np.testing.assert_array_equal(rows[episode.start : episode.stop], expected)


def test_each_episode_is_decoded_once_ever(trainset, tmp_path, monkeypatch):
    first = FrameCache(tmp_path / "cache").load(trainset)

    def refuse(path):
        raise AssertionError(path)

    monkeypatch.setattr(frames_module, "decode_video", refuse)
    again = FrameCache(tmp_path / "cache").load(trainset)
    for camera, rows in first.items():
        np.testing.assert_array_equal(again[camera], rows)


def test_a_cached_file_that_was_cut_short_is_decoded_again(trainset, tmp_path):
    cache = FrameCache(tmp_path / "cache")
    expected = cache.load(trainset)["front"]
    short, empty, *_ = sorted(cache.root.glob("*.front.npy"))
    short.write_bytes(short.read_bytes()[:500])
    empty.write_bytes(b"")
    np.testing.assert_array_equal(cache.load(trainset)["front"], expected)


def test_progress_counts_every_episode(trainset, tmp_path):
    seen = []
    FrameCache(tmp_path / "cache").load(trainset, progress=lambda *counts: seen.append(counts))
    assert seen == [(1, 3), (2, 3), (3, 3)]


def test_a_damaged_video_is_named(trainset, tmp_path):
    path = trainset.root / "videos/observation.images.front/chunk-000/file-001.mp4"
    path.unlink()
    path.write_bytes(b"not a video")
    with pytest.raises(EpisodeError, match=r"file-001\.mp4 cannot be decoded"):
        FrameCache(tmp_path / "cache").load(trainset)


def test_a_video_of_another_length_is_refused(trainset, tmp_path):
    folder = trainset.root / "videos/observation.images.front/chunk-000"
    (folder / "file-001.mp4").unlink()
    (folder / "file-002.mp4").rename(folder / "file-001.mp4")
    with pytest.raises(EpisodeError, match=r"file-001\.mp4 has 4 frames, the episode has 7"):
        FrameCache(tmp_path / "cache").load(trainset)


def test_of_a_cut_episode_the_first_frames_are_given_and_all_are_kept(
    trainset, store, outcomes, tmp_path
):
    cache = FrameCache(tmp_path / "cache")
    cut = Trainset.build(
        store,
        outcomes,
        uids=outcomes,
        destination_root=tmp_path / "cut",
        statistics=None,
        success_frames={"rollout-01-00000001": 2},
    )
    for _ in ("decoded", "read again"):
        rows = cache.load(cut)["front"]
        expected = decode_episode(store.root / "rollout-01-00000001", "front")
        assert len(rows) == 12
        np.testing.assert_array_equal(rows[5:8], expected[:3])
        last = decode_episode(store.root / "rollout-01-00000002", "front")
        np.testing.assert_array_equal(rows[8:], last)
    (kept,) = cache.root.glob("rollout-01-00000001.*.front.npy")
    assert len(np.load(kept)) == 7  # so that a set that takes all of it decodes nothing
    np.testing.assert_array_equal(cache.load(trainset)["front"][5:12], expected)
