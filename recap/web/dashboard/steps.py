"""What is missing in a project, and what to click or type about it."""

from __future__ import annotations

import shlex
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from recap.web.dashboard.schemas import StepOut

if TYPE_CHECKING:
    from pathlib import Path

    from recap.web.dashboard.changes import Change
    from recap.web.dashboard.files import LapFiles, ProjectFiles
    from recap.web.dashboard.schemas import AttemptsOut

PURPOSES: Final[Mapping[str, str]] = {
    "pretrain": "pre-train the value model and the policy that every iteration starts from",
    "collect": "collect the attempts of iteration {lap}",
    "train-value": "train the value model of iteration {lap}",
    "mark-advantage": "mark the frames of iteration {lap} positive or negative",
    "train-policy": "train the policy of iteration {lap}",
    "evaluate": "measure the policy of iteration {lap} on the held-out worlds",
    "report": "make the report of iteration {lap}",
}
"""What each command is for."""

PRETRAINING: Final = ("train-value", "mark-advantage", "train-policy")
IMITATION: Final = ("train-policy", "evaluate", "report")
LAP: Final = ("train-value", "mark-advantage", *IMITATION)
"""The stages that come after the attempts of pre-training, of iteration 0 and of the others are
judged, in their order."""

MOST_LAPS_NAMED: Final = 3
"""Laps with waiting attempts that get a line of their own."""

MOST_CHANGES_NAMED: Final = 2
"""Training sets with changed verdicts that get a line."""

IN_SIMULATION: Final = frozenset({"evaluate", "report"})
"""Stages that a project whose attempts are a robot's does not have."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Seen:
    """What the page knows of a project when it asks what is missing."""

    attempts: Mapping[int, AttemptsOut]
    """Lap to its attempts; a lap without any is absent."""

    files: ProjectFiles
    """What the laps left on disk."""

    project: str
    """The project as one types it."""

    raters_needed: int = 1
    """How many people must have judged an attempt before it is decided."""

    changes: Sequence[Change] = ()
    """What was trained on verdicts that are others now."""


def next_steps(seen: Seen) -> list[StepOut]:
    """List what is missing, what comes first at the beginning.

    Judging comes before everything, newest lap first, as the form shows it: what trains refuses
    episodes that nobody judged. After that comes the first stage that the newest lap lacks, or
    the next lap's attempts where it lacks none.
    """
    if not seen.attempts:
        text = "Nothing has been recorded yet. Begin with demonstrations."
        return [StepOut(text=text, link=None, command=_command("collect", seen, 0))]
    waiting = {lap: about.waiting for lap, about in seen.attempts.items() if about.waiting}
    newest_first = sorted(waiting.items(), reverse=True)
    needed = seen.raters_needed
    steps = [_judge(count, needed, lap) for lap, count in newest_first[:MOST_LAPS_NAMED]]
    if earlier := newest_first[MOST_LAPS_NAMED:]:
        steps.append(_judge(sum(count for _, count in earlier), needed))
    third_looks = sum(about.third_looks for about in seen.attempts.values())
    decided_disputes = sum(about.disputed_decided for about in seen.attempts.values())
    if third_looks:
        steps.append(_look_again(third_looks))
    later = [_look_back(decided_disputes)] if decided_disputes else []
    later += [_changed(change) for change in seen.changes[:MOST_CHANGES_NAMED]]
    return [*steps, _stage(seen, is_after_judging=bool(steps)), *later]


def project_as_typed(folder: Path) -> str:
    """Return a project's folder as a command takes it, without telling where it lies.

    A folder that was given with its whole path becomes its name behind three dots.
    """
    if folder.is_absolute() or ".." in folder.parts:
        return f".../{folder.resolve().name}"
    return folder.as_posix()


def _judge(count: int, needed: int, lap: int | None = None) -> StepOut:
    """Ask for verdicts on the attempts of one lap; without it, of all the others."""
    noun, waits = ("attempt", "waits") if count == 1 else ("attempts", "wait")
    whose = "earlier iterations" if lap is None else f"iteration {lap}"
    link = "/label?show=unjudged" + ("" if lap is None else f"&iteration={lap}")
    text = f"{count:,} {noun} of {whose} {waits} for a verdict."
    if needed > 1:
        # A queue is one person's: what they judged already waits for the others.
        text += f" Each needs {needed} people; you are shown those that you have not judged."
    return StepOut(text=text, link=link, command=None)


def _look_again(third_looks: int) -> StepOut:
    """Ask for another person where enough people judged, and disagree."""
    said = "attempt is" if third_looks == 1 else "attempts are"
    text = (
        f"{third_looks:,} {said} undecided, as those who judged disagree: take a third look, or "
        f"talk it over."
    )
    return StepOut(text=text, link="/label?show=disputed", command=None)


def _look_back(disputed: int) -> StepOut:
    """Tell of what the rule decided although people disagree."""
    said, counts = ("attempt is", "counts") if disputed == 1 else ("attempts are", "count")
    text = (
        f"{disputed:,} {said} judged differently by different people and {counts} as the rule "
        f"says: look again where you doubt it."
    )
    return StepOut(text=text, link="/label?show=disputed", command=None)


def _changed(change: Change) -> StepOut:
    """Tell of verdicts that came after what was trained on others."""
    verdicts = "verdict" if change.verdicts == 1 else "verdicts"
    laps = [
        "pre-training" if lap is None else f"the training of iteration {lap}" for lap in change.laps
    ]
    named = " and ".join([*([", ".join(laps[:-1])] if laps[1:] else []), laps[-1]])
    text = (
        f"{change.verdicts:,} {verdicts} changed since {named}. What was made from "
        f"them stays; to make it again, delete the lap's value, advantages.parquet and policy and "
        f"run its stages again."
    )
    return StepOut(text=text, link=None, command=None)


def _stage(seen: Seen, *, is_after_judging: bool) -> StepOut:
    command, lap = _next_command(seen)
    begins = "Then " if is_after_judging else ""
    purpose = begins + PURPOSES[command].format(lap=lap)
    text = f"{purpose[:1].upper()}{purpose[1:]}."
    begun_in = seen.files.laps.get(None if command == "pretrain" else lap)
    stages = PRETRAINING if command == "pretrain" else (command,)
    if begun_in is not None and begun_in.begun.intersection(stages):
        text += " It was begun already: it is at work, or it was stopped and goes on from there."
    return StepOut(text=text, link=None, command=_command(command, seen, lap))


def _next_command(seen: Seen) -> tuple[str, int]:
    """Find the first stage that the newest lap lacks; else the attempts of the next one."""
    files = seen.files
    newest = max([*seen.attempts, *(lap for lap in files.laps if lap is not None)])
    if newest == 0 and not files.has_base and _missing(PRETRAINING, files.laps.get(None)):
        return "pretrain", 0
    if newest not in seen.attempts:
        return "collect", newest
    stages: Sequence[str] = IMITATION if newest == 0 else LAP
    if files.has_robot:
        stages = [stage for stage in stages if stage not in IN_SIMULATION]
    missing = _missing(stages, files.laps.get(newest))
    return (missing[0], newest) if missing else ("collect", newest + 1)


def _missing(stages: Sequence[str], files: LapFiles | None) -> list[str]:
    return [stage for stage in stages if files is None or stage not in files.done]


def _command(name: str, seen: Seen, lap: int) -> str:
    typed = f"recap {name} --project={shlex.quote(seen.project)}"
    return typed if name == "pretrain" else f"{typed} --iteration={lap}"
