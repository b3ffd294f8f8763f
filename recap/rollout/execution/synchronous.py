"""Predict, play, predict again: nothing plays while a prediction is under way."""

from recap.rollout.chunks import Chunk, Floats
from recap.rollout.execution.playing import PlacedChunk


class Synchronous:
    """The first ``executed_steps`` actions of a chunk play, then the next chunk is asked for.

    The robot holds until it is there, and it begins with its first row: what it saw is what is.
    """

    def __init__(self, *, executed_steps: int) -> None:
        """Play so many actions of every chunk."""
        self._executed_steps = executed_steps
        self.begin()

    def begin(self) -> None:
        """Forget the chunk that plays and the one under way."""
        self._playing: PlacedChunk | None = None
        self._is_waiting = False

    def wants_chunk(self, step: int) -> bool:
        """Whether what is to be played has been played."""
        return not self._is_waiting and self.action(step) is None

    def request(self, step: int) -> None:  # noqa: ARG002 - the interface
        """Note that a prediction starts; it is free, since nothing is done meanwhile."""
        self._is_waiting = True

    def add(self, chunk: Chunk, *, ready_at: int) -> None:
        """Play this chunk from step ``ready_at`` on."""
        if self._is_waiting:
            self._playing = PlacedChunk(chunk=chunk, first_step=ready_at)
            self._is_waiting = False

    def action(self, step: int) -> Floats | None:
        """Return the chunk's action for this step, or None while waiting."""
        playing = self._playing
        if playing is None or self._is_waiting or not playing.covers(step):
            return None
        has_played = step - playing.first_step >= self._executed_steps
        return None if has_played else playing.action(step)
