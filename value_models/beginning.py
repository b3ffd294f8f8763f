"""What training a value model begins with: a new model, or an earlier one for new frames."""

from __future__ import annotations

from pathlib import Path
from typing import Final

import numpy as np
from numpy.typing import NDArray

from data.errors import ConfigError
from data.files import content_hash
from value_models.belonging import fine_tuned_spec
from value_models.checkpoint import load_checkpoint
from value_models.config import ValueTrainingConfig
from value_models.ensemble import members_of
from value_models.frames import JudgedFrames, require_fitting
from value_models.model import DistributionalValueModel
from value_models.policy_features import PolicyFeaturesEncoder
from value_models.seen_size import seen_sizes
from value_models.spec import ValueSpec
from value_models.words import WordTable

SMALLEST_STD: Final = 1e-6
"""A joint that varies less than this does not vary."""

Index = NDArray[np.int64]


def beginning(
    frames: JudgedFrames,
    train: Index,
    config: ValueTrainingConfig,
    *,
    initial: Path | None,
    member: int = 0,
) -> DistributionalValueModel:
    """Make a model for these frames, or load one and teach it their tasks and scales.

    Args:
        frames: Judged frames.
        train: ``(M,)`` those to learn from, whose statistics are frozen in a new model.
        config: Settings.
        initial: Checkpoint to fine-tune; None makes a new model from torch's generator.
        member: Which of ``config.members`` it is for: of an ensemble it takes its namesake.

    Raises:
        CheckpointError: If ``initial`` cannot be read, or was made for another robot.
        ConfigError: If it is an ensemble of another number of members.
    """
    observations = frames.observations
    tasks = tuple(observations.tasks)
    if initial is not None:
        model = _member_of(initial, member, members=config.members)
        require_fitting(model.spec, observations)
        model.spec = fine_tuned_spec(model.spec, frames, base_fingerprint=content_hash(initial))
        return model
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
        scaling=frames.scaling,
        fps=observations.fps,
        state_names=observations.state_names,
        features=observations.source,
    )
    _require_reduced(spec)
    model = DistributionalValueModel(spec)
    if isinstance(model.encoder, PolicyFeaturesEncoder) and observations.features is not None:
        model.encoder.freeze_statistics(observations.features[train])
    return model


def _require_reduced(spec: ValueSpec) -> None:
    """Refuse frames larger than the model is to see: it would be shown smaller ones later."""
    seen = seen_sizes(spec.config, spec.cameras)
    if seen != spec.cameras:
        message = (
            f"the frames have cameras {dict(spec.cameras)} (height, width), and with "
            f"value.model.image_size={spec.config.image_size} they must come as {seen}. Reduce "
            f"them, or let the model see them as recorded: value.model.image_size=0."
        )
        raise ConfigError(message)


def _member_of(initial: Path, member: int, *, members: int) -> DistributionalValueModel:
    """Read what a member begins with: its own namesake, or the only one there is."""
    found = members_of(load_checkpoint(initial))
    if len(found) not in {1, members}:
        message = (
            f"{initial} is an ensemble of {len(found)}, and value.members={members}. Its members "
            f"are fine-tuned one by one: use value.members={len(found)}."
        )
        raise ConfigError(message)
    return found[member % len(found)]
