"""A value model and what it is shown: the features of a policy's backbone, where it reads those.

The one place that knows both. Whoever shows a value model frames asks here for the observations.

A policy that was itself trained on the episodes held out of the value model's training has seen
them, and what is then measured on them flatters. That of a base has seen none of a lap's attempts.
"""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from data.errors import CheckpointError, ConfigError, FingerprintError
from data.reduction import reduce_images
from recap.policies.backbone import PolicyBackbone
from recap.trainsets import observe
from value_models.config import EncoderKind, ValueModelConfig
from value_models.features import FeatureCache, as_halves
from value_models.prediction import limited_threads
from value_models.seen_size import seen_size, seen_sizes
from value_models.spec import FeatureSource, ValueSpec

if TYPE_CHECKING:
    from collections.abc import Mapping

    from numpy.typing import NDArray

    from data.frames_config import FramesConfig
    from data.trainset import Trainset
    from recap.progress import ProgressFactory
    from recap.project import Project
    from value_models.frames import Observations


def backbone_of(spec: ValueSpec) -> PolicyBackbone | None:
    """Find the policy that a value model was made to read; None where it sees for itself.

    Raises:
        CheckpointError: If the policy is not there.
        FingerprintError: If it is another one by now.
    """
    source = spec.features
    if source is None:
        return None
    if not Path(source.path).is_dir():
        message = (
            f"The value model reads the features of the policy {source.path}, which does not "
            f"exist. Put it back, or train the value model again: delete its folder and run "
            f"`recap train-value`."
        )
        raise CheckpointError(message)
    backbone = PolicyBackbone(replace(spec.config.policy, path=source.path))
    if backbone.fingerprint != source.fingerprint:
        message = (
            f"The value model reads the features of the policy {source.path} as it was with "
            f"fingerprint {source.fingerprint}, and it is {backbone.fingerprint} now: what it says "
            f"of the new one's features means nothing. Put the old one back, or train the value "
            f"model again: delete its folder and run `recap train-value`."
        )
        raise FingerprintError(message)
    return backbone


def backbone_to_read(config: ValueModelConfig, *, beginning: Path | None) -> PolicyBackbone | None:
    """Find the policy that a new value model is to read; None where it will see for itself.

    Args:
        config: The model to make.
        beginning: The policy that the lap starts from, for settings that name none; None in
            pre-training, which makes the value model first and the policy after it.

    Raises:
        ConfigError: If no policy is named and there is none to start from.
        CheckpointError: If the policy is not whole, or it is not known where to read it.
    """
    if config.encoder is not EncoderKind.POLICY:
        return None
    path = config.policy.path or (str(beginning) if beginning else "")
    if not path:
        message = (
            "value.model.encoder=policy reads the features of a policy, and in pre-training there "
            "is none yet: the value model is made before it. Name one that is there with "
            "--pretraining.value.model.policy.path=..."
        )
        raise ConfigError(message)
    return PolicyBackbone(replace(config.policy, path=path))


def observe_with(
    backbone: PolicyBackbone | None,
    project: Project,
    trainset: Trainset,
    progress: ProgressFactory,
    *,
    model: ValueModelConfig | None = None,
    frames: FramesConfig | None = None,
    threads: int = 1,
) -> Observations:
    """Read what was seen, felt and asked for in a training set, and the features of all of it.

    Features that the project keeps are taken from there; the rest is computed and kept.

    Args:
        backbone: The policy to read; None where the value model sees for itself.
        project: Whose frames and features are kept where.
        trainset: The training set.
        progress: Shows how far the work has come.
        model: What the value model is, which says how large it sees images; None for as recorded.
        frames: How much is kept decoded; the defaults if None.
        threads: Threads torch may use on the CPU.

    Raises:
        CheckpointError: If the policy was made for another robot.
    """
    sizes = None if model is None else seen_sizes(model, trainset.layout.cameras)
    observations = observe(project, trainset, progress, frames=frames, sizes=sizes)
    if backbone is None:
        return observations
    with limited_threads(threads):
        features = FeatureCache(project.feature_cache).load(
            trainset,
            fingerprint=backbone.fingerprint,
            read=lambda rows: _read(backbone, observations, rows),
            progress=progress("features").update,
        )
    return replace(observations, features=features, source=_source(backbone, features))


def observe_for(
    spec: ValueSpec,
    project: Project,
    trainset: Trainset,
    progress: ProgressFactory,
    *,
    frames: FramesConfig | None = None,
    threads: int = 1,
) -> Observations:
    """Read a training set as a value model of this kind was made to see it; see `observe_with`.

    Raises:
        CheckpointError: If it reads a policy that is not there.
        FingerprintError: If that policy is another one by now.
    """
    backbone = backbone_of(spec)
    return observe_with(
        backbone,
        project,
        trainset,
        progress,
        model=spec.config,
        frames=frames,
        threads=threads,
    )


def as_seen(
    config: ValueModelConfig, images: Mapping[str, NDArray[np.uint8]]
) -> dict[str, NDArray[np.uint8]]:
    """Reduce camera name to ``(T, H, W, 3)`` images in memory to the size a value model sees.

    Frames that are decoded for it are reduced in the YUV of the video, where no colour is rounded
    before it is averaged: they differ by about 1 of 255.
    """
    return {
        camera: reduce_images(pixels, seen_size(config, pixels.shape[1], pixels.shape[2]))
        for camera, pixels in images.items()
    }


def with_features(backbone: PolicyBackbone | None, observations: Observations) -> Observations:
    """Add the features of frames that nobody keeps, such as those of the robot just now."""
    if backbone is None:
        return observations
    features = as_halves(_read(backbone, observations, np.arange(len(observations))))
    return replace(observations, features=features, source=_source(backbone, features))


def _source(backbone: PolicyBackbone, features: NDArray[np.floating]) -> FeatureSource:
    return FeatureSource(
        path=str(backbone.folder), fingerprint=backbone.fingerprint, size=features.shape[1]
    )


def _read(
    backbone: PolicyBackbone, observations: Observations, rows: NDArray[np.int64]
) -> NDArray[np.float32]:
    return backbone.features(
        {camera: images[rows] for camera, images in observations.images.items()},
        observations.state[rows],
        [observations.tasks[task] for task in observations.task_index[rows]],
    )
