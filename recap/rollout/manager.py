"""The rollout manager: plans attempts, runs them on all workers, and keeps what they recorded."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Final

import torch

from data.episodes import EpisodeStore
from data.schema import EpisodeRecord, Source
from envs.simulation import Simulation
from envs.world import SimulatedWorld
from recap.progress import Progress
from recap.rollout.attempt import Attempt, AttemptPlan, AttemptResult
from recap.rollout.critic import Critic
from recap.rollout.execution import ExecutionConfig
from recap.rollout.pilots import DEFAULT_EXECUTION, PolicyPilot
from recap.rollout.wave import Wave, run_wave, waves_of
from recap.rollout.workers import run_jobs

TABLETOP: Final = Simulation()
"""The simulation that comes along."""


@dataclass(frozen=True, slots=True, kw_only=True)
class PilotSpec:
    """Which policy flies, and what it is told."""

    folder: Path
    """The checkpoint."""

    indicator: str = "positive"
    """positive, none or negative."""

    guidance: float | None = None
    """Strength of guidance instead of the one that the checkpoint was saved with."""

    execution: ExecutionConfig = DEFAULT_EXECUTION
    """How its chunks are carried out."""


@dataclass(frozen=True, slots=True, kw_only=True)
class RecordingSpec:
    """Where finished attempts are written, and under whose name."""

    episodes: Path
    """The folder of the episode store."""

    iteration: int
    """The lap they belong to."""

    policy_id: str
    """The policy that took part; empty for none."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Rollouts:
    """A set of attempts to be made."""

    plans: Sequence[AttemptPlan]
    pilot: PilotSpec | None
    recording: RecordingSpec | None
    workers: int
    worlds_per_worker: int
    simulation: Simulation = TABLETOP
    """Where they are made."""
    value_model: Path | None = None
    """The checkpoint of the value model that the plans' takeovers depend on; None where none."""


@dataclass(slots=True)
class _Process:
    """What one worker process keeps between its waves."""

    worlds: list[SimulatedWorld]
    pilot: PolicyPilot | None
    execution: ExecutionConfig
    critic: Critic | None
    store: EpisodeStore | None
    recording: RecordingSpec | None


_process: list[_Process] = []


def episode_uid(source: Source, *, iteration: int, seed: int) -> str:
    """Name an episode after what it depends on, so that a stopped collection can go on."""
    return f"{source}-{iteration:02d}-{seed:08d}"


def run_rollouts(rollouts: Rollouts, progress: Progress) -> list[AttemptResult]:
    """Make all attempts, record them where asked, and return their results by seed.

    A wave is left out when all its episodes are there already, and repeated as a whole when some
    are missing: attempts of a wave share the policy's batches, so only the whole wave comes out
    the same. What is there already is not written again.
    """
    waves = waves_of(rollouts.plans, size=rollouts.worlds_per_worker)
    todo = [wave for wave in waves if not _is_recorded_whole(wave, rollouts.recording)]
    total = sum(len(wave.plans) for wave in todo)
    results: list[AttemptResult] = []
    progress.update(0, total)
    finished = run_jobs(
        _run,
        todo,
        workers=rollouts.workers,
        prepare=_prepare,
        prepare_with=(replace(rollouts, plans=()),),
    )
    for _, wave_results in finished:
        results += wave_results
        successes = sum(result.success is True for result in results)
        progress.update(len(results), total, f"{successes / len(results):.0%} succeeded")
    return sorted(results, key=lambda result: result.seed)


def _is_recorded_whole(wave: Wave, recording: RecordingSpec | None) -> bool:
    if recording is None:
        return False
    return all((recording.episodes / _uid(plan, recording)).is_dir() for plan in wave.plans)


def _uid(plan: AttemptPlan, recording: RecordingSpec) -> str:
    return episode_uid(plan.source, iteration=recording.iteration, seed=plan.seed)


def _prepare(rollouts: Rollouts) -> None:
    torch.set_num_threads(1)  # processes share the cores; threads would spin against each other
    pilot, recording, places = rollouts.pilot, rollouts.recording, rollouts.worlds_per_worker
    flying, critic = None, None
    if pilot is not None:
        flying = PolicyPilot(
            pilot.folder,
            batch_size=places,
            indicator=pilot.indicator,
            guidance=pilot.guidance,
            execution=pilot.execution,
        )
    worlds = [rollouts.simulation.make() for _ in range(places)]
    if rollouts.value_model is not None:
        critic = Critic(rollouts.value_model, batch_size=places, layout=worlds[0].layout)
    _process[:] = [
        _Process(
            worlds=worlds,
            pilot=flying,
            execution=DEFAULT_EXECUTION if pilot is None else pilot.execution,
            critic=critic,
            store=None if recording is None else EpisodeStore(recording.episodes, worlds[0].layout),
            recording=recording,
        )
    ]


def _run(wave: Wave) -> list[AttemptResult]:
    process = _process[0]
    return run_wave(
        wave,
        process.worlds,
        process.pilot,
        is_recorded=process.recording is not None,
        on_finished=_keep,
        execution=process.execution,
        critic=process.critic,
    )


def _keep(attempt: Attempt) -> None:
    process = _process[0]
    if process.store is None or process.recording is None:
        return
    uid = _uid(attempt.plan, process.recording)
    if not (process.recording.episodes / uid).is_dir():
        process.store.write(_record(attempt, uid, process.recording))


def _record(attempt: Attempt, uid: str, recording: RecordingSpec) -> EpisodeRecord:
    return attempt.record(uid=uid, iteration=recording.iteration, policy_id=recording.policy_id)
