"""What is measured on held-out episodes, and how sure it is."""

from dataclasses import replace

import numpy as np
import pytest

from value_models import measurement
from value_models.config import HoldOutBy
from value_models.frames import JudgedFrames, Observations
from value_models.measurement import METRIC_MEANINGS, PredictedEpisodes, value_metrics
from value_models.prediction import Predictions
from value_models.validation import RESAMPLES, validate


def predicted(values, *, cross_entropy=1.0, lower=0.2, upper=0.4):
    values = np.asarray(values, dtype=np.float32)
    return Predictions(
        values=values,
        cross_entropy=np.broadcast_to(np.float32(cross_entropy), values.shape),
        pit_lower=np.broadcast_to(np.float32(lower), values.shape),
        pit_upper=np.broadcast_to(np.float32(upper), values.shape),
    )


def attempts(*episodes, tasks=("a", "b"), normaliser=100.0):
    """Frames of ``(task, is_success, length)``; there is nothing to see in them."""
    lengths = [length for *_, length in episodes]
    count = sum(lengths)
    return JudgedFrames(
        observations=Observations(
            images={},
            state=np.zeros((count, 1), np.float32),
            task_index=np.repeat([task for task, *_ in episodes], lengths),
            tasks=tasks,
        ),
        returns=np.concatenate(
            [-(np.arange(n)[::-1] + (0 if won else 30)) / normaliser for _, won, n in episodes]
        ),
        episode_index=np.repeat(np.arange(len(episodes)), lengths),
        is_success=np.repeat([won for _, won, _ in episodes], lengths),
        normalisers=dict.fromkeys(tasks, normaliser),
    )


def noisy(frames, seed=0, spread=0.1):
    rng = np.random.default_rng(seed)
    lower = rng.random(len(frames.returns)) * 0.9
    return predicted(
        np.clip(frames.returns + rng.normal(0, spread, len(lower)), -1, 0),
        cross_entropy=rng.random(len(lower)) + 1.0,
        lower=lower,
        upper=lower + 0.1 * rng.random(len(lower)),
    )


def test_a_perfect_value_model_measures_as_one(frames):
    index = np.arange(len(frames.returns))
    metrics = value_metrics(frames, index, predicted(frames.returns, cross_entropy=2.0))
    assert list(metrics) == list(METRIC_MEANINGS)
    assert metrics["cross_entropy"] == 2.0
    assert metrics["mae_steps"] == pytest.approx(0.0, abs=1e-5)
    assert metrics["rank_correlation_successes"] == pytest.approx(1.0)
    assert metrics["rank_correlation_within_successes"] == pytest.approx(1.0)


def test_errors_are_counted_in_the_steps_of_each_task(frames):
    index = np.arange(len(frames.returns))
    task = frames.observations.task_index
    rescaled = replace(frames, normalisers={"walk to the left": 60.0, "walk to the right": 120.0})
    metrics = value_metrics(rescaled, index, predicted(frames.returns - 0.1))
    steps = np.where(task == 1, 12.0, 6.0)
    assert metrics["mae_steps"] == pytest.approx(steps.mean(), abs=1e-4)
    assert metrics["rmse_steps"] == pytest.approx(np.sqrt((steps**2).mean()), abs=1e-4)


def test_without_a_failure_there_is_nothing_to_tell_apart(frames):
    index = np.flatnonzero(frames.is_success)
    metrics = value_metrics(frames, index, predicted(frames.returns[index]))
    assert {metrics[name] for name in metrics if name.startswith("auc")} == {None}


def test_without_a_success_there_is_no_order_to_know(frames):
    index = np.flatnonzero(~frames.is_success)
    metrics = value_metrics(frames, index, predicted(frames.returns[index]))
    assert metrics["rank_correlation_successes"] is None
    assert metrics["rank_correlation_within_successes"] is None


def test_successes_and_failures_are_compared_at_the_same_time():
    # The longest attempt has 8 frames: half of the time is frame 4, where the last success of
    # four frames is over already.
    frames = attempts((0, True, 6), (0, False, 8), (0, True, 4), (1, True, 8))
    values = np.full(26, -0.9)
    values[4] = -0.5  # the first success, at frame 4
    values[6 + 4] = -0.6  # the failure, at frame 4
    sample = PredictedEpisodes(frames, np.arange(26), predicted(values))
    points = sample.points()
    assert points["auc_50"] == 1.0
    assert sample.compared(0.5) == (1, 1)  # nobody failed at the other task
    assert sample.compared(0.25) == (2, 1)
    values[6 + 4] = -0.4
    assert value_metrics(frames, np.arange(26), predicted(values))["auc_50"] == 0.0


