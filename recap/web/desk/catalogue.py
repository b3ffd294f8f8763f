"""The episodes of a project as they are now, also while more are being recorded.

A thread looks at the folder once a second and reads only what is new, so that neither the start
nor any page waits for ten thousand episodes. Whoever asks gets a snapshot that never changes.
"""

from __future__ import annotations

import json
import os
import sys
import threading
import time
from dataclasses import dataclass, field, replace
from itertools import batched
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, Final

from data.errors import ConfigError, EpisodeError, ProjectError
from data.files import read_json
from data.schema import RECAP_PATH, UID, EpisodeInfo, Layout, Pilot, Source
from recap.web.desk.timeline import read_pilots

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path

    from recap.project import Project

LOOK_EVERY_S: Final = 1.0
LOOK_AGAIN_EVERY_S: Final = 5.0
"""How often a damaged folder gets another chance: somebody may be copying it."""

READ_AT_ONCE: Final = 500
PILOTS_AT_ONCE: Final = 500
REST_S: Final = 0.002
"""Between two tables: read in one go, those of 10,000 episodes make every verdict wait."""

_COUNTS: Final = b', "pixel_counts": '


@dataclass(frozen=True, slots=True, kw_only=True)
class Entry:
    """One episode of the catalogue."""

    info: EpisodeInfo
    """The episode as a whole."""

    content_hash: str
    """SHA-256 of the info, the table and the videos, as noted when it was written."""

    pilots: frozenset[Pilot] | None
    """Who was in control of any of its frames; None until that was looked up."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Snapshot:
    """The catalogue at one moment."""

    entries: Mapping[str, Entry] = field(default_factory=lambda: MappingProxyType({}))
    """Uid to episode."""

    order: tuple[Entry, ...] = ()
    """The same in the order to judge them: newest iteration first, then by uid."""

    damaged: tuple[str, ...] = ()
    """Names of folders that are not whole episodes, sorted."""

    pending: int = 0
    """Folders that were found and not read yet."""

    revision: int = 0
    """How many episodes have come or gone so far."""

    layout: Layout | None = None
    """What every frame holds; None while nothing is recorded."""


class Catalogue:
    """The episodes of one project. Use `start` and `close`, or `refresh` by hand."""

    def __init__(self, project: Project) -> None:
        """Know nothing yet."""
        self._project = project
        self._folder = project.episodes
        self._now = Snapshot()
        self._lock = threading.Lock()  # one reader of the folder at a time
        self._inodes: dict[str, int] = {}
        self._damaged: dict[str, float] = {}  # name to when it may be tried again
        self._thread: threading.Thread | None = None
        self._is_closing = threading.Event()

    @property
    def now(self) -> Snapshot:
        """Everything at one moment, for who needs several things that fit together."""
        return self._now

    @property
    def infos(self) -> Mapping[str, Entry]:
        """Uid to episode."""
        return self._now.entries

    @property
    def pending(self) -> int:
        """Folders that were found and not read yet."""
        return self._now.pending

    @property
    def damaged(self) -> tuple[str, ...]:
        """Names of folders that are not whole episodes."""
        return self._now.damaged

    @property
    def layout(self) -> Layout | None:
        """What every frame holds; None while nothing is recorded."""
        return self._now.layout or self._find_layout(self._now.order)

    @property
    def revision(self) -> int:
        """How many episodes have come or gone so far."""
        return self._now.revision

    def find(self, uid: str) -> Entry | None:
        """Return one episode, also if the catalogue has not come to it yet; None if there is none.

        A verdict may arrive before the episode was read: right after the start, or from a client
        that kept it while the server was away.
        """
        entry = self._now.entries.get(uid)
        if entry is not None or not UID.fullmatch(uid):
            return entry
        try:
            return _read_entry(self._folder / uid)
        except (OSError, EpisodeError):
            return None

    def start(self) -> None:
        """Look for episodes in the background, from now until `close`."""
        if self._thread is None:
            self._is_closing.clear()
            self._thread = threading.Thread(target=self._watch, name="catalogue", daemon=True)
            self._thread.start()

    def close(self) -> None:
        """Stop looking. To call it twice is harmless."""
        self._is_closing.set()
        if self._thread is not None:
            self._thread.join()
            self._thread = None

    def refresh(self) -> bool:
        """Look once, and read what is new.

        Returns:
            Whether something is left to look up: only so many tables are read in one go, that
            new episodes may show in between.
        """
        with self._lock:
            self._drop_what_is_gone(found := self._scan())
            self._read_what_is_new(found)
            return self._look_up_pilots()

    def _watch(self) -> None:
        while not self._is_closing.is_set():
            has_more = self.refresh()
            self._is_closing.wait(0.0 if has_more else LOOK_EVERY_S)

    def _scan(self) -> dict[str, int]:
        """Return the name and the inode of every folder: another inode is another episode."""
        try:
            with os.scandir(self._folder) as listing:
                return {
                    entry.name: entry.inode()
                    for entry in listing
                    if not entry.name.startswith(".") and entry.is_dir()
                }
        except FileNotFoundError:  # nothing is recorded yet
            return {}
        except OSError:  # a share that is away for a moment did not lose its episodes
            return dict(self._inodes)

    def _drop_what_is_gone(self, found: Mapping[str, int]) -> None:
        gone = [name for name, inode in self._inodes.items() if found.get(name) != inode]
        for name in gone:
            del self._inodes[name]
            self._damaged.pop(name, None)
        if gone:
            entries = dict(self._now.entries)
            count = len(entries)
            for name in gone:
                entries.pop(name, None)
            self._publish(entries, pending=0, changes=count - len(entries))

    def _read_what_is_new(self, found: Mapping[str, int]) -> None:
        now_s = time.monotonic()
        due = [
            name
            for name, inode in found.items()
            if self._inodes.get(name) != inode or self._damaged.get(name, now_s + 1.0) <= now_s
        ]
        # The order to judge them is not known before they are read; the last name is a good guess.
        due.sort(reverse=True)
        left = len(due)
        self._now = replace(self._now, pending=left)
        for names in batched(due, READ_AT_ONCE):
            if self._is_closing.is_set():
                return
            entries = dict(self._now.entries)
            before = len(entries)
            for name in names:
                self._inodes[name] = found[name]
                entry = self._read(name)
                if entry is not None:
                    entries[name] = entry
            left -= len(names)
            self._publish(entries, pending=left, changes=len(entries) - before)

    def _read(self, name: str) -> Entry | None:
        try:
            entry = _read_entry(self._folder / name)
        except (OSError, EpisodeError):
            self._damaged[name] = time.monotonic() + LOOK_AGAIN_EVERY_S
            return None
        self._damaged.pop(name, None)
        return entry

    def _look_up_pilots(self) -> bool:
        unknown = [entry for entry in self._now.order if entry.pilots is None]
        if unknown:
            entries = dict(self._now.entries)
            for entry in unknown[:PILOTS_AT_ONCE]:
                if self._is_closing.wait(REST_S):
                    return False
                try:
                    pilots = frozenset(read_pilots(self._folder / entry.info.uid))
                except EpisodeError:  # its table is damaged: nobody is known to have flown it
                    pilots = frozenset()
                entries[entry.info.uid] = replace(entry, pilots=pilots)
            self._publish(entries, pending=self._now.pending, changes=0)
        return len(unknown) > PILOTS_AT_ONCE

    def _publish(self, entries: dict[str, Entry], *, pending: int, changes: int) -> None:
        order = sorted(entries.values(), key=lambda entry: order_key(entry.info))
        self._now = Snapshot(
            entries=MappingProxyType(entries),
            order=tuple(order),
            damaged=tuple(sorted(map(_printable, self._damaged))),
            pending=pending,
            revision=self._now.revision + changes,
            layout=self._now.layout or self._find_layout(order),
        )

    def _find_layout(self, order: Sequence[Entry]) -> Layout | None:
        try:
            if self._project.layout.exists():
                return Layout.from_json(read_json(self._project.layout))
            if order:
                # Heavy, and needed only by projects that are older than the file.
                from data.episodes import layout_of_episode

                return layout_of_episode(self._folder / order[0].info.uid)
        except (ConfigError, EpisodeError, ProjectError, OSError):
            return None
        return None


def order_key(info: EpisodeInfo) -> tuple[int, str]:
    """Order episodes as they are to be judged: newest iteration first, then by uid."""
    return -info.iteration, info.uid


def _read_entry(folder: Path) -> Entry:
    """Read one episode's description.

    Raises:
        EpisodeError: If it does not describe the episode of that folder.
        OSError: If it cannot be read.
    """
    sidecar = _sidecar_of((folder / RECAP_PATH).read_bytes())
    try:
        info = EpisodeInfo.from_json(sidecar["info"])
        content_hash = str(sidecar["content_hash"])
    except (KeyError, TypeError) as error:
        message = f"{folder} does not describe an episode."
        raise EpisodeError(message) from error
    if info.uid != folder.name:
        message = f"{folder} holds '{info.uid}', so the folder was renamed or copied."
        raise EpisodeError(message)
    # A project has few tasks, policies and sessions, and thousands of episodes that name them.
    info = replace(
        info,
        task=sys.intern(info.task),
        policy_id=sys.intern(info.policy_id),
        session=sys.intern(info.session),
    )
    return Entry(info=info, content_hash=content_hash, pilots=_known_pilots(info))


def _sidecar_of(content: bytes) -> Any:  # noqa: ANN401 - JSON is any of six types
    """Read a description without its thousands of pixel counts, which nobody here needs."""
    end = content.find(_COUNTS)
    is_whole = end > 0 and content.rstrip().endswith(b"}")
    try:
        return json.loads(content[:end] + b"}" if is_whole else content)
    except ValueError as error:
        message = "The description is not valid JSON."
        raise EpisodeError(message) from error


def _known_pilots(info: EpisodeInfo) -> frozenset[Pilot] | None:
    """Say who flew an episode if its description tells; most need no look at their table."""
    is_flown_by_policy = info.source is Source.ROLLOUT and info.corrected_frames == 0
    return frozenset({Pilot.POLICY}) if is_flown_by_policy else None


def _printable(name: str) -> str:
    """Return a name that JSON can hold, whatever bytes the file system holds."""
    return name.encode(errors="surrogateescape").decode(errors="replace")
