"""A wave: a fixed group of attempts that begin together and share one policy's batches."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

from envs.world import Floats, SimulatedWorld
from recap.rollout.attempt import Attempt, AttemptPlan, AttemptResult
from recap.rollout.chunks import Chunk
from recap.rollout.critic import Critic
from recap.rollout.execution import Execution, ExecutionConfig, make_execution
from recap.rollout.pilots import DEFAULT_EXECUTION, PolicyPilot, Question


@dataclass(frozen=True, slots=True, kw_only=True)
class Wave:
    """The plans of attempts that run side by side in one process, each at a place of its own."""

    plans: tuple[AttemptPlan, ...]


def waves_of(plans: Sequence[AttemptPlan], *, size: int) -> list[Wave]:
    """Cut a list of plans into waves; the last may be smaller."""
    starts = range(0, len(plans), size)
    return [Wave(plans=tuple(plans[start : start + size])) for start in starts]


def run_wave(
    wave: Wave,
    worlds: Sequence[SimulatedWorld],
    pilot: PolicyPilot | None,
    *,
    is_recorded: bool,
    on_finished: Callable[[Attempt], None],
    execution: ExecutionConfig = DEFAULT_EXECUTION,
    critic: Critic | None = None,
) -> list[AttemptResult]:
    """Run every attempt of a wave to its end, all in step.

    Args:
        wave: What to attempt.
        worlds: At least one world per attempt.
        pilot: The policy; None where the expert controls everything.
        is_recorded: Whether to look at every step and remember it.
        on_finished: Called once with each attempt, as soon as it has ended.
        execution: How chunks are carried out. The world waits for nobody, so latency is counted
            in control steps of it.
        critic: The value model, where some attempt's takeover depends on it.

    Returns:
        Results in the order of the plans.
    """
    attempts = [
        Attempt(world, plan, is_recorded=is_recorded)
        for world, plan in zip(worlds, wave.plans, strict=False)
    ]
    flights: dict[int, _Flight] = {}
    if pilot is not None:
        pilot.begin([plan.seed for plan in wave.plans])
        latency_steps = round(execution.latency_s * worlds[0].layout.fps)
        flights = {
            place: _Flight(attempt, make_execution(execution, pilot), latency_steps)
            for place, attempt in enumerate(attempts)
        }
    while running := [(place, a) for place, a in enumerate(attempts) if a.ending is None]:
        flying = {place: flights[place] for place, _ in running if flights}
        _settle_control(dict(running), flying, critic)
        if pilot is not None:
            _ask(pilot, flying)
        for place, attempt in running:
            attempt.step(flights[place].action() if flights else None)
            if attempt.ending is not None:
                on_finished(attempt)
    return [attempt.result() for attempt in attempts]


class _Flight:
    """An attempt, the execution of its chunks, and the chunk that is on its way."""

    def __init__(self, attempt: Attempt, execution: Execution, latency_steps: int) -> None:
        self._attempt = attempt
        self._execution = execution
        self._latency_steps = latency_steps
        self._coming: tuple[Chunk, int] | None = None

    def begin_afresh(self) -> None:
        """Forget every chunk, also the one on its way: control was handed back."""
        self._execution.begin()
        self._coming = None

    def is_decision(self) -> bool:
        """Whether the policy is to be asked in this step."""
        step = self._attempt.steps
        return not self._attempt.is_corrected_now and self._execution.wants_chunk(step)

    def question(self) -> Question | None:
        """Say what to ask the policy in this step; None for nothing."""
        if not self.is_decision():
            return None
        prefix = self._execution.request(self._attempt.steps)
        return Question(observation=self._attempt.observation, prefix=prefix)

    def answer(self, chunk: Chunk) -> None:
        """Send the chunk on its way; it is there after the latency."""
        self._coming = chunk, self._attempt.steps + self._latency_steps

    def receive(self) -> None:
        """Take the chunk whose time has come."""
        if self._coming is not None and self._coming[1] == self._attempt.steps:
            self._execution.add(self._coming[0], ready_at=self._coming[1])
            self._coming = None

    def action(self) -> Floats | None:
        """Return what the policy does in this step; None where it waits."""
        return self._execution.action(self._attempt.steps)


def _settle_control(
    attempts: Mapping[int, Attempt], flights: Mapping[int, _Flight], critic: Critic | None
) -> None:
    """Let control be handed back and taken over, and every flight take what has arrived."""
    for place, attempt in attempts.items():
        if attempt.hand_back() and place in flights:
            flights[place].begin_afresh()
    for flight in flights.values():
        flight.receive()
    values: Mapping[int, float] = {}
    if critic is not None:
        # One call for all, and only where the policy is about to decide what to do.
        seen = {
            place: attempts[place].observation
            for place, flight in flights.items()
            if attempts[place].needs_value and flight.is_decision()
        }
        values = critic.values(seen) if seen else {}
    for place, attempt in attempts.items():
        attempt.watch(values.get(place))


def _ask(pilot: PolicyPilot, flights: Mapping[int, _Flight]) -> None:
    """Let every flight ask, and take at once what needs no time."""
    asked = {}
    for place, flight in flights.items():
        question = flight.question()
        if question is not None:
            asked[place] = question
    if not asked:
        return
    for place, chunk in pilot.chunks(asked).items():
        flights[place].answer(chunk)
        flights[place].receive()
