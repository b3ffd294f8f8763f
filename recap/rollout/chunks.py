"""A chunk of actions, and whoever predicts one: a policy in this process or on another machine."""

from dataclasses import dataclass
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from envs.world import Observation

Floats = NDArray[np.float32]


@dataclass(frozen=True, slots=True, kw_only=True)
class Chunk:
    """What a policy wants to do, starting with the frame that it saw."""

    actions: Floats
    """``(h, A)`` commands in the world's units; row 0 answers the frame that was seen."""

    normalised: Floats
    """``(h, A')`` the same as the policy predicted them, for the prefix of the next chunk."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Prefix:
    """What will be done anyway while the next chunk is predicted; the chunk must agree with it."""

    normalised: Floats
    """``(k, A')`` what is left of the running chunk from the frame that is seen now."""

    delay_steps: int
    """Control steps that will have passed when the new chunk can begin to play."""


class ChunkSource(Protocol):
    """Predicts chunks for one robot."""

    @property
    def chunk_steps(self) -> int:
        """Actions in a chunk, ``h``."""
        ...

    @property
    def executed_steps(self) -> int:
        """Actions of a chunk that the checkpoint was made to execute before it looks again."""
        ...

    @property
    def policy_id(self) -> str:
        """Which policy it is: the fingerprint of its checkpoint."""
        ...

    @property
    def follows_prefix(self) -> bool:
        """Whether the policy can be told what will be done anyway (real-time chunking)."""
        ...

    def begin(self, *, seed: int) -> None:
        """Forget the attempt before and seed the noise of the next one."""
        ...

    def predict(self, observation: Observation, prefix: Prefix | None) -> Chunk:
        """Predict what to do from the observation on."""
        ...

    def close(self) -> None:
        """Give back what it holds."""
        ...
