"""What there is to see of one episode under a value model, and which moments of it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

from data.schema import Outcome
from recap.report.content import Bools, Floats, Pixels
from recap.report.figures import FALL_WINDOW, NOTICEABLE_FALL
from recap.report.instants import steepest_fall

MOST_MOMENTS: Final = 8
"""Pictures in a film strip."""

NEARLY_THE_END: Final = 3
"""A fall or rise that ends fewer frames before the end is shown up to it: one picture, not two."""

POSITIVE: Final = 1
NEGATIVE: Final = -1
UNMARKED: Final = 0

Signs = NDArray[np.int8]


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class EpisodeView:
    """One episode of T frames, and what a value model says of it."""

    uid: str
    """Its name."""

    task: str
    """The instruction."""

    outcome: Outcome | None
    """How it was judged; None where nobody has."""

    fps: int
    """Frames a second."""

    steps_per_return: float
    """Control steps in one unit of return."""

    images: Mapping[str, Pixels]
    """Camera name to ``(T, H, W, 3)`` pictures."""

    values: Floats
    """``(T,)`` expected returns, in [-1, 0]."""

    probabilities: NDArray[np.floating]
    """``(T, bins)`` mass of every bin, from the return -1 to the return 0."""

    half: NDArray[np.floating]
    """``(T, 2)`` ends of the central 50 % interval."""

    most: NDArray[np.floating]
    """``(T, 2)`` ends of the central 90 % interval."""

    returns: Floats | None
    """``(T,)`` returns that came, NaN after the frame at which a success was cut; None where the
    episode has none."""

    signs: Signs | None
    """``(T,)`` `POSITIVE`, `NEGATIVE` or `UNMARKED`, as the advantage was marked; None where no
    frame was."""

    advantages: Floats | None
    """``(T,)`` advantages, NaN where not marked; None where no frame was."""

    is_correction: Bools
    """``(T,)`` frames in which somebody corrected the policy."""

    notes: tuple[str, ...] = ()
    """What else to know, in a few words each."""

    def __post_init__(self) -> None:
        """Refuse arrays that do not describe the same frames, and an episode without any."""
        known = {
            "probabilities": self.probabilities,
            "half": self.half,
            "most": self.most,
            "returns": self.returns,
            "signs": self.signs,
            "advantages": self.advantages,
            "is_correction": self.is_correction,
            **self.images,
        }
        length = len(self.values)
        other = [n for n, array in known.items() if array is not None and len(array) != length]
        if other or length == 0:
            message = f"{self.uid}: {length} values, and other numbers of {', '.join(other)}."
            raise ValueError(message)

    def __len__(self) -> int:
        return len(self.values)

    @property
    def error_steps(self) -> float | None:
        """Mean distance between value and return, in control steps; None without returns."""
        if self.returns is None:
            return None
        return float(np.nanmean(np.abs(self.values - self.returns)) * self.steps_per_return)


@dataclass(frozen=True, slots=True)
class Moment:
    """A frame that is worth a picture."""

    frame: int
    """Which."""

    words: str = ""
    """What happens there; empty for one that only fills a gap."""

    kind: str = ""
    """``fall`` or ``rise`` where the value does so the most."""


def value_changes(values: Floats) -> dict[str, tuple[int, int]]:
    """Find the stretches over which the value falls and rises the most, where that is noticeable.

    Args:
        values: ``(T,)`` predicted returns of one episode.

    Returns:
        ``fall`` and ``rise`` to their first and last frame; what does not happen is missing.
    """
    found = {
        "fall": steepest_fall(values, window=FALL_WINDOW),
        "rise": steepest_fall(-values, window=FALL_WINDOW),
    }
    return {
        kind: ends
        for kind, ends in found.items()
        if ends is not None and abs(values[ends[1]] - values[ends[0]]) > NOTICEABLE_FALL
    }


def key_moments(values: Floats, *, most: int = MOST_MOMENTS) -> list[Moment]:
    """Choose the frames of a film strip: start, end, and around the greatest fall and rise.

    What is left goes into the middle of the widest gaps.

    Args:
        values: ``(T,)`` predicted returns of one episode.
        most: Moments wanted, at least 6; an episode shorter than that gives one for each frame.
    """
    last = len(values) - 1
    moments = {0: Moment(0, "start"), last: Moment(last, "end" if last else "start")}
    for kind, (first, reached) in value_changes(values).items():
        stop = last if last - reached < NEARLY_THE_END else reached
        change = values[stop] - values[first]
        words = f"after {change:+.2f}".replace("-", "−")
        # The two ends keep their names; a rise that begins where a fall ends is after that.
        moments.setdefault(first, Moment(first, f"before the {kind}", kind))
        moments[stop] = Moment(stop, words if stop != last else f"end, {words}", kind)
    while len(moments) < min(most, last + 1):
        frames = sorted(moments)
        widest = max(range(len(frames) - 1), key=lambda place: frames[place + 1] - frames[place])
        middle = (frames[widest] + frames[widest + 1]) // 2
        moments[middle] = Moment(middle)
    return [moments[frame] for frame in sorted(moments)]
