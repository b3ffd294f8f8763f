"""Settings of the vision-language encoder and of co-training. Imports nothing heavy."""

from dataclasses import dataclass
from enum import StrEnum

from data.errors import ConfigError


class StateInput(StrEnum):
    """How the robot's joints enter a vision-language model."""

    TEXT = "text"
    TOKEN = "token"  # noqa: S105 - a token of language
    NONE = "none"


class WeightType(StrEnum):
    """Number format of a vision-language model's weights."""

    FLOAT32 = "float32"
    BFLOAT16 = "bfloat16"


@dataclass(frozen=True, slots=True, kw_only=True)
class VlmConfig:
    """Settings of the vision-language encoder: which model, what it is told, what is trained."""

    vision: str = "google/siglip2-base-patch16-224"
    """Folder or Hub name of the SigLIP (2) whose vision tower sees, where path is empty."""

    text: str = "google/gemma-3-270m"
    """Folder or Hub name of the Gemma 3 text model that reads, where path is empty."""

    path: str = ""
    """Folder or Hub name of a whole image-text-to-text model (PaliGemma, SmolVLM, Gemma 3), to
    use in place of vision and text."""

    state: StateInput = StateInput.TEXT
    """Joints are written into the prompt as numbers from 0 to 255 (text), projected into one
    embedding after it (token), or left out (none)."""

    lora_rank: int = 0
    """Rank of the LoRA adapters that are trained in place of the weights; 0 trains the weights."""

    lora_alpha: int = 16
    """Adapters are scaled by lora_alpha / lora_rank."""

    freeze_vision: bool = False
    """Leave the vision tower as it was pre-trained."""

    gradient_checkpointing: bool = False
    """Compute activations twice in place of keeping them: less memory, a third more time."""

    dtype: WeightType = WeightType.FLOAT32
    """Format of the weights. Small steps get lost in bfloat16: for LoRA and prediction only; to
    train all weights fast, keep float32 and set value.use_bfloat16."""

    image_splitting: bool = False
    """SmolVLM: cut images into tiles besides the whole. Sees details, at many times the cost."""

    def __post_init__(self) -> None:
        """Refuse values outside their range."""
        if not self.path and not (self.vision and self.text):
            message = (
                "value.model.vlm needs vision and text, or path: name the folder or the Hub name "
                "of each."
            )
            raise ConfigError(message)
        if self.lora_rank < 0:
            message = f"value.model.vlm.lora_rank must not be negative, got {self.lora_rank}."
            raise ConfigError(message)
        if self.lora_alpha < 1:
            message = f"value.model.vlm.lora_alpha must be at least 1, got {self.lora_alpha}."
            raise ConfigError(message)


@dataclass(frozen=True, slots=True, kw_only=True)
class CoTrainingConfig:
    """Settings of co-training on image-text pairs, a guard against over-fitting."""

    path: str = ""
    """Folder of images with a metadata.jsonl of file_name, text and perhaps prompt; empty for no
    co-training. Takes the vlm encoder."""

    weight: float = 0.1
    """Weight of the pairs' loss beside the value's."""

    batch_size: int = 8
    """Pairs in a batch."""

    def __post_init__(self) -> None:
        """Refuse values outside their range."""
        if self.weight <= 0.0:
            message = (
                f"value.cotraining.weight must be above 0, got {self.weight}. "
                f"An empty value.cotraining.path leaves co-training out."
            )
            raise ConfigError(message)
        if self.batch_size < 1:
            message = f"value.cotraining.batch_size must be at least 1, got {self.batch_size}."
            raise ConfigError(message)
