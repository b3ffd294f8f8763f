"""Record attempts.

Reads: the policy of the lap before (nothing in iteration 0, where people demonstrate); its value
model, where takeovers depend on it.
Writes: ``episodes/<uid>``, one folder for every finished attempt. An attempt that is there already
is not made again, so a stopped collection goes on where it was. Where a robot makes the attempts,
in sessions, this stage writes nothing and says what they have recorded.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Final

from data.errors import ConfigError, ProjectError
from data.files import content_hash, read_json
from data.schema import STATE_KEY
from recap.policies.fingerprint import policy_fingerprint
from recap.progress import ProgressFactory
from recap.project import Project

if TYPE_CHECKING:
    from envs.simulation import Description
    from recap.config import RecapConfig
    from recap.rollout.attempt import AttemptPlan
    from recap.rollout.takeover import TakeoverRule

RANDOM, VALUE, STALL, NEVER = "random", "value", "stall", "never"
TAKEOVERS: Final = (RANDOM, VALUE, STALL, NEVER)


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
    """Share of the attempts in which the expert may take over on the way."""

    takeover: str = RANDOM
    """When the expert takes over in those: random (at a drawn moment), value (when the value
    falls), stall (when hardly anything moves) or never."""

    earliest_takeover: float = 0.3
    """When the expert takes over at the earliest, as a share of the time limit."""

    latest_takeover: float = 0.6
    """When a random takeover comes at the latest, as a share of the time limit."""

    value_drop: float = 0.1
    """How far the value must lie below the best that it was, in normalised return; the value model
    of the lap before is asked whenever the policy is."""

    stall_steps: int = 10
    """Control steps for which hardly anything has moved."""

    stall_spread: float = 0.3
    """The most that any number of the state has moved meanwhile, in its standard deviations."""

    correction_steps: int = 0
    """Control steps after which the expert hands control back; 0 keeps it to the end."""

    worlds_per_worker: int = 8
    """Worlds that one process steps at once, so that the policy predicts for all in one batch."""

    def __post_init__(self) -> None:
        """Refuse numbers that mean nothing, and takeovers that do not exist."""
        for name, least in (
            *(("episodes", 1), ("worlds_per_worker", 1)),
            *(("stall_steps", 1), ("correction_steps", 0)),
        ):
            value = getattr(self, name)
            if value < least:
                message = f"collect.{name} must be at least {least}, got {value}."
                raise ConfigError(message)
        if self.takeover not in TAKEOVERS:
            message = (
                f"collect.takeover must be one of {', '.join(TAKEOVERS)}, got {self.takeover}."
            )
            raise ConfigError(message)
        self._require_measures()

    def _require_measures(self) -> None:
        if not 0.0 < self.value_drop < 1.0:
            message = (
                f"collect.value_drop must lie between 0 and 1, got {self.value_drop}. Values lie "
                f"between -1 and 0."
            )
            raise ConfigError(message)
        if not 0.0 < self.stall_spread < float("inf"):
            message = f"collect.stall_spread must be above 0, got {self.stall_spread}."
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
    """Record the attempts of one lap, or say what sessions have recorded."""
    from recap.rollout.manager import PilotSpec, RecordingSpec, Rollouts, run_rollouts
    from recap.trainsets import fix_layout, open_store

    lap = iteration or 0
    if config.robot:
        return _recorded_in_sessions(project, lap)
    simulation = config.world.simulation
    described = simulation.describe()
    _require_expert(config, project, described, lap)
    inputs: dict[str, str] = {}
    pilot, policy_id = None, ""
    if lap > 0:
        folder = project.policy(lap - 1)
        policy_id = policy_fingerprint(folder)
        inputs = {project.relative(folder): policy_id}
        pilot = PilotSpec(folder=folder, execution=config.execution)
    watching = _watching(config, project, lap)

    rollouts = Rollouts(
        plans=_plans(config, iteration=lap, statistics=watching.get(STALL)),
        pilot=pilot,
        recording=RecordingSpec(episodes=project.episodes, iteration=lap, policy_id=policy_id),
        workers=config.workers,
        worlds_per_worker=config.collect.worlds_per_worker,
        simulation=simulation,
        value_model=watching.get(VALUE),
    )
    fix_layout(project, described.layout)
    open_store(project).sweep_partials()
    run_rollouts(rollouts, progress("collect"))
    inputs |= {_named(path, project): content_hash(path) for path in watching.values()}
    return _report(project, lap, inputs)


def _report(project: Project, lap: int, inputs: Mapping[str, str]) -> CollectReport:
    from recap.trainsets import open_store

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


def _recorded_in_sessions(project: Project, lap: int) -> CollectReport:
    report = _report(project, lap, {})
    if report.episodes == 0:
        message = (
            f"No attempt of iteration {lap} was recorded yet in {project.folder}. Record some "
            f"with the robot: `recap collect --project={project.folder} --iteration={lap}`"
        )
        raise ProjectError(message)
    return report


def _require_expert(
    config: "RecapConfig", project: Project, described: "Description", lap: int
) -> None:
    """Refuse demonstrations and corrections where nobody can give them."""
    if described.has_expert:
        return
    offer = "Or give the environment a method make_expert(rng, skill=...)."
    if lap == 0:
        message = (
            f"{described.name} offers no expert, so nobody can demonstrate in it. Put a policy "
            f"into {project.policy(0)} and begin with --iteration=1. {offer}"
        )
        raise ConfigError(message)
    fraction = config.collect.correction_fraction
    if fraction > 0.0 and config.collect.takeover != NEVER:
        message = (
            f"{described.name} offers no expert, so nobody can correct {fraction:.0%} of the "
            f"attempts. Use --collect.correction_fraction=0. {offer}"
        )
        raise ConfigError(message)


def _watching(config: "RecapConfig", project: Project, lap: int) -> dict[str, Path]:
    """Return the file or folder that takeovers depend on, by their kind."""
    from recap.trainsets import STATISTICS_OF_BASE

    takeover = config.collect.takeover
    if lap == 0 or takeover not in {VALUE, STALL}:
        return {}
    if takeover == VALUE:
        is_first = lap == 1
        before = project.starting_point(config.base) if is_first else project.lap(lap - 1)
        path, make = before / "value", f"recap train-value --iteration={lap - 1}"
    else:
        of_base = config.base is not None and not project.statistics.exists()
        path = config.base / STATISTICS_OF_BASE if of_base and config.base else project.statistics
        make = "recap train-policy --iteration=0"
    if not path.exists():
        message = (
            f"--collect.takeover={takeover} depends on {path}, which is not there. "
            f"Make it with `{make} --project={project.folder}`."
        )
        raise ProjectError(message)
    return {takeover: path}


def _named(path: Path, project: Project) -> str:
    is_own = path.is_relative_to(project.folder)
    return project.relative(path) if is_own else f"base {path.stem}"


def _plans(
    config: "RecapConfig", *, iteration: int, statistics: Path | None
) -> list["AttemptPlan"]:
    """Decide everything about the lap's attempts before the first begins."""
    from recap.rollout.attempt import AttemptPlan
    from recap.rollout.takeover import draw_takeover

    settings, limit = config.collect, config.world.time_limit_steps
    if iteration == 0:
        skill = config.demonstrations.skill
        return [
            AttemptPlan(seed=seed, time_limit_steps=limit, takeover_step=0, skill=skill)
            for seed in config.collection_seeds(0)
        ]
    rule = _rule(config, statistics)
    plans = []
    for seed in config.collection_seeds(iteration):
        # The same attempts may be corrected whatever the rule; a rule says when.
        drawn = draw_takeover(
            seed,
            correction_fraction=settings.correction_fraction,
            earliest_step=round(settings.earliest_takeover * limit),
            latest_step=round(settings.latest_takeover * limit),
        )
        plans.append(
            AttemptPlan(
                seed=seed,
                time_limit_steps=limit,
                takeover_step=drawn if settings.takeover == RANDOM else None,
                takeover=rule if drawn is not None else None,
                correction_steps=settings.correction_steps,
            )
        )
    return plans


def _rule(config: "RecapConfig", statistics: Path | None) -> "TakeoverRule | None":
    """Return the rule of every attempt that may be corrected; None where its draw says it all."""
    from recap.rollout.takeover import WhenStalled, WhenValueFalls

    settings = config.collect
    earliest = round(settings.earliest_takeover * config.world.time_limit_steps)
    if settings.takeover == VALUE:
        return WhenValueFalls(drop=settings.value_drop, earliest_step=earliest)
    if statistics is None:
        return None
    return WhenStalled(
        window_steps=settings.stall_steps,
        spread=settings.stall_spread,
        deviations=tuple(read_json(statistics)[STATE_KEY]["std"]),
        earliest_step=earliest,
    )
