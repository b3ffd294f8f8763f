"""Settle the outcome of a lap's attempts: let the simulator judge them, or wait for people.

Reads: ``episodes/`` of the lap, and the judgements that there are.
Writes: judgements in ``outcomes.db``; those that are there stay. An attempt that the simulator
cannot judge stays unjudged: absence is not a failure. An interrupted attempt is never judged here:
what cut it short says nothing about the policy.

Where people judge, the simulator says nothing, and the stage is never done: verdicts may change as
long as anybody has something to say. What was trained on others stays as it is, under the name of
the training set that it was made from, and is told of.
"""

import hashlib
from collections.abc import Iterator, Mapping
from contextlib import closing
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

from data.criteria import Criteria
from data.errors import ConfigError, UnjudgedError
from data.verdicts import SIMULATOR, DecisionRule, Rule
from recap.judgements import open_outcomes, read_decisions, where_judgements_are
from recap.manifest import Manifest
from recap.progress import ProgressFactory
from recap.project import Project

if TYPE_CHECKING:
    from data.schema import EpisodeInfo, Outcome
    from data.verdicts import Decision
    from recap.config import RecapConfig

PEOPLE = "people"
RATERS = (SIMULATOR, PEOPLE)


@dataclass(frozen=True, slots=True, kw_only=True)
class LabelConfig:
    """Settings of the judging."""

    rater: str = SIMULATOR
    """Who judges: the simulator, which says what the world itself measured, or people."""

    rule: str = Rule.LATEST.value
    """How several verdicts become one outcome: latest, majority or unanimous."""

    raters_needed: int = 1
    """How many people must have judged an attempt before it has an outcome."""

    criteria: dict[str, str] = field(default_factory=dict)
    """A checklist for those who judge: the name of each criterion and the question it asks."""

    criteria_needed: int | None = None
    """How many criteria must be met for a success; null for all of them."""

    trim_after_success: bool = False
    """Whether to leave the frames after the moment of success out of training."""

    database_url: str = field(default="", repr=False)
    """A database for the judgements, as postgresql://anna@server/recap; empty for the one that the
    project uses, at first its own file. Also --database-url."""

    file: Path | None = None
    """The file of verdicts, .csv or .parquet, to write or to read. Also --to and --from."""

    def __post_init__(self) -> None:
        """Refuse raters and rules that do not exist, and a checklist that decides nothing."""
        for name, known in (("rater", RATERS), ("rule", tuple(Rule))):
            value = getattr(self, name)
            if value not in known:
                message = f"label.{name} must be one of {', '.join(known)}, got {value}."
                raise ConfigError(message)
        if self.raters_needed < 1:
            message = f"label.raters_needed must be at least 1 person, got {self.raters_needed}."
            raise ConfigError(message)
        if self.criteria_needed is not None and not self.criteria:
            message = "label.criteria_needed counts criteria, and label.criteria names none."
            raise ConfigError(message)
        _ = self.checklist  # refuses questions that are empty, and a count that cannot be

    @property
    def decision_rule(self) -> DecisionRule:
        """How verdicts become outcomes."""
        return DecisionRule(rule=Rule(self.rule), raters_needed=self.raters_needed)

    @property
    def checklist(self) -> Criteria | None:
        """What those who judge are asked; None without criteria."""
        if not self.criteria:
            return None
        needed = len(self.criteria) if self.criteria_needed is None else self.criteria_needed
        return Criteria(questions=dict(self.criteria), needed=needed)


@dataclass(frozen=True, slots=True, kw_only=True)
class LabelReport:
    """What was judged."""

    inputs: Mapping[str, str]
    outputs: Mapping[str, str]
    episodes: int
    successes: int
    unjudged: int
    left_out: int
    warnings: tuple[str, ...]

    def headline(self) -> str:
        """Say how many attempts count as successes."""
        judged = self.episodes - self.unjudged - self.left_out
        unjudged = f", {self.unjudged} left unjudged" if self.unjudged else ""
        left_out = f", {self.left_out} discarded or interrupted" if self.left_out else ""
        return f"{self.successes} of {judged} episodes are successes{unjudged}{left_out}"


