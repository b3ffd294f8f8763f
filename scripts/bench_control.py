"""How steadily and smoothly a slow policy flies a robot: three executions, and stock LeRobot.

A policy learns the simulated arm's joints from a few scripted demonstrations, and then flies the
arm in real time, both cameras recorded, every prediction made to take 200 ms. Commands are noted
by the robot itself, so that `lerobot-rollout`, told to be as slow, is measured in the same way; it
records nothing meanwhile.
"""

import argparse
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Final

import numpy as np
from lerobot.robots.config import RobotConfig
from numpy.typing import NDArray
from small_project import say, training_frames

from data.files import read_json
from envs.arm import POSITION_KEYS
from envs.mujoco_robot import TabletopRobot, TabletopRobotConfig
from recap.config import RecapConfig
from recap.perform import perform
from recap.policies.config import PolicyShape, PolicyTrainingConfig
from recap.progress import show_progress
from recap.project import Project
from recap.rollout.chunks import Chunk
from recap.settings import plain_settings, read_settings
from recap.stages.session import SessionReport, run
from recap.trainsets import Choice, gather

RATE_HZ: Final = 50
LATENCY_S: Final = 0.2
EXECUTIONS: Final = ("real_time", "synchronous", "temporal_ensemble")
ARM: Final = slice(0, 5)
"""The joints that move in degrees; the gripper opens and closes at once, and may."""

HEADS: Final = (
    "missed actions",
    "skipped steps",
    "jitter p99 / ms",
    "largest jump / degrees",
    "at seams",
    "mean at seams",
)

SHAPE: Final = PolicyShape(chunk_size=50, n_action_steps=20)
"""A second is predicted; 0.4 s are carried out before the next look."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Commands:
    """What a robot was told, as it noted it itself."""

    times_s: NDArray[np.float64]
    positions: NDArray[np.float64]

    def jitter_p99_ms(self) -> float:
        """How far the time between two commands is from the period; one in a hundred is worse."""
        return float(np.percentile(np.abs(np.diff(self.times_s) - 1 / RATE_HZ), 99)) * 1e3

    def jumps(self) -> NDArray[np.float64]:
        """Largest change of an arm joint's target, from each command to the next, in degrees."""
        found: NDArray[np.float64] = np.abs(np.diff(self.positions[:, ARM], axis=0)).max(axis=1)
        return found

    def missing(self) -> int:
        """Control steps between the first and the last command in which none came."""
        steps = round((self.times_s[-1] - self.times_s[0]) * RATE_HZ) + 1
        return max(0, steps - len(self.times_s))


_noted: list[tuple[float, list[float]]] = []
_seams: list[int] = []
"""Places in what was noted at which a new chunk began to play."""
_scenes: list[int] = []
"""Places at which a new attempt began; the arm was moved in between."""


@RobotConfig.register_subclass("bench_arm")
@dataclass(kw_only=True)
class BenchArmConfig(TabletopRobotConfig):
    """The simulated arm, noting its commands."""

    flies_on: bool = False
    """Whether attempts end with their time alone."""


class BenchArm(TabletopRobot):
    """The simulated arm, noting its commands."""

    config_class = BenchArmConfig

    @property
    def is_success(self) -> bool:
        """Whether the attempt is to end."""
        return not self.config.flies_on and super().is_success

    def reset_scene(self, seed: int) -> str:
        """Note that whatever is commanded next has nothing to do with what was before."""
        words = super().reset_scene(seed)
        _scenes.append(len(_noted))
        return words

    def send_action(self, action: dict[str, Any]) -> dict[str, Any]:
        """Note when a command came, and carry it out."""
        if action.keys() >= set(POSITION_KEYS):  # to hold, it commands some of them to itself
            _noted.append((time.perf_counter(), [float(action[key]) for key in POSITION_KEYS]))
        return super().send_action(action)


