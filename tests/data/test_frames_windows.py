"""Learning from a set that is larger than the cache: bounded on disk, and nothing is wrong."""

from collections import Counter
from contextlib import suppress

import numpy as np
import pytest

from data import frame_cache as frame_cache_module
from data.frames import TrainsetFrames, decode_episode
from data.frames_config import GIB, FramesConfig
from data.schema import Outcome
from data.trainset import Trainset
from value_models.order import FrameOrder

EPISODES, LENGTH = 8, 6


@pytest.fixture
def many(store, make_episode, tmp_path):
    """Eight episodes of six frames."""
    uids = [f"rollout-01-{number:08d}" for number in range(EPISODES)]
    for number, uid in enumerate(uids):
        store.write(make_episode(uid, frames=LENGTH, seed=number, shade=20 * number))
    return Trainset.build(
        store,
        dict.fromkeys(uids, Outcome.SUCCESS),
        uids=uids,
        destination_root=tmp_path / "trainsets",
        statistics=None,
    )


def bytes_in(folder):
    """Add up what is there while another thread adds and removes files."""
    sizes = []
    for path in folder.glob("*.npy"):
        with suppress(FileNotFoundError):
            sizes.append(path.stat().st_size)
    return sum(sizes)


def test_epochs_over_a_set_larger_than_the_cache_stay_within_it(many, store, tmp_path, monkeypatch):
    opened = Counter()
    real = frame_cache_module.VideoReader

    def counted(path, **options):
        opened[path.name] += 1
        return real(path, **options)

    monkeypatch.setattr(frame_cache_module, "VideoReader", counted)
    root = tmp_path / "cache"
    one = (LENGTH * (32 * 48 + 16 * 16) * 3) + 2 * 128
    bound = 4 * one  # two windows of two episodes, of eight
    frames = TrainsetFrames(many, root, FramesConfig(cache_gib=bound / GIB, memory_gib=0.0))
    assert not frames.fits
    truth = np.concatenate(
        [decode_episode(store.root / e.info.uid, "front") for e in many.episodes]
    )
    order = FrameOrder(np.arange(len(many)), size=4, rng=np.random.default_rng(0), windows=frames)
    epochs, seen = 3, Counter()
    for _ in range(epochs * len(many) // 4):
        index = next(order)
        np.testing.assert_array_equal(frames["front"][index], truth[index])
        seen.update(index.tolist())
        # One file may go and another come while the folder is being read.
        assert bytes_in(root) <= bound + LENGTH * 32 * 48 * 3
    order.close()
    assert frames.used_bytes() <= bound
    assert set(seen.values()) == {epochs}
    # Once an epoch, and once more for the windows that were on their way at the end.
    assert max(opened.values()) <= 2 * (epochs + 1)  # two cameras have a file of each name
    assert sum(opened.values()) <= 2 * (epochs * EPISODES + 4)
