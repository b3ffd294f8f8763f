"""Which episodes are kept out of training, to measure a value model on."""

from __future__ import annotations

from itertools import product

import numpy as np
from numpy.typing import NDArray

from data.errors import ConfigError
from value_models.config import HoldOutBy
from value_models.frames import JudgedFrames

Flags = NDArray[np.bool_]
Floats = NDArray[np.float64]
Integers = NDArray[np.int64]

EVERY_CHOICE_OF = 10
"""Groups up to which every choice is looked at; of more, ``CHOICES`` that are drawn evenly."""

CHOICES = 500


def hold_out_episodes(
    frames: JudgedFrames,
    *,
    holdout_fraction: float,
    rng: np.random.Generator,
    by: HoldOutBy = HoldOutBy.EPISODE,
) -> Flags:
    """Choose whole episodes to keep out of training, alike in tasks and outcomes to the rest.

    By episode: episodes are ordered by task and outcome, at random within, and every so-manieth
    is held out: so each task and outcome gives its share, to within one episode, however small.

    By session or rater: whole groups of ``frames.group_index`` are held out, so that the figures
    say what the model is worth in a sitting, or to a judge, that it never met. Chosen are those
    with the wanted number of episodes, in all and of every task and outcome, or as near to it as
    groups can come (the sum of what is missing or too much is least); chance decides between
    choices that are as near.

    Args:
        frames: All judged frames.
        holdout_fraction: Share of the episodes to hold out.
        rng: Source of the choice.
        by: What must not be on both sides.

    Returns:
        ``(N,)`` whether each frame is held out. At least one episode is, and one is not; by
        session or rater, at least one group.

    Raises:
        ConfigError: If there is but one group.
        ValueError: If there are fewer than two episodes, or groups are asked for and not given.
    """
    episodes, first_frame, episode_of_frame = np.unique(
        frames.episode_index, return_index=True, return_inverse=True
    )
    if len(episodes) < 2:
        message = f"holding out needs at least two episodes, got {len(episodes)}."
        raise ValueError(message)
    if by is HoldOutBy.EPISODE:
        is_held_out = _spread_evenly(frames, first_frame, holdout_fraction, rng)
    else:
        is_held_out = _whole_groups(frames, first_frame, holdout_fraction, rng, by=by)
    held_out: Flags = is_held_out[episode_of_frame]
    return held_out


def _spread_evenly(
    frames: JudgedFrames, first_frame: Integers, fraction: float, rng: np.random.Generator
) -> Flags:
    """Say of each of E episodes whether it is held out, when every one is its own draw."""
    episodes = len(first_frame)
    order = np.lexsort(
        (
            rng.random(episodes),
            frames.is_success[first_frame],
            frames.observations.task_index[first_frame],
        )
    )
    wanted = min(max(1, round(fraction * episodes)), episodes - 1)
    spacing = episodes / wanted
    chosen = order[((np.arange(wanted) + rng.random()) * spacing).astype(int)]
    is_held_out = np.zeros(episodes, dtype=bool)
    is_held_out[chosen] = True
    return is_held_out


def _whole_groups(
    frames: JudgedFrames,
    first_frame: Integers,
    fraction: float,
    rng: np.random.Generator,
    *,
    by: HoldOutBy,
) -> Flags:
    """Say of each of E episodes whether it is held out, with all others of its group."""
    if frames.group_index is None:
        message = f"these frames do not say which {by} their episodes belong to."
        raise ValueError(message)
    groups, group = np.unique(frames.group_index[first_frame], return_inverse=True)
    if len(groups) < 2:
        message = (
            f"All {len(first_frame)} episodes are of one {by}, so that none can be held out. "
            f"Hold out episodes of it with --value.holdout_by=episode (in pre-training "
            f"--pretraining.value.holdout_by=episode), or add what another {by} made."
        )
        raise ConfigError(message)
    # Episodes in all; failures and successes of the first task, of the second, and so on.
    counts = np.zeros((len(groups), 1 + 2 * len(frames.observations.tasks)))
    kind = 2 * frames.observations.task_index[first_frame] + frames.is_success[first_frame]
    np.add.at(counts, (group, 1 + kind), 1.0)
    counts[:, 0] = counts.sum(axis=1)
    choices = _choices_of_groups(counts, fraction, rng)
    distance = np.abs(choices @ counts - fraction * counts.sum(axis=0)).sum(axis=1)
    nearest = np.flatnonzero(distance <= distance.min() + 1e-9)
    chosen: Flags = choices[rng.choice(nearest)][group]
    return chosen


def _choices_of_groups(counts: Floats, fraction: float, rng: np.random.Generator) -> Flags:
    """Give ``(C, G)`` choices of some, not all, of G groups: all there are, or even ones."""
    groups = len(counts)
    if groups <= EVERY_CHOICE_OF:
        every = np.array(list(product((False, True), repeat=groups)))
        return every[1:-1]
    # Alike ones stand together, at random within, and every so-manieth is taken.
    success_share = counts[:, 2::2].sum(axis=1) / counts[:, 0]
    most_frequent = counts[:, 1:].argmax(axis=1)
    usual = max(1, round(fraction * groups))
    choices = np.zeros((CHOICES, groups), dtype=bool)
    for place, choice in enumerate(choices):
        order = np.lexsort((rng.random(groups), success_share, most_frequent))
        # Groups differ in size: every other choice has more or fewer of them than their share.
        number = usual if place % 2 else int(rng.integers(1, 2 * usual + 1))
        number = min(number, groups - 1)
        places = ((np.arange(number) + rng.random()) * groups / number).astype(int)
        choice[order[places]] = True
    return choices
