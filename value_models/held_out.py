"""Which episodes are kept out of training, to measure a value model on."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from value_models.frames import JudgedFrames

Flags = NDArray[np.bool_]


def hold_out_episodes(
    frames: JudgedFrames, *, holdout_fraction: float, rng: np.random.Generator
) -> Flags:
    """Choose whole episodes to keep out of training, alike in tasks and outcomes to the rest.

    Episodes are ordered by task and outcome, at random within, and every so-manieth is held
    out: so each group gives its share, to within one episode, however small it is.

    Args:
        frames: All judged frames.
        holdout_fraction: Share of the episodes to hold out.
        rng: Source of the choice.

    Returns:
        ``(N,)`` whether each frame is held out. At least one episode is, and one is not.

    Raises:
        ValueError: If there are fewer than two episodes.
    """
    episodes, first_frame, episode_of_frame = np.unique(
        frames.episode_index, return_index=True, return_inverse=True
    )
    if len(episodes) < 2:
        message = f"holding out needs at least two episodes, got {len(episodes)}."
        raise ValueError(message)
    order = np.lexsort(
        (
            rng.random(len(episodes)),
            frames.is_success[first_frame],
            frames.observations.task_index[first_frame],
        )
    )
    wanted = min(max(1, round(holdout_fraction * len(episodes))), len(episodes) - 1)
    spacing = len(episodes) / wanted
    chosen = order[((np.arange(wanted) + rng.random()) * spacing).astype(int)]
    is_held_out = np.zeros(len(episodes), dtype=bool)
    is_held_out[chosen] = True
    held_out: Flags = is_held_out[episode_of_frame]
    return held_out
