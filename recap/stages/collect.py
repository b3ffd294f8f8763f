"""Record attempts.

Reads: the policy of the lap before (nothing in iteration 0, where people demonstrate).
Writes: ``episodes/<uid>``, one folder for every finished attempt. An attempt that is there already
is not made again, so a stopped collection goes on where it was.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

from data.errors import ConfigError
from recap.policies.fingerprint import policy_fingerprint
from recap.progress import ProgressFactory
from recap.project import Project

if TYPE_CHECKING:
    from recap.config import RecapConfig
    from recap.rollout.attempt import AttemptPlan


@dataclass(frozen=True, slots=True, kw_only=True)
class DemonstrationConfig:
    """Settings of the demonstrations, iteration 0."""

    episodes: int = 300
    """Attempts of the demonstrators, good and bad."""

    first_seed: int = 2_000_000
    """World of the first attempt; the others follow it."""

    skill: float = 0.3
    """Share of the attempts that a practised person makes; the others have a novice's habits."""

    def __post_init__(self) -> None:
        """Refuse an empty set of demonstrations, and skills that do not exist."""
        if self.episodes < 1:
            message = f"demonstrations.episodes must be at least 1, got {self.episodes}."
            raise ConfigError(message)
        if not 0.0 <= self.skill <= 1.0:
            message = f"demonstrations.skill must lie between 0 and 1, got {self.skill}."
            raise ConfigError(message)


@dataclass(frozen=True, slots=True, kw_only=True)
class CollectConfig:
    """Settings of the attempts that the policy makes, iterations 1 and up."""

    episodes: int = 200
    """Attempts in one lap."""

    first_seed: int = 1_000_000
    """World of the first lap's first attempt; the others follow it, lap after lap."""

    correction_fraction: float = 0.3
    """Share of the attempts in which the expert takes over on the way."""

    earliest_takeover: float = 0.3
    """When the expert takes over at the earliest, as a share of the time limit."""

    latest_takeover: float = 0.6
    """When the expert takes over at the latest, as a share of the time limit."""

    worlds_per_worker: int = 8
    """Worlds that one process steps at once, so that the policy predicts for all in one batch."""

    def __post_init__(self) -> None:
        """Refuse numbers that mean nothing."""
        for name in ("episodes", "worlds_per_worker"):
            value = getattr(self, name)
            if value < 1:
                message = f"collect.{name} must be at least 1, got {value}."
                raise ConfigError(message)
        if not 0.0 < self.earliest_takeover <= self.latest_takeover <= 1.0:
            message = (
                f"collect.earliest_takeover and latest_takeover must lie between 0 and 1, earliest "
                f"first, got {self.earliest_takeover} and {self.latest_takeover}."
            )
            raise ConfigError(message)
        if not 0.0 <= self.correction_fraction <= 1.0:
            message = (
                f"collect.correction_fraction must lie between 0 and 1, "
                f"got {self.correction_fraction}."
            )
            raise ConfigError(message)


@dataclass(frozen=True, slots=True, kw_only=True)
class CollectReport:
    """What was recorded."""

    inputs: Mapping[str, str]
    outputs: Mapping[str, str]
    episodes: int
    frames: int
    corrected_episodes: int
    measured_successes: int

    def headline(self) -> str:
        """Say how many attempts were recorded, and how many of them worked out."""
        return (
            f"{self.episodes} episodes ({self.corrected_episodes} corrected), "
            f"{self.frames} frames, {self.measured_successes} measured as successes"
        )


def run(
    config: "RecapConfig",
    project: Project,
    *,
    iteration: int | None,
    progress: ProgressFactory,
) -> CollectReport:
    """Record the attempts of one lap."""
    from recap.rollout.manager import PilotSpec, RecordingSpec, Rollouts, run_rollouts
    from recap.trainsets import open_store

    lap = iteration or 0
    inputs: dict[str, str] = {}
    pilot, policy_id = None, ""
    if lap > 0:
        folder = project.policy(lap - 1)
        policy_id = policy_fingerprint(folder)
        inputs = {project.relative(folder): policy_id}
        pilot = PilotSpec(folder=folder)

    rollouts = Rollouts(
        plans=_plans(config, iteration=lap),
        pilot=pilot,
        recording=RecordingSpec(episodes=project.episodes, iteration=lap, policy_id=policy_id),
        workers=config.workers,
        worlds_per_worker=config.collect.worlds_per_worker,
    )
    open_store(project).sweep_partials()
    run_rollouts(rollouts, progress("collect"))

    store = open_store(project)
    infos = [info for info in store.infos() if info.iteration == lap]
    return CollectReport(
        inputs=inputs,
        outputs={project.relative(store.root / i.uid): store.content_hash(i.uid) for i in infos},
        episodes=len(infos),
        frames=sum(info.frames for info in infos),
        corrected_episodes=sum(info.corrected_frames > 0 for info in infos),
        measured_successes=sum(bool(info.measured_success) for info in infos),
    )


def _plans(config: "RecapConfig", *, iteration: int) -> list["AttemptPlan"]:
    """Decide everything about the lap's attempts before the first begins."""
    from recap.rollout.attempt import AttemptPlan, draw_takeover

    limit = config.world.time_limit_steps
    if iteration == 0:
        people = config.demonstrations
        return [
            AttemptPlan(
                seed=seed,
                time_limit_steps=limit,
                takeover_step=0,
                skill=people.skill,
            )
            for seed in config.collection_seeds(0)
        ]
    return [
        AttemptPlan(
            seed=seed,
            time_limit_steps=limit,
            takeover_step=draw_takeover(
                seed,
                correction_fraction=config.collect.correction_fraction,
                earliest_step=round(config.collect.earliest_takeover * limit),
                latest_step=round(config.collect.latest_takeover * limit),
            ),
        )
        for seed in config.collection_seeds(iteration)
    ]
