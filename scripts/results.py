"""The tables of docs/results.md and README.md: the demo over several training seeds.

Every seed is a project of its own under ``runs/results``; what is done there is not done again.
"""

import argparse
import json
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import numpy as np

from data.errors import ConfigError, RecapError
from data.files import read_json, whole_file
from recap.core.intervals import (
    Flags,
    Integers,
    Interval,
    mcnemar_p_value,
    median_steps_to_success,
    paired_failure_ratio,
    paired_throughput_ratio,
    successes_per_hour,
    wilson_interval,
)
from recap.project import Project

BEGIN: Final = "<!-- results:begin -->"
END: Final = "<!-- results:end -->"
CONFIG: Final = Path("configs/demo.yaml")
PAGES: Final = (Path("docs/results.md"), Path("README.md"))


@dataclass(frozen=True, slots=True, kw_only=True)
class Episodes:
    """The held-out episodes of one policy."""

    success: Flags
    """``(n,)`` whether each succeeded."""

    steps: Integers
    """``(n,)`` how long each took."""

    control_rate_hz: int
    """Control steps a second."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Comparison:
    """Imitation and the last lap on the same worlds."""

    name: str
    imitation: Episodes
    recap: Episodes
    laps: int
    minutes: float

    @property
    def throughput(self) -> Interval:
        """Successes per hour of the last lap over those of imitation."""
        pair = (self.imitation.success, self.recap.success)
        steps = (self.imitation.steps, self.recap.steps)
        return paired_throughput_ratio(pair, steps, rng=np.random.default_rng(0))

    @property
    def failures(self) -> Interval:
        """Failure rate of the last lap over that of imitation."""
        pair = (self.imitation.success, self.recap.success)
        return paired_failure_ratio(pair, rng=np.random.default_rng(0))


def main() -> int:
    """Run what is missing, then write the tables; the exit code is 2 for a user's mistake."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seeds", type=int, nargs="+", default=[0, 1, 2], help="of the training")
    parser.add_argument("--config", type=Path, default=CONFIG, help="what to run")
    parser.add_argument("--folder", type=Path, default=Path("runs/results"), help="where to")
    parser.add_argument("--pages", type=Path, nargs="*", default=PAGES, help="where the tables go")
    arguments = parser.parse_args()
    try:
        for page in arguments.pages:
            _split(page)  # a page without its marks ends here, not an hour later
        compared = [_run(arguments.config, arguments.folder, seed) for seed in arguments.seeds]
    except RecapError as error:
        sys.stderr.write(f"{error}\n")
        return 2
    pooled = _pooled(compared)
    block = _block([*compared, pooled] if len(compared) > 1 else compared, arguments.config)
    for page in arguments.pages:
        before, after = _split(page)
        with whole_file(page) as partial:
            partial.write_text(f"{before}{BEGIN}\n{block}\n{END}{after}", encoding="utf-8")
    sys.stdout.write(f"{block}\n{json.dumps(_content(compared, pooled))}\n")
    return 0


def _split(page: Path) -> tuple[str, str]:
    """Return what stands before and after the generated block of a page."""
    text = page.read_text(encoding="utf-8") if page.exists() else ""
    before, begin, rest = text.partition(BEGIN)
    _, end, after = rest.partition(END)
    if not begin or not end:
        message = f"{page} has no place for the tables: it needs the lines '{BEGIN}' and '{END}'."
        raise ConfigError(message)
    return before, after


def _run(config: Path, folder: Path, seed: int) -> Comparison:
    """Run the loop with one training seed, or go on where it was, and read its evaluations."""
    project = Project(folder / f"seed-{seed}")
    command = [sys.executable, "-m", "recap.cli", "iterate", "--json"]
    flags = [f"--config_path={config}", f"--project={project.folder}", f"--seed={seed}"]
    done = subprocess.run([*command, *flags], stdout=subprocess.PIPE, text=True, check=False)  # noqa: S603 - our own command
    if done.returncode != 0:
        message = f"Seed {seed} ended with exit code {done.returncode}; run this again to go on."
        raise ConfigError(message)
    laps = sorted(int(path.parent.name) for path in project.folder.glob("iterations/*/policy"))
    return Comparison(
        name=f"seed {seed}",
        imitation=_episodes(project.evaluation(0)),
        recap=_episodes(project.evaluation(laps[-1])),
        laps=laps[-1],
        minutes=json.loads(done.stdout.splitlines()[-1])["minutes"],
    )


