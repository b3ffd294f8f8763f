"""Ridge regression from what the robot sees and feels to the return."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch.nn import functional

from value_models.frames import JudgedFrames, Observations

Floats = NDArray[np.float64]
Integers = NDArray[np.int64]

FIELDS_A_SIDE = 8
"""An image is averaged over so many fields a side."""

MOST_FRAMES = 10_000
"""Frames the probe is fitted on, evenly spaced; more would change nothing but the time."""

FEWEST_EPISODES = 5
"""Training episodes below which nothing is fitted: a fifth of them chooses the penalty."""

PENALTIES = (1e-3, 1e-2, 1e-1, 1.0, 10.0)
"""Ridge penalties to choose from, for each frame and feature of unit variance."""

FRAMES_AT_ONCE = 512


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class LinearProbe:
    """A linear map from coarse observations to the return."""

    observations: Observations
    """Where the features are read from."""

    mean: Floats
    """``(F,)`` mean of every feature in training."""

    std: Floats
    """``(F,)`` standard deviation of every feature in training; none is zero."""

    weights: Floats
    """``(F,)`` return for each standard deviation of a feature."""

    offset: float
    """Mean return in training."""

    error_std: float
    """Root mean squared error on training episodes that an earlier fit left out."""

    @classmethod
    def fit(cls, frames: JudgedFrames, train: Integers) -> LinearProbe | None:
        """Fit the returns of training frames.

        The penalty is the one that predicts every fifth training episode best from the others;
        the weights then come from all of them. Where the frames say which groups their episodes
        belong to, every fifth group is predicted, if there are as many: those held out are others,
        too, and a probe that knows a session by its light would think itself too good.

        Returns:
            The probe; None with fewer than ``FEWEST_EPISODES`` training episodes.
        """
        episodes, of_frame = np.unique(frames.episode_index[train], return_inverse=True)
        if len(episodes) < FEWEST_EPISODES:
            return None
        if frames.group_index is not None:
            groups, group_of_frame = np.unique(frames.group_index[train], return_inverse=True)
            of_frame = group_of_frame if len(groups) >= FEWEST_EPISODES else of_frame
        spacing = -(-len(train) // MOST_FRAMES)
        train, of_frame = train[::spacing], of_frame[::spacing]
        features = coarse_features(frames.observations, train)
        mean, std = features.mean(axis=0), features.std(axis=0)
        std = np.where(std > 1e-6, std, 1.0)
        features = (features - mean) / std
        returns = frames.returns[train].astype(np.float64)
        offset = float(returns.mean())

        is_left_out = of_frame % FEWEST_EPISODES == FEWEST_EPISODES - 1
        shown, asked = features[~is_left_out], features[is_left_out]
        truth = returns[is_left_out] - offset
        # One decomposition serves every penalty.
        scales, axes = np.linalg.eigh(shown.T @ shown / len(shown))
        along = axes.T @ (shown.T @ (returns[~is_left_out] - offset) / len(shown))
        errors = [
            float(np.mean((asked @ (axes @ (along / (scales + penalty))) - truth) ** 2))
            for penalty in PENALTIES
        ]
        best = int(np.argmin(errors))
        gram = features.T @ features / len(features) + PENALTIES[best] * np.eye(len(std))
        weights = np.linalg.solve(gram, features.T @ (returns - offset) / len(features))
        return cls(
            observations=frames.observations,
            mean=mean,
            std=std,
            weights=weights,
            offset=offset,
            error_std=float(np.sqrt(errors[best])),
        )

    def predict(self, index: Integers) -> Floats:
        """Give the ``(M,)`` predicted returns of some frames, within [-1, 0]."""
        values = np.empty(len(index))
        for start in range(0, len(index), FRAMES_AT_ONCE):
            some = index[start : start + FRAMES_AT_ONCE]
            standard = (coarse_features(self.observations, some) - self.mean) / self.std
            values[start : start + len(some)] = standard @ self.weights + self.offset
        return np.clip(values, -1.0, 0.0)


def coarse_features(observations: Observations, index: Integers) -> Floats:
    """Give the ``(M, F)`` features of some frames: every camera's fields, the joints, the task."""
    tasks = np.eye(len(observations.tasks))[observations.task_index[index]]
    columns = [observations.state[index].astype(np.float64), tasks]
    for name in sorted(observations.images):
        pixels = observations.images[name]
        fields = [
            _fields(pixels[index[start : start + FRAMES_AT_ONCE]])
            for start in range(0, len(index), FRAMES_AT_ONCE)
        ]
        columns.append(np.concatenate(fields))
    return np.concatenate(columns, axis=1)


def _fields(images: NDArray[np.uint8]) -> Floats:
    """Average ``(B, H, W, 3)`` images over fields: ``(B, 3 * fields * fields)`` in [0, 1]."""
    pixels = torch.from_numpy(images).permute(0, 3, 1, 2).float()
    fields = functional.adaptive_avg_pool2d(pixels, FIELDS_A_SIDE).flatten(1)
    return fields.numpy().astype(np.float64) / 255.0
