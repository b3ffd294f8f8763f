"""A connection that mends itself: kept in a thread, opened again with longer and longer pauses."""

import asyncio
import threading
from collections.abc import Callable
from concurrent.futures import CancelledError
from contextlib import suppress
from http import HTTPStatus
from typing import Final

from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import ConnectionClosed, InvalidStatus, WebSocketException
from websockets.frames import Close, CloseCode
from websockets.protocol import State

from data.errors import PolicyUnreachableError, RecapError
from recap.remote.arrays import MOST_MESSAGE_BYTES
from recap.remote.card import PolicyCard
from recap.remote.config import TOKEN_VARIABLE
from recap.remote.dialect import Dialect
from recap.remote.errors import PolicyRefusedError

FIRST_PAUSE_S: Final = 0.1
LONGEST_PAUSE_S: Final = 2.0
OPENING_TIME_LIMIT_S: Final = 5.0
CLOSING_TIME_LIMIT_S: Final = 1.0
PING_INTERVAL_S: Final = 5.0
"""A server that vanished without a word is noticed after two of these, even between questions."""

MOST_WORDS: Final = 200

_CLOSED_HERE: Final = "the connection was closed on this side"
_REFUSALS: Final = (HTTPStatus.UNAUTHORIZED, HTTPStatus.FORBIDDEN)


