"""What a value model's figures say in plain words."""

import pytest

from recap.web.dashboard.files import ValueMetrics
from recap.web.dashboard.readings import value_model
from recap.web.dashboard.schemas import Grade


@pytest.fixture
def read(metrics):
    def of(**changes):
        return value_model(ValueMetrics.model_validate(metrics | changes), iteration=2, fps=20)

    return of


def figure(told, name):
    return next(figure for figure in told.figures if figure.name == name)


def test_a_value_model_is_read_in_plain_words(read):
    told = read()
    assert told.headline == "Tells successes from failures halfway: 0.64, weak."
    assert told.grade is Grade.WEAK
    assert [figure.reading for figure in told.figures] == [
        "Tells successes from failures a quarter in: 0.51, no better than a coin.",
        "Tells successes from failures halfway: 0.64, weak.",
        "Tells successes from failures three quarters in: 0.86, good.",
        "Knows how near success is: 0.86, good.",
        "Is off by 27 steps on average, or 1.4\N{NO-BREAK SPACE}s.",
        "Is 0.15 nats worse on new episodes: slightly over-fitted.",
    ]
    assert figure(told, "AUC at 50 %").train == 0.72


@pytest.mark.parametrize(
    ("auc", "grade"),
    [
        (0.549, Grade.BAD),
        (0.55, Grade.WEAK),
        (0.699, Grade.WEAK),
        (0.7, Grade.FAIR),
        (0.849, Grade.FAIR),
        (0.85, Grade.GOOD),
        (None, Grade.UNKNOWN),
    ],
)
def test_telling_halfway_is_graded(auc, grade, read):
    told = read(held_out={"auc_50": auc})
    assert told.grade is grade
    if auc is None:
        assert told.headline == "Cannot be told halfway: no success and failure could be compared."


@pytest.mark.parametrize(
    ("verdict", "grade"), [("ready", Grade.GOOD), ("weak", Grade.WEAK), ("unusable", Grade.BAD)]
)
def test_the_verdict_of_the_measurement_comes_before_any_figure(verdict, grade, read):
    told = read(gate={"verdict": verdict, "reasons": ["One.", "Two."]})
    assert told.grade is grade
    assert told.headline == f"The value model is {verdict}. One. Two."
    assert told.figures == read().figures


@pytest.mark.parametrize(
    ("gap", "grade", "words"),
    [
        (-0.2, Grade.GOOD, "Is no worse on new episodes than on its own: not over-fitted."),
        (0.099, Grade.GOOD, "Is 0.10 nats worse on new episodes: not over-fitted."),
        (0.1, Grade.FAIR, "Is 0.10 nats worse on new episodes: slightly over-fitted."),
        (0.3, Grade.WEAK, "Is 0.30 nats worse on new episodes: over-fitted."),
        (
            1.0,
            Grade.BAD,
            "Is 1.00 nats worse on new episodes: knows its training episodes by heart.",
        ),
        (None, Grade.UNKNOWN, "Was not measured."),
    ],
)
def test_the_over_fitting_gap_is_graded(gap, grade, words, read):
    gapped = figure(read(overfitting_gap=gap), "Over-fitting gap")
    assert (gapped.grade, gapped.reading) == (grade, words)


def test_a_value_model_that_was_measured_on_nothing_is_told_so(read):
    told = read(held_out={})
    assert {figure.grade for figure in told.figures[:-1]} == {Grade.UNKNOWN}
    assert figure(told, "Rank correlation").reading == ("Cannot be told: no success was held out.")
    assert figure(told, "Error in steps").reading == "Was not measured."
