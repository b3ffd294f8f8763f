"""Serve a policy to robots: who may ask, whose turn it is, and what is never told."""

import asyncio
import hmac
import logging
import secrets
import signal
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from copy import copy
from dataclasses import replace
from http import HTTPStatus
from typing import Final

import numpy as np
from websockets.asyncio.server import ServerConnection
from websockets.asyncio.server import serve as serve_websockets
from websockets.exceptions import ConnectionClosed
from websockets.http11 import Request, Response

from data.errors import ConfigError
from envs.world import Observation
from recap.listening import token_or_environment
from recap.remote.arrays import MOST_MESSAGE_BYTES
from recap.remote.card import Sizes, describe, read_sizes
from recap.remote.config import TOKEN_VARIABLE, ServeConfig
from recap.remote.errors import MessageError
from recap.remote.messages import (
    Question,
    Refusal,
    number_of,
    read_question,
    write_answer,
    write_refusal,
    write_welcome,
)
from recap.rollout.chunks import Chunk, ChunkSource
from recap.rollout.execution.config import REAL_TIME, ExecutionConfig

Say = Callable[[str], None]

QUESTIONS_WAITING: Final = 2
"""Messages of one robot that are kept until it is their turn; a robot sends one at a time."""

TOKEN_BYTES: Final = 24

DEFAULT_EXECUTION: Final = ExecutionConfig(type=REAL_TIME)

_LOGGER = logging.getLogger(__name__)
_WIRE_LOGGER = logging.getLogger(f"{__name__}.wire")
# Whoever knocks without speaking WebSocket, such as a port scanner, is no news.
_WIRE_LOGGER.addFilter(lambda record: record.msg != "opening handshake failed")


class PolicyServer:
    """Answers questions of robots, one after the other, with one policy.

    Every connection has a source of its own, so its own noise and its own attempt. All of them run
    in one thread: they share the model, and some of its accelerations belong to a thread.
    """

    def __init__(
        self,
        make_source: Callable[[], ChunkSource],
        sizes: Sizes,
        *,
        token: str,
        max_robots: int,
        say: Say,
    ) -> None:
        """Take what is needed to serve; nothing is loaded yet.

        Args:
            make_source: Makes the source of one connection; called in the thread of the model.
            sizes: What the policy sees and commands.
            token: What a robot must show; empty for nothing.
            max_robots: Connections at the same time.
            say: Takes a line about who comes and goes.
        """
        self._make_source = make_source
        self._sizes = sizes
        self._token = token
        self._max_robots = max_robots
        self._say = say
        self._model = ThreadPoolExecutor(max_workers=1, thread_name_prefix="policy-model")

    async def run(
        self, host: str, port: int, *, listening: Callable[[int], None], stop: asyncio.Event
    ) -> None:
        """Serve until told to stop; a prediction that runs then is finished.

        Args:
            host: Address to listen on.
            port: Port to listen on; 0 for any that is free.
            listening: Called with the port as soon as a robot can connect.
            stop: Ends the serving once it is set.

        Raises:
            OSError: If the address cannot be listened on.
        """
        with self._model:
            async with serve_websockets(
                self._attend,
                host,
                port,
                process_request=self._admit,
                origins=[None],  # a web page on this machine is no robot
                compression=None,
                max_size=MOST_MESSAGE_BYTES,
                max_queue=QUESTIONS_WAITING,
                close_timeout=1,
                logger=_WIRE_LOGGER,
            ) as server:
                listening(server.sockets[0].getsockname()[1])
                await stop.wait()

    def _admit(self, connection: ServerConnection, request: Request) -> Response | None:
        shown = request.headers.get_all("Authorization")
        wanted = f"Bearer {self._token}"
        is_known = len(shown) == 1 and hmac.compare_digest(shown[0].encode(), wanted.encode())
        if self._token and not is_known:
            return connection.respond(HTTPStatus.UNAUTHORIZED, "the token is missing or wrong\n")
        if len(connection.server.connections) >= self._max_robots:
            words = f"it serves {self._max_robots} robots already, which is --serve.max_robots\n"
            return connection.respond(HTTPStatus.SERVICE_UNAVAILABLE, words)
        return None

    async def _attend(self, connection: ServerConnection) -> None:
        name = str(connection.remote_address[0])
        self._say(f"{name} connected.")
        try:
            source = await self._in_model_thread(self._make_source)
            try:
                await self._converse(connection, source)
            finally:
                await self._in_model_thread(source.close)
        except ConnectionClosed:
            pass  # a robot may leave at any moment
        finally:
            self._say(f"{name} left.")

    async def _converse(self, connection: ServerConnection, source: ChunkSource) -> None:
        await connection.send(write_welcome(describe(source, self._sizes), self._sizes))
        has_begun = False
        async for data in connection:
            try:
                question = read_question(data, self._sizes)
                has_begun = _require_begun(question, has_begun=has_begun)
            except MessageError as error:
                refusal = Refusal(number=number_of(data), words=str(error), may_ask_again=False)
                await connection.send(write_refusal(refusal))
                continue
            await self._answer(connection, source, question)

    async def _answer(
        self, connection: ServerConnection, source: ChunkSource, question: Question
    ) -> None:
        """Predict, unless the robot leaves before its turn comes: a late answer helps nobody."""
        work = asyncio.ensure_future(self._in_model_thread(lambda: _predict(source, question)))
        leaving = asyncio.ensure_future(connection.wait_closed())
        await asyncio.wait({work, leaving}, return_when=asyncio.FIRST_COMPLETED)
        leaving.cancel()
        if not work.done():
            work.cancel()
            return
        failure = work.exception()
        if failure is None:
            await connection.send(write_answer(question.number, work.result()))
            return
        # What went wrong inside stays inside: it may name folders, and helps nobody at the robot.
        self._say(f"A prediction failed: {type(failure).__name__}: {failure}")
        _LOGGER.debug("A prediction failed.", exc_info=failure)
        words = "The prediction failed; the window of the server says why."
        refusal = Refusal(number=question.number, words=words, may_ask_again=True)
        await connection.send(write_refusal(refusal))

    async def _in_model_thread[T](self, work: Callable[[], T]) -> T:
        return await asyncio.get_running_loop().run_in_executor(self._model, work)


