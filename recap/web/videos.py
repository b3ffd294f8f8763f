"""The videos of the episode store, in any stretch a player asks for (RFC 9110, chapters 13, 14)."""

import os
import re
from collections.abc import Mapping
from http import HTTPStatus
from typing import Annotated, Any, Final
from urllib.parse import quote

from fastapi import APIRouter, Path, Query, Request
from starlette.exceptions import HTTPException
from starlette.responses import Response

from data.schema import IMAGE_PREFIX
from recap.web.api.refusals import problems
from recap.web.desk import Desk
from recap.web.schemas import Problem, Uid
from recap.web.stretches import StretchResponse, open_inside

MEDIA_TYPE: Final = "video/mp4"

KEPT_FOR_EVER: Final = "private, max-age=31536000, immutable"
ASKED_AGAIN: Final = "private, no-cache"

# More digits than any file has bytes are not a range, so nobody can have us count them.
_RANGE: Final = re.compile(r"bytes=([0-9]{0,18})-([0-9]{0,18})")

_VERSION_DIGITS: Final = 16

_ANSWERS: Final[dict[int | str, dict[str, Any]]] = {
    200: {"content": {MEDIA_TYPE: {}}, "description": "The whole video."},
    206: {"content": {MEDIA_TYPE: {}}, "description": "The stretch that was asked for."},
    304: {"description": "The browser has it already."},
    **problems(HTTPStatus.NOT_FOUND, HTTPStatus.UNPROCESSABLE_ENTITY),
    416: {"model": Problem, "description": "The video ends before the stretch begins."},
}


def video_address(uid: str, camera: str, content_hash: str) -> str:
    """Return the address of one camera's video of one episode.

    Uids repeat between projects, and projects are served at the same address one after the other:
    the content hash keeps a browser from showing the video of another project.
    """
    return f"/videos/{uid}/{quote(camera, safe='')}.mp4?v={content_hash[:_VERSION_DIGITS]}"


def video_parts(uid: str, camera: str) -> tuple[str, ...]:
    """Return where a video lies below the episodes, name by name.

    `data.lerobot_format` says the same, but it needs pandas, which takes longer to import than
    the form may take to start.
    """
    return (uid, "videos", IMAGE_PREFIX + camera, "chunk-000", "file-000.mp4")


def stretch_asked(value: str, size: int) -> tuple[int, int] | None:
    """Read a Range header.

    Args:
        value: The header, for example ``bytes=0-1023``, ``bytes=1024-`` or ``bytes=-500``.
        size: Bytes of the file.

    Returns:
        ``[start, stop)``; empty if nothing of it lies inside the file; None if the header is to
        be ignored and the whole file sent, as several ranges are, and what is not a range.
    """
    found = _RANGE.fullmatch(value.strip())
    if found is None or found.groups() == ("", ""):
        return None
    first, last = found.groups()
    if not first:
        start = max(size - int(last), 0)
        return start, size
    start = int(first)
    if last and int(last) < start:
        return None
    stop = min(int(last) + 1, size) if last else size
    return (start, stop) if start < stop else (size, size)


def make_router(desk: Desk) -> APIRouter:
    """Make the routes of the videos."""
    router = APIRouter(tags=["videos"])

    @router.get(
        "/videos/{uid}/{camera}.mp4",
        response_class=Response,
        responses=_ANSWERS,
        name="one camera's video of one episode",
    )
    def video(
        request: Request,
        uid: Annotated[Uid, Path()],
        camera: Annotated[str, Path(max_length=200)],
        v: Annotated[str, Query(max_length=64)] = "",
    ) -> Response:
        """Send a video or a stretch of it."""
        entry, layout = desk.catalogue.find(uid), desk.catalogue.layout
        if entry is None or layout is None:
            raise HTTPException(HTTPStatus.NOT_FOUND, "There is no episode of this name.")
        if camera not in layout.cameras:
            raise HTTPException(HTTPStatus.NOT_FOUND, "There is no camera of this name.")
        try:
            handle = open_inside(desk.project.episodes, video_parts(uid, camera))
        except FileNotFoundError:
            words = "The video of this camera is missing."
            raise HTTPException(HTTPStatus.NOT_FOUND, words) from None
        # A name that carries the content's hash means the same bytes for ever; another does not.
        is_versioned = v == entry.content_hash[:_VERSION_DIGITS]
        headers = {
            "ETag": f'"{entry.content_hash}"',
            "Accept-Ranges": "bytes",
            "Cache-Control": KEPT_FOR_EVER if is_versioned else ASKED_AGAIN,
        }
        return _answer(request, handle, headers)

    router.add_api_route(
        "/videos/{uid}/{camera}.mp4", video, methods=["HEAD"], include_in_schema=False
    )
    return router


def _answer(request: Request, handle: int, headers: Mapping[str, str]) -> Response:
    """Choose between the whole file, a stretch, nothing new, and nothing there."""
    size = os.fstat(handle).st_size
    tag = headers["ETag"]
    if _has_it_already(request.headers.get("if-none-match"), tag):
        os.close(handle)
        return Response(status_code=HTTPStatus.NOT_MODIFIED, headers=headers)
    if request.method == "HEAD":  # which has no ranges
        os.close(handle)
        told = {**headers, "Content-Length": str(size)}
        return Response(status_code=HTTPStatus.OK, headers=told, media_type=MEDIA_TYPE)
    stretch = None
    # If-Range with another tag means: the part I have is of another file, so send all of it.
    if request.headers.get("if-range", tag) == tag:
        stretch = stretch_asked(request.headers.get("range", ""), size)
    if stretch is None:
        return StretchResponse(
            handle,
            start=0,
            stop=size,
            status=HTTPStatus.OK,
            headers=headers,
            media_type=MEDIA_TYPE,
        )
    start, stop = stretch
    if start == stop:
        os.close(handle)
        raise HTTPException(
            HTTPStatus.REQUESTED_RANGE_NOT_SATISFIABLE,
            f"The video has {size} bytes; it ends before the stretch begins.",
            headers={"Content-Range": f"bytes */{size}", "Accept-Ranges": "bytes"},
        )
    return StretchResponse(
        handle,
        start=start,
        stop=stop,
        status=HTTPStatus.PARTIAL_CONTENT,
        headers={**headers, "Content-Range": f"bytes {start}-{stop - 1}/{size}"},
        media_type=MEDIA_TYPE,
    )


def _has_it_already(if_none_match: str | None, tag: str) -> bool:
    if if_none_match is None:
        return False
    known = {part.strip().removeprefix("W/") for part in if_none_match.split(",")}
    return tag in known or "*" in known
