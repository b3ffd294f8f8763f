"""Record attempts of a robot, with a person at hand.

Reads: the policy of the lap before, or another that is named, or one on another machine.
Writes: ``episodes/<uid>``, one folder for every attempt, also for one that was cut short; what the
operator says of them, as verdicts of theirs; ``iterations/<k>/sessions/<time>.json``, how it went.
"""

import getpass
from collections.abc import Mapping
from contextlib import ExitStack
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

from data.errors import CheckpointError, ConfigError
from data.files import write_json_atomically
from data.verdicts import is_person
from recap.project import Project

if TYPE_CHECKING:
    from envs.hardware import RobotWorld
    from envs.leader import Leader
    from recap.config import RecapConfig
    from recap.rollout.chunks import ChunkSource
    from recap.rollout.live.alignment import Alignment
    from recap.rollout.live.attempt import Rig
    from recap.rollout.live.controls import CombinedControls
    from recap.rollout.live.plan import SessionPlan, SessionResult
    from recap.rollout.live.policy import LivePolicy
    from recap.rollout.live.safety import SafetyFilter


@dataclass(frozen=True, slots=True, kw_only=True)
class SessionConfig:
    """Settings of a session with a robot."""

    episodes: int = 10
    """Attempts to record; 0 for as many as the time allows. Also --episodes."""

    minutes: float = 0.0
    """Minutes after which no further attempt begins; 0 for no limit. Also --minutes."""

    task: str = ""
    """What the robot is to do, in words. Also --task."""

    policy: Path | None = None
    """The checkpoint that flies; null for the policy of the lap before. Also --policy.path."""

    indicator: str | None = None
    """What the policy is told: positive, none or negative; null for what the checkpoint says."""

    guidance: float | None = None
    """Strength of guidance; null for what the checkpoint says."""

    rate_hz: int = 30
    """Control steps a second; the cameras should be at least as fast."""

    reset_s: float = 0.0
    """Seconds after which an attempt begins though nobody said that the scene is ready; 0 waits."""

    operator: str = ""
    """Who sits at the keys, as the verdicts name them; empty for the user of this computer."""

    is_audible: bool = True
    """Whether the terminal's bell rings when an attempt ends or something is wrong."""

    def __post_init__(self) -> None:
        """Refuse numbers that mean nothing, and a session that would never end by itself."""
        for name, least in (("episodes", 0), ("minutes", 0), ("reset_s", 0), ("rate_hz", 1)):
            value = getattr(self, name)
            if not least <= value < float("inf"):
                message = f"session.{name} must be at least {least}, got {value}."
                raise ConfigError(message)
        if not is_person(self.operator):
            message = (
                f"session.operator must not be {self.operator}: what a person says would count as "
                f"measured, and give way to everybody else. Type --session.operator=YOUR_NAME."
            )
            raise ConfigError(message)
        if self.episodes == 0 and self.minutes == 0:
            message = "How long shall the session be? Set --episodes=... or --minutes=..."
            raise ConfigError(message)


