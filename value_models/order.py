"""The order in which frames are learned from.

Where all frames are at hand it is a random permutation of all of them, again and again. Where they
are not, episodes are taken in windows: as many as may be at hand at once, in random order, their
frames shuffled among them, while the next window is made ready in the background.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import count
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

Index = NDArray[np.int64]


class Windows(Protocol):
    """Frames that are not all at hand at once, but an episode at a time can be made so."""

    @property
    def starts(self) -> Index:
        """``(E + 1,)`` first frame of every episode, then the number of frames."""
        ...

    @property
    def episode_bytes(self) -> Index:
        """``(E,)`` what every episode takes while it is at hand."""
        ...

    @property
    def window_bytes(self) -> int:
        """What a window may take: half of what may be at hand, for there are two at a time."""
        ...

    @property
    def window_episodes(self) -> int:
        """How many episodes a window may hold, however small they are."""
        ...

    def prepare(self, episodes: Sequence[int]) -> None:
        """Begin to make episodes ready in the background, in this order, and keep them so."""
        ...

    def release(self, episodes: Sequence[int]) -> None:
        """Let go of episodes that were prepared."""
        ...


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class _Window:
    """Episodes that are at hand together, and their frames in the order of learning."""

    episodes: frozenset[int]
    frames: Index


class FrameOrder:
    """An endless stream of batches that can be written down and taken up again.

    In every run of as many frames as there are, each stands once; only a batch over the end of
    one such epoch may hold a frame twice. With windows an episode is prepared once in an epoch.
    What comes depends on the generator and on nothing that takes time.
    """

    def __init__(
        self,
        train: Index,
        *,
        size: int,
        rng: np.random.Generator,
        windows: Windows | None = None,
    ) -> None:
        """Prepare the stream.

        Args:
            train: ``(M,)`` frames to learn from.
            size: Frames in a batch.
            rng: Source of the order. Without windows it is drawn from whenever a permutation
                begins; with windows once, here.
            windows: How frames come to hand; None where all are.
        """
        spans = None if windows is None else _Spans(train, windows)
        self._source: _Source
        if windows is None or spans is None:
            self._source = _Permutations(train, rng)
        elif spans.fit_at_once():
            self._source = _Permutations(train, rng, at_hand=_Prepared(windows, spans))
        else:
            self._source = _WindowedFrames(spans, windows, rng)
        self._size = size

    def __iter__(self) -> Iterator[Index]:
        """Give batches without end."""
        return self

    def __next__(self) -> Index:
        """Give the ``(size,)`` frames of the next batch."""
        return self._source.take(self._size)

    def state(self) -> dict[str, Any]:
        """Say in JSON where the stream is; a stream that is given it continues alike."""
        return self._source.state()

    def close(self) -> None:
        """Let go of all episodes that were made ready."""
        self._source.close()

    def restore(self, state: Mapping[str, Any]) -> None:
        """Continue where another stream of the same frames was when it said where.

        Without windows the generator is not touched: it belongs to the training, which puts it
        back itself.

        Raises:
            ValueError: If the state is of a stream of another kind.
        """
        self._source.restore(state)


def batches(
    train: Index,
    *,
    size: int,
    steps: int,
    rng: np.random.Generator,
    windows: Windows | None = None,
) -> Iterator[Index]:
    """Give the ``(size,)`` frames of so many batches; see :class:`FrameOrder`."""
    order = FrameOrder(train, size=size, rng=rng, windows=windows)
    try:
        for _ in range(steps):
            yield next(order)
    finally:
        order.close()


class _Source(Protocol):
    def take(self, size: int) -> Index: ...

    def state(self) -> dict[str, Any]: ...

    def restore(self, state: Mapping[str, Any]) -> None: ...

    def close(self) -> None: ...


class _Permutations:
    """Random permutations of all frames, one after the other."""

    def __init__(
        self, train: Index, rng: np.random.Generator, *, at_hand: _Prepared | None = None
    ) -> None:
        self._train = train
        self._rng = rng
        self._at_hand = at_hand
        self._waiting: Index = np.empty(0, dtype=np.int64)
        self._drawn_at: list[Mapping[str, Any]] = []
        """State of the generator before each permutation that some frames still wait of."""

    def take(self, size: int) -> Index:
        while len(self._waiting) < size:
            self._drawn_at.append(self._rng.bit_generator.state)
            self._waiting = np.concatenate([self._waiting, self._rng.permutation(self._train)])
        taken, self._waiting = self._waiting[:size], self._waiting[size:]
        unfinished = -(-len(self._waiting) // len(self._train))
        self._drawn_at = self._drawn_at[len(self._drawn_at) - unfinished :]
        return taken

    def state(self) -> dict[str, Any]:
        return {"drawn_at": list(self._drawn_at), "waiting": len(self._waiting)}

    def restore(self, state: Mapping[str, Any]) -> None:
        _require_kind(state, "drawn_at")
        self._drawn_at = list(state["drawn_at"])
        again = [_generator_at(drawn).permutation(self._train) for drawn in self._drawn_at]
        frames = np.concatenate([np.empty(0, dtype=np.int64), *again])
        self._waiting = frames[len(frames) - state["waiting"] :]

    def close(self) -> None:
        if self._at_hand is not None:
            self._at_hand.close()


class _Prepared:
    """All episodes to learn from, where the others are why not everything fits."""

    def __init__(self, windows: Windows, spans: _Spans) -> None:
        self._windows = windows
        self._episodes: list[int] = spans.episodes.tolist()
        windows.prepare(self._episodes)

    def close(self) -> None:
        self._windows.release(self._episodes)
        self._episodes = []


class _Spans:
    """The episodes that frames to learn from are of."""

    def __init__(self, train: Index, windows: Windows) -> None:
        self._frames = np.sort(train)
        of_frame = np.searchsorted(windows.starts, self._frames, side="right") - 1
        self.episodes, first = np.unique(of_frame, return_index=True)
        self._bounds = dict(
            zip(
                self.episodes.tolist(),
                zip(first.tolist(), [*first[1:].tolist(), len(train)], strict=True),
                strict=True,
            )
        )
        self._bytes = windows.episode_bytes
        self._most_bytes, self._most_episodes = windows.window_bytes, windows.window_episodes

    def frames(self, episodes: Sequence[int]) -> Index:
        """Give the frames to learn from of some episodes."""
        spans = [slice(*self._bounds[episode]) for episode in episodes]
        return np.concatenate([self._frames[span] for span in spans])

    def fit_at_once(self) -> bool:
        """Whether all episodes together fit into a window."""
        return self.fits(frozenset(self.episodes.tolist()))

    def fits(self, episodes: frozenset[int]) -> bool:
        """Whether some episodes fit into a window; one alone always does."""
        total = int(self._bytes[list(episodes)].sum())
        is_small = total <= self._most_bytes and len(episodes) <= self._most_episodes
        return is_small or len(episodes) == 1


class _WindowedFrames:
    """Windows of episodes, one after the other: all that a key and a position say."""

    def __init__(self, spans: _Spans, windows: Windows, rng: np.random.Generator) -> None:
        self._spans = spans
        self._windows = windows
        self._restart(int(rng.integers(2**63)))

    def _restart(self, key: int) -> None:
        self._key = key
        self._coming = self._draw()
        self._given = 0
        self._waiting: list[_Window] = []
        """The windows of frames to come: the one learned from, and the one being made ready."""
        self._held: list[frozenset[int]] = []
        """The episodes of those windows, and of those that the last batch was from."""

    def take(self, size: int) -> Index:
        self._let_go()
        taken: list[Index] = []
        missing = size
        while missing:
            self._look_ahead()
            window = self._waiting[0]
            taken.append(window.frames[:missing])
            rest = window.frames[missing:]
            missing -= len(taken[-1])
            if len(rest):
                self._waiting[0] = _Window(episodes=window.episodes, frames=rest)
            else:
                self._waiting.pop(0)
        self._given += size
        return np.concatenate(taken)

    def _look_ahead(self) -> None:
        """Have two windows in hand or on their way; the oldest that are done with make room."""
        while len(self._waiting) < 2:
            if len(self._held) == 2:
                if not self._waiting:
                    self._let_go()
                else:
                    break
            window = next(self._coming)
            self._waiting.append(window)
            self._held.append(window.episodes)
            self._windows.prepare(sorted(window.episodes))

    def _let_go(self) -> None:
        """Release the windows whose frames were all given, and learned from since."""
        while len(self._held) > len(self._waiting):
            self._windows.release(sorted(self._held.pop(0)))

    def _draw(self) -> Iterator[_Window]:
        """Fill windows with episodes, over the ends of epochs, each epoch shuffled by itself.

        So no window is small because an epoch ended, and an episode that ends one epoch and
        begins the next is at hand already.
        """
        episodes: frozenset[int] = frozenset()
        parts: list[Index] = []
        for epoch in count():
            part: list[int] = []
            first = 0
            order = np.random.default_rng([self._key, epoch]).permutation(self._spans.episodes)
            for place, episode in enumerate(order.tolist()):
                if not self._spans.fits(episodes | {episode}):
                    parts.append(self._shuffled(part, epoch, first))
                    yield _Window(episodes=episodes, frames=np.concatenate(parts))
                    episodes, parts, part, first = frozenset(), [], [], place
                episodes |= {episode}
                part.append(episode)
            parts.append(self._shuffled(part, epoch, first))

    def _shuffled(self, episodes: Sequence[int], epoch: int, first: int) -> Index:
        if not episodes:
            return np.empty(0, dtype=np.int64)
        rng = np.random.default_rng([self._key, epoch, first])
        return rng.permutation(self._spans.frames(episodes))

    def state(self) -> dict[str, Any]:
        return {"key": self._key, "given": self._given}

    def close(self) -> None:
        for episodes in self._held:
            self._windows.release(sorted(episodes))
        self._held = []

    def restore(self, state: Mapping[str, Any]) -> None:
        _require_kind(state, "key")
        self.close()
        self._restart(state["key"])
        self._given = skipped = state["given"]
        for window in self._coming:
            if skipped < len(window.frames):
                break
            skipped -= len(window.frames)
        self._waiting = [_Window(episodes=window.episodes, frames=window.frames[skipped:])]
        self._held = [window.episodes]
        self._windows.prepare(sorted(window.episodes))


def _require_kind(state: Mapping[str, Any], name: str) -> None:
    if name not in state:
        message = (
            f"the order of frames was written down with frames.cache_gib so that all or not all "
            f"of them fitted, and now it is the other way: '{name}' is missing."
        )
        raise ValueError(message)


def _generator_at(state: Mapping[str, Any]) -> np.random.Generator:
    bits: np.random.BitGenerator = getattr(np.random, state["bit_generator"])()
    bits.state = dict(state)
    return np.random.Generator(bits)
