"""Predict the next chunk while the running one plays, so that it goes on where that one is."""

from collections import deque
from typing import Final

from recap.rollout.chunks import Chunk, Floats, Prefix
from recap.rollout.execution.playing import PlacedChunk

REMEMBERED_DELAYS: Final = 10
"""Measured delays of which the longest is expected next time."""


class RealTime:
    """Real-time chunking: the running chunk plays on until the next one takes over.

    A prediction starts once ``executed_steps`` rows of the running chunk are behind, or earlier if
    less than twice the delay to be expected would be left: one delay to play through, and one to
    spare for a slower prediction and for chunks to overlap. A policy that can follow a prefix is
    told what is left, so that the new chunk agrees with what is done meanwhile. Agreement is never
    exact: over the first steps the new chunk is faded in over what is left of the one before.

    Source:
        Black et al. 2025, Real-Time Execution of Action Chunking Flow Policies, algorithm 1.
    """

    def __init__(
        self, *, chunk_steps: int, executed_steps: int, follows_prefix: bool, fade_steps: int
    ) -> None:
        """Ask after ``executed_steps`` of ``chunk_steps`` rows; fade over ``fade_steps``."""
        self._chunk_steps = chunk_steps
        self._executed_steps = executed_steps
        self._follows_prefix = follows_prefix
        self._fade_steps = fade_steps
        self._delays: deque[int] = deque(maxlen=REMEMBERED_DELAYS)
        self.begin()

    @property
    def expected_delay_steps(self) -> int:
        """Steps from an observation to its chunk, to be on the safe side; 0 before any was seen."""
        return max(self._delays, default=0)

    def begin(self) -> None:
        """Forget the chunk that plays and the one under way, but not how long predictions take."""
        self._playing: PlacedChunk | None = None
        self._fading: PlacedChunk | None = None
        self._switched_at = 0
        self._seen_at: int | None = None

    def wants_chunk(self, step: int) -> bool:
        """Whether enough of the running chunk has played, or too little is left of it."""
        if self._seen_at is not None:
            return False
        if self._playing is None:
            return True
        last_chance = self._chunk_steps - 2 * self.expected_delay_steps
        return step - self._playing.first_step >= min(self._executed_steps, last_chance)

    def request(self, step: int) -> Prefix | None:
        """Note that a prediction starts, and say what will be done until it is there."""
        self._seen_at = step
        playing = self._playing
        if playing is None or not playing.covers(step) or not self._follows_prefix:
            return None
        left = playing.chunk.normalised[step - playing.first_step :]
        return Prefix(normalised=left, delay_steps=self.expected_delay_steps)

    def add(self, chunk: Chunk, *, ready_at: int) -> None:
        """Switch to this chunk at ``ready_at``, at the row after what was done meanwhile."""
        if self._seen_at is None:
            return
        self._delays.append(ready_at - self._seen_at)
        # Its rows count what has been done since it was seen: a robot that held has done nothing.
        done = 0
        if self._playing is not None:
            done = max(0, min(ready_at, self._playing.last_step + 1) - self._seen_at)
        self._fading, self._switched_at = self._playing, ready_at
        self._playing = PlacedChunk(chunk=chunk, first_step=ready_at - done)
        self._seen_at = None

    def action(self, step: int) -> Floats | None:
        """Return the running chunk's action, or None once it is used up."""
        if self._playing is None or not self._playing.covers(step):
            return None
        action = self._playing.action(step)
        share = (step - self._switched_at + 1) / (self._fade_steps + 1)
        if self._fading is None or share >= 1.0 or not self._fading.covers(step):
            return action
        faded: Floats = (share * action + (1.0 - share) * self._fading.action(step)).astype(
            action.dtype
        )
        return faded
