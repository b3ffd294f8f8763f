"""A policy that flies one robot in real time: its chunks play while it predicts the next."""

from typing import Final

import numpy as np
from numpy.typing import NDArray

from data.errors import PolicyUnreachableError
from envs.world import Observation
from recap.rollout.chunks import ChunkSource
from recap.rollout.execution import Execution
from recap.rollout.inference import InferenceThread

Floats = NDArray[np.float32]

STEPS_BETWEEN_TRIES: Final = 25
"""Control steps before a policy that did not answer is asked again."""


class LivePolicy:
    """Joins a source of chunks, the thread that asks it, and the way its chunks are executed.

    Call `action` once per control step. It never blocks: while there is nothing to do it says so,
    and the robot holds.
    """

    def __init__(self, source: ChunkSource, execution: Execution, *, latency_s: float) -> None:
        """Start nothing yet; ``latency_s`` is the least time that a prediction is made to take."""
        self._source = source
        self._execution = execution
        self._thread = InferenceThread(source, latency_s=latency_s)
        self._step = 0
        self._ask_again_at = 0
        self._has_begun = False
        self.missed_steps = 0
        self.trouble = ""

    @property
    def policy_id(self) -> str:
        """Which policy it is."""
        return self._source.policy_id

    def warm_up(self, observation: Observation) -> None:
        """Predict once for nothing: the first prediction is slow, and would count as the usual."""
        self._source.begin(seed=0)
        self._source.predict(observation, None)

    def begin(self, *, seed: int) -> None:
        """Begin an attempt; the noise of its predictions depends on the seed."""
        self._thread.begin(seed=seed)
        self.missed_steps = 0
        self.forget()

    def forget(self) -> None:
        """Drop what was planned: somebody else moved the robot since."""
        self._thread.forget()
        self._execution.begin()
        self._step = 0
        self._ask_again_at = 0
        self._has_begun = False

    def action(self, observation: Observation) -> Floats | None:
        """Return what to do in this control step, ``(A,)``; None while there is nothing yet.

        A step without an action counts as missed once the first chunk has come.
        """
        self._receive()
        if self._step >= self._ask_again_at and self._execution.wants_chunk(self._step):
            self._thread.submit(observation, self._execution.request(self._step))
        action = self._execution.action(self._step)
        self._has_begun |= action is not None
        self.missed_steps += self._has_begun and action is None
        self._step += 1
        return action

    def close(self) -> None:
        """End the thread and give the source back."""
        self._thread.close()

    def _receive(self) -> None:
        try:
            chunk = self._thread.poll()
        except PolicyUnreachableError as error:
            self.trouble = str(error)
            self._execution.begin()
            self._ask_again_at = self._step + STEPS_BETWEEN_TRIES
            return
        if chunk is not None:
            self.trouble = ""
            self._execution.add(chunk, ready_at=self._step)
