import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from data.errors import ConfigError
from recap.rollout.chunks import Chunk
from recap.rollout.execution import ExecutionConfig, make_execution
from recap.rollout.execution.config import TYPES


class Sizes:
    """What an execution asks a policy about itself."""

    def __init__(self, chunk_steps=8, executed_steps=4, *, follows_prefix=True):
        self.chunk_steps = chunk_steps
        self.executed_steps = executed_steps
        self.follows_prefix = follows_prefix


def make(kind, sizes=None, **settings):
    return make_execution(ExecutionConfig(type=kind, **settings), sizes or Sizes())


def chunk(*values):
    """A chunk of one-number actions; normalised they are ten times smaller."""
    actions = np.array(values, dtype=np.float32)[:, None]
    return Chunk(actions=actions, normalised=actions / 10)


def played(execution, steps):
    actions = [execution.action(step) for step in steps]
    return [None if action is None else pytest.approx(float(action[0])) for action in actions]


class Loop:
    """A control loop in which time stands still: step by step, with latencies given in steps.

    Row ``i`` of a chunk says: this is the action number ``done + i``, where ``done`` were carried
    out before it was seen. So a faultless execution carries out 0, 1, 2, ...
    """

    def __init__(self, execution, latencies, *, chunk_steps):
        self.execution = execution
        self.latencies = iter(latencies)
        self.chunk_steps = chunk_steps
        self.actions, self.prefixes, self.under_way = [], [], None

    @property
    def done(self):
        return [action for action in self.actions if action is not None]

    def run(self, steps):
        for step in range(steps):
            self._receive(step)
            if self.execution.wants_chunk(step):
                assert self.under_way is None
                prefix = self.execution.request(step)
                self.prefixes.append((len(self.done), prefix))
                rows = np.arange(self.chunk_steps) + len(self.done)
                self.under_way = chunk(*rows), step + next(self.latencies)
                self._receive(step)
            action = self.execution.action(step)
            self.actions.append(None if action is None else float(action[0]))
        return self

    def _receive(self, step):
        if self.under_way is not None and self.under_way[1] == step:
            self.execution.add(self.under_way[0], ready_at=step)
            self.under_way = None


latencies = st.lists(st.integers(0, 12), min_size=60, max_size=60)


@given(
    kind=st.sampled_from(TYPES),
    latencies=latencies,
    chunk_steps=st.integers(1, 10),
    executed_steps=st.integers(1, 10),
)
def test_whatever_the_latency_no_action_is_skipped_or_repeated(
    kind, latencies, chunk_steps, executed_steps
):
    sizes = Sizes(chunk_steps, min(executed_steps, chunk_steps))
    loop = Loop(make(kind, sizes), latencies, chunk_steps=chunk_steps).run(60)
    np.testing.assert_allclose(loop.done, np.arange(len(loop.done)), atol=1e-5)


@given(latencies=latencies, executed_steps=st.integers(1, 8))
def test_what_a_prefix_promises_is_what_is_done(latencies, executed_steps):
    loop = Loop(make("real_time", Sizes(8, executed_steps)), latencies, chunk_steps=8).run(60)
    assert any(prefix is not None for _, prefix in loop.prefixes)
    for done, prefix in loop.prefixes:
        if prefix is not None:
            rows = prefix.normalised[:, 0] * 10
            np.testing.assert_allclose(rows, done + np.arange(len(rows)), rtol=1e-5)


@given(
    delays=st.lists(st.integers(0, 4), min_size=80, max_size=80),
    executed_steps=st.integers(1, 12),
)
def test_real_time_misses_nothing_while_two_delays_fit_into_a_chunk(delays, executed_steps):
    first = 4  # the longest delay comes first, and is what is expected from then on
    loop = Loop(
        make("real_time", Sizes(12, executed_steps)), [first, *delays[:9]] * 9, chunk_steps=12
    ).run(80)
    assert loop.actions[:first] == [None] * first
    assert None not in loop.actions[first:]


@given(latency=st.integers(0, 6), executed_steps=st.integers(1, 8))
def test_synchronous_execution_waits_once_per_chunk_for_as_long_as_it_takes(
    latency, executed_steps
):
    execution = make("synchronous", Sizes(8, executed_steps))
    loop = Loop(execution, [latency] * 60, chunk_steps=8).run(60)
    period = latency + executed_steps
    missed = [step for step, action in enumerate(loop.actions) if action is None]
    assert missed == [step for step in range(60) if step % period < latency]


