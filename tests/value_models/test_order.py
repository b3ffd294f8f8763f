"""The order of learning: every frame once in an epoch, never more at hand than there is room."""

import json
from collections import Counter
from itertools import islice

import numpy as np
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from value_models.order import FrameOrder, batches

SMALL = settings(max_examples=60, deadline=None)


class Room:
    """Room for so many bytes, which notes what is in it; a frame takes 10 bytes."""

    def __init__(self, lengths, most_bytes, window_episodes=1000):
        self.starts = np.concatenate([[0], np.cumsum(lengths)])
        self.episode_bytes = 10 * np.array(lengths)
        self.window_bytes = most_bytes // 2
        self.window_episodes = window_episodes
        self.most_bytes = most_bytes
        self.inside = Counter()
        self.decoded = []

    def prepare(self, episodes):
        for episode in episodes:
            if not self.inside[episode]:
                self.decoded.append(episode)
            self.inside[episode] += 1
        assert self.bytes() <= self.most_bytes

    def release(self, episodes):
        for episode in episodes:
            assert self.inside[episode] > 0
            self.inside[episode] -= 1

    def bytes(self):
        return sum(self.episode_bytes[e] for e, times in self.inside.items() if times)

    def holds(self, frames):
        episodes = np.searchsorted(self.starts, frames, side="right") - 1
        return all(self.inside[episode] for episode in episodes.tolist())


def as_it_was(train, size, steps, rng, *, between):
    """Give the batches of the loop that published results come from."""
    waiting = np.empty(0, dtype=np.int64)
    for _ in range(steps):
        while len(waiting) < size:
            waiting = np.concatenate([waiting, rng.permutation(train)])
        yield waiting[:size]
        waiting = waiting[size:]
        rng.random(between)  # augmentation draws from the same generator


@SMALL
@given(
    frames=st.integers(1, 40),
    size=st.integers(1, 90),
    between=st.integers(0, 3),
    seed=st.integers(0, 9),
)
def test_where_everything_fits_the_order_is_what_it_always_was(frames, size, between, seed):
    train = 3 * np.arange(frames)
    rng = np.random.default_rng(seed)
    order = FrameOrder(train, size=size, rng=rng)
    expected = as_it_was(train, size, 12, np.random.default_rng(seed), between=between)
    for was in expected:
        np.testing.assert_array_equal(next(order), was)
        rng.random(between)


@SMALL
@given(
    frames=st.integers(1, 40),
    size=st.integers(1, 90),
    stop=st.integers(0, 9),
    seed=st.integers(0, 9),
)
def test_where_everything_fits_it_can_be_taken_up_again(frames, size, stop, seed):
    train, rng = np.arange(frames), np.random.default_rng(seed)
    order = FrameOrder(train, size=size, rng=rng)
    for _ in range(stop):
        next(order)
        rng.random(5)
    state = json.loads(json.dumps({"order": order.state(), "rng": rng.bit_generator.state}))
    other_rng = np.random.default_rng(99)
    other = FrameOrder(train, size=size, rng=other_rng)
    other.restore(state["order"])
    other_rng.bit_generator.state = state["rng"]
    for _ in range(6):
        np.testing.assert_array_equal(next(order), next(other))
        np.testing.assert_array_equal(rng.random(5), other_rng.random(5))


rooms = st.builds(
    lambda lengths, spare, window_episodes: Room(
        lengths, 2 * (10 * max(lengths) + spare), window_episodes
    ),
    lengths=st.lists(st.integers(1, 12), min_size=1, max_size=12),
    spare=st.integers(0, 120),
    window_episodes=st.integers(1, 4),
)


