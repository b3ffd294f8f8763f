"""The sentence a policy is told: the task, and how good the actions should be."""

from __future__ import annotations

from typing import Final

INDICATOR_WORD: Final = "advantage:"
"""The word that opens the indicator; the word after it is the sign."""

POSITIVE: Final = 1
NEGATIVE: Final = -1
ABSENT: Final = 0

SIGN_WORDS: Final = {POSITIVE: "positive", NEGATIVE: "negative"}


def with_indicator(task: str, indicator: int) -> str:
    """Append the indicator to a task, after the sub-task and before the actions.

    Args:
        task: The task in words.
        indicator: ``POSITIVE``, ``NEGATIVE``, or ``ABSENT``, which leaves the task as it is.

    Returns:
        For example "put the red cube on the green pad", a new line, "Advantage: positive".
    """
    if indicator == ABSENT:
        return task
    return f"{task}\nAdvantage: {SIGN_WORDS[indicator]}"


def words_of(text: str) -> list[str]:
    """Split a prompt into lower-case words, without the punctuation that ends a sentence."""
    stripped = (word.strip(".,;!?\"'()") for word in text.lower().split())
    return [word for word in stripped if word]