@dataclass(frozen=True, slots=True, kw_only=True)
class SessionReport:
    """How a session went."""

    iteration: int
    robot: str
    policy_id: str
    episodes: int
    frames: int
    corrected_frames: int
    successes: int
    failures: int
    discarded: int
    interrupted: int
    successes_per_hour: float
    missed_steps: int
    control: Mapping[str, Any]
    verdicts_aside: str
    uids: tuple[str, ...]

    def headline(self) -> str:
        """Say what was recorded and how much of it worked out."""
        unjudged = (
            self.episodes - self.successes - self.failures - self.discarded - self.interrupted
        )
        return (
            f"iteration {self.iteration}, session: {self.episodes} episodes, {self.frames} frames "
            f"({self.corrected_frames} corrected)\n"
            f"  {self.successes} successes, {self.failures} failures, {self.discarded} discarded, "
            f"{self.interrupted} interrupted, {unjudged} not judged yet{self._aside()}"
        )

    def _aside(self) -> str:
        if not self.verdicts_aside:
            return ""
        return (
            f"\n  The database was away: some verdicts are in {self.verdicts_aside}. When it is "
            f"back: `recap import-verdicts --project=... --from={self.verdicts_aside}`."
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class Party:
    """Who takes part in a session. They fit each other, and none of them is connected yet."""

    world: "RobotWorld"
    """The robot."""

    safety: "SafetyFilter"
    """Its limits."""

    leader: "Leader | None"
    """What a person holds, if anything."""

    source: "ChunkSource | None"
    """The policy, loaded; None for demonstrations, and for a policy that runs elsewhere."""


def prepare(config: "RecapConfig", project: Project) -> Party:
    """Make everything that takes part, without touching the project or anything that moves.

    Raises:
        ConfigError: If a device or a limit is not one, if devices do not fit each other, or if
            nobody is there to demonstrate.
        CheckpointError: If there is no policy to fly, or it does not fit the robot.
        DeviceError: If a device cannot be made, say for a driver that is not installed.
    """
    from envs.devices import make_robot
    from envs.hardware import RobotWorld
    from recap.rollout.live.safety import SafetyFilter

    session = config.session
    world = RobotWorld(make_robot(config.robot), rate_hz=session.rate_hz, task=session.task)
    leader = _leader(config, world)
    if config.iteration == 0 and leader is None:
        message = (
            "Iteration 0 holds demonstrations, and nobody is there to give one. Name the device "
            "that a person holds with --teleop.type=..., or fly a policy with --iteration=1."
        )
        raise ConfigError(message)
    return Party(
        world=world,
        safety=SafetyFilter(
            config.safety, names=world.layout.action_names, control_rate_hz=world.layout.fps
        ),
        leader=leader,
        source=_local_policy(config, project, world),
    )


def run(config: "RecapConfig", project: Project, party: Party | None = None) -> SessionReport:
    """Record one session, with who was prepared for it or whom the settings name."""
    from recap.judgements import open_outcomes
    from recap.rollout.live.interruption import noted_interruption
    from recap.rollout.live.session import Session
    from recap.rollout.live.telling import Teller
    from recap.rollout.live.verdicts import OperatorVerdicts
    from recap.rollout.live.view import open_view
    from recap.trainsets import fix_layout, open_store

    party = party or prepare(config, project)
    fix_layout(project, party.world.layout)
    store = open_store(project)
    store.sweep_partials()
    recorded = sum(info.iteration == config.iteration for info in store.infos())
    outcomes = open_outcomes(project, config.label.database_url)
    about = project.sessions(config.iteration) / f"{datetime.now(UTC):%Y%m%dT%H%M%S%f}"
    with (
        noted_interruption() as interruption,
        open_view(is_audible=config.session.is_audible) as view,
        ExitStack() as stack,
    ):
        stack.callback(outcomes.close)
        rig = _rig(config, party, stack)
        plan = _plan(config, recorded=recorded, session=about.name)
        verdicts = OperatorVerdicts(outcomes, operator=plan.operator)
        stack.callback(verdicts.finish, about.with_suffix(".csv"))
        teller = Teller(view, rig, plan, folder=project.folder)
        session = Session(
            rig, plan, store=store, verdicts=verdicts, teller=teller, interruption=interruption
        )
        result = session.run()
    report = _report(config, rig, result, verdicts_aside=about.with_suffix(".csv"))
    write_json_atomically(
        about.with_suffix(".json"),
        {**asdict(report), "robot_settings": dict(config.robot)},
    )
    return report


def _rig(config: "RecapConfig", party: Party, stack: ExitStack) -> "Rig":
    """Connect everything that takes part; the stack lets go of it again, whatever happens."""
    from recap.rollout.live.attempt import Rig
    from recap.rollout.live.clock import ControlClock

    world, leader = party.world, party.leader
    policy = _policy(config, party)
    if policy is not None:
        stack.callback(policy.close)
    stack.callback(world.disconnect)
    world.connect()
    if leader is not None:
        stack.callback(leader.disconnect)
        leader.connect()
    seen = world.observe()
    if policy is not None:
        policy.warm_up(seen)
    controls = _controls(config, leader)
    stack.callback(controls.close)
    return Rig(
        world=world,
        controls=controls,
        clock=ControlClock(world.layout.fps),
        safety=party.safety,
        policy=policy,
        leader=leader,
        alignment=None if leader is None else _alignment(config, world, leader),
        approach_step=config.alignment.speed / world.layout.fps,
    )


def _policy(config: "RecapConfig", party: Party) -> "LivePolicy | None":
    """Let the policy fly that was loaded, or the one elsewhere; demonstrations have none."""
    from recap.rollout.execution import make_execution
    from recap.rollout.live.policy import LivePolicy

    if config.iteration == 0:
        return None
    source = party.source
    if source is None:
        from recap.remote.client import RemoteSource

        source = RemoteSource(config.remote, party.world.layout)
    return LivePolicy(
        source, make_execution(config.execution, source), latency_s=config.execution.latency_s
    )


def _local_policy(
    config: "RecapConfig", project: Project, world: "RobotWorld"
) -> "ChunkSource | None":
    """Load the policy of the lap before, or the one that was named, unless it runs elsewhere."""
    if config.iteration == 0 or config.remote.address:
        return None
    named = config.session.policy
    folder = named or project.policy(config.iteration - 1)
    if named is None and not folder.exists():
        message = (
            f"Iteration {config.iteration} flies the policy of iteration {config.iteration - 1}, "
            f"and there is no {folder}. Train it with `recap train-policy "
            f"--project={project.folder} --iteration={config.iteration - 1}`, or name another with "
            f"--policy.path=..."
        )
        raise CheckpointError(message)
    from recap.rollout.pilots import PolicySource

    return PolicySource(
        folder,
        indicator=config.session.indicator,
        guidance=config.session.guidance,
        execution=config.execution,
        layout=world.layout,
    )


def _leader(config: "RecapConfig", world: "RobotWorld") -> "Leader | None":
    from envs.devices import make_teleoperator
    from envs.leader import Leader

    if not config.teleop:
        return None
    return Leader(make_teleoperator(config.teleop), action_names=world.layout.action_names)


def _alignment(config: "RecapConfig", world: "RobotWorld", leader: "Leader") -> "Alignment":
    from recap.rollout.live.alignment import Alignment, has_motors

    return Alignment(
        names=world.layout.action_names,
        largest_step=config.alignment.speed / world.layout.fps,
        tolerance=config.alignment.tolerance,
        motors=leader if has_motors(leader.teleoperator) else None,
    )


def _controls(config: "RecapConfig", leader: "Leader | None") -> "CombinedControls":
    from envs.leader import LeaderButtons
    from recap.rollout.live.controls import open_controls
    from recap.rollout.live.teleop_events import has_events

    if leader is None or not has_events(leader.teleoperator):
        return open_controls(config.controls)
    return open_controls(config.controls, LeaderButtons(leader))


def _plan(config: "RecapConfig", *, recorded: int, session: str) -> "SessionPlan":
    from recap.rollout.live.plan import SessionPlan

    return SessionPlan(
        iteration=config.iteration,
        episodes=config.session.episodes,
        minutes=config.session.minutes,
        reset_s=config.session.reset_s,
        time_limit_steps=config.world.time_limit_steps,
        # Scenes go on after those of earlier sessions in this lap.
        first_seed=config.collection_seeds(config.iteration).start + recorded,
        operator=config.session.operator or _user(),
        session=session,
    )


def _user() -> str:
    try:
        return getpass.getuser()
    except (KeyError, OSError):  # a container's user may have no name
        return "operator"


def _report(
    config: "RecapConfig", rig: "Rig", result: "SessionResult", *, verdicts_aside: Path
) -> SessionReport:
    return SessionReport(
        iteration=config.iteration,
        robot=rig.world.layout.robot_type,
        policy_id="" if rig.policy is None else rig.policy.policy_id,
        episodes=len(result.uids),
        frames=result.frames,
        corrected_frames=result.corrected_frames,
        successes=result.successes,
        failures=result.failures,
        discarded=result.discarded,
        interrupted=result.interrupted,
        successes_per_hour=result.successes_per_hour,
        missed_steps=result.missed_steps,
        control=asdict(rig.clock.summary()),
        verdicts_aside=str(verdicts_aside) if verdicts_aside.exists() else "",
        uids=tuple(result.uids),
    )