def test_synchronous_execution_plays_the_first_rows_and_asks_again():
    execution = make("synchronous", executed_steps=2)
    assert execution.wants_chunk(5)
    assert execution.request(5) is None
    assert not execution.wants_chunk(6)
    assert played(execution, [5, 6]) == [None, None]
    execution.add(chunk(1, 2, 3), ready_at=7)
    assert played(execution, [7, 8, 9]) == [1, 2, None]
    assert [execution.wants_chunk(step) for step in (7, 8, 9)] == [False, False, True]


def test_an_ensemble_worked_by_hand():
    execution = make("temporal_ensemble", ensemble_decay=np.log(2))
    for step, rows in enumerate([(0, 3, 7), (9, 21, 5), (28, 0, 0)]):
        assert execution.wants_chunk(step)
        assert execution.request(step) is None
        assert not execution.wants_chunk(step)
        execution.add(chunk(*rows), ready_at=step)
    #   weights 1, 1/2, 1/4 from the oldest on
    #   step 2: (7 + 21/2 + 28/4) / (7/4) = 14
    #   step 3: the first chunk has ended: (5 + 0/2) / (3/2) = 10/3
    #   step 4: the third alone: 0
    assert played(execution, [2, 3, 4, 5]) == [14.0, 10 / 3, 0.0, None]


@given(
    decay=st.floats(0, 3),
    values=st.lists(st.lists(st.floats(-1, 1), min_size=4, max_size=4), min_size=1, max_size=10),
)
def test_an_ensemble_is_the_weighted_mean_over_all_chunks_ever_predicted(decay, values):
    execution = make("temporal_ensemble", Sizes(4, 4), ensemble_decay=decay)
    for step, rows in enumerate(values):
        execution.request(step)
        execution.add(chunk(*rows), ready_at=step)
        said = [values[seen][step - seen] for seen in range(step + 1) if step - seen < 4]
        weights = [np.exp(-decay * age) for age in range(len(said))]
        np.testing.assert_allclose(
            execution.action(step)[0], np.average(said, weights=weights), atol=1e-6
        )


def test_a_mean_of_actions_keeps_their_precision():
    execution = make("temporal_ensemble")
    execution.request(0)
    execution.add(chunk(1, 2), ready_at=0)
    assert execution.action(0).dtype == np.float32
    assert execution.action(0).shape == (1,)


def test_real_time_switches_chunks_at_the_row_that_is_due():
    execution = make("real_time", executed_steps=2, fade_steps=0)
    assert execution.wants_chunk(0)
    assert execution.request(0) is None  # nothing plays yet
    assert execution.action(0) is None
    execution.add(chunk(*range(8)), ready_at=1)  # the robot held, so row 0 is due
    assert execution.expected_delay_steps == 1
    assert played(execution, [1, 2]) == [0, 1]
    assert [execution.wants_chunk(step) for step in (1, 2, 3)] == [False, False, True]
    prefix = execution.request(3)
    assert prefix.delay_steps == 1
    np.testing.assert_allclose(prefix.normalised[:, 0], np.arange(2, 8) / 10, rtol=1e-6)
    assert not execution.wants_chunk(4)
    assert played(execution, [3, 4, 5]) == [2, 3, 4]  # the old one plays on
    execution.add(chunk(*range(20, 28)), ready_at=6)
    assert execution.expected_delay_steps == 3
    assert played(execution, [6, 7]) == [23, 24]


def test_a_real_time_chunk_is_faded_in_over_what_is_left_of_the_one_before():
    execution = make("real_time", executed_steps=2, fade_steps=3)
    execution.request(0)
    execution.add(chunk(*[0] * 8), ready_at=0)
    execution.request(2)
    execution.add(chunk(*[8] * 8), ready_at=4)
    # a quarter more of the new chunk at every step: 0 + 8/4, 8/2, 8 * 3/4, then it plays alone
    assert played(execution, [4, 5, 6, 7, 8]) == [2, 4, 6, 8, 8]


