import math

import numpy as np
import pytest

from recap.core.intervals import Interval
from recap.report import words
from recap.report.content import Comparison


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (1234.4, "1,234"),
        (56.78, "56.8"),
        (2.0, "2.00"),
        (0.0123, "0.0123"),
        (-0.5, "−0.500"),
        (0.00002, "2.0e−05"),
        (0, "0"),
        (math.inf, "∞"),
        (-math.inf, "−∞"),
        (math.nan, "–"),
        (None, "–"),
    ],
)
def test_a_number_is_written_with_three_digits(value, text):
    assert words.number_text(value) == text


def test_shares_and_ratios_are_written_with_their_units():
    assert words.percent_text(0.4351) == "43.5\u202f%"
    assert words.percent_text(1.0) == "100\u202f%"
    assert words.percent_text(math.nan) == "–"
    assert words.percent_range_text(Interval(0.368, 0.435, 0.504)) == "37–50\u202f%"
    assert words.range_text(Interval(342.2, 412.0, 1486.0)) == "342–1,486"
    assert words.ratio_text(2.718) == "2.72×"
    assert words.ratio_text(12.34) == "12.3×"
    assert words.ratio_range_text(Interval(1.9, 2.4, math.inf)) == "1.90–∞"


def test_counts_show_a_half_and_nothing_finer():
    assert words.count_text(1234) == "1,234"
    assert words.count_text(52.5) == "52.5"
    assert words.count_text(None) == "–"


def test_a_small_p_value_gets_no_more_digits_than_it_deserves():
    assert words.p_value_text(3e-12) == "p < 0.001"
    assert words.p_value_text(0.0341) == "p = 0.034"
    assert words.p_value_text(math.nan) == "–"


WORSE, UNSURE, BETTER = Interval(0.2, 0.3, 0.4), Interval(0.8, 1.2, 1.7), Interval(2.0, 2.5, 3.0)


@pytest.mark.parametrize(
    ("throughput", "failures", "sentence"),
    [
        (BETTER, WORSE, "at 95\u202f% confidence: more successes per hour and fewer failures."),
        (WORSE, BETTER, "at 95\u202f% confidence: fewer successes per hour and more failures."),
        (
            BETTER,
            UNSURE,
            "at 95\u202f% confidence: more successes per hour. "
            "The change in failures cannot be told from no change.",
        ),
        (UNSURE, UNSURE, "neither difference can be told from no change."),
    ],
)
def test_the_verdict_claims_only_what_the_intervals_allow(throughput, failures, sentence):
    comparison = Comparison(throughput_ratio=throughput, failure_ratio=failures, mcnemar_p=0.5)
    assert words.verdict(comparison, baseline="SFT") == f"Compared with SFT, {sentence}"


def test_who_was_in_control_is_said_in_steps():
    assert words.control_text(np.zeros(74, dtype=bool)) == "74 steps, the policy in control"
    assert words.control_text(np.arange(96) < 22) == "96 steps, 22 of them corrected"
    assert "none of them" in words.control_text(np.ones(3, dtype=bool))


@pytest.mark.parametrize(
    ("low", "high", "text"),
    [
        (-5.52, 0.149, "−5.5 to +0.15"),
        (-1234.5, -100.4, "−1,234 to −100"),
        (0.0, 99.9, "+0 to +100"),
    ],
)
def test_differences_show_their_signs(low, high, text):
    assert words.signed_range_text(Interval(low, 0.0, high)) == text
