"""From the files of a lap to the rows of its page."""

import math

from recap.core.intervals import Interval
from recap.report.measured import comparison, conditioning_rows, value_metrics
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
