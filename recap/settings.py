"""Read settings: a YAML file, then flags over it, checked name by name.

The grammar is draccus's, which LeRobot's users already type:
``--config_path configs/x.yaml --field.sub=value``.
"""

import difflib
import json
import typing
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import MISSING, dataclass, field, fields, is_dataclass
from enum import Enum
from pathlib import Path
from types import NoneType
from typing import Any, Final

import draccus
from draccus import cfgparsing
from draccus.utils import DecodingError, ParsingError
from draccus.wrappers.docstring import get_attribute_docstring

from data.errors import ConfigError, RecapError
from recap.config import RecapConfig
from recap.project import SETTINGS_FILE

CONFIG_FLAG: Final = "config_path"
ALWAYS_SHOWN: Final = ("project", "iteration", "seed", "workers", "skip_unjudged", "wandb")
"""Settings that every command's help shows."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Setting:
    """One setting, as help shows it."""

    name: str
    kind: str
    sentence: str
    default: str


@dataclass(frozen=True, slots=True)
class _Known:
    """The tree of settings that exist: a leaf has no children."""

    children: Mapping[str, "_Known"] = field(default_factory=dict)

    def names(self, prefix: str = "") -> Iterator[str]:
        """Every setting with its full name."""
        for name, child in self.children.items():
            yield prefix + name
            yield from child.names(f"{prefix}{name}.")


def read_settings(arguments: Sequence[str]) -> RecapConfig:
    """Read the configuration from command-line arguments and the file they name.

    Without ``--config_path`` the settings of the project that ``--project`` names are read, if it
    exists, so that ``recap label --project=runs/tabletop`` means that project as it was made.

    Raises:
        ConfigError: If a setting is unknown, has no value, or a value it cannot have.
    """
    flags = _flags(arguments)
    path = flags.pop(CONFIG_FLAG, None)
    known = _known(RecapConfig)
    for name in flags:
        _require_known(name.split("."), known, source="")
    merged: dict[str, Any] = {}
    if path is not None:
        merged = _load(Path(path))
        _require_tree_known(merged, known, source=f"{path}: ")
    elif "project" in flags and (Path(flags["project"]) / SETTINGS_FILE).exists():
        merged = _load(Path(flags["project"]) / SETTINGS_FILE)
    for name, text in flags.items():
        _put(merged, name.split("."), _value_of(name, text))
    if merged.get("project") is None:
        message = "project is not set. Say which folder the run lives in: --project=runs/NAME"
        raise ConfigError(message)
    return _decode(merged)


def plain_settings(config: RecapConfig) -> dict[str, Any]:
    """Give the whole configuration as mappings, lists, texts and numbers."""
    plain: dict[str, Any] = json.loads(json.dumps(draccus.encode(config)))
    return plain


def settings_of(sections: Sequence[str]) -> list[Setting]:
    """List the settings that a command reads, each with its sentence and default.

    Args:
        sections: Top-level settings that the command reads besides those that all read.
    """
    shown = set(ALWAYS_SHOWN) | set(sections)
    listed = [s for s in _listed(RecapConfig) if s.name.split(".")[0] in shown]
    return sorted(listed, key=lambda setting: setting.name.split(".")[0] in ALWAYS_SHOWN)


def _flags(arguments: Sequence[str]) -> dict[str, str]:
    """Split ``--name=value`` and ``--name value`` into names and texts."""
    flags: dict[str, str] = {}
    waiting = ""
    for argument in arguments:
        if waiting and not argument.startswith("--"):
            flags[waiting], waiting = argument, ""
        elif waiting:
            break
        elif not argument.startswith("--"):
            message = f"'{argument}' is not a setting. Settings look like --field.sub=value."
            raise ConfigError(message)
        elif "=" in argument:
            name, _, text = argument[2:].partition("=")
            flags[name] = text
        else:
            waiting = argument[2:]
    if waiting:
        message = f"--{waiting} needs a value: --{waiting}=..."
        raise ConfigError(message)
    return flags


def _load(path: Path) -> dict[str, Any]:
    content: Any
    try:
        with path.open(encoding="utf-8") as stream:
            content = cfgparsing.load_config(stream, file="settings.yaml")
    except FileNotFoundError:
        nearest = difflib.get_close_matches(path.name, _neighbours(path), n=1)
        hint = f" Did you mean '{path.parent / nearest[0]}'?" if nearest else ""
        message = f"There is no file '{path}'.{hint}"
        raise ConfigError(message) from None
    except (ParsingError, UnicodeDecodeError, IsADirectoryError) as error:
        reason = error.__cause__ or error
        message = f"{path} cannot be read as YAML: {' '.join(str(reason).split())}"
        raise ConfigError(message) from error
    if content is None:
        return {}
    if not isinstance(content, dict):
        message = f"{path} is not a list of settings: it needs lines like 'seed: 1'."
        raise ConfigError(message)
    return content


def _neighbours(path: Path) -> list[str]:
    return [p.name for p in path.parent.iterdir()] if path.parent.is_dir() else []


def _value_of(name: str, text: str) -> Any:  # noqa: ANN401 - YAML is any of six types
    try:
        return cfgparsing.load_config(text) if text else text
    except ParsingError as error:
        message = f"--{name}: '{text}' cannot be read as a value."
        raise ConfigError(message) from error


def _put(tree: dict[str, Any], parts: Sequence[str], value: object) -> None:
    *parents, leaf = parts
    for parent in parents:
        branch = tree.get(parent)
        # A copy, as YAML's aliases let one group stand in two places.
        tree[parent] = dict(branch) if isinstance(branch, dict) else {}
        tree = tree[parent]
    tree[leaf] = value


def _decode(merged: Mapping[str, Any]) -> RecapConfig:
    try:
        config: RecapConfig = draccus.decode(RecapConfig, merged)
    except (DecodingError, ParsingError) as error:
        cause: BaseException | None = error
        while cause is not None:
            if isinstance(cause, RecapError):
                raise cause from None
            cause = cause.__cause__
        message = " ".join(str(error).replace("`", "").split())
        raise ConfigError(message) from error
    return config


def _known(config: type) -> _Known:
    hints = typing.get_type_hints(config)
    return _Known(
        {
            f.name: _known(hints[f.name]) if is_dataclass(hints[f.name]) else _Known()
            for f in fields(config)
        }
    )


def _require_tree_known(
    tree: Mapping[str, Any], known: _Known, *, source: str, prefix: tuple[str, ...] = ()
) -> None:
    for name, value in tree.items():
        parts = (*prefix, str(name))
        _require_known(parts, known, source=source)
        if isinstance(value, Mapping):
            _require_tree_known(value, known, source=source, prefix=parts)
        elif _at(parts, known).children:
            message = (
                f"{source}'{'.'.join(parts)}' is a group of settings, not one: "
                f"{', '.join(_at(parts, known).children)}."
            )
            raise ConfigError(message)


def _at(parts: Sequence[str], known: _Known) -> _Known:
    for part in parts:
        known = known.children[part]
    return known


def _require_known(parts: Sequence[str], known: _Known, *, source: str) -> None:
    here = known
    for part in parts:
        if part not in here.children:
            message = (
                f"{source}'{'.'.join(parts)}' is not a setting."
                f"{_suggestion(part, here=here, everywhere=known)}"
            )
            raise ConfigError(message)
        here = here.children[part]


def _suggestion(part: str, *, here: _Known, everywhere: _Known) -> str:
    """Name the nearest setting in the same group, or the same word in another group."""
    nearest = difflib.get_close_matches(part, here.children, n=1)
    if not nearest:
        nearest = [name for name in everywhere.names() if name.rpartition(".")[2] == part][:1]
    return f" Did you mean '{nearest[0]}'?" if nearest else ""


def _listed(config: type, prefix: str = "") -> Iterator[Setting]:
    hints = typing.get_type_hints(config)
    for f in fields(config):
        kind = hints[f.name]
        if is_dataclass(kind):
            yield from _listed(typing.cast("type", kind), f"{prefix}{f.name}.")
            continue
        sentence = get_attribute_docstring(config, f.name).docstring_below
        yield Setting(
            name=prefix + f.name,
            kind=_kind_in_words(kind),
            sentence=" ".join(sentence.split()),
            default=_default_in_words(f.default),
        )


def _kind_in_words(kind: object) -> str:
    arguments = typing.get_args(kind)
    if isinstance(kind, type) and issubclass(kind, Enum):
        return "|".join(member.value for member in kind)
    if NoneType in arguments:
        return _kind_in_words(next(a for a in arguments if a is not NoneType))
    return kind.__name__.lower() if isinstance(kind, type) and not arguments else str(kind)


def _default_in_words(default: object) -> str:
    if default is MISSING:
        return ""
    plain = draccus.encode(default)
    return plain if isinstance(plain, str) else json.dumps(plain)
