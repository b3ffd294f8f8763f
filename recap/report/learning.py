"""From metric records to learning curves."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from typing import TypeGuard

import numpy as np

from recap.report.content import LearningCurve, Series

STEP_KEY = "step"
STAGE_KEY = "stage"
NOT_METRICS = frozenset(
    {STEP_KEY, "iteration", "epoch", "seed", "time", "seconds", "elapsed_s", "timestamp"}
)
"""Numbers in a record that say where and when, not how well."""

SPLITS = ("train", "validation", "held_out", "eval")
"""Prefixes that name a split: ``train_loss`` and ``held_out_loss`` share one panel."""


def learning_curves(records: Iterable[Mapping[str, object]]) -> tuple[LearningCurve, ...]:
    """Gather the numbers of metric records into one curve for each stage and metric.

    A record needs a stage and a step to be on a curve; others are passed over. A step that was
    recorded twice (training resumed there) counts as it was recorded last. Only what moves is a
    curve: a metric recorded at a single step is left out.

    Args:
        records: Lines of ``metrics.jsonl``: ``{"stage": "train_value", "step": 20, "loss": 3.1}``.
            A split may be named by a prefix (``train_loss``, ``held_out/loss``).

    Returns:
        The curves, in the order in which stages and metrics first appear.
    """
    points: dict[tuple[str, str], dict[str, dict[float, float]]] = {}
    for record in records:
        stage, step = record.get(STAGE_KEY), record.get(STEP_KEY)
        if not isinstance(stage, str) or not _is_number(step):
            continue
        for key, value in record.items():
            if key in NOT_METRICS or not _is_number(value):
                continue
            split, metric = _split_and_metric(key)
            line = points.setdefault((stage, metric), {}).setdefault(split, {})
            line[float(step)] = float(value)
    curves = []
    for (stage, metric), lines in points.items():
        series = tuple(_series(split, line) for split, line in lines.items() if len(line) > 1)
        if series:
            curves.append(LearningCurve(stage=stage, metric=metric, series=series))
    return tuple(curves)


def _is_number(value: object) -> TypeGuard[float]:
    return isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value)


def _split_and_metric(key: str) -> tuple[str, str]:
    for split in SPLITS:
        for separator in ("/", "_"):
            prefix = split + separator
            if key.startswith(prefix) and len(key) > len(prefix):
                return split, key.removeprefix(prefix)
    return "", key


def _series(split: str, line: Mapping[float, float]) -> Series:
    steps = np.array(sorted(line))
    return Series(name=split, steps=steps, values=np.array([line[step] for step in steps]))
