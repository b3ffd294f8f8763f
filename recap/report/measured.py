"""From what was measured, as it lies on disk, to the rows of the page."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

from recap.core.intervals import Interval
from recap.report.content import Comparison, PolicyRow, ValueMetric
from recap.report.words import plain_text

ABBREVIATIONS = frozenset({"auc", "mae"})
"""Words in the names of metrics that are written in capitals."""


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
    return tuple(
        ValueMetric(
            name=_metric_name(name), held_out=held_out[name], train=train[name], meaning=meaning
        )
        for name, meaning in meanings.items()
        if held_out.get(name) is not None
    )


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
