"""Features on disk: computed once for every episode and backbone, whatever the training set."""

from dataclasses import dataclass
from types import SimpleNamespace

import numpy as np
import pytest

from value_models.features import FeatureCache, as_halves

SIZE = 3


@dataclass
class Set:
    """Episodes as a training set lists them: name, content, frames taken."""

    lines: list

    def __post_init__(self):
        stops = np.cumsum([taken for *_, taken in self.lines]).tolist()
        self.episodes = [
            SimpleNamespace(
                info=SimpleNamespace(uid=uid), content_hash=content, start=stop - taken, stop=stop
            )
            for (uid, content, taken), stop in zip(self.lines, stops, strict=True)
        ]
        self.source = np.array(
            [
                [len(uid), ord(content[0]), frame]
                for uid, content, taken in self.lines
                for frame in range(taken)
            ],
            dtype=np.float32,
        )

    def __len__(self):
        return len(self.source)


class Backbone:
    """Describes every frame, and counts which it was asked about."""

    def __init__(self, trainset, *, die_at=None):
        self.trainset, self.die_at = trainset, die_at
        self.asked = []

    def __call__(self, rows):
        if len(self.asked) == self.die_at:
            raise KeyboardInterrupt
        self.asked.append(rows.tolist())
        return self.trainset.source[rows]


@pytest.fixture
def cache(tmp_path):
    return FeatureCache(tmp_path / "features")


def load(cache, trainset, *, fingerprint="f0", **others):
    backbone = Backbone(trainset, **others)
    found = cache.load(trainset, fingerprint=fingerprint, read=backbone)
    return found, backbone.asked


WHOLE = Set([("a", "aaaaaaaaXX", 3), ("bb", "bbbbbbbbXX", 2), ("ccc", "ccccccccXX", 4)])


def test_features_stand_in_the_row_order_of_the_training_set_and_each_episode_is_read_alone(cache):
    found, asked = load(cache, WHOLE)
    assert found.dtype == np.float16
    np.testing.assert_array_equal(found, WHOLE.source)
    assert asked == [[0, 1, 2], [3, 4], [5, 6, 7, 8]]


def test_what_is_kept_costs_no_policy_and_is_the_same(cache):
    first, _ = load(cache, WHOLE)
    again, asked = load(cache, WHOLE)
    assert asked == []
    np.testing.assert_array_equal(again, first)


def test_another_training_set_shares_the_episodes_that_are_the_same(cache):
    load(cache, WHOLE)
    other = Set([("bb", "bbbbbbbbXX", 2), ("ccc", "another_cc", 4), ("dddd", "dddddddd", 1)])
    found, asked = load(cache, other)
    np.testing.assert_array_equal(found, other.source)
    assert asked == [[2, 3, 4, 5], [6]]  # the content of ccc is another one


def test_of_a_cut_episode_the_kept_frames_are_used_both_ways(cache):
    cut = Set([("ccc", "ccccccccXX", 2)])
    load(cache, cut)
    found, asked = load(cache, WHOLE)
    np.testing.assert_array_equal(found, WHOLE.source)
    assert asked == [[0, 1, 2], [3, 4], [7, 8]]  # of ccc, rows 5 and 6 were there
    again, asked = load(cache, cut)
    np.testing.assert_array_equal(again, cut.source)
    assert asked == []


def test_another_backbone_has_features_of_its_own(cache):
    load(cache, WHOLE)
    _, asked = load(cache, WHOLE, fingerprint="f1")
    assert len(asked) == 3
    assert load(cache, WHOLE)[1] == []


def test_whoever_is_stopped_half_way_goes_on_from_there(cache):
    with pytest.raises(KeyboardInterrupt):
        load(cache, WHOLE, die_at=2)
    found, asked = load(cache, WHOLE)
    assert asked == [[5, 6, 7, 8]]
    np.testing.assert_array_equal(found, WHOLE.source)


@pytest.mark.parametrize(
    "damage",
    [
        lambda path: path.write_bytes(path.read_bytes()[:-1]),
        lambda path: path.write_bytes(b""),
        lambda path: path.write_bytes(b"not an array"),
        lambda path: np.save(path, np.zeros((3, SIZE))),
        lambda path: np.save(path, np.zeros(3, dtype=np.float16)),
        lambda path: np.save(path, np.array([object()]), allow_pickle=True),
    ],
)
def test_a_damaged_file_is_computed_again(damage, cache):
    load(cache, WHOLE)
    (path,) = cache.root.glob("a.*.npy")
    damage(path)
    found, asked = load(cache, WHOLE)
    assert asked == [[0, 1, 2]]
    np.testing.assert_array_equal(found, WHOLE.source)
    assert load(cache, WHOLE)[1] == []


def test_progress_counts_every_episode(cache):
    seen = []
    cache.load(
        WHOLE, fingerprint="f", read=Backbone(WHOLE), progress=lambda *counts: seen.append(counts)
    )
    assert seen == [(1, 3), (2, 3), (3, 3)]


def test_what_16_bits_do_not_hold_is_cut_and_what_is_no_number_is_refused():
    halves = as_halves(np.array([[1e9, -1e9, 0.5]]))
    np.testing.assert_array_equal(halves, np.array([[65504, -65504, 0.5]], dtype=np.float16))
    with pytest.raises(ValueError, match="the backbone's features are not numbers"):
        as_halves(np.array([[0.0, np.nan]]))
