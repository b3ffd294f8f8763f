"""Pictures of how good a value model is, from what was measured on held-out episodes.

They lie beside the weights, so that whoever gets the checkpoint sees what it is worth.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any, Final

import numpy as np

from recap.report.content import Floats
from recap.report.palette import light_colours
from recap.report.value_charts import MEDIUM, SMALL, legend, new_figure, png, style
from recap.report.value_predictions import PredictedEpisode, against_return, along_episodes
from recap.report.words import plain_text

if TYPE_CHECKING:
    from matplotlib.axes import Axes

PERCENTS: Final = (25, 50, 75)

COMPARED: Final[Mapping[str, tuple[str, int]]] = {
    "cross_entropy": ("cross-entropy, nats", -1),
    "mae_steps": ("mean error, control steps", -1),
    "rank_correlation_successes": ("rank correlation, successes", 1),
    "auc_50": ("AUC at half the time", 1),
}
"""Figures of the comparison with the baselines: what they are called, and where better lies."""

Record = Mapping[str, Any]


def value_pictures(metrics: Record, episodes: Sequence[PredictedEpisode] = ()) -> dict[str, bytes]:
    """Draw what was measured of a value model.

    Args:
        metrics: The content of its ``metrics.json``; what was not measured is not drawn.
        episodes: Its predictions of the held-out episodes, for the pictures that need them.

    Returns:
        File name to PNG, the same bytes for the same input. ``learning.png``, how the loss fell;
        ``calibration.png``, PIT and coverage; ``auc.png``, successes told from failures;
        ``baselines.png``, differences from what needs no look; and, of the episodes,
        ``against_return.png`` and ``along_episodes.png``.
    """
    pictures = {}
    if metrics.get("history"):
        pictures["learning.png"] = learning_picture(metrics["history"])
    if metrics.get("pit"):
        pictures["calibration.png"] = calibration_picture(metrics)
    intervals = metrics.get("intervals") or {}
    if any(intervals.get(f"auc_{percent}") for percent in PERCENTS):
        pictures["auc.png"] = auc_picture(metrics)
    if metrics.get("baselines"):
        pictures["baselines.png"] = baselines_picture(metrics["baselines"])
    if episodes:
        pictures["against_return.png"] = against_return(episodes)
        pictures["along_episodes.png"] = along_episodes(episodes)
    return pictures


def learning_picture(history: Iterable[Record]) -> bytes:
    """Draw the loss of the training batches and that of the held-out frames, step by step.

    Args:
        history: Records with ``step`` and ``loss``, ``held_out_loss`` or both, and ``member`` in
            an ensemble; a pair of lines for each member.
    """
    figure = new_figure(6.4, 3.8)
    draw_learning(figure.axes[0], list(history))
    return png(figure)


def draw_learning(axes: Axes, records: Sequence[Record]) -> None:
    """Draw the learning curves into a chart; records as in :func:`learning_picture`."""
    colours = light_colours()
    for member in sorted({record.get("member", 0) for record in records}):
        own = [record for record in records if record.get("member", 0) == member]
        train, held_out = _curve(own, "loss"), _curve(own, "held_out_loss")
        first = "_" * bool(member)  # Matplotlib leaves such a name out of the legend
        axes.plot(*train, color=colours["base"], lw=1.6, label=f"{first}training batches")
        axes.plot(*held_out, "o-", color=colours["accent"], lw=2.2, ms=4, label=f"{first}held out")
        if held_out.size:
            step, least = held_out[:, int(np.argmin(held_out[1]))]
            axes.plot([step], [least], "o", ms=10, mfc="none", mec=colours["accent"], mew=1.6)
            if not member:
                axes.annotate(
                    f"least: {least:.2f}",
                    (step, least),
                    xytext=(0, -9),
                    textcoords="offset points",
                    ha="left" if step < 0.5 * records[-1]["step"] else "right",
                    va="top",
                    fontsize=SMALL,
                    color=colours["accent"],
                    bbox={"facecolor": colours["card"], "alpha": 0.8, "pad": 1, "lw": 0},
                )
    axes.margins(y=0.16)
    style(axes, title="Learning", x="gradient step", y="cross-entropy, nats")
    legend(axes, where="best")


def calibration_picture(metrics: Record) -> bytes:
    """Draw where returns fell in their predicted distributions, and how many in its middle.

    Args:
        metrics: ``pit``, a row of intervals ``[low, point, high]``, and ``intervals`` of the
            figures ``coverage_50`` and ``coverage_90`` where they were measured.
    """
    figure = new_figure(8.6, 3.6, columns=2)
    draw_pit(figure.axes[0], metrics["pit"])
    draw_coverage(figure.axes[1], metrics.get("intervals") or {})
    return png(figure)


def draw_pit(axes: Axes, pit: Sequence[Sequence[float]]) -> None:
    """Draw the PIT histogram into a chart, with the height of every bar if all is right."""
    colours = light_colours()
    bars: Floats = np.array(pit, dtype=np.float64)
    count = len(bars)
    places = (np.arange(count) + 0.5) / count
    axes.bar(places, bars[:, 1], width=0.84 / count, color=colours["accent"], alpha=0.75)
    axes.vlines(places, bars[:, 0], bars[:, 2], color=colours["ink"], lw=1.4)
    line = axes.axhline(1 / count, color=colours["negative"], lw=1.6, dashes=(5, 3))
    line.set_label("if right")
    axes.set_xlim(0.0, 1.0)
    axes.set_ylim(0.0, max(1.25 * float(bars[:, 2].max()), 0.2))
    style(
        axes,
        title="Where returns fell (PIT)",
        x="share of the distribution below the return",
        y="share of the frames",
    )
    legend(axes, where="upper right")


def draw_coverage(axes: Axes, intervals: Record) -> None:
    """Draw how many returns lay in the middle of their distributions, into a chart."""
    colours = light_colours()
    for promised in (0.5, 0.9):
        interval = intervals.get(f"coverage_{round(100 * promised)}")
        if interval is None:
            continue
        low, point, high = interval
        axes.plot([promised] * 2, [low, high], color=colours["ink"], lw=1.6)
        axes.plot([promised], [point], "o", ms=9, color=colours["accent"])
        axes.annotate(
            f"{point:.2f}",
            (promised, point),
            xytext=(9, -3),
            textcoords="offset points",
            fontsize=SMALL,
            color=colours["ink"],
        )
    axes.plot([0, 1], [0, 1], color=colours["negative"], lw=1.6, dashes=(5, 3))
    axes.set_xlim(0.0, 1.05)
    axes.set_ylim(0.0, 1.05)
    axes.text(0.05, 0.92, "above: too unsure", fontsize=SMALL, color=colours["soft"])
    axes.text(1.0, 0.08, "below: too sure", fontsize=SMALL, color=colours["soft"], ha="right")
    style(
        axes,
        title="Coverage of central intervals",
        x="share that was promised",
        y="share of the returns inside",
    )


def auc_picture(metrics: Record) -> bytes:
    """Draw how well successes are told from failures as time goes on, with 95 % intervals.

    Args:
        metrics: ``intervals`` of the figures ``auc_*``.
    """
    figure = new_figure(6.4, 3.8)
    draw_auc(figure.axes[0], metrics["intervals"])
    return png(figure)


def draw_auc(axes: Axes, intervals: Record) -> None:
    """Draw the AUCs and their intervals into a chart."""
    colours = light_colours()
    for ending, label, colour, aside in (
        ("", "at the same moment", colours["accent"], -0.6),
        ("_of_own_length", "at a share of each attempt's length", colours["base"], 0.6),
    ):
        known = {p: intervals.get(f"auc_{p}{ending}") for p in PERCENTS}
        points = np.array([(p + aside, *interval) for p, interval in known.items() if interval])
        if len(points) == 0:
            continue
        axes.plot(points[:, 0], points[:, 2], "o-", color=colour, lw=2.0, ms=7, label=label)
        axes.vlines(points[:, 0], points[:, 1], points[:, 3], color=colour, lw=1.6)
    axes.axhline(0.5, color=colours["negative"], lw=1.4, dashes=(5, 3), label="a coin")
    axes.set_xticks(PERCENTS, [f"{percent} %" for percent in PERCENTS])
    axes.set_xlim(15, 85)
    axes.set_ylim(-0.42, 1.03)  # room for the legend below what can be
    axes.set_yticks(np.linspace(0.0, 1.0, 5))
    style(
        axes,
        title="Successes told from failures",
        x="of the time of the longest attempt",
        y="AUC",
    )
    legend(axes, where="lower right")


def baselines_picture(baselines: Record) -> bytes:
    """Draw the model's figures less those of each baseline, with 95 % intervals.

    Args:
        baselines: Name to ``model_minus_baseline``, figure to interval or None.
    """
    colours = light_colours()
    figure = new_figure(11.0, 1.4 + 0.42 * len(baselines), columns=len(COMPARED))
    names = list(baselines)
    labels = [plain_text(name) for name in names]
    for column, (figure_name, (label, better)) in enumerate(COMPARED.items()):
        axes = figure.axes[column]
        axes.axvline(0.0, color=colours["soft"], lw=1.2)
        for row, name in enumerate(names):
            interval = baselines[name]["model_minus_baseline"].get(figure_name)
            _draw_difference(axes, row, interval, better=better)
        axes.set_ylim(len(names) - 0.5, -0.6)
        axes.set_yticks(range(len(names)), labels if not column else [])
        style(axes, x=f"{label}\n{'← better' if better < 0 else 'better →'}")
        axes.grid(visible=False, axis="y")
        axes.tick_params(axis="y", length=0, labelsize=MEDIUM)
    figure.suptitle(
        "The model less each baseline: an interval that touches 0 is a tie",
        fontsize=MEDIUM,
        fontweight="bold",
        color=colours["ink"],
        x=0.01,
        ha="left",
    )
    return png(figure)


def _draw_difference(
    axes: Axes, row: int, interval: Sequence[float] | None, *, better: int
) -> None:
    colours = light_colours()
    if interval is None:
        words = "  nothing to compare"
        axes.text(0.0, row, words, va="center", fontsize=SMALL, color=colours["soft"])
        return
    low, point, high = interval
    colour = colours["base"]
    if low > 0.0 or high < 0.0:
        colour = colours["success" if point * better > 0 else "failure"]
    axes.plot([low, high], [row, row], color=colour, lw=2.4, solid_capstyle="round")
    axes.plot([point], [row], "o", color=colour, ms=7)


def _curve(records: Sequence[Record], name: str) -> Floats:
    """Give the ``(2, K)`` steps and numbers of the records that have one."""
    points = [(r["step"], r[name]) for r in records if name in r]
    curve: Floats = np.array(points, dtype=np.float64).reshape(-1, 2).T
    return curve
