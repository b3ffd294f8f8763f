"""What every execution of chunks can do, and what it must know of the policy."""

from typing import Protocol

from recap.rollout.chunks import Chunk, Floats, Prefix


class ChunkSizes(Protocol):
    """What an execution has to know of whoever predicts; every chunk source says it."""

    @property
    def chunk_steps(self) -> int:
        """Actions in a chunk, ``h``."""
        ...

    @property
    def executed_steps(self) -> int:
        """Actions of a chunk that the checkpoint was made to execute before it looks again."""
        ...

    @property
    def follows_prefix(self) -> bool:
        """Whether the policy can be told what will be done anyway."""
        ...


class Execution(Protocol):
    """Decides at every control step whether to ask for a chunk and what to do.

    Knows no clock and no thread: time is the number of the control step. A loop does, at every
    step and in this order: ``add`` what has arrived; ``request`` where ``wants_chunk``; ``add`` at
    once what needed no time; then ``action``. Steps may start anywhere but must not go backwards
    between two calls of ``begin``.
    """

    def begin(self) -> None:
        """Forget every chunk, also the one under way: a new attempt, or control was handed back."""
        ...

    def wants_chunk(self, step: int) -> bool:
        """Whether a prediction should start from this step's observation.

        False while one is under way.
        """
        ...

    def request(self, step: int) -> Prefix | None:
        """Note that a prediction starts from this step's observation.

        Returns:
            What will be done anyway while it is under way; None where the policy is free.
        """
        ...

    def add(self, chunk: Chunk, *, ready_at: int) -> None:
        """Take the chunk that was asked for, which may play from step ``ready_at`` on.

        A chunk that nobody waits for, since ``begin`` was called meanwhile, is dropped.
        """
        ...

    def action(self, step: int) -> Floats | None:
        """Return the ``(A,)`` command of this step; None where there is none: the robot holds."""
        ...
