"""RECAP, the loop: Algorithm 1 of the paper, each line a stage that is skipped when it is done."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Final

from data.errors import ConfigError
from data.files import read_json
from recap.config import RecapConfig
from recap.manifest import Manifest
from recap.perform import perform
from recap.progress import ProgressFactory
from recap.project import Project
from recap.table import Row, render_table

DEMONSTRATIONS: Final = ("collect", "label")
PRETRAINING: Final = ("train-value", "mark-advantage", "train-policy")
IMITATION: Final = ("train-policy", "evaluate", "report")
LAP: Final = (
    "collect",
    "label",
    "train-value",
    "mark-advantage",
    "train-policy",
    "evaluate",
    "report",
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Answer:
    """What a command says at its end."""

    text: str
    """For people."""

    content: Mapping[str, Any]
    """For machines."""

    ends_with_json: bool = False
    """Whether people, too, get the content as the last line."""


def iterate(
    config: RecapConfig,
    project: Project,
    progress: ProgressFactory,
    say: Callable[[str], None],
) -> Answer:
    """Go from demonstrations to a policy that has learned from its own attempts.

    Every lap begins again from the pre-trained models and trains on all data so far: laps that
    build on each other drift.

    Source:
        Algorithm 1 of the paper.

    Raises:
        ConfigError: If a robot makes the attempts: it needs a person beside it.
        UnjudgedError: If people judge, and have not yet: the loop goes on once they have.
    """
    if config.robot:
        message = (
            "A robot cannot go through the loop alone: somebody has to reset, correct and judge. "
            "Run the stages one by one, as docs/collect.md shows."
        )
        raise ConfigError(message)

    def stages(names: tuple[str, ...], *, iteration: int | None) -> None:
        for name in names:
            done = perform(name, config, project, iteration=iteration, progress=progress)
            say(done.in_words())

    stages(DEMONSTRATIONS, iteration=0)
    if config.base is None:
        stages(PRETRAINING, iteration=None)  # lines 1-2: V_pre, then π_pre
    stages(IMITATION, iteration=0)  # lines 4-5: π⁰, the indicator fixed to positive
    for iteration in range(1, config.iterations + 1):  # lines 6-10
        stages(LAP, iteration=iteration)
    return _answer(config, project)


def pretrain(
    config: RecapConfig,
    project: Project,
    progress: ProgressFactory,
    say: Callable[[str], None],
) -> Answer:
    """Make the value model and the policy that every lap starts from."""
    for name in DEMONSTRATIONS:
        say(perform(name, config, project, iteration=0, progress=progress).in_words())
    for name in PRETRAINING:
        say(perform(name, config, project, iteration=None, progress=progress).in_words())
    folder = str(project.starting_point(None))
    return Answer(text=f"base: {folder}", content={"base": folder})


def _answer(config: RecapConfig, project: Project) -> Answer:
    """Put imitation and the last lap side by side, on the same held-out seeds."""
    imitation = read_json(project.evaluation(0))
    rows = [Row.of("SFT: imitation alone", imitation["summary"])]
    for iteration in range(1, config.iterations + 1):
        evaluation = read_json(project.evaluation(iteration))
        rows.append(Row.of(f"RECAP, iteration {iteration}", evaluation["summary"]))
    against = evaluation["against_sft"]
    laps = [None, *range(config.iterations + 1)]
    manifests = [Manifest(project.manifest(lap)) for lap in laps]
    content = {
        **_ratio("throughput_ratio", against["throughput_ratio"]),
        **_ratio("failure_ratio", against["failure_ratio"]),
        "sft_success": rows[0].success[1],
        "recap_success": rows[-1].success[1],
        "episodes": rows[-1].episodes,
        "minutes": round(sum(m.seconds() for m in manifests) / 60, 1),
    }
    return Answer(text=render_table(rows, against), content=content, ends_with_json=True)


def _ratio(name: str, interval: list[float | None]) -> dict[str, Any]:
    low, point, high = interval
    return {name: point, f"{name}_ci95": [low, high]}
