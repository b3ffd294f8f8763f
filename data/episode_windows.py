"""Episodes that are decoded into the cache in the background, and kept there while in use."""

from __future__ import annotations

import threading
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    import numpy as np
    from numpy.typing import NDArray

    from data.frame_cache import FrameCache, Video


@dataclass(slots=True)
class _Kept:
    """An episode that was asked for."""

    times: int = 0
    done: dict[str, Future[None]] = field(default_factory=dict)


class EpisodeKeeper:
    """Decodes whole episodes ahead of their use, and keeps them until they are released."""

    def __init__(
        self, cache: FrameCache, videos: Sequence[Mapping[str, Video]], *, decoders: int
    ) -> None:
        """Serve the episodes whose ``videos`` are given, by camera.

        Args:
            cache: Where to.
            videos: For every episode, camera name to video.
            decoders: Threads that decode.
        """
        self._cache = cache
        self._videos = videos
        self._guard = threading.Lock()
        self._kept: dict[int, _Kept] = {}
        self._pool = ThreadPoolExecutor(decoders, thread_name_prefix="decode")

    def prepare(self, episodes: Sequence[int]) -> None:
        """Begin to decode episodes, in this order; what is asked for twice is kept for both."""
        with self._guard:
            for episode in episodes:
                kept = self._kept.setdefault(episode, _Kept())
                kept.times += 1
                if kept.times == 1:
                    kept.done = {
                        camera: self._pool.submit(self._cache.keep, video)
                        for camera, video in self._videos[episode].items()
                    }

    def release(self, episodes: Sequence[int]) -> None:
        """Let episodes go that were prepared, as often as they were."""
        with self._guard:
            for episode in episodes:
                kept = self._kept[episode]
                kept.times -= 1
                if kept.times == 0:
                    del self._kept[episode]
                    for camera, done in kept.done.items():
                        if not done.cancel():
                            done.add_done_callback(self._let_go(self._videos[episode][camera]))

    def find(self, episode: int, camera: str) -> NDArray[np.uint8] | None:
        """Give the frames of an episode that was prepared, once it is ready; None of others."""
        with self._guard:
            kept = self._kept.get(episode)
        if kept is None:
            return None
        kept.done[camera].result()
        return self._cache.frames(self._videos[episode][camera])

    def _let_go(self, video: Video) -> Callable[[Future[None]], None]:
        def let_go(done: Future[None]) -> None:
            if done.exception() is None:  # what failed is not kept
                self._cache.release(video)

        return let_go
