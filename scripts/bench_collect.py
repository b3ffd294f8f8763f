"""What recording costs: frames a second of rollouts that are recorded, and of the same unrecorded.

Three ways to make the same attempts with the same policy take turns: recorded (every step looked at
and the finished attempt written to disk), not recorded (every step looked at), and as an evaluation
makes them (looked at only when the policy is asked). Then the manager collects with one process
and with two. Ratios of processor time stand beside those of wall time: on a machine that is busy
with other things only they mean something.
"""

import argparse
import os
import sys
import tempfile
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Final

os.environ.setdefault("OMP_NUM_THREADS", "1")
os.environ.setdefault("HF_HUB_OFFLINE", "1")

from small_project import demonstrate, say, training_frames

from data.episodes import EpisodeStore
from envs.tabletop import LAYOUT, TIME_LIMIT_STEPS, Tabletop
from recap.progress import Progress
from recap.rollout.attempt import Attempt, AttemptPlan
from recap.rollout.manager import PilotSpec, RecordingSpec, Rollouts, episode_uid, run_rollouts
from recap.rollout.pilots import PolicyPilot
from recap.rollout.wave import Wave, run_wave

if TYPE_CHECKING:
    from collections.abc import Callable

DEMONSTRATIONS: Final = 4
WAYS: Final = ("recorded", "unrecorded", "evaluation")


@dataclass(slots=True)
class Tally:
    """Frames made and seconds spent in one way of making attempts."""

    frames: int = 0
    seconds: float = 0.0
    processor_seconds: float = 0.0

    @property
    def rate(self) -> float:
        """Frames a second."""
        return self.frames / self.seconds

    @property
    def processor_rate(self) -> float:
        """Frames a second of processor time."""
        return self.frames / self.processor_seconds


@dataclass(slots=True)
class Stopwatch:
    """Notes when attempts were finished."""

    marks: list[tuple[float, int]] = field(default_factory=list)

    def update(self, done: int, total: int, note: str = "") -> None:  # noqa: ARG002 - a Progress
        """Note the time."""
        if done:
            self.marks.append((time.perf_counter(), done))

    def attempts_per_second(self, *, workers: int) -> float:
        """The rate once every process has finished its first wave: starting up is not counted."""
        (began, before), (ended, after) = self.marks[workers - 1], self.marks[-1]
        return (after - before) / (ended - began)


def main() -> int:
    """Measure, and say what came out."""
    arguments = _arguments()
    arguments.folder.mkdir(parents=True, exist_ok=True)
    worlds = 4 if arguments.quick else 8
    with tempfile.TemporaryDirectory(dir=arguments.folder, prefix="bench-collect-") as name:
        folder = Path(name)
        policy = arguments.policy or _untrained_policy(folder)
        tallies = _take_turns(
            policy, folder, worlds=worlds, repetitions=2 if arguments.quick else 10
        )
        waves = 2 if arguments.quick else 12
        one, two = (
            _collect(policy, folder, worlds=worlds, workers=workers, waves=1 + waves)
            for workers in (1, 2)
        )
    rates = {way: round(tallies[way].rate, 1) for way in WAYS}
    recorded, unrecorded, evaluation = (tallies[way] for way in WAYS)
    content = {
        "recorded_over_unrecorded": round(recorded.rate / unrecorded.rate, 3),
        "recorded_over_unrecorded_processor_time": round(
            recorded.processor_rate / unrecorded.processor_rate, 3
        ),
        "recorded_over_evaluation": round(recorded.rate / evaluation.rate, 3),
        "two_workers_over_one": round(two / one, 3),
        "frames_per_second": rates,
        "frames": recorded.frames,
        "load_average": round(os.getloadavg()[0], 1),
    }
    rows = [("rollouts", "frames / s"), *rates.items()]
    say([*rows, ("one process", round(one)), ("two processes", round(two))], content)
    return 0


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--quick", action="store_true", help="under 45 s, and rougher")
    parser.add_argument("--policy", type=Path, help="a checkpoint; by default an untrained policy")
    parser.add_argument("--folder", type=Path, default=Path("runs"), help="on the disk to measure")
    return parser.parse_args()


def _untrained_policy(folder: Path) -> Path:
    """Make a policy of the usual size: what it does is of no matter, what it costs is."""
    from recap.policies.config import PolicyTrainingConfig
    from recap.policies.training import train_policy

    config, project, trainset = demonstrate(folder / "project", episodes=DEMONSTRATIONS)
    train_policy(
        training_frames(project, trainset),
        destination=folder / "policy",
        settings=PolicyTrainingConfig(steps=1, batch_size=8),
        start=config.policy.shape,
        statistics=_statistics(project.statistics),
    )
    return folder / "policy"


def _statistics(path: Path) -> dict[str, dict[str, list[float]]]:
    from data.files import read_json

    statistics: dict[str, dict[str, list[float]]] = read_json(path)
    return statistics


def _plans(first_seed: int, count: int) -> tuple[AttemptPlan, ...]:
    seeds = range(first_seed, first_seed + count)
    return tuple(AttemptPlan(seed=seed, time_limit_steps=TIME_LIMIT_STEPS) for seed in seeds)


def _take_turns(policy: Path, folder: Path, *, worlds: int, repetitions: int) -> dict[str, Tally]:
    """Make the same attempts in each way, the order rotating so that no way is always first."""
    import torch

    torch.set_num_threads(1)
    pilot = PolicyPilot(policy, batch_size=worlds)
    tables = [Tabletop() for _ in range(worlds)]
    store = EpisodeStore(folder / "episodes", LAYOUT)

    def write(attempt: Attempt) -> None:
        uid = episode_uid(attempt.plan.source, iteration=1, seed=attempt.plan.seed)
        store.write(attempt.record(uid=uid, iteration=1, policy_id="untrained"))

    def forget(attempt: Attempt) -> None:
        """Let go of what was seen."""

    keep: dict[str, Callable[[Attempt], None]] = dict.fromkeys(WAYS, forget)
    keep["recorded"] = write
    tallies = {way: Tally() for way in WAYS}
    warm = Wave(plans=_plans(0, worlds))
    run_wave(warm, tables, pilot, is_recorded=True, on_finished=forget)
    for repetition in range(repetitions):
        wave = Wave(plans=_plans((1 + repetition) * worlds, worlds))
        turn = repetition % len(WAYS)
        for way in (*WAYS[turn:], *WAYS[:turn]):
            began, busy = time.perf_counter(), time.process_time()
            is_recorded = way != "evaluation"
            results = run_wave(wave, tables, pilot, is_recorded=is_recorded, on_finished=keep[way])
            tallies[way].seconds += time.perf_counter() - began
            tallies[way].processor_seconds += time.process_time() - busy
            tallies[way].frames += sum(result.steps for result in results)
    return tallies


def _collect(policy: Path, folder: Path, *, worlds: int, workers: int, waves: int) -> float:
    """Collect with the manager and return frames a second."""
    stopwatch = Stopwatch()
    progress: Progress = stopwatch
    rollouts = Rollouts(
        plans=_plans(10_000, waves * workers * worlds),
        pilot=PilotSpec(folder=policy),
        recording=RecordingSpec(
            episodes=folder / f"collected-by-{workers}", iteration=1, policy_id="untrained"
        ),
        workers=workers,
        worlds_per_worker=worlds,
    )
    results = run_rollouts(rollouts, progress)
    steps = sum(result.steps for result in results) / len(results)
    return steps * stopwatch.attempts_per_second(workers=workers)


if __name__ == "__main__":
    sys.exit(main())
