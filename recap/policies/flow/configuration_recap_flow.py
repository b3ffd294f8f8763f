"""The configuration that makes `recap_flow` a policy type of LeRobot."""

from dataclasses import dataclass, field

from lerobot.configs import NormalizationMode, PreTrainedConfig
from lerobot.optim import AdamWConfig
from lerobot.policies.rtc.configuration_rtc import RTCConfig


@PreTrainedConfig.register_subclass("recap_flow")
@dataclass
class RecapFlowConfig(PreTrainedConfig):
    """Settings of a small image-language policy that predicts action chunks by flow matching."""

    device: str | None = "cpu"
    """Where the policy runs."""

    push_to_hub: bool = False
    """Never upload a checkpoint unless asked to."""

    chunk_size: int = 8
    """Actions predicted at once, in control steps."""

    n_action_steps: int = 4
    """Actions of a chunk that are carried out before the next one is predicted."""

    flow_steps: int = 5
    """Euler steps from noise to a chunk of actions."""

    guidance_scale: float = 1.0
    """Classifier-free guidance at every flow step; 1 is plain conditioning and costs one pass."""

    rtc_config: RTCConfig | None = None
    """Real-time chunking; ``lerobot-rollout --inference.type=rtc`` sets it, null is off."""

    noise_samples: int = 8
    """Noise and time samples for every encoded frame in training."""

    encoder_channels: list[int] = field(default_factory=lambda: [24, 48, 64])
    """Output channels of the three convolutions of the image encoder."""

    keypoints: int = 64
    """Points of interest found in every camera's image."""

    hidden_size: int = 256
    """Width of the action expert."""

    layers: int = 4
    """Residual blocks of the action expert."""

    text_width: int = 64
    """Width of a word's embedding."""

    text_length: int = 24
    """Longest prompt, in words."""

    vocabulary_capacity: int = 128
    """Rows of the embedding table: room for words of tasks to come."""

    vocabulary: list[str] = field(default_factory=list)
    """The words of the tasks, beside the reserved ones. Found in the data when empty."""

    indicator_placement: str = "prompt"
    """Where the indicator enters: "prompt" (among the words) or "expert" (an embedding there)."""

    freeze_encoder: bool = False
    """Keep the image encoder as it is in training."""

    normalization_mapping: dict[str, NormalizationMode] = field(
        default_factory=lambda: {
            "VISUAL": NormalizationMode.IDENTITY,
            "STATE": NormalizationMode.MEAN_STD,
            "ACTION": NormalizationMode.MEAN_STD,
        }
    )
    """Images stay in [0, 1]; state and actions get zero mean and unit variance."""

    optimizer_lr: float = 1e-3
    """Learning rate under stock ``lerobot-train``."""

    optimizer_weight_decay: float = 1e-4
    """Weight decay under stock ``lerobot-train``."""

    def __post_init__(self) -> None:
        """Reject settings that cannot work together."""
        super().__post_init__()
        if not 1 <= self.n_action_steps <= self.chunk_size:
            message = (
                f"n_action_steps must lie between 1 and chunk_size={self.chunk_size}, "
                f"got {self.n_action_steps}."
            )
            raise ValueError(message)
        if self.indicator_placement not in {"prompt", "expert"}:
            message = (
                f"indicator_placement must be 'prompt' or 'expert', "
                f"got {self.indicator_placement!r}."
            )
            raise ValueError(message)

    def validate_features(self) -> None:
        """Require at least one camera, a state and an action.

        Raises:
            ValueError: If one of them is missing.
        """
        if not self.image_features or not self.robot_state_feature or not self.action_feature:
            message = "recap_flow needs a camera, observation.state and action among its features."
            raise ValueError(message)

    def get_optimizer_preset(self) -> AdamWConfig:
        """Give stock ``lerobot-train`` an optimizer."""
        return AdamWConfig(lr=self.optimizer_lr, weight_decay=self.optimizer_weight_decay)

    def get_scheduler_preset(self) -> None:
        """Leave the learning rate constant under stock ``lerobot-train``."""
        return

    @property
    def observation_delta_indices(self) -> None:
        """Ask the dataset for the present observation only."""
        return

    @property
    def action_delta_indices(self) -> list[int]:
        """Ask the dataset for the chunk of actions that begins at the present frame."""
        return list(range(self.chunk_size))

    @property
    def reward_delta_indices(self) -> None:
        """Ask the dataset for no rewards."""
        return
