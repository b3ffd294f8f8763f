"""Judge the attempts that nobody has judged.

Reads: ``episodes/`` of the lap.
Writes: judgements in ``outcomes.db``; those that are there stay. An attempt that the rater cannot
judge stays unjudged: absence is not a failure. An interrupted attempt is never judged here: what
cut it short says nothing about the policy.
"""

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

from data.errors import ConfigError
from recap.progress import ProgressFactory
from recap.project import Project

if TYPE_CHECKING:
    from recap.config import RecapConfig

RATERS = ("simulator",)


@dataclass(frozen=True, slots=True, kw_only=True)
class LabelConfig:
    """Settings of the judging."""

    rater: str = "simulator"
    """Who judges; the simulator says what the world itself measured."""

    def __post_init__(self) -> None:
        """Refuse a rater that does not exist."""
        if self.rater not in RATERS:
            message = f"label.rater must be one of {', '.join(RATERS)}, got {self.rater}."
            raise ConfigError(message)


@dataclass(frozen=True, slots=True, kw_only=True)
class LabelReport:
    """What was judged."""

    inputs: Mapping[str, str]
    outputs: Mapping[str, str]
    episodes: int
    successes: int
    unjudged: int
    left_out: int

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
    """Judge the attempts of one lap."""
    from data.episodes import EpisodeStore
    from data.outcomes import OutcomeStore
    from data.schema import Ending, Outcome
    from recap.trainsets import recorded_layout

    store = EpisodeStore(project.episodes, recorded_layout(project))
    outcomes = OutcomeStore(project.outcomes)
    attempts = [info for info in store.infos() if info.iteration == iteration]
    known = outcomes.latest()

    new = [
        (info.uid, Outcome.SUCCESS if info.measured_success else Outcome.FAILURE)
        for info in attempts
        if info.uid not in known
        and info.measured_success is not None
        and info.ending is not Ending.INTERRUPTED
    ]

    outcomes.judge_many(new, rater=config.label.rater)
    progress("label").update(len(new), len(new))
    verdicts = {i.uid: known[i.uid] for i in attempts if i.uid in known} | dict(new)
    outcomes.close()
    episodes = {project.relative(store.root / i.uid): store.content_hash(i.uid) for i in attempts}
    counted = [
        info.uid
        for info in attempts
        if info.ending is not Ending.INTERRUPTED and verdicts.get(info.uid) is not Outcome.DISCARD
    ]
    return LabelReport(
        inputs=episodes,
        outputs={project.relative(project.outcomes): _fingerprint(verdicts)},
        episodes=len(attempts),
        successes=sum(verdicts.get(uid) is Outcome.SUCCESS for uid in counted),
        unjudged=sum(uid not in verdicts for uid in counted),
        left_out=len(attempts) - len(counted),
    )


def _fingerprint(verdicts: Mapping[str, str]) -> str:
    """Name the verdicts of one lap by their content; who gave them and when does not count."""
    lines = [f"{uid} {verdict}" for uid, verdict in sorted(verdicts.items())]
    return hashlib.sha256("\n".join(lines).encode()).hexdigest()
