"""Settings of looking at a value model. Imports nothing heavy."""

from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path

from data.errors import ConfigError

SPAWN = "spawn"
"""In the place of a file: open Rerun's viewer."""


class Pick(StrEnum):
    """Which episodes to look at, where none is named."""

    WORST = "worst"
    RANDOM = "random"
    FAILURES = "failures"
    CORRECTED = "corrected"


@dataclass(frozen=True, slots=True, kw_only=True)
class InspectConfig:
    """Settings of ``recap inspect-value``: which episodes to look at, and where pictures go."""

    episode: str = ""
    """Uid of the episode to look at, or several with commas between them; any that was recorded,
    judged or not. Empty to have some picked."""

    pick: Pick = Pick.WORST
    """Which episodes where none is named: where the value was most wrong on average (worst), drawn
    with the seed (random), the newest failures or the newest corrected ones. Held-out episodes
    come before those the model was trained on; worst looks at no others."""

    count: int = 1
    """Episodes to pick."""

    to: Path | None = None
    """Folder for the pictures; null for value_pictures beside the value model's folder."""

    rerun: str = ""
    """A file ending in .rrd to write for Rerun besides, or spawn to open its viewer; empty for
    neither. Rerun is installed with the extra recap[rerun]."""

    def __post_init__(self) -> None:
        """Refuse to look at nothing, and a file that Rerun would not open."""
        if self.count < 1:
            message = f"inspect.count must be at least 1, got {self.count}."
            raise ConfigError(message)
        if self.rerun and self.rerun != SPAWN and Path(self.rerun).suffix != ".rrd":
            message = (
                f"inspect.rerun must be a file ending in .rrd, or {SPAWN}, got '{self.rerun}'. "
                f"Rerun opens no others: --rerun=value.rrd"
            )
            raise ConfigError(message)

    @property
    def uids(self) -> tuple[str, ...]:
        """The episodes that are named."""
        return tuple(dict.fromkeys(u for u in map(str.strip, self.episode.split(",")) if u))
