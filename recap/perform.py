"""Perform one stage of one lap, unless that is done: the bookkeeping that all stages share."""

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from importlib import import_module
from itertools import takewhile
from pathlib import Path
from typing import Any, Final, Protocol, cast

from data.errors import ConfigError
from recap.config import RecapConfig
from recap.manifest import Manifest, StageEntry
from recap.progress import ProgressFactory, watched
from recap.project import Project, different_settings
from recap.settings import plain_settings
from recap.stages.label import PEOPLE
from value_models.config import WITHOUT_EFFECT


class StageReport(Protocol):
    """What every stage hands back; a frozen dataclass with fields of its own besides."""

    @property
    def inputs(self) -> Mapping[str, str]:
        """What it read: path inside the project -> content hash."""
        ...

    @property
    def outputs(self) -> Mapping[str, str]:
        """What it wrote: path inside the project -> content hash."""
        ...

    def headline(self) -> str:
        """What it read, what it wrote and the one number that matters, in a line."""
        ...


class _StageModule(Protocol):
    def run(
        self,
        config: RecapConfig,
        project: Project,
        *,
        iteration: int | None,
        progress: ProgressFactory,
    ) -> StageReport: ...


@dataclass(frozen=True, slots=True, kw_only=True)
class Stage:
    """One stage: where its code lies and which settings it reads."""

    module: str
    summary: str
    sections: tuple[str, ...]


STAGES: Final[Mapping[str, Stage]] = {
    "collect": Stage(
        module="recap.stages.collect",
        summary="Record attempts: demonstrations in iteration 0, the policy's own after that.",
        sections=("world", "demonstrations", "collect", "execution"),
    ),
    "label": Stage(
        module="recap.stages.label",
        summary="Let the simulation judge the attempts that nobody has judged.",
        sections=("label",),
    ),
    "train-value": Stage(
        module="recap.stages.train_value",
        summary="Learn what success is worth at every moment.",
        sections=("base", "world", "returns", "frames", "value", "pretraining"),
    ),
    "mark-advantage": Stage(
        module="recap.stages.mark_advantage",
        summary="Mark every frame positive or negative.",
        sections=("world", "returns", "frames", "advantage"),
    ),
    "train-policy": Stage(
        module="recap.stages.train_policy",
        summary="Train the policy, told which frames went better than expected.",
        sections=("base", "frames", "policy", "pretraining"),
    ),
    "evaluate": Stage(
        module="recap.stages.evaluate",
        summary="Measure success and speed on held-out seeds.",
        sections=("world", "evaluate", "execution"),
    ),
    "report": Stage(
        module="recap.stages.report",
        summary="Make the page of a lap.",
        sections=(),
    ),
}
"""The stages in the order of a lap."""

COMMAND_NAMES: Final[Mapping[str, str]] = {"label": "auto-label"}
"""What the command line calls a stage, where that is not its name: `recap label` opens the form."""

GROWING: Final = frozenset({"collect", "label"})
"""Stages that are never done where sessions with a robot may record more attempts at any time."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Performed:
    """A stage that is complete."""

    stage: str
    iteration: int | None
    was_complete: bool
    headline: str
    report: Mapping[str, Any]

    def in_words(self) -> str:
        """The stage, its lap and its headline in a line."""
        lap = "pre-training" if self.iteration is None else f"iteration {self.iteration}"
        done = " (done before)" if self.was_complete else ""
        warnings = [f"\n  warning: {text}" for text in self.report.get("warnings", ())]
        return f"{lap}, {self.stage}: {self.headline}{done}{''.join(warnings)}"

    def as_json(self) -> dict[str, Any]:
        """The report with the stage's place, for machines."""
        place = {"stage": self.stage, "iteration": self.iteration}
        return {**place, "was_complete": self.was_complete, **self.report}


def perform(
    stage: str,
    config: RecapConfig,
    project: Project,
    *,
    iteration: int | None,
    progress: ProgressFactory,
) -> Performed:
    """Run a stage, or say what it said when it was complete.

    A stage is complete as long as what it wrote is there, and what it read is what the stages
    before it in this lap wrote: one that is made again makes those after it run again.

    Args:
        stage: Name of the stage, as on the command line.
        config: The whole configuration.
        project: Where it reads and writes.
        iteration: The lap; None is pre-training.
        progress: How to show long work.
    """
    manifest = Manifest(project.manifest(iteration))
    entry = manifest.entry(stage)
    plain = plain_settings(config)
    if entry is not None and _is_complete(stage, entry, manifest, config, project):
        if stage == "train-value" and iteration is not None:
            _require_same_value(entry, plain, made=project.value(iteration))
        return _performed(stage, iteration, entry.report, was_complete=True)
    settings = {name: plain[name] for name in STAGES[stage].sections}
    with manifest.running(stage, settings=settings, seed=config.seed) as run:
        module = cast("_StageModule", import_module(STAGES[stage].module))
        report = module.run(
            config, project, iteration=iteration, progress=watched(progress, run.beat)
        )
        said = _as_plain(report)
        run.complete(inputs=report.inputs, outputs=report.outputs, report=said)
    return _performed(stage, iteration, said, was_complete=False)


def _require_same_value(entry: StageEntry, plain: Mapping[str, Any], *, made: Path) -> None:
    """Refuse to leave a value model as it is where somebody asks for another.

    Raises:
        ConfigError: If it was trained with other settings.
    """
    kept = {n: v for n, v in entry.settings["value"].items() if n not in WITHOUT_EFFECT}
    # A setting that came later was not there to be chosen.
    asked = {name: plain["value"][name] for name in kept if name in plain["value"]}
    different = different_settings(kept, asked, group="value")
    if different:
        message = (
            f"{made} was trained with other settings: {'; '.join(different)}. Delete the folder to "
            f"train it again with the new ones, or go back to the old ones."
        )
        raise ConfigError(message)


def _is_complete(
    stage: str, entry: StageEntry, manifest: Manifest, config: RecapConfig, project: Project
) -> bool:
    may_have_grown = bool(config.robot) and stage in GROWING
    # People may change their minds, or judge what was left out, at any time.
    may_be_judged = stage == "label" and config.label.rater == PEOPLE
    if may_have_grown or may_be_judged:
        return False
    written: dict[str, str] = {}
    for earlier in takewhile(lambda name: name != stage, STAGES):
        before = manifest.entry(earlier)
        written |= before.outputs if before else {}
    is_current = all(written.get(path, known) == known for path, known in entry.inputs.items())
    return is_current and manifest.is_complete(stage, folder=project.folder)


def _as_plain(report: StageReport) -> dict[str, Any]:
    fields = asdict(cast("Any", report))
    plain = {name: value for name, value in fields.items() if name not in {"inputs", "outputs"}}
    said = json.loads(json.dumps({**plain, "headline": report.headline()}))
    return cast("dict[str, Any]", said)


def _performed(
    stage: str, iteration: int | None, report: Mapping[str, Any], *, was_complete: bool
) -> Performed:
    return Performed(
        stage=stage,
        iteration=iteration,
        was_complete=was_complete,
        headline=str(report["headline"]),
        report=report,
    )
