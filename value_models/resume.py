"""The state of a training on disk, from which it goes on as if it had never been stopped.

One folder ``step-<n>`` for the newest state: ``state.json`` and ``tensors.safetensors``. A state
appears whole or not at all, and the one before goes only when the next is there: a training that
is killed, or finds the disk full, loses the steps since, and no more.
"""

from __future__ import annotations

import shutil
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

from safetensors import SafetensorError
from safetensors.torch import load_file, save_file

from data.errors import CheckpointError, FingerprintError, ProjectError
from data.files import read_json, sweep_partials, whole_folder, write_json_atomically

if TYPE_CHECKING:
    from pathlib import Path

    from torch import Tensor

FORMAT: Final = 1
STATE_FILE: Final = "state.json"
TENSORS_FILE: Final = "tensors.safetensors"
_FOLDERS: Final = "step-*"


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class TrainingState:
    """All that decides how a training goes on after a step."""

    step: int
    """Steps done."""

    numbers: Mapping[str, Any]
    """What JSON can hold: the learning curve, the random generator, the order of the data."""

    tensors: Mapping[str, Tensor]
    """Everything else."""


class Workspace:
    """Where the state of one training lies, bound to what decides its result."""

    def __init__(self, folder: Path, *, made_for: Mapping[str, Any]) -> None:
        """Use a folder.

        Args:
            folder: Where to; made when needed.
            made_for: What decides the result of the training, as JSON: settings, data, beginning.
                A state that was made for anything else is refused.
        """
        self.folder = folder
        self.made_for = dict(made_for)

    def save(self, state: TrainingState) -> None:
        """Write a state down, and remove the one before.

        Raises:
            ProjectError: If that failed, say for a full disk. The state before is still there.
        """
        destination = self._folder_of(state.step)
        older = [folder for folder in self._folders() if folder != destination]
        content = {"format": FORMAT, "made_for": self.made_for, "numbers": dict(state.numbers)}
        tensors = unshared(state.tensors)
        try:
            if not destination.exists():
                with whole_folder(destination) as partial:
                    save_file(tensors, partial / TENSORS_FILE)
                    write_json_atomically(partial / STATE_FILE, content)
        except (OSError, SafetensorError) as error:
            kept = f"; it is kept as it was after step {_step_of(older[-1])}" if older else ""
            message = (
                f"The state of the training after step {state.step} could not be written to "
                f"{self.folder} ({error}){kept}. Make room, and run the same command to go on."
            )
            raise ProjectError(message) from error
        for folder in older:
            shutil.rmtree(folder, ignore_errors=True)

    def latest(self) -> TrainingState | None:
        """Read the newest state; None where there is none.

        Raises:
            FingerprintError: If it was made with other settings or data.
            CheckpointError: If it is damaged.
        """
        folders = self._folders()
        if not folders:
            return None
        folder = folders[-1]
        try:
            content = read_json(folder / STATE_FILE)
            made_for, numbers = content["made_for"], content["numbers"]
            tensors = load_file(folder / TENSORS_FILE)
        except (OSError, ProjectError, SafetensorError, KeyError, TypeError) as error:
            message = (
                f"{folder} holds a training that was stopped, and is damaged ({error}). "
                f"Delete {self.folder} to begin again."
            )
            raise CheckpointError(message) from error
        self._require_same(made_for)
        return TrainingState(step=_step_of(folder), numbers=numbers, tensors=tensors)

    def sweep(self) -> None:
        """Remove what was left by a training that was killed while it wrote."""
        if self.folder.is_dir():
            sweep_partials(self.folder)

    def _require_same(self, made_for: Mapping[str, Any]) -> None:
        before, now = dict(_flat(made_for)), dict(_flat(self.made_for))
        differ = [name for name in sorted(before | now) if before.get(name) != now.get(name)]
        if differ:
            message = (
                f"{self.folder} holds a training that was stopped, and differs from this one in "
                f"{', '.join(differ)}. Go back to what it was to go on with it, or delete the "
                f"folder to begin again."
            )
            raise FingerprintError(message)

    def _folder_of(self, step: int) -> Path:
        return self.folder / f"step-{step:08d}"

    def _folders(self) -> list[Path]:
        return sorted(self.folder.glob(_FOLDERS))


def unshared(tensors: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Give tensors as safetensors takes them: on the CPU, contiguous, none in another's memory."""
    taken: set[int] = set()
    own = {}
    for name, tensor in tensors.items():
        plain = tensor.detach().cpu().contiguous()
        own[name] = plain.clone() if plain.data_ptr() in taken else plain
        taken.add(plain.data_ptr())
    return own


def discard_workspace(folder: Path) -> None:
    """Remove the workspace of a training whose checkpoint is written. Does no harm twice."""
    if folder.exists():
        shutil.rmtree(folder)


def named(**groups: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Put groups of tensors into one, by the names ``<group>/<name>``."""
    return {f"{group}/{name}": t for group, some in groups.items() for name, t in some.items()}


def grouped(tensors: Mapping[str, Tensor]) -> dict[str, dict[str, Tensor]]:
    """Take the groups apart that ``named`` put together; empty ones are missing."""
    groups: dict[str, dict[str, Tensor]] = {}
    for label, tensor in tensors.items():
        group, _, name = label.partition("/")
        groups.setdefault(group, {})[name] = tensor
    return groups


def _step_of(folder: Path) -> int:
    return int(folder.name.removeprefix("step-"))


def _flat(content: Mapping[str, Any], prefix: str = "") -> Iterator[tuple[str, Any]]:
    for name, value in content.items():
        if isinstance(value, Mapping):
            yield from _flat(value, f"{prefix}{name}.")
        else:
            # What was read from JSON has lists where settings have tuples.
            yield prefix + name, list(value) if isinstance(value, tuple) else value
