"""Any Gymnasium simulation as a world, as long as it follows LeRobot's convention."""

import difflib
import importlib
from collections.abc import Mapping
from typing import Any

import gymnasium as gym
import numpy as np
from gymnasium.spaces import Box, Dict

from data.errors import ConfigError
from data.schema import Ending, Layout
from envs.simulation import Simulation
from envs.world import Floats, Observation, ScriptedExpert

ONLY_CAMERA = "image"
"""What the camera of an environment is called that has one and gives it no name."""

Environment = gym.Env[Any, Any]


class GymnasiumWorld:
    """A Gymnasium environment, seen as `envs.world.SimulatedWorld`.

    It has to follow LeRobot's convention: a ``Dict`` observation with ``pixels``, one picture or a
    ``Dict`` of them, ``(H, W, 3)`` uint8, and ``agent_pos``, ``(S,)``; a ``Box`` of ``(A,)``
    actions; ``metadata["render_fps"]``; and ``is_success`` in the info, where it can measure it.
    The instruction is ``task_description`` or ``task``, in the info or as an attribute.

    It may offer more, and is then used for it: ``state_names`` and ``action_names`` in the
    metadata; ``make_expert(rng, skill=...)``, which returns an `envs.world.ScriptedExpert` for one
    attempt; and ``hold_action(last)``, as in `envs.world.SimulatedWorld`.
    """

    def __init__(self, env: Environment, simulation: Simulation) -> None:
        """Read the layout out of the environment; it is not reset yet.

        Raises:
            ConfigError: If the environment does not follow the convention, or a picture has an odd
                height or width.
        """
        self._env = env
        self._simulation = simulation
        self._layout = _layout(env, simulation.id)
        self._action_type = env.action_space.dtype
        self._seen: Mapping[str, Any] = {}
        self._task = simulation.task
        self._is_success: bool | None = None
        self._ending: Ending | None = None

    @property
    def layout(self) -> Layout:
        """Cameras, state and action names, and the control rate."""
        return self._layout

    @property
    def task(self) -> str:
        """The instruction of this attempt."""
        return self._task

    @property
    def is_success(self) -> bool | None:
        """Whether the attempt has succeeded by now; None if the environment has not said it."""
        return self._is_success

    @property
    def ending(self) -> Ending | None:
        """How the environment has ended the attempt; None while it goes on."""
        return self._ending

    def reset(self, *, seed: int) -> Observation:
        """Begin an attempt.

        Raises:
            ConfigError: If nobody says what the task is.
        """
        self._seen, info = self._env.reset(seed=seed)
        self._ending, self._is_success = None, None
        self._note_success(info)
        self._task = self._simulation.task or self._own_task(info)
        if not self._task:
            message = (
                f"{self._simulation.id} does not say what the task is, and a policy is told in "
                f"words. Say it: --world.task='put the cube on the pad'"
            )
            raise ConfigError(message)
        return self.observe()

    def act(self, action: Floats) -> None:
        """Let one step pass; what is seen after it is kept until it is looked at."""
        command = np.asarray(action, dtype=self._action_type)
        self._seen, _, terminated, truncated, info = self._env.step(command)
        self._note_success(info)
        if terminated or self._is_success:
            self._ending = Ending.TERMINATED
        elif truncated:
            self._ending = Ending.TIME_LIMIT

    def observe(self) -> Observation:
        """Return what was seen after the last step."""
        pixels = self._seen["pixels"]
        named = pixels if isinstance(pixels, Mapping) else {ONLY_CAMERA: pixels}
        # Copies: an environment may draw the next picture into the same memory.
        return Observation(
            images={camera: np.array(named[camera]) for camera in self._layout.cameras},
            state=np.array(self._seen["agent_pos"], dtype=np.float32),
            task=self._task,
        )

    def hold_action(self, last: Floats | None) -> Floats:
        """Return what the environment says that holds still, else what the settings say."""
        if self._env.has_wrapper_attr("hold_action"):
            return np.asarray(self._env.get_wrapper_attr("hold_action")(last), dtype=np.float32)
        if last is not None and self._simulation.hold == "last":
            return last
        space = self._env.action_space
        zero = np.zeros(len(self._layout.action_names), dtype=np.float32)
        return np.clip(zero, space.low, space.high) if isinstance(space, Box) else zero

    @property
    def has_expert(self) -> bool:
        """Whether the environment offers experts."""
        return self._env.has_wrapper_attr("make_expert")

    def make_expert(self, rng: np.random.Generator, *, skill: float) -> ScriptedExpert | None:
        """Return an expert for one attempt; None where the environment offers none."""
        if not self.has_expert:
            return None
        expert: ScriptedExpert = self._env.get_wrapper_attr("make_expert")(rng, skill=skill)
        return expert

    def close(self) -> None:
        """Let go of what the environment holds."""
        self._env.close()

    def _note_success(self, info: Mapping[str, Any]) -> None:
        if "is_success" in info:
            self._is_success = bool(info["is_success"])

    def _own_task(self, info: Mapping[str, Any]) -> str:
        for name in ("task_description", "task"):
            if isinstance(info.get(name), str):
                return str(info[name])
            if self._env.has_wrapper_attr(name):
                said = self._env.get_wrapper_attr(name)
                if isinstance(said, str):
                    return said
        return ""


