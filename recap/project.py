"""The folder of one run: where everything lies, and the settings it was made with.

Nothing outside this file spells a path inside a project.
"""

from __future__ import annotations

import difflib
import fcntl
import json
import os
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final, TextIO

from draccus import cfgparsing

from data.errors import CheckpointError, ProjectError
from data.files import is_alive, locked, whole_file

SETTINGS_FILE: Final = "project.yaml"
WEIGHTS_FILE: Final = "model.safetensors"
LOCK_FILE: Final = ".lock"

MAY_CHANGE: Final = frozenset(
    {
        *("project", "iteration", "iterations", "workers", "wandb"),
        *("skip_unjudged", "include_interrupted", "label", "form", "inspect", "frames"),
        *("advantage.accept_unusable", "value"),
        *("robot", "teleop", "session", "remote", "safety", "alignment", "controls", "execution"),
    }
)
"""Settings that may differ when a project is opened again: none of them changes a result that is
already there. How verdicts become outcomes is one of them, as a changed verdict is: a training set
is named by the outcomes in it, and whatever is made from it by that name. A value model that is
there and was trained in another way is refused by its stage."""

BASE_HALVES: Final = ("value", "policy")
"""The folders of a base."""

_MOST_DIFFERENCES_SHOWN: Final = 5
_MOST_PROJECTS_NAMED: Final = 5


