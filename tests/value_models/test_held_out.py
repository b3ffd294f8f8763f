"""Which episodes are kept out of training."""

import numpy as np
import pytest

from value_models.held_out import hold_out_episodes


def hold_out(frames, fraction, seed=0):
    return hold_out_episodes(frames, holdout_fraction=fraction, rng=np.random.default_rng(seed))


def test_no_episode_is_on_both_sides(frames):
    held_out = hold_out(frames, 0.3)
    shared = set(frames.episode_index[held_out]) & set(frames.episode_index[~held_out])
    assert not shared
    assert len(set(frames.episode_index[held_out])) == 18


def test_every_task_and_outcome_gives_its_share(frames):
    for seed in range(20):
        held_out = hold_out(frames, 0.25, seed)
        for task in (0, 1):
            for outcome in (False, True):
                group = (frames.observations.task_index == task) & (frames.is_success == outcome)
                episodes = len(set(frames.episode_index[group]))
                given_away = len(set(frames.episode_index[group & held_out]))
                assert abs(given_away - episodes / 4) < 1.0 + 1e-9


def test_another_seed_holds_out_other_episodes(frames):
    assert not np.array_equal(hold_out(frames, 0.3, 0), hold_out(frames, 0.3, 1))


@pytest.mark.parametrize("fraction", [0.01, 0.5])
def test_both_sides_have_an_episode(random_walk, fraction):
    held_out = hold_out(random_walk(2), fraction)
    assert held_out.any()
    assert not held_out.all()


def test_a_single_episode_cannot_be_split(random_walk):
    with pytest.raises(ValueError, match="at least two episodes, got 1"):
        hold_out(random_walk(1), 0.5)