def test_half_of_ones_own_length_is_another_frame():
    # Half of 5 frames is frame 2, half of 9 frames is frame 4.
    frames = attempts((0, True, 5), (0, False, 9))
    values = np.full(14, -0.9)
    values[[2, 5 + 4]] = -0.3, -0.5
    metrics = value_metrics(frames, np.arange(14), predicted(values))
    assert metrics["auc_50_of_own_length"] == 1.0
    assert metrics["auc_50"] == 0.0  # frame 4 of both: -0.9 against -0.5


def test_a_clock_tells_nothing_at_one_time_and_the_wrong_thing_at_ones_own():
    frames = attempts((0, True, 20), (0, True, 24), (0, False, 40), (0, False, 40))
    clock = np.concatenate([np.arange(n) / 50.0 - 1.0 for n in (20, 24, 40, 40)])
    metrics = value_metrics(frames, np.arange(124), predicted(clock))
    assert metrics["auc_25"] == metrics["auc_50"] == 0.5
    assert metrics["auc_25_of_own_length"] == metrics["auc_50_of_own_length"] == 0.0


def test_order_within_successes_is_averaged_over_episodes_not_frames():
    frames = attempts((0, True, 3), (0, True, 10), (0, False, 5))
    rising, falling = np.linspace(-0.9, -0.5, 3), np.linspace(-0.1, -0.4, 10)
    values = np.concatenate([rising, falling, np.zeros(5)])
    metrics = value_metrics(frames, np.arange(18), predicted(values))
    assert metrics["rank_correlation_within_successes"] == pytest.approx(0.0)


def test_coverage_is_the_share_of_frames_inside():
    frames = attempts((0, True, 4))
    lower = np.array([0.0, 0.3, 0.6, 0.9])
    metrics = value_metrics(
        frames, np.arange(4), predicted(np.zeros(4), lower=lower, upper=lower + 0.1)
    )
    assert metrics["coverage_50"] == pytest.approx(0.5)
    assert metrics["coverage_90"] == pytest.approx((0.5 + 1 + 1 + 0.5) / 4)


def drawn_again(frames, predictions, draw):
    """Write the episodes of a resample out, one after another."""
    rows = [np.flatnonzero(frames.episode_index == e) for e in np.unique(frames.episode_index)]
    chosen = [rows[e] for e, times in enumerate(draw) for _ in range(int(times))]
    index = np.concatenate(chosen)
    everything = np.concatenate([index, np.arange(len(frames.returns))])
    copies = np.repeat(np.arange(len(chosen)), [len(rows) for rows in chosen])
    again = replace(
        frames,
        observations=replace(
            frames.observations,
            images={name: i[everything] for name, i in frames.observations.images.items()},
            state=frames.observations.state[everything],
            task_index=frames.observations.task_index[everything],
        ),
        returns=frames.returns[everything],
        # The originals stay behind: the longest attempt is that of all data.
        episode_index=np.concatenate([copies, frames.episode_index + len(chosen)]),
        is_success=frames.is_success[everything],
    )
    fields = ("values", "cross_entropy", "pit_lower", "pit_upper")
    said = Predictions(**{name: getattr(predictions, name)[index] for name in fields})
    return again, np.arange(len(index)), said


def test_a_resample_measures_as_if_its_episodes_were_written_out(frames):
    predictions = noisy(frames)
    sample = PredictedEpisodes(frames, np.arange(len(frames.returns)), predictions)
    draws = np.random.default_rng(1).multinomial(60, np.full(60, 1 / 60), size=4).astype(float)
    figures, pit = sample.figures(draws), sample.pit(draws)
    for row, draw in enumerate(draws):
        written = drawn_again(frames, predictions, draw)
        for name, slow in value_metrics(*written).items():
            assert figures[name][row] == pytest.approx(slow, abs=1e-6), name
        slow = PredictedEpisodes(*written)
        np.testing.assert_allclose(pit[row], slow.pit(slow.once)[0])


def test_ranks_of_very_many_frames_are_thinned_for_the_interval_alone(frames, monkeypatch):
    index = np.arange(len(frames.returns))
    sample = PredictedEpisodes(frames, index, noisy(frames))
    whole = sample.points()["rank_correlation_successes"]
    draws = np.ones((2, 60))
    exact = sample.figures(draws)["rank_correlation_successes"]
    np.testing.assert_allclose(exact, whole)
    monkeypatch.setattr(measurement, "RANKED_FRAMES", 200)
    assert sample.points()["rank_correlation_successes"] == whole
    thinned = sample.figures(draws)["rank_correlation_successes"]
    assert thinned[0] != whole
    assert thinned[0] == pytest.approx(whole, abs=0.1)


