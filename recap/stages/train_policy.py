"""Train the policy, told which frames went better than expected.

Reads: the pre-trained policy, the lap's training set and ``advantages.parquet`` (iteration 0 has
no advantages: the policy imitates the demonstrations, every frame called positive).
Writes: ``iterations/<k>/policy`` (``pretrained/policy`` in pre-training), a LeRobot checkpoint.
"""

import shutil
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from data.files import content_hash, read_json
from recap.metrics import open_metrics
from recap.policies.config import PolicyShape, PolicyTrainingConfig
from recap.policies.fingerprint import policy_fingerprint
from recap.progress import ProgressFactory
from recap.project import Project

if TYPE_CHECKING:
    from data.trainset import Trainset
    from recap.config import RecapConfig
    from recap.policies.batches import TrainingFrames


@dataclass(frozen=True, slots=True, kw_only=True)
class PolicyConfig(PolicyTrainingConfig):
    """Settings of the policy: its training in every lap, and its shape."""

    shape: PolicyShape = field(default_factory=PolicyShape)
    """How large a policy is that is made from nothing, in pre-training."""


@dataclass(frozen=True, slots=True, kw_only=True)
class TrainPolicyReport:
    """What was trained."""

    inputs: Mapping[str, str]
    outputs: Mapping[str, str]
    frames: int
    steps: int
    final_loss: float
    loss_gap: float | None
    """How much the loss rises when the indicators are flipped; None where there are none."""

    warnings: tuple[str, ...]

    def headline(self) -> str:
        """Say what the policy was trained on and where its loss ended."""
        told = "" if self.loss_gap is None else f", {self.loss_gap:+.4f} with indicators flipped"
        return f"{self.steps} steps on {self.frames} frames, loss {self.final_loss:.4f}{told}"


def run(
    config: "RecapConfig",
    project: Project,
    *,
    iteration: int | None,
    progress: ProgressFactory,
) -> TrainPolicyReport:
    """Train the policy of one lap, from the pre-trained one."""
    from recap.policies.checkpoint import load_policy
    from recap.policies.conditioning import conditioning_gap
    from recap.policies.training import train_policy
    from recap.trainsets import trainset_of

    trainset = trainset_of(config, project, iteration=iteration)
    inputs = {project.relative(trainset.root): trainset.fingerprint}
    base = None
    if iteration is not None:
        base = project.starting_point(config.base) / "policy"
        inputs["base"] = policy_fingerprint(base)
    advantages = None if iteration == 0 else project.advantages(iteration)
    if advantages is not None:
        inputs[project.relative(advantages)] = content_hash(advantages)
    settings = config.pretraining.policy if iteration is None else config.policy
    frames = _frames(config, project, trainset, advantages, progress)

    destination = project.policy(iteration)
    with open_metrics(
        project, stage="train-policy", iteration=iteration, wandb=config.wandb
    ) as metrics:
        bar = progress("train-policy")

        def on_progress(step: int, steps: int, numbers: Mapping[str, float]) -> None:
            metrics.record(step, numbers)
            bar.update(step, steps, f"loss {numbers['flow_loss']:.4f}")

        shutil.rmtree(destination, ignore_errors=True)  # left by a run that was stopped
        report = train_policy(
            frames,
            destination=destination,
            settings=replace(settings, seed=settings.seed + config.seed),
            start=config.policy.shape if base is None else base,
            statistics=read_json(project.statistics),
            progress=on_progress,
        )
    gap = None if advantages is None else conditioning_gap(load_policy(destination), frames)
    return TrainPolicyReport(
        inputs=inputs,
        outputs={project.relative(destination): policy_fingerprint(destination)},
        frames=len(frames.state),
        steps=settings.steps,
        final_loss=report.metrics["flow_loss"],
        loss_gap=None if gap is None else gap.loss_gap,
        warnings=() if gap is None else tuple(gap.warnings()),
    )


def _frames(
    config: "RecapConfig",
    project: Project,
    trainset: "Trainset",
    advantages: Path | None,
    progress: ProgressFactory,
) -> "TrainingFrames":
    """Load what the policy learns from; without advantages every frame is called positive."""
    from data.annotations import AdvantageTable
    from recap.policies.batches import TrainingFrames
    from recap.policies.prompts import NEGATIVE, POSITIVE
    from recap.trainsets import observe

    is_positive: NDArray[np.bool_] = np.ones(len(trainset), dtype=np.bool_)
    if advantages is not None:
        table = AdvantageTable.load(advantages)
        table.require(trainset.fingerprint)
        is_positive = table.positive()
    observations = observe(project, trainset, progress, frames=config.frames, at_once=True)
    return TrainingFrames(
        images=observations.images,
        state=observations.state,
        action=trainset.action(),
        bounds=[(episode.start, episode.stop) for episode in trainset.episodes],
        tasks=[episode.info.task for episode in trainset.episodes],
        indicator=np.where(is_positive, POSITIVE, NEGATIVE).astype(np.int8),
    )