@SMALL
@given(room=rooms, size=st.integers(1, 20), seed=st.integers(0, 9))
def test_in_windows_every_frame_stands_once_in_an_epoch_and_its_episode_is_at_hand(
    room, size, seed
):
    total = int(room.starts[-1])
    train = np.arange(total)
    order = FrameOrder(train, size=size, rng=np.random.default_rng(seed), windows=room)
    most = min(np.diff(room.starts))
    seen = []
    for index in islice(order, 4 * total // size + 1):
        assert index.shape == (size,)
        # A batch that is larger than a window's share may be read after its episodes have left.
        if size <= most:
            assert room.holds(index)
        assert room.bytes() <= room.most_bytes
        seen.append(index)
    stream = np.concatenate(seen)
    for epoch in range(3):
        of_epoch = stream[epoch * total : (epoch + 1) * total]
        np.testing.assert_array_equal(np.sort(of_epoch), train)
    order.close()
    assert room.bytes() == 0


@SMALL
@given(room=rooms, size=st.integers(1, 20), stop=st.integers(0, 9), seed=st.integers(0, 9))
def test_in_windows_the_seed_alone_decides_and_the_stream_can_be_taken_up_again(
    room, size, stop, seed
):
    train = np.arange(int(room.starts[-1]))

    def fresh(number):
        copy = Room(np.diff(room.starts), room.most_bytes, room.window_episodes)
        rng = np.random.default_rng(number)
        return FrameOrder(train, size=size, rng=rng, windows=copy), rng, copy

    first, rng, _ = fresh(seed)
    assume("key" in first.state())  # where all fit a window, they are drawn as without windows
    second, _, _ = fresh(seed)
    for _ in range(stop):
        rng.random(3)  # what else is drawn does not matter
        np.testing.assert_array_equal(next(first), next(second))
    third, _, its_room = fresh(seed + 1)
    third.restore(json.loads(json.dumps(first.state())))
    for _ in range(8):
        np.testing.assert_array_equal(next(first), next(third))
    assert its_room.bytes() <= its_room.most_bytes
    third.close()
    assert its_room.bytes() == 0


def test_an_episode_is_decoded_once_in_an_epoch():
    room = Room([5, 7, 6, 4, 9, 5, 8], most_bytes=400)
    order = FrameOrder(np.arange(44), size=4, rng=np.random.default_rng(0), windows=room)
    epochs = 5
    for _ in range(epochs * 44 // 4):
        next(order)
    counts = Counter(room.decoded)
    # The window after the last one is on its way.
    assert max(counts.values()) <= epochs + 1
    assert len(room.decoded) <= epochs * 7 + 4


def test_windows_hold_several_episodes_whose_frames_are_mixed():
    room = Room([10] * 12, most_bytes=600)  # three episodes a window
    order = FrameOrder(np.arange(120), size=30, rng=np.random.default_rng(0), windows=room)
    first, second = next(order), next(order)
    episodes = [set((index // 10).tolist()) for index in (first, second)]
    assert [len(found) for found in episodes] == [3, 3]
    assert not episodes[0] & episodes[1]
    assert np.any(np.abs(np.diff(first // 10)) > 0)
    assert np.count_nonzero(np.diff(first // 10)) > 10  # shuffled, not one after the other
    again = FrameOrder(
        np.arange(120), size=30, rng=np.random.default_rng(1), windows=Room([10] * 12, 600)
    )
    assert not np.array_equal(next(again), first)


def test_the_next_window_is_prepared_before_the_first_frame_of_this_one_is_given():
    room = Room([10] * 12, most_bytes=600)
    order = FrameOrder(np.arange(120), size=10, rng=np.random.default_rng(0), windows=room)
    next(order)
    assert len(room.decoded) == 6
    next(order)
    next(order)
    assert len(room.decoded) == 6
    next(order)  # the first window was given and learned from: it makes room
    assert len(room.decoded) == 9
    assert room.bytes() == 600


def test_only_the_episodes_learned_from_are_prepared():
    room = Room([10] * 6, most_bytes=240)
    train = np.concatenate([np.arange(10, 20), np.arange(40, 60)])
    order = FrameOrder(train, size=10, rng=np.random.default_rng(0), windows=room)
    seen = np.concatenate([next(order) for _ in range(3)])
    np.testing.assert_array_equal(np.sort(seen), train)
    assert set(room.decoded) == {1, 4, 5}


def test_where_the_frames_learned_from_fit_the_order_is_as_without_windows():
    room = Room([10] * 6, most_bytes=240)
    train = np.arange(10, 20)
    stream = batches(train, size=4, steps=9, rng=np.random.default_rng(5), windows=room)
    expected = batches(train, size=4, steps=9, rng=np.random.default_rng(5))
    for index, other in zip(stream, expected, strict=True):
        np.testing.assert_array_equal(index, other)
    assert room.decoded == [1]
    assert room.bytes() == 0  # let go of at the end


def test_a_state_of_another_kind_is_refused():
    room = Room([10] * 6, most_bytes=240)
    windowed = FrameOrder(np.arange(60), size=4, rng=np.random.default_rng(0), windows=room)
    whole = FrameOrder(np.arange(60), size=4, rng=np.random.default_rng(0))
    with pytest.raises(ValueError, match=r"now it is the other way: 'key' is missing"):
        windowed.restore(whole.state())
    with pytest.raises(ValueError, match=r"now it is the other way: 'drawn_at' is missing"):
        whole.restore(windowed.state())
