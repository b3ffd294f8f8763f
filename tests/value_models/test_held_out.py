"""Which episodes are kept out of training."""

from dataclasses import replace
from itertools import chain, combinations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from data.errors import ConfigError
from value_models.config import HoldOutBy
from value_models.frames import JudgedFrames, Observations
from value_models.held_out import hold_out_episodes


def hold_out(frames, fraction, seed=0, **options):
    return hold_out_episodes(
        frames, holdout_fraction=fraction, rng=np.random.default_rng(seed), **options
    )


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


def test_by_episode_the_same_ones_are_held_out_as_ever(frames):
    """Published figures rest on this choice."""
    held_out = hold_out(frames, 0.2)
    chosen = [0, 3, 8, 28, 29, 31, 35, 37, 48, 51, 52, 54]
    assert sorted(set(frames.episode_index[held_out].tolist())) == chosen
    grouped = replace(frames, group_index=frames.episode_index // 7)
    np.testing.assert_array_equal(hold_out(grouped, 0.2), held_out)


def of_groups(*episodes, tasks=2):
    """One frame for every episode, ``(group, task, is_success)``."""
    group, task, success = (np.array(column) for column in zip(*episodes, strict=True))
    names = tuple(f"task {number}" for number in range(tasks))
    return JudgedFrames(
        observations=Observations(
            images={}, state=np.zeros((len(task), 1), np.float32), task_index=task, tasks=names
        ),
        returns=np.zeros(len(task)),
        episode_index=np.arange(len(task)),
        is_success=success.astype(bool),
        normalisers=dict.fromkeys(names, 1.0),
        group_index=group,
    )


def missing_or_too_much(frames, held_out, fraction):
    """Episodes by which a choice is off, in all and of every task and outcome, added up."""
    task, success = frames.observations.task_index, frames.is_success
    kinds = [np.ones(len(task), dtype=bool)]
    kinds += [(task == t) & (success == s) for t in (0, 1) for s in (False, True)]
    return sum(abs((held_out & kind).sum() - fraction * kind.sum()) for kind in kinds)


episodes_of_groups = st.lists(
    st.tuples(st.integers(0, 5), st.integers(0, 1), st.booleans()), min_size=2, max_size=25
).filter(lambda episodes: len({group for group, *_ in episodes}) > 1)


@settings(deadline=None)  # looks at every choice there is
@given(episodes=episodes_of_groups, fraction=st.floats(0.05, 0.5), seed=st.integers(0, 9))
def test_whole_groups_are_held_out_and_no_other_choice_is_nearer(episodes, fraction, seed):
    frames = of_groups(*episodes)
    held_out = hold_out(frames, fraction, seed, by=HoldOutBy.SESSION)
    inside = set(frames.group_index[held_out])
    every = set(frames.group_index)
    assert inside
    assert inside < every
    assert not inside & set(frames.group_index[~held_out])
    choices = chain.from_iterable(combinations(every, n) for n in range(1, len(every)))
    best = min(
        missing_or_too_much(frames, np.isin(frames.group_index, choice), fraction)
        for choice in choices
    )
    assert missing_or_too_much(frames, held_out, fraction) == pytest.approx(best)


def test_of_groups_of_one_size_the_one_with_both_outcomes_is_held_out():
    frames = of_groups((0, 0, True), (0, 0, True), (1, 0, True), (1, 0, False), (2, 0, False))
    for seed in range(9):
        held_out = hold_out(frames, 0.4, seed, by=HoldOutBy.RATER)
        assert set(frames.group_index[held_out]) == {1}


def test_choices_that_are_as_good_are_left_to_chance():
    frames = of_groups(*((group, 0, True) for group in range(8) for _ in range(3)))
    chosen = {
        tuple(set(frames.group_index[hold_out(frames, 0.125, seed, by=HoldOutBy.SESSION)]))
        for seed in range(60)
    }
    assert chosen == {(group,) for group in range(8)}


def test_of_many_sessions_the_share_of_every_task_and_outcome_is_held_out():
    rng = np.random.default_rng(0)
    episodes = [
        (session, session % 2, rng.random() < 0.3 + 0.5 * (session % 3 > 0))
        for session in range(60)
        for _ in range(int(rng.integers(5, 20)))
    ]
    frames = of_groups(*episodes)
    for seed in range(3):
        held_out = hold_out(frames, 0.2, seed, by=HoldOutBy.SESSION)
        assert not set(frames.group_index[held_out]) & set(frames.group_index[~held_out])
        assert held_out.sum() == pytest.approx(0.2 * len(episodes), abs=4)
        # Five numbers that are each right to within two or three episodes.
        assert missing_or_too_much(frames, held_out, 0.2) < 12


def test_of_sessions_of_different_sizes_as_many_are_taken_as_it_takes():
    frames = of_groups(*[(0, 0, True)] * 20, *((1 + n // 2, 0, True) for n in range(20)))
    for seed in range(5):
        # 8 of 40 episodes: four of the small ones, though a share of 11 sessions would be two.
        held_out = hold_out(frames, 0.2, seed, by=HoldOutBy.SESSION)
        assert held_out.sum() == 8


def test_sessions_of_one_episode_are_held_out_as_episodes_are(frames):
    alone = replace(frames, group_index=frames.episode_index)
    held_out = hold_out(alone, 0.25, by=HoldOutBy.SESSION)
    assert len(set(frames.episode_index[held_out])) == 15
    for task in (0, 1):
        for outcome in (False, True):
            kind = (frames.observations.task_index == task) & (frames.is_success == outcome)
            given_away = len(set(frames.episode_index[kind & held_out]))
            assert abs(given_away - len(set(frames.episode_index[kind])) / 4) < 1.0 + 1e-9


def test_of_one_group_nothing_can_be_held_out(frames):
    alike = replace(frames, group_index=np.zeros(len(frames.returns), dtype=int))
    with pytest.raises(ConfigError) as caught:
        hold_out(alike, 0.2, by=HoldOutBy.RATER)
    assert str(caught.value) == (
        "All 60 episodes are of one rater, so that none can be held out. Hold out episodes of it "
        "with --value.holdout_by=episode (in pre-training --pretraining.value.holdout_by=episode), "
        "or add what another rater made."
    )


def test_groups_must_be_known_and_hold_whole_episodes(frames):
    with pytest.raises(ValueError, match="do not say which session their episodes belong to"):
        hold_out(frames, 0.2, by=HoldOutBy.SESSION)
    with pytest.raises(ValueError, match="group_index must hold the frames observed"):
        replace(frames, group_index=frames.episode_index[1:])
    torn = frames.episode_index.copy()
    torn[1] += 1
    assert frames.episode_index[0] == frames.episode_index[2]
    with pytest.raises(ValueError, match="the same in all frames of an episode"):
        replace(frames, group_index=torn)
