"""A database by file or by address: SQLite or PostgreSQL, one writer at a time.

Whoever writes holds everybody else back from writing until they are done, and nobody back from
reading. So what is written becomes visible in the order in which it was written.
"""

from __future__ import annotations

import sqlite3
import threading
import time
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from sqlalchemy import URL, create_engine, event, make_url
from sqlalchemy.exc import ArgumentError, DBAPIError
from sqlalchemy.exc import TimeoutError as PoolTimeoutError
from sqlalchemy.pool import QueuePool

from data.errors import ProjectError

if TYPE_CHECKING:
    from collections.abc import Iterator

    from sqlalchemy import Connection, Engine

PATIENCE_S: Final = 30
"""How long a writer waits for another one."""

_CONNECT_PATIENCE_S: Final = 10
_POLL_S: Final = 0.005
_THREADS_AT_ONCE: Final = 40  # as many as a web server of this size runs
_SECRET_OPTIONS: Final = ("password", "sslpassword")
_SCHEMA_LOCK: Final = 0x5EC49  # any number that is always the same

# SQLite's own wait for another writer looks again only after up to 100 ms; threads need not.
_sqlite_writers: dict[str, threading.Lock] = {}


class Database:
    """Connections to one database, for any number of threads."""

    def __init__(self, location: str | Path) -> None:
        """Prepare to connect; nothing is opened yet.

        Args:
            location: A SQLite file, or the address of a database: ``sqlite:///folder/file.db`` or
                ``postgresql://user:password@server:port/database``.

        Raises:
            ProjectError: If the address cannot be read or names another kind of database.
        """
        url = _url(location)
        self.name = str(location) if isinstance(location, Path) else shown(url)
        """What to call it in a message: the file, or the address without its password."""

        self._secrets = _secrets(url)
        self._is_file = url.get_backend_name() == "sqlite"
        self._engine = _sqlite(url) if self._is_file else _postgresql(url)
        self._lock = threading.Lock()
        if self._is_file:
            path = str(Path(str(url.database)).absolute())
            self._lock = _sqlite_writers.setdefault(path, self._lock)

    @contextmanager
    def reading(self) -> Iterator[Connection]:
        """Yield a connection that sees one moment of the database.

        Raises:
            ProjectError: If the database cannot be reached or used.
        """
        with self._mistakes_named(), self._engine.begin() as connection:
            yield connection

    @contextmanager
    def writing(self, table: str = "") -> Iterator[Connection]:
        """Yield a connection that alone may write until it is left; an error undoes everything.

        Args:
            table: The table to write to; empty to make or alter tables.

        Raises:
            ProjectError: If the database cannot be reached or used, or others did not let this
                writer in for `PATIENCE_S` seconds.
        """
        with self._mistakes_named():
            if self._is_file:
                alone = self._engine.execution_options(recap_begin="BEGIN IMMEDIATE")
                with self._lock, alone.begin() as connection:
                    yield connection
                return
            with self._engine.begin() as connection:
                connection.exec_driver_sql(f"SET LOCAL lock_timeout = '{PATIENCE_S}s'")
                if table:
                    connection.exec_driver_sql(f"LOCK TABLE {table} IN EXCLUSIVE MODE")
                else:
                    connection.exec_driver_sql(f"SELECT pg_advisory_xact_lock({_SCHEMA_LOCK})")
                yield connection

    def close(self) -> None:
        """Give the connections back. New ones are made when the database is used again."""
        self._engine.dispose()

    @contextmanager
    def _mistakes_named(self) -> Iterator[None]:
        """Turn what the driver says into one line without a password."""
        try:
            yield
        except (DBAPIError, PoolTimeoutError) as error:
            reason = " ".join(str(getattr(error, "orig", None) or error).split()).rstrip(".")
            for secret in self._secrets:
                reason = reason.replace(secret, "***")
            message = f"{self.name} cannot be used as a store of outcomes ({reason})."
            if not self._is_file:
                message += (
                    " Check the address and that the server runs; the password comes with the "
                    "address, from PGPASSWORD or from ~/.pgpass."
                )
            raise ProjectError(message) from error