def test_what_is_not_there_any_more_is_not_faded():
    execution = make("real_time", executed_steps=2, fade_steps=6)
    execution.request(0)
    execution.add(chunk(0, 0, 0, 0), ready_at=0)
    execution.request(2)
    execution.add(chunk(*[7] * 8), ready_at=3)
    assert played(execution, [3, 4]) == [1, 7]  # the chunk before had rows until step 3


def test_real_time_asks_early_where_what_is_left_would_not_last_for_twice_the_delay():
    execution = make("real_time", Sizes(chunk_steps=10, executed_steps=10))
    execution.request(0)
    execution.add(chunk(*range(10)), ready_at=3)
    # the chunk begins at step 3 and has 10 rows: at step 7 six are left
    assert [execution.wants_chunk(step) for step in (6, 7)] == [False, True]


def test_a_long_delay_is_expected_until_ten_shorter_ones_were_measured():
    execution = make("real_time")
    for number, delay in enumerate([5, *[1] * 9]):
        execution.request(10 * number)
        execution.add(chunk(*range(8)), ready_at=10 * number + delay)
        assert execution.expected_delay_steps == 5
    execution.request(100)
    execution.add(chunk(*range(8)), ready_at=101)
    assert execution.expected_delay_steps == 1


def test_a_new_attempt_still_knows_how_long_predictions_take():
    execution = make("real_time")
    execution.request(0)
    execution.add(chunk(*range(8)), ready_at=3)
    execution.begin()
    assert execution.expected_delay_steps == 3


def test_a_policy_that_cannot_follow_a_prefix_gets_none():
    execution = make("real_time", Sizes(follows_prefix=False))
    execution.request(0)
    execution.add(chunk(*range(8)), ready_at=0)
    assert execution.request(4) is None


@pytest.mark.parametrize("kind", TYPES)
def test_a_chunk_that_was_asked_for_before_the_correction_is_never_played(kind):
    execution = make(kind)
    execution.request(0)
    execution.add(chunk(1, 2, 3, 4), ready_at=0)
    execution.request(1)
    execution.begin()
    assert execution.action(2) is None
    assert execution.wants_chunk(2)
    execution.add(chunk(5, 6, 7, 8), ready_at=2)
    assert execution.action(2) is None
    assert execution.wants_chunk(2)


def test_the_settings_rule_over_the_checkpoint_about_how_many_steps_are_executed():
    asked = {}
    for executed_steps in (0, 3):
        execution = make("synchronous", Sizes(8, 5), executed_steps=executed_steps)
        execution.request(0)
        execution.add(chunk(*range(8)), ready_at=0)
        asked[executed_steps] = min(step for step in range(9) if execution.wants_chunk(step))
    assert asked == {0: 5, 3: 3}


def test_no_more_actions_can_be_executed_than_are_predicted():
    with pytest.raises(ConfigError) as refusal:
        make("synchronous", executed_steps=12)
    assert str(refusal.value) == (
        "execution.executed_steps is 12, but the policy predicts only 8 actions at once. Use "
        "--execution.executed_steps=8 or less, or 0 for what the checkpoint was made for."
    )


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        (
            {"type": "lazy"},
            "execution.type must be one of synchronous, temporal_ensemble, real_time, got lazy.",
        ),
        (
            {"prefix_schedule": "cubic"},
            "execution.prefix_schedule must be one of linear, exp, ones, zeros, got cubic.",
        ),
        ({"executed_steps": -1}, "execution.executed_steps must not be negative, got -1."),
        ({"ensemble_decay": -0.1}, "execution.ensemble_decay must not be negative, got -0.1."),
        ({"latency_s": -0.1}, "execution.latency_s must not be negative, got -0.1."),
        (
            {"max_guidance_weight": 0.0},
            "execution.max_guidance_weight must be above 0, got 0.0. For chunks that ignore the "
            "one before use --execution.prefix_schedule=zeros.",
        ),
    ],
)
def test_settings_that_mean_nothing_are_refused(settings, message):
    with pytest.raises(ConfigError) as refusal:
        ExecutionConfig(**settings)
    assert str(refusal.value) == message


@pytest.mark.parametrize("name", ["latency_s", "ensemble_decay", "max_guidance_weight"])
@pytest.mark.parametrize("value", [float("nan"), float("inf")])
def test_settings_that_are_no_number_are_refused(name, value):
    with pytest.raises(ConfigError):
        ExecutionConfig(**{name: value})
