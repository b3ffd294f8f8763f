import pytest

from data.errors import ConfigError
from value_models.vlm.config import CoTrainingConfig, VlmConfig


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        (
            {"text": ""},
            "value.model.vlm needs vision and text, or path: name the folder or the Hub name of "
            "each.",
        ),
        ({"lora_rank": -1}, "value.model.vlm.lora_rank must not be negative, got -1."),
        ({"lora_alpha": 0}, "value.model.vlm.lora_alpha must be at least 1, got 0."),
    ],
)
def test_settings_outside_their_range_are_refused(settings, message):
    with pytest.raises(ConfigError) as caught:
        VlmConfig(**settings)
    assert str(caught.value) == message


def test_a_whole_model_needs_no_vision_and_no_text():
    assert VlmConfig(path="somewhere", vision="", text="").path == "somewhere"


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        (
            {"weight": 0.0},
            "value.cotraining.weight must be above 0, got 0.0. An empty value.cotraining.path "
            "leaves co-training out.",
        ),
        ({"batch_size": 0}, "value.cotraining.batch_size must be at least 1, got 0."),
    ],
)
def test_settings_of_co_training_outside_their_range_are_refused(settings, message):
    with pytest.raises(ConfigError) as caught:
        CoTrainingConfig(**settings)
    assert str(caught.value) == message
