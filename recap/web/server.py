"""Serve the form until told to stop: where it listens, what link it prints, how it ends."""

from __future__ import annotations

import errno
import logging
import os
import platform
import secrets
import signal
import socket
import sys
import threading
import webbrowser
from asyncio import CancelledError
from contextlib import closing, contextmanager
from typing import TYPE_CHECKING, Final
from urllib.parse import urlencode

import uvicorn

from data.errors import ConfigError
from recap.listening import token_or_environment
from recap.web.app import create_app
from recap.web.config import TOKEN_VARIABLE, FormConfig
from recap.web.guard.security import TOKEN_PARAMETER

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from fastapi import FastAPI

    from data.criteria import Criteria
    from data.outcomes import OutcomeStore
    from data.verdicts import DecisionRule
    from recap.project import Project

TOKEN_BYTES: Final = 24
KEEP_OPEN_S: Final = 60
"""How long an idle connection stays open; a page asks every two seconds."""

LAST_WORDS_S: Final = 1
"""How long requests that run when the server is stopped may take to end."""

_ENDING: Final = (signal.SIGINT, signal.SIGTERM)
_SOMEWHERE: Final = ("192.0.2.1", 9)
"""An address that belongs to nobody, kept for examples. Nothing is ever sent to it."""

_REASONS: Final = {
    errno.EADDRINUSE: (
        "another program listens there already. Choose another port with --form.port=..., or 0 "
        "for any that is free"
    ),
    errno.EADDRNOTAVAIL: (
        "this machine has no such address. Leave --form.host out for this machine alone, or type "
        "--form.host=0.0.0.0 for all of its addresses"
    ),
    errno.EACCES: (
        "ports below 1024 belong to the system. Choose a higher one with --form.port=..."
    ),
}


def serve(
    project: Project,
    store: OutcomeStore,
    form: FormConfig,
    *,
    rule: DecisionRule,
    criteria: Criteria | None = None,
    say: Callable[[str], None],
) -> None:
    """Serve the form of a project until Ctrl-C or SIGTERM.

    Args:
        project: The project to judge.
        store: Where its verdicts are kept; it stays the caller's, who closes it.
        form: Where to listen, and who may ask.
        rule: How verdicts become a decision.
        criteria: The checklist; None where the project has none.
        say: Takes the one line with the link, as soon as it can be opened.

    Raises:
        ConfigError: If the address or port cannot be listened on, or the token in the environment
            is easily guessed.
    """
    token = token_or_environment(form.token, variable=TOKEN_VARIABLE)
    if not (token or form.is_for_this_machine_only):
        token = secrets.token_urlsafe(TOKEN_BYTES)
    with _listening(form.host, form.port) as listener:
        app = create_app(project, store, rule=rule, criteria=criteria, token=token)
        link = link_to(form.host, listener.getsockname()[1], token=token)
        server = make_server(app)
        # From before the link is told: whoever reads it may press Ctrl-C at once.
        with closing(app.state.desk), server.capture_signals():
            say(f"Judge at {link} (Ctrl-C stops).")
            if form.open_browser and not token and _has_screen():
                # Some browsers return only when they are closed.
                threading.Thread(target=webbrowser.open, args=(link,), daemon=True).start()
            server.run(sockets=[listener])


def make_server(app: FastAPI) -> uvicorn.Server:
    """Make the server of the form; its ``run`` takes the sockets to listen on."""
    logging.getLogger("uvicorn.error").addFilter(_is_news)
    settings = uvicorn.Config(
        app,
        loop="asyncio",
        http="h11",
        ws="none",
        # The log of requests would hold the token of the first one.
        access_log=False,
        log_config=None,
        log_level="warning",
        proxy_headers=False,
        server_header=False,
        timeout_keep_alive=KEEP_OPEN_S,
        timeout_graceful_shutdown=LAST_WORDS_S,
    )
    return _Server(settings)


class _Server(uvicorn.Server):
    """A server that ends quietly on Ctrl-C: uvicorn's own raises the signal again afterwards."""

    @contextmanager
    def capture_signals(self) -> Iterator[None]:
        if threading.current_thread() is not threading.main_thread():
            yield
            return
        before = {number: signal.signal(number, self.handle_exit) for number in _ENDING}
        try:
            yield
        finally:
            for number, handler in before.items():
                signal.signal(number, handler)


def _is_news(record: logging.LogRecord) -> bool:
    """Say whether a line of the server's log tells anything.

    That the last requests were cut off when it was stopped does not: a client without an answer
    asks again.
    """
    was_cut_off = record.exc_info is not None and record.exc_info[0] is CancelledError
    return not was_cut_off and not str(record.msg).startswith("Cancel ")


def link_to(host: str, port: int, *, token: str) -> str:
    """Return the link that opens the form.

    Args:
        host: The address listened on; for all addresses, the one that others reach is named.
        port: The port listened on.
        token: What a browser must show; empty for nothing.
    """
    name = _reachable(host) if host in {"0.0.0.0", "::"} else host  # noqa: S104 - compared, not bound
    bracketed = f"[{name}]" if ":" in name else name
    shown = f"?{urlencode({TOKEN_PARAMETER: token})}" if token else ""
    return f"http://{bracketed}:{port}/label{shown}"


def _reachable(host: str) -> str:
    """Return the address under which the neighbours know this machine, as far as it can tell."""
    if host == "::":
        return socket.gethostname()
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
        try:
            probe.connect(_SOMEWHERE)  # chooses a way and sends nothing
        except OSError:
            return socket.gethostname()
        return str(probe.getsockname()[0])


@contextmanager
def _listening(host: str, port: int) -> Iterator[socket.socket]:
    try:
        found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE)
    except (socket.gaierror, UnicodeError) as error:
        message = f"form.host: there is no address called '{host}'."
        raise ConfigError(message) from error
    # A browser that is sent to localhost tries both kinds of address; 127.0.0.1 is everywhere.
    family, kind, protocol, _, address = min(found, key=lambda entry: entry[0] != socket.AF_INET)
    with socket.socket(family, kind, protocol) as listener:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            listener.bind(address)
            listener.listen()
        except OSError as error:
            reason = _REASONS.get(error.errno or 0, str(error.strerror))
            message = f"The form cannot be served at {host}, port {port}: {reason}."
            raise ConfigError(message) from error
        yield listener


def _has_screen() -> bool:
    if platform.system() == "Linux":
        return bool(os.environ.get("DISPLAY") or os.environ.get("WAYLAND_DISPLAY"))
    return sys.stdout.isatty()
