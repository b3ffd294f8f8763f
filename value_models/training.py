"""Train a value model by cross-entropy against Monte-Carlo returns."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from data.errors import ConfigError
from data.files import content_hash
from value_models.baselines import baseline_predictions
from value_models.bins import cross_entropy
from value_models.checkpoint import load_checkpoint
from value_models.config import ValueTrainingConfig
from value_models.frames import BatchReader, JudgedFrames, require_fitting
from value_models.held_out import hold_out_episodes
from value_models.model import DistributionalValueModel
from value_models.prediction import limited_threads, predict_judged
from value_models.spec import ValueSpec
from value_models.validation import validate
from value_models.words import WordTable

TrainingProgress = Callable[[int, int, Mapping[str, float]], None]
"""Called with steps done, steps in all, and what was measured."""

STEPS_BETWEEN_REPORTS = 20
FRAMES_PER_MEASUREMENT = 1024
"""Held-out frames, evenly spaced, that a measurement while training looks at."""

SMALLEST_STD = 1e-6
"""A joint that varies less than this does not vary."""

Index = NDArray[np.int64]


@dataclass(frozen=True, slots=True, kw_only=True)
class TrainedValue:
    """A trained value model and how it did."""

    model: DistributionalValueModel
    """On the CPU, ready to predict."""

    metrics: dict[str, Any]
    """JSON: all that ``validate`` measures, how many episodes and frames each rests on, and the
    learning curve in ``history``."""


def train_value_model(
    frames: JudgedFrames,
    *,
    config: ValueTrainingConfig,
    trainset_fingerprint: str = "",
    initial: Path | None = None,
    progress: TrainingProgress | None = None,
) -> TrainedValue:
    """Train a value model from nothing, or fine-tune one.

    The same frames, settings and initial checkpoint give the same weights, to the bit, on the
    same kind of CPU and version of torch.

    Args:
        frames: Judged frames; whole episodes of them are held out of training.
        config: Settings.
        trainset_fingerprint: Where the frames come from, for the checkpoint to state.
        initial: Checkpoint to fine-tune; None starts from nothing. Its sizes and bins then rule
            over ``config.model``, and its state statistics stay.
        progress: Told how far the work has come.

    Returns:
        The model with the weights of the lowest held-out loss, and its metrics.

    Raises:
        CheckpointError: If ``initial`` cannot be read, or was made for another robot.
        ConfigError: If there are fewer than two episodes, or the device is not there.
    """
    episodes = len(np.unique(frames.episode_index))
    if episodes < 2:
        message = (
            f"training a value model takes at least 2 judged episodes, one of them held out; "
            f"there are {episodes}. Collect more."
        )
        raise ConfigError(message)
    _require_device(config.device)
    rng = np.random.default_rng(config.seed)
    is_held_out = hold_out_episodes(frames, holdout_fraction=config.holdout_fraction, rng=rng)
    train, held_out = np.flatnonzero(~is_held_out), np.flatnonzero(is_held_out)
    with limited_threads(config.threads), torch.random.fork_rng(devices=[]):
        torch.manual_seed(config.seed)
        model = _start(frames, train, config, initial)
        model.spec = replace(model.spec, trainset_fingerprint=trainset_fingerprint)
        history = _Training(model, frames, config, rng).run(train, held_out, progress)
        metrics = _final_metrics(model, frames, train, held_out)
    return TrainedValue(model=model.cpu().eval(), metrics={**metrics, "history": history})


def _require_device(name: str) -> None:
    try:
        torch.empty(0, device=name)
    except (RuntimeError, AssertionError) as error:  # torch asserts that it was built for CUDA
        reason = str(error).splitlines()[0]
        message = f"value.device={name} cannot be used here ({reason}). Use value.device=cpu."
        raise ConfigError(message) from error


def _start(
    frames: JudgedFrames, train: Index, config: ValueTrainingConfig, initial: Path | None
) -> DistributionalValueModel:
    """Make a model for these frames, or load one and teach it their tasks and scales."""
    observations = frames.observations
    tasks = tuple(observations.tasks)
    if initial is not None:
        model = load_checkpoint(initial)
        require_fitting(model.spec, observations)
        model.spec = replace(
            model.spec,
            tasks=tuple(dict.fromkeys(model.spec.tasks + tasks)),
            normalisers={**model.spec.normalisers, **frames.normalisers},
            base_fingerprint=content_hash(initial),
        )
        return model.to(config.device)
    state = observations.state[train].astype(np.float64)
    std = state.std(axis=0)
    words = WordTable.of(tasks, unknown_words=config.model.unknown_words)
    spec = ValueSpec(
        config=config.model,
        tasks=tasks,
        vocabulary=words.vocabulary,
        cameras=observations.camera_sizes(),
        state_mean=tuple(state.mean(axis=0).tolist()),
        state_std=tuple(np.where(std > SMALLEST_STD, std, 1.0).tolist()),
        normalisers=dict(frames.normalisers),
    )
    return DistributionalValueModel(spec).to(config.device)


class _Training:
    """The loop: batches, steps, measurements, and the best weights."""

    def __init__(
        self,
        model: DistributionalValueModel,
        frames: JudgedFrames,
        config: ValueTrainingConfig,
        rng: np.random.Generator,
    ) -> None:
        self.model = model
        self.frames = frames
        self.config = config
        self.rng = rng
        self.device = torch.device(config.device)
        self.reader = BatchReader(
            frames.observations, device=self.device, reads_images=model.encoder.reads_images
        )
        self.returns = torch.from_numpy(frames.returns.astype(np.float32))
        self.optimizer = torch.optim.AdamW(
            model.parameters(),
            lr=config.learning_rate,
            weight_decay=config.weight_decay,
            fused=self.device.type in {"cpu", "cuda"},
        )

    def run(
        self, train: Index, held_out: Index, progress: TrainingProgress | None
    ) -> list[dict[str, float]]:
        """Train, and leave the model with the weights of the lowest held-out loss."""
        steps = self.config.steps
        measured_at = {
            math.ceil(steps * k / self.config.measurements)
            for k in range(1, self.config.measurements + 1)
        }
        watched = held_out[:: max(1, len(held_out) // FRAMES_PER_MEASUREMENT)]
        history: list[dict[str, float]] = []
        best_loss, best_weights = math.inf, self._weights()
        recent: list[float] = []
        for step, index in enumerate(self._batches(train), start=1):
            recent.append(self._step(step, index))
            figures = {}
            if step in measured_at:
                loss = float(predict_judged(self.model, self.frames, watched).cross_entropy.mean())
                figures = {"held_out_loss": loss}
                if loss < best_loss:
                    best_loss, best_weights = loss, self._weights()
            if figures or step % STEPS_BETWEEN_REPORTS == 0:
                figures = {"loss": float(np.mean(recent)), **figures}
                recent.clear()
                history.append({"step": step, **figures})
                if progress is not None:
                    progress(step, steps, figures)
        self.model.load_state_dict(best_weights)
        return history

    def _step(self, step: int, index: Index) -> float:
        for group in self.optimizer.param_groups:
            group["lr"] = self.config.learning_rate * learning_rate_share(
                step, steps=self.config.steps, warmup_steps=self.config.warmup_steps
            )
        batch = self.reader.read(index, self._shifts(len(index)))
        images = {name: self._brighten(pixels) for name, pixels in batch.images.items()}
        targets = self.model.support.project(self.returns[torch.from_numpy(index)].to(self.device))
        self.model.train()
        with torch.autocast(
            self.device.type, dtype=torch.bfloat16, enabled=self.config.use_bfloat16
        ):
            logits = self.model(replace(batch, images=images))
        loss = cross_entropy(logits, targets).mean()
        self.optimizer.zero_grad()
        torch.autograd.backward(loss)
        torch.nn.utils.clip_grad_norm_(self.model.parameters(), self.config.gradient_clip)
        self.optimizer.step()
        return float(loss.detach())

    def _batches(self, train: Index) -> Iterator[Index]:
        """Go through the frames in random order, again and again, in batches of one size."""
        size = self.config.batch_size
        waiting: Index = np.empty(0, dtype=np.int64)
        for _ in range(self.config.steps):
            while len(waiting) < size:
                waiting = np.concatenate([waiting, self.rng.permutation(train)])
            yield waiting[:size]
            waiting = waiting[size:]

    def _shifts(self, batch: int) -> NDArray[np.int64] | None:
        most = self.config.shift_pixels
        if most == 0:
            return None
        cameras = len(self.frames.observations.images)
        return self.rng.integers(-most, most, size=(batch, cameras, 2), endpoint=True)

    def _brighten(self, pixels: Tensor) -> Tensor:
        most = self.config.brightness
        if most == 0.0:
            return pixels
        factors = self.rng.uniform(1.0 - most, 1.0 + most, size=(len(pixels), 1, 1, 1))
        return pixels * torch.from_numpy(factors.astype(np.float32)).to(self.device)

    def _weights(self) -> dict[str, Tensor]:
        return {name: tensor.clone() for name, tensor in self.model.state_dict().items()}


def learning_rate_share(step: int, *, steps: int, warmup_steps: int) -> float:
    """Give the share of the highest learning rate to use at a step, counted from one.

    It rises in a straight line over ``warmup_steps``, then falls along a cosine to zero.
    """
    warmup_steps = min(warmup_steps, steps // 2)
    if step <= warmup_steps:
        return step / warmup_steps
    return 0.5 * (1.0 + math.cos(math.pi * (step - 1 - warmup_steps) / (steps - warmup_steps)))


def _final_metrics(
    model: DistributionalValueModel, frames: JudgedFrames, train: Index, held_out: Index
) -> dict[str, Any]:
    """Measure the model on the held-out episodes, and on as many of the others."""
    train_episodes = np.unique(frames.episode_index[train])
    count = len(np.unique(frames.episode_index[held_out]))
    # Evenly spaced, so that late and early episodes, and with them their policies, are alike.
    places = np.linspace(0, len(train_episodes) - 1, min(count, len(train_episodes)))
    some = train[np.isin(frames.episode_index[train], train_episodes[np.rint(places).astype(int)])]
    metrics = validate(
        frames,
        held_out=(held_out, predict_judged(model, frames, held_out)),
        train=(some, predict_judged(model, frames, some)),
        baselines=baseline_predictions(frames, train, held_out, support=model.support),
    )
    counts = {
        "train_episodes": len(train_episodes),
        "held_out_episodes": count,
        "train_frames": len(train),
        "held_out_frames": len(held_out),
    }
    return {**metrics, **counts}