def validated(frames, predictions=None, by=HoldOutBy.EPISODE, **baselines):
    held_out = np.flatnonzero(frames.episode_index % 2 == 0)
    train = np.flatnonzero(frames.episode_index % 2 == 1)
    said = predictions or noisy(frames)

    def of(index, predictions=said):
        fields = ("values", "cross_entropy", "pit_lower", "pit_upper")
        return Predictions(**{name: getattr(predictions, name)[index] for name in fields})

    return validate(
        frames,
        held_out=(held_out, of(held_out)),
        train=(train, of(train)),
        baselines={name: of(held_out, p) for name, p in baselines.items()},
        by=by,
    )


def test_every_figure_has_an_interval_around_it_and_the_same_one_again(frames):
    metrics = validated(frames)
    assert metrics == validated(frames)
    assert list(metrics["intervals"]) == list(metrics["held_out"]) == list(METRIC_MEANINGS)
    for name, (low, point, high) in metrics["intervals"].items():
        assert low <= point <= high
        assert low < high or name.startswith("auc")  # there are few failures
        assert point == metrics["held_out"][name]
    low, point, high = metrics["overfitting_gap_interval"]
    assert low < point < high
    assert point == metrics["overfitting_gap"]
    assert point == metrics["held_out"]["cross_entropy"] - metrics["train"]["cross_entropy"]
    assert sum(point for _, point, _ in metrics["pit"]) == pytest.approx(1.0)


def test_the_interval_of_a_mean_is_as_wide_as_its_standard_error():
    """Frames of an episode share their luck: 1600 frames of 40 episodes are 40 numbers."""
    frames = attempts(*((0, n % 2 == 0, 20) for n in range(160)))
    luck = np.random.default_rng(0).normal(2.0, 1.0, 160)
    metrics = validated(frames, predicted(frames.returns, cross_entropy=np.repeat(luck, 20)))
    low, point, high = metrics["intervals"]["cross_entropy"]
    standard_error = luck[::2].std() / np.sqrt(80)
    assert point == pytest.approx(luck[::2].mean(), abs=1e-5)
    assert high - low == pytest.approx(2 * 1.96 * standard_error, rel=0.12)
    gap = metrics["overfitting_gap_interval"]
    assert gap[2] - gap[0] == pytest.approx(2**0.5 * (high - low), rel=0.2)


def with_luck(luck, group):
    """Episodes of one frame, a held-out one beside each other one, of one cross-entropy."""
    count = 2 * len(luck)
    frames = attempts(*((0, True, 1) for _ in range(count)))
    return (
        replace(frames, group_index=np.repeat(group, 2)),
        predicted(frames.returns, cross_entropy=np.repeat(luck, 2)),
    )


def test_of_two_sessions_four_draws_are_possible_worked_by_hand():
    # Session 0 has one episode (cross-entropy 1), session 1 three (3 each). Both drawn: 10 / 4;
    # the first one twice: 1; the second one twice: 3; each of the last two in a quarter of draws.
    frames, predictions = with_luck([1.0, 3.0, 3.0, 3.0], [0, 1, 1, 1])
    metrics = validated(frames, predictions, by=HoldOutBy.SESSION)
    assert metrics["intervals"]["cross_entropy"] == [1.0, 2.5, 3.0]
    assert metrics["held_out_by"] == {
        "by": "session",
        "groups": 2,
        "held_out_groups": 2,
        "drawn": "session",
    }
    # One by one, four episodes are hardly ever all of the first session.
    by_episode = validated(frames, predictions)
    assert by_episode["intervals"]["cross_entropy"][:2] == [1.5, 2.5]
    assert by_episode["held_out_by"] == {
        "by": "episode",
        "groups": 8,
        "held_out_groups": 4,
        "drawn": "episode",
    }


