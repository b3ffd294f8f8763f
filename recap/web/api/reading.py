"""What the form reads from its server: the project, the queue, one episode, how far it is."""

import hashlib
import json
from http import HTTPStatus
from typing import Annotated

from fastapi import APIRouter, HTTPException, Query
from fastapi import Path as InPath

from data.criteria import Criteria
from data.errors import EpisodeError
from data.schema import Layout, Pilot
from data.verdicts import DecisionRule
from recap.web.api.cards import card, card_fields, judgement_out
from recap.web.api.refusals import problems, require_entry
from recap.web.api.verdicts import MOST_LINES, VerdictApi
from recap.web.desk import Desk
from recap.web.desk.catalogue import Entry
from recap.web.desk.queue import QueueOrder, Traits, behind
from recap.web.desk.timeline import read_pilots, segments
from recap.web.desk.totals import Totals
from recap.web.schemas import (
    MOST_QUEUED,
    AgreementOut,
    Camera,
    CriteriaOut,
    Criterion,
    EpisodeDetail,
    JudgementOut,
    OutcomeFilter,
    Progress,
    ProjectOut,
    Queue,
    RaterName,
    Segment,
    Uid,
)
from recap.web.videos import video_address

MOST_TASK_CHARACTERS = 2000
MOST_ITERATION = 10**9

EpisodeUid = Annotated[Uid, InPath(description="The episode.")]
Rater = Annotated[RaterName | None, Query(description="The person who asks.")]
Task = Annotated[
    str | None, Query(max_length=MOST_TASK_CHARACTERS, description="The instruction in words.")
]
Iteration = Annotated[
    int | None, Query(ge=0, le=MOST_ITERATION, description="The lap it was recorded in.")
]
InControl = Annotated[Pilot | None, Query(description="Who was in control of at least one frame.")]
Corrected = Annotated[bool | None, Query(description="Whether somebody corrected the policy.")]
RaterNamed = Annotated[RaterName, Query(description="The person.")]
Before = Annotated[
    int | None, Query(ge=1, le=MOST_LINES, description="Only a line that is older than this one.")
]
After = Annotated[
    Uid | None, Query(description="Go on behind this episode; one that is gone is ignored.")
]
Limit = Annotated[int, Query(ge=1, le=MOST_QUEUED, description="How many to list at most.")]


def make_router(desk: Desk) -> APIRouter:
    """Return every address under ``/api`` that belongs to judging."""
    router = APIRouter(prefix="/api", tags=["judging"])
    reading = ReadingApi(desk)
    not_found, unfit = HTTPStatus.NOT_FOUND, HTTPStatus.UNPROCESSABLE_ENTITY
    for path, answer, refused in (
        ("/project", reading.project, problems()),
        ("/queue", reading.queue, problems(unfit)),
        ("/episodes/{uid}", reading.episode, problems(not_found, unfit)),
        ("/progress", reading.progress, problems(unfit)),
        ("/newest", reading.newest, problems(unfit)),
        ("/agreement", reading.agreement, problems()),
    ):
        router.add_api_route(path, answer, methods=["GET"], responses=refused)
    VerdictApi(desk).add_to(router)
    return router


