"""The loop that trains one value model: steps, measurements, the best weights, its state."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Mapping
from contextlib import nullcontext
from dataclasses import asdict
from typing import Final, NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from data.errors import ConfigError
from value_models.augmentation import Augmentation, Changes
from value_models.bins import cross_entropy
from value_models.config import ValueTrainingConfig
from value_models.cotraining import CoTraining
from value_models.course import Course
from value_models.dropout import batch_dropout
from value_models.frames import BatchReader, JudgedFrames
from value_models.model import DistributionalValueModel
from value_models.optimisation import (
    AveragedWeights,
    copy_of,
    learned_tensors,
    learning_rate_share,
    make_optimizer,
    optimizer_tensors,
    put_in,
    put_in_optimizer,
    trainable,
)
from value_models.order import FrameOrder
from value_models.prediction import predict_judged
from value_models.processes import Hardware, random_states, restore_random_states
from value_models.resume import TrainingState, Workspace, grouped, named

Index = NDArray[np.int64]
LoopProgress = Callable[[int, Mapping[str, float]], None]
"""Called with steps done, and what was measured."""

STEPS_BETWEEN_REPORTS: Final = 20
FRAMES_PER_MEASUREMENT: Final = 1024
"""Held-out frames, evenly spaced, that a measurement while training looks at."""


MOST_WATCHED_BYTES: Final = 2**30
"""What those frames may take in memory; where it is more, they are decoded for every measurement.
"""


class _Watched(NamedTuple):
    """What is measured while training."""

    frames: JudgedFrames
    rows: Index


class TrainingLoop:
    """Train one model on a shared global batch; every process runs the same loop."""

    def __init__(
        self,
        model: DistributionalValueModel,
        frames: JudgedFrames,
        *,
        train: Index,
        config: ValueTrainingConfig,
        rng: np.random.Generator,
        hardware: Hardware,
    ) -> None:
        """Prepare the loop.

        Args:
            model: What to train, on the device; parameters that are frozen stay as they are.
            frames: Judged frames.
            train: ``(M,)`` frames to learn from.
            config: Settings.
            rng: Source of the batches and the augmentation, alike in every process.
            hardware: Where to compute, and with whom.
        """
        self.model = model
        self.frames = frames
        self.config = config
        self.rng = rng
        self.hardware = hardware
        self.device = hardware.device
        seen, reads_images = frames.observations, model.encoder.reads_images
        self.reader = BatchReader(seen, device=self.device, reads_images=reads_images)
        self.returns = torch.from_numpy(frames.returns.astype(np.float32))
        self.augmentation = Augmentation(
            shift_pixels=config.shift_pixels,
            brightness=config.brightness,
            cameras=len(seen.images),
            reads_images=reads_images,
        )
        windows = seen.windows() if reads_images else None
        self.order = FrameOrder(train, size=config.batch_size, rng=rng, windows=windows)
        self.parts = hardware.own_rows(config.batch_size, parts=config.accumulate)
        self.parameters = trainable(model)
        self.optimizer = make_optimizer(model, config, self.device)
        self.average = AveragedWeights(model, decay=config.ema_decay) if config.ema_decay else None
        self.best = copy_of(learned_tensors(model))
        pairs = config.cotraining
        self.cotraining = CoTraining(pairs, seed=config.seed) if pairs.path else None
        self.course = Course()
        self._pending: list[Tensor] = []
        """``(2,)`` loss and gradient norm of steps whose figures nobody has asked for yet."""

    def run(
        self,
        held_out: Index,
        *,
        workspace: Workspace | None = None,
        progress: LoopProgress | None = None,
    ) -> Course:
        """Train, and leave the model with the weights of the lowest held-out loss.

        Args:
            held_out: ``(K,)`` frames to measure on.
            workspace: Where the state is saved, and gone on from where there is one.
            progress: Told what was measured.
        """
        if workspace is not None and self.hardware.is_main:
            workspace.sweep()
        if workspace is not None and (state := workspace.latest()) is not None:
            self._take_up(state)
        self.hardware.same_as_main([*learned_tensors(self.model).values()])
        watched = self._watched(held_out[:: max(1, len(held_out) // FRAMES_PER_MEASUREMENT)])
        try:
            self._take_steps(watched, workspace, progress)
        finally:
            self.order.close()
        put_in(self.model, self.best)
        return self.course

    def _watched(self, index: Index) -> _Watched:
        """Have the frames that are measured again and again at hand, where not all frames are."""
        windows = self.frames.observations.windows()
        if windows is not None and self.hardware.is_main and self.model.encoder.reads_images:
            frame_bytes = windows.total_bytes / windows.length
            if len(index) * frame_bytes <= MOST_WATCHED_BYTES:
                return _Watched(self.frames.in_memory(index), np.arange(len(index)))
        return _Watched(self.frames, index)

    def _take_steps(
        self, watched: _Watched, workspace: Workspace | None, progress: LoopProgress | None
    ) -> None:
        course = self.course
        with batch_dropout(self.model.head, share=self.config.dropout) as self._dropouts:
            self._restart_clock()
            while not self._is_over():
                course.step += 1
                self._pending.append(self._step(next(self.order)))
                if self._is_measured() or course.step % STEPS_BETWEEN_REPORTS == 0:
                    self._note(watched, progress)
                if workspace is not None and self._is_saved():
                    self._save(workspace)

    def _is_over(self) -> bool:
        return self.course.is_over(steps=self.config.steps, patience=self.config.patience)

    def _is_measured(self) -> bool:
        return self.course.is_measured(
            steps=self.config.steps, measurements=self.config.measurements
        )

    def _is_saved(self) -> bool:
        return self._is_over() or self.course.step % self.config.save_every == 0

    def _step(self, index: Index) -> Tensor:
        """Take one step; give the ``(2,)`` loss of this process's rows and the gradient norm."""
        for group in self.optimizer.param_groups:
            group["lr"] = self.config.learning_rate * learning_rate_share(
                self.course.step, steps=self.config.steps, warmup_steps=self.config.warmup_steps
            )
        changes = self.augmentation.draw(len(index), self.rng)
        for dropout in self._dropouts:
            dropout.begin(len(index))
        self.model.train()
        self.optimizer.zero_grad()
        losses = [self._backward(index, changes, rows) for rows in self.parts]
        if self.cotraining is not None:
            with self.hardware.accelerator.autocast():
                aside = self.cotraining.loss(self.model.encoder, self.course.step)
            self.hardware.accelerator.backward(aside)
        self.hardware.average_gradients([*self.parameters.values()])
        norm = self.hardware.accelerator.clip_grad_norm_(
            self.parameters.values(), self.config.gradient_clip
        )
        self.optimizer.step()
        if self.average is not None:
            self.average.update(self.model, self.course.step)
        return torch.stack([torch.stack(losses).sum(), norm.detach()])

    def _backward(self, index: Index, changes: Changes, rows: slice) -> Tensor:
        """Add the gradients of some rows of a batch; give their part of its loss."""
        for dropout in self._dropouts:
            dropout.take(rows)
        index, changes = index[rows], changes.rows(rows)
        batch = changes.brighten(self.reader.read(index, changes.shifts))
        targets = self.model.support.project(self.returns[torch.from_numpy(index)].to(self.device))
        with self.hardware.accelerator.autocast():
            logits = self.model(batch)
        loss = cross_entropy(logits, targets).mean() / len(self.parts)
        self.hardware.accelerator.backward(loss)
        return loss.detach()

    def _note(self, watched: _Watched, progress: LoopProgress | None) -> None:
        """Enter into the learning curve how the last steps went, and measure when it is time."""
        course = self.course
        self._settle()
        loss = float(np.mean([loss for loss, _ in course.recent]))
        norm = float(np.mean([norm for _, norm in course.recent]))
        speed = self._frames_per_second()
        figures = {"loss": loss}
        if self._is_measured():
            figures["held_out_loss"] = self._measure(watched)
        self._require_finite(figures)
        figures |= {"learning_rate": self.optimizer.param_groups[0]["lr"], "gradient_norm": norm}
        course.add(figures)
        if progress is not None:
            progress(course.step, {**figures, "frames_per_second": speed})
        self._restart_clock()

    def _require_finite(self, figures: Mapping[str, float]) -> None:
        for name, loss in figures.items():
            if not math.isfinite(loss):
                message = (
                    f"The {name} is {loss} after step {self.course.step}: training ran away. "
                    f"Lower value.learning_rate (it is {self.config.learning_rate:g})."
                )
                raise ConfigError(message)

    def _measure(self, watched: _Watched) -> float:
        """Measure the held-out loss, and keep the weights if it is the lowest so far."""
        loss = math.nan
        with nullcontext() if self.average is None else self.average.in_place(self.model):
            if self.hardware.is_main:
                loss = float(predict_judged(self.model, *watched).cross_entropy.mean())
            # All processes must agree on what is best, and when to stop.
            loss = self.hardware.told_by_main(loss)
            if self.course.measured(loss):
                self.best = copy_of(learned_tensors(self.model))
        return loss

    def _settle(self) -> None:
        """Read the figures of the last steps off the device, over all processes."""
        if self._pending:
            means = self.hardware.mean(torch.stack(self._pending)).tolist()
            self.course.recent += [(loss, norm) for loss, norm in means]
            self._pending.clear()

    def _restart_clock(self) -> None:
        self._clock = (self.course.step, time.perf_counter())

    def _frames_per_second(self) -> float:
        step, began = self._clock
        frames = (self.course.step - step) * self.config.batch_size
        return frames / (time.perf_counter() - began)

    def _save(self, workspace: Workspace) -> None:
        self._settle()
        if not self.hardware.is_main:
            return
        numbers = {
            "course": asdict(self.course),
            "generator": self.rng.bit_generator.state,
            "order": self.order.state(),
        }
        tensors = named(
            weights=learned_tensors(self.model),
            best=self.best,
            average={} if self.average is None else self.average.tensors,
            optimizer=optimizer_tensors(self.optimizer, self.parameters),
            random=random_states(self.device),
        )
        workspace.save(TrainingState(step=self.course.step, numbers=numbers, tensors=tensors))

    def _take_up(self, state: TrainingState) -> None:
        """Go on from where another run of this training was."""
        tensors = grouped(state.tensors)
        put_in(self.model, tensors["weights"])
        self.best = {name: t.to(self.device) for name, t in tensors["best"].items()}
        if self.average is not None:
            self.average.put(tensors["average"])
        put_in_optimizer(self.optimizer, self.parameters, tensors["optimizer"])
        restore_random_states(tensors["random"], self.device)
        self.order.restore(state.numbers["order"])
        self.rng.bit_generator.state = state.numbers["generator"]
        self.course = Course(**state.numbers["course"])
        self.course.recent = [(loss, norm) for loss, norm in self.course.recent]