def _episodes(path: Path) -> Episodes:
    evaluation = read_json(path)
    return Episodes(
        success=np.array(
            [episode["success"] for episode in evaluation["episodes"]], dtype=np.bool_
        ),
        steps=np.array([episode["steps"] for episode in evaluation["episodes"]], dtype=np.int64),
        control_rate_hz=evaluation["control_rate_hz"],
    )


def _pooled(compared: Sequence[Comparison]) -> Comparison:
    """Put the episodes of all seeds together."""

    def joined(parts: Sequence[Episodes]) -> Episodes:
        return Episodes(
            success=np.concatenate([part.success for part in parts]),
            steps=np.concatenate([part.steps for part in parts]),
            control_rate_hz=parts[0].control_rate_hz,
        )

    return Comparison(
        name="all seeds",
        imitation=joined([one.imitation for one in compared]),
        recap=joined([one.recap for one in compared]),
        laps=compared[0].laps,
        minutes=sum(one.minutes for one in compared),
    )


def _block(compared: Sequence[Comparison], config: Path) -> str:
    """Draw both tables in Markdown."""
    last, episodes = compared[-1], len(compared[0].imitation.success)
    lines = [
        f"| Cube on pad, {episodes} held-out episodes | success | successes / hour | steps |",
        "|---|---|---|---|",
    ]
    for one in compared:
        lines += [
            _policy_row(f"imitation only, {one.name}", one.imitation),
            _policy_row(f"after {one.laps} RECAP iteration(s), {one.name}", one.recap),
        ]
    lines += ["", "| last over first | successes / hour | failures | McNemar p | minutes |"]
    lines += ["|---|---|---|---|---|", *(_ratio_row(one) for one in compared)]
    minutes = max(one.minutes for one in compared[:-1] or compared)
    lines += [
        "",
        f"`make results` writes these tables ({config}; at most {minutes:.0f} min a seed). 95 % "
        f"intervals: Wilson for rates, paired bootstrap over worlds for ratios. All seeds are "
        f"measured on the same worlds, and pooling treats their {len(last.recap.success)} episodes "
        f"as independent.",
    ]
    return "\n".join(lines)


def _policy_row(name: str, episodes: Episodes) -> str:
    rate = wilson_interval(int(episodes.success.sum()), len(episodes.success))
    per_hour = successes_per_hour(
        episodes.success,
        episodes.steps,
        control_rate_hz=episodes.control_rate_hz,
        rng=np.random.default_rng(0),
    )
    median = median_steps_to_success(episodes.success, episodes.steps)
    shown = "-" if median is None else f"{median:.0f}"
    return (
        f"| {name} | {rate.point:.1%} [{rate.low:.1%}, {rate.high:.1%}] "
        f"| {per_hour.point:.0f} [{per_hour.low:.0f}, {per_hour.high:.0f}] | {shown} |"
    )


def _ratio_row(one: Comparison) -> str:
    p_value = mcnemar_p_value(one.imitation.success, one.recap.success)
    return (
        f"| {one.name} | {_times(one.throughput)} | {_times(one.failures)} | {p_value:.2g} "
        f"| {one.minutes:.1f} |"
    )


def _times(ratio: Interval) -> str:
    return f"× {ratio.point:.2f} [{ratio.low:.2f}, {ratio.high:.2f}]"


def _content(compared: Sequence[Comparison], pooled: Comparison) -> dict[str, Any]:
    def of(one: Comparison) -> dict[str, Any]:
        throughput, failures = one.throughput.as_list(), one.failures.as_list()
        return {
            "throughput_ratio": throughput[1],
            "throughput_ratio_ci95": [throughput[0], throughput[2]],
            "failure_ratio": failures[1],
            "failure_ratio_ci95": [failures[0], failures[2]],
            "sft_success": float(one.imitation.success.mean()),
            "recap_success": float(one.recap.success.mean()),
            "episodes": len(one.recap.success),
            "minutes": round(one.minutes, 1),
        }

    return {**of(pooled), "seeds": {one.name.split()[-1]: of(one) for one in compared}}


if __name__ == "__main__":
    sys.exit(main())
