"""One attempt in progress: its world, who is in control, and what was seen so far."""

from dataclasses import dataclass

import numpy as np

from data.schema import Ending, EpisodeInfo, EpisodeRecord, Pilot, Source
from envs.experts import PRACTISED, expert_of
from envs.world import Floats, Observation, ScriptedExpert, SimulatedWorld
from recap.rollout.takeover import AtStep, TakeoverRule, Watch

HABITS_STREAM = 1
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
    """When the expert takes control, whatever happens; 0 for a demonstration, None for never."""

    takeover: TakeoverRule | None = None
    """Another rule for when the expert takes control; None for that step, if there is one."""

    correction_steps: int = 0
    """How long the expert keeps control; 0 for the rest of the attempt."""

    skill: float = PRACTISED
    """Chance that a demonstration is a practised person's; see :func:`envs.expert.draw_habits`."""

    @property
    def source(self) -> Source:
        """A demonstration is an attempt that the expert controls from the beginning."""
        return Source.DEMONSTRATION if self.takeover_step == 0 else Source.ROLLOUT

    @property
    def rule(self) -> TakeoverRule | None:
        """When the expert takes control; None for never."""
        if self.takeover is None and self.takeover_step is not None:
            return AtStep(step=self.takeover_step)
        return self.takeover


@dataclass(frozen=True, slots=True, kw_only=True)
class AttemptResult:
    """How an attempt went."""

    seed: int
    task: str
    success: bool | None
    """What the world measured; None where it cannot."""
    steps: int
    corrected_steps: int


class Attempt:
    """Steps one world until it succeeds or its time is up, and remembers what was seen.

    Every step begins with :meth:`hand_back` and :meth:`watch`, which settle who is in control, and
    ends with :meth:`step`. Where the first two are left out they are done with the third.
    """

    def __init__(self, world: SimulatedWorld, plan: AttemptPlan, *, is_recorded: bool) -> None:
        """Reset the world and look at it for the first time."""
        self.plan = plan
        self.ending: Ending | None = None
        self.steps = 0
        self.is_corrected_now = False
        self._observation: Observation | None = world.reset(seed=plan.seed)
        self._world = world
        self._is_recorded = is_recorded
        self._seen: list[Observation] = []
        self._actions: list[Floats] = []
        self._asked: list[Floats] = []
        self._pilots: list[Pilot] = []
        self._last: Floats | None = None
        self._is_success: bool | None = None
        self._rule = plan.rule
        self._expert = self._make_expert()
        self._watch: Watch | None = None if self._rule is None else self._rule.watch()
        self._watched_step: int | None = None
        self._corrected_from = 0

    @property
    def observation(self) -> Observation:
        """What is seen now. Pictures cost as much as the physics: they are taken when asked for."""
        if self._observation is None:
            self._observation = self._world.observe()
        return self._observation

    @property
    def needs_value(self) -> bool:
        """Whether the value model is to be asked, before the policy is, whether it may go on."""
        return self._rule is not None and self._rule.needs_value and not self.is_corrected_now

    def hand_back(self) -> bool:
        """Give control back to the policy if the correction has lasted long enough.

        Returns:
            Whether it was given back in this step: the policy has to begin afresh.
        """
        limit = self.plan.correction_steps
        is_over = self.is_corrected_now and 0 < limit <= self.steps - self._corrected_from
        if is_over and self._rule is not None:
            self.is_corrected_now = False
            self._watch = self._rule.watch()
        return is_over

    def watch(self, value: float | None = None) -> None:
        """Let the expert take control of this step if that is due.

        Args:
            value: What the value model says about this moment; None where it was not asked.
        """
        self._watched_step = self.steps
        if self._watch is None or self._expert is None or self.is_corrected_now:
            return
        if self._watch.is_due(self.steps, self.observation.state, value):
            self.is_corrected_now = True
            self._corrected_from = self.steps
            if self.steps > 0:
                self._expert.take_over()

    def step(self, action: Floats | None) -> None:
        """Carry out one control step: the policy's action, or the expert's if it has control.

        Args:
            action: ``(A,)`` the policy's; None where it has none yet, and the arm holds its pose
                and its grip.
        """
        if self.ending is not None:
            message = "The attempt has ended."
            raise ValueError(message)
        if self._watched_step != self.steps:
            self.hand_back()
            self.watch()
        if self.is_corrected_now and self._expert is not None:
            self._carry_out(self._expert.action(), Pilot.EXPERT, asked=None)
        else:
            command = self._world.hold_action(self._last) if action is None else action
            self._carry_out(command, Pilot.POLICY, asked=action)

    def result(self) -> AttemptResult:
        """Sum up a finished attempt."""
        return AttemptResult(
            seed=self.plan.seed,
            task=self._world.task,
            success=self._is_success,
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
        cameras = self._seen[0].images
        return EpisodeRecord(
            info=info,
            images={name: np.stack([seen.images[name] for seen in self._seen]) for name in cameras},
            state=np.stack([seen.state for seen in self._seen]),
            action=np.stack(self._actions),
            pilot=self._pilots,
            policy_action=np.stack(self._asked),
        )

    def _carry_out(self, action: Floats, pilot: Pilot, *, asked: Floats | None) -> None:
        action = np.asarray(action, dtype=np.float32)
        if self._is_recorded:
            self._seen.append(self.observation)
            self._actions.append(action)
            self._asked.append(np.full_like(action, np.nan) if asked is None else action)
        self._pilots.append(pilot)
        self._world.act(action)
        self._observation = None
        self._last = action
        self.steps += 1
        self.ending = self._world.ending
        if self.ending is None and self.steps >= self.plan.time_limit_steps:
            self.ending = Ending.TIME_LIMIT
        if self.ending is not None:
            self._is_success = self._world.is_success

    def _make_expert(self) -> ScriptedExpert | None:
        if self._rule is None:
            return None
        is_demonstration = self.plan.source is Source.DEMONSTRATION
        expert = expert_of(
            self._world,
            np.random.default_rng([self.plan.seed, HABITS_STREAM]),
            skill=self.plan.skill if is_demonstration else PRACTISED,
        )
        if expert is None:
            message = "An expert was planned for this attempt, and its world offers none."
            raise ValueError(message)
        return expert
