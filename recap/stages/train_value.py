"""Learn what success is worth at every moment.

Reads: the judged episodes up to the lap, the pre-trained value model (nothing in pre-training or
where every lap makes a new one), and the policy whose features the value model reads, if it does.
Writes: ``trainsets/<fingerprint>`` and ``iterations/<k>/value`` (``pretrained/value``).
"""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from data.errors import ConfigError
from recap.core.returns import FailureScaling, ReturnScale
from recap.metrics import open_metrics
from recap.progress import ProgressFactory, silent
from recap.project import Project
from value_models.config import EncoderKind

if TYPE_CHECKING:
    from data.trainset import Trainset
    from recap.config import RecapConfig
    from recap.policies.backbone import PolicyBackbone
    from value_models.config import ValueModelConfig, ValueTrainingConfig
    from value_models.frames import JudgedFrames
    from value_models.training import TrainedValue, TrainingProgress


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

    stopped_early: str
    """After how many of its steps training stopped, in words; empty where it took all."""

    warnings: tuple[str, ...]

    def headline(self) -> str:
        """Say what the value model was trained on and how well it tells success from failure."""
        auc = self.held_out["auc_50"]
        told = "nothing to tell apart" if auc is None else f"held-out AUC halfway {auc:.2f}"
        parts = [f"training set {self.trainset}", f"{self.episodes} episodes"]
        parts += [part for part in (self.stopped_early, told, self.verdict) if part]
        return ", ".join(parts)


def run(
    config: "RecapConfig",
    project: Project,
    *,
    iteration: int | None,
    progress: ProgressFactory,
) -> TrainValueReport:
    """Train the value model of one lap, from the pre-trained one or, where told to, a new one."""
    from data.files import content_hash, read_json
    from recap.trainsets import trainset_of
    from recap.values import backbone_of
    from value_models.belonging import require_made_from
    from value_models.checkpoint import METRICS_FILE, load_checkpoint
    from value_models.gate import Gate, doubts_about_split

    trainset = trainset_of(config, project, iteration=iteration)
    initial = _initial(config, project, iteration=iteration)
    began_from = "" if initial is None else content_hash(initial)

    destination = project.value(iteration)
    if not destination.exists():
        _train(config, project, trainset, initial, iteration=iteration, progress=progress)
    spec = load_checkpoint(destination).spec
    require_made_from(
        spec,
        value=destination,
        trainset_fingerprint=trainset.fingerprint,
        base_fingerprint=began_from,
    )
    backbone_of(spec)
    inputs = {"base value": began_from} if began_from else {}
    if spec.features is not None:
        inputs["policy whose features are read"] = spec.features.fingerprint

    outputs = {
        project.relative(trainset.root): trainset.fingerprint,
        project.relative(destination): content_hash(destination),
    }
    metrics = read_json(destination / METRICS_FILE)
    gate = Gate.read(metrics)
    return TrainValueReport(
        inputs=inputs,
        outputs=outputs,
        trainset=trainset.fingerprint,
        episodes=len(trainset.episodes),
        frames=len(trainset),
        held_out=metrics["held_out"],
        verdict=None if gate is None else gate.verdict.value,
        stopped_early=_stopped_early(config, metrics, iteration=iteration),
        warnings=(*(() if gate is None else gate.warnings()), *doubts_about_split(metrics)),
    )


def _stopped_early(
    config: "RecapConfig", metrics: Mapping[str, Any], *, iteration: int | None
) -> str:
    """Say after how many steps the training of each member stopped, if before the last."""
    steps = (config.pretraining.value if iteration is None else config.value).steps
    taken = [int(member["steps"]) for member in metrics.get("members", ())]
    if all(one >= steps for one in taken):
        return ""
    *first, last = map(str, taken)
    return f"stopped after {', '.join(first)}{' and ' * bool(first)}{last} of {steps} steps"


def _sees_with(
    config: "RecapConfig", project: Project, initial: Path | None, *, iteration: int | None
) -> "tuple[ValueModelConfig, PolicyBackbone | None]":
    """Find what the model is, and the policy whose features it reads, if it does.

    That is the earlier model's where training starts from one, else that of the settings.
    """
    from recap.values import backbone_of, backbone_to_read
    from value_models.checkpoint import load_checkpoint

    if initial is not None:
        spec = load_checkpoint(initial).spec
        _require_same_encoder(config.value.model.encoder, spec.config.encoder, initial=initial)
        return spec.config, backbone_of(spec)
    model = (config.pretraining.value if iteration is None else config.value).model
    if iteration is None or model.encoder is not EncoderKind.POLICY or model.policy.path:
        return model, backbone_to_read(model, beginning=None)
    beginning = project.starting_point(config.base) / "policy"
    return model, backbone_to_read(model, beginning=beginning)


