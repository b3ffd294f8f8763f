"""What the laps left on disk for the page: evaluations, value models, how far each has come.

A file that is missing is nothing special. One that cannot be read is a sentence on the page, never
an error: the people around the robot still need the rest.
"""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from io import StringIO
from typing import TYPE_CHECKING, Annotated, Any, Final, Literal

from draccus import ParsingError, cfgparsing
from pydantic import BaseModel, Field, FiniteFloat, NonNegativeInt, PositiveInt, ValidationError

from recap.project import SETTINGS_FILE

if TYPE_CHECKING:
    from pathlib import Path

    from recap.project import Project

MOST_BYTES: Final = 32 * 1024 * 1024
"""A larger file is not read: nothing that a stage writes comes near."""

METRICS_FILE: Final = "metrics.json"
"""The measurements of a value model, in its folder."""

VALUE_STAGES: Final = ("train-value", "mark-advantage")
"""The stages of a lap after its attempts are judged, that come before its policy."""

Share = Annotated[FiniteFloat, Field(ge=0.0, le=1.0)]


class Summary(BaseModel):
    """The headline of an evaluation, as ``recap evaluate`` writes it."""

    n: PositiveInt
    success: tuple[Share, Share, Share]
    successes_per_hour: tuple[FiniteFloat | None, FiniteFloat | None, FiniteFloat | None]
    median_steps_to_success: FiniteFloat | None


class Evaluation(BaseModel):
    """An evaluation; what the page does not show is not looked at."""

    summary: Summary


class ValueFigures(BaseModel):
    """What was measured on one half of the episodes; None where there was nothing to measure."""

    mae_steps: FiniteFloat | None = None
    rank_correlation_successes: FiniteFloat | None = None
    auc_25: Share | None = None
    auc_50: Share | None = None
    auc_75: Share | None = None


class ValueGate(BaseModel):
    """The verdict on a value model, and why it is not ready."""

    verdict: Literal["ready", "weak", "unusable"]
    reasons: list[str]


class ValueMetrics(BaseModel):
    """The measurements of a value model, as ``recap train-value`` writes them."""

    held_out: ValueFigures
    train: ValueFigures = ValueFigures()
    overfitting_gap: FiniteFloat | None = None
    held_out_episodes: NonNegativeInt
    gate: ValueGate | None = None
    """None where an earlier version measured them."""


class _StageStatus(BaseModel):
    status: str


class _Manifest(BaseModel):
    stages: dict[str, _StageStatus]


