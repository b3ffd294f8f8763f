"""Settings that are one of a few words."""

from dataclasses import dataclass, field
from enum import Enum, StrEnum

import pytest

from data.errors import ConfigError
from recap.choices import require_choices


class Colour(StrEnum):
    RED = "red"
    DARK_BLUE = "blue"


class Number(Enum):
    ONE = 1
    TWO = 2


@dataclass(frozen=True)
class Inner:
    colour: Colour | None = None
    either: Colour | int = 0


@dataclass(frozen=True)
class Outer:
    number: Number = Number.ONE
    text: str = ""
    inner: Inner = field(default_factory=Inner)
    perhaps: Inner | None = None


@pytest.mark.parametrize(
    "settings",
    [
        {},
        {"number": 2, "text": "green", "unknown": "green"},
        {"number": "TWO", "inner": {"colour": "blue"}},
        {"number": Number.TWO, "inner": {"colour": "DARK_BLUE"}},
        {"inner": {"colour": None, "either": "green"}, "perhaps": None},
    ],
)
def test_what_can_be_is_let_through(settings):
    require_choices(Outer, settings)


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"number": 3}, "number must be one of 1, 2; got '3'."),
        ({"number": None}, "number must be one of 1, 2; got 'None'."),
        ({"inner": {"colour": "green"}}, "inner.colour must be one of red, blue; got 'green'."),
        ({"perhaps": {"colour": [1]}}, "perhaps.colour must be one of red, blue; got '[1]'."),
    ],
)
def test_another_word_is_answered_with_those_there_are(settings, message):
    with pytest.raises(ConfigError) as caught:
        require_choices(Outer, settings)
    assert str(caught.value) == message
