"""Ask at every step, and do the mean of all that was said about it."""

import numpy as np

from recap.rollout.chunks import Chunk, Floats
from recap.rollout.execution.playing import PlacedChunk


class TemporalEnsemble:
    """The weighted mean of the chunks that speak of a step, as in ACT.

    The i-th oldest of them weighs ``exp(-decay * i)``, the oldest one: a large decay trusts what
    was said first, 0 trusts all alike. One prediction is under way at a time, so with latency
    fewer chunks overlap, and the newest speaks of the present from its row ``latency`` on.

    Source:
        Zhao et al. 2023, Learning Fine-Grained Bimanual Manipulation (ACT), temporal ensemble.
    """

    def __init__(self, *, decay: float) -> None:
        """Let weights fall by ``exp(-decay)`` from each chunk to the next younger one."""
        self._decay = decay
        self.begin()

    def begin(self) -> None:
        """Forget all chunks and the one under way."""
        self._chunks: list[PlacedChunk] = []
        self._seen_at: int | None = None

    def wants_chunk(self, step: int) -> bool:  # noqa: ARG002 - the interface
        """Whether none is under way."""
        return self._seen_at is None

    def request(self, step: int) -> None:
        """Note that a prediction starts; it is free, for the mean does the smoothing."""
        self._seen_at = step

    def add(self, chunk: Chunk, *, ready_at: int) -> None:
        """Let this chunk speak of every step from ``ready_at`` on."""
        if self._seen_at is None:
            return
        # Its rows count what has been done since it was seen: a robot that held has done nothing.
        done = sum(self._covering(step) != [] for step in range(self._seen_at, ready_at))
        self._chunks = [old for old in self._chunks if old.last_step >= ready_at]
        self._chunks.append(PlacedChunk(chunk=chunk, first_step=ready_at - done))
        self._seen_at = None

    def action(self, step: int) -> Floats | None:
        """Return the weighted mean for this step, or None where no chunk speaks of it."""
        covering = self._covering(step)
        if not covering:
            return None
        weights = np.exp(-self._decay * np.arange(len(covering)))
        actions = np.stack([chunk.action(step) for chunk in covering])
        mean: Floats = (weights @ actions / weights.sum()).astype(np.float32)
        return mean

    def _covering(self, step: int) -> list[PlacedChunk]:
        return [chunk for chunk in self._chunks if chunk.covers(step)]
