"""Stretches of files, sent without being read whole; and files that lie where they seem to."""

import os
import stat
from collections.abc import AsyncIterator, Mapping, Sequence
from http import HTTPStatus
from pathlib import Path
from typing import Final

from starlette.concurrency import run_in_threadpool
from starlette.responses import StreamingResponse
from starlette.types import Receive, Scope, Send

CHUNK_BYTES: Final = 256 * 1024

_LOOK: Final = os.O_RDONLY | os.O_CLOEXEC | os.O_NOFOLLOW
_ENTER: Final = _LOOK | os.O_DIRECTORY


def open_inside(root: Path, parts: Sequence[str]) -> int:
    """Open a file below a folder and return its handle; a link on the way is not followed.

    Args:
        root: The folder. It may itself be a link.
        parts: Names of the folders below it, one by one, and of the file.

    Raises:
        FileNotFoundError: If there is no such file, or something else is in its place.
    """
    if any("/" in part or "\0" in part or part in {"", ".", ".."} for part in parts):
        raise FileNotFoundError
    try:
        handle = os.open(root, os.O_RDONLY | os.O_CLOEXEC | os.O_DIRECTORY)
        for part in parts[:-1]:
            handle = _step(handle, part, _ENTER)
        # Without O_NONBLOCK, opening a pipe would wait for somebody to write into it.
        handle = _step(handle, parts[-1], _LOOK | os.O_NONBLOCK)
    except OSError as error:
        raise FileNotFoundError from error
    if not stat.S_ISREG(os.fstat(handle).st_mode):
        os.close(handle)
        raise FileNotFoundError
    return handle


def _step(folder: int, name: str, flags: int) -> int:
    try:
        return os.open(name, flags, dir_fd=folder)
    finally:
        os.close(folder)


class StretchResponse(StreamingResponse):
    """Bytes ``[start, stop)`` of an open file, which is closed afterwards."""

    def __init__(
        self,
        handle: int,
        *,
        start: int,
        stop: int,
        status: HTTPStatus,
        headers: Mapping[str, str],
        media_type: str,
    ) -> None:
        """Prepare to send; nothing is read yet.

        Args:
            handle: The open file; closed when the answer was sent, or could not be.
            start: First byte to send.
            stop: Byte after the last one to send; equal to ``start`` for none.
            status: 200 for the whole file, 206 for a part.
            headers: Headers to send along; the length is added.
            media_type: What the file is.
        """
        self._handle = handle
        super().__init__(
            _chunks(handle, start, stop),
            status_code=status,
            headers={**headers, "Content-Length": str(stop - start)},
            media_type=media_type,
        )

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Send it."""
        try:
            await super().__call__(scope, receive, send)
        finally:
            os.close(self._handle)


async def _chunks(handle: int, start: int, stop: int) -> AsyncIterator[bytes]:
    while start < stop:
        chunk = await run_in_threadpool(os.pread, handle, min(CHUNK_BYTES, stop - start), start)
        if not chunk:  # the file became shorter; the connection ends before the promised length
            return
        start += len(chunk)
        yield chunk
