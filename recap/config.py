"""Every setting of a run, in one tree. It opens no file and imports nothing heavy."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from itertools import combinations
from pathlib import Path
from typing import Any, Final

from data.errors import ConfigError
from data.frames_config import FramesConfig
from envs.simulation import WAYS_TO_HOLD, Simulation
from recap.metrics import WandbConfig
from recap.policies.config import PolicyTrainingConfig
from recap.remote.config import RemotePolicyConfig, ServeConfig
from recap.report.config import InspectConfig
from recap.rollout.execution.config import ExecutionConfig
from recap.rollout.live.alignment import AlignmentConfig
from recap.rollout.live.controls import ControlsConfig
from recap.rollout.live.safety import SafetyConfig
from recap.stages.collect import CollectConfig, DemonstrationConfig
from recap.stages.evaluate import EvaluateConfig
from recap.stages.label import LabelConfig
from recap.stages.mark_advantage import AdvantageConfig
from recap.stages.session import SessionConfig
from recap.stages.train_policy import PolicyConfig
from recap.stages.train_value import ReturnConfig
from recap.web.config import FormConfig
from value_models.config import ValueTrainingConfig

BASE_SEEDS: Final = range(9_000_000, 10_000_000)
"""Worlds that belong to the demonstrations of a base, which other projects start from."""


@dataclass(frozen=True, slots=True, kw_only=True)
class WorldConfig:
    """Settings of the world."""

    id: str = ""
    """A registered Gymnasium simulation that is made as LeRobot's are; empty for the tabletop that
    comes along."""

    discover_packages_path: str = ""
    """Package to import first, so that it registers the simulation."""

    task: str = ""
    """What is to be done, in words, in a simulation that does not say it; it goes over its own."""

    hold: str = "zero"
    """What an arm is told while its policy has nothing to say, in a simulation that does not say
    it: zero (actions are movements) or last (actions are positions)."""

    time_limit_steps: int = 100
    """Control steps after which an attempt ends; also the longest episode of the return scale."""

    def __post_init__(self) -> None:
        """Refuse a time limit that leaves no time, and settings that the tabletop does not have."""
        if self.time_limit_steps < 1:
            message = f"world.time_limit_steps must be at least 1, got {self.time_limit_steps}."
            raise ConfigError(message)
        if self.hold not in WAYS_TO_HOLD:
            message = f"world.hold must be one of {', '.join(WAYS_TO_HOLD)}, got {self.hold}."
            raise ConfigError(message)
        if not self.id and (self.discover_packages_path or self.task):
            message = (
                "world.discover_packages_path and world.task are for a Gymnasium simulation: name "
                "it with --world.id=... The tabletop draws its own tasks."
            )
            raise ConfigError(message)

    @property
    def simulation(self) -> Simulation:
        """The simulation that attempts are made in."""
        return Simulation(
            id=self.id,
            discover_packages_path=self.discover_packages_path,
            task=self.task,
            hold=self.hold,
            time_limit_steps=self.time_limit_steps,
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class PretrainingConfig:
    """Settings of pre-training, which runs where no base is given."""

    value: ValueTrainingConfig = field(default_factory=ValueTrainingConfig)
    """How the value model that every lap starts from is trained."""

    policy: PolicyTrainingConfig = field(default_factory=PolicyTrainingConfig)
    """How the policy that every lap starts from is trained."""


@dataclass(frozen=True, slots=True, kw_only=True)
class RecapConfig:
    """Settings of a run."""

    project: Path
    """Folder of the run."""

    base: Path | None = None
    """Folder with the pre-trained value and policy; null to pre-train on the demonstrations."""

    seed: int = 0
    """Seed of everything that is drawn besides the worlds."""

    iterations: int = 2
    """Laps of RECAP after imitation."""

    iteration: int = 1
    """The lap that a command for a single stage works on; 0 is demonstrations and imitation."""

    workers: int = 2
    """Processes that step worlds at the same time."""

    skip_unjudged: bool = False
    """Whether to train without the episodes that nobody has judged, instead of refusing."""

    include_interrupted: bool = False
    """Whether to train, too, on attempts that were cut short because the robot was lost."""

    world: WorldConfig = field(default_factory=WorldConfig)
    """The world."""

    demonstrations: DemonstrationConfig = field(default_factory=DemonstrationConfig)
    """The demonstrations."""

    collect: CollectConfig = field(default_factory=CollectConfig)
    """The attempts that the policy makes."""

    robot: dict[str, Any] = field(default_factory=dict)
    """A LeRobot robot, in LeRobot's own words: --robot.type=so101_follower --robot.port=...;
    without one, attempts are made in simulation."""

    teleop: dict[str, Any] = field(default_factory=dict)
    """What a person holds to demonstrate and correct, in LeRobot's own words: --teleop.type=..."""

    session: SessionConfig = field(default_factory=SessionConfig)
    """A session with a robot."""

    remote: RemotePolicyConfig = field(default_factory=RemotePolicyConfig)
    """A policy that runs on another machine."""

    safety: SafetyConfig = field(default_factory=SafetyConfig)
    """What a robot may do, whoever is in control."""

    alignment: AlignmentConfig = field(default_factory=AlignmentConfig)
    """The moment in which a person takes control of a robot."""

    controls: ControlsConfig = field(default_factory=ControlsConfig)
    """How the person who attends a session is heard."""

    label: LabelConfig = field(default_factory=LabelConfig)
    """The judging."""

    form: FormConfig = field(default_factory=FormConfig)
    """The form in which people judge."""

    frames: FramesConfig = field(default_factory=FramesConfig)
    """The decoded frames."""

    returns: ReturnConfig = field(default_factory=ReturnConfig)
    """What an attempt was worth."""

    value: ValueTrainingConfig = field(default_factory=ValueTrainingConfig)
    """The value model in every lap."""

    advantage: AdvantageConfig = field(default_factory=AdvantageConfig)
    """The advantages."""

    policy: PolicyConfig = field(default_factory=PolicyConfig)
    """The policy in every lap."""

    pretraining: PretrainingConfig = field(default_factory=PretrainingConfig)
    """What every lap starts from, where no base is given."""

    evaluate: EvaluateConfig = field(default_factory=EvaluateConfig)
    """The evaluation."""

    execution: ExecutionConfig = field(default_factory=ExecutionConfig)
    """How the policy's chunks of actions are carried out."""

    inspect: InspectConfig = field(default_factory=InspectConfig)
    """Looking at a value model."""

    wandb: WandbConfig = field(default_factory=WandbConfig)
    """Weights & Biases."""

    def __post_init__(self) -> None:
        """Refuse counts that mean nothing and worlds that are used twice."""
        for name, least in (("iterations", 1), ("iteration", 0), ("workers", 1), ("seed", 0)):
            value = getattr(self, name)
            if value < least:
                message = f"{name} must be at least {least}, got {value}."
                raise ConfigError(message)
        _require_disjoint(self._worlds())

    def collection_seeds(self, iteration: int) -> range:
        """The worlds of one lap's attempts; of the demonstrations for iteration 0."""
        if iteration == 0:
            first, episodes = self.demonstrations.first_seed, self.demonstrations.episodes
        else:
            episodes = self.collect.episodes
            first = self.collect.first_seed + (iteration - 1) * episodes
        return range(first, first + episodes)

    def evaluation_seeds(self) -> range:
        """The held-out worlds."""
        return range(self.evaluate.first_seed, self.evaluate.first_seed + self.evaluate.episodes)

    def _worlds(self) -> Mapping[str, range]:
        first, last = self.collection_seeds(1), self.collection_seeds(self.iterations)
        worlds = {
            "demonstrations": self.collection_seeds(0),
            "collect": range(first.start, last.stop),
            "evaluate": self.evaluation_seeds(),
        }
        if self.base is not None:
            worlds["base"] = BASE_SEEDS
        return worlds


@dataclass(frozen=True, slots=True, kw_only=True)
class ServingConfig:
    """Settings of a policy that flies robots on other machines; it needs no project."""

    serve: ServeConfig = field(default_factory=ServeConfig)
    """The server."""


def _require_disjoint(worlds: Mapping[str, range]) -> None:
    for name, seeds in worlds.items():
        if seeds.start < 0:
            message = f"Seeds must not be negative: '{name}' starts at {seeds.start}."
            raise ConfigError(message)
    for (name, seeds), (other, others) in combinations(worlds.items(), 2):
        shared = range(max(seeds.start, others.start), min(seeds.stop, others.stop))
        if shared:
            message = (
                f"'{name}' and '{other}' use the same worlds, seeds {shared.start} to "
                f"{shared.stop - 1}: a policy would be measured on what it was trained on. "
                f"Move one of them with --{_movable(name, other)}.first_seed=..."
            )
            raise ConfigError(message)


def _movable(name: str, other: str) -> str:
    return name if other == "base" else other
