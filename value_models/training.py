"""Train a value model by cross-entropy against Monte-Carlo returns."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import numpy as np
import torch
from numpy.typing import NDArray

from data.errors import ConfigError
from data.files import content_hash
from value_models.baselines import baseline_predictions
from value_models.beginning import beginning
from value_models.config import WITHOUT_EFFECT, ValueTrainingConfig
from value_models.ensemble import join
from value_models.frames import JudgedFrames
from value_models.held_out import hold_out_episodes
from value_models.model import DistributionalValueModel
from value_models.prediction import Predictions, limited_threads, predict_judged
from value_models.processes import Hardware, forked_random_state, hardware
from value_models.resume import Workspace
from value_models.training_loop import LoopProgress, TrainingLoop
from value_models.validation import validate

if TYPE_CHECKING:
    from value_models.course import Course

TrainingProgress = Callable[[int, int, Mapping[str, float]], None]
"""Called with steps done, steps in all, and what was measured."""

Index = NDArray[np.int64]
_NOTHING: Final = np.empty(0, dtype=np.float32)


@dataclass(frozen=True, slots=True, kw_only=True)
class TrainedValue:
    """A trained value model and how it did."""

    model: DistributionalValueModel
    """On the CPU, ready to predict; an ensemble where ``config.members`` is above one."""

    metrics: dict[str, Any]
    """JSON: all that ``validate`` measures, how many episodes and frames each rests on, the
    learning curve in ``history``, and how each member's training ended in ``members``. Of several
    processes only the main one measures; the others' are empty."""

    held_out: Index
    """``(K,)`` frames that were held out."""

    held_out_values: NDArray[np.float32]
    """``(K,)`` what the model says of them; empty where ``metrics`` are."""


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class _Job:
    """What every member of a training has in common."""

    frames: JudgedFrames
    config: ValueTrainingConfig
    train: Index
    held_out: Index
    trainset_fingerprint: str
    initial: Path | None
    workspace: Path | None
    progress: TrainingProgress | None
    hardware: Hardware

    def workspace_of(self, member: int) -> Workspace | None:
        """Give the folder of a member's state, bound to all that decides how it turns out."""
        if self.workspace is None or self.config.save_every == 0:
            return None
        settings = asdict(self.config).items()
        targets = hashlib.sha256(np.ascontiguousarray(self.frames.returns).tobytes())
        for numbers in (self.frames.episode_index, self.held_out):
            targets.update(np.ascontiguousarray(numbers, dtype=np.int64).tobytes())
        made_for = {
            "value": {name: value for name, value in settings if name not in WITHOUT_EFFECT},
            "training set": self.trainset_fingerprint,
            "returns and held-out episodes": targets.hexdigest(),
            "base": "" if self.initial is None else content_hash(self.initial),
            "member": member,
        }
        return Workspace(self.workspace / f"member-{member}", made_for=made_for)

    def progress_of(self, member: int) -> LoopProgress | None:
        """Count the steps of all members together."""
        tell, steps = self.progress, self.config.steps
        if tell is None or not self.hardware.is_main:
            return None
        return lambda step, figures: tell(
            member * steps + step, self.config.members * steps, figures
        )


def train_value_model(
    frames: JudgedFrames,
    *,
    config: ValueTrainingConfig,
    trainset_fingerprint: str = "",
    initial: Path | None = None,
    workspace: Path | None = None,
    progress: TrainingProgress | None = None,
) -> TrainedValue:
    """Train a value model from nothing, or fine-tune one.

    The same frames, settings and initial checkpoint give the same weights, to the bit, on the
    same kind of CPU and version of torch; also when training was stopped, and gone on with from
    ``workspace``. Several processes (``torchrun``) must all call this, and get the same as one,
    but for the order of summation.

    The members of an ensemble share the held-out episodes; each draws its own weights, batches and
    augmentation, the first one those of a single model. Fine-tuned from a single model, all begin
    with its weights, head included; from an ensemble, each with those of its own.

    Args:
        frames: Judged frames; whole episodes of them are held out of training.
        config: Settings.
        trainset_fingerprint: Where the frames come from, for the checkpoint to state.
        initial: Checkpoint to fine-tune; None starts from nothing. Its sizes and bins then rule
            over ``config.model``, and its state statistics stay.
        workspace: Where to save the state every ``config.save_every`` steps, and to look for one
            to go on from; all processes must see it. Remove it with
            :func:`value_models.resume.discard_workspace` once the checkpoint is written. None
            saves none.
        progress: Told how far the work has come, in the main process.

    Returns:
        The model with the weights of the lowest held-out loss, and its metrics.

    Raises:
        CheckpointError: If ``initial`` or the state in ``workspace`` cannot be read, or ``initial``
            was made for another robot.
        ConfigError: If there are fewer than two episodes, the device is not there, the batch
            cannot be shared evenly, or the loss is no longer a number.
        FingerprintError: If ``workspace`` holds the state of another training.
        ProjectError: If the state could not be written.
    """
    episodes = len(np.unique(frames.episode_index))
    if episodes < 2:
        message = (
            f"training a value model takes at least 2 judged episodes, one of them held out; "
            f"there are {episodes}. Collect more."
        )
        raise ConfigError(message)
    with hardware(config.device, use_bfloat16=config.use_bfloat16) as here:
        _require_even_shares(config, here.count)
        rng = np.random.default_rng(config.seed)
        is_held_out = hold_out_episodes(
            frames, holdout_fraction=config.holdout_fraction, rng=rng, by=config.holdout_by
        )
        job = _Job(
            frames=frames,
            config=config,
            train=np.flatnonzero(~is_held_out),
            held_out=np.flatnonzero(is_held_out),
            trainset_fingerprint=trainset_fingerprint,
            initial=initial,
            workspace=workspace,
            progress=progress,
            hardware=here,
        )
        with limited_threads(config.threads), forked_random_state(here.device):
            trained = [_train_member(job, member, rng) for member in range(config.members)]
            model = join([member for member, _ in trained])
            courses = [course for _, course in trained]
            metrics, values = _metrics(job, model, courses) if here.is_main else ({}, _NOTHING)
    return TrainedValue(
        model=model.cpu().eval(), metrics=metrics, held_out=job.held_out, held_out_values=values
    )


