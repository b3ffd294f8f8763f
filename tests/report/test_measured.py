"""From the files of a lap to the rows of its page."""

import math

from recap.core.intervals import Interval
from recap.report.measured import (
    comparison,
    conditioning_rows,
    value_metrics,
    value_quality,
)
from recap.report.words import ratio_text

SUMMARY = {
    "n": 4,
    "success": [0.05, 0.25, 0.7],
    "successes_per_hour": [0.0, 200.0, 600.0],
    "median_steps_to_success": None,
}


def compared(*, success, throughput=(0.5, 2.0, 4.0), failures=(0.2, 0.5, 0.9)):
    return comparison(
        {
            "summary": {**SUMMARY, "success": [0.0, success, 1.0]},
            "against_sft": {
                "throughput_ratio": list(throughput),
                "failure_ratio": list(failures),
                "mcnemar_p": 0.3,
            },
        }
    )


def test_a_ratio_over_zero_is_infinite():
    read = compared(success=0.5, throughput=(3.0, None, None))
    assert read.throughput_ratio == Interval(3.0, math.inf, math.inf)


def test_zero_over_zero_is_undefined_and_claims_nothing():
    never = compared(success=0.0, throughput=(0.0, None, None)).throughput_ratio
    assert math.isnan(never.point)
    assert not never.excludes(1.0)
    assert ratio_text(never.point) == "–"
    always = compared(success=1.0, failures=(0.0, None, None)).failure_ratio
    assert math.isnan(always.point)


def test_imitation_is_not_compared_with_itself():
    assert comparison({"summary": SUMMARY}) is None


def test_the_indicator_of_the_evaluation_comes_first():
    rows = conditioning_rows(
        {
            "indicator": "positive",
            "summary": SUMMARY,
            "conditioning": {"none": SUMMARY, "negative": SUMMARY},
        }
    )
    assert [row.name for row in rows] == ["positive", "none", "negative"]


def test_one_indicator_alone_shows_nothing():
    assert conditioning_rows({"indicator": "none", "summary": SUMMARY, "conditioning": {}}) == ()


def test_a_figure_that_could_not_be_measured_is_left_out():
    measured = {
        "held_out": {"mae_steps": 3.0, "auc_50": None},
        "train": {"mae_steps": 2.0, "auc_50": 0.9},
    }
    (metric,) = value_metrics(measured, {"mae_steps": "In steps.", "auc_50": "Halfway."})
    assert (metric.name, metric.held_out, metric.train) == ("MAE steps", 3.0, 2.0)
    assert metric.interval is None


def test_a_figure_brings_its_interval():
    measured = {
        "held_out": {"mae_steps": 3.0},
        "train": {"mae_steps": 2.0},
        "intervals": {"mae_steps": [2.5, 3.0, 3.6]},
    }
    (metric,) = value_metrics(measured, {"mae_steps": "In steps."})
    assert metric.interval == Interval(2.5, 3.0, 3.6)


def test_the_model_comes_before_its_baselines_and_a_missing_one_is_left_out():
    def figures(rmse, auc):
        return {
            "cross_entropy": 1.0,
            "rmse_steps": rmse,
            "rank_correlation_successes": 0.5,
            "auc_50": auc,
        }

    measured = {
        "held_out": figures(7.0, None),
        "pit": [[0.0, 0.1, 0.2], None],
        "gate": {"verdict": "weak", "reasons": ["So."]},
        "baselines": {
            "time": {
                "held_out": figures(9.0, 0.5),
                "model_minus_baseline": {
                    **{name: [-1.0, 0.0, 1.0] for name in figures(0, 0)},
                    "auc_50": None,
                },
            }
        },
    }
    told = value_quality(measured, {"time": "A clock.", "linear_probe": "A line."})
    assert (told.verdict, told.reasons) == ("weak", ("So.",))
    assert told.pit == (Interval(0.0, 0.1, 0.2),)
    model, clock = told.baselines
    assert (model.name, clock.name, clock.meaning) == ("value model", "time", "A clock.")
    assert model.figures["RMSE steps"].value == 7.0
    assert model.figures["RMSE steps"].model_less_this is None
    assert clock.figures["RMSE steps"].model_less_this == Interval(-1.0, 0.0, 1.0)
    assert clock.figures["AUC 50"].value == 0.5
    assert clock.figures["AUC 50"].model_less_this is None


def test_metrics_of_an_earlier_version_hold_no_verdict():
    assert value_quality({"held_out": {}, "train": {}}, {"time": "A clock."}) is None