def serve(config: ServeConfig, say: Say, *, execution: ExecutionConfig = DEFAULT_EXECUTION) -> None:
    """Load a policy and answer robots until Ctrl-C.

    Args:
        config: What to serve, and where.
        say: Takes a line for the person at the server.
        execution: How strongly chunks agree with a prefix; its type is the robot's to choose.

    Raises:
        ConfigError: If no policy is named, or the address cannot be listened on.
        CheckpointError: If the folder holds no whole policy.
    """
    if config.path is None:
        message = "Say which policy to serve: --serve.path=<a pretrained_model folder>."
        raise ConfigError(message)
    sizes = read_sizes(config.path)
    token = _token_for(config, say)
    # Late, since it takes seconds: a mistake in the settings is told at once.
    from recap.rollout.pilots import PolicySource

    say(f"Loading {config.path} ...")
    loaded = PolicySource(
        config.path,
        indicator=config.indicator,
        guidance=config.guidance,
        execution=replace(execution, type=REAL_TIME),
        threads=config.threads,
    )
    warm_up(loaded, sizes)
    # A copy has its own noise and shares the model.
    server = PolicyServer(
        lambda: copy(loaded), sizes, token=token, max_robots=config.max_robots, say=say
    )

    def announce(port: int) -> None:
        say(
            f"Serving policy {loaded.policy_id} at {config.host}:{port}. On the robot: "
            f"--policy.address=<this machine>:{port}   Ctrl-C stops it."
        )

    try:
        asyncio.run(_run_until_signal(server, config, announce))
    except OSError as error:
        reason = error.strerror or str(error)
        message = (
            f"Cannot listen on {config.host}:{config.port}: {reason}. Choose another address with "
            f"--serve.host or another port with --serve.port."
        )
        raise ConfigError(message) from error
    say("Stopped.")


def warm_up(source: ChunkSource, sizes: Sizes) -> None:
    """Predict once from nothing: the first prediction takes longest, and no robot waits for it."""
    nothing = Observation(
        images={
            name: np.zeros((height, width, 3), np.uint8)
            for name, (height, width) in sizes.cameras.items()
        },
        state=np.zeros(sizes.state_size, np.float32),
        task="",
    )
    source.begin(seed=0)
    source.predict(nothing, None)


async def _run_until_signal(
    server: PolicyServer, config: ServeConfig, listening: Callable[[int], None]
) -> None:
    stop = asyncio.Event()
    if threading.current_thread() is threading.main_thread():
        for number in (signal.SIGINT, signal.SIGTERM):
            asyncio.get_running_loop().add_signal_handler(number, stop.set)
    await server.run(config.host, config.port, listening=listening, stop=stop)


def _predict(source: ChunkSource, question: Question) -> Chunk:
    if question.begin is not None:
        source.begin(seed=question.begin)
    return source.predict(question.observation, question.prefix)


def _require_begun(question: Question, *, has_begun: bool) -> bool:
    if question.begin is None and not has_begun:
        message = "The first question of a connection must begin an attempt."
        raise MessageError(message)
    return True


def _token_for(config: ServeConfig, say: Say) -> str:
    """Return the token that was given; make one up and tell it once, if strangers can connect."""
    token = token_or_environment(config.token, variable=TOKEN_VARIABLE)
    if token or config.is_for_this_machine_only:
        return token
    token = secrets.token_urlsafe(TOKEN_BYTES)
    say(f"On the robot, first: export {TOKEN_VARIABLE}={token}")
    return token
