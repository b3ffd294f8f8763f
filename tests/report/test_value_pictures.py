"""Pictures of what was measured of a value model."""

import io

import numpy as np
import pytest
from PIL import Image

from recap.report.palette import light_colours
from recap.report.value_pictures import baselines_picture, calibration_picture, value_pictures
from recap.report.value_predictions import PredictedEpisode, predicted_episodes, shown_episodes

METRICS = {
    "intervals": {
        "auc_25": [0.6, 0.7, 0.8],
        "auc_50": [0.7, 0.8, 0.9],
        "auc_75": None,
        "auc_50_of_own_length": [0.5, 0.6, 0.7],
        "coverage_50": [0.4, 0.5, 0.6],
        "coverage_90": [0.8, 0.9, 0.95],
    },
    "pit": [[0.05, 0.1, 0.15]] * 10,
    "history": [
        {"step": 10, "loss": 5.0},
        {"step": 20, "loss": 4.0, "held_out_loss": 4.2},
        {"step": 40, "loss": 3.0, "held_out_loss": 4.5},
    ],
    "baselines": {
        "time": {"model_minus_baseline": {"cross_entropy": [-2.0, -1.0, -0.5], "auc_50": None}},
        "task": {"model_minus_baseline": {}},
    },
}


def predicted(error, *, success=True, length=20):
    returns = np.linspace(-0.5, 0.0, length) - (0.0 if success else 0.4)
    return PredictedEpisode(values=returns - error, returns=returns, is_success=success)


def pixels_of(picture, name):
    pixels = np.asarray(Image.open(io.BytesIO(picture)).convert("RGB"))
    shade = tuple(bytes.fromhex(light_colours()[name][1:]))
    return int(np.all(pixels == shade, axis=2).sum())


def test_everything_that_was_measured_is_drawn_and_twice_the_same():
    episodes = [predicted(0.1), predicted(0.2, success=False)]
    pictures = value_pictures(METRICS, episodes)
    assert list(pictures) == [
        "learning.png",
        "calibration.png",
        "auc.png",
        "baselines.png",
        "against_return.png",
        "along_episodes.png",
    ]
    assert pictures["calibration.png"] == calibration_picture(METRICS)
    for picture in pictures.values():
        assert Image.open(io.BytesIO(picture)).format == "PNG"


def test_what_was_not_measured_is_not_drawn():
    assert value_pictures({}) == {}
    assert list(value_pictures({"pit": METRICS["pit"], "intervals": {"auc_50": None}})) == [
        "calibration.png"
    ]
    assert list(value_pictures({"history": METRICS["history"]})) == ["learning.png"]


def test_an_ensemble_has_curves_for_each_member():
    history = [{"member": m, **record} for m in (0.0, 1.0) for record in METRICS["history"]]
    shifted = [
        {**r, "held_out_loss": r["held_out_loss"] + 1}
        if r["member"] and "held_out_loss" in r
        else r
        for r in history
    ]
    one, two = (
        value_pictures({"history": h})["learning.png"] for h in (METRICS["history"], shifted)
    )
    assert pixels_of(two, "accent") > 1.3 * pixels_of(one, "accent")


@pytest.mark.parametrize(
    ("interval", "figure", "name"),
    [
        ([-2.0, -1.0, -0.5], "cross_entropy", "success"),  # less is better
        ([0.5, 1.0, 2.0], "cross_entropy", "failure"),
        ([0.1, 0.2, 0.3], "auc_50", "success"),  # more is better
        ([-0.3, -0.2, -0.1], "rank_correlation_successes", "failure"),
        ([-0.1, 0.2, 0.3], "auc_50", "base"),  # a tie
    ],
)
def test_a_difference_has_the_colour_of_its_meaning(interval, figure, name):
    picture = baselines_picture({"time": {"model_minus_baseline": {figure: interval}}})
    shown = {n: pixels_of(picture, n) for n in ("success", "failure", "base")}
    assert shown[name] > 50
    assert all(count == 0 for other, count in shown.items() if other != name)


def test_bars_of_the_pit_are_as_high_as_they_say():
    flat = {"pit": [[0.1, 0.1, 0.1]] * 10}
    piled = {"pit": [[0.0, 0.0, 0.0]] * 9 + [[1.0, 1.0, 1.0]]}
    assert calibration_picture(flat) != calibration_picture(piled)


def test_frames_are_cut_into_their_episodes():
    episodes = predicted_episodes(
        np.array([-0.1, -0.2, -0.3, -0.4]),
        np.array([-0.2, -0.2, -0.3, -0.8]),
        episode_index=np.array([4, 4, 7, 7]),
        is_success=np.array([True, True, False, False]),
    )
    assert [(len(e.values), e.is_success) for e in episodes] == [(2, True), (2, False)]
    np.testing.assert_allclose([e.error for e in episodes], [0.05, 0.2])


def test_episodes_are_shown_from_the_best_to_the_worst_half_of_each_kind():
    episodes = [predicted(error / 100) for error in range(20, 0, -1)]
    episodes += [predicted(error / 100, success=False) for error in range(1, 11)]
    shown = shown_episodes(episodes)
    assert [e.is_success for e in shown] == [True] * 6 + [False] * 6
    np.testing.assert_allclose([e.error for e in shown[:6]], [0.01, 0.05, 0.09, 0.12, 0.16, 0.2])
    np.testing.assert_allclose([shown[6].error, shown[-1].error], [0.01, 0.1])


@pytest.mark.parametrize(("successes", "failures"), [(20, 0), (0, 3), (1, 20), (20, 1), (1, 0)])
def test_a_kind_with_few_leaves_its_places_to_the_other(successes, failures):
    episodes = [predicted(0.01 * k) for k in range(successes)]
    episodes += [predicted(0.01 * k, success=False) for k in range(failures)]
    shown = shown_episodes(episodes)
    assert len(shown) == min(12, successes + failures)
    assert sum(e.is_success for e in shown) == min(successes, 12 - min(failures, 6))
    assert len({id(e) for e in shown}) == len(shown)
