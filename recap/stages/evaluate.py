"""Measure a policy on held-out seeds.

Reads: ``iterations/<k>/policy``; ``iterations/0/evaluation.json`` to compare with.
Writes: ``iterations/<k>/evaluation.json``.
"""

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from data.errors import ConfigError, FingerprintError
from data.files import content_hash, read_json, write_json_atomically
from recap.core.intervals import (
    Flags,
    Integers,
    mcnemar_p_value,
    median_steps_to_success,
    paired_failure_ratio,
    paired_throughput_ratio,
    successes_per_hour,
    wilson_interval,
)
from recap.policies.fingerprint import policy_fingerprint
from recap.progress import Progress, ProgressFactory
from recap.project import Project

if TYPE_CHECKING:
    from recap.config import RecapConfig
    from recap.rollout.attempt import AttemptResult

INDICATORS = ("positive", "none", "negative")


@dataclass(frozen=True, slots=True, kw_only=True)
class EvaluateConfig:
    """Settings of the evaluation."""

    episodes: int = 200
    """Held-out worlds, the same for every policy."""

    first_seed: int = 0
    """World of the first episode; the others follow it."""

    indicator: str = "positive"
    """What the policy is told: positive, none or negative."""

    conditioning_episodes: int = 100
    """Episodes under each other indicator, which show that the indicator matters; 0 for none."""

    def __post_init__(self) -> None:
        """Refuse numbers that mean nothing."""
        if self.episodes < 1:
            message = f"evaluate.episodes must be at least 1, got {self.episodes}."
            raise ConfigError(message)
        if self.conditioning_episodes < 0:
            message = (
                f"evaluate.conditioning_episodes must not be negative, "
                f"got {self.conditioning_episodes}."
            )
            raise ConfigError(message)
        if self.indicator not in INDICATORS:
            message = (
                f"evaluate.indicator must be one of {', '.join(INDICATORS)}, got {self.indicator}."
            )
            raise ConfigError(message)


@dataclass(frozen=True, slots=True, kw_only=True)
class EvaluateReport:
    """How the policy did."""

    inputs: Mapping[str, str]
    outputs: Mapping[str, str]
    episodes: int
    success: tuple[float, float, float]
    successes_per_hour: tuple[float, float, float]

    def headline(self) -> str:
        """Say how often and how fast the policy succeeded."""
        low, rate, high = self.success
        return (
            f"{rate:.0%} [{low:.0%}, {high:.0%}] of {self.episodes} episodes succeeded, "
            f"{self.successes_per_hour[1]:.0f} successes an hour"
        )


def run(
    config: "RecapConfig",
    project: Project,
    *,
    iteration: int | None,
    progress: ProgressFactory,
) -> EvaluateReport:
    """Measure the policy of one lap."""
    lap = iteration or 0
    _require_simulation(config, lap)
    control_rate_hz = config.world.simulation.describe().layout.fps
    folder = project.policy(lap)
    settings = config.evaluate
    seeds = list(config.evaluation_seeds())
    results = _roll_out(config, folder, seeds, settings.indicator, progress("evaluate"))
    content: dict[str, Any] = {
        "policy": {"path": project.relative(folder), "fingerprint": policy_fingerprint(folder)},
        "indicator": settings.indicator,
        "guidance": read_json(folder / "config.json")["guidance_scale"],
        "control_rate_hz": control_rate_hz,
        "execution": asdict(config.execution),
        "time_limit_steps": config.world.time_limit_steps,
        "episodes": [_as_json(result) for result in results],
        "summary": _summary(results, control_rate_hz, seed=config.seed),
    }
    inputs = {content["policy"]["path"]: content["policy"]["fingerprint"]}
    if lap > 0:
        reference = project.evaluation(0)
        inputs[project.relative(reference)] = content_hash(reference)
        content["against_sft"] = _compare(read_json(reference), results, seed=config.seed)
        content["conditioning"] = {
            told: _summary(
                _roll_out(
                    config,
                    folder,
                    seeds[: settings.conditioning_episodes],
                    told,
                    progress(f"evaluate, told {told}"),
                ),
                control_rate_hz,
                seed=config.seed,
            )
            for told in INDICATORS
            if told != settings.indicator and settings.conditioning_episodes > 0
        }
    write_json_atomically(project.evaluation(lap), content)
    outputs = {project.relative(project.evaluation(lap)): content_hash(project.evaluation(lap))}
    return EvaluateReport(
        inputs=inputs,
        outputs=outputs,
        episodes=len(results),
        success=tuple(content["summary"]["success"]),
        successes_per_hour=tuple(content["summary"]["successes_per_hour"]),
    )


