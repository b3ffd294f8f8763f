"""The tabletop as a Gymnasium environment, registered as ``recap/Tabletop-v0``."""

from typing import Any, Final

import gymnasium as gym
import numpy as np
from numpy.typing import NDArray

from envs.experts import TabletopExpert
from envs.tabletop import ACTION_NAMES, CONTROL_RATE_HZ, LAYOUT, TIME_LIMIT_STEPS, Tabletop
from envs.world import Floats, Observation, ScriptedExpert

ENV_ID: Final = "recap/Tabletop-v0"
RENDER_PIXELS: Final = 256


class TabletopEnv(gym.Env[dict[str, Any], NDArray[np.float32]]):
    """Put the cube that was asked for on the pad that was asked for.

    Observation: ``pixels`` maps a camera (front, wrist) to ``(64, 64, 3)`` uint8; ``agent_pos`` is
    ``(10,)`` float32: fingertip position (m) and yaw (rad), gripper opening, five joints (rad).
    Action: ``(5,)`` float32 in [-1, 1]; see :class:`envs.tabletop.Tabletop`.
    Reward: -1 for every step that does not end in success, 0 for the one that does.
    Ends: *terminated* on success; *truncated* after 100 steps, by the registered time limit.
    The instruction is in ``info["task"]`` and in :attr:`task_description`; it is not part of the
    observation space, because LeRobot reads it from the attribute.
    Besides what Gymnasium asks for it names its state and its actions in the metadata, makes
    experts and says how to hold still; see :class:`envs.simulated.GymnasiumWorld`.
    """

    metadata: dict[str, Any] = {  # noqa: RUF012 - Gymnasium declares it so
        "render_modes": ["rgb_array"],
        "render_fps": CONTROL_RATE_HZ,
        "state_names": LAYOUT.state_names,
        "action_names": LAYOUT.action_names,
    }

    def __init__(self, render_mode: str = "rgb_array") -> None:
        """Build the world; ``render`` returns a larger picture of the front camera."""
        self.render_mode = render_mode
        self._world = Tabletop()
        pictures: dict[str, gym.Space[Any]] = {
            name: gym.spaces.Box(0, 255, (*size, 3), np.uint8)
            for name, size in LAYOUT.cameras.items()
        }
        self.observation_space = gym.spaces.Dict(
            {
                "pixels": gym.spaces.Dict(pictures),
                "agent_pos": gym.spaces.Box(-4.0, 4.0, (len(LAYOUT.state_names),)),
            }
        )
        self.action_space = gym.spaces.Box(-1.0, 1.0, (len(ACTION_NAMES),))

    @property
    def task(self) -> str:
        """The instruction of this attempt."""
        return self._world.task

    @property
    def task_description(self) -> str:
        """The instruction of this attempt, under the name that LeRobot reads."""
        return self._world.task

    def reset(
        self, *, seed: int | None = None, options: dict[str, Any] | None = None
    ) -> tuple[dict[str, Any], dict[str, Any]]:
        """Begin an attempt. The seed decides everything that is drawn."""
        super().reset(seed=seed, options=options)
        drawn = seed if seed is not None else int(self.np_random.integers(2**31))
        observation = self._world.reset(seed=drawn)
        return _as_dict(observation), {"task": observation.task, "is_success": False}

    def step(
        self, action: NDArray[np.float32]
    ) -> tuple[dict[str, Any], float, bool, bool, dict[str, Any]]:
        """Carry out one control step of 0.05 s."""
        self._world.act(action)
        is_success = self._world.is_success
        info = {"task": self._world.task, "is_success": is_success}
        reward = 0.0 if is_success else -1.0
        return _as_dict(self._world.observe()), reward, is_success, False, info

    def render(self) -> NDArray[np.uint8]:
        """Return a ``(256, 256, 3)`` picture of the front camera."""
        return self._world.picture("front", RENDER_PIXELS, RENDER_PIXELS)

    def make_expert(self, rng: np.random.Generator, *, skill: float) -> ScriptedExpert:
        """Return somebody who can demonstrate here and correct."""
        return TabletopExpert(self._world, rng, skill=skill)

    def hold_action(self, last: Floats | None) -> Floats:
        """Return the ``(5,)`` action that moves nothing and keeps the gripper as it was told."""
        return self._world.hold_action(last)


def _as_dict(observation: Observation) -> dict[str, Any]:
    return {"pixels": dict(observation.images), "agent_pos": observation.state}


if ENV_ID not in gym.registry:
    gym.register(
        ENV_ID, entry_point=f"{__name__}:{TabletopEnv.__name__}", max_episode_steps=TIME_LIMIT_STEPS
    )
