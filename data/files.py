"""Files and folders that appear whole or not at all.

Everything is written under a temporary name, flushed to the disk (fsync) and renamed. A process
that is killed at any moment leaves at most a temporary name behind, which the next writer of the
same thing, or `sweep_partials`, removes.
"""

from __future__ import annotations

import fcntl
import hashlib
import itertools
import json
import os
import shutil
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from data.errors import ProjectError

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

PARTIAL_FOLDER = ".partial"
"""Sibling folder in which `whole_folder` collects unfinished folders."""

_SYNC_THREADS = 4
_serial = itertools.count()


def read_json(path: Path) -> Any:  # noqa: ANN401 - JSON is any of six types
    """Read a JSON file.

    Raises:
        ProjectError: If the file is missing or is not JSON.
    """
    try:
        return json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        message = f"{path} does not exist."
        raise ProjectError(message) from None
    except (json.JSONDecodeError, UnicodeDecodeError) as error:
        message = f"{path} is not valid JSON ({error}). Restore it, or delete it and run again."
        raise ProjectError(message) from error


def write_json_atomically(path: Path, content: object) -> None:
    """Write a JSON file that readers see either not at all, as it was, or whole.

    Raises:
        ValueError: If ``content`` holds NaN or infinity, which JSON does not know.
    """
    text = json.dumps(content, indent=2, allow_nan=False, ensure_ascii=False) + "\n"
    with whole_file(path) as partial:
        partial.write_text(text, encoding="utf-8")


@contextmanager
def whole_file(destination: Path) -> Iterator[Path]:
    """Yield a temporary path with the same suffix; rename it to ``destination`` on success.

    An existing ``destination`` is replaced. On an error the temporary file is removed and
    ``destination`` stays as it was.
    """
    destination.parent.mkdir(parents=True, exist_ok=True)
    _remove_dead_temporaries(destination)
    partial = destination.with_name(
        f".{destination.stem}.{os.getpid()}.{next(_serial)}{destination.suffix}"
    )
    try:
        yield partial
        _sync(partial)
        partial.replace(destination)
    finally:
        partial.unlink(missing_ok=True)
    _sync(destination.parent)


class PartialFolder:
    """A folder in the making, in ``parent/.partial/<name>.<pid>.<serial>``.

    It is locked as long as its process lives, so that `sweep_partials` can tell a writer at work
    from one that was killed: the kernel drops a lock with its process. Call `rename` or `discard`.
    """

    def __init__(self, parent: Path, name: str) -> None:
        """Make the folder, after removing what killed writers of the same name left behind."""
        nursery = parent / PARTIAL_FOLDER
        nursery.mkdir(parents=True, exist_ok=True)
        self.path = nursery / f"{name}.{os.getpid()}.{next(_serial)}"
        with locked(nursery):
            _remove_dead_folders(nursery, f"{name}.*")
            self.path.mkdir()
            self._handle = os.open(self.path, os.O_RDONLY)
            fcntl.flock(self._handle, fcntl.LOCK_EX)

    def rename(self, destination: Path) -> None:
        """Flush the folder to the disk and put it in its place.

        Raises:
            FileExistsError: If ``destination`` exists. It is unchanged.
        """
        _sync_folder(self.path)
        try:
            self.path.rename(destination)
        except OSError as error:
            if destination.exists():
                raise FileExistsError(destination) from error
            raise
        _sync(destination.parent)

    def discard(self) -> None:
        """Remove what was not renamed, and give the lock back. To call it twice is harmless."""
        shutil.rmtree(self.path, ignore_errors=True)
        if self._handle >= 0:
            os.close(self._handle)
            self._handle = -1


@contextmanager
def whole_folder(destination: Path) -> Iterator[Path]:
    """Yield an empty temporary folder; rename it to ``destination`` on success.

    Raises:
        FileExistsError: If ``destination`` exists, before or after the writing. It is unchanged.
    """
    if destination.exists():
        raise FileExistsError(destination)
    partial = PartialFolder(destination.parent, destination.name)
    try:
        yield partial.path
        partial.rename(destination)
    finally:
        partial.discard()


def sweep_partials(parent: Path) -> list[str]:
    """Remove what killed writers left in ``parent/.partial`` and return the names removed.

    Folders that a living process is writing are left alone.
    """
    nursery = parent / PARTIAL_FOLDER
    if not nursery.is_dir():
        return []
    with locked(nursery):
        return _remove_dead_folders(nursery, "*")


@contextmanager
def locked(folder: Path) -> Iterator[None]:
    """Keep every other process that asks for the same out, for the few moments it takes."""
    handle = os.open(folder, os.O_RDONLY)
    try:
        fcntl.flock(handle, fcntl.LOCK_EX)
        yield
    finally:
        os.close(handle)


def content_hash(*paths: Path) -> str:
    """Return the SHA-256 of the content of files and folders, in the order given.

    One file gives the plain SHA-256 of its bytes. A folder counts as its files, each with its
    path inside the folder, in sorted order; neither its own name nor any time stamp counts.
    """
    if len(paths) == 1 and paths[0].is_file():
        return _file_hash(paths[0])
    digest = hashlib.sha256()
    for path in paths:
        members = sorted(p for p in path.rglob("*") if p.is_file()) if path.is_dir() else [path]
        for member in members:
            name = member.relative_to(path).as_posix() if path.is_dir() else ""
            digest.update(f"{name}\0{_file_hash(member)}\n".encode())
    return digest.hexdigest()


def _file_hash(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _remove_dead_folders(nursery: Path, pattern: str) -> list[str]:
    """Remove the folders nobody holds a lock on. The kernel drops a lock with its process."""
    removed = []
    for folder in sorted(nursery.glob(pattern)):
        try:
            handle = os.open(folder, os.O_RDONLY)
        except FileNotFoundError:  # renamed into place just now
            continue
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
            shutil.rmtree(folder, ignore_errors=True)
            removed.append(folder.name)
        except BlockingIOError:
            pass
        finally:
            os.close(handle)
    return removed


def _remove_dead_temporaries(destination: Path) -> None:
    for leftover in destination.parent.glob(f".{destination.stem}.*.*{destination.suffix}"):
        process_id = leftover.name.removeprefix(f".{destination.stem}.").split(".")[0]
        if process_id.isdecimal() and not is_alive(int(process_id)):
            leftover.unlink(missing_ok=True)


def is_alive(process_id: int) -> bool:
    """Say whether a process of this machine is running."""
    try:
        os.kill(process_id, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        return True
    return True


def _sync_folder(folder: Path) -> None:
    # A hard link shares its bytes with a file that was flushed when it was written.
    inside = [p for p in folder.rglob("*") if p.is_dir() or p.stat().st_nlink == 1]
    # The file system joins simultaneous requests: together they take a quarter of the time.
    with ThreadPoolExecutor(_SYNC_THREADS) as pool:
        list(pool.map(_sync, [folder, *inside]))


def _sync(path: Path) -> None:
    handle = os.open(path, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
