"""Verdicts that are others now than those that something was trained on.

What was made stays under the name of its training set, so it is only told. A training set never
changes: it is read once. What cannot be read is passed over here, as the stages tell of it.
"""

from __future__ import annotations

import json
from collections import defaultdict
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final

from data.schema import RECAP_PATH, Outcome

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping
    from pathlib import Path

    from recap.project import Project

TRAINING: Final = ("train-value", "train-policy")
"""The stages that read a training set."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Change:
    """One training set that would be another one if it was made now."""

    laps: tuple[int | None, ...]
    """The laps that were trained on it, in their order; None is pre-training."""

    verdicts: int
    """How many of its episodes have another outcome now, or none."""


@dataclass(slots=True)
class Changes:
    """Finds the changes; it reads a file again only when that is another one."""

    project: Project
    """Whose training sets they are."""

    _read: dict[Path, tuple[tuple[int, int], Any]] = field(default_factory=dict)

    def since_training(
        self, laps: Iterable[int | None], outcome_of: Callable[[str], Outcome | None]
    ) -> list[Change]:
        """List the training sets that changed, those of the newest lap first.

        Args:
            laps: The laps that left anything behind; None is pre-training.
            outcome_of: Tells the outcome that an episode has now.
        """
        used: defaultdict[str, list[int | None]] = defaultdict(list)
        for lap in sorted(laps, key=_place):
            for name in sorted(self._known(self.project.manifest(lap), _trainsets)):
                used[name].append(lap)
        found = []
        for name, its_laps in used.items():
            trained = self._known(self.project.trainsets / name / RECAP_PATH, _outcomes)
            verdicts = sum(outcome_of(uid) is not outcome for uid, outcome in trained.items())
            if verdicts:
                found.append(Change(laps=tuple(its_laps), verdicts=verdicts))
        return sorted(found, key=lambda change: _place(change.laps[-1]), reverse=True)

    def _known[Content](
        self, path: Path, read: Callable[[Any], Mapping[str, Content]]
    ) -> Mapping[str, Content]:
        try:
            about = path.stat()
            stamp = (about.st_mtime_ns, about.st_ino)
            known = self._read.get(path)
            if known is None or known[0] != stamp:
                content = json.loads(path.read_text(encoding="utf-8"))
                known = self._read[path] = (stamp, read(content))
        except (OSError, ValueError, KeyError, TypeError, AttributeError):
            return {}
        found: Mapping[str, Content] = known[1]
        return found


def _place(lap: int | None) -> int:
    """Put pre-training before all laps."""
    return -1 if lap is None else lap


def _trainsets(manifest: Any) -> dict[str, None]:  # noqa: ANN401 - JSON is any of six types
    """Name the training sets that the stages of a lap read or made."""
    stages = [manifest["stages"][name] for name in TRAINING if name in manifest["stages"]]
    paths = [path for stage in stages for path in (*stage["inputs"], *stage["outputs"])]
    folders = [path.split("/") for path in paths]
    return {
        parts[1]: None
        for parts in folders
        if len(parts) == 2 and parts[0] == "trainsets" and parts[1].isalnum()
    }


def _outcomes(sidecar: Any) -> dict[str, Outcome]:  # noqa: ANN401 - JSON is any of six types
    return {line["info"]["uid"]: Outcome(line["outcome"]) for line in sidecar["episodes"]}
