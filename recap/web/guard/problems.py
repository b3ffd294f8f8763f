"""What a refused request is told: always one sentence, never a path of this machine or a trace."""

import logging
from collections.abc import Mapping
from http import HTTPStatus
from typing import Final

from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from sqlalchemy.exc import InterfaceError, OperationalError
from sqlalchemy.exc import TimeoutError as NoConnectionError
from starlette.exceptions import HTTPException
from starlette.responses import JSONResponse, Response
from starlette.types import Scope

from data.errors import RecapError
from recap.web.guard.headers import SAFE_HEADERS
from recap.web.guard.mistakes import in_words
from recap.web.guard.problem_page import problem_page

FOR_MACHINES: Final = ("/api", "/videos", "/static", "/openapi.json")
"""Addresses that scripts and players ask; everywhere else a person is looking."""

NOT_SAVED: Final = (
    "The database does not answer, so nothing was saved: it may be locked, or its disk may be "
    "full. Try again."
)
OUR_FAULT: Final = (
    "Something went wrong in the server; what, is told where `recap label` runs. Nothing was saved."
)

_DATABASE_AWAY: Final = (OperationalError, InterfaceError, NoConnectionError)
_RETRY_AFTER_S: Final = "2"
_LOGGER = logging.getLogger(__name__)


def problem(
    scope: Scope, status: HTTPStatus, detail: str, headers: Mapping[str, str] | None = None
) -> Response:
    """Refuse a request.

    Args:
        scope: The request; a browser that opens a page gets a small page, all others get JSON.
        status: The kind of refusal.
        detail: Why, in one sentence for a person.
        headers: Headers to send along.
    """
    if _is_read_by_a_person(scope):
        return problem_page(status, detail, headers)
    return JSONResponse({"detail": detail}, status_code=status, headers=headers)


def _is_read_by_a_person(scope: Scope) -> bool:
    if str(scope["path"]).startswith(FOR_MACHINES):
        return False
    return any(name == b"accept" and b"text/html" in value for name, value in scope["headers"])


def tell_problems(app: FastAPI) -> None:
    """Have every error of an app answered by `problem`."""
    app.add_exception_handler(HTTPException, _refused)
    app.add_exception_handler(RequestValidationError, _misunderstood)
    for kind in _DATABASE_AWAY:
        app.add_exception_handler(kind, _database_away)
    app.add_exception_handler(RecapError, _mistaken)
    app.add_exception_handler(Exception, _broken)


async def _refused(request: Request, error: Exception) -> Response:
    if not isinstance(error, HTTPException):  # registered for nothing else
        raise error
    status, detail = HTTPStatus(error.status_code), str(error.detail)
    if status is HTTPStatus.BAD_REQUEST:
        # What FastAPI makes of JSON that is too deep, or has numbers of thousands of digits.
        status, detail = HTTPStatus.UNPROCESSABLE_ENTITY, "The request is not JSON one can read."
    elif detail == status.phrase and status is HTTPStatus.NOT_FOUND:
        detail = "There is nothing at this address."
    elif detail == status.phrase and status is HTTPStatus.METHOD_NOT_ALLOWED:
        detail = "This address cannot be asked that way."
    return problem(request.scope, status, detail, error.headers)


async def _misunderstood(request: Request, error: Exception) -> Response:
    if not isinstance(error, RequestValidationError):  # registered for nothing else
        raise error
    detail = in_words(list(error.errors()))
    return problem(request.scope, HTTPStatus.UNPROCESSABLE_ENTITY, detail)


async def _database_away(request: Request, error: Exception) -> Response:
    # The cause alone: the whole error repeats what was to be written, notes and names included.
    _LOGGER.error("The database does not answer: %s", getattr(error, "orig", None) or error)
    retry = {"Retry-After": _RETRY_AFTER_S}
    return problem(request.scope, HTTPStatus.SERVICE_UNAVAILABLE, NOT_SAVED, retry)


async def _mistaken(request: Request, error: Exception) -> Response:
    """Answer a mistake that only the person at this machine can mend, and name it there."""
    if isinstance(error.__cause__, _DATABASE_AWAY):
        return await _database_away(request, error)
    _LOGGER.error("%s", error)  # it may name folders of this machine
    return await _broken(request, error)


async def _broken(request: Request, _error: Exception) -> Response:
    # The server logs the traceback: this error is raised again once the answer is sent. That
    # happens outside of our middleware, so the answer brings its headers along.
    return problem(request.scope, HTTPStatus.INTERNAL_SERVER_ERROR, OUR_FAULT, SAFE_HEADERS)
