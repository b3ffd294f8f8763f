"""The verdict on a value model, from figures made up for it."""

import copy

import pytest

from value_models.gate import Gate, Verdict, doubts_about_split, gate_of

GOOD = {
    "held_out": {"rmse_steps": 10.0, "coverage_90": 0.9},
    "intervals": {
        "auc_50": [0.82, 0.9, 0.95],
        "rank_correlation_successes": [0.9, 0.93, 0.95],
    },
    "held_out_by": {"by": "episode", "groups": 900, "held_out_groups": 90, "drawn": "episode"},
    "held_out_outcomes": {
        "successes": 60,
        "failures": 30,
        "compared_50": {"successes": 50, "failures": 30},
    },
    "baselines": {
        name: {
            "held_out": {"rmse_steps": 15.0},
            "model_minus_baseline": {"rmse_steps": [-6.0, -5.0, -4.0]},
        }
        for name in ("time", "task", "linear_probe")
    },
}


def judged(**changes):
    """Judge good figures with some of them changed, as ``intervals__auc_50=[...]``."""
    metrics = copy.deepcopy(GOOD)
    for path, value in changes.items():
        *way, last = path.split("__")
        place = metrics
        for name in way:
            place = place[name]
        place[last] = value
    return gate_of(metrics)


def compared(baseline, less, theirs=15.0):
    return {
        f"baselines__{baseline}__model_minus_baseline": {"rmse_steps": less},
        f"baselines__{baseline}__held_out": {"rmse_steps": theirs},
    }


def outcomes(successes, failures, compared=None):
    both = min(successes, failures) > 0
    pairs = compared or ((successes, failures) if both else (0, 0))
    return {
        "held_out_outcomes": {
            "successes": successes,
            "failures": failures,
            "compared_50": {"successes": pairs[0], "failures": pairs[1]},
        }
    }


def test_good_figures_are_ready():
    assert judged() == Gate(verdict=Verdict.READY)
    assert judged().warnings() == ()


@pytest.mark.parametrize(
    ("auc", "verdict", "reason"),
    [
        (
            [0.44, 0.52, 0.6],
            Verdict.UNUSABLE,
            "It cannot tell successes from failures: its AUC halfway is 0.52 (0.44 to 0.60), and "
            "a coin has 0.5.",
        ),
        (
            [0.5, 0.67, 0.84],
            Verdict.UNUSABLE,
            "It cannot tell successes from failures: its AUC halfway is 0.67 (0.50 to 0.84), and "
            "a coin has 0.5.",
        ),
        (
            [0.1, 0.2, 0.3],
            Verdict.UNUSABLE,
            "It cannot tell successes from failures: its AUC halfway is 0.20 (0.10 to 0.30), and "
            "a coin has 0.5.",
        ),
        (
            [0.5, 0.68, 0.85],
            Verdict.WEAK,
            "Its AUC halfway is 0.68 (0.50 to 0.85): too few episodes were held out to tell it "
            "from a coin's 0.5.",
        ),
        (
            [0.51, 0.849, 0.9],
            Verdict.WEAK,
            "Its AUC halfway is 0.85 (0.51 to 0.90), and 0.85 is asked for.",
        ),
        ([0.51, 0.85, 0.9], Verdict.READY, None),
    ],
)
def test_telling_success_from_failure(auc, verdict, reason):
    gate = judged(intervals__auc_50=auc)
    assert gate.verdict is verdict
    assert gate.reasons == (() if reason is None else (reason,))


@pytest.mark.parametrize(
    ("pairs", "verdict"), [((10, 10), Verdict.UNUSABLE), ((9, 30), Verdict.WEAK)]
)
def test_a_coin_is_called_one_only_with_ten_of_each(pairs, verdict):
    gate = judged(intervals__auc_50=[0.4, 0.5, 0.6], **outcomes(40, 40, pairs))
    assert gate.verdict is verdict
    if verdict is Verdict.WEAK:
        assert gate.reasons == (
            "Only 9 held-out successes and 30 failures can be compared halfway: at least 10 of "
            "each are needed to say how well it tells them apart.",
        )


@pytest.mark.parametrize(("held_out", "missing"), [((40, 0), "failure"), ((0, 40), "success")])
def test_without_failures_or_successes_it_cannot_be_ready(held_out, missing):
    gate = judged(intervals__auc_50=None, **outcomes(*held_out))
    assert gate.verdict is Verdict.WEAK
    assert gate.reasons[0] == (
        f"No {missing} was held out, so that nothing says whether it tells successes from failures."
    )


