"""The table that a run ends with: imitation against RECAP, every number with its interval."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

Bounds = tuple[float, float, float]


@dataclass(frozen=True, slots=True, kw_only=True)
class Row:
    """One policy on the held-out seeds."""

    name: str
    """What the policy is called."""

    episodes: int
    """Number of held-out episodes."""

    success: Bounds
    """Low, point and high of the success rate, in [0, 1]."""

    successes_per_hour: Bounds
    """Low, point and high of the throughput."""

    median_steps_to_success: float | None
    """Median control steps of the successes; None when there were none."""

    @classmethod
    def of(cls, name: str, summary: Mapping[str, Any]) -> Row:
        """Take a row from an evaluation's summary."""
        return cls(
            name=name,
            episodes=summary["n"],
            success=tuple(summary["success"]),
            successes_per_hour=tuple(summary["successes_per_hour"]),
            median_steps_to_success=summary["median_steps_to_success"],
        )


def render_table(rows: Sequence[Row], against: Mapping[str, Sequence[float | None]]) -> str:
    """Draw the policies, then the last one over the first as ratios with 95 % intervals.

    Args:
        rows: The policies, imitation first.
        against: ``throughput_ratio`` and ``failure_ratio`` as low, point and high.
    """
    episodes = rows[0].episodes
    head = (f"{episodes} held-out episodes", "success", "successes / hour", "steps to success")
    body = [
        (row.name, _percent(row.success), _count(row.successes_per_hour), _steps(row))
        for row in rows
    ]
    ratios = (
        "last over first",
        f"failures × {_times(against['failure_ratio'])}",
        f"× {_times(against['throughput_ratio'])}",
        "",
    )
    cells = [head, *body, ratios]
    widths = [max(len(line[column]) for line in cells) for column in range(len(head))]
    lines = [
        "  ".join(cell.ljust(width) for cell, width in zip(line, widths, strict=True)).rstrip()
        for line in cells
    ]
    rule = "  ".join("-" * width for width in widths)
    return "\n".join([lines[0], rule, *lines[1:-1], rule, lines[-1]])


def _percent(bounds: Bounds) -> str:
    low, point, high = bounds
    return f"{point:.1%} [{low:.1%}, {high:.1%}]"


def _count(bounds: Bounds) -> str:
    low, point, high = bounds
    return f"{point:.0f} [{low:.0f}, {high:.0f}]"


def _steps(row: Row) -> str:
    return "-" if row.median_steps_to_success is None else f"{row.median_steps_to_success:.0f}"


def _times(bounds: Sequence[float | None]) -> str:
    low, point, high = ("∞" if bound is None else f"{bound:.2f}" for bound in bounds)
    return f"{point} [{low}, {high}]"
