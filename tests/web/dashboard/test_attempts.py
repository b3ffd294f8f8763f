"""What the attempts of a lap amount to."""

import pytest

from data.schema import Ending, Outcome, Source
from recap.web.dashboard.attempts import AttemptFigures


def figures(some, *, fps=20):
    return AttemptFigures().of(some, fps=fps)


def interval(measured):
    return pytest.approx([measured.low, measured.point, measured.high], abs=5e-4)


def test_success_of_eight_in_ten_is_worked_by_hand_and_what_is_undecided_counts_neither_way(
    attempts,
):
    told = figures(attempts(successes=8, failures=2, unjudged=5, discards=3))
    # Wilson, z = 1.96: (0.8 + 0.192 ± 1.96 sqrt(0.016 + 0.0096)) / 1.384
    assert interval(told.success) == [0.4902, 0.8, 0.9433]
    assert (told.successes, told.failures, told.waiting, told.discards) == (8, 2, 5, 3)
    assert told.episodes == 18


def test_throughput_is_successes_over_the_time_of_the_decided_attempts(attempts):
    told = figures(attempts(successes=8, failures=2, unjudged=5))
    # 10 attempts of 100 frames at 20 Hz are 50 s: 8 successes in 50 s are 576 an hour.
    assert told.successes_per_hour.point == pytest.approx(576.0)
    # All attempts are equally long, so the bounds are those of a binomial over ten draws.
    assert told.successes_per_hour.low == pytest.approx(360.0)
    assert told.successes_per_hour.high == pytest.approx(720.0)


def test_throughput_is_the_same_every_time_whatever_the_order(attempts):
    some = attempts(successes=9, frames=60) + attempts(failures=4, frames=100)
    assert figures(some) == figures(some[::-1])


def test_a_throughput_known_from_before_is_not_one_at_another_rate(attempts):
    works = AttemptFigures()
    some = attempts(successes=3, failures=1)
    slow, fast = works.of(some, fps=10), works.of(some, fps=20)
    assert fast.successes_per_hour.point == pytest.approx(2 * slow.successes_per_hour.point)
    assert works.of(some, fps=20) == fast


def test_without_a_rate_there_is_no_throughput_but_all_the_rest(attempts):
    told = figures(attempts(successes=1), fps=None)
    assert told.successes_per_hour is None
    assert told.success.point == 1.0


def test_attempts_that_nobody_judged_have_no_rate(attempts):
    told = figures(attempts(unjudged=4))
    assert told.success is None
    assert told.successes_per_hour is None
    assert told.alone is None
    assert (told.waiting, told.third_looks) == (4, 0)


def test_help_is_counted_over_all_rollouts_judged_or_not(attempts):
    some = attempts(unjudged=2, successes=7) + attempts(successes=2, unjudged=1, corrected=40)
    told = figures(some)
    # 3 of 12: (0.25 + 0.16 ± 1.96 sqrt(0.0156 + 0.0067)) / 1.32
    assert (told.corrected.count, told.corrected.episodes) == (3, 12)
    assert interval(told.corrected.share) == [0.0889, 0.25, 0.5323]
    assert told.corrected_frame_share == pytest.approx(3 * 40 / 1200)


def test_success_is_told_apart_with_and_without_help(attempts):
    some = attempts(successes=3, failures=3) + attempts(successes=4, failures=1, corrected=10)
    told = figures(some)
    assert (told.alone.count, told.alone.episodes) == (3, 6)
    assert (told.helped.count, told.helped.episodes) == (4, 5)


def test_demonstrations_are_not_rollouts_that_somebody_helped(attempts):
    told = figures(attempts(successes=3, failures=1, source=Source.DEMONSTRATION))
    assert told.demonstrations == 4
    assert told.corrected is None
    assert told.corrected_frame_share is None
    assert told.alone is None
    assert told.success.point == 0.75


def test_interrupted_and_disputed_attempts_are_counted(attempt, attempts):
    some = [*attempts(failures=2, ending=Ending.INTERRUPTED), attempt(None, is_disputed=True)]
    told = figures(some)
    assert (told.interrupted, told.disputed) == (2, 1)


@pytest.mark.parametrize(
    ("raters", "needed", "waiting", "third_looks"),
    [
        ("", 1, 1, 0),
        (["Ann"], 2, 1, 0),
        (["Ann", "Ben"], 3, 1, 0),
        (["Ann", "Ben"], 2, 0, 1),
        (["Ann", "Ben", "Eve"], 2, 0, 1),
        (["Ann", "simulator"], 2, 1, 0),
    ],
)
def test_undecided_attempts_wait_until_enough_people_judged_them(
    attempt, raters, needed, waiting, third_looks
):
    some = [attempt(None, is_disputed=True, raters=raters), attempt(Outcome.DISCARD)]
    told = AttemptFigures().of(some, fps=20, raters_needed=needed)
    assert (told.waiting, told.third_looks) == (waiting, third_looks)


def test_what_is_decided_waits_for_nobody_though_it_is_disputed(attempt):
    told = figures([attempt(Outcome.SUCCESS, is_disputed=True, raters=["Ann", "Ben"])])
    assert (told.waiting, told.third_looks) == (0, 0)
    assert (told.disputed, told.disputed_decided) == (1, 1)
    undecided = figures([attempt(None, is_disputed=True, raters=["Ann", "Ben"])])
    assert (undecided.disputed, undecided.disputed_decided) == (1, 0)
