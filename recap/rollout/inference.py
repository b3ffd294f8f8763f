"""Predictions in a thread of their own, so that the control loop never waits for one."""

import time
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass

from envs.world import Observation
from recap.rollout.chunks import Chunk, ChunkSource, Prefix


@dataclass(frozen=True, slots=True, kw_only=True)
class _UnderWay:
    answer: Future[Chunk]
    not_before_s: float


class InferenceThread:
    """Asks a chunk source in the background; one question at a time, nothing to do costs nothing.

    Everything that touches the source happens in the one thread, in the order of the calls.
    """

    def __init__(self, source: ChunkSource, *, latency_s: float = 0.0) -> None:
        """Start nothing yet; no answer is given before ``latency_s`` have passed."""
        self._source = source
        self._latency_s = latency_s
        self._thread = ThreadPoolExecutor(max_workers=1, thread_name_prefix="inference")
        self._begun: Future[None] | None = None
        self._under_way: _UnderWay | None = None

    @property
    def is_busy(self) -> bool:
        """Whether an answer is still to come, or to be taken with :meth:`poll`."""
        return self._under_way is not None

    def begin(self, *, seed: int) -> None:
        """Forget what is under way, and let the source begin a new attempt before what follows."""
        self.forget()
        self._begun = self._thread.submit(self._source.begin, seed=seed)

    def submit(self, observation: Observation, prefix: Prefix | None) -> None:
        """Ask for a chunk; the answer to an earlier question, if still under way, is dropped."""
        self.forget()
        self._under_way = _UnderWay(
            answer=self._thread.submit(self._source.predict, observation, prefix),
            not_before_s=time.monotonic() + self._latency_s,
        )

    def poll(self) -> Chunk | None:
        """Return the chunk that was asked for, once; None while there is none.

        Raises what the source raised, also in ``begin``.
        """
        if self._begun is not None and self._begun.done():
            begun, self._begun = self._begun, None
            begun.result()
        asked = self._under_way
        if asked is None or not asked.answer.done() or time.monotonic() < asked.not_before_s:
            return None
        self._under_way = None
        return asked.answer.result()

    def forget(self) -> None:
        """Drop what is under way; what the source says to it is never given."""
        if self._under_way is not None:
            self._under_way.answer.cancel()
            self._under_way = None

    def close(self) -> None:
        """Wait for the prediction under way, then let the source give back what it holds."""
        self.forget()
        self._thread.shutdown(wait=True, cancel_futures=True)
        self._source.close()
