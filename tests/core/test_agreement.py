import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from recap.core.agreement import (
    COHEN,
    FLEISS,
    cohen_kappa,
    fleiss_kappa,
    measure_agreement,
)

VERDICTS = st.sampled_from(["success", "failure", "discard"])
JUDGED = st.lists(st.dictionaries(st.sampled_from("abcd"), VERDICTS, max_size=4), max_size=12)


def from_table(table):
    """Turn a table of how often two people said what into their verdicts."""
    pairs = [
        (row, column)
        for row, line in enumerate(table)
        for column, count in enumerate(line)
        for _ in range(count)
    ]
    return np.array(pairs).T


def test_cohens_own_example_of_1960():
    # observed (88 + 40 + 12) / 200 = 0.70; chance 0.5 x 0.6 + 0.3 x 0.3 + 0.2 x 0.1 = 0.41
    first, second = from_table([[88, 10, 2], [14, 40, 6], [18, 10, 12]])
    assert cohen_kappa(first, second) == pytest.approx((0.70 - 0.41) / (1 - 0.41))
    assert cohen_kappa(first, second) == pytest.approx(0.492, abs=5e-4)


def test_cohens_kappa_of_four_episodes_worked_by_hand():
    # They agree on 3 of 4. Ann says success 2 of 4 times, Bob 3 of 4: chance 6/16 + 2/16 = 1/2.
    assert cohen_kappa(np.array([1, 1, 0, 0]), np.array([1, 1, 1, 0])) == pytest.approx(0.5)


def test_fleiss_kappa_of_ten_episodes_and_fourteen_people():
    # The worked example of the literature: 10 subjects, 5 categories, kappa 0.210.
    counts = np.array(
        [
            [0, 0, 0, 0, 14],
            [0, 2, 6, 4, 2],
            [0, 0, 3, 5, 6],
            [0, 3, 9, 2, 0],
            [2, 2, 8, 1, 1],
            [7, 7, 0, 0, 0],
            [3, 2, 6, 3, 0],
            [2, 5, 3, 2, 2],
            [6, 5, 2, 1, 0],
            [0, 2, 2, 3, 7],
        ]
    )
    assert fleiss_kappa(counts) == pytest.approx(0.210, abs=5e-4)


def test_fleiss_kappa_with_different_numbers_of_people_worked_by_hand():
    # Two agree on the first; of three, one pair of three agrees on the second: (1 + 1/3) / 2.
    # Category shares 3/5 and 2/5: chance 13/25.
    counts = np.array([[2, 0], [1, 2]])
    assert fleiss_kappa(counts) == pytest.approx((2 / 3 - 13 / 25) / (12 / 25))


def test_people_who_always_say_the_same_one_thing_have_no_kappa():
    same = np.zeros(7, dtype=np.int64)
    assert cohen_kappa(same, same) is None
    assert fleiss_kappa(np.array([[3, 0], [2, 0], [5, 0]])) is None
    assert fleiss_kappa(np.array([[3], [4]])) is None
    measured = measure_agreement(
        [{"ann": "failure", "bob": "failure"}], rng=np.random.default_rng()
    )
    assert (measured.kind, measured.episodes, measured.kappa) == (COHEN, 1, None)


def test_two_who_always_say_the_opposite_of_one_another_have_no_agreement_beyond_chance():
    # Each has one habit, so chance explains that they never agree.
    assert cohen_kappa(np.array([0, 0, 0]), np.array([1, 1, 1])) == 0.0
    assert cohen_kappa(np.array([0, 1]), np.array([1, 0])) == -1.0


