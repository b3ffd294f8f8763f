"""A policy in a thread of its own, asked at every control step by a loop that never waits."""

import time

import numpy as np
import pytest

from data.errors import CheckpointError, PolicyUnreachableError
from recap.rollout.chunks import Chunk
from recap.rollout.execution.synchronous import Synchronous
from recap.rollout.live.policy import STEPS_BETWEEN_TRIES, LivePolicy


class Counting:
    """Predicts two rows that say which question they answer; or raises what it is told to."""

    policy_id = "counting"
    chunk_steps = executed_steps = 2
    follows_prefix = False

    def __init__(self):
        self.begun = []
        self.asked = 0
        self.error = None
        self.is_closed = False

    def begin(self, *, seed):
        self.begun.append(seed)

    def predict(self, observation, prefix):
        self.asked += 1
        if self.error is not None:
            raise self.error
        rows = np.float32([[self.asked, 0], [self.asked, 1]])
        return Chunk(actions=rows, normalised=rows)

    def close(self):
        self.is_closed = True


@pytest.fixture
def source():
    return Counting()


@pytest.fixture
def policy(source):
    policy = LivePolicy(source, Synchronous(executed_steps=2), latency_s=0.0)
    yield policy
    policy.close()
    assert source.is_closed


def step(policy):
    """One control step, a while after which the thread has answered."""
    action = policy.action(None)
    until = time.monotonic() + 5
    while policy._thread.is_busy and not policy._thread._under_way.answer.done():
        assert time.monotonic() < until
        time.sleep(0.0005)
    return None if action is None else action.tolist()


def test_the_first_step_has_no_action_and_is_not_missed(policy):
    policy.begin(seed=3)
    assert [step(policy) for _ in range(3)] == [None, [1, 0], [1, 1]]
    assert policy.missed_steps == 0


def test_a_step_without_an_action_counts_once_the_policy_has_begun(policy):
    policy.begin(seed=3)
    # Two rows play, then a step waits for the next chunk: synchronous execution misses it.
    assert [step(policy) for _ in range(6)] == [None, [1, 0], [1, 1], None, [2, 0], [2, 1]]
    assert policy.missed_steps == 1


def test_an_attempt_begins_with_its_seed_and_nothing_missed(policy, source):
    for seed in (3, 4):
        policy.begin(seed=seed)
        for _ in range(4):
            step(policy)
        assert policy.missed_steps == 1
    assert source.begun == [3, 4]


def test_what_was_planned_is_forgotten_when_control_comes_back(policy):
    policy.begin(seed=3)
    assert [step(policy) for _ in range(2)] == [None, [1, 0]]
    policy.forget()
    assert [step(policy) for _ in range(2)] == [None, [2, 0]]
    assert policy.missed_steps == 0  # the wait after a return is no miss either


def test_a_policy_that_is_away_is_asked_again_after_a_while(policy, source):
    policy.begin(seed=3)
    source.error = PolicyUnreachableError("nothing listens there")
    assert [step(policy) for _ in range(2)] == [None, None]
    assert policy.trouble == "nothing listens there"
    for _ in range(STEPS_BETWEEN_TRIES - 1):
        assert step(policy) is None
    assert source.asked == 1
    source.error = None
    assert [step(policy) for _ in range(3)] == [None, [2, 0], [2, 1]]
    assert policy.trouble == ""


def test_a_chunk_does_not_play_on_when_the_policy_goes_away(policy, source):
    policy.begin(seed=3)
    assert [step(policy) for _ in range(3)] == [None, [1, 0], [1, 1]]
    source.error = PolicyUnreachableError("gone")
    assert [step(policy) for _ in range(4)] == [None] * 4


def test_any_other_error_of_the_policy_reaches_the_loop(policy, source):
    policy.begin(seed=3)
    source.error = CheckpointError("does not fit")
    step(policy)
    with pytest.raises(CheckpointError, match="does not fit"):
        step(policy)


def test_warming_up_asks_once_and_plans_nothing(policy, source):
    policy.warm_up(None)
    assert (source.begun, source.asked) == ([0], 1)
    policy.begin(seed=3)
    assert step(policy) is None


def test_the_policy_is_known_by_its_fingerprint(policy):
    assert policy.policy_id == "counting"
