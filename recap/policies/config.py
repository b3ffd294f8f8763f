"""Settings of the policy. Imports nothing heavy, so that the command line can show them."""

from dataclasses import dataclass

from data.errors import ConfigError


def _require(condition: bool, message: str) -> None:  # noqa: FBT001 - reads as a statement
    if not condition:
        raise ConfigError(message)


@dataclass(frozen=True, slots=True, kw_only=True)
class PolicyShape:
    """How large a policy is that starts from nothing; one that is loaded brings its own size."""

    chunk_size: int = 8
    """Actions predicted at once, in control steps."""

    n_action_steps: int = 4
    """Actions of a chunk that are carried out before the next one is predicted."""

    flow_steps: int = 5
    """Euler steps from noise to a chunk of actions."""

    keypoints: int = 32
    """Points of interest found in every camera's image."""

    hidden_size: int = 256
    """Width of the action expert."""

    layers: int = 3
    """Residual blocks of the action expert."""

    text_width: int = 64
    """Width of a word's embedding."""

    indicator_placement: str = "prompt"
    """Where the indicator enters: "prompt" (among the words) or "expert" (an embedding there)."""

    def __post_init__(self) -> None:
        """Reject sizes that cannot work together."""
        _require(
            1 <= self.n_action_steps <= self.chunk_size,
            f"policy.shape.n_action_steps must lie between 1 and chunk_size={self.chunk_size}, "
            f"got {self.n_action_steps}.",
        )
        _require(
            self.indicator_placement in {"prompt", "expert"},
            "policy.shape.indicator_placement must be 'prompt' or 'expert', "
            f"got {self.indicator_placement!r}.",
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class PolicyTrainingConfig:
    """Settings of one training run of the policy."""

    steps: int = 4000
    """Gradient steps."""

    batch_size: int = 64
    """Frames in a batch."""

    noise_samples: int = 8
    """Noise and time samples for every encoded frame; the encoder's cost is paid once."""

    learning_rate: float = 1e-3
    """Highest learning rate, reached after the warm-up."""

    warmup_steps: int = 100
    """Steps over which the learning rate rises from zero; then it falls along a cosine."""

    weight_decay: float = 1e-4
    """AdamW's weight decay."""

    gradient_clip: float = 1.0
    """Largest norm of the gradient."""

    ema_decay: float = 0.999
    """Decay of the moving average of the weights, which is what is saved. 0 saves the last ones."""

    guidance: float = 1.0
    """Strength of guidance at every flow step that is saved with the policy; 1 only conditions."""

    indicator_dropout: float = 0.3
    """Share of the samples that are trained without their indicator (the paper: 30 %)."""

    freeze_encoder: bool = False
    """Keep the image encoder as it is; its features are then computed once for all frames."""

    shift_pixels: int = 2
    """Largest random shift of an image while the encoder trains, in pixels."""

    waypoint_weight: float = 0.5
    """Weight of predicting where the gripper next opens or closes, while the encoder trains."""

    position_indices: tuple[int, ...] = (0, 1, 2)
    """Entries of the state that hold the end-effector's position, for the waypoint."""

    gripper_index: int = -1
    """Entry of the action that commands the gripper; its sign is open or closed."""

    use_bfloat16: bool = True
    """Run the image encoder's convolutions in bfloat16, about twice as fast on a recent CPU."""

    threads: int = 1
    """Threads torch may use. More than there are idle cores is much slower."""

    seed: int = 0
    """Seed of weights, batches, noise and dropped indicators."""

    def __post_init__(self) -> None:
        """Reject values outside their range."""
        for name in ("steps", "batch_size", "noise_samples", "threads"):
            value = getattr(self, name)
            _require(value >= 1, f"policy.{name} must be at least 1, got {value}.")
        for name in ("indicator_dropout", "ema_decay"):
            value = getattr(self, name)
            _require(0.0 <= value < 1.0, f"policy.{name} must lie in [0, 1), got {value}.")
        for name in ("learning_rate", "gradient_clip"):
            value = getattr(self, name)
            _require(value > 0.0, f"policy.{name} must be above 0, got {value}.")
        for name in ("weight_decay", "waypoint_weight", "shift_pixels", "warmup_steps", "guidance"):
            value = getattr(self, name)
            _require(value >= 0, f"policy.{name} must not be negative, got {value}.")