def make_gymnasium_world(simulation: Simulation) -> GymnasiumWorld:
    """Import the package that registers the simulation, make it, and read its layout.

    Raises:
        ConfigError: If the package cannot be imported, nothing is registered under the id, the
            environment cannot be made, or it does not follow LeRobot's convention.
    """
    package = simulation.discover_packages_path
    if package:
        try:
            importlib.import_module(package)
        except ImportError as error:
            message = f"--world.discover_packages_path={package} cannot be imported ({error})."
            raise ConfigError(message) from error
    try:
        # Gymnasium's checker would step through the convention a second time, and warn.
        env = gym.make(
            simulation.id,
            max_episode_steps=simulation.time_limit_steps,
            disable_env_checker=True,
        )
    except (gym.error.Error, ImportError) as error:
        nearest = difflib.get_close_matches(simulation.id, gym.registry, n=1)
        hint = f" Did you mean '{nearest[0]}'?" if nearest else ""
        message = (
            f"--world.id={simulation.id} cannot be made ({error}).{hint} If a package registers "
            f"it, name the package with --world.discover_packages_path=..."
        )
        raise ConfigError(message) from error
    return GymnasiumWorld(env, simulation)


def _layout(env: Environment, env_id: str) -> Layout:
    """Read cameras, names and rate out of the spaces and the metadata."""
    seen = env.observation_space.spaces if isinstance(env.observation_space, Dict) else {}
    rate_hz = env.metadata.get("render_fps")
    cameras = _cameras(seen.get("pixels"))
    states, actions = _size(seen.get("agent_pos")), _size(env.action_space)
    problems = {
        "its observation has no 'pixels' of (height, width, 3) uint8": not cameras,
        "its observation has no 'agent_pos', a row of numbers": states == 0,
        "its action is no row of numbers": actions == 0,
        "its metadata have no 'render_fps', the control rate in whole Hz": not _is_rate(rate_hz),
    }
    if any(problems.values()):
        wrong = "; ".join(what for what, is_so in problems.items() if is_so)
        message = (
            f"{env_id} does not follow LeRobot's convention for simulations: {wrong}. Wrap it in "
            f"an environment that does, and register that one."
        )
        raise ConfigError(message)
    return Layout(
        fps=int(rate_hz or 0),
        cameras=cameras,
        state_names=_names(env, "state", states),
        action_names=_names(env, "action", actions),
        robot_type=env_id,
    )


def _cameras(pixels: object) -> dict[str, tuple[int, int]]:
    """Return the height and width of every picture; nothing if one of them is no picture."""
    named = pixels.spaces if isinstance(pixels, Dict) else {ONLY_CAMERA: pixels}
    sizes = {
        name: (space.shape[0], space.shape[1])
        for name, space in named.items()
        if isinstance(space, Box)
        and space.dtype == np.uint8
        and len(space.shape) == 3
        and space.shape[2] == 3
    }
    return sizes if len(sizes) == len(named) else {}


def _size(space: object) -> int:
    """Return how long a row of numbers is; 0 if the space is none."""
    is_row = isinstance(space, Box) and len(space.shape) == 1
    return int(space.shape[0]) if is_row and isinstance(space, Box) else 0


def _is_rate(rate_hz: object) -> bool:
    return isinstance(rate_hz, int | float) and rate_hz >= 1 and rate_hz == int(rate_hz)


def _names(env: Environment, kind: str, size: int) -> tuple[str, ...]:
    """Return the names that the metadata give, or numbers where they give none that fit."""
    named = tuple(env.metadata.get(f"{kind}_names", ()))
    return named if len(named) == size else tuple(f"{kind}_{place}" for place in range(size))