def shown(address: URL | str) -> str:
    """Return the address of a database without its password, fit to be written down.

    Raises:
        ProjectError: If the address cannot be read.
    """
    url = _url(address) if isinstance(address, str) else address
    url = url.difference_update_query(_SECRET_OPTIONS).set(drivername=url.get_backend_name())
    # An address keeps its user when only the password is taken away.
    return URL.create(
        url.drivername,
        username=url.username,
        host=url.host,
        port=url.port,
        database=url.database,
        query=url.query,
    ).render_as_string()


def _url(location: str | Path) -> URL:
    if isinstance(location, Path):
        location.parent.mkdir(parents=True, exist_ok=True)
        return URL.create("sqlite", database=str(location))
    try:
        url = make_url(location)
    except (ArgumentError, ValueError):
        # What cannot be read may still hold a password: it is not repeated.
        message = (
            "The address of the database cannot be read. Write it like "
            "postgresql://anna@server:5432/recap or sqlite:///folder/outcomes.db."
        )
        raise ProjectError(message) from None
    if url.get_backend_name() in {"postgresql", "postgres"}:
        return url.set(drivername="postgresql+psycopg")
    if url.get_backend_name() != "sqlite":
        message = (
            f"Outcomes are kept in SQLite or PostgreSQL, not in '{url.get_backend_name()}'. "
            f"Write the address like postgresql://anna@server:5432/recap."
        )
        raise ProjectError(message)
    if not url.database or ":memory:" in url.database:
        message = "Outcomes kept in memory are lost. Name a file: sqlite:///folder/outcomes.db."
        raise ProjectError(message)
    return url


def _secrets(url: URL) -> list[str]:
    found = [url.password, *(url.query.get(option) for option in _SECRET_OPTIONS)]
    return [secret for secret in found if isinstance(secret, str) and secret]


def _sqlite(url: URL) -> Engine:
    engine = create_engine(
        url, poolclass=QueuePool, pool_size=_THREADS_AT_ONCE, connect_args={"timeout": PATIENCE_S}
    )
    event.listen(engine, "connect", _prepare_sqlite)
    event.listen(engine, "begin", _begin_sqlite)
    return engine


def _postgresql(url: URL) -> Engine:
    options: dict[str, Any] = {"client_encoding": "utf8", "prepare_threshold": None}
    if "connect_timeout" not in url.query:
        options["connect_timeout"] = _CONNECT_PATIENCE_S
    return create_engine(
        url,
        pool_size=_THREADS_AT_ONCE,
        max_overflow=0,
        pool_pre_ping=True,  # a server may be started anew while the form is open
        isolation_level="READ COMMITTED",  # a writer sees what the one before it wrote
        connect_args=options,
    )


def _prepare_sqlite(connection: sqlite3.Connection, _record: object) -> None:
    """Let readers and a writer work at once, and a second writer wait for the first."""
    connection.isolation_level = None  # transactions begin where `_begin_sqlite` says
    give_up_at = time.monotonic() + PATIENCE_S
    while True:
        try:
            connection.execute("PRAGMA journal_mode = WAL")
            break
        except sqlite3.OperationalError as error:
            # The one statement that does not wait for whoever else opens a new database.
            is_busy = error.sqlite_errorcode == sqlite3.SQLITE_BUSY
            if not is_busy or time.monotonic() > give_up_at:
                raise
            time.sleep(_POLL_S)
    connection.execute("PRAGMA synchronous = FULL")


def _begin_sqlite(connection: Connection) -> None:
    """Begin a transaction; one that will write must say so before it reads."""
    connection.exec_driver_sql(connection.get_execution_options().get("recap_begin", "BEGIN"))
