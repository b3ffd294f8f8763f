"""Settings of a value model that reads a policy's backbone. Imports nothing heavy."""

from dataclasses import dataclass
from enum import StrEnum

from data.errors import ConfigError


class Pooling(StrEnum):
    """How the many places of an output become one row of numbers."""

    MEAN = "mean"
    MEAN_MAX = "mean_max"
    GRID = "grid"


@dataclass(frozen=True, slots=True, kw_only=True)
class PolicyFeaturesConfig:
    """Which policy's backbone is read, where, and how much is kept."""

    path: str = ""
    """A LeRobot `pretrained_model` folder; empty for the policy of the base that the lap starts
    from. It stays as it is: only what follows it is trained."""

    module: str = ""
    """Module whose output is read, as torch names it inside the policy, or several with commas;
    empty for the known place (smolvla, pi0, pi05, act, diffusion, recap_flow). Of a module that
    runs several times for a moment, the first run counts."""

    pooling: Pooling = Pooling.MEAN
    """What is kept of an output with many places (tokens, fields of a map): their mean (mean), mean
    and maximum (mean_max), or the means of 16 parts, which remember where (grid)."""

    width: int = 64
    """Width of the trained layer that the features go into."""

    def __post_init__(self) -> None:
        """Refuse a layer without width."""
        if self.width < 1:
            message = f"value.model.policy.width must be at least 1, got {self.width}."
            raise ConfigError(message)

    def modules(self) -> tuple[str, ...]:
        """Give the names of the modules to read; none for the known place."""
        return tuple(name.strip() for name in self.module.split(",") if name.strip())
