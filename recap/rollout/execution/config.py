"""How chunks of actions are carried out."""

from dataclasses import dataclass
from typing import Final

from data.errors import ConfigError

SYNCHRONOUS: Final = "synchronous"
TEMPORAL_ENSEMBLE: Final = "temporal_ensemble"
REAL_TIME: Final = "real_time"
TYPES: Final = (SYNCHRONOUS, TEMPORAL_ENSEMBLE, REAL_TIME)

PREFIX_SCHEDULES: Final = ("linear", "exp", "ones", "zeros")


@dataclass(frozen=True, slots=True, kw_only=True)
class ExecutionConfig:
    """Settings of the execution of chunks."""

    type: str = SYNCHRONOUS
    """synchronous (wait for every chunk), temporal_ensemble (mean of all chunks that speak of a
    step) or real_time (predict while the chunk before still plays, and agree with it)."""

    executed_steps: int = 0
    """Actions of a chunk to carry out before the next is asked for; 0 is the checkpoint's own."""

    ensemble_decay: float = 0.01
    """Weight exp(-decay * i) of the i-th oldest chunk in an ensemble; 0 weighs all alike."""

    max_guidance_weight: float = 2.0
    """How strongly a real-time chunk is drawn to what will be done anyway, at the most."""

    prefix_schedule: str = "linear"
    """How that pull fades beyond the delay: linear, exp, ones (not at all) or zeros (at once)."""

    fade_steps: int = 4
    """Control steps over which a real-time chunk takes over from the one before; 0 for at once."""

    latency_s: float = 0.0
    """Seconds that every prediction is made to take at least, to see what a slow policy does."""

    def __post_init__(self) -> None:
        """Refuse kinds that do not exist and numbers that mean nothing."""
        for name, known in (("type", TYPES), ("prefix_schedule", PREFIX_SCHEDULES)):
            value = getattr(self, name)
            if value not in known:
                message = f"execution.{name} must be one of {', '.join(known)}, got {value}."
                raise ConfigError(message)
        for name in ("executed_steps", "ensemble_decay", "fade_steps", "latency_s"):
            value = getattr(self, name)
            # Not a number is refused too, which is why this is not `value < 0`.
            if not 0 <= value < float("inf"):
                message = f"execution.{name} must not be negative, got {value}."
                raise ConfigError(message)
        if not 0 < self.max_guidance_weight < float("inf"):
            message = (
                f"execution.max_guidance_weight must be above 0, got {self.max_guidance_weight}. "
                f"For chunks that ignore the one before use --execution.prefix_schedule=zeros."
            )
            raise ConfigError(message)
