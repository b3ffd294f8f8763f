"""The tabletop under LeRobot's names: ``--env.type=recap_tabletop``.

Stock tools find it with ``--env.discover_packages_path=envs``.
"""

from dataclasses import dataclass, field
from typing import Any

from lerobot.configs import FeatureType, PolicyFeature
from lerobot.envs.configs import EnvConfig
from lerobot.utils.constants import ACTION, OBS_IMAGES, OBS_STATE

from envs.gym_env import ENV_ID
from envs.tabletop import CONTROL_RATE_HZ, LAYOUT, TIME_LIMIT_STEPS


def _features() -> dict[str, PolicyFeature]:
    pictures = {
        f"pixels/{name}": PolicyFeature(type=FeatureType.VISUAL, shape=(*size, 3))
        for name, size in LAYOUT.cameras.items()
    }
    return {
        ACTION: PolicyFeature(type=FeatureType.ACTION, shape=(len(LAYOUT.action_names),)),
        "agent_pos": PolicyFeature(type=FeatureType.STATE, shape=(len(LAYOUT.state_names),)),
        **pictures,
    }


def _features_map() -> dict[str, str]:
    pictures = {f"pixels/{name}": f"{OBS_IMAGES}.{name}" for name in LAYOUT.cameras}
    return {ACTION: ACTION, "agent_pos": OBS_STATE, **pictures}


@EnvConfig.register_subclass("recap_tabletop")
@dataclass
class RecapTabletopEnv(EnvConfig):
    """Put the cube that was asked for on the pad that was asked for."""

    task: str | None = ENV_ID
    fps: int = CONTROL_RATE_HZ
    episode_length: int = TIME_LIMIT_STEPS
    features: dict[str, PolicyFeature] = field(default_factory=_features)
    features_map: dict[str, str] = field(default_factory=_features_map)

    @property
    def gym_id(self) -> str:
        """The registered Gymnasium id."""
        return ENV_ID

    @property
    def gym_kwargs(self) -> dict[str, Any]:
        """What ``gym.make`` is called with."""
        return {"max_episode_steps": self.episode_length}
