"""Learn what success is worth at every moment.

Reads: the judged episodes up to the lap, and the pre-trained value model (nothing in pre-training).
Writes: ``trainsets/<fingerprint>`` and ``iterations/<k>/value`` (``pretrained/value``).
"""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

from data.errors import ConfigError, FingerprintError
from recap.core.returns import FailureScaling, ReturnScale
from recap.metrics import open_metrics
from recap.progress import ProgressFactory
from recap.project import Project

if TYPE_CHECKING:
    from data.trainset import Trainset
    from recap.config import RecapConfig


@dataclass(frozen=True, slots=True, kw_only=True)
class ReturnConfig:
    """Settings of the return: what an attempt was worth from each of its frames on."""

    failure_penalty_fraction: float = 0.5
    """What a failure costs, as a share of the world's time limit."""

    scaling: FailureScaling = FailureScaling.PENALTY
    """How failures share the bins with successes: penalty (the paper's reward), unspent (failing
    early is not cheaper), floor (in a band of their own), clipped (at -1, a known mistake)."""

    def __post_init__(self) -> None:
        """Refuse a penalty that ranks nothing."""
        if not 0.0 < self.failure_penalty_fraction <= 1.0:
            message = (
                f"returns.failure_penalty_fraction must lie above 0 and at most at 1, got "
                f"{self.failure_penalty_fraction}. At 1 successes keep half of the bins."
            )
            raise ConfigError(message)

    def scale(self, max_steps: int) -> ReturnScale:
        """Make the scale of attempts that have at most so many frames."""
        return ReturnScale(
            max_steps=max_steps,
            failure_penalty_fraction=self.failure_penalty_fraction,
            scaling=self.scaling,
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class TrainValueReport:
    """What was trained, and how good it is on episodes it never saw."""

    inputs: Mapping[str, str]
    outputs: Mapping[str, str]
    trainset: str
    episodes: int
    frames: int
    held_out: Mapping[str, float | None]
    verdict: str | None
    """How far the value model can be relied on; None where an earlier version measured it."""

    warnings: tuple[str, ...]

    def headline(self) -> str:
        """Say what the value model was trained on and how well it tells success from failure."""
        auc = self.held_out["auc_50"]
        told = "nothing to tell apart" if auc is None else f"held-out AUC halfway {auc:.2f}"
        verdict = f", {self.verdict}" if self.verdict else ""
        return f"training set {self.trainset}, {self.episodes} episodes, {told}{verdict}"


def run(
    config: "RecapConfig",
    project: Project,
    *,
    iteration: int | None,
    progress: ProgressFactory,
) -> TrainValueReport:
    """Train the value model of one lap, from the pre-trained one."""
    from data.files import content_hash, read_json
    from recap.trainsets import trainset_of
    from value_models.checkpoint import METRICS_FILE, load_checkpoint
    from value_models.gate import Gate

    trainset = trainset_of(config, project, iteration=iteration)
    initial = None if iteration is None else project.starting_point(config.base) / "value"
    began_from = "" if initial is None else content_hash(initial)

    destination = project.value(iteration)
    if not destination.exists():
        _train(config, project, trainset, initial, iteration=iteration, progress=progress)
    made_from = load_checkpoint(destination).spec
    if (made_from.trainset_fingerprint, made_from.base_fingerprint) != (
        trainset.fingerprint,
        began_from,
    ):
        message = (
            f"{destination} was trained on the training set {made_from.trainset_fingerprint}, "
            f"but the episodes and outcomes now make {trainset.fingerprint}, or the base is "
            f"another one. Delete the folder to train it again."
        )
        raise FingerprintError(message)

    outputs = {
        project.relative(trainset.root): trainset.fingerprint,
        project.relative(destination): content_hash(destination),
    }
    metrics = read_json(destination / METRICS_FILE)
    gate = Gate.read(metrics)
    return TrainValueReport(
        inputs={"base value": began_from} if began_from else {},
        outputs=outputs,
        trainset=trainset.fingerprint,
        episodes=len(trainset.episodes),
        frames=len(trainset),
        held_out=metrics["held_out"],
        verdict=None if gate is None else gate.verdict.value,
        warnings=() if gate is None else gate.warnings(),
    )


def _train(
    config: "RecapConfig",
    project: Project,
    trainset: "Trainset",
    initial: Path | None,
    *,
    iteration: int | None,
    progress: ProgressFactory,
) -> None:
    from recap.trainsets import judge, observe
    from value_models.checkpoint import save_checkpoint
    from value_models.training import train_value_model

    scale = config.returns.scale(config.world.time_limit_steps)
    frames = judge(trainset, observe(project, trainset, progress), scale)
    settings = config.pretraining.value if iteration is None else config.value
    bar = progress("train-value")
    with open_metrics(
        project, stage="train-value", iteration=iteration, wandb=config.wandb
    ) as metrics:

        def note(step: int, steps: int, figures: Mapping[str, float]) -> None:
            metrics.record(step, figures)
            bar.update(step, steps, f"loss {figures['loss']:.3f}")

        trained = train_value_model(
            frames,
            config=replace(settings, seed=settings.seed + config.seed),
            trainset_fingerprint=trainset.fingerprint,
            initial=initial,
            progress=note,
        )
    trained.model.spec = replace(trained.model.spec, scaling=config.returns.scaling.value)
    save_checkpoint(trained.model, project.value(iteration), metrics=trained.metrics)
