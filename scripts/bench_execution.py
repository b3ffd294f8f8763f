"""What a slow prediction costs in simulation: three executions, without and with latency.

The policy of a base attempts development worlds; evaluation's worlds decide nothing here.
"""

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Final

import numpy as np
from small_project import say

from recap.core.intervals import median_steps_to_success, wilson_interval
from recap.progress import show_progress
from recap.rollout.attempt import AttemptPlan
from recap.rollout.execution import ExecutionConfig
from recap.rollout.manager import PilotSpec, Rollouts, run_rollouts

FIRST_WORLD: Final = 500_000
TIME_LIMIT_STEPS: Final = 100
TYPES: Final = ("synchronous", "temporal_ensemble", "real_time")


def main() -> int:
    """Measure every execution and say what came out."""
    arguments = _arguments()
    content: dict[str, Any] = {"episodes": arguments.episodes}
    rows: list[Sequence[object]] = [("execution", "latency / s", "success", "median steps")]
    for latency_s in arguments.latencies:
        for kind in TYPES:
            execution = ExecutionConfig(type=kind, latency_s=latency_s)
            low, rate, high, steps = _measure(arguments, execution)
            rows.append((kind, latency_s, f"{rate:.0%} [{low:.0%}, {high:.0%}]", steps))
            content[f"{kind}_{latency_s:g}_success"] = rate
            content[f"{kind}_{latency_s:g}_success_ci95"] = [low, high]
            content[f"{kind}_{latency_s:g}_median_steps"] = steps
    say(rows, content)
    return 0


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--quick", action="store_true", help="under 45 s: only that it runs")
    parser.add_argument("--policy", type=Path, default=Path("assets/base/policy"))
    parser.add_argument("--episodes", type=int, default=200, help="for each execution")
    parser.add_argument("--latencies", type=float, nargs="+", default=[0.0, 0.1, 0.2])
    parser.add_argument("--guidance", type=float, default=1.5)
    arguments = parser.parse_args()
    if arguments.quick:
        arguments.episodes, arguments.latencies = 4, [0.2]
    return arguments


def _measure(
    arguments: argparse.Namespace, execution: ExecutionConfig
) -> tuple[float, float, float, float | None]:
    rollouts = Rollouts(
        plans=[
            AttemptPlan(seed=seed, time_limit_steps=TIME_LIMIT_STEPS)
            for seed in range(FIRST_WORLD, FIRST_WORLD + arguments.episodes)
        ],
        pilot=PilotSpec(folder=arguments.policy, guidance=arguments.guidance, execution=execution),
        recording=None,
        workers=2,
        worlds_per_worker=8,
    )
    with show_progress() as progress:
        results = run_rollouts(rollouts, progress(f"{execution.type}, {execution.latency_s} s"))
    success = np.array([result.success for result in results], dtype=np.bool_)
    steps = np.array([result.steps for result in results], dtype=np.int64)
    low, rate, high = wilson_interval(int(success.sum()), len(results)).as_list()
    return low, rate, high, median_steps_to_success(success, steps)


if __name__ == "__main__":
    sys.exit(main())