@dataclass(frozen=True, slots=True)
class Project:
    """Paths of one project.

    An *iteration* is a lap's number: 0 holds the demonstrations and the policy that imitates
    them, 1 and up are laps of RECAP. ``None`` stands for pre-training, which comes before all.
    """

    folder: Path

    @classmethod
    def create(cls, folder: Path, settings: Mapping[str, Any]) -> Project:
        """Make the project and freeze its settings, or open the one that is there.

        Args:
            folder: Where the project lives.
            settings: The whole configuration as plain values.

        Raises:
            ProjectError: If the folder holds a project with other settings, or something else.
        """
        project = cls(folder)
        if (folder / SETTINGS_FILE).exists():
            project._require_same(settings)
            return project
        if folder.exists() and (not folder.is_dir() or any(folder.glob("[!.]*"))):
            message = (
                f"{folder} is there already and is not a project: it has no {SETTINGS_FILE}. "
                f"Choose another folder with --project=..."
            )
            raise ProjectError(message)
        project._freeze({name: value for name, value in settings.items() if name != "project"})
        return project

    @classmethod
    def open(cls, folder: Path, settings: Mapping[str, Any]) -> Project:
        """Open a project that exists.

        Raises:
            ProjectError: If there is none, or it was made with other settings.
        """
        if not (folder / SETTINGS_FILE).exists():
            message = f"{folder} is not a project: it has no {SETTINGS_FILE}. {_instead(folder)}"
            raise ProjectError(message)
        project = cls(folder)
        project._require_same(settings)
        return project

    def remember(
        self, group: str, settings: Mapping[str, Any], *, defaults: Mapping[str, Any]
    ) -> list[str]:
        """Make a group of settings that may change those of the project, for every later command.

        Args:
            group: One of `MAY_CHANGE`.
            settings: The whole group as plain values.
            defaults: What held where the project, made before a setting existed, says nothing.

        Returns:
            What is different now, setting by setting, in words.
        """
        with locked(self.folder):
            frozen = self._frozen()
            before = _flatten(defaults) | _flatten(frozen.get(group) or {})
            now = _flatten(settings)
            different = different_settings(before, now, group=group)
            if different:
                self._freeze({**frozen, group: dict(settings)})
        return different

    def _frozen(self) -> dict[str, Any]:
        text = (self.folder / SETTINGS_FILE).read_text(encoding="utf-8")
        settings: dict[str, Any] = cfgparsing.load_config(text)
        return settings

    def _freeze(self, settings: Mapping[str, Any]) -> None:
        with whole_file(self.folder / SETTINGS_FILE) as partial, partial.open("w") as stream:
            cfgparsing.save_config(dict(settings), stream, sort_keys=False)

    def _require_same(self, settings: Mapping[str, Any]) -> None:
        frozen = self._frozen()
        before, now = _flatten(frozen), _flatten(settings)
        # A setting that came later is not in an older project, which ran without it.
        fixed = [name for name in before if MAY_CHANGE.isdisjoint((name, name.split(".")[0]))]
        different = different_settings(
            {name: before[name] for name in fixed}, {name: now.get(name) for name in fixed}
        )
        if different:
            shown = "; ".join(different[:_MOST_DIFFERENCES_SHOWN])
            rest = len(different) - _MOST_DIFFERENCES_SHOWN
            more = f"; and {rest} more" if rest > 0 else ""
            message = (
                f"{self.folder} was made with other settings: {shown}{more}. "
                f"A project keeps the settings it was made with: go back to them, or begin a new "
                f"project with --project=..."
            )
            raise ProjectError(message)

    @property
    def name(self) -> str:
        """What the project is called: its folder's name."""
        return self.folder.resolve().name

    @property
    def episodes(self) -> Path:
        """One folder for every finished attempt."""
        return self.folder / "episodes"

    @property
    def layout(self) -> Path:
        """What every frame holds: cameras, names and rate, fixed by the first recording."""
        return self.folder / "layout.json"

    @property
    def outcomes(self) -> Path:
        """The append-only judgements, unless `database` says that they are elsewhere."""
        return self.folder / "outcomes.db"

    @property
    def database(self) -> Path:
        """Which database has the judgements, where it is not `outcomes`."""
        return self.folder / "database.json"

    @property
    def id_file(self) -> Path:
        """What tells the project from every other one, also of the same name at the same place."""
        return self.folder / "project_id.json"

    @property
    def trainsets(self) -> Path:
        """The immutable training sets, one folder for each fingerprint."""
        return self.folder / "trainsets"

    @property
    def statistics(self) -> Path:
        """The normalisation statistics that every training set of this project shares."""
        return self.folder / "statistics.json"

    @property
    def frame_cache(self) -> Path:
        """Decoded pictures; safe to delete."""
        return self.folder / "cache" / "frames"

    @property
    def feature_cache(self) -> Path:
        """What frozen backbones make of the pictures; safe to delete."""
        return self.folder / "cache" / "features"

    @property
    def metrics(self) -> Path:
        """The learning curves, one JSON line for every record."""
        return self.folder / "metrics.jsonl"

    def lap(self, iteration: int | None) -> Path:
        """Where one lap lies; ``None`` is pre-training."""
        if iteration is None:
            return self.folder / "pretrained"
        return self.folder / "iterations" / str(iteration)

    def manifest(self, iteration: int | None) -> Path:
        """What the stages of a lap read, wrote and ran with."""
        return self.lap(iteration) / "manifest.json"

    def value(self, iteration: int | None) -> Path:
        """The value model of a lap."""
        return self.lap(iteration) / "value"

    def advantages(self, iteration: int | None) -> Path:
        """The marked frames of a lap."""
        return self.lap(iteration) / "advantages.parquet"

    def sessions(self, iteration: int) -> Path:
        """How each session with a robot went."""
        return self.lap(iteration) / "sessions"

    def policy(self, iteration: int | None) -> Path:
        """The policy of a lap, a LeRobot ``pretrained_model`` folder."""
        return self.lap(iteration) / "policy"

    def evaluation(self, iteration: int) -> Path:
        """How the policy of a lap did on the held-out seeds."""
        return self.lap(iteration) / "evaluation.json"

    def report(self, iteration: int) -> Path:
        """The page of a lap."""
        return self.lap(iteration) / "report.html"

    def relative(self, path: Path) -> str:
        """A path inside the project as the manifest writes it."""
        return path.relative_to(self.folder).as_posix()

    def starting_point(self, base: Path | None) -> Path:
        """The folder with the pre-trained ``value`` and ``policy`` that every lap starts from.

        Args:
            base: A base that was brought along; None for the one this project pre-trained.

        Raises:
            CheckpointError: If either half, or its weights, are missing.
        """
        folder = self.lap(None) if base is None else base
        missing = [name for name in BASE_HALVES if not (folder / name).is_dir()]
        missing = missing or [
            f"{name}/{WEIGHTS_FILE}"
            for name in BASE_HALVES
            if not (folder / name / WEIGHTS_FILE).is_file()
        ]
        if missing:
            mend = (
                f"Pre-train one with `recap pretrain --project={self.folder}`."
                if base is None
                else "Make one with `make base`, or leave the setting `base` out to pre-train here."
            )
            message = f"{folder} is not a base to start from: no {' and no '.join(missing)}. {mend}"
            raise CheckpointError(message)
        return folder

    @contextmanager
    def at_work(self, *, is_shared: bool = False) -> Iterator[None]:
        """Keep other commands out of the project while one is at work in it.

        Args:
            is_shared: Whether others that share may be at work too, as sessions that record may.
                What trains needs the project for itself.

        Raises:
            ProjectError: If another process is at work here, and one of the two does not share.
        """
        kind = fcntl.LOCK_SH if is_shared else fcntl.LOCK_EX
        with (self.folder / LOCK_FILE).open("a+", encoding="utf-8") as lock:
            with locked(self.folder):
                at_work = _processes(lock)
                try:
                    fcntl.flock(lock, kind | fcntl.LOCK_NB)
                except BlockingIOError as error:
                    raise _busy(self.folder, at_work) from error
                others = [process for process in at_work if is_shared and is_alive(process)]
                _note(lock, [*others, os.getpid()])
            try:
                yield
            finally:
                with locked(self.folder):
                    others = _processes(lock)
                    if os.getpid() in others:
                        others.remove(os.getpid())
                    _note(lock, others)
                    fcntl.flock(lock, fcntl.LOCK_UN)


