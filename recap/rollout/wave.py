"""A wave: a fixed group of attempts that begin together and share one policy's batches."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from envs.tabletop import Tabletop
from recap.rollout.attempt import Attempt, AttemptPlan, AttemptResult
from recap.rollout.pilots import PolicyPilot

EXPERT_STEPS = 10
"""Control steps at a time where no policy takes part; any number gives the same attempts."""


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
    worlds: Sequence[Tabletop],
    pilot: PolicyPilot | None,
    *,
    is_recorded: bool,
    on_finished: Callable[[Attempt], None],
) -> list[AttemptResult]:
    """Run every attempt of a wave to its end.

    Args:
        wave: What to attempt.
        worlds: At least one world per attempt.
        pilot: The policy; None where the expert controls everything.
        is_recorded: Whether to look at every step and remember it.
        on_finished: Called once with each attempt, as soon as it has ended.

    Returns:
        Results in the order of the plans.
    """
    attempts = [
        Attempt(world, plan, is_recorded=is_recorded)
        for world, plan in zip(worlds, wave.plans, strict=False)
    ]
    if pilot is not None:
        pilot.begin([plan.seed for plan in wave.plans])
    steps = EXPERT_STEPS if pilot is None else pilot.steps_between_looks
    while running := [(place, a) for place, a in enumerate(attempts) if a.ending is None]:
        asking = {place: a.observation for place, a in running if a.wants_chunk}
        chunks = pilot.chunks(asking) if pilot is not None and asking else {}
        for place, attempt in running:
            attempt.play(chunks.get(place), steps=steps)
            if attempt.ending is not None:
                on_finished(attempt)
    return [attempt.result() for attempt in attempts]