def main() -> int:
    """Fly every execution, then stock LeRobot, and say what came out."""
    arguments = _arguments()
    project = _demonstrate(arguments.folder, episodes=arguments.demonstrations)
    policy = _train(project, steps=arguments.steps)
    content: dict[str, Any] = {"seconds": arguments.seconds, "latency_s": LATENCY_S}
    rows: list[Sequence[object]] = [("execution", *HEADS)]
    for name in EXECUTIONS:
        measured = {
            **_fly_on(arguments.folder, policy, name, seconds=arguments.seconds),
            **_attempt(arguments, policy, name),
        }
        rows.append((name, *measured.values()))
        content |= {f"{key}_{name}": value for key, value in measured.items()}
    for name in ("rtc", "sync"):
        measured = _fly_stock(policy, name, seconds=arguments.seconds)
        rows.append((f"stock, {name}", *measured.values(), "", ""))
        content |= {f"stock_{key}_{name}": value for key, value in measured.items()}
    content |= {key: content[f"{key}_real_time"] for key in ("missed_actions", "jitter_p99_ms")}
    say(rows, content)
    return 0


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--quick", action="store_true", help="under 45 s: only that it runs")
    parser.add_argument("--seconds", type=float, default=60.0, help="to fly each execution")
    parser.add_argument("--demonstrations", type=int, default=30, help="to learn from")
    parser.add_argument("--steps", type=int, default=1500, help="to train the policy")
    parser.add_argument("--folder", type=Path, default=Path("runs/bench-control"))
    parser.add_argument("--attempts", type=int, default=10, help="to see the jumps of each")
    parser.add_argument("--attempt_seconds", type=float, default=6.0, help="at the most")
    arguments = parser.parse_args()
    if arguments.quick:
        arguments.seconds, arguments.demonstrations, arguments.steps = 1.5, 2, 20
        arguments.attempts, arguments.attempt_seconds = 1, 1.0
        arguments.folder = arguments.folder.with_name("bench-control-quick")
    return arguments


def _settings(folder: Path, *more: str) -> RecapConfig:
    return read_settings(
        [
            "--config_path=configs/mujoco_arm.yaml",
            f"--project={folder}",
            f"--session.rate_hz={RATE_HZ}",
            "--session.is_audible=false",
            *more,
        ]
    )


def _demonstrate(folder: Path, *, episodes: int) -> Project:
    """Let the scripted person demonstrate, in real time, as often as is missing."""
    config = _settings(folder, "--iteration=0")
    project = Project.create(folder, plain_settings(config))
    missing = episodes - len(list(project.episodes.glob("[!.]*")))
    with project.at_work(), show_progress() as progress:
        if missing > 0:
            run(replace(config, session=replace(config.session, episodes=missing)), project)
        if not project.statistics.exists():
            perform("label", config, project, iteration=0, progress=progress)
            gather(project, iteration=0, base=None, choice=Choice())
    return project


def _train(project: Project, *, steps: int) -> Path:
    """Train the policy, or take the one that is there.

    First all of it; then, six times as long, what predicts alone, on features that are computed
    once: a chunk that is rough in itself would hide its seams.
    """
    from recap.policies.training import train_policy

    whole = PolicyTrainingConfig(steps=steps, waypoint_weight=0.0)
    frozen = replace(whole, steps=6 * steps, freeze_encoder=True, batch_size=256, noise_samples=4)
    first, second = (project.folder / f"policy-{steps}-{part}" for part in ("first", "second"))
    trainset = gather(project, iteration=0, base=None, choice=Choice())
    for destination, start, settings in ((first, SHAPE, whole), (second, first, frozen)):
        if destination.exists():
            continue
        with show_progress() as progress:
            bar = progress(f"train {destination.name}")
            train_policy(
                training_frames(project, trainset),
                destination=destination,
                settings=settings,
                start=start,
                statistics=read_json(project.statistics),
                progress=lambda step, total, _, bar=bar: bar.update(step, total),
            )
    return second


def _fly_on(folder: Path, policy: Path, execution: str, *, seconds: float) -> dict[str, float]:
    """Fly one attempt of so many seconds, as `recap collect` does, and see how steady it is."""
    report, commands = _fly(
        folder,
        policy,
        execution,
        "--robot.flies_on=true",
        f"--world.time_limit_steps={round(seconds * RATE_HZ)}",
        "--episodes=1",
    )
    return {
        "missed_actions": report.missed_steps,
        "skipped_steps": report.control["skipped"],
        "jitter_p99_ms": round(commands.jitter_p99_ms(), 2),
    }


