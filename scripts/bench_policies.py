"""Which policy serves: `recap_flow` or a small SmolVLA, after equal minutes on the same data.

Both learn from the demo's demonstrations, at the same time, one core each, and are then measured on
the same held-out worlds. A candidate's speed is measured first; its steps follow from the minutes,
so that its learning rate falls to the end of exactly that time.
"""

import argparse
import multiprocessing
import os
import sys
import time
from collections.abc import Mapping, Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

os.environ.setdefault("OMP_NUM_THREADS", "1")
os.environ.setdefault("HF_HUB_OFFLINE", "1")
os.environ.setdefault("TOKENIZERS_PARALLELISM", "false")

import numpy as np
from small_project import demonstrate, say, training_frames

from data.files import read_json
from data.trainset import Trainset
from recap.config import RecapConfig
from recap.core.intervals import median_steps_to_success, successes_per_hour, wilson_interval
from recap.policies.config import PolicyShape, PolicyTrainingConfig
from recap.progress import show_progress
from recap.project import Project
from recap.settings import read_settings

if TYPE_CHECKING:
    from recap.policies.batches import TrainingFrames
    from recap.policies.prepared import Statistics
    from recap.policies.training import PolicyTrainingReport, Progress

CANDIDATES: Final = ("flow", "smolvla")
PROBE_STEPS: Final = {"flow": 60, "smolvla": 6}
"""Steps of a short run that measures the pace; `recap_flow` reports every 50."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Budget:
    """What a candidate may use."""

    seconds: float
    """Time to train."""

    seed: int
    """Seed of the training."""


@dataclass(slots=True)
class Stopwatch:
    """Notes when training reported a step."""

    marks: list[tuple[int, float]] = field(default_factory=list)

    def note(self, step: int, total: int, numbers: Mapping[str, float]) -> None:  # noqa: ARG002
        """Note the time."""
        self.marks.append((step, time.perf_counter()))

    @property
    def seconds_per_step(self) -> float:
        """The pace from the first report on: starting up is not counted."""
        (first, began), (last, ended) = self.marks[0], self.marks[-1]
        return (ended - began) / (last - first)


@dataclass(frozen=True, slots=True, kw_only=True)
class Trained:
    """A candidate after its minutes."""

    folder: Path
    steps: int
    seconds: float
    parameters: int


def main() -> int:
    """Train both, measure both, and say what came out."""
    arguments = _arguments()
    folder = arguments.folder or Path(f"runs/bench-policies-{arguments.demonstrations}")
    config, _, trainset = demonstrate(folder, episodes=arguments.demonstrations)
    budget = Budget(
        seconds=60.0 * arguments.minutes,
        seed=arguments.seed,
    )
    destination = folder / f"candidates-seed-{arguments.seed}-{arguments.minutes:g}-minutes"
    trained = _train_side_by_side(arguments.candidates, folder, trainset, destination, budget)
    content: dict[str, Any] = {"minutes": arguments.minutes, "episodes": arguments.episodes}
    rows: list[Sequence[object]] = [
        ("policy", "parameters", "steps", "minutes", "success", "successes / hour", "median steps")
    ]
    for name, candidate in trained.items():
        measured = _measure(config, candidate.folder, episodes=arguments.episodes)
        low, rate, high = measured["success"]
        content[f"{name}_success"] = rate
        content[f"{name}_success_ci95"] = [low, high]
        content[f"{name}_successes_per_hour"] = round(measured["per_hour"], 1)
        content[f"{name}_steps"] = candidate.steps
        content[f"{name}_parameters"] = candidate.parameters
        content[f"{name}_train_minutes"] = round(candidate.seconds / 60, 2)
        rows.append(
            (
                name,
                candidate.parameters,
                candidate.steps,
                f"{candidate.seconds / 60:.1f}",
                f"{rate:.1%} [{low:.1%}, {high:.1%}]",
                f"{measured['per_hour']:.0f}",
                measured["median_steps"],
            )
        )
    say(rows, content | {"load_average": round(os.getloadavg()[0], 1)})
    return 0


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--quick", action="store_true", help="under 45 s: only that it runs")
    parser.add_argument("--minutes", type=float, default=8.0, help="to train each candidate")
    parser.add_argument("--demonstrations", type=int, default=300, help="to learn from")
    parser.add_argument("--episodes", type=int, default=100, help="to measure each candidate")
    parser.add_argument("--candidates", nargs="+", choices=CANDIDATES, default=CANDIDATES)
    parser.add_argument("--seed", type=int, default=0, help="of the training")
    parser.add_argument("--folder", type=Path, help="a project; demonstrations there are used")
    arguments = parser.parse_args()
    if arguments.quick:
        arguments.minutes, arguments.demonstrations, arguments.episodes = 0.04, 4, 4
    return arguments


def _train_side_by_side(
    names: Sequence[str], folder: Path, trainset: Trainset, destination: Path, budget: Budget
) -> dict[str, Trained]:
    """Train every candidate in a process of its own, all at the same time."""
    context = multiprocessing.get_context("spawn")
    with ProcessPoolExecutor(len(names), mp_context=context) as executor:
        waiting = {
            name: executor.submit(_train, name, folder, trainset.root, destination / name, budget)
            for name in names
        }
        return {name: future.result() for name, future in waiting.items()}


def _train(name: str, folder: Path, trainset: Path, destination: Path, budget: Budget) -> Trained:
    import shutil

    project = Project(folder)
    frames = training_frames(project, Trainset.open(trainset))
    shutil.rmtree(destination.parent / name, ignore_errors=True)

    # Trained as the base is made, but for the steps.
    made = read_settings(["--config_path=configs/base.yaml"])
    settings = replace(made.pretraining.policy, seed=budget.seed, threads=1)
    train = partial(_TRAINERS[name], frames, read_json(project.statistics), made.policy.shape)

    probe = Stopwatch()
    train(replace(settings, steps=PROBE_STEPS[name]), destination / "probe", probe.note)
    steps = max(1, round(budget.seconds / probe.seconds_per_step))
    report = train(replace(settings, steps=steps), destination / "policy", None)
    return Trained(
        folder=destination / "policy",
        steps=steps,
        seconds=report.seconds,
        parameters=report.parameters,
    )


def _train_flow(
    frames: "TrainingFrames",
    statistics: "Statistics",
    shape: PolicyShape,
    settings: PolicyTrainingConfig,
    destination: Path,
    progress: "Progress | None",
) -> "PolicyTrainingReport":
    from recap.policies.training import train_policy

    return train_policy(
        frames,
        destination=destination,
        settings=settings,
        start=shape,
        statistics=statistics,
        progress=progress,
    )


def _train_smolvla(
    frames: "TrainingFrames",
    statistics: "Statistics",
    shape: PolicyShape,  # noqa: ARG001 - it has a size of its own
    settings: PolicyTrainingConfig,
    destination: Path,
    progress: "Progress | None",
) -> "PolicyTrainingReport":
    from recap.policies.small_smolvla import train_small_smolvla

    # A transformer of random weights does not survive the rate that suits convolutions.
    return train_small_smolvla(
        frames,
        destination=destination,
        settings=replace(settings, learning_rate=0.5 * settings.learning_rate),
        statistics=statistics,
        progress=progress,
    )


_TRAINERS: Final = {"flow": _train_flow, "smolvla": _train_smolvla}


def _measure(config: RecapConfig, policy: Path, *, episodes: int) -> dict[str, Any]:
    """Let a candidate attempt the held-out worlds."""
    from envs.tabletop import CONTROL_RATE_HZ
    from recap.rollout.attempt import AttemptPlan
    from recap.rollout.manager import PilotSpec, Rollouts, run_rollouts

    limit, first = config.world.time_limit_steps, config.evaluate.first_seed
    rollouts = Rollouts(
        plans=[
            AttemptPlan(seed=seed, time_limit_steps=limit)
            for seed in range(first, first + episodes)
        ],
        pilot=PilotSpec(folder=policy),
        recording=None,
        workers=config.workers,
        worlds_per_worker=config.collect.worlds_per_worker,
    )
    with show_progress() as progress:
        results = run_rollouts(rollouts, progress(f"evaluate {policy.parent.name}"))
    success = np.array([result.success for result in results], dtype=np.bool_)
    steps = np.array([result.steps for result in results], dtype=np.int64)
    rng = np.random.default_rng(0)
    per_hour = successes_per_hour(success, steps, control_rate_hz=CONTROL_RATE_HZ, rng=rng)
    return {
        "success": wilson_interval(int(success.sum()), len(results)).as_list(),
        "per_hour": per_hour.point,
        "median_steps": median_steps_to_success(success, steps),
    }


if __name__ == "__main__":
    sys.exit(main())
