"""From what was measured, as it lies on disk, to the rows of the page."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

from recap.core.intervals import Interval
from recap.report.content import (
    BaselineRow,
    ComparedFigure,
    Comparison,
    PolicyRow,
    ValueMetric,
    ValueQuality,
)
from recap.report.words import plain_text

ABBREVIATIONS = frozenset({"auc", "mae", "rmse"})
"""Words in the names of metrics that are written in capitals."""

COMPARED = ("cross_entropy", "rmse_steps", "rank_correlation_successes", "auc_50")
"""Figures of a value model that are shown beside those of the baselines."""


def policy_row(name: str, summary: Mapping[str, Any]) -> PolicyRow:
    """Take one row from an evaluation's summary."""
    return PolicyRow(
        name=name,
        episodes=summary["n"],
        success=Interval(*summary["success"]),
        successes_per_hour=Interval(*summary["successes_per_hour"]),
        median_steps_to_success=summary["median_steps_to_success"],
    )


def conditioning_rows(evaluation: Mapping[str, Any]) -> tuple[PolicyRow, ...]:
    """Put the indicator that the policy was evaluated with before the others it was told.

    Returns:
        The rows; none where the policy was told one thing only.
    """
    others = evaluation.get("conditioning")
    if not others:
        return ()
    told = {evaluation["indicator"]: evaluation["summary"], **others}
    return tuple(policy_row(name, summary) for name, summary in told.items())


def comparison(evaluation: Mapping[str, Any]) -> Comparison | None:
    """Read how a policy did against imitation; None where it was not compared."""
    against = evaluation.get("against_sft")
    if against is None:
        return None
    success = evaluation["summary"]["success"][1]
    return Comparison(
        throughput_ratio=_ratio(against["throughput_ratio"], is_over_something=success > 0.0),
        failure_ratio=_ratio(against["failure_ratio"], is_over_something=success < 1.0),
        mcnemar_p=against["mcnemar_p"],
    )


def value_metrics(
    measured: Mapping[str, Any], meanings: Mapping[str, str]
) -> tuple[ValueMetric, ...]:
    """List what was measured on held-out episodes, beside the same on training episodes.

    Args:
        measured: The value model's metrics: ``held_out`` and ``train``, name -> figure; a figure
            that could not be measured is None and is left out.
        meanings: Name -> how to read it; also says which figures to show, in which order.
    """
    held_out, train = measured["held_out"], measured["train"]
    intervals = measured.get("intervals", {})  # earlier versions measured none
    return tuple(
        ValueMetric(
            name=_metric_name(name),
            held_out=held_out[name],
            train=train[name],
            meaning=meaning,
            interval=_interval(intervals.get(name)),
        )
        for name, meaning in meanings.items()
        if held_out.get(name) is not None
    )


def value_quality(measured: Mapping[str, Any], meanings: Mapping[str, str]) -> ValueQuality | None:
    """Read how far the value model can be relied on.

    Args:
        measured: The value model's metrics.
        meanings: Baseline to what it knows; also says which to show, in which order.

    Returns:
        What to say of it; None where an earlier version measured it.
    """
    if "gate" not in measured:
        return None
    own = {name: ComparedFigure(value=measured["held_out"][name]) for name in COMPARED}
    rows = [BaselineRow(name="value model", meaning="", figures=_named(own))]
    for name, meaning in meanings.items():
        baseline = measured["baselines"].get(name)
        if baseline is None:
            continue
        figures = {
            figure: ComparedFigure(
                value=baseline["held_out"][figure],
                model_less_this=_interval(baseline["model_minus_baseline"][figure]),
            )
            for figure in COMPARED
        }
        rows.append(BaselineRow(name=plain_text(name), meaning=meaning, figures=_named(figures)))
    return ValueQuality(
        verdict=measured["gate"]["verdict"],
        reasons=tuple(measured["gate"]["reasons"]),
        pit=tuple(Interval(*bar) for bar in measured["pit"] if bar is not None),
        baselines=tuple(rows),
    )


def _named(figures: Mapping[str, ComparedFigure]) -> dict[str, ComparedFigure]:
    return {_metric_name(name): figure for name, figure in figures.items()}


def _interval(bounds: Sequence[float] | None) -> Interval | None:
    return None if bounds is None else Interval(*bounds)


def _metric_name(name: str) -> str:
    words = plain_text(name).split()
    return " ".join(word.upper() if word in ABBREVIATIONS else word for word in words)


def _ratio(bounds: Sequence[float | None], *, is_over_something: bool) -> Interval:
    """Read a ratio whose infinities and zeros over zero became null in JSON.

    Args:
        bounds: Low, point and high.
        is_over_something: Whether the ratio is infinite where it is null; else it is 0/0.
    """
    low, point, high = bounds
    undefined = math.inf if is_over_something else math.nan
    return Interval(
        low=0.0 if low is None else low,  # a lower end that is unknown claims nothing
        point=undefined if point is None else point,
        high=math.inf if high is None else high,
    )