@pytest.mark.parametrize(("name", "words"), [("time", "a clock"), ("task", "the mean of the task")])
@pytest.mark.parametrize(
    ("less", "verdict", "how"),
    [
        ([0.1, 0.5, 1.0], Verdict.UNUSABLE, "no better than"),
        ([-1.0, 0.0, 1.0], Verdict.UNUSABLE, "no better than"),
        ([-1.0, -0.1, 0.0], Verdict.WEAK, "not clearly better than"),
        ([-1.0, -0.5, -0.1], Verdict.READY, None),
    ],
)
def test_what_sees_nothing_must_be_beaten(name, words, less, verdict, how):
    gate = judged(**compared(name, less, 9.5))
    assert gate.verdict is verdict
    assert len(gate.reasons) == (how is not None)
    if how:
        assert gate.reasons[0].startswith(
            f"It is {how} {words}: its values are off by 10.0 steps, those of {words} by 9.5"
        )


def test_on_fewer_than_twenty_episodes_a_baseline_proves_nothing():
    worse = compared("task", [0.1, 0.5, 1.0])
    assert judged(**worse, **outcomes(10, 10)).verdict is Verdict.UNUSABLE
    few = judged(**worse, **outcomes(9, 10))
    assert few.verdict is Verdict.WEAK
    assert any(reason.endswith("on 19 held-out episodes.") for reason in few.reasons)


def test_a_linear_probe_should_be_beaten_and_need_not_be():
    assert judged(**compared("linear_probe", [1.0, 2.0, 3.0], 8.0)) == Gate(
        verdict=Verdict.WEAK,
        reasons=(
            "It is no better than a linear probe: its values are off by 10.0 steps, those of "
            "a linear probe by 8.0, on 90 held-out episodes.",
        ),
    )
    metrics = copy.deepcopy(GOOD)
    del metrics["baselines"]["linear_probe"]
    assert gate_of(metrics).verdict is Verdict.READY


@pytest.mark.parametrize(
    ("coverage", "words"),
    [(0.849, "too sure"), (0.85, None), (0.95, None), (0.951, "not sure enough")],
)
def test_distributions_should_be_as_wide_as_returns_are_spread(coverage, words):
    gate = judged(held_out__coverage_90=coverage)
    assert gate.verdict is (Verdict.WEAK if words else Verdict.READY)
    assert [words in reason for reason in gate.reasons] == ([True] if words else [])


def test_values_should_rise_on_the_way_to_success():
    gate = judged(intervals__rank_correlation_successes=[0.8, 0.89, 0.95])
    assert gate.reasons == (
        "Its values do not rise steadily on the way to success: the rank correlation is 0.89 "
        "(0.80 to 0.95), and 0.9 is asked for.",
    )
    flat = judged(intervals__rank_correlation_successes=None)
    assert flat.reasons == ("Its value is the same all the way to success.",)
    never = judged(
        intervals__rank_correlation_successes=None, intervals__auc_50=None, **outcomes(0, 40)
    )
    assert len(never.reasons) == 1


def test_the_gravest_reason_comes_first_and_the_others_follow():
    gate = judged(intervals__auc_50=[0.4, 0.5, 0.6], held_out__coverage_90=0.5)
    assert gate.verdict is Verdict.UNUSABLE
    assert [reason.split(":")[0] for reason in gate.reasons] == [
        "It cannot tell successes from failures",
        "It is too sure of itself",
    ]
    (said,) = gate.warnings()
    assert said.startswith("The value model is unusable. It cannot tell")


def test_a_verdict_is_read_back_as_it_was_written():
    gate = judged(held_out__coverage_90=0.5)
    assert Gate.read({"gate": gate.as_json()}) == gate
    assert Gate.read({"held_out": {}}) is None


def test_too_few_sessions_say_little_about_others():
    of_five = {"by": "session", "groups": 31, "held_out_groups": 5, "drawn": "session"}
    said = judged(held_out_by=of_five)
    assert said.verdict is Verdict.WEAK
    assert said.reasons == (
        "Only 5 of 31 sessions were held out, and it takes 6 to say how well it does in others: "
        "add some, or raise value.holdout_fraction.",
    )
    assert judged(held_out_by={**of_five, "held_out_groups": 6}).verdict is Verdict.READY
    # Split by episode, what the episodes belong to is no evidence of anything.
    by_episode = {"by": "episode", "groups": 5, "held_out_groups": 2, "drawn": "episode"}
    assert judged(held_out_by=by_episode).verdict is Verdict.READY


@pytest.mark.parametrize(
    ("by", "groups", "is_told"),
    [("episode", 9, False), ("session", 8, False), ("session", 9, True), ("rater", 9, True)],
)
def test_whole_groups_of_one_episode_each_are_told(by, groups, is_told):
    metrics = {
        "train_episodes": 7,
        "held_out_episodes": 2,
        "held_out_by": {"by": by, "groups": groups, "held_out_groups": 2, "drawn": by},
    }
    said = (
        f"holdout_by={by} is no stricter than episode here: each of the 9 episodes counts as a "
        f"{by} of its own, as simulated ones do."
    )
    assert doubts_about_split(metrics) == ((said,) if is_told else ())


def test_metrics_from_before_groups_tell_nothing():
    assert doubts_about_split({"held_out": {}}) == ()
