"""Which mistake of a client gets which status, and how the schema declares it."""

from __future__ import annotations

from contextlib import contextmanager
from http import HTTPStatus
from typing import TYPE_CHECKING, Any, Final

from fastapi import HTTPException

from data.errors import (
    ForeignVerdictError,
    UnknownVerdictError,
    VerdictError,
    WithdrawnVerdictError,
)
from recap.web.desk.judging import ConflictError
from recap.web.schemas import Problem

if TYPE_CHECKING:
    from collections.abc import Iterator

    from recap.web.desk import Desk
    from recap.web.desk.catalogue import Entry

_STATUS: Final = (
    (UnknownVerdictError, HTTPStatus.NOT_FOUND),
    (ForeignVerdictError, HTTPStatus.FORBIDDEN),
    (WithdrawnVerdictError, HTTPStatus.CONFLICT),
    (ConflictError, HTTPStatus.CONFLICT),
    (VerdictError, HTTPStatus.UNPROCESSABLE_ENTITY),
)

_ALWAYS: Final = (
    HTTPStatus.UNAUTHORIZED,
    HTTPStatus.FORBIDDEN,
    HTTPStatus.SERVICE_UNAVAILABLE,
)
_OF_A_BODY: Final = (
    HTTPStatus.REQUEST_TIMEOUT,
    HTTPStatus.REQUEST_ENTITY_TOO_LARGE,
    HTTPStatus.UNSUPPORTED_MEDIA_TYPE,
)
_WHY: Final = {
    HTTPStatus.UNAUTHORIZED: "The token is missing or wrong.",
    HTTPStatus.FORBIDDEN: "Asked by another site or under a foreign name, or not yours to change.",
    HTTPStatus.NOT_FOUND: "There is no such episode or verdict, or it cannot be shown.",
    HTTPStatus.REQUEST_TIMEOUT: "The request took too long to arrive.",
    HTTPStatus.CONFLICT: "Something changed since: the checklist, or the verdict.",
    HTTPStatus.REQUEST_ENTITY_TOO_LARGE: "The request is too long.",
    HTTPStatus.UNSUPPORTED_MEDIA_TYPE: "The request is not JSON.",
    HTTPStatus.MISDIRECTED_REQUEST: "It is about another project than the one that is served.",
    HTTPStatus.UNPROCESSABLE_ENTITY: "The request does not fit the schema or the episode.",
    HTTPStatus.SERVICE_UNAVAILABLE: "The database does not answer; nothing was saved.",
}


def problems(*statuses: HTTPStatus, has_body: bool = False) -> dict[int | str, dict[str, Any]]:
    """Declare the refusals of an address for the schema.

    Args:
        statuses: Those of its own, beside what any address may answer.
        has_body: Whether it takes a body, which may be refused as such.
    """
    every = {*_ALWAYS, *statuses, *(_OF_A_BODY if has_body else ())}
    return {
        int(status): {"model": Problem, "description": _WHY[status]} for status in sorted(every)
    }


@contextmanager
def told() -> Iterator[None]:
    """Turn a verdict that cannot be into an answer that says why."""
    try:
        yield
    except VerdictError as error:
        status = next(status for kind, status in _STATUS if isinstance(error, kind))
        raise HTTPException(status, str(error)) from error


def require_project(desk: Desk, meant: str | None) -> None:
    """Refuse what is meant for another project; None is meant for whichever is served."""
    if meant not in {None, desk.project_id}:
        detail = (
            f"This was said of another project; '{desk.project.name}' is served here now. Nothing "
            f"was saved."
        )
        raise HTTPException(HTTPStatus.MISDIRECTED_REQUEST, detail)


def require_entry(desk: Desk, uid: str) -> Entry:
    """Return an episode, or answer that there is none."""
    entry = desk.catalogue.find(uid)
    if entry is None:
        detail = f"There is no attempt '{uid}'. It may have been removed, or is damaged."
        raise HTTPException(HTTPStatus.NOT_FOUND, detail)
    return entry
