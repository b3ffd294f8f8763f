import threading
import time

import numpy as np
import pytest

from envs.world import Observation
from recap.rollout.chunks import Chunk, Prefix
from recap.rollout.inference import InferenceThread

PATIENCE_S = 5.0
PREFIX = Prefix(normalised=np.zeros((2, 1), dtype=np.float32), delay_steps=1)


def seen(number):
    return Observation(images={}, state=np.array([number], dtype=np.float32), task="")


class Source:
    """Answers with the state it was shown, once it may."""

    chunk_steps, executed_steps, policy_id, follows_prefix = 4, 2, "", True

    def __init__(self):
        self.may_answer = threading.Event()
        self.may_answer.set()
        self.has_started = threading.Event()
        self.calls = []
        self.error = None

    def begin(self, *, seed):
        self.calls.append(("begin", seed, threading.current_thread().name))

    def predict(self, observation, prefix):
        self.has_started.set()
        self.calls.append(("predict", prefix, threading.current_thread().name))
        assert self.may_answer.wait(PATIENCE_S)
        if self.error is not None:
            raise self.error
        rows = np.tile(observation.state, (4, 1))
        return Chunk(actions=rows, normalised=rows)

    def close(self):
        self.calls.append(("close", None, threading.current_thread().name))


@pytest.fixture
def source():
    return Source()


@pytest.fixture
def start(source):
    threads = []

    def started(**settings):
        threads.append(InferenceThread(source, **settings))
        return threads[-1]

    yield started
    source.may_answer.set()
    for thread in threads:
        thread.close()


def answer(thread):
    deadline = time.monotonic() + PATIENCE_S
    while time.monotonic() < deadline:
        chunk = thread.poll()
        if chunk is not None:
            return float(chunk.actions[0, 0])
        time.sleep(0.001)
    pytest.fail("no answer came")


def test_the_loop_goes_on_while_a_prediction_is_under_way(source, start):
    source.may_answer.clear()
    thread = start()
    thread.submit(seen(3), PREFIX)
    assert source.has_started.wait(PATIENCE_S)
    assert thread.poll() is None
    assert thread.is_busy
    source.may_answer.set()
    assert answer(thread) == 3.0
    assert not thread.is_busy
    assert thread.poll() is None  # once
    assert source.calls[0][1] is PREFIX
    assert source.calls[0][2].startswith("inference")


def test_an_answer_is_not_given_before_the_latency_has_passed(start):
    thread = start(latency_s=0.15)
    began = time.monotonic()
    thread.submit(seen(1), None)
    answer(thread)
    assert 0.15 <= time.monotonic() - began < 1.0


def test_what_the_source_raises_reaches_the_loop_and_the_next_question_is_answered(source, start):
    thread = start()
    source.error = ValueError("too dark")
    thread.submit(seen(1), None)
    with pytest.raises(ValueError, match="too dark"):
        answer(thread)
    source.error = None
    thread.submit(seen(2), None)
    assert answer(thread) == 2.0


def test_a_new_question_drops_the_answer_to_the_one_before(source, start):
    source.may_answer.clear()
    thread = start()
    thread.submit(seen(1), None)
    assert source.has_started.wait(PATIENCE_S)
    thread.submit(seen(2), None)
    source.may_answer.set()
    assert answer(thread) == 2.0


def test_a_question_that_was_not_looked_at_yet_is_never_asked(source, start):
    source.may_answer.clear()
    thread = start()
    for number in (1, 2, 3):
        thread.submit(seen(number), None)
        assert source.has_started.wait(PATIENCE_S)
    source.may_answer.set()
    assert answer(thread) == 3.0
    assert len(source.calls) == 2


def test_a_new_attempt_begins_in_the_thread_after_what_is_under_way(source, start):
    source.may_answer.clear()
    thread = start()
    thread.submit(seen(1), None)
    assert source.has_started.wait(PATIENCE_S)
    thread.begin(seed=7)
    assert thread.poll() is None
    thread.submit(seen(2), None)
    source.may_answer.set()
    assert answer(thread) == 2.0
    assert [call[0] for call in source.calls] == ["predict", "begin", "predict"]
    assert source.calls[1][1] == 7
    assert len({call[2] for call in source.calls}) == 1


def test_a_beginning_that_fails_is_heard_of(source, start):
    def fail(*, seed):
        message = f"no seed {seed}"
        raise ValueError(message)

    source.begin = fail
    thread = start()
    thread.begin(seed=7)
    with pytest.raises(ValueError, match="no seed 7"):
        answer(thread)


def test_what_is_forgotten_is_never_given(start):
    thread = start()
    thread.submit(seen(1), None)
    thread.forget()
    time.sleep(0.05)
    assert thread.poll() is None
    assert not thread.is_busy


def test_closing_waits_for_the_prediction_and_then_closes_the_source(source):
    thread = InferenceThread(source)
    thread.submit(seen(1), None)
    assert source.has_started.wait(PATIENCE_S)
    thread.close()
    assert [call[0] for call in source.calls] == ["predict", "close"]
    assert not [t for t in threading.enumerate() if t.name.startswith("inference")]


def test_an_idle_thread_does_not_spin(start):
    thread = start()
    thread.submit(seen(1), None)
    answer(thread)
    used = time.process_time()
    time.sleep(0.3)
    assert time.process_time() - used < 0.1