@settings(max_examples=60, deadline=None)
@given(JUDGED)
def test_agreement_equals_a_count_of_pairs(judged):
    measured = measure_agreement(judged, rng=np.random.default_rng(1), resamples=50)
    compared = [list(episode.items()) for episode in judged if len(episode) > 1]
    people = {person for episode in compared for person, _ in episode}
    assert measured.episodes == len(compared)
    assert measured.kind == ("" if not compared else COHEN if len(people) == 2 else FLEISS)
    if not compared:
        assert measured.kappa is None
        return
    agreement = [
        np.mean([a[1] == b[1] for i, a in enumerate(said) for b in said[i + 1 :]])
        for said in compared
    ]
    everything = [verdict for said in compared for _, verdict in said]
    chance = sum((everything.count(word) / len(everything)) ** 2 for word in set(everything))
    if len(people) == 2:
        one, other = ([dict(said)[person] for said in compared] for person in sorted(people))
        chance = sum(
            one.count(word) / len(one) * other.count(word) / len(other) for word in set(everything)
        )
    if len(set(everything)) == 1:
        assert measured.kappa is None
    else:
        assert measured.kappa.point == pytest.approx((np.mean(agreement) - chance) / (1 - chance))
        assert -1.0 <= measured.kappa.low <= measured.kappa.point <= measured.kappa.high <= 1.0


def test_the_interval_holds_the_true_kappa_about_as_often_as_it_says():
    rng = np.random.default_rng(0)
    # Both see the truth (a fair coin) in 80 % of episodes, independently: they agree on
    # 0.8 x 0.8 + 0.2 x 0.2 = 0.68, and chance is 1/2, so kappa is 0.36.
    holds = 0
    for _ in range(200):
        truth = rng.random(100) < 0.5
        seen = [truth ^ (rng.random(100) < 0.2) for _ in range(2)]
        judged = [{"ann": bool(a), "bob": bool(b)} for a, b in zip(*seen, strict=True)]
        kappa = measure_agreement(judged, rng=rng, resamples=400).kappa
        holds += kappa.low <= 0.36 <= kappa.high
    assert 180 <= holds <= 199


def test_the_interval_equals_one_made_by_drawing_whole_episodes():
    rng = np.random.default_rng(3)
    judged = [
        {"ann": rng.random() < 0.5, "bob": rng.random() < 0.6, "eve": rng.random() < 0.5}
        for _ in range(60)
    ]
    measured = measure_agreement(judged, rng=np.random.default_rng(0), resamples=4000)
    counts = np.array([[sum(said.values()), 3 - sum(said.values())] for said in judged])
    slow = [fleiss_kappa(counts[rng.integers(60, size=60)]) for _ in range(4000)]
    np.testing.assert_allclose(
        [measured.kappa.low, measured.kappa.high], np.quantile(slow, [0.025, 0.975]), atol=0.02
    )


def test_resamples_without_two_categories_widen_the_interval_to_both_ends():
    judged = [{"ann": 1, "bob": 1}, {"ann": 0, "bob": 0}]  # half of the resamples are degenerate
    kappa = measure_agreement(judged, rng=np.random.default_rng(0)).kappa
    assert (kappa.low, kappa.point, kappa.high) == (-1.0, 1.0, 1.0)


def test_what_cannot_be_compared_is_refused():
    rng = np.random.default_rng(0)
    with pytest.raises(ValueError, match="expected two verdicts of every episode, got 2 and 1"):
        cohen_kappa(np.array([0, 1]), np.array([0]))
    with pytest.raises(ValueError, match="expected two verdicts of every episode, got 0 and 0"):
        cohen_kappa(np.array([]), np.array([]))
    with pytest.raises(ValueError, match="at least two verdicts of each"):
        fleiss_kappa(np.array([[2, 0], [1, 0]]))
    with pytest.raises(ValueError, match="expected at least one episode"):
        fleiss_kappa(np.zeros((0, 2), dtype=np.int64))
    with pytest.raises(ValueError, match="resamples must be at least 1"):
        measure_agreement([], rng=rng, resamples=0)
    with pytest.raises(ValueError, match=r"got 10 and 1\.0"):
        measure_agreement([], rng=rng, resamples=10, confidence=1.0)
