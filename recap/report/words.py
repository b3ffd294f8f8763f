"""How the page puts numbers into words."""

from __future__ import annotations

import math

import numpy as np

from recap.core.intervals import Interval
from recap.report.content import Bools, Comparison

THIN_SPACE = "\u202f"
EN_DASH = "\u2013"
MINUS = "\u2212"
MISSING = EN_DASH


def number_text(value: float | None) -> str:
    """Write a number with three significant digits, and a true minus sign.

    Thousands are kept whole (``1,234``), infinity is ``∞``, and a missing or undefined number is
    a dash.
    """
    if value is None or math.isnan(value):
        return MISSING
    if math.isinf(value):
        return "∞" if value > 0 else f"{MINUS}∞"
    size = abs(value)
    if size >= 100 or value == 0:  # three digits are already before the point
        text = f"{value:,.0f}"
    elif size >= 0.001:  # below, an exponent is easier to read
        text = f"{value:.{2 - math.floor(math.log10(size))}f}"
    else:
        text = f"{value:.1e}"
    return text.replace("-", MINUS)


def tick_text(value: float) -> str:
    """Write a round number with no more digits than it has."""
    return f"{value:,.6g}".replace("-", MINUS)


def count_text(count: float | None) -> str:
    """Write a count, or a median of counts, with no decimals but a half."""
    if count is None or math.isnan(count):
        return MISSING
    return f"{count:,.1f}".removesuffix(".0")


def ratio_text(ratio: float) -> str:
    """Write a ratio with two decimals, as far as they mean anything: ``2.72×``."""
    if math.isnan(ratio):
        return MISSING
    if math.isinf(ratio) or ratio >= 10:  # two decimals of 12.3 would be noise
        return f"{number_text(ratio)}×"
    return f"{ratio:.2f}×"


def ratio_range_text(interval: Interval) -> str:
    """Write the ends of a ratio's interval: ``2.21–3.34``."""
    return f"{ratio_text(interval.low)}{EN_DASH}{ratio_text(interval.high)}".replace("×", "")


def percent_text(share: float) -> str:
    """Write a share in [0, 1] as a percentage with one decimal, or none at the ends."""
    if math.isnan(share):
        return MISSING
    digits = 0 if share in (0.0, 1.0) else 1
    return f"{100 * share:.{digits}f}{THIN_SPACE}%"


def percent_range_text(interval: Interval) -> str:
    """Write the ends of an interval of shares: ``38–52 %``."""
    return f"{100 * interval.low:.0f}{EN_DASH}{100 * interval.high:.0f}{THIN_SPACE}%"


def range_text(interval: Interval) -> str:
    """Write the ends of an interval: ``1.9–3.1``."""
    return f"{number_text(interval.low)}{EN_DASH}{number_text(interval.high)}"


def signed_range_text(interval: Interval) -> str:
    """Write the ends of an interval of differences, with signs and two digits: ``−5.5 to +0.1``."""
    return f"{_signed_text(interval.low)} to {_signed_text(interval.high)}"


def p_value_text(p_value: float) -> str:
    """Write a p-value, and no more digits than it deserves."""
    if math.isnan(p_value):
        return MISSING
    if p_value < 0.001:  # the customary end of the scale
        return "p < 0.001"
    return f"p = {p_value:.3f}"


def plain_text(name: str) -> str:
    """Write a name from a program as words: ``train_value`` becomes ``train value``."""
    return name.replace("_", " ").replace("/", ", ")


def control_text(is_correction: Bools) -> str:
    """Say how long an episode was and who was in control."""
    steps, corrected = len(is_correction), int(np.count_nonzero(is_correction))
    if corrected == 0:
        return f"{steps} steps, the policy in control"
    if corrected == steps:
        return f"{steps} steps, none of them under the policy's control"
    return f"{steps} steps, {corrected} of them corrected"


def verdict(comparison: Comparison, *, baseline: str) -> str:
    """Say in one sentence what the paired comparison allows to claim, and no more."""
    differences = {
        "successes per hour": comparison.throughput_ratio,
        "failures": comparison.failure_ratio,
    }
    claims = [_claim(ratio, what=what) for what, ratio in differences.items()]
    made = [claim for claim in claims if claim]
    if not made:
        return f"Compared with {baseline}, neither difference can be told from no change."
    sentence = f"Compared with {baseline}, at 95{THIN_SPACE}% confidence: {' and '.join(made)}."
    for what, claim in zip(differences, claims, strict=True):
        if not claim:
            sentence += f" The change in {what} cannot be told from no change."
    return sentence


def _claim(ratio: Interval, *, what: str) -> str:
    if not ratio.excludes(1.0):
        return ""
    return f"{'more' if ratio.low > 1.0 else 'fewer'} {what}"


def _signed_text(difference: float) -> str:
    size = abs(difference)
    text = f"{size:,.0f}" if size >= 10 or size == 0 else f"{size:.2g}"
    return f"{MINUS if difference < 0 else '+'}{text}"
