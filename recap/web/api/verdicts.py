"""What the form sends to its server: verdicts, withdrawals, looks; and the verdicts as files."""

from http import HTTPStatus
from typing import Annotated, Any

from fastapi import APIRouter, Response
from fastapi import Path as InPath

from data.judgement_batch import NewJudgement
from data.verdict_files import csv_bytes, parquet_bytes
from recap.web.api.cards import judgement_out
from recap.web.api.refusals import problems, require_entry, require_project, told
from recap.web.desk import Desk
from recap.web.desk.judging import Added
from recap.web.schemas import JudgementOut, LookIn, Uid, VerdictIn, WithdrawalIn

MOST_LINES = 2**53 - 1  # the largest whole number that JavaScript holds

EpisodeUid = Annotated[Uid, InPath(description="The episode.")]
LineId = Annotated[int, InPath(ge=1, le=MOST_LINES, description="The verdict to take back.")]

_CSV = "text/csv"
_PARQUET = "application/vnd.apache.parquet"
_NOT_FOUND, _UNFIT = HTTPStatus.NOT_FOUND, HTTPStatus.UNPROCESSABLE_ENTITY
_SAID_BEFORE: dict[int | str, dict[str, Any]] = {
    200: {"model": JudgementOut, "description": "The same request came before; this is its line."}
}


class VerdictApi:
    """Takes the verdicts. Its methods run in threads, as they wait for the disk."""

    def __init__(self, desk: Desk) -> None:
        """Take them for what is on a desk."""
        self._desk = desk

    def add_to(self, router: APIRouter) -> None:
        """Give the addresses to a router."""
        of_their_own = (_NOT_FOUND, HTTPStatus.CONFLICT, HTTPStatus.MISDIRECTED_REQUEST, _UNFIT)
        refused = problems(*of_their_own, has_body=True)
        for path, take in (
            ("/episodes/{uid}/verdicts", self.judge),
            ("/verdicts/{id}/withdrawal", self.withdraw),
        ):
            router.add_api_route(
                path,
                take,
                methods=["POST"],
                status_code=HTTPStatus.CREATED,
                responses=_SAID_BEFORE | refused,
            )
        router.add_api_route(
            "/episodes/{uid}/look",
            self.look,
            methods=["POST"],
            status_code=HTTPStatus.NO_CONTENT,
            responses=problems(_NOT_FOUND, _UNFIT, has_body=True),
        )
        for suffix, kind, download in (
            ("csv", _CSV, self.csv),
            ("parquet", _PARQUET, self.parquet),
        ):
            router.add_api_route(
                f"/verdicts.{suffix}",
                download,
                methods=["GET"],
                response_class=Response,
                responses=problems() | {200: {"content": {kind: {}}, "description": "The file."}},
            )

    def judge(self, uid: EpisodeUid, verdict: VerdictIn, response: Response) -> JudgementOut:
        """Add a verdict. It is on the disk when this is answered, and nothing is overwritten."""
        require_project(self._desk, verdict.project_id)
        entry = require_entry(self._desk, uid)
        new = NewJudgement(
            episode_uid=uid,
            rater=verdict.rater,
            verdict=verdict.verdict,
            note=verdict.note,
            success_frame=verdict.success_frame,
            answers=verdict.answers,
            criteria_version=verdict.criteria_version,
            request_id=verdict.request_id,
        )
        with told():
            added = self._desk.judging.add(new, frames=entry.info.frames)
        return self._answer(added, response)

    def withdraw(self, id: LineId, wish: WithdrawalIn, response: Response) -> JudgementOut:  # noqa: A002 - the name in the address
        """Take a verdict of one's own back; the one before it stands again."""
        require_project(self._desk, wish.project_id)
        with told():
            added = self._desk.judging.withdraw(id, rater=wish.rater, request_id=wish.request_id)
        return self._answer(added, response)

    def look(self, uid: EpisodeUid, look: LookIn) -> None:
        """Note that somebody has an episode on the screen, for a minute and a half."""
        require_entry(self._desk, uid)
        self._desk.presence.look(look.rater, uid)

    def csv(self) -> Response:
        """Return every line, withdrawals included, as CSV."""
        return _file(csv_bytes(self._desk.judging.lines()), kind=_CSV, name="verdicts.csv")

    def parquet(self) -> Response:
        """Return every line, withdrawals included, as parquet."""
        content = parquet_bytes(self._desk.judging.lines())
        return _file(content, kind=_PARQUET, name="verdicts.parquet")

    def _answer(self, added: Added, response: Response) -> JudgementOut:
        if not added.is_new:
            response.status_code = HTTPStatus.OK
        stands = self._desk.judging.is_standing(added.line)
        return judgement_out(added.line, is_standing=stands)


def _file(content: bytes, *, kind: str, name: str) -> Response:
    headers = {"Content-Disposition": f'attachment; filename="{name}"'}
    return Response(content, media_type=kind, headers=headers)
