"""One attempt in progress: its world, who is in control, and what was seen so far."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from data.schema import Ending, EpisodeInfo, EpisodeRecord, Pilot, Source
from envs.expert import SKILLED, Expert, draw_habits
from envs.tabletop import Tabletop
from envs.world import Observation

Floats = NDArray[np.float32]

HABITS_STREAM = 1
TAKEOVER_STREAM = 2
NOISE_STREAM = 3
"""Streams of randomness beside the world's own; each depends on the attempt's seed alone."""


@dataclass(frozen=True, slots=True, kw_only=True)
class AttemptPlan:
    """Everything that is decided about an attempt before it begins."""

    seed: int
    """Seed of the world and of whatever else is drawn in this attempt."""

    time_limit_steps: int
    """The attempt ends after so many control steps, whatever was reached."""

    takeover_step: int | None = None
    """When the expert takes control, for the rest of the attempt; None for never."""

    skill: float = 1.0
    """Chance that a demonstration is a practised person's; see :func:`envs.expert.draw_habits`."""

    @property
    def source(self) -> Source:
        """A demonstration is an attempt that the expert controls from the beginning."""
        return Source.DEMONSTRATION if self.takeover_step == 0 else Source.ROLLOUT


@dataclass(frozen=True, slots=True, kw_only=True)
class AttemptResult:
    """How an attempt went."""

    seed: int
    task: str
    success: bool
    steps: int
    corrected_steps: int


def draw_takeover(
    seed: int, *, correction_fraction: float, earliest_step: int, latest_step: int
) -> int | None:
    """Draw whether and when the expert takes over, from the attempt's seed alone."""
    rng = np.random.default_rng([seed, TAKEOVER_STREAM])
    if rng.random() >= correction_fraction:
        return None
    return int(rng.integers(earliest_step, latest_step + 1))


class Attempt:
    """Steps one world until it succeeds or its time is up, and remembers what was seen."""

    def __init__(self, world: Tabletop, plan: AttemptPlan, *, is_recorded: bool) -> None:
        """Reset the world and look at it for the first time."""
        self.plan = plan
        self.observation: Observation = world.reset(seed=plan.seed)
        self.ending: Ending | None = None
        self.steps = 0
        self._world = world
        self._is_recorded = is_recorded
        self._seen: list[Observation] = []
        self._actions: list[Floats] = []
        self._pilots: list[Pilot] = []
        self._expert = self._make_expert()

    @property
    def is_corrected_now(self) -> bool:
        """Whether the expert is in control of the next step."""
        takeover = self.plan.takeover_step
        return takeover is not None and self.steps >= takeover

    @property
    def wants_chunk(self) -> bool:
        """Whether the policy has to say what to do next."""
        return self.ending is None and not self.is_corrected_now

    def play(self, chunk: Floats | None, *, steps: int) -> None:
        """Carry out up to ``steps`` actions: the policy's, or the expert's once it has control.

        Args:
            chunk: ``(>= steps, A)`` the policy's actions; None while the expert is in control.
            steps: Control steps until the policy looks again.
        """
        for position in range(steps):
            if self.ending is not None:
                return
            is_last = position == steps - 1
            if self.is_corrected_now:
                self._step(self._correct(), Pilot.EXPERT, must_look=is_last)
            elif chunk is None:
                message = "The policy is in control, but gave no actions."
                raise ValueError(message)
            else:
                self._step(chunk[position], Pilot.POLICY, must_look=is_last)

    def result(self) -> AttemptResult:
        """Sum up a finished attempt."""
        return AttemptResult(
            seed=self.plan.seed,
            task=self._world.task,
            success=self.ending is Ending.TERMINATED,
            steps=self.steps,
            corrected_steps=sum(pilot is Pilot.EXPERT for pilot in self._pilots),
        )

    def record(self, *, uid: str, iteration: int, policy_id: str) -> EpisodeRecord:
        """Return the finished attempt as an episode, ready to be written."""
        if self.ending is None or not self._is_recorded:
            message = "Only a finished, recorded attempt is an episode."
            raise ValueError(message)
        result = self.result()
        is_rollout = self.plan.source is Source.ROLLOUT
        info = EpisodeInfo(
            uid=uid,
            task=result.task,
            seed=self.plan.seed,
            source=self.plan.source,
            iteration=iteration,
            policy_id=policy_id,
            ending=self.ending,
            frames=self.steps,
            corrected_frames=result.corrected_steps if is_rollout else 0,
            measured_success=result.success,
        )
        cameras = self.observation.images
        return EpisodeRecord(
            info=info,
            images={name: np.stack([seen.images[name] for seen in self._seen]) for name in cameras},
            state=np.stack([seen.state for seen in self._seen]),
            action=np.stack(self._actions),
            pilot=self._pilots,
        )

    def _step(self, action: Floats, pilot: Pilot, *, must_look: bool) -> None:
        if self._is_recorded:
            self._seen.append(self.observation)
            self._actions.append(np.asarray(action, dtype=np.float32))
        self._pilots.append(pilot)
        self._world.act(action)
        self.steps += 1
        if self._world.is_success:
            self.ending = Ending.TERMINATED
        elif self.steps >= self.plan.time_limit_steps:
            self.ending = Ending.TIME_LIMIT
        elif must_look or self._is_recorded:
            # Rendering costs as much as the physics: without a recording, look only when asked.
            self.observation = self._world.observe()

    def _correct(self) -> Floats:
        if self._expert is None:
            message = "No expert was planned for this attempt."
            raise ValueError(message)
        if self.steps == self.plan.takeover_step and self.steps > 0:
            self._expert.take_over(self._world)
        return self._expert.action(self._world)

    def _make_expert(self) -> Expert | None:
        if self.plan.takeover_step is None:
            return None
        rng = np.random.default_rng([self.plan.seed, HABITS_STREAM])
        is_demonstration = self.plan.source is Source.DEMONSTRATION
        habits = draw_habits(rng, skill=self.plan.skill) if is_demonstration else SKILLED
        return Expert(rng=rng, habits=habits)