def _roll_out(
    config: "RecapConfig", folder: Path, seeds: Sequence[int], told: str, bar: Progress
) -> list["AttemptResult"]:
    from recap.rollout.attempt import AttemptPlan
    from recap.rollout.manager import PilotSpec, Rollouts, run_rollouts

    limit = config.world.time_limit_steps
    rollouts = Rollouts(
        plans=[AttemptPlan(seed=seed, time_limit_steps=limit) for seed in seeds],
        pilot=PilotSpec(folder=folder, indicator=told, execution=config.execution),
        recording=None,
        workers=config.workers,
        worlds_per_worker=config.collect.worlds_per_worker,
        simulation=config.world.simulation,
    )
    results = run_rollouts(rollouts, bar)
    if any(result.success is None for result in results):
        message = (
            f"{config.world.id} does not say whether an attempt succeeded, and an evaluation "
            f"counts successes. Give it an 'is_success' in the info of every step."
        )
        raise ConfigError(message)
    return results


def _require_simulation(config: "RecapConfig", lap: int) -> None:
    if not config.robot:
        return
    message = (
        f"An evaluation measures in simulation, and the attempts of {config.project} are a "
        f"robot's. Let the policy fly in a session and judge what it does there: "
        f"`recap collect --project={config.project} --iteration={lap + 1}`"
    )
    raise ConfigError(message)


def _as_json(result: "AttemptResult") -> dict[str, Any]:
    return {
        "seed": result.seed,
        "task": result.task,
        "success": result.success,
        "steps": result.steps,
    }


def _summary(
    results: Sequence["AttemptResult"], control_rate_hz: int, *, seed: int
) -> dict[str, Any]:
    success, steps = _arrays([_as_json(result) for result in results])
    per_hour = successes_per_hour(
        success, steps, control_rate_hz=control_rate_hz, rng=np.random.default_rng(seed)
    )
    return {
        "n": len(results),
        "success": wilson_interval(int(success.sum()), len(results)).as_list(),
        "successes_per_hour": per_hour.as_list(),
        "median_steps_to_success": median_steps_to_success(success, steps),
    }


def _compare(
    reference: Mapping[str, Any], results: Sequence["AttemptResult"], *, seed: int
) -> dict[str, Any]:
    """Set the policy against imitation on the same worlds."""
    before, now = reference["episodes"], [_as_json(result) for result in results]
    if [episode["seed"] for episode in before] != [episode["seed"] for episode in now]:
        message = (
            "The policy of iteration 0 was evaluated on other worlds, so the two cannot be "
            "compared. Run `recap evaluate --iteration=0` again."
        )
        raise FingerprintError(message)
    (success_before, steps_before), (success, steps) = _arrays(before), _arrays(now)
    pair = (success_before, success)
    rng = np.random.default_rng(seed)
    throughput = paired_throughput_ratio(pair, (steps_before, steps), rng=rng)
    return {
        "throughput_ratio": throughput.as_list(),
        "failure_ratio": paired_failure_ratio(pair, rng=rng).as_list(),
        "mcnemar_p": mcnemar_p_value(*pair),
    }


def _arrays(episodes: Sequence[Mapping[str, Any]]) -> tuple[Flags, Integers]:
    success = np.array([episode["success"] for episode in episodes], dtype=np.bool_)
    steps = np.array([episode["steps"] for episode in episodes], dtype=np.int64)
    return success, steps