class ReadingApi:
    """Answers the questions of the form. Its methods run in threads, as they touch the disk."""

    def __init__(self, desk: Desk) -> None:
        """Answer from what is on a desk."""
        self._desk = desk
        self._order = QueueOrder()
        self._totals = Totals(desk.catalogue, desk.judging)

    def project(self) -> ProjectOut:
        """Say what holds for every episode of the project."""
        now, layout = self._desk.catalogue.now, self._desk.catalogue.layout
        rule = self._desk.judging.rule
        return ProjectOut(
            id=self._desk.project_id,
            name=self._desk.project.name,
            fps=None if layout is None else layout.fps,
            cameras=[] if layout is None else _cameras(layout),
            tasks=sorted({entry.info.task for entry in now.order}),
            iterations=sorted({entry.info.iteration for entry in now.order}),
            criteria=self._criteria(),
            rule=rule.rule,
            raters_needed=rule.raters_needed,
        )

    def queue(  # noqa: PLR0913 - one argument for each filter, as the address has them
        self,
        *,
        rater: Rater = None,
        show: OutcomeFilter = OutcomeFilter.UNJUDGED,
        task: Task = None,
        iteration: Iteration = None,
        pilot: InControl = None,
        corrected: Corrected = None,
        after: After = None,
        limit: Limit = 20,
    ) -> Queue:
        """List episodes in the order to judge them: newest iteration first, busy ones last."""
        desk, now = self._desk, self._desk.catalogue.now
        desk.judging.refresh()
        others = desk.presence.others(rater)
        # What a person has on the screen does not move under their hands.
        busy = others.keys() - {desk.presence.seen_by(rater)}
        traits = Traits(task=task, iteration=iteration, pilot=pilot, is_corrected=corrected)
        fitting = self._order.select(
            now, desk.judging, show=show, traits=traits, rater=rater, busy=busy
        )
        last = None if after is None else desk.catalogue.find(after)
        shown = behind(fitting, None if last is None else last.info, now=now, busy=busy)[:limit]
        return Queue(
            episodes=[
                card(
                    now.entries[uid],
                    desk.judging.standing(uid),
                    rater=rater,
                    looked_at_by=others.get(uid, ()),
                )
                for uid in shown
            ],
            total=len(fitting),
        )

    def episode(self, uid: EpisodeUid, *, rater: Rater = None) -> EpisodeDetail:
        """Tell everything about one episode."""
        desk = self._desk
        entry = require_entry(desk, uid)
        layout = desk.catalogue.layout
        if layout is None:
            detail = "The description of the cameras, layout.json, is missing or damaged."
            raise HTTPException(HTTPStatus.NOT_FOUND, detail)
        desk.judging.refresh()
        standing = desk.judging.standing(uid)
        others = desk.presence.others(rater).get(uid, ())
        return EpisodeDetail(
            **card_fields(entry, standing, rater=rater, looked_at_by=others),
            videos={
                camera: video_address(uid, camera, entry.content_hash) for camera in layout.cameras
            },
            fps=layout.fps,
            segments=self._segments(entry),
            marks=desk.marks.marks(entry.info),
            success_frame=standing.decision.success_frame,
            history=[
                judgement_out(line, is_standing=stands)
                for line, stands in desk.judging.history(uid)
            ],
        )

    def progress(self, *, rater: Rater = None) -> Progress:
        """Say how far the judging is. It is cheap, and meant to be asked every few seconds."""
        judging, now = self._desk.judging, self._desk.catalogue.now
        judging.refresh()
        counts = self._totals.counts()
        return Progress(
            project_id=self._desk.project_id,
            settings=_settings(judging.rule, judging.criteria),
            revision=now.revision + judging.revision,
            episodes=len(now.entries),
            indexing=now.pending,
            damaged=list(now.damaged),
            unjudged=counts.unjudged,
            decided_by_simulator=counts.by_simulator,
            disputed=counts.disputed,
            yours=0 if rater is None else judging.count_by(rater),
            yours_per_hour=None if rater is None else judging.pace(rater),
        )

    def newest(self, *, rater: RaterNamed, before: Before = None) -> JudgementOut | None:
        """Tell the newest standing verdict of a person, wherever they gave it; null for none."""
        self._desk.judging.refresh()
        line = self._desk.judging.newest_by(rater, before=before)
        return None if line is None else judgement_out(line, is_standing=True)

    def agreement(self) -> AgreementOut:
        """Say how far people agree beyond chance, and what they judged differently."""
        self._desk.judging.refresh()
        return self._totals.agreement()

    def _criteria(self) -> CriteriaOut | None:
        criteria = self._desk.judging.criteria
        if criteria is None:
            return None
        return CriteriaOut(
            version=criteria.version,
            needed=criteria.needed,
            items=[
                Criterion(name=name, question=question)
                for name, question in criteria.questions.items()
            ],
        )

    def _segments(self, entry: Entry) -> list[Segment]:
        uid = entry.info.uid
        try:
            return segments(entry.info, read_pilots(self._desk.project.episodes / uid))
        except EpisodeError as error:
            detail = f"Attempt '{uid}' cannot be shown: its table of frames is missing or damaged."
            raise HTTPException(HTTPStatus.NOT_FOUND, detail) from error


def _settings(rule: DecisionRule, criteria: Criteria | None) -> str:
    """Return a name for how verdicts are given and counted, so that a page sees it change."""
    version = "" if criteria is None else criteria.version
    needed = 0 if criteria is None else criteria.needed
    told = json.dumps([rule.rule, rule.raters_needed, version, needed])
    return hashlib.sha256(told.encode()).hexdigest()[:16]


def _cameras(layout: Layout) -> list[Camera]:
    return [
        Camera(name=name, height=height, width=width)
        for name, (height, width) in layout.cameras.items()
    ]
