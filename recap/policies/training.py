"""Training of the flow policy on recorded frames, with or without its image encoder."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import numpy as np
import torch
from lerobot.configs import FeatureType, PolicyFeature
from lerobot.utils.constants import (
    ACTION,
    OBS_LANGUAGE_ATTENTION_MASK,
    OBS_LANGUAGE_TOKENS,
    OBS_STATE,
)
from torch import Tensor

from data.errors import CheckpointError, ConfigError
from data.files import whole_folder
from data.schema import IMAGE_PREFIX
from recap.policies.batches import Rows, TrainingFrames, next_gripper_changes
from recap.policies.checkpoint import load_policy, statistics_of
from recap.policies.config import PolicyShape, PolicyTrainingConfig
from recap.policies.flow.configuration_recap_flow import RecapFlowConfig
from recap.policies.flow.language import RESERVED_WORDS, indicator_positions
from recap.policies.flow.modeling_recap_flow import (
    IMAGE_FEATURES_KEY,
    NOISE_TIME_POWER,
    RecapFlowPolicy,
)
from recap.policies.flow.processor_recap_flow import (
    make_recap_flow_pre_post_processors,
    vocabulary_of,
)
from recap.policies.indicator import IndicatorStep, dropped
from recap.policies.prepared import PreparedFrames, Statistics
from recap.policies.waypoints import WaypointHead, waypoint_loss

Progress = Callable[[int, int, Mapping[str, float]], None]

REPORT_EVERY_STEPS: Final = 50
FINAL_COSINE_SHARE: Final = 0.02
"""Learning rate at the end, as a share of the highest."""


@dataclass(frozen=True, slots=True, kw_only=True)
class PolicyTrainingReport:
    """What a training run of the policy came to."""

    destination: Path
    """The ``pretrained_model`` folder."""

    metrics: Mapping[str, float]
    """Mean losses of the last steps."""

    parameters: int
    """Weights of the policy, frozen ones included."""

    seconds: float
    """Time from start to the saved folder."""


def train_policy(
    frames: TrainingFrames,
    *,
    destination: Path,
    settings: PolicyTrainingConfig,
    start: Path | PolicyShape,
    statistics: Statistics | None = None,
    progress: Progress | None = None,
) -> PolicyTrainingReport:
    """Train a policy and write it as a folder that stock LeRobot tools load.

    Args:
        frames: What was recorded, and how good it was.
        destination: The folder to write; it appears whole or not at all.
        settings: How to train.
        start: A checkpoint to start from, or the size of a policy whose weights start at random.
        statistics: The training set's ``stats.json``; by default those of the checkpoint.
        progress: Called now and then with the step, all steps and the losses.

    Returns:
        The losses reached, and what it took.

    Raises:
        CheckpointError: If ``destination`` exists, or ``start`` has no fitting weights.
        ConfigError: If the encoder is to stay frozen but there is no checkpoint to take it from.
    """
    began = time.perf_counter()
    if destination.exists():
        message = f"{destination} exists already. Move it away, or choose another folder."
        raise CheckpointError(message)
    with _threads(settings.threads), torch.random.fork_rng(devices=[]):
        torch.manual_seed(settings.seed)
        policy, statistics = _starting_point(frames, start, settings, statistics)
        metrics = PolicyTraining(PreparedFrames(policy, frames, statistics), settings).train(
            progress
        )
        policy.eval()
        indicator = IndicatorStep(  # with the signs, so that stock `lerobot-train` can go on
            indicators=frames.indicator, dropout=settings.indicator_dropout, seed=settings.seed
        )
        processors = make_recap_flow_pre_post_processors(
            policy.config,
            {key: dict(statistics[key]) for key in (OBS_STATE, ACTION)},
            indicator=indicator,
        )
        with whole_folder(destination) as folder:
            for part in (policy, *processors):
                part.save_pretrained(folder)
    return PolicyTrainingReport(
        destination=destination,
        metrics=metrics,
        parameters=sum(p.numel() for p in policy.parameters()),
        seconds=time.perf_counter() - began,
    )


class PolicyTraining:
    """One training run: the arrays it draws from, the optimizer, the averaged weights."""

    def __init__(self, prepared: PreparedFrames, settings: PolicyTrainingConfig) -> None:
        """Encode the images if their encoder stays frozen, and prepare the optimizer."""
        self.prepared = prepared
        self.policy = prepared.policy
        self.settings = settings
        self.generator = np.random.default_rng(settings.seed)
        if settings.freeze_encoder:
            prepared.encode_images(use_bfloat16=settings.use_bfloat16)
        self.waypoint = self._waypoint_head()
        gripper = prepared.frames.action[:, settings.gripper_index]
        self.gripper_changes = next_gripper_changes(gripper, prepared.frames.bounds)
        self.trained = [p for p in self.policy.parameters() if p.requires_grad]
        self.average = [p.detach().clone() for p in self.trained]
        heads = [] if self.waypoint is None else list(self.waypoint.parameters())
        self.optimizer = torch.optim.AdamW(
            [*self.trained, *heads],
            lr=settings.learning_rate,
            weight_decay=settings.weight_decay,
            betas=(0.9, 0.99),
            fused=True,
        )

    def train(self, progress: Progress | None) -> dict[str, float]:
        """Take all steps, leave the averaged weights in the policy, return the last losses."""
        total = self.settings.steps
        self.policy.train()
        sums: dict[str, float] = {}
        latest: dict[str, float] = {}
        counted = 0
        for step, rows in enumerate(self._rows(), start=1):
            for name, value in self._step(step, rows).items():
                sums[name] = sums.get(name, 0.0) + value
            counted += 1
            if step % REPORT_EVERY_STEPS == 0 or step == total:
                latest = {name: value / counted for name, value in sums.items()}
                sums, counted = {}, 0
                if progress is not None:
                    progress(step, total, latest)
        if self.settings.ema_decay > 0.0:
            with torch.no_grad():
                torch._foreach_copy_(self.trained, self.average)
        return latest

    def _step(self, step: int, rows: Rows) -> dict[str, float]:
        settings = self.settings
        for group in self.optimizer.param_groups:
            group["lr"] = learning_rate_at(step, settings)
        batch = self._batch(rows)
        noise, flow_time = self._noise(len(rows))
        with torch.autocast("cpu", dtype=torch.bfloat16, enabled=settings.use_bfloat16):
            features = batch.get(IMAGE_FEATURES_KEY)
            if features is None:
                pictures = self.prepared.pictures(
                    rows, shift_pixels=settings.shift_pixels, generator=self.generator
                )
                features = self.policy.encode_images(pictures)
            loss = self.policy.flow_losses(batch, features, noise, flow_time).mean()
        metrics = {"flow_loss": float(loss.detach())}
        if self.waypoint is not None:
            waypoint = self._waypoint_loss(batch, features, rows)
            metrics["waypoint_loss"] = float(waypoint.detach())
            loss = loss + settings.waypoint_weight * waypoint
        self.optimizer.zero_grad()
        torch.autograd.backward(loss)
        torch.nn.utils.clip_grad_norm_(self.trained, settings.gradient_clip, foreach=True)
        self.optimizer.step()
        # Early on the average follows closely, so that it forgets the random start.
        decay = min(settings.ema_decay, (1.0 + step) / (10.0 + step))
        torch._foreach_lerp_(self.average, [p.detach() for p in self.trained], 1.0 - decay)
        return metrics

    def _rows(self) -> Iterator[Rows]:
        """Draw batches of frames; every frame once before any frame again."""
        frames = len(self.prepared)
        size = min(self.settings.batch_size, frames)
        order: Rows = np.empty(0, dtype=np.int64)
        for _ in range(self.settings.steps):
            if len(order) < size:
                order = np.concatenate([order, self.generator.permutation(frames)])
            yield order[:size]
            order = order[size:]

    def _batch(self, rows: Rows) -> dict[str, Tensor]:
        indicator = dropped(
            self.prepared.frames.indicator[rows],
            share=self.settings.indicator_dropout,
            generator=self.generator,
        )
        return self.prepared.batch(rows, indicator)

    def _noise(self, frames: int) -> tuple[Tensor, Tensor]:
        samples = self.settings.noise_samples
        shape = (frames, samples, self.policy.config.chunk_size, self.policy.action_size)
        return torch.randn(shape), 1.0 - torch.rand(frames, samples) ** NOISE_TIME_POWER

    def _waypoint_head(self) -> WaypointHead | None:
        if self.settings.freeze_encoder or self.settings.waypoint_weight == 0.0:
            return None
        return WaypointHead(
            self.policy.feature_size,
            self.prepared.state.shape[1],
            self.policy.config.text_width,
            len(self.settings.position_indices),
        )

    def _waypoint_loss(self, batch: dict[str, Tensor], features: Tensor, rows: Rows) -> Tensor:
        if self.waypoint is None:
            message = "There is no waypoint head in this run."
            raise RuntimeError(message)
        tokens = batch[OBS_LANGUAGE_TOKENS]
        mask = batch[OBS_LANGUAGE_ATTENTION_MASK] & ~indicator_positions(tokens)
        predicted = self.waypoint(features, batch[OBS_STATE], self.policy.prompt(tokens, mask))
        changes = torch.from_numpy(self.gripper_changes[rows])
        position = self.prepared.state[changes][:, list(self.settings.position_indices)]
        return waypoint_loss(predicted, position, changes)


def learning_rate_at(step: int, settings: PolicyTrainingConfig) -> float:
    """Return the learning rate of a step counted from 1: a linear rise, then half a cosine."""
    rise = min(1.0, step / max(1, settings.warmup_steps))
    done = step / settings.steps
    fall = FINAL_COSINE_SHARE + (1.0 - FINAL_COSINE_SHARE) * 0.5 * (1.0 + math.cos(math.pi * done))
    return settings.learning_rate * rise * fall


def _starting_point(
    frames: TrainingFrames,
    start: Path | PolicyShape,
    settings: PolicyTrainingConfig,
    statistics: Statistics | None,
) -> tuple[RecapFlowPolicy, Statistics]:
    words = vocabulary_of(frames.tasks)
    if isinstance(start, Path):
        loaded = load_policy(start)
        policy = loaded.policy
        config = policy.config
        statistics = statistics or statistics_of(loaded.preprocessor)
        config.vocabulary += [word for word in words if word not in config.vocabulary]
    elif settings.freeze_encoder or statistics is None:
        message = (
            "A policy that starts from nothing needs statistics and must train its image encoder: "
            "name a checkpoint to start from, or set policy.freeze_encoder=false."
        )
        raise ConfigError(message)
    else:
        config = _new_config(frames, start, words)
        policy = RecapFlowPolicy(config)
    room = config.vocabulary_capacity - len(RESERVED_WORDS)
    if len(config.vocabulary) > room:
        message = f"The tasks have {len(config.vocabulary)} words; the policy has room for {room}."
        raise ConfigError(message)
    config.freeze_encoder = settings.freeze_encoder
    config.noise_samples = settings.noise_samples
    config.guidance_scale = settings.guidance
    policy.encoders.requires_grad_(not settings.freeze_encoder)
    return policy, statistics


def _new_config(frames: TrainingFrames, shape: PolicyShape, words: list[str]) -> RecapFlowConfig:
    cameras = {
        IMAGE_PREFIX + camera: PolicyFeature(type=FeatureType.VISUAL, shape=(3, *images.shape[1:3]))
        for camera, images in frames.images.items()
    }
    state = PolicyFeature(type=FeatureType.STATE, shape=(frames.state.shape[1],))
    action = PolicyFeature(type=FeatureType.ACTION, shape=(frames.action.shape[1],))
    return RecapFlowConfig(
        input_features={**cameras, OBS_STATE: state},
        output_features={ACTION: action},
        vocabulary=words,
        chunk_size=shape.chunk_size,
        n_action_steps=shape.n_action_steps,
        flow_steps=shape.flow_steps,
        keypoints=shape.keypoints,
        hidden_size=shape.hidden_size,
        layers=shape.layers,
        text_width=shape.text_width,
        indicator_placement=shape.indicator_placement,
    )


@contextmanager
def _threads(count: int) -> Iterator[None]:
    before = torch.get_num_threads()
    torch.set_num_threads(count)
    try:
        yield
    finally:
        torch.set_num_threads(before)
