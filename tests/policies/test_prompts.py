from __future__ import annotations

import pytest

from data.errors import ConfigError
from recap.policies.config import PolicyShape, PolicyTrainingConfig
from recap.policies.prompts import ABSENT, NEGATIVE, POSITIVE, with_indicator, words_of


@pytest.mark.parametrize(
    ("indicator", "prompt"),
    [
        (POSITIVE, "open the door\nAdvantage: positive"),
        (NEGATIVE, "open the door\nAdvantage: negative"),
        (ABSENT, "open the door"),
    ],
)
def test_the_indicator_is_a_last_line_of_the_prompt(indicator, prompt):
    assert with_indicator("open the door", indicator) == prompt


def test_words_are_lower_case_and_keep_the_colon_of_the_indicator():
    assert words_of("Put it down, please.\nAdvantage: positive") == [
        *("put", "it", "down", "please"),
        *("advantage:", "positive"),
    ]


@pytest.mark.parametrize(
    ("config", "settings", "message"),
    [
        (PolicyTrainingConfig, {"steps": 0}, "policy.steps must be at least 1, got 0."),
        (
            PolicyTrainingConfig,
            {"indicator_dropout": 1.0},
            r"policy.indicator_dropout must lie in \[0, 1\), got 1.0.",
        ),
        (
            PolicyShape,
            {"n_action_steps": 9},
            "n_action_steps must lie between 1 and chunk_size=8, got 9.",
        ),
        (
            PolicyShape,
            {"indicator_placement": "nowhere"},
            "indicator_placement must be 'prompt' or 'expert', got 'nowhere'.",
        ),
    ],
)
def test_a_setting_out_of_range_is_named(config, settings, message):
    with pytest.raises(ConfigError, match=message):
        config(**settings)
