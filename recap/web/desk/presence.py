"""Who has which episode on the screen, so that two people seldom judge the same one at once."""

from __future__ import annotations

import threading
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

PRESENCE_S: Final = 90.0
"""How long a look counts. The form repeats it more often than that while it is open."""

MOST_PRESENT: Final = 1000
"""People remembered at once; beyond that the look that is oldest is forgotten."""


@dataclass(frozen=True, slots=True, kw_only=True)
class _Look:
    uid: str
    since_s: float


class Presence:
    """The newest look of everybody who looked lately. Nothing of it is kept on disk."""

    def __init__(self, *, clock: Callable[[], float] = time.monotonic) -> None:
        """Begin with nobody present.

        Args:
            clock: Tells the time in seconds and never goes back.
        """
        self._clock = clock
        self._lock = threading.Lock()
        self._looks: dict[str, _Look] = {}  # the oldest look first

    def look(self, rater: str, uid: str) -> None:
        """Note that somebody has an episode on the screen, and no other one any more."""
        with self._lock:
            self._forget_who_left()
            self._looks.pop(rater, None)
            self._looks[rater] = _Look(uid=uid, since_s=self._clock())
            if len(self._looks) > MOST_PRESENT:
                del self._looks[next(iter(self._looks))]

    def others(self, rater: str | None = None) -> Mapping[str, list[str]]:
        """Return what other people look at: episode uid to their names, sorted.

        Args:
            rater: The person who asks, who is left out; None to hear of everybody.
        """
        with self._lock:
            self._forget_who_left()
            looks = [(name, look.uid) for name, look in self._looks.items() if name != rater]
        seen: dict[str, list[str]] = {}
        for name, uid in sorted(looks):
            seen.setdefault(uid, []).append(name)
        return seen

    def seen_by(self, rater: str | None) -> str | None:
        """Return the uid of the episode that a person has on the screen; None for none."""
        with self._lock:
            self._forget_who_left()
            look = None if rater is None else self._looks.get(rater)
        return None if look is None else look.uid

    def _forget_who_left(self) -> None:
        earliest_s = self._clock() - PRESENCE_S
        for name, look in list(self._looks.items()):
            if look.since_s > earliest_s:
                return
            del self._looks[name]
