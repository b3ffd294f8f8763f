"""One lap as it lies on disk, read whole and checked that its parts belong together."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

from data.annotations import AdvantageTable
from data.errors import FingerprintError, ProjectError
from data.files import content_hash, read_json
from data.trainset import Trainset
from recap.manifest import Manifest, StageEntry
from recap.project import Project
from recap.trainsets import trainset_of

if TYPE_CHECKING:
    from recap.config import RecapConfig

STAGES: Final = (
    "collect",
    "label",
    "train-value",
    "mark-advantage",
    "train-policy",
    "evaluate",
)
"""The stages that come before a lap's page, in their order."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Lap:
    """What a finished lap has to show."""

    project: Project
    """Whose lap it is."""

    number: int
    """Which lap it is; 0 is imitation."""

    parts: tuple[int | None, ...]
    """The lap, after the pre-training (None) that this project made iteration 0 from."""

    evaluations: Mapping[int, Mapping[str, Any]]
    """How the policies of this lap and all before it did, in their order."""

    trainset: Trainset
    """Everything that the lap trained on."""

    marks: AdvantageTable | None
    """The marked frames; None for imitation that started from a base made elsewhere."""

    stages: Mapping[str, StageEntry]
    """What the manifest says about each stage, pre-training named as such."""

    @property
    def marked(self) -> int | None:
        """Where the marks lie, and the value model behind them."""
        return self.parts[0]

    def inputs(self) -> dict[str, str]:
        """Path inside the project -> content hash of everything that was read."""
        paths = [self.project.evaluation(number) for number in self.evaluations]
        if self.marks is not None:
            paths += [self.project.advantages(self.marked), self.project.value(self.marked)]
        return {
            self.project.relative(self.trainset.root): self.trainset.fingerprint,
            **{self.project.relative(path): content_hash(path) for path in paths},
        }


def read_lap(config: "RecapConfig", project: Project, *, number: int) -> Lap:
    """Read a lap that has been evaluated.

    Raises:
        ProjectError: If the lap or one before it has not been evaluated, or has no marks.
        FingerprintError: If something was made again since, but not what was made from it.
    """
    is_pretrained_here = number == 0 and config.base is None
    parts = (None, number) if is_pretrained_here else (number,)
    trainset = trainset_of(config, project, iteration=number)
    marks = None
    if number > 0 or is_pretrained_here:
        marks = AdvantageTable.load(project.advantages(parts[0]))
        marks.require(trainset.fingerprint)
    lap = Lap(
        project=project,
        number=number,
        parts=parts,
        evaluations={lap: _evaluation(project, lap) for lap in range(number + 1)},
        trainset=trainset,
        marks=marks,
        stages=_stages(project, parts),
    )
    _require_belonging(lap)
    return lap


def _evaluation(project: Project, number: int) -> Mapping[str, Any]:
    path = project.evaluation(number)
    if not path.exists():
        message = (
            f"{path} does not exist. "
            f"Run `recap evaluate --project={project.folder} --iteration={number}` first."
        )
        raise ProjectError(message)
    evaluation: Mapping[str, Any] = read_json(path)
    return evaluation


def _stages(project: Project, parts: tuple[int | None, ...]) -> dict[str, StageEntry]:
    entries = {}
    for part in parts:
        manifest = Manifest(project.manifest(part))
        for stage in STAGES:
            entry = manifest.entry(stage)
            if entry is not None:
                entries[stage if part is not None else f"pre-training, {stage}"] = entry
    return entries


def _require_belonging(lap: Lap) -> None:
    project = lap.project
    if lap.marks is not None:
        value, advantages = project.value(lap.marked), project.advantages(lap.marked)
        there, marked_with = content_hash(value), lap.marks.value_fingerprint
        if marked_with != there:
            message = (
                f"{advantages} was made with another value model ({marked_with}) than {value} "
                f"({there}). Delete the file and run `recap mark-advantage` again."
            )
            raise FingerprintError(message)
    measured = lap.evaluations[lap.number]["policy"]
    training = lap.stages.get("train-policy")
    trained = training.outputs.get(measured["path"]) if training else None
    if trained not in {None, measured["fingerprint"]}:
        message = (
            f"{project.evaluation(lap.number)} measured the policy {measured['fingerprint']}, but "
            f"{measured['path']} is {trained} now. Delete the file and run `recap evaluate` again."
        )
        raise FingerprintError(message)
