"""How the page puts a value model's figures into plain words."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Final

from recap.web.dashboard.schemas import FigureOut, Grade, ValueModelOut

if TYPE_CHECKING:
    from recap.web.dashboard.files import ValueGate, ValueMetrics

Steps = tuple[tuple[float, Grade], ...]

AUC_FROM: Final[Steps] = ((0.85, Grade.GOOD), (0.7, Grade.FAIR), (0.55, Grade.WEAK))
"""The least chance of telling a success from a failure that earns each grade; 0.5 is a coin."""

RANK_FROM: Final[Steps] = ((0.8, Grade.GOOD), (0.6, Grade.FAIR), (0.3, Grade.WEAK))
"""The least rank correlation that earns each grade; 0 is no order at all."""

GAP_BELOW: Final[Steps] = ((0.1, Grade.GOOD), (0.3, Grade.FAIR), (1.0, Grade.WEAK))
"""The over-fitting gap, in nats, below which each grade is earned."""

WORDS: Final[Mapping[Grade, str]] = {
    Grade.GOOD: "good",
    Grade.FAIR: "fair",
    Grade.WEAK: "weak",
    Grade.BAD: "no better than a coin",
}

GRADES: Final[Mapping[str, Grade]] = {
    "ready": Grade.GOOD,
    "weak": Grade.WEAK,
    "unusable": Grade.BAD,
}
"""The grade that each verdict means."""

PLACES: Final[Mapping[int, str]] = {
    25: "a quarter in",
    50: "halfway",
    75: "three quarters in",
}


def value_model(metrics: ValueMetrics, *, iteration: int | None, fps: int | None) -> ValueModelOut:
    """Say how far a value model can be relied on.

    Its grade is the verdict of its own measurement. Where an earlier version measured it, without
    one, it is that of telling successes from failures halfway: what the advantages are worth
    stands or falls with it.

    Args:
        metrics: What was measured when it was trained.
        iteration: Its lap; None is pre-training.
        fps: Frames a second, to say steps in seconds; None where it is not known.
    """
    figures = [_auc(metrics, percent) for percent in PLACES]
    halfway = figures[list(PLACES).index(50)]
    figures += [_rank_correlation(metrics), _error(metrics, fps), _gap(metrics)]
    gate = metrics.gate
    return ValueModelOut(
        iteration=iteration,
        held_out_episodes=metrics.held_out_episodes,
        grade=halfway.grade if gate is None else GRADES[gate.verdict],
        headline=halfway.reading if gate is None else _headline(gate),
        figures=figures,
    )


def _headline(gate: ValueGate) -> str:
    return " ".join([f"The value model is {gate.verdict}.", *gate.reasons])


def _auc(metrics: ValueMetrics, percent: int) -> FigureOut:
    name = f"auc_{percent}"
    value: float | None = getattr(metrics.held_out, name)
    place = PLACES[percent]
    grade = _grade_from(value, AUC_FROM)
    reading = f"Tells successes from failures {place}: {_number(value)}, {_word(grade)}."
    if value is None:
        reading = f"Cannot be told {place}: no success and failure could be compared."
    return FigureOut(
        name=f"AUC at {percent} %",
        value=value,
        train=getattr(metrics.train, name),
        grade=grade,
        reading=reading,
    )


def _rank_correlation(metrics: ValueMetrics) -> FigureOut:
    value = metrics.held_out.rank_correlation_successes
    grade = _grade_from(value, RANK_FROM)
    word = "no order at all" if grade is Grade.BAD else _word(grade)
    reading = f"Knows how near success is: {_number(value)}, {word}."
    if value is None:
        reading = "Cannot be told: no success was held out."
    return FigureOut(
        name="Rank correlation",
        value=value,
        train=metrics.train.rank_correlation_successes,
        grade=grade,
        reading=reading,
    )


def _error(metrics: ValueMetrics, fps: int | None) -> FigureOut:
    value = metrics.held_out.mae_steps
    reading = "Was not measured."
    if value is not None:
        seconds = f", or {value / fps:.1f}\N{NO-BREAK SPACE}s" if fps else ""
        reading = f"Is off by {value:.0f} steps on average{seconds}."
    # How large an error is bearable depends on how long the attempts are: it gets no grade.
    return FigureOut(
        name="Error in steps",
        value=value,
        train=metrics.train.mae_steps,
        grade=Grade.UNKNOWN,
        reading=reading,
    )


def _gap(metrics: ValueMetrics) -> FigureOut:
    value = metrics.overfitting_gap
    grade = Grade.UNKNOWN
    reading = "Was not measured."
    if value is not None:
        grade = next((grade for below, grade in GAP_BELOW if value < below), Grade.BAD)
        verdict = {
            Grade.GOOD: "not over-fitted",
            Grade.FAIR: "slightly over-fitted",
            Grade.WEAK: "over-fitted",
            Grade.BAD: "knows its training episodes by heart",
        }[grade]
        reading = f"Is {_number(value)} nats worse on new episodes: {verdict}."
        if value < 0:
            reading = f"Is no worse on new episodes than on its own: {verdict}."
    return FigureOut(name="Over-fitting gap", value=value, train=None, grade=grade, reading=reading)


def _grade_from(value: float | None, steps: Steps) -> Grade:
    if value is None:
        return Grade.UNKNOWN
    return next((grade for least, grade in steps if value >= least), Grade.BAD)


def _word(grade: Grade) -> str:
    return WORDS.get(grade, "not known")


def _number(value: float | None) -> str:
    return "" if value is None else f"{value:.2f}".replace("-", "\N{MINUS SIGN}")