def run(
    config: "RecapConfig",
    project: Project,
    *,
    iteration: int | None,
    progress: ProgressFactory,
) -> LabelReport:
    """Settle the outcomes of one lap.

    Raises:
        UnjudgedError: If attempts wait for people, and are not to be left out.
    """
    from data.episodes import EpisodeStore
    from data.schema import Ending, Outcome
    from recap.trainsets import recorded_layout

    settings = config.label
    store = EpisodeStore(project.episodes, recorded_layout(project))
    attempts = [info for info in store.infos() if info.iteration == iteration]
    if settings.rater == SIMULATOR:
        judged = _let_simulator_judge(config, project, attempts)
        progress("label").update(judged, judged)
    decisions = read_decisions(project, settings.decision_rule, settings.database_url)

    outcomes = {uid: d.outcome for uid, d in decisions.items() if d.outcome is not None}
    counted = [
        info.uid
        for info in attempts
        if info.ending is not Ending.INTERRUPTED and outcomes.get(info.uid) is not Outcome.DISCARD
    ]
    waiting = [uid for uid in counted if uid not in outcomes]
    if settings.rater == PEOPLE and waiting and not config.skip_unjudged:
        raise _still_waiting(config, waiting, decisions, iteration=iteration)
    verdicts = {info.uid: outcomes[info.uid] for info in attempts if info.uid in outcomes}
    return LabelReport(
        inputs={project.relative(store.root / i.uid): store.content_hash(i.uid) for i in attempts},
        outputs={project.relative(where_judgements_are(project)): _fingerprint(verdicts)},
        episodes=len(attempts),
        successes=sum(outcomes.get(uid) is Outcome.SUCCESS for uid in counted),
        unjudged=len(waiting),
        left_out=len(attempts) - len(counted),
        warnings=tuple(_changes_since_training(project, outcomes, iteration=iteration)),
    )


def _let_simulator_judge(
    config: "RecapConfig", project: Project, attempts: "list[EpisodeInfo]"
) -> int:
    """Say what the world measured of the attempts that nobody has judged; return how many."""
    from data.schema import Ending, Outcome

    settings = config.label
    with closing(open_outcomes(project, settings.database_url)) as outcomes:
        # Also what is undecided was judged: by somebody, who knows better than the simulator.
        known = outcomes.decisions(settings.decision_rule)
        new = [
            (info.uid, Outcome.SUCCESS if info.measured_success else Outcome.FAILURE)
            for info in attempts
            if info.uid not in known
            and info.measured_success is not None
            and info.ending is not Ending.INTERRUPTED
        ]
        outcomes.judge_many(new, rater=SIMULATOR)
    return len(new)


def _still_waiting(
    config: "RecapConfig",
    waiting: list[str],
    decisions: "Mapping[str, Decision]",
    *,
    iteration: int | None,
) -> UnjudgedError:
    undecided = sum(uid in decisions for uid in waiting)
    told = f", {undecided} of them have verdicts that do not decide yet" if undecided else ""
    return UnjudgedError(
        f"{len(waiting)} attempt(s) of iteration {iteration} wait for people to judge them{told}. "
        f"Open the form with `recap label --project={config.project}`; when they are judged, type "
        f"the same command again. To go on without them: `--skip_unjudged=true`."
    )


def _changes_since_training(
    project: Project, outcomes: "Mapping[str, Outcome]", *, iteration: int | None
) -> Iterator[str]:
    """Tell of verdicts that are others now than those that something of the lap was trained on."""
    from data.trainset import Trainset

    for root in sorted(_trained_on(project, iteration)):
        if not root.is_dir():
            continue
        episodes = Trainset.open(root).episodes
        changed = sum(outcomes.get(episode.info.uid) is not episode.outcome for episode in episodes)
        if changed:
            yield (
                f"{changed} verdict(s) changed since iteration {iteration} was trained on "
                f"{project.relative(root)}. What was made from it stays. To make it again, delete "
                f"the lap's value, advantages.parquet and policy and type `recap iterate`, or the "
                f"stages one by one."
            )


def _trained_on(project: Project, iteration: int | None) -> set[Path]:
    """Find the training sets that the stages of a lap read, pre-training with the first."""
    laps = [iteration] if iteration else [None, iteration]
    paths: set[str] = set()
    for lap in laps:
        manifest = Manifest(project.manifest(lap))
        for stage in ("train-value", "train-policy"):
            entry = manifest.entry(stage)
            if entry is not None:
                paths |= {*entry.inputs, *entry.outputs}
    return {p for path in paths if (p := project.folder / path).parent == project.trainsets}


def _fingerprint(verdicts: Mapping[str, str]) -> str:
    """Name the verdicts of one lap by their content; who gave them and when does not count."""
    lines = [f"{uid} {verdict}" for uid, verdict in sorted(verdicts.items())]
    return hashlib.sha256("\n".join(lines).encode()).hexdigest()
