"""Which episodes are looked at, by numbers made by hand."""

import numpy as np
import pytest

from data.schema import Outcome
from recap.report.config import Pick
from recap.report.value_picking import Pickable, pick_episodes

SUCCESS, FAILURE = Outcome.SUCCESS, Outcome.FAILURE


def episode(uid, outcome=SUCCESS, *, iteration=1, corrected=False, held_out=True):
    return Pickable(
        uid=uid,
        iteration=iteration,
        outcome=outcome,
        is_corrected=corrected,
        is_held_out=held_out,
    )


def picked(episodes, pick, *, count=9, errors=None, seed=0):
    def error_of(uid):
        return (errors or {})[uid]

    rng = np.random.default_rng(seed)
    return pick_episodes(episodes, pick, count=count, rng=rng, error_of=error_of)


def uids(*arguments, **options):
    return [one.uid for one in picked(*arguments, **options)]


def test_worst_are_the_held_out_judged_episodes_with_the_greatest_error():
    episodes = [
        episode("a"),
        episode("b", FAILURE),
        episode("c", held_out=False),
        episode("d", None),
        episode("e", Outcome.DISCARD),
        episode("f"),
    ]
    # Only of these is the model asked: c was learnt by heart, d and e came to nothing.
    found = picked(episodes, Pick.WORST, count=2, errors={"a": 3.0, "b": 7.25, "f": 5.0})
    assert [one.uid for one in found] == ["b", "f"]
    assert found[0].why == (
        "off by 7.2 control steps on average, the most of 3 judged episodes it was not trained on"
    )
    assert "the 2nd most of 3" in found[1].why


def test_worst_takes_all_judged_episodes_where_none_is_known_to_be_held_out():
    episodes = [episode("a", held_out=False), episode("b", held_out=False), episode("c", None)]
    found = picked(episodes, Pick.WORST, count=1, errors={"a": 1.0, "b": 2.0})
    assert [one.uid for one in found] == ["b"]
    assert found[0].why.endswith("the most of 2 judged episodes")


def test_what_has_no_return_to_compare_with_is_neither_ranked_nor_counted():
    episodes = [episode("a"), episode("b"), episode("c", FAILURE)]
    found = picked(episodes, Pick.WORST, errors={"a": 0.0, "b": None, "c": None})
    assert [(one.uid, one.why.partition(", ")[2]) for one in found] == [
        ("a", "the most of 1 judged episodes it was not trained on")
    ]
    assert picked(episodes[1:], Pick.WORST, errors={"b": None, "c": None}) == []


def test_equally_wrong_episodes_are_looked_at_in_the_order_of_their_names():
    assert uids([episode("b"), episode("a")], Pick.WORST, errors={"a": 1.0, "b": 1.0}) == ["a", "b"]


@pytest.mark.parametrize(
    ("pick", "expected"),
    [(Pick.FAILURES, ["new", "old", "seen"]), (Pick.CORRECTED, ["new", "helped"])],
)
def test_kinds_are_picked_newest_first_and_what_was_trained_on_last(pick, expected):
    episodes = [
        episode("seen", FAILURE, iteration=3, held_out=False),
        episode("old", FAILURE, iteration=1),
        episode("new", FAILURE, iteration=2, corrected=True),
        episode("helped", SUCCESS, iteration=1, corrected=True),
        episode("fine", SUCCESS, iteration=2),
    ]
    assert uids(episodes, pick) == expected


def test_random_episodes_follow_the_seed_and_may_be_unjudged():
    episodes = [episode(name, None) for name in "abcdefgh"]
    drawn = uids(episodes, Pick.RANDOM, count=3)
    assert drawn == uids(episodes[::-1], Pick.RANDOM, count=3)
    assert len({tuple(uids(episodes, Pick.RANDOM, count=3, seed=s)) for s in range(9)}) > 1
    assert len(drawn) == 3


def test_nothing_of_a_kind_is_nothing_picked():
    assert picked([episode("a")], Pick.FAILURES) == []
    assert picked([episode("a", None)], Pick.WORST) == []


@pytest.mark.parametrize(
    ("place", "words"),
    [(2, "2nd"), (3, "3rd"), (4, "4th"), (11, "11th"), (13, "13th"), (21, "21st")],
)
def test_places_are_counted_as_people_do(place, words):
    episodes = [episode(f"{number:02}") for number in range(25)]
    errors = {one.uid: 100.0 - int(one.uid) for one in episodes}
    found = picked(episodes, Pick.WORST, count=25, errors=errors)
    assert f"the {words} most" in found[place - 1].why
