"""The numbers of one project, for the people around the robot."""

from __future__ import annotations

import threading
from collections import defaultdict
from typing import TYPE_CHECKING, Any

from data.verdicts import is_person
from recap.web.dashboard.attempts import Attempt, AttemptFigures
from recap.web.dashboard.changes import Changes
from recap.web.dashboard.files import FileReader
from recap.web.dashboard.readings import value_model
from recap.web.dashboard.schemas import (
    MOST_DISPUTED_SHOWN,
    DashboardOut,
    DisputedOut,
    EvaluationOut,
    IntervalOut,
    LapOut,
    ValueModelOut,
)
from recap.web.dashboard.steps import Seen, next_steps, project_as_typed

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from data.schema import EpisodeInfo
    from recap.web.dashboard.files import LapFiles, ProjectFiles, Summary
    from recap.web.dashboard.schemas import AttemptsOut
    from recap.web.desk import Desk
    from recap.web.desk.catalogue import Snapshot
    from recap.web.desk.judging import Standing

MOST_NAMED = 5
"""Damaged folders that are named on the page; the others are counted."""


class Dashboard:
    """Works the numbers out when something changed, and otherwise gives those it has.

    It is safe to use from many threads: one of them works, the others wait for its answer.
    """

    def __init__(self, desk: Desk) -> None:
        """Know nothing yet."""
        self._desk = desk
        self._files = FileReader(desk.project)
        self._figures = AttemptFigures()
        self._changes = Changes(desk.project)
        self._lock = threading.Lock()
        self._state: Any = None
        self._answer: DashboardOut | None = None

    def now(self) -> DashboardOut:
        """Give the numbers as they are now.

        Raises:
            ProjectError: If the store of verdicts cannot be read.
        """
        with self._lock:
            judging = self._desk.judging
            judging.refresh()
            snapshot = self._desk.catalogue.now
            state = (
                *(snapshot.revision, snapshot.pending, snapshot.damaged, snapshot.layout),
                *(judging.revision, self._files.state()),
            )
            if self._answer is None or state != self._state:
                self._answer = self._work_out(snapshot, judging.revision)
                self._state = state
            return self._answer

    def _work_out(self, snapshot: Snapshot, judged: int) -> DashboardOut:
        project, judging = self._desk.project, self._desk.judging
        fps = None if snapshot.layout is None else snapshot.layout.fps
        laps: defaultdict[int, list[Attempt]] = defaultdict(list)
        disputed: list[DisputedOut] = []
        for entry in snapshot.order:
            standing = judging.standing(entry.info.uid)
            laps[entry.info.iteration].append(Attempt(entry.info, standing.decision))
            if standing.decision.is_disputed and len(disputed) < MOST_DISPUTED_SHOWN:
                disputed.append(_disputed(entry.info, standing))
        needed = judging.rule.raters_needed
        attempts = {
            lap: self._figures.of(laps[lap], fps=fps, raters_needed=needed) for lap in sorted(laps)
        }
        files = self._files.read()
        waiting = sum(about.waiting for about in attempts.values())
        third_looks = sum(about.third_looks for about in attempts.values())
        seen = Seen(
            attempts=attempts,
            files=files,
            project=project_as_typed(project.folder),
            raters_needed=needed,
            changes=self._changes.since_training(
                files.laps, lambda uid: judging.standing(uid).decision.outcome
            ),
        )
        return DashboardOut(
            name=project.name,
            revision=snapshot.revision + judged,
            fps=fps,
            rule=judging.rule.rule,
            raters_needed=needed,
            episodes=len(snapshot.order),
            decided=len(snapshot.order) - waiting - third_looks,
            waiting=waiting,
            third_looks=third_looks,
            indexing=snapshot.pending,
            disputed=sum(about.disputed for about in attempts.values()),
            laps=_laps(attempts, files),
            value_models=_value_models(files, fps),
            disputed_episodes=disputed,
            next_steps=next_steps(seen),
            problems=[*_damaged(snapshot.damaged), *files.problems],
        )


def _laps(attempts: Mapping[int, AttemptsOut], files: ProjectFiles) -> list[LapOut]:
    shown = []
    for lap in sorted({*attempts, *(lap for lap in files.laps if lap is not None)}):
        left = files.laps.get(lap)
        has_report = left is not None and "report" in left.done
        about = LapOut(
            iteration=lap,
            attempts=attempts.get(lap),
            evaluation=_evaluation(left),
            report=f"/reports/{lap}" if has_report else None,
        )
        if about.attempts or about.evaluation or about.report:
            shown.append(about)
    return shown


def _evaluation(files: LapFiles | None) -> EvaluationOut | None:
    if files is None or files.evaluation is None:
        return None
    summary = files.evaluation.summary
    low, share, high = summary.success
    return EvaluationOut(
        episodes=summary.n,
        success=IntervalOut(low=low, point=share, high=high),
        successes_per_hour=_throughput(summary),
        median_steps_to_success=summary.median_steps_to_success,
    )


def _throughput(summary: Summary) -> IntervalOut | None:
    low, point, high = summary.successes_per_hour
    return None if point is None else IntervalOut(low=low, point=point, high=high)


def _value_models(files: ProjectFiles, fps: int | None) -> list[ValueModelOut]:
    ordered = sorted(files.laps.items(), key=lambda item: -1 if item[0] is None else item[0])
    return [
        value_model(left.metrics, iteration=lap, fps=fps)
        for lap, left in ordered
        if left.metrics is not None
    ]


def _disputed(info: EpisodeInfo, standing: Standing) -> DisputedOut:
    said = sorted(standing.verdicts.items())
    return DisputedOut(
        uid=info.uid,
        task=info.task,
        iteration=info.iteration,
        outcome=standing.decision.outcome,
        verdicts={rater: verdict for rater, verdict in said if is_person(rater)},
    )


def _damaged(names: Sequence[str]) -> list[str]:
    if not names:
        return []
    more = f" and {len(names) - MOST_NAMED:,} more" if len(names) > MOST_NAMED else ""
    shown = ", ".join(names[:MOST_NAMED])
    if len(names) == 1:
        return [f"The folder {shown} is not a whole episode, and counts nowhere."]
    return [f"{len(names):,} folders are not whole episodes, and count nowhere: {shown}{more}."]
