"""Settings of the value model. Imports nothing heavy, so that the command line can show them."""

from dataclasses import dataclass, field
from enum import StrEnum
from typing import Final

from data.errors import ConfigError
from value_models.policy_features_config import PolicyFeaturesConfig
from value_models.vlm.config import CoTrainingConfig, VlmConfig

WITHOUT_EFFECT: Final = frozenset({"accumulate", "device", "save_every", "threads"})
"""Settings that do not decide the result, but for the last digits; a training that was stopped may
go on with others."""


class Projection(StrEnum):
    """How a return becomes a distribution over bins."""

    ONE_HOT = "one_hot"
    TWO_HOT = "two_hot"
    HL_GAUSS = "hl_gauss"


class EncoderKind(StrEnum):
    """What sees, reads and feels."""

    SMALL = "small"
    POLICY = "policy"
    VLM = "vlm"


class HoldOutBy(StrEnum):
    """What must not be on both sides of the split into training and held-out episodes."""

    EPISODE = "episode"
    SESSION = "session"
    RATER = "rater"


def _require(condition: bool, message: str) -> None:  # noqa: FBT001 - reads as a statement
    if not condition:
        raise ConfigError(message)


@dataclass(frozen=True, slots=True, kw_only=True)
class ValueModelConfig:
    """What a value model is. Read where one is made from nothing, never where one is loaded."""

    bins: int = 201
    """Bins over the returns from -1 to 0 (the paper: 201)."""

    projection: Projection = Projection.HL_GAUSS
    """A return's target: nearest bin (one_hot), two nearest (two_hot), Gaussian (hl_gauss)."""

    gaussian_bins: float = 2.0
    """Standard deviation of the hl_gauss target, in bins; the other projections do not use it."""

    hidden_size: int = 256
    """Width of the head's layers."""

    encoder: EncoderKind = EncoderKind.SMALL
    """What sees, reads and feels: a network for the CPU (small), the frozen backbone of a policy
    (policy), or a vision-language model (vlm)."""

    image_size: int = 96
    """Small encoder: longest side, in pixels, to which larger images are reduced when they are
    decoded; 0 for as recorded."""

    channels: int = 32
    """Small encoder: feature maps of its finest layer."""

    keypoints: int = 16
    """Small encoder: points of interest found in every camera's image."""

    text_width: int = 32
    """Small encoder: width of a word's embedding."""

    unknown_words: int = 64
    """Small encoder: embeddings that words outside the vocabulary share, for tasks to come."""

    policy: PolicyFeaturesConfig = field(default_factory=PolicyFeaturesConfig)
    """Encoder `policy`: whose features are read, and where."""

    vlm: VlmConfig = field(default_factory=VlmConfig)
    """Encoder `vlm`: which model, what it is told, and what of it is trained."""

    def __post_init__(self) -> None:
        """Refuse values outside their range."""
        _require(self.bins >= 2, f"value.model.bins must be at least 2, got {self.bins}.")
        _require(
            self.gaussian_bins > 0.0,
            f"value.model.gaussian_bins must be above 0, got {self.gaussian_bins}.",
        )
        for name in ("channels", "keypoints", "text_width", "unknown_words", "hidden_size"):
            value = getattr(self, name)
            _require(value >= 1, f"value.model.{name} must be at least 1, got {value}.")
        _require(
            self.image_size >= 0 and self.image_size % 4 == 0,
            f"value.model.image_size must be a multiple of 4 pixels, the encoder's patch, or 0 for "
            f"images as recorded, got {self.image_size}.",
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class ValueTrainingConfig:
    """Settings of one training run of the value model."""

    model: ValueModelConfig = field(default_factory=ValueModelConfig)
    """The model to make, where training does not start from an earlier one."""

    from_base: bool = True
    """Start from the pre-trained value model, which then decides what the model is; false makes a
    new one in every lap. Pre-training has nothing to start from."""

    steps: int = 600
    """Gradient steps."""

    batch_size: int = 64
    """Frames in a batch, shared among all processes: as many give the same result as one."""

    accumulate: int = 1
    """Parts in which each process computes its share of a batch, one after the other, where memory
    is short; the result stays the same."""

    learning_rate: float = 1e-3
    """Highest learning rate, reached after the warm-up; then it falls along a cosine to zero."""

    warmup_steps: int = 50
    """Steps over which the learning rate rises from zero."""

    weight_decay: float = 0.01
    """AdamW's weight decay."""

    gradient_clip: float = 1.0
    """Largest norm of the gradient."""

    holdout_fraction: float = 0.1
    """Share of the episodes that are kept out of training to measure the model on."""

    holdout_by: HoldOutBy = HoldOutBy.EPISODE
    """What is held out whole: single episodes (episode), all of a sitting at the robot (session),
    or all that the same people judged (rater). Figures then hold for sittings or judges that the
    model never met."""

    measurements: int = 10
    """Times the held-out loss is measured while training; the best weights are the ones kept."""

    patience: int = 0
    """Measurements without a lower held-out loss after which training stops; 0 never stops."""

    ema_decay: float = 0.0
    """Measure and keep a moving average of the weights that forgets so slowly (say 0.999) in place
    of the weights themselves; 0 for none."""

    cotraining: CoTrainingConfig = field(default_factory=CoTrainingConfig)
    """Encoder `vlm`: image-text pairs that are learned beside the frames, against over-fitting."""

    members: int = 1
    """Value models trained on the same data, whose distributions are averaged: their disagreement
    says where they guess. Every one takes as long as one alone."""

    save_every: int = 500
    """Steps after which the state of training is saved, to go on from when it is stopped; 0 never
    saves it."""

    dropout: float = 0.5
    """Share of the head's input left out at random while training, against over-fitting."""

    shift_pixels: int = 2
    """Largest random shift of an image while training, in pixels; 0 leaves images in place."""

    brightness: float = 0.1
    """Largest random change of an image's brightness while training, as a share; 0 for none."""

    use_bfloat16: bool = False
    """Run matrix products in bfloat16: faster on GPUs and on CPUs with AMX, slower elsewhere."""

    device: str = "cpu"
    """Where to compute, in torch's words: cpu, cuda, mps."""

    threads: int = 1
    """Threads torch may use on the CPU. More than there are idle cores is much slower."""

    seed: int = 0
    """Seed of the weights, the held-out episodes, the batches and the augmentation."""

    def __post_init__(self) -> None:
        """Refuse values outside their range."""
        for name in ("steps", "batch_size", "accumulate", "measurements", "members", "threads"):
            value = getattr(self, name)
            _require(value >= 1, f"value.{name} must be at least 1, got {value}.")
        for name in ("learning_rate", "gradient_clip"):
            value = getattr(self, name)
            _require(value > 0.0, f"value.{name} must be above 0, got {value}.")
        for name in ("warmup_steps", "weight_decay", "shift_pixels", "patience", "save_every"):
            value = getattr(self, name)
            _require(value >= 0, f"value.{name} must not be negative, got {value}.")
        _require(
            0.0 < self.holdout_fraction <= 0.5,
            f"value.holdout_fraction must lie above 0 and at most at 0.5, "
            f"got {self.holdout_fraction}. Without held-out episodes over-fitting goes unseen.",
        )
        _require(
            0.0 <= self.ema_decay < 1.0,
            f"value.ema_decay must lie in [0, 1), got {self.ema_decay}. 0.999 remembers about 1000 "
            f"steps.",
        )
        for name in ("brightness", "dropout"):
            value = getattr(self, name)
            _require(0.0 <= value < 1.0, f"value.{name} must lie in [0, 1), got {value}.")
