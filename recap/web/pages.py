"""The pages for people, the files they are made of, and the reports of the laps."""

import hashlib
import os
from functools import cache
from http import HTTPStatus
from importlib.resources import files
from pathlib import Path
from typing import Annotated, Final

from fastapi import APIRouter, Request
from fastapi import Path as InPath
from jinja2 import Environment, PackageLoader, StrictUndefined
from starlette.exceptions import HTTPException
from starlette.responses import HTMLResponse, Response

from recap.project import Project
from recap.web.desk import Desk
from recap.web.schemas import Uid
from recap.web.stretches import StretchResponse, open_inside

MEDIA_TYPES: Final = {
    ".css": "text/css; charset=utf-8",
    ".js": "text/javascript; charset=utf-8",
    ".svg": "image/svg+xml",
    ".png": "image/png",
    ".webmanifest": "application/manifest+json",
    ".woff2": "font/woff2",
}
"""What is served from the folder of static files and the folders in it; nothing else is."""

STATIC: Final = Path(__file__).with_name("static")
"""Scripts and styles: what both pages use, and a folder for each of them."""

OWN_STYLE_ONLY: Final = (
    "default-src 'none'; img-src data:; media-src data:; style-src 'unsafe-inline'; "
    "base-uri 'none'; form-action 'none'; frame-ancestors 'none'; sandbox"
)
"""Content security policy of a report: it brings everything along, and runs nothing."""

PALETTE: Final = Path(str(files("recap.report"))) / "templates" / "palette.css"
"""The colours, which the form shares with the reports."""

MOST_ITERATIONS: Final = 1_000_000

_READ: Final = ["GET", "HEAD"]


def make_router(desk: Desk) -> APIRouter:
    """Make the routes of the pages."""
    router = APIRouter(include_in_schema=False)

    @router.api_route("/", methods=_READ)
    def dashboard() -> Response:
        return _page("dashboard.html", desk.project)

    @router.api_route("/label", methods=_READ)
    def form() -> Response:
        return _page("form.html", desk.project)

    @router.api_route("/label/{uid}", methods=_READ)
    def form_at(uid: Annotated[Uid, InPath()]) -> Response:  # noqa: ARG001 - its script reads it
        return _page("form.html", desk.project)

    @router.api_route("/reports/{iteration}", methods=_READ)
    def report(iteration: Annotated[int, InPath(ge=0, le=MOST_ITERATIONS)]) -> Response:
        return _report(desk.project, iteration)

    @router.api_route("/static/{name:path}", methods=_READ)
    def static(request: Request, name: str) -> Response:
        return _static(request, name)

    @router.api_route("/favicon.ico", methods=_READ)
    def icon() -> Response:
        return Response(status_code=HTTPStatus.NO_CONTENT)

    return router


def _page(template: str, project: Project) -> Response:
    return HTMLResponse(_templates().get_template(template).render(project=project.name))


@cache
def _templates() -> Environment:
    return Environment(
        loader=PackageLoader("recap.web"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )


def _report(project: Project, iteration: int) -> Response:
    path = project.report(iteration)
    try:
        handle = open_inside(project.folder, path.relative_to(project.folder).parts)
    except FileNotFoundError:
        words = f"Iteration {iteration} has no report yet. Make one with `recap report`."
        raise HTTPException(HTTPStatus.NOT_FOUND, words) from None
    return StretchResponse(
        handle,
        start=0,
        stop=os.fstat(handle).st_size,
        status=HTTPStatus.OK,
        headers={"Content-Security-Policy": OWN_STYLE_ONLY, "Cache-Control": "private, no-cache"},
        media_type="text/html; charset=utf-8",
    )


def _static(request: Request, name: str) -> Response:
    """Send a file of the package; what is asked for is looked up, never opened by its name."""
    found = _static_files().get(name)
    if found is None:
        raise HTTPException(HTTPStatus.NOT_FOUND)
    content = found.read_bytes()
    headers = {
        "ETag": f'"{hashlib.sha256(content).hexdigest()[:32]}"',
        # Asked every time, so that a newer version is never mixed with an older one.
        "Cache-Control": "private, no-cache",
    }
    if request.headers.get("if-none-match") == headers["ETag"]:
        return Response(status_code=HTTPStatus.NOT_MODIFIED, headers=headers)
    return Response(content, headers=headers, media_type=MEDIA_TYPES[found.suffix])


def _static_files() -> dict[str, Path]:
    """Return the files of the package that may be sent, by the name they are asked for.

    A link is none of them, whatever it leads to.
    """
    found = (folder / name for folder, _, names in STATIC.walk() for name in names)
    sent = {
        path.relative_to(STATIC).as_posix(): path
        for path in found
        if path.suffix in MEDIA_TYPES and path.is_file() and not path.is_symlink()
    }
    return {**sent, PALETTE.name: PALETTE}
