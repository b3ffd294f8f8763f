"""A chunk with its place in time."""

from dataclasses import dataclass

from recap.rollout.chunks import Chunk, Floats


@dataclass(frozen=True, slots=True, kw_only=True)
class PlacedChunk:
    """A chunk, and the control step that its first row is for."""

    chunk: Chunk
    first_step: int

    @property
    def last_step(self) -> int:
        """The step that its last row is for."""
        return self.first_step + len(self.chunk.actions) - 1

    def covers(self, step: int) -> bool:
        """Whether it says what to do at this step."""
        return self.first_step <= step <= self.last_step

    def action(self, step: int) -> Floats:
        """Return the ``(A,)`` command for a step that it covers."""
        action: Floats = self.chunk.actions[step - self.first_step]
        return action
