"""What is wrong with a request, in words for people and not in those of the library that checks."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, Final

MOST_NAMED: Final = 3
"""Mistakes of one request that are told; the others are counted."""

_PATTERNS: Final[Mapping[str, str]] = {
    "uid": "is not the name of an attempt",
    "request_id": "must be 8 to 64 letters, digits and dashes",
    "note": "holds a character that cannot be written down",
}

_WORDS: Final[Mapping[str, Callable[[Mapping[str, Any]], str]]] = {
    "missing": lambda _: "is missing",
    "extra_forbidden": lambda _: "is nothing that is known here",
    "string_too_long": lambda about: f"may have at most {about['max_length']:,} characters",
    "string_too_short": lambda about: f"must have at least {about['min_length']:,} characters",
    "too_long": lambda about: f"may hold at most {about['max_length']:,}",
    "too_short": lambda about: f"must hold at least {about['min_length']:,}",
    "greater_than_equal": lambda about: f"must be at least {about['ge']:,}",
    "less_than_equal": lambda about: f"must be at most {about['le']:,}",
    "enum": lambda about: f"must be {about['expected']}",
    "literal_error": lambda about: f"must be {about['expected']}",
    **{
        kind: lambda _: "must be a whole number"
        for kind in ("int_type", "int_parsing", "int_from_float", "int_parsing_size")
    },
    **{kind: lambda _: "must be a number" for kind in ("float_type", "float_parsing")},
    **{kind: lambda _: "must be true or false" for kind in ("bool_type", "bool_parsing")},
    **{kind: lambda _: "must be text" for kind in ("string_type", "string_unicode")},
    **{
        kind: lambda _: "must be a JSON object"
        for kind in ("dict_type", "model_type", "model_attributes_type")
    },
    "json_invalid": lambda _: "is not JSON one can read",
}


def in_words(mistakes: list[Mapping[str, Any]]) -> str:
    """Tell mistakes in one sentence.

    What was sent is left out on purpose: it may be long, and need not be text at all.

    Args:
        mistakes: As pydantic lists them: ``type``, ``loc``, ``msg`` and perhaps ``ctx``.
    """
    told = [_told(mistake) for mistake in mistakes[:MOST_NAMED]]
    rest = len(mistakes) - MOST_NAMED
    more = f"; and {rest} more" if rest > 0 else ""
    return f"{'; '.join(told)}{more}."


def _told(mistake: Mapping[str, Any]) -> str:
    kind, about = mistake["type"], mistake.get("ctx", {})
    inside = [str(part) for part in mistake["loc"][1:] if not isinstance(part, int)]
    where = ".".join(inside)[:100] if inside and kind != "json_invalid" else "the request"
    if kind == "rater":  # a rule of our own, which is in words already
        return f"{where}: {mistake['msg']}"
    if kind == "string_pattern_mismatch":
        last = inside[-1] if inside else ""
        return f"{where}: {_PATTERNS.get(last, 'holds what cannot be there')}"
    words = _WORDS.get(kind)
    return f"{where}: {words(about) if words else 'is not what it should be'}"
