"""The frames a value model learns from and is asked about."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass, replace

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from data.errors import CheckpointError
from data.frames import Images, TrainsetFrames
from value_models.encoder import ObservationBatch
from value_models.spec import FeatureSource, ValueSpec

Floats = NDArray[np.float32]
Integers = NDArray[np.integer]
Flags = NDArray[np.bool_]
Pixels = NDArray[np.uint8]


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Observations:
    """What was seen, felt and asked for in N frames."""

    images: Mapping[str, Images]
    """Camera name to ``(N, H, W, 3)`` images: arrays, or what is read like them by frame numbers.
    """

    state: Floats
    """``(N, S)`` joints, as recorded."""

    task_index: Integers
    """``(N,)`` place of each frame's task in ``tasks``."""

    tasks: Sequence[str]
    """Instructions in words."""

    fps: int | None = None
    """Frames a second; None where not known."""

    state_names: tuple[str, ...] | None = None
    """Name of each of the S joints; None where not known."""

    features: NDArray[np.floating] | None = None
    """``(N, F)`` features of a frozen backbone, where the value model reads those."""

    source: FeatureSource | None = None
    """Whose features they are; None where there are none, or nobody asks."""

    def __post_init__(self) -> None:
        """Refuse arrays of different frames."""
        lengths = {len(self.state), len(self.task_index), *map(len, self.images.values())}
        lengths |= set() if self.features is None else {len(self.features)}
        if len(lengths) != 1:
            message = f"images, state and task_index must hold the same frames, got {lengths}."
            raise ValueError(message)

    def __len__(self) -> int:
        return len(self.state)

    def windows(self) -> TrainsetFrames | None:
        """Give what brings the images to hand in windows; None where all can be at once."""
        images = self.images
        return images if isinstance(images, TrainsetFrames) and not images.fits else None

    def in_memory(self, index: NDArray[np.int64]) -> Observations:
        """Copy some frames, in rising order, into memory."""
        images = self.images
        if isinstance(images, TrainsetFrames):
            with closing(images.in_order([index])) as read:
                copied: Mapping[str, Pixels] = next(read)
        else:
            copied = {name: pixels[index] for name, pixels in images.items()}
        return replace(
            self,
            images=copied,
            state=self.state[index],
            task_index=self.task_index[index],
            features=None if self.features is None else self.features[index],
        )

    def camera_sizes(self) -> dict[str, tuple[int, int]]:
        """Give the height and width of every camera's images, cameras in sorted order."""
        return {
            name: (self.images[name].shape[1], self.images[name].shape[2])
            for name in sorted(self.images)
        }


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class JudgedFrames:
    """N frames of judged episodes, and what each was worth."""

    observations: Observations
    """What was seen, felt and asked for."""

    returns: NDArray[np.floating]
    """``(N,)`` Monte-Carlo returns, normalised, in [-1, 0]."""

    episode_index: Integers
    """``(N,)`` episode of each frame; the frames of an episode are together and in order."""

    is_success: Flags
    """``(N,)`` whether the frame's episode was judged a success."""

    normalisers: Mapping[str, float]
    """Task to control steps in one unit of return."""

    scaling: str = "penalty"
    """How failures share the bins with successes in the returns."""

    group_index: Integers | None = None
    """``(N,)`` group of each frame's episode, say the session it was recorded in: episodes of one
    group are alike. None where none is known, and every episode stands for itself."""

    def __post_init__(self) -> None:
        """Refuse arrays of different frames, and returns that are not normalised."""
        arrays = (self.returns, self.episode_index, self.is_success)
        if any(len(array) != len(self.observations) for array in arrays):
            message = "returns, episode_index and is_success must hold the frames observed."
            raise ValueError(message)
        self._require_whole_groups()
        if not np.all((self.returns >= -1.0) & (self.returns <= 0.0)):
            message = "every return must lie in [-1, 0]: normalise them with the task's scale."
            raise ValueError(message)
        missing = sorted(set(self.observations.tasks) - set(self.normalisers))
        if missing:
            message = f"no normaliser for task(s) {missing}."
            raise ValueError(message)

    def in_memory(self, index: NDArray[np.int64]) -> JudgedFrames:
        """Copy some frames, in rising order, into memory."""
        return replace(
            self,
            observations=self.observations.in_memory(index),
            returns=self.returns[index],
            episode_index=self.episode_index[index],
            is_success=self.is_success[index],
            group_index=None if self.group_index is None else self.group_index[index],
        )

    def _require_whole_groups(self) -> None:
        if self.group_index is None:
            return
        if len(self.group_index) != len(self.observations):
            message = "group_index must hold the frames observed."
            raise ValueError(message)
        if np.any((np.diff(self.group_index) != 0) & (np.diff(self.episode_index) == 0)):
            message = "group_index must be the same in all frames of an episode."
            raise ValueError(message)

    def steps_per_return(self) -> NDArray[np.float64]:
        """Give the ``(N,)`` control steps in one unit of each frame's return."""
        of_task = np.array([self.normalisers[task] for task in self.observations.tasks])
        steps: NDArray[np.float64] = of_task[self.observations.task_index]
        return steps


