"""What may be sent: JSON, small, and within seconds."""

import asyncio
from collections.abc import Sequence
from http import HTTPStatus
from typing import Final

from starlette.types import ASGIApp, Message, Receive, Scope, Send

from recap.web.guard.problems import problem

MOST_BODY_BYTES: Final = 64 * 1024
"""Far above the longest verdict."""

MOST_READ_BYTES: Final = 4 * 1024 * 1024
"""How much of a body that is too long is read all the same. A browser that is still sending when
the connection closes never sees the answer."""

BODY_PATIENCE_S: Final = 10.0
"""How long a body may take to arrive."""


class BodyLimits:
    """ASGI middleware that lets only small JSON bodies through.

    A body is read whole before anything else happens, so nothing behind it waits for a client.
    """

    def __init__(self, app: ASGIApp) -> None:
        """Stand before ``app``."""
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Read the body of a request that may have one, and pass it on or refuse it."""
        if scope["type"] != "http" or scope["method"] in {"GET", "HEAD"}:
            await self._app(scope, receive, send)
            return
        if header(scope, b"content-length") and header(scope, b"transfer-encoding"):
            # Two readers of such a request may disagree about where the next one begins.
            words = "A request must tell its length in one way, not in two."
            await _refuse(scope, receive, send, HTTPStatus.BAD_REQUEST, words)
            return
        try:
            async with asyncio.timeout(BODY_PATIENCE_S):
                body = await _read(scope, receive)
        except _LeftError:
            return
        except TimeoutError:
            words = f"The request took longer than {BODY_PATIENCE_S:g} s to arrive."
            await _refuse(scope, receive, send, HTTPStatus.REQUEST_TIMEOUT, words)
            return
        if body is None:
            words = f"A request may hold at most {MOST_BODY_BYTES // 1024} KiB."
            await _refuse(scope, receive, send, HTTPStatus.REQUEST_ENTITY_TOO_LARGE, words)
        elif not _may_be_json(scope, body):
            words = "A request must be JSON, and say so: Content-Type: application/json."
            await _refuse(scope, receive, send, HTTPStatus.UNSUPPORTED_MEDIA_TYPE, words)
        else:
            await self._app(scope, _given(body, receive), send)


class _LeftError(Exception):
    """The client closed the connection in the middle of its request."""


async def _read(scope: Scope, receive: Receive) -> bytes | None:
    """Return the body, or None if it is too long."""
    if any(_exceeds(length, MOST_READ_BYTES) for length in header(scope, b"content-length")):
        return None
    kept, arrived, is_more = bytearray(), 0, True
    while is_more and arrived <= MOST_READ_BYTES:
        message = await receive()
        if message["type"] == "http.disconnect":
            raise _LeftError
        chunk = message.get("body", b"")
        arrived += len(chunk)
        if arrived <= MOST_BODY_BYTES:
            kept += chunk
        is_more = message.get("more_body", False)
    return bytes(kept) if arrived <= MOST_BODY_BYTES else None


def header(scope: Scope, name: bytes) -> Sequence[bytes]:
    """Return every value of one header, given in small letters, in the order sent."""
    return [value for found, value in scope["headers"] if found == name]


def _exceeds(length: bytes, most: int) -> bool:
    return not length.isdigit() or len(length) > len(str(most)) or int(length) > most


def _may_be_json(scope: Scope, body: bytes) -> bool:
    """Say whether a body calls itself JSON; a form of another site cannot, unasked."""
    kinds = header(scope, b"content-type")
    if not kinds:
        return not body
    return all(kind.split(b";")[0].strip().lower() == b"application/json" for kind in kinds)


def _given(body: bytes, receive: Receive) -> Receive:
    """Hand out a body that was read already, then what the client does next."""
    waiting: list[Message] = [{"type": "http.request", "body": body, "more_body": False}]

    async def next_message() -> Message:
        return waiting.pop() if waiting else await receive()

    return next_message


async def _refuse(  # the parts of an ASGI call, and why
    scope: Scope, receive: Receive, send: Send, status: HTTPStatus, words: str
) -> None:
    await problem(scope, status, words, {"Connection": "close"})(scope, receive, send)