class Link:
    """One robot's connection to one server.

    The thread owns the connection. Whoever asks waits for a future with a deadline, so a network
    that swallows bytes holds nobody up, not even while a question is still being sent.
    """

    def __init__(self, uri: str, *, dialect: Dialect, token: str, deadline_s: float) -> None:
        """Connect for the first time.

        Raises:
            PolicyUnreachableError: If nobody answers at the address.
            PolicyRefusedError: If the server does not want this robot, or does not fit it.
        """
        self._uri = uri
        self._dialect = dialect
        self._headers = dialect.headers(token)
        self._deadline_s = deadline_s
        self._card: PolicyCard | None = None
        self._connection: ClientConnection | None = None
        self._trouble: RecapError = self._unreachable("there is no connection yet")
        self._first_try_is_over = threading.Event()
        self._loop = asyncio.new_event_loop()
        self._keeper: asyncio.Task[None] | None = None
        self._thread = threading.Thread(target=self._run, name="policy-link", daemon=True)
        self._thread.start()
        self._first_try_is_over.wait()
        if self._connection is None:
            self.close()
            raise self._trouble

    @property
    def card(self) -> PolicyCard:
        """What the server said about its policy; the same at every connection."""
        if self._card is None:
            raise self._trouble
        return self._card

    def connection(self) -> ClientConnection:
        """Return the connection there is now.

        Raises:
            PolicyUnreachableError: If there is none at the moment; it is being opened again.
            PolicyRefusedError: If the server is back, but does not want this robot any more.
        """
        connection = self._connection
        if connection is None or connection.state is not State.OPEN:
            raise self._trouble
        return connection

    def exchange(self, connection: ClientConnection, data: bytes) -> bytes | str:
        """Send a question and return what comes back, within the deadline.

        Raises:
            PolicyUnreachableError: If the connection breaks or the deadline passes. A late answer
                would answer a moment that is over, so the connection is dropped and opened anew.
            PolicyRefusedError: If the server takes no message of this size.
        """
        conversation = _converse(connection, data)
        try:
            future = asyncio.run_coroutine_threadsafe(conversation, self._loop)
        except RuntimeError as error:  # the loop is closed
            conversation.close()
            raise self._unreachable(_CLOSED_HERE) from error
        try:
            return future.result(self._deadline_s)
        except TimeoutError as error:
            future.cancel()
            self._in_thread(connection.transport.abort)
            why = (
                f"no answer came within {self._deadline_s:g} s; if the policy needs longer, raise "
                f"--policy.deadline_s"
            )
            raise self._unreachable(why) from error
        except ConnectionClosed as error:
            raise self._explain(error) from error
        except CancelledError as error:
            raise self._unreachable(_CLOSED_HERE) from error

    def close(self) -> None:
        """Close the connection and end the thread."""
        if self._keeper is not None:
            self._in_thread(self._keeper.cancel)
        self._thread.join()

    def _run(self) -> None:
        try:
            # Closing cancels the keeper, which is how it ends.
            with (
                asyncio.Runner(loop_factory=lambda: self._loop) as runner,
                suppress(asyncio.CancelledError),
            ):
                runner.run(self._keep_connected())
        finally:
            self._first_try_is_over.set()

    async def _keep_connected(self) -> None:
        self._keeper = asyncio.current_task()
        pause_s = FIRST_PAUSE_S
        while True:
            try:
                async with self._connect() as connection:
                    await self._greet(connection)
                    pause_s = FIRST_PAUSE_S
                    self._connection = connection
                    self._first_try_is_over.set()
                    await connection.wait_closed()
                    self._trouble = self._unreachable("the connection was lost")
            except PolicyRefusedError as error:
                self._trouble = error
            except (OSError, WebSocketException) as error:
                self._trouble = self._explain(error)
            finally:
                self._connection = None
            self._first_try_is_over.set()
            await asyncio.sleep(pause_s)
            pause_s = min(2 * pause_s, LONGEST_PAUSE_S)

    def _connect(self) -> connect:
        return connect(
            self._uri,
            additional_headers=self._headers,
            compression=None,  # pictures of a camera do not shrink, and trying takes longest
            proxy=None,  # a robot's policy is on its own network
            max_size=MOST_MESSAGE_BYTES,
            open_timeout=OPENING_TIME_LIMIT_S,
            close_timeout=CLOSING_TIME_LIMIT_S,
            ping_interval=PING_INTERVAL_S,
            ping_timeout=PING_INTERVAL_S,
        )

    async def _greet(self, connection: ClientConnection) -> None:
        async with asyncio.timeout(OPENING_TIME_LIMIT_S):
            greeting = await connection.recv()
        card = self._dialect.read_greeting(greeting)
        if self._card is not None and card != self._card:
            message = (
                f"{self._uri} now serves policy {card.policy_id}, but this session began with "
                f"{self._card.policy_id}. Serve that one again, or begin a new session."
            )
            raise PolicyRefusedError(message)
        self._card = card

    def _explain(self, error: Exception) -> RecapError:
        match error:
            case InvalidStatus(response=response) if response.status_code in _REFUSALS:
                message = (
                    f"{self._uri} wants another token. Set {TOKEN_VARIABLE} to the one that "
                    f"`recap serve-policy` was started with or printed."
                )
                return PolicyRefusedError(message)
            case ConnectionClosed(rcvd=Close(code=CloseCode.MESSAGE_TOO_BIG)):
                message = f"The pictures are larger than {self._uri} takes in one message."
                return PolicyRefusedError(message)
            case _:
                return self._unreachable(_why_unreachable(error))

    def _unreachable(self, why: str) -> PolicyUnreachableError:
        message = f"The policy at {self._uri} cannot be reached: {why}."
        return PolicyUnreachableError(message)

    def _in_thread(self, action: Callable[[], object]) -> None:
        with suppress(RuntimeError):  # the loop is closed, and the connection with it
            self._loop.call_soon_threadsafe(action)


async def _converse(connection: ClientConnection, data: bytes) -> bytes | str:
    await connection.send(data)
    return await connection.recv()


def _why_unreachable(error: Exception) -> str:
    match error:
        case InvalidStatus(response=response):
            words = bytes(response.body or b"").decode("utf-8", "replace").strip()
            return words[:MOST_WORDS] or f"it answered with status {response.status_code}"
        case ConnectionClosed(rcvd=Close(code=CloseCode.GOING_AWAY)):
            return "its server was stopped"
        case ConnectionClosed():
            return "the connection was lost"
        case TimeoutError():
            return f"nothing answered in {OPENING_TIME_LIMIT_S:g} s"
        case OSError():
            return "nothing listens there"
        case _:
            return "what answers there is no policy server"