class BatchReader:
    """Turn frame numbers into what a value model takes."""

    def __init__(
        self, observations: Observations, *, device: torch.device, reads_images: bool = True
    ) -> None:
        self._observations = observations
        self._device = device
        self._cameras = sorted(observations.images) if reads_images else []
        self._tasks = tuple(observations.tasks)
        self._state = torch.from_numpy(np.ascontiguousarray(observations.state, dtype=np.float32))

    def read(
        self, index: NDArray[np.int64], shifts: NDArray[np.int64] | None = None
    ) -> ObservationBatch:
        """Give what was seen, felt and asked for in the frames.

        Args:
            index: ``(B,)`` frame numbers.
            shifts: ``(B, cameras, 2)`` rows and columns to move each image by, if any.
        """
        images = {name: self._observations.images[name][index] for name in self._cameras}
        if shifts is not None:
            for camera, name in enumerate(self._cameras):
                shift_in_place(images[name], shifts[:, camera])
        return self._batch(index, images)

    def in_order(self, batches: Sequence[NDArray[np.int64]]) -> Iterator[ObservationBatch]:
        """Give what was seen, felt and asked for in batches of frames, in rising order.

        Videos are decoded as far as they are needed, the next frames while a batch is used.

        Args:
            batches: ``(B,)`` frame numbers each.
        """
        images = self._observations.images
        if not isinstance(images, TrainsetFrames) or not self._cameras:
            yield from (self.read(index) for index in batches)
            return
        with closing(images.in_order(batches)) as seen:
            for index, pixels in zip(batches, seen, strict=True):
                yield self._batch(index, {name: pixels[name] for name in self._cameras})

    def _batch(self, index: NDArray[np.int64], images: Mapping[str, Pixels]) -> ObservationBatch:
        seen = self._observations
        return ObservationBatch(
            images={
                name: torch.from_numpy(pixels).to(self._device) for name, pixels in images.items()
            },
            state=self._state[torch.from_numpy(index)].to(self._device),
            task_index=torch.from_numpy(seen.task_index[index].astype(np.int64)),
            tasks=self._tasks,
            features=self._features(index),
        )

    def _features(self, index: NDArray[np.int64]) -> Tensor | None:
        features = self._observations.features
        if features is None:
            return None
        return torch.from_numpy(features[index].astype(np.float32)).to(self._device)


def shift_in_place(images: Pixels, shifts: NDArray[np.int64]) -> None:
    """Move each ``(B, H, W, 3)`` image by its row and column; the border uncovered stays."""
    height, width = images.shape[1:3]
    for image, (down, right) in zip(images, shifts.tolist(), strict=True):
        moved = image[max(0, -down) : height - max(0, down), max(0, -right) : width - max(0, right)]
        top, left = max(0, down), max(0, right)
        image[top : top + moved.shape[0], left : left + moved.shape[1]] = moved.copy()


def require_fitting(spec: ValueSpec, observations: Observations) -> None:
    """Refuse frames that a value model was not made for.

    Raises:
        CheckpointError: If cameras, image sizes, joints or the frame rate differ. Names and rate
            are compared where both sides state them.
    """
    cameras = observations.camera_sizes()
    if cameras != dict(spec.cameras):
        most = spec.config.image_size
        is_reduced = any(max(size) == most for size in cameras.values())
        message = (
            f"the value model was made for cameras {dict(spec.cameras)} (height, width), and the "
            f"episodes have {cameras}{f', reduced to {most} pixels' if is_reduced else ''}. Use a "
            f"value model of this robot, or train one from nothing."
        )
        raise CheckpointError(message)
    joints = observations.state.shape[1]
    if joints != len(spec.state_mean):
        message = (
            f"the value model was made for {len(spec.state_mean)} state entries, and the episodes "
            f"have {joints}. Use a value model of this robot, or train one from nothing."
        )
        raise CheckpointError(message)
    _require_features(spec, observations)
    if _differ(spec.state_names, observations.state_names):
        message = (
            f"the value model was made for the state entries {', '.join(spec.state_names or ())}, "
            f"and the episodes have {', '.join(observations.state_names or ())}. Use a value model "
            f"of this robot, or train one from nothing."
        )
        raise CheckpointError(message)
    if _differ(spec.fps, observations.fps):
        message = (
            f"the value model was made for {spec.fps} frames a second, and the episodes have "
            f"{observations.fps}. It counts what is left in frames, so every value would be wrong. "
            f"Use a value model of this rate, or train one from nothing."
        )
        raise CheckpointError(message)


def _require_features(spec: ValueSpec, observations: Observations) -> None:
    """Refuse frames without the features that a value model reads, or with others."""
    if spec.features is None:
        return
    found = None if observations.features is None else observations.features.shape[1]
    if found != spec.features.size:
        message = (
            f"the value model reads {spec.features.size} features of the policy "
            f"{spec.features.path}, and the frames come with {found or 'none'}. Use a value model "
            f"that sees for itself, or give it that policy's features."
        )
        raise CheckpointError(message)


def _differ(stated: object, found: object) -> bool:
    """Say whether both are known, and not the same."""
    return None not in (stated, found) and stated != found
