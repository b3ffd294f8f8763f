"""What every stage of a lap read, wrote and ran with, so that a lap can be resumed and checked.

A manifest keeps what must come out the same however often a run was stopped (inputs and outputs
by content hash, settings, versions, seed, status) apart from what cannot (when and how long).
"""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field, replace
from datetime import UTC, datetime
from enum import StrEnum
from functools import cache
from importlib.metadata import version
from pathlib import Path
from typing import Any, Final

from data.errors import ProjectError, RecapError
from data.files import read_json, write_json_atomically

SECONDS_BETWEEN_BEATS: Final = 5.0
"""How much of a stage's duration a kill can lose."""

_DISTRIBUTIONS: Final = ("recap", "lerobot", "torch", "numpy", "mujoco")


class Status(StrEnum):
    """How far a stage has come."""

    RUNNING = "running"
    COMPLETE = "complete"


@dataclass(frozen=True, slots=True, kw_only=True)
class StageEntry:
    """One stage of one lap."""

    status: Status
    """Whether it is complete; a stage that was stopped stays at running."""

    seed: int
    """Seed of everything that the stage draws."""

    settings: Mapping[str, Any]
    """The settings that the stage reads."""

    versions: Mapping[str, str]
    """Versions of the libraries that decide its results."""

    inputs: Mapping[str, str] = field(default_factory=dict)
    """What it read: path inside the project -> content hash."""

    outputs: Mapping[str, str] = field(default_factory=dict)
    """What it wrote: path inside the project -> content hash."""

    report: Mapping[str, Any] = field(default_factory=dict)
    """What it had to say when it was complete."""

    seconds: float = 0.0
    """How long it was at work, over all times it was started."""

    runs: int = 0
    """How many times it was started."""

    finished_at: str = ""
    """When it was complete, in UTC."""

    def comparable(self) -> dict[str, Any]:
        """What must be the same in two runs of the same settings, stopped or not."""
        names = ("status", "seed", "settings", "versions", "inputs", "outputs")
        return {name: getattr(self, name) for name in names}


class StageRun:
    """A stage at work: notes how long it takes and, at the end, what came out."""

    def __init__(self, manifest: Manifest, stage: str, entry: StageEntry) -> None:
        self._manifest = manifest
        self._stage = stage
        self._entry = replace(entry, runs=entry.runs + 1)
        self._last_beat = time.monotonic()
        manifest.keep(stage, self._entry)

    def beat(self) -> None:
        """Note the time spent so far, so that a kill loses a few seconds of it at most."""
        if time.monotonic() - self._last_beat >= SECONDS_BETWEEN_BEATS:
            self.pause()

    def pause(self) -> None:
        """Note the time spent so far."""
        now = time.monotonic()
        self._entry = replace(self._entry, seconds=self._entry.seconds + now - self._last_beat)
        self._last_beat = now
        self._manifest.keep(self._stage, self._entry)

    def complete(
        self,
        *,
        inputs: Mapping[str, str],
        outputs: Mapping[str, str],
        report: Mapping[str, Any],
    ) -> None:
        """Note what the stage read, wrote and has to say."""
        self._entry = replace(
            self._entry,
            status=Status.COMPLETE,
            inputs=dict(sorted(inputs.items())),
            outputs=dict(sorted(outputs.items())),
            report=report,
            finished_at=datetime.now(UTC).isoformat(timespec="seconds"),
        )
        self.pause()


class Manifest:
    """The manifest of one lap, on disk after every change."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._stages = _read(path) if path.exists() else {}

    def entry(self, stage: str) -> StageEntry | None:
        """The entry of a stage; None if it was never begun."""
        return self._stages.get(stage)

    def is_complete(self, stage: str, *, folder: Path) -> bool:
        """Say whether a stage is complete and everything it wrote is still in the project."""
        entry = self.entry(stage)
        return (
            entry is not None
            and entry.status is Status.COMPLETE
            and all((folder / path).exists() for path in entry.outputs)
        )

    def keep(self, stage: str, entry: StageEntry) -> None:
        """Write an entry down."""
        self._stages[stage] = entry
        self._write()

    @contextmanager
    def running(self, stage: str, *, settings: Mapping[str, Any], seed: int) -> Iterator[StageRun]:
        """Note that a stage is at work, and how long, however it ends.

        A user's mistake leaves no trace: what was noted before is noted again.
        """
        before = self.entry(stage)
        entry = StageEntry(
            status=Status.RUNNING,
            seed=seed,
            settings=settings,
            versions=_versions(),
            seconds=before.seconds if before else 0.0,
            runs=before.runs if before else 0,
        )
        run = StageRun(self, stage, entry)
        try:
            yield run
        except RecapError:
            self._put_back(stage, before)
            raise
        except BaseException:
            run.pause()
            raise
        run.pause()

    def _put_back(self, stage: str, entry: StageEntry | None) -> None:
        if entry is not None:
            self.keep(stage, entry)
            return
        del self._stages[stage]
        if self._stages:
            self._write()
        else:
            self._path.unlink()

    def _write(self) -> None:
        stages = {name: asdict(entry) for name, entry in self._stages.items()}
        write_json_atomically(self._path, {"stages": stages})

    def seconds(self) -> float:
        """How long the stages of this lap were at work, over all times they were started."""
        return sum(entry.seconds for entry in self._stages.values())

    def comparable(self) -> dict[str, Any]:
        """What must be the same in two runs of the same settings, stopped or not."""
        return {name: entry.comparable() for name, entry in self._stages.items()}


@cache
def _versions() -> dict[str, str]:
    return {name: version(name) for name in _DISTRIBUTIONS}


def _read(path: Path) -> dict[str, StageEntry]:
    content = read_json(path)
    try:
        return {
            name: StageEntry(**{**entry, "status": Status(entry["status"])})
            for name, entry in content["stages"].items()
        }
    except (AttributeError, KeyError, TypeError, ValueError) as error:
        message = f"{path} is not a manifest ({error}). Restore it, or delete it and run again."
        raise ProjectError(message) from error
