"""From marked frames to what the page shows of them."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

from data.schema import Indicator, Source
from recap.core.advantages import sets_threshold
from recap.report.content import AdvantageHistogram, SourceShare

if TYPE_CHECKING:
    import pandas as pd


def advantage_histograms(
    frames: pd.DataFrame, thresholds: Mapping[str, float]
) -> tuple[AdvantageHistogram, ...]:
    """Show each task's threshold among the frames that set it.

    Args:
        frames: One row per frame with ``task``, ``iteration``, ``advantage``, ``is_correction``.
        thresholds: Task -> the advantage above which a frame is positive.
    """
    newest = frames[
        sets_threshold(
            frames["task"].to_numpy(dtype=str),
            frames["iteration"].to_numpy(),
            frames["is_correction"].to_numpy(dtype=bool),
        )
    ]
    return tuple(
        AdvantageHistogram(
            task=str(task),
            advantages=of_task["advantage"].to_numpy(),
            threshold=thresholds[str(task)],
        )
        for task, of_task in newest.groupby("task")
    )


def source_shares(frames: pd.DataFrame) -> tuple[SourceShare, ...]:
    """Count the positive frames of demonstrations, autonomous attempts and corrections.

    Args:
        frames: One row per frame with ``source``, ``is_correction`` and ``indicator``.
    """
    is_demonstration = frames["source"] == Source.DEMONSTRATION
    is_positive = frames["indicator"] == Indicator.POSITIVE
    sources = {
        "demonstration": is_demonstration,
        "autonomous": ~is_demonstration & ~frames["is_correction"],
        "correction": frames["is_correction"],
    }
    return tuple(
        SourceShare(
            source=source, frames=int(chosen.sum()), positive=int((chosen & is_positive).sum())
        )
        for source, chosen in sources.items()
        if chosen.any()
    )