def _attempt(arguments: argparse.Namespace, policy: Path, execution: str) -> dict[str, float]:
    """Make attempts that end when they succeed, and see how smooth they are."""
    _, commands = _fly(
        arguments.folder,
        policy,
        execution,
        f"--episodes={arguments.attempts}",
        f"--world.time_limit_steps={round(arguments.attempt_seconds * RATE_HZ)}",
    )
    jumps = commands.jumps()
    inside = np.ones(len(jumps), dtype=bool)
    inside[[place - 1 for place in _scenes if 0 < place <= len(jumps)]] = False
    # An attempt's first chunk begins where the robot happens to stand: that is no seam.
    begins = {min((seam for seam in _seams if seam >= scene), default=-1) for scene in _scenes}
    seams = [seam - 1 for seam in _seams if seam not in begins and 0 < seam <= len(jumps)]
    return {
        "largest_jump": round(float(jumps[inside].max()), 2),
        "largest_jump_at_seams": round(float(jumps[seams].max(initial=0.0)), 2),
        "mean_jump_at_seams": round(float(jumps[seams].mean()) if seams else 0.0, 2),
    }


def _fly(folder: Path, policy: Path, execution: str, *more: str) -> tuple[SessionReport, Commands]:
    config = _settings(
        folder,
        "--iteration=1",
        "--robot.type=bench_arm",
        f"--policy.path={policy}",
        f"--execution.type={execution}",
        f"--execution.latency_s={LATENCY_S}",
        *more,
    )
    # What the policy asks for is to be seen, not what the safety makes of it.
    config = replace(config, safety=replace(config.safety, max_speed=1e6, speeds={}))
    for notes in (_noted, _seams, _scenes):
        notes.clear()
    with _noting_seams():
        report = run(config, Project(folder))
    return report, _commands()


@contextmanager
def _noting_seams() -> Iterator[None]:
    """Note at which command every chunk begins to play."""
    from recap.rollout import execution

    make = execution.make_execution

    def make_noting(*arguments: Any) -> execution.Execution:  # noqa: ANN401 - passed through
        made = make(*arguments)
        add = made.add

        def noting(chunk: Chunk, *, ready_at: int) -> None:
            _seams.append(len(_noted))
            add(chunk, ready_at=ready_at)

        made.add = noting  # type: ignore[method-assign]
        return made

    execution.make_execution = make_noting
    try:
        yield
    finally:
        execution.make_execution = make


def _fly_stock(policy: Path, inference: str, *, seconds: float) -> dict[str, float]:
    """Fly with `lerobot-rollout`, its policy made as slow."""
    from lerobot.configs import PreTrainedConfig
    from lerobot.rollout.configs import RolloutConfig
    from lerobot.rollout.inference import RTCInferenceConfig, SyncInferenceConfig
    from lerobot.scripts.lerobot_rollout import rollout

    pretrained = PreTrainedConfig.from_pretrained(policy, local_files_only=True)
    pretrained.pretrained_path = policy
    kinds = {"rtc": RTCInferenceConfig, "sync": SyncInferenceConfig}
    config = RolloutConfig(
        robot=BenchArmConfig(id="stock", flies_on=True),
        policy=pretrained,
        inference=kinds[inference](),
        fps=RATE_HZ,
        duration=seconds,
        task="put the red cube on the green pad",
        play_sounds=False,
        return_to_initial_position=False,
    )
    _noted.clear()
    with _slowed():
        rollout(config)
    commands = _commands()
    return {
        "missed_actions": commands.missing(),
        "skipped_steps": 0,  # it sends late rather than leave out
        "jitter_p99_ms": round(commands.jitter_p99_ms(), 2),
        "largest_jump": round(float(commands.jumps().max()), 2),
    }


@contextmanager
def _slowed() -> Iterator[None]:
    """Make every prediction of the policy take as long as ours are made to."""
    from recap.policies.flow.modeling_recap_flow import RecapFlowPolicy

    predict = RecapFlowPolicy.predict_action_chunk

    def slow(*arguments: object, **options: object) -> object:
        began = time.perf_counter()
        chunk = predict(*arguments, **options)
        time.sleep(max(0.0, LATENCY_S - (time.perf_counter() - began)))
        return chunk

    RecapFlowPolicy.predict_action_chunk = slow
    try:
        yield
    finally:
        RecapFlowPolicy.predict_action_chunk = predict


def _commands() -> Commands:
    """Give what was noted."""
    times, positions = zip(*_noted, strict=True)
    return Commands(times_s=np.array(times), positions=np.array(positions))


if __name__ == "__main__":
    sys.exit(main())