def _require_same_encoder(asked: EncoderKind, found: EncoderKind, *, initial: Path) -> None:
    """Refuse to leave out, without a word, an encoder that somebody asked for.

    The default asks for nothing.
    """
    if asked in (EncoderKind.SMALL, found):
        return
    message = (
        f"value.model.encoder is {asked}, but training starts from {initial}, whose encoder is "
        f"{found} and stays so. Train a new value model in every lap with "
        f"--value.from_base=false, or leave value.model.encoder out."
    )
    raise ConfigError(message)


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class _Work:
    """What is trained: alike in all processes that share the work."""

    frames: "JudgedFrames"
    settings: "ValueTrainingConfig"
    trainset_fingerprint: str
    initial: Path | None
    workspace: Path

    def train(self, progress: "TrainingProgress | None" = None) -> "TrainedValue":
        from value_models.training import train_value_model

        return train_value_model(
            self.frames,
            config=self.settings,
            trainset_fingerprint=self.trainset_fingerprint,
            initial=self.initial,
            workspace=self.workspace,
            progress=progress,
        )


def help_to_train(config: "RecapConfig", project: Project, *, iteration: int | None) -> None:
    """Train a lap's value model together with the main process, which keeps the result."""
    from recap.trainsets import trainset_of

    trainset = trainset_of(config, project, iteration=iteration)
    initial = _initial(config, project, iteration=iteration)
    _prepare(config, project, trainset, initial, iteration=iteration, progress=silent).train()


def _initial(config: "RecapConfig", project: Project, *, iteration: int | None) -> Path | None:
    """Find the value model that training starts from; None where it starts from nothing."""
    starts = iteration is not None and config.value.from_base
    return project.starting_point(config.base) / "value" if starts else None


def _prepare(
    config: "RecapConfig",
    project: Project,
    trainset: "Trainset",
    initial: Path | None,
    *,
    iteration: int | None,
    progress: ProgressFactory,
) -> _Work:
    from recap.groups import episode_groups
    from recap.trainsets import judge
    from recap.values import observe_with

    scale = config.returns.scale(config.world.time_limit_steps)
    settings = config.pretraining.value if iteration is None else config.value
    groups = episode_groups(config, project, trainset, by=settings.holdout_by)
    model, backbone = _sees_with(config, project, initial, iteration=iteration)
    observations = observe_with(
        backbone,
        project,
        trainset,
        progress,
        model=model,
        frames=config.frames,
        threads=settings.threads,
    )
    destination = project.value(iteration)
    return _Work(
        frames=judge(trainset, observations, scale, groups=groups),
        settings=replace(settings, seed=settings.seed + config.seed),
        trainset_fingerprint=trainset.fingerprint,
        initial=initial,
        workspace=destination.with_name(f"{destination.name}.training"),
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
    from recap.several_processes import ask_for_help
    from value_models.checkpoint import save_checkpoint
    from value_models.resume import discard_workspace

    work = _prepare(config, project, trainset, initial, iteration=iteration, progress=progress)
    ask_for_help(iteration, device=work.settings.device)
    bar = progress("train-value")
    with open_metrics(
        project, stage="train-value", iteration=iteration, wandb=config.wandb
    ) as metrics:

        def note(step: int, steps: int, figures: Mapping[str, float]) -> None:
            metrics.record(step, figures)
            bar.update(step, steps, _of_member(work.settings, step) + f"loss {figures['loss']:.3f}")

        trained = work.train(note)
    save_checkpoint(
        trained.model,
        project.value(iteration),
        metrics=trained.metrics,
        pictures=_pictures(trained, work.frames),
    )
    discard_workspace(work.workspace)


def _of_member(settings: "ValueTrainingConfig", step: int) -> str:
    """Say which model of an ensemble is trained, of whose steps all together this is one."""
    if settings.members == 1:
        return ""
    return f"model {(max(step, 1) - 1) // settings.steps + 1} of {settings.members}, "


def _pictures(trained: "TrainedValue", frames: "JudgedFrames") -> dict[str, bytes]:
    """Draw what was measured, for whoever gets the checkpoint."""
    from recap.report.value_pictures import value_pictures
    from recap.report.value_predictions import predicted_episodes

    rows = trained.held_out
    episodes = predicted_episodes(
        trained.held_out_values,
        frames.returns[rows],
        episode_index=frames.episode_index[rows],
        is_success=frames.is_success[rows],
    )
    return value_pictures(trained.metrics, episodes)
