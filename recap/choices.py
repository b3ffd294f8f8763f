"""Settings that are one of a few words: a wrong word is answered with the right ones."""

import typing
from collections.abc import Mapping
from dataclasses import is_dataclass
from enum import Enum
from types import NoneType
from typing import Any

from data.errors import ConfigError


def require_choices(config: type, settings: Mapping[str, Any], *, prefix: str = "") -> None:
    """Refuse a word that is none of those a setting can be.

    Args:
        config: Dataclass of settings, whose fields may be such dataclasses.
        settings: What was typed for some of them, in mappings as the dataclasses are nested.
        prefix: Name of the group that they are in, with a dot after it.

    Raises:
        ConfigError: With the words that there are.
    """
    hints = typing.get_type_hints(config)
    for name, value in settings.items():
        kind, may_be_none = _kind_of(hints.get(name))
        if value is None and may_be_none:
            continue
        if is_dataclass(kind) and isinstance(value, Mapping):
            require_choices(kind, value, prefix=f"{prefix}{name}.")
        elif issubclass(kind, Enum) and not _is_one_of(kind, value):
            words = ", ".join(str(member.value) for member in kind)
            message = f"{prefix}{name} must be one of {words}; got '{value}'."
            raise ConfigError(message)


def _kind_of(hint: object) -> tuple[type, bool]:
    """Give what a setting is, and whether it may also be nothing."""
    arguments = typing.get_args(hint)
    kinds = [kind for kind in arguments if kind is not NoneType]
    may_be_none = len(kinds) < len(arguments)
    kind = kinds[0] if may_be_none and len(kinds) == 1 else hint
    return (kind if isinstance(kind, type) else object), may_be_none


def _is_one_of(kind: type[Enum], value: object) -> bool:
    return any(value in (member, member.value, member.name) for member in kind)