def _instead(folder: Path) -> str:
    """Say what else may be meant by a folder that is no project, or how to make one."""
    try:
        settings = folder.parent.glob(f"[!.]*/{SETTINGS_FILE}")
        beside = sorted(path.parent.name for path in settings)
    except OSError:
        beside = []
    if not beside:
        return f"Make one with `recap iterate --config_path configs/demo.yaml --project={folder}`."
    make = "`recap collect` and `recap iterate` make a new one, from a --config_path."
    if nearest := difflib.get_close_matches(folder.name, beside, n=1):
        return f"Did you mean --project={folder.parent / nearest[0]}? {make}"
    named = ", ".join(str(folder.parent / name) for name in beside[:_MOST_PROJECTS_NAMED])
    rest = len(beside) - _MOST_PROJECTS_NAMED
    return f"There are {named}{f' and {rest} more' if rest > 0 else ''}. {make}"


def _processes(lock: TextIO) -> list[int]:
    """Who is at work, and who was killed at work: a lock goes with its process, a note stays."""
    lock.seek(0)
    return [int(word) for word in lock.read().split() if word.isdecimal()]


def _note(lock: TextIO, processes: Sequence[int]) -> None:
    lock.truncate(0)
    lock.write(" ".join(map(str, processes)))
    lock.flush()


def _busy(folder: Path, noted: Sequence[int]) -> ProjectError:
    # Children keep the lock of a process that was killed: then its own note is all there is.
    alive = sorted({process for process in noted if is_alive(process)}) or sorted(set(noted))
    names = " and ".join(map(str, alive))
    if len(alive) > 1:
        return ProjectError(
            f"Processes {names} are at work in {folder}. Wait for them to end, or stop them."
        )
    return ProjectError(f"Process {names} is at work in {folder}. Wait for it to end, or stop it.")


def different_settings(
    before: Mapping[str, Any], now: Mapping[str, Any], *, group: str = ""
) -> list[str]:
    """Say of every setting that differs what it was and what it is; groups may be nested."""
    old, new = _flatten(before), _flatten(now)
    return [
        f"{group}.{name}".removeprefix(".")
        + f" was {_as_typed(old, name)}, is {_as_typed(new, name)}"
        for name in sorted(old.keys() | new.keys())
        if old.get(name) != new.get(name)
    ]


def _as_typed(settings: Mapping[str, Any], name: str) -> str:
    """Write a value as one would type it."""
    if name not in settings:
        return "not set"
    value = settings[name]
    return json.dumps(value) if value is None or isinstance(value, bool) else repr(value)


def _flatten(settings: Mapping[str, Any], prefix: str = "") -> dict[str, Any]:
    flat: dict[str, Any] = {}
    for name, value in settings.items():
        if isinstance(value, Mapping):
            flat |= _flatten(value, f"{prefix}{name}.")
        else:
            flat[prefix + name] = value
    return flat
