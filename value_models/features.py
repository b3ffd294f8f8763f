"""The features of a frozen backbone: computed once for every episode, and kept on disk."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import numpy as np
from numpy.typing import NDArray

from data.files import whole_file

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from data.trainset import TrainEpisode, Trainset

Halves = NDArray[np.float16]
Rows = NDArray[np.int64]

_AXES: Final = 2

LARGEST: Final = float(np.finfo(np.float16).max)
"""Larger features are kept as this much; they would be infinite in 16 bits."""


class FeatureCache:
    """Features on disk, one array per episode and backbone, shared by all training sets and laps.

    A file is named by the episode's uid, the first 8 digits of its content hash, and the
    fingerprint of the backbone, so it can never stand for another episode or another policy. It
    holds the first frames of the episode, as many as any training set took so far. Deleting the
    folder costs only the time to compute them again.
    """

    def __init__(self, root: Path) -> None:
        """Use the folder ``root``, which is made when needed."""
        self.root = root

    def load(
        self,
        trainset: Trainset,
        *,
        fingerprint: str,
        read: Callable[[Rows], NDArray[np.floating]],
        progress: Callable[[int, int], None] | None = None,
    ) -> Halves:
        """Return ``(N, F)`` features, in the row order of the training set.

        Every episode is written as soon as it is computed: whoever is stopped half way goes on
        from there.

        Args:
            trainset: Whose frames to describe.
            fingerprint: Which backbone, read where and how.
            read: Computes the ``(B, F)`` features of ``(B,)`` rows of the training set. It is
                called for the frames that are not on disk, with rows of one episode at a time.
            progress: Called with the number of episodes loaded so far, and of all.
        """
        features: Halves | None = None
        for done, episode in enumerate(trainset.episodes, start=1):
            found = self._episode(episode, fingerprint, read)
            if features is None:
                features = np.empty((len(trainset), found.shape[1]), dtype=np.float16)
            features[episode.start : episode.stop] = found
            if progress is not None:
                progress(done, len(trainset.episodes))
        return np.empty((0, 0), dtype=np.float16) if features is None else features

    def _episode(
        self,
        episode: TrainEpisode,
        fingerprint: str,
        read: Callable[[Rows], NDArray[np.floating]],
    ) -> Halves:
        name = f"{episode.info.uid}.{episode.content_hash[:8]}.{fingerprint}.npy"
        path, taken = self.root / name, episode.stop - episode.start
        kept = _load(path)
        known = 0 if kept is None else len(kept)
        if kept is not None and known >= taken:
            return kept[:taken]
        # The same episode was cut shorter in another training set: only the rest is missing.
        fresh = as_halves(read(np.arange(episode.start + known, episode.stop)))
        whole = fresh if kept is None else np.concatenate([kept, fresh])
        with whole_file(path) as partial:
            np.save(partial, whole, allow_pickle=False)
        return whole


def as_halves(features: NDArray[np.floating]) -> Halves:
    """Bring features to the 16 bits in which they are kept, the largest cut to what these hold.

    Raises:
        ValueError: If one of them is not a number.
    """
    if np.isnan(features).any():
        message = "the backbone's features are not numbers (NaN)"
        raise ValueError(message)
    return features.clip(-LARGEST, LARGEST).astype(np.float16)


def _load(path: Path) -> Halves | None:
    """Read the features that were kept; None where there are none, or the file is damaged."""
    try:
        kept: Halves = np.load(path, allow_pickle=False)
    except (FileNotFoundError, ValueError, EOFError):
        return None
    is_whole = isinstance(kept, np.ndarray) and kept.dtype == np.float16 and kept.ndim == _AXES
    return kept if is_whole else None
