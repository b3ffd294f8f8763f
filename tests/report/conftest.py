"""A small report with every section, for the tests of the page."""

import numpy as np
import pytest

from data.schema import Outcome
from recap.core.intervals import Interval
from recap.report.content import (
    AdvantageHistogram,
    BaselineRow,
    ComparedFigure,
    Comparison,
    PolicyRow,
    ReportContent,
    SourceShare,
    ValueCurve,
    ValueMetric,
    ValueQuality,
)
from recap.report.learning import learning_curves
from recap.report.pictures import rollout_video

TASK = "put the red cube on the green pad"
RED, BLUE = (220, 30, 30), (30, 30, 220)


def plain_film(colour, *, frames=6, size=32):
    return np.full((frames, size, size, 3), colour, dtype=np.uint8)


@pytest.fixture
def value_curve():
    length = 20
    values = np.concatenate([np.linspace(-0.5, -0.2, 10), np.linspace(-0.7, -0.9, 10)])
    is_correction = np.zeros(length, dtype=bool)
    is_correction[12:15] = True
    return ValueCurve(
        title="A corrected episode",
        task=TASK,
        outcome=Outcome.FAILURE,
        values=values,
        returns=np.linspace(-0.9, -0.7, length),
        is_positive=np.arange(length) < 9,
        is_correction=is_correction,
        filmstrip_frames=np.array([0, 9, 19]),
        filmstrip=plain_film(RED, frames=3, size=16),
    )


@pytest.fixture(scope="session")
def video():
    return rollout_video(
        {"front": plain_film(RED), "wrist": plain_film(BLUE)},
        control_rate_hz=20,
        title="RECAP, iteration 1",
        task=TASK,
        outcome=Outcome.SUCCESS,
        is_correction=np.array([False, False, True, True, False, False]),
    )


def policy_row(name, rate):
    return PolicyRow(
        name=name,
        episodes=200,
        success=Interval(rate - 0.07, rate, rate + 0.07),
        successes_per_hour=Interval(900 * rate, 1000 * rate, 1100 * rate),
        median_steps_to_success=52.5,
    )


@pytest.fixture
def content(value_curve, video):
    return ReportContent(
        project="tabletop",
        iteration=1,
        made_at="2026-01-01 12:00 UTC",
        policies=(policy_row("SFT", 0.4), policy_row("RECAP, iteration 1", 0.8)),
        comparison=Comparison(
            throughput_ratio=Interval(1.9, 2.4, 3.1),
            failure_ratio=Interval(0.2, 0.33, 0.5),
            mcnemar_p=1e-9,
        ),
        notes=("The demonstrators are clumsy.",),
        conditioning=(policy_row("positive", 0.8), policy_row("negative", 0.3)),
        value_curves=(value_curve,),
        advantage_histograms=(
            AdvantageHistogram(task=TASK, advantages=np.linspace(-1, 1, 101), threshold=0.2),
        ),
        source_shares=(SourceShare(source="correction", frames=1200, positive=1200),),
        learning_curves=learning_curves(
            [{"stage": "train_value", "step": step, "loss": 1 / (1 + step)} for step in range(90)]
        ),
        value_metrics=(
            ValueMetric(
                name="cross-entropy",
                held_out=2.43,
                train=2.12,
                interval=Interval(2.31, 2.43, 2.55),
            ),
        ),
        value_quality=ValueQuality(
            verdict="weak",
            reasons=("It is too sure of itself.",),
            pit=(Interval(0.2, 0.25, 0.3), Interval(0.7, 0.75, 0.8)),
            baselines=(
                BaselineRow(
                    name="value model",
                    meaning="",
                    figures={"RMSE steps": ComparedFigure(value=7.12)},
                ),
                BaselineRow(
                    name="time",
                    meaning="Knows the clock.",
                    figures={
                        "RMSE steps": ComparedFigure(
                            value=8.34, model_less_this=Interval(-1.5, -1.22, 0.25)
                        )
                    },
                ),
            ),
        ),
        videos=(video,),
        provenance={"Seeds": {"training": "7"}},
    )


def make_view(length=12, *, values=None, bins=201, **changes):
    """An episode whose every number is known: half positive, half negative, two cameras."""
    from recap.report.value_view import EpisodeView

    values = np.linspace(-0.8, -0.2, length) if values is None else np.asarray(values, float)
    probabilities = np.zeros((len(values), bins), dtype=np.float32)
    probabilities[np.arange(len(values)), np.rint((values + 1) * (bins - 1)).astype(int)] = 1.0
    length = len(values)
    known = {
        "uid": "rollout-01-7",
        "task": TASK,
        "outcome": Outcome.FAILURE,
        "fps": 10,
        "steps_per_return": 100.0,
        "images": {
            "front": plain_film(RED, frames=length),
            "wrist": plain_film(BLUE, frames=length),
        },
        "values": values,
        "probabilities": probabilities,
        "half": np.stack([values - 0.05, values + 0.05], axis=1),
        "most": np.stack([values - 0.1, values + 0.1], axis=1),
        "returns": values - 0.1,
        "signs": np.where(np.arange(length) < length // 2, 1, -1).astype(np.int8),
        "advantages": np.linspace(0.5, -0.5, length),
        "is_correction": np.zeros(length, dtype=bool),
    }
    return EpisodeView(**{**known, **changes})


@pytest.fixture(name="make_view")
def make_view_():
    return make_view
