"""Which episodes to look at, to see what a value model does."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np

from data.schema import Outcome
from recap.report.config import Pick


@dataclass(frozen=True, slots=True, kw_only=True)
class Pickable:
    """An episode that could be looked at."""

    uid: str
    """Its name."""

    iteration: int
    """The lap it was recorded in."""

    outcome: Outcome | None
    """How it was judged; None where nobody has."""

    is_corrected: bool
    """Whether somebody took over from the policy."""

    is_held_out: bool
    """Whether the value model was trained without it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Picked:
    """An episode that is looked at."""

    uid: str
    """Its name."""

    why: str
    """The reason, in words that go on from the uid."""


def pick_episodes(
    episodes: Sequence[Pickable],
    pick: Pick,
    *,
    count: int,
    rng: np.random.Generator,
    error_of: Callable[[str], float | None],
) -> list[Picked]:
    """Pick episodes to look at.

    Args:
        episodes: All that could be.
        pick: Which are wanted.
        count: How many, at most.
        rng: Source of what is random.
        error_of: Asks the value model how wrong it is about a judged episode: its mean distance
            from the return, in control steps; None where there is no return to compare with.
            Asked only about what may be picked.

    Returns:
        The episodes, in the order in which to look at them; none where there is none of the kind.
    """
    if pick is Pick.WORST:
        return _worst(episodes, count=count, error_of=error_of)
    ordered = sorted(episodes, key=lambda e: e.uid)
    if pick is Pick.RANDOM:
        ordered = [ordered[place] for place in rng.permutation(len(ordered))]
    else:
        ordered = [e for e in ordered if _is_of_kind(e, pick)]
        ordered.sort(key=lambda e: -e.iteration)
    # What was learnt by heart looks better than it is.
    ordered.sort(key=lambda e: not e.is_held_out)
    words = {
        Pick.RANDOM: "drawn at random",
        Pick.FAILURES: "a failure",
        Pick.CORRECTED: "corrected",
    }[pick]
    return [
        Picked(
            uid=e.uid,
            why=f"{words}, {'not trained on' if e.is_held_out else 'of its training set'}",
        )
        for e in ordered[:count]
    ]


def _worst(
    episodes: Sequence[Pickable], *, count: int, error_of: Callable[[str], float | None]
) -> list[Picked]:
    judged = [e for e in episodes if e.outcome in {Outcome.SUCCESS, Outcome.FAILURE}]
    unseen = [e for e in judged if e.is_held_out]
    asked = {e.uid: error_of(e.uid) for e in unseen or judged}
    errors = {uid: error for uid, error in asked.items() if error is not None}
    among = [e for e in judged if e.uid in errors]
    ordered = sorted(among, key=lambda e: (-errors[e.uid], e.uid))
    kind = "judged episodes it was not trained on" if unseen else "judged episodes"
    return [
        Picked(
            uid=e.uid,
            why=(
                f"off by {errors[e.uid]:.1f} control steps on average, "
                f"{_nth(place)} most of {len(among)} {kind}"
            ),
        )
        for place, e in enumerate(ordered[:count], start=1)
    ]


def _is_of_kind(episode: Pickable, pick: Pick) -> bool:
    if pick is Pick.FAILURES:
        return episode.outcome is Outcome.FAILURE
    return episode.is_corrected


def _nth(place: int) -> str:
    if place == 1:
        return "the"
    ending = "th" if 10 < place % 100 < 20 else {1: "st", 2: "nd", 3: "rd"}.get(place % 10, "th")
    return f"the {place}{ending}"
