"""How far people who judge the same episodes agree, beyond what chance would give.

Kappa is 1 where they always agree, 0 where they agree as often as people would who guess with the
same habits, and below 0 where they agree less than that. Where everybody always says the same one
thing, chance alone would explain it, and kappa is not defined.
"""

from __future__ import annotations

from collections.abc import Callable, Hashable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from recap.core.intervals import Floats, Integers, Interval

COHEN = "Cohen's kappa"
FLEISS = "Fleiss' kappa"

_Kappas = Callable[[Integers, Floats], Floats]
"""Distinct rows and ``(r, rows)`` how often each one occurs, to ``(r,)`` kappas."""

_CERTAIN = 1.0 - 1e-12  # chance agreement above this is one but for rounding


@dataclass(frozen=True, slots=True, kw_only=True)
class Agreement:
    """How far several people agree about the episodes that at least two of them judged."""

    kind: str
    """`COHEN` for two people, `FLEISS` for more, empty where no two judged the same episode."""

    episodes: int
    """How many episodes at least two people judged."""

    kappa: Interval | None
    """Kappa and its interval; None where it is not defined."""


def measure_agreement(
    verdicts: Sequence[Mapping[str, Hashable]],
    *,
    rng: np.random.Generator,
    resamples: int = 2000,
    confidence: float = 0.95,
) -> Agreement:
    """Measure how far people agree about episodes.

    The interval is a percentile bootstrap over episodes. A resample in which everybody always
    says the same one thing says nothing, and counts towards both ends. Where people agreed on
    every episode, every resample does, too: the interval then shows no doubt, however few the
    episodes are.

    Args:
        verdicts: For each episode, each person to what they say of it. Episodes that fewer than
            two people judged are left out.
        rng: Source of the resampling.
        resamples: Bootstrap resamples of the episodes.
        confidence: Share of such intervals that contain the true kappa.

    Raises:
        ValueError: If ``resamples`` is below one or ``confidence`` not strictly between 0 and 1.
    """
    if resamples < 1 or not 0.0 < confidence < 1.0:
        message = (
            f"resamples must be at least 1 and confidence lie strictly between 0 and 1, "
            f"got {resamples} and {confidence}."
        )
        raise ValueError(message)
    compared = [episode for episode in verdicts if len(episode) > 1]
    if not compared:
        return Agreement(kind="", episodes=0, kappa=None)
    people = sorted({person for episode in compared for person in episode})
    spoken = {verdict: None for episode in compared for verdict in episode.values()}
    number = {verdict: place for place, verdict in enumerate(spoken)}
    are_two = len(people) == 2
    kind, kappas = (COHEN, _cohen_kappas) if are_two else (FLEISS, _fleiss_kappas)
    if are_two:
        rows = np.array([[number[episode[person]] for person in people] for episode in compared])
    else:
        rows = np.zeros((len(compared), len(number)), dtype=np.int64)
        for place, episode in enumerate(compared):
            for verdict in episode.values():
                rows[place, number[verdict]] += 1
    point = _kappa(kappas, rows)
    if point is None:
        return Agreement(kind=kind, episodes=len(compared), kappa=None)
    low, high = _bounds(kappas, rows, rng=rng, resamples=resamples, confidence=confidence)
    # The percentiles of few, coarse resamples need not hold the point.
    interval = Interval(min(low, point), point, max(high, point))
    return Agreement(kind=kind, episodes=len(compared), kappa=interval)


def cohen_kappa(first: Integers, second: Integers) -> float | None:
    """Measure how far two people agree.

    ``(observed - chance) / (1 - chance)``, where chance is how often two people agree who name
    each category as often as these two do, but independently.

    Args:
        first: ``(n,)`` category that one person named for each episode.
        second: ``(n,)`` what the other named, in the same order of episodes.

    Returns:
        Kappa; None where both always named the same one category.

    Raises:
        ValueError: If the arrays differ in length or are empty.

    Source:
        J. Cohen, 1960.
    """
    if len(first) != len(second) or len(first) == 0:
        message = f"expected two verdicts of every episode, got {len(first)} and {len(second)}."
        raise ValueError(message)
    return _kappa(_cohen_kappas, np.column_stack([first, second]).astype(np.int64))


def fleiss_kappa(counts: Integers) -> float | None:
    """Measure how far several people agree, not always the same ones.

    An episode's agreement is the share of pairs of its people who say the same. Chance is how
    often two people agree who draw from the shares of the categories among all verdicts. Every
    episode weighs the same, however many people judged it.

    Args:
        counts: ``(n, c)`` how many people named each of ``c`` categories, at least two people
            for each of ``n`` episodes.

    Returns:
        Kappa; None where everybody always named the same one category.

    Raises:
        ValueError: If there is no episode, or fewer than two people judged one.

    Source:
        J. L. Fleiss, 1971, there with the same number of people for every episode.
    """
    if len(counts) == 0 or int(counts.sum(axis=1).min()) < 2:
        message = "expected at least one episode, and at least two verdicts of each."
        raise ValueError(message)
    return _kappa(_fleiss_kappas, counts)


def _kappa(kappas: _Kappas, rows: Integers) -> float | None:
    point = float(kappas(rows, np.ones((1, len(rows))))[0])
    return None if np.isnan(point) else point


def _bounds(
    kappas: _Kappas,
    rows: Integers,
    *,
    rng: np.random.Generator,
    resamples: int,
    confidence: float,
) -> tuple[float, float]:
    """Resample episodes; only how often each kind of episode occurs matters."""
    kinds, occurrences = np.unique(rows, axis=0, return_counts=True)
    drawn = rng.multinomial(len(rows), occurrences / len(rows), size=resamples)
    samples = kappas(kinds, drawn.astype(np.float64))
    tail = (1.0 - confidence) / 2.0
    low = np.quantile(np.nan_to_num(samples, nan=-1.0), tail, method="lower")
    high = np.quantile(np.nan_to_num(samples, nan=1.0), 1.0 - tail, method="higher")
    return float(low), float(high)


def _cohen_kappas(pairs: Integers, weights: Floats) -> Floats:
    episodes = weights.sum(axis=1)
    categories = np.unique(pairs)
    observed = weights @ (pairs[:, 0] == pairs[:, 1]) / episodes
    first, second = (weights @ (pairs[:, [person]] == categories) for person in (0, 1))
    return _beyond_chance(observed, (first * second).sum(axis=1) / episodes**2)


def _fleiss_kappas(counts: Integers, weights: Floats) -> Floats:
    people = counts.sum(axis=1)
    agreeing = (counts * (counts - 1)).sum(axis=1) / (people * (people - 1))
    observed = weights @ agreeing / weights.sum(axis=1)
    shares = weights @ counts / (weights @ people)[:, None]
    return _beyond_chance(observed, (shares**2).sum(axis=1))


def _beyond_chance(observed: Floats, chance: Floats) -> Floats:
    """Return NaN where chance leaves nothing to agree about."""
    room = np.where(chance < _CERTAIN, 1.0 - chance, np.nan)
    kappas: Floats = (observed - chance) / room
    return kappas
