"""Which episodes a page shows."""

import numpy as np

from data.schema import Outcome
from recap.report.telling import Candidate, telling_episodes


def candidate(uid, outcome, values, *, is_corrected=False):
    return Candidate(
        uid=uid, outcome=Outcome(outcome), is_corrected=is_corrected, values=np.array(values)
    )


def shown(*candidates):
    return [(title, chosen.uid) for title, chosen in telling_episodes(candidates)]


def test_the_success_is_the_one_of_median_length():
    successes = [candidate(uid, "success", [0.0] * n) for uid, n in (("a", 9), ("b", 3), ("c", 5))]
    assert shown(*successes) == [("A success", "c")]


def test_the_failure_is_the_one_whose_value_falls_the_steepest():
    slow = candidate("slow", "failure", np.linspace(0.0, -0.9, 40))
    sudden = candidate("sudden", "failure", [-0.2] * 20 + [-0.7] * 20)
    rising = candidate("rising", "failure", np.linspace(-0.9, 0.0, 40))
    assert shown(slow, sudden, rising) == [("A failure", "sudden")]


def test_the_corrected_episode_is_the_success_that_came_back_the_furthest():
    lost = candidate("lost", "failure", [-0.2, -1.0, 0.0], is_corrected=True)
    little = candidate("little", "success", [-0.2, -0.3, 0.0], is_corrected=True)
    much = candidate("much", "success", [-0.2, -0.8, 0.0], is_corrected=True)
    assert shown(lost, little, much) == [("A corrected episode", "much")]
    assert shown(lost) == [("A corrected episode", "lost")]


def test_equal_episodes_are_told_apart_by_name_and_not_by_order():
    flat = [candidate(uid, "failure", [0.0] * 5) for uid in "bca"]
    assert shown(*flat) == shown(*reversed(flat)) == [("A failure", "a")]


def test_without_episodes_nothing_is_shown():
    assert shown() == []