def _require_even_shares(config: ValueTrainingConfig, processes: int) -> None:
    shares = processes * config.accumulate
    if config.batch_size % shares:
        message = (
            f"value.batch_size={config.batch_size} cannot be shared evenly among {processes} "
            f"process(es) in {config.accumulate} part(s) each. Use a multiple of {shares}, such as "
            f"value.batch_size={-(-config.batch_size // shares) * shares}."
        )
        raise ConfigError(message)


def _train_member(
    job: _Job, member: int, rng: np.random.Generator
) -> tuple[DistributionalValueModel, Course]:
    """Train one model; the first member draws as a single model does."""
    config, seed = job.config, job.config.seed
    if member > 0:
        rng = np.random.default_rng([seed, member])
        seed = int(np.random.SeedSequence([seed, member]).generate_state(1)[0])
    torch.manual_seed(seed)
    model = beginning(job.frames, job.train, config, initial=job.initial, member=member)
    model.spec = replace(model.spec, trainset_fingerprint=job.trainset_fingerprint)
    model = model.to(job.hardware.device)
    model.encoder.begin_training()
    loop = TrainingLoop(
        model, job.frames, train=job.train, config=config, rng=rng, hardware=job.hardware
    )
    course = loop.run(
        job.held_out, workspace=job.workspace_of(member), progress=job.progress_of(member)
    )
    model.encoder.finish_training()
    return model, course


def _metrics(
    job: _Job, model: DistributionalValueModel, courses: list[Course]
) -> tuple[dict[str, Any], NDArray[np.float32]]:
    """Measure a trained model, put down how its training went, and give the held-out values."""
    is_alone = len(courses) == 1
    said = predict_judged(model, job.frames, job.held_out)
    metrics = _final_metrics(job, model, said)
    members = [
        {"steps": c.step, "best_step": c.best_step, "best_held_out_loss": c.best_loss}
        for c in courses
    ]
    history = [
        entry if is_alone else {"member": float(member), **entry}
        for member, course in enumerate(courses)
        for entry in course.history
    ]
    return {**metrics, "members": members, "history": history}, said.values


def _final_metrics(job: _Job, model: DistributionalValueModel, said: Predictions) -> dict[str, Any]:
    """Measure the model on the held-out episodes, and on as many of the others."""
    frames, train, held_out = job.frames, job.train, job.held_out
    train_episodes = np.unique(frames.episode_index[train])
    held_out_episodes = np.unique(frames.episode_index[held_out])
    count = len(held_out_episodes)
    # Evenly spaced, so that late and early episodes, and with them their policies, are alike.
    places = np.linspace(0, len(train_episodes) - 1, min(count, len(train_episodes)))
    some = train[np.isin(frames.episode_index[train], train_episodes[np.rint(places).astype(int)])]
    metrics = validate(
        frames,
        held_out=(held_out, said),
        train=(some, predict_judged(model, frames, some)),
        baselines=baseline_predictions(frames, train, held_out, support=model.support),
        by=job.config.holdout_by,
    )
    counts = {
        "train_episodes": len(train_episodes),
        "held_out_episodes": count,
        "train_frames": len(train),
        "held_out_frames": len(held_out),
        "held_out_episode_index": held_out_episodes.tolist(),
    }
    return {**metrics, **counts}
