"""The policy as a pilot: of many attempts in simulation, or of one robot."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import torch

from data.schema import Layout
from envs.world import Observation
from recap.rollout.chunks import Chunk, Prefix
from recap.rollout.execution.config import ExecutionConfig
from recap.rollout.prediction import Predictor, noise_generator

DEFAULT_EXECUTION: Final = ExecutionConfig()


@dataclass(frozen=True, slots=True, kw_only=True)
class Question:
    """What an attempt asks its policy."""

    observation: Observation
    """What is seen now."""

    prefix: Prefix | None = None
    """What will be done anyway; None where the policy is free."""


class PolicyPilot:
    """A trained policy that flies several attempts at once.

    Attempts are kept at fixed places of a batch of fixed size, and each draws its noise from its
    own seed. So what the policy does in an attempt depends on that attempt and its place alone,
    not on how the others go, and a collection that is stopped and goes on makes the same episodes.
    """

    def __init__(
        self,
        folder: Path,
        *,
        batch_size: int,
        indicator: str | None = None,
        guidance: float | None = None,
        execution: ExecutionConfig = DEFAULT_EXECUTION,
    ) -> None:
        """Load the checkpoint; ``indicator`` and ``guidance`` override what it was saved with."""
        self._predictor = Predictor(
            folder, indicator=indicator, guidance=guidance, execution=execution
        )
        self._batch_size = batch_size
        self._noise: list[torch.Generator] = []
        self.chunk_steps = self._predictor.chunk_steps
        self.executed_steps = self._predictor.executed_steps
        self.follows_prefix = self._predictor.follows_prefix

    def begin(self, seeds: Sequence[int]) -> None:
        """Forget earlier attempts and seed the noise of the new ones."""
        self._predictor.reset()
        self._noise = [noise_generator(seed) for seed in seeds]

    def chunks(self, asked: Mapping[int, Question]) -> dict[int, Chunk]:
        """Predict a chunk of actions for every attempt that asks for one.

        Args:
            asked: Place in the batch to what is asked there.

        Returns:
            The same places to chunks in the world's units.
        """
        groups: dict[tuple[int, int] | None, dict[int, Question]] = {}
        for place, question in asked.items():
            groups.setdefault(_kind(question.prefix), {})[place] = question
        return {
            place: chunk
            for group in groups.values()
            for place, chunk in self._predict(group).items()
        }

    def _predict(self, group: Mapping[int, Question]) -> dict[int, Chunk]:
        somebody = next(iter(group.values()))
        places = [group.get(place, somebody) for place in range(self._batch_size)]
        drawn = {place: self._predictor.draw_noise(self._noise[place]) for place in group}
        nothing = torch.zeros_like(next(iter(drawn.values())))
        chunks = self._predictor.predict(
            [question.observation for question in places],
            torch.stack([drawn.get(place, nothing) for place in range(self._batch_size)]),
            [question.prefix for question in places],
        )
        return {place: chunks[place] for place in group}


class PolicySource:
    """A checkpoint in this process that predicts chunks for one robot; a ``ChunkSource``.

    An attempt's noise comes from its seed alone.
    """

    def __init__(
        self,
        folder: Path,
        *,
        indicator: str | None = None,
        guidance: float | None = None,
        execution: ExecutionConfig = DEFAULT_EXECUTION,
        layout: Layout | None = None,
        threads: int = 1,
    ) -> None:
        """Load the checkpoint.

        Args:
            folder: A ``pretrained_model`` folder of any LeRobot policy type.
            indicator: What to tell the policy instead of what the checkpoint says.
            guidance: Strength of guidance instead of the one that the checkpoint was saved with.
            execution: How chunks are carried out; ``real_time`` prepares the policy for prefixes.
            layout: The robot's, which has to fit; None to find out with the first observation.
            threads: Processor threads of the whole process for torch. One or two leave the
                control loop room.

        Raises:
            CheckpointError: If the checkpoint is not whole, cannot be told or guided so, or does
                not fit the robot.
        """
        torch.set_num_threads(threads)
        self._predictor = Predictor(
            folder, indicator=indicator, guidance=guidance, execution=execution
        )
        self._noise = noise_generator(0)
        self.chunk_steps = self._predictor.chunk_steps
        self.executed_steps = self._predictor.executed_steps
        self.follows_prefix = self._predictor.follows_prefix
        self.policy_id = self._predictor.policy_id
        if layout is not None:
            self.require_fit(layout)

    def require_fit(self, layout: Layout) -> None:
        """Refuse a robot whose cameras, state or commands are not those of the checkpoint.

        Raises:
            CheckpointError: It says what the policy wants and what the robot has.
        """
        self._predictor.require_fit(
            cameras=layout.cameras,
            state_size=len(layout.state_names),
            action_size=len(layout.action_names),
        )

    def begin(self, *, seed: int) -> None:
        """Forget the attempt before and seed the noise of the next one."""
        self._predictor.reset()
        self._noise = noise_generator(seed)

    def predict(self, observation: Observation, prefix: Prefix | None) -> Chunk:
        """Predict what to do from the observation on.

        Raises:
            CheckpointError: If the observation is not what the policy was trained on.
        """
        noise = self._predictor.draw_noise(self._noise)[None]
        (chunk,) = self._predictor.predict([observation], noise, [prefix])
        return chunk

    def close(self) -> None:
        """Do nothing: what it holds goes with it."""


def _kind(prefix: Prefix | None) -> tuple[int, int] | None:
    """Questions of one kind can share a batch."""
    return None if prefix is None else (prefix.delay_steps, len(prefix.normalised))
