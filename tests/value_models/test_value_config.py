"""Settings are read from the command line, and refused where they are made."""

import subprocess
import sys

import draccus
import pytest

from data.errors import ConfigError
from value_models.config import Projection, ValueModelConfig, ValueTrainingConfig


def test_settings_are_read_in_the_grammar_of_the_command_line():
    config = draccus.parse(
        ValueTrainingConfig, args=["--model.projection=one_hot", "--model.bins=51", "--steps=7"]
    )
    assert config.model == ValueModelConfig(projection=Projection.ONE_HOT, bins=51)
    assert config.steps == 7


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"steps": 0}, "value.steps must be at least 1, got 0."),
        ({"learning_rate": 0.0}, "value.learning_rate must be above 0, got 0.0."),
        ({"shift_pixels": -1}, "value.shift_pixels must not be negative, got -1."),
        ({"holdout_fraction": 0.0}, "value.holdout_fraction must lie above 0 and at most at 0.5"),
        ({"holdout_fraction": 0.6}, "value.holdout_fraction must lie above 0 and at most at 0.5"),
        ({"brightness": 1.0}, "value.brightness must lie in [0, 1), got 1.0."),
        ({"dropout": 1.0}, "value.dropout must lie in [0, 1), got 1.0."),
    ],
)
def test_training_settings_out_of_range_are_named(change, message):
    with pytest.raises(ConfigError) as caught:
        ValueTrainingConfig(**change)
    assert str(caught.value).startswith(message)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"bins": 1}, "value.model.bins must be at least 2, got 1."),
        ({"gaussian_bins": 0.0}, "value.model.gaussian_bins must be above 0, got 0.0."),
        ({"keypoints": 0}, "value.model.keypoints must be at least 1, got 0."),
    ],
)
def test_model_settings_out_of_range_are_named(change, message):
    with pytest.raises(ConfigError) as caught:
        ValueModelConfig(**change)
    assert str(caught.value) == message


def test_the_settings_import_nothing_heavy():
    heavy = "{'torch', 'numpy', 'scipy'}"
    program = f"import sys, value_models.config; print(sorted({heavy} & set(sys.modules)))"
    done = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, check=True
    )
    assert done.stdout.strip() == "[]"