@dataclass(frozen=True, slots=True, kw_only=True)
class LapFiles:
    """What one lap, or pre-training, left on disk."""

    evaluation: Evaluation | None
    """How its policy did; None where it was not measured, or that cannot be read."""

    metrics: ValueMetrics | None
    """How good its value model is; None where there is none, or that cannot be read."""

    done: frozenset[str]
    """The stages whose output is there."""

    begun: frozenset[str]
    """The stages that were begun and are not complete: at work, or stopped."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ProjectFiles:
    """What a project has on disk besides its episodes and verdicts."""

    laps: dict[int | None, LapFiles]
    """Lap to what it left; None is pre-training, absent where there was none."""

    has_robot: bool
    """Whether a robot makes the attempts, so that nothing is measured in simulation."""

    has_base: bool
    """Whether the laps start from models that were pre-trained elsewhere."""

    problems: tuple[str, ...]
    """What cannot be read."""


@dataclass(slots=True)
class FileReader:
    """Reads the files of a project, each again only when it changed."""

    project: Project
    """Whose files they are."""

    _read: dict[Path, tuple[tuple[int, ...], Any]] = field(default_factory=dict)

    def state(self) -> tuple[tuple[str, tuple[int, ...]], ...]:
        """Say which files there are and when they changed: equal while nothing did."""
        paths = [self.project.folder / SETTINGS_FILE]
        for lap in self._laps():
            paths += _paths(self.project, lap)
        return tuple((path.as_posix(), _stamp(path)) for path in paths)

    def read(self) -> ProjectFiles:
        """Read everything that the page shows."""
        problems: list[str] = []
        settings = self._settings(problems)
        return ProjectFiles(
            laps={lap: self._lap(lap, problems) for lap in self._laps()},
            has_robot=bool(settings.get("robot")),
            has_base=settings.get("base") is not None,
            problems=tuple(problems),
        )

    def _laps(self) -> list[int | None]:
        folder = self.project.lap(0).parent
        try:
            names = [path.name for path in folder.iterdir() if path.name.isdecimal()]
        except OSError:  # nothing was made yet
            names = []
        # "007" is nobody's lap: a lap's folder is its number.
        laps = sorted(int(name) for name in names if str(int(name)) == name)
        return [*([None] if self.project.lap(None).is_dir() else []), *laps]

    def _lap(self, lap: int | None, problems: list[str]) -> LapFiles:
        project = self.project
        # Pre-training is measured by what is made from it.
        evaluation = None
        if lap is not None:
            evaluation = self._json(project.evaluation(lap), Evaluation, problems)
        manifest = self._json(project.manifest(lap), _Manifest, problems)
        stages = manifest.stages if manifest else {}
        outputs = {
            "train-value": project.value(lap),
            "mark-advantage": project.advantages(lap),
            "train-policy": project.policy(lap),
        }
        if lap is not None:
            outputs |= {"evaluate": project.evaluation(lap), "report": project.report(lap)}
        done = {stage for stage, path in outputs.items() if path.exists()}
        return LapFiles(
            evaluation=evaluation,
            metrics=self._json(project.value(lap) / METRICS_FILE, ValueMetrics, problems),
            done=frozenset(done),
            begun=frozenset(
                name
                for name, stage in stages.items()
                if stage.status == "running" and name not in done
            ),
        )

    def _json[Kind: BaseModel](
        self, path: Path, kind: type[Kind], problems: list[str]
    ) -> Kind | None:
        """Read a file; note what is wrong with it and return None where it cannot be."""
        stamp = _stamp(path)
        if not stamp:
            return None
        known = self._read.get(path)
        if known is None or known[0] != stamp:
            known = (stamp, _parse(path, kind))
            self._read[path] = known
        if isinstance(known[1], kind):
            return known[1]
        problems.append(
            f"{self.project.relative(path)} cannot be read: {known[1]}. Restore it, or delete it "
            f"and run its stage again."
        )
        return None

    def _settings(self, problems: list[str]) -> dict[str, Any]:
        path = self.project.folder / SETTINGS_FILE
        stamp = _stamp(path)
        known = self._read.get(path)
        if known is None or known[0] != stamp:
            known = (stamp, _parse_settings(path))
            self._read[path] = known
        if isinstance(known[1], dict):
            return known[1]
        problems.append(f"{SETTINGS_FILE} cannot be read: {known[1]}.")
        return {}


def _paths(project: Project, lap: int | None) -> list[Path]:
    """Everything of a lap that changes what the page says."""
    return [
        project.manifest(lap),
        project.value(lap) / METRICS_FILE,
        project.value(lap),
        project.advantages(lap),
        project.policy(lap),
        project.lap(lap) / "evaluation.json",
        project.lap(lap) / "report.html",
    ]


def _stamp(path: Path) -> tuple[int, ...]:
    """Say when a file changed; empty where it is not there."""
    try:
        about = path.stat()
    except (OSError, ValueError):
        return ()
    return (about.st_mtime_ns, about.st_size, about.st_ino)


def _parse[Kind: BaseModel](path: Path, kind: type[Kind]) -> Kind | str:
    """Read a file of one kind, or say in a few words why not."""
    text = _text(path)
    if text is None:
        return "it cannot be opened, or is too large"
    try:
        return kind.model_validate(json.loads(text))
    except ValidationError as error:
        place = ".".join(map(str, error.errors(include_url=False, include_input=False)[0]["loc"]))
        return f"{place or 'its content'} is not what it should be"
    except (ValueError, RecursionError):
        return "it is not valid JSON"


def _parse_settings(path: Path) -> dict[str, Any] | str:
    text = _text(path)
    if text is None:
        return "it cannot be opened, or is too large"
    try:
        content = cfgparsing.load_config(StringIO(text), file=SETTINGS_FILE)
    except (ParsingError, RecursionError):
        return "it is not valid YAML"
    return content if isinstance(content, dict) else "it is not a list of settings"


def _text(path: Path) -> str | None:
    try:
        if path.stat().st_size > MOST_BYTES:
            return None
        return path.read_text(encoding="utf-8", errors="replace")
    except OSError:
        return None
