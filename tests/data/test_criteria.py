import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from data.criteria import Criteria
from data.errors import ConfigError, VerdictError
from data.schema import Outcome

QUESTIONS = {"placed": "Is the cube on the pad?", "upright": "Is it upright?", "safe": "No bumps?"}
CRITERIA = Criteria(questions=QUESTIONS, needed=2)


@given(
    st.fixed_dictionaries(dict.fromkeys(QUESTIONS, st.booleans())),
    st.integers(min_value=1, max_value=3),
)
def test_a_success_meets_at_least_as_many_criteria_as_needed(answers, needed):
    outcome = Criteria(questions=QUESTIONS, needed=needed).outcome(answers)
    is_success = list(answers.values()).count(True) >= needed
    assert outcome is (Outcome.SUCCESS if is_success else Outcome.FAILURE)


def test_a_missing_answer_is_not_a_no():
    with pytest.raises(VerdictError) as caught:
        CRITERIA.outcome({"placed": True, "upright": True, "colour": True, "angle": False})
    assert str(caught.value) == (
        "The answers do not fit the checklist (missing: safe; unknown: angle, colour). Answer "
        "placed, upright, safe, each with true or false."
    )
    with pytest.raises(VerdictError, match=re.escape("(missing: upright, safe).")):
        CRITERIA.check({"placed": True})


def test_the_version_changes_with_every_word_the_order_and_the_rule():
    assert re.fullmatch("[0-9a-f]{8}", CRITERIA.version)
    assert CRITERIA.version == Criteria(questions=dict(QUESTIONS), needed=2).version
    others = [
        Criteria(questions=QUESTIONS, needed=3),
        Criteria(questions=QUESTIONS | {"safe": "No bumps at all?"}, needed=2),
        Criteria(questions=dict(reversed(QUESTIONS.items())), needed=2),
        Criteria(questions=QUESTIONS | {"fast": "Under 10 s?"}, needed=2),
    ]
    assert len({CRITERIA.version, *(other.version for other in others)}) == 5


@pytest.mark.parametrize("needed", [0, 4])
def test_a_rule_that_nothing_or_anything_meets_is_refused(needed):
    with pytest.raises(ConfigError) as caught:
        Criteria(questions=QUESTIONS, needed=needed)
    assert str(caught.value) == (
        f"label.criteria_needed must lie between 1 and the number of criteria, 3, got {needed}."
    )


@pytest.mark.parametrize("questions", [{"": "What?"}, {"placed": ""}])
def test_a_criterion_has_a_name_and_a_question(questions):
    with pytest.raises(ConfigError, match="has an empty name or question"):
        Criteria(questions=questions, needed=1)