def test_the_luck_of_a_session_counts_once_however_many_episodes_it_has():
    luck = np.random.default_rng(0).normal(2.0, 1.0, 60)
    frames, predictions = with_luck(np.repeat(luck, 9), np.repeat(np.arange(60), 9))
    metrics = validated(frames, predictions, by=HoldOutBy.RATER)
    low, point, high = metrics["intervals"]["cross_entropy"]
    assert point == pytest.approx(luck.mean(), abs=1e-6)
    assert high - low == pytest.approx(2 * 1.96 * luck.std() / 60**0.5, rel=0.12)
    gap = metrics["overfitting_gap_interval"]  # the others are drawn by session, too
    assert gap[2] - gap[0] == pytest.approx(2**0.5 * (high - low), rel=0.15)
    low, _, high = validated(frames, predictions)["intervals"]["cross_entropy"]
    assert high - low == pytest.approx(2 * 1.96 * luck.std() / 540**0.5, rel=0.12)


def test_sessions_of_one_episode_are_drawn_as_episodes_are(frames):
    alone = replace(frames, group_index=frames.episode_index)
    by_session = validated(alone, by=HoldOutBy.SESSION, clock=noisy(frames, 1))
    by_episode = validated(frames, clock=noisy(frames, 1))
    assert by_session.pop("held_out_by")["drawn"] == "session"
    assert by_episode.pop("held_out_by")["drawn"] == "episode"
    assert by_session == by_episode


def test_of_a_single_session_episodes_are_drawn_and_the_gate_says_so(frames):
    one = replace(frames, group_index=frames.episode_index % 2)
    metrics = validated(one, by=HoldOutBy.SESSION)
    assert metrics["intervals"] == validated(frames)["intervals"]
    assert metrics["held_out_by"] == {
        "by": "session",
        "groups": 2,
        "held_out_groups": 1,
        "drawn": "episode",
    }
    assert (
        "Only 1 of 2 sessions were held out, and it takes 6 to say how well it does in others: add "
        "some, or raise value.holdout_fraction."
    ) in metrics["gate"]["reasons"]
    with pytest.raises(ValueError, match="do not say which session"):
        validated(frames, by=HoldOutBy.SESSION)


def test_baselines_are_compared_on_the_same_draws(frames):
    """What is hard about an episode hits both: the difference is surer than either."""
    model = noisy(frames)
    hard = np.repeat(np.arange(60.0), np.bincount(frames.episode_index))
    ours = replace(model, cross_entropy=(hard + 1.0).astype(np.float32))
    theirs = replace(model, cross_entropy=(hard + 1.5).astype(np.float32))
    metrics = validated(frames, ours, clock=theirs)
    compared = metrics["baselines"]["clock"]
    assert compared["model_minus_baseline"]["cross_entropy"] == pytest.approx([-0.5] * 3)
    assert compared["model_minus_baseline"]["mae_steps"] == [0.0, 0.0, 0.0]
    expected = metrics["held_out"]["cross_entropy"] + 0.5
    assert compared["held_out"]["cross_entropy"] == pytest.approx(expected)
    low, _, high = metrics["intervals"]["cross_entropy"]
    assert high - low > 1.0


def test_what_cannot_be_measured_is_null_everywhere():
    frames = attempts(*((0, True, 5) for _ in range(8)))
    metrics = validated(frames, clock=noisy(frames, 1))
    assert metrics["held_out"]["auc_50"] is metrics["intervals"]["auc_50"] is None
    assert metrics["baselines"]["clock"]["model_minus_baseline"]["auc_50"] is None
    assert metrics["held_out_outcomes"] == {
        "successes": 4,
        "failures": 0,
        **{f"compared_{at}": {"successes": 0, "failures": 0} for at in (25, 50, 75)},
    }


def test_a_resample_without_failures_does_not_spoil_the_interval():
    frames = attempts(*((0, n not in {0, 2}, 10) for n in range(40)))
    metrics = validated(frames, noisy(frames, spread=0.4))
    low, point, high = metrics["intervals"]["auc_50"]  # two failures among 20: 12 % have none
    assert 0.0 <= low <= point <= high <= 1.0


@pytest.mark.slow
def test_ninety_held_out_episodes_take_about_a_second():
    from time import perf_counter

    frames = attempts(*((n % 4, n % 3 > 0, 60) for n in range(180)), tasks=tuple("abcd"))
    started = perf_counter()
    validated(frames, time=noisy(frames, 1), task=noisy(frames, 2), linear_probe=noisy(frames, 3))
    assert perf_counter() - started < 8.0  # about one, on an idle machine
    assert RESAMPLES >= 1000


@pytest.mark.slow
def test_a_hundred_thousand_held_out_frames_fit_beside_a_value_model():
    import tracemalloc

    lines = ((n % 4, n % 3 > 0, 100) for n in range(2000))
    frames = attempts(*lines, tasks=tuple("abcd"), normaliser=150.0)
    tracemalloc.start()
    validated(frames)
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert peak < 300e6
