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
from recap.choices import require_choices
from recap.config import RecapConfig, ServingConfig
from recap.project import SETTINGS_FILE
from recap.remote.config import RemotePolicyConfig

CONFIG_FLAG: Final = "config_path"
ALWAYS_SHOWN: Final = (
    *("project", "iteration", "seed", "workers", "skip_unjudged", "include_interrupted", "wandb"),
)
"""Settings that every command's help shows."""

SHORT_NAMES: Final = {
    "episodes": "session.episodes",
    "minutes": "session.minutes",
    "task": "session.task",
    "policy.path": "session.policy",
    **{f"policy.{f.name}": f"remote.{f.name}" for f in fields(RemotePolicyConfig)},
    "database-url": "label.database_url",
}
"""What is typed often: at every session with a robot, the policy's as LeRobot's users know it."""

FORM_SHORT_NAMES: Final = {name: f"form.{name}" for name in ("host", "port", "token")}
"""What is typed where the form is opened, and would mean something else elsewhere."""

FILE_SHORT_NAMES: Final = {"to": "label.file", "from": "label.file"}
"""What is typed where verdicts leave the project or come into it."""

INSPECT_SHORT_NAMES: Final = {
    name: f"inspect.{name}" for name in ("episode", "pick", "count", "to", "rerun")
}
"""What is typed to look at a value model."""

SESSION_LENGTHS: Final = ("session.episodes", "session.minutes")

SECRETS: Final = ("remote.token", "form.token", "label.database_url")
"""Settings that are written nowhere; `recap.judgements` notes the database without its password."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Setting:
    """One setting, as help shows it."""

    name: str
    kind: str
    sentence: str
    default: str


@dataclass(frozen=True, slots=True)
class _Known:
    """The tree of settings that exist: a leaf has no children.

    An open group holds the settings of something that checks them itself, such as a LeRobot robot.
    A flat one holds one number for each name, and the names may have dots, such as ``gripper.pos``.
    """

    children: Mapping[str, "_Known"] = field(default_factory=dict)
    is_open: bool = False
    is_flat: bool = False
    is_text: bool = False
    holds_text: bool = False

    def names(self, prefix: str = "") -> Iterator[str]:
        """Every setting with its full name."""
        for name, child in self.children.items():
            yield prefix + name
            yield from child.names(f"{prefix}{name}.")


def read_settings(
    arguments: Sequence[str], *, short_names: Mapping[str, str] = SHORT_NAMES
) -> RecapConfig:
    """Read the configuration from command-line arguments and the file they name.

    Without ``--config_path`` the settings of the project that ``--project`` names are read, if it
    exists, so that ``recap label --project=runs/tabletop`` means that project as it was made.

    Args:
        arguments: What was typed after the command.
        short_names: What the command calls some of its settings.

    Raises:
        ConfigError: If a setting is unknown, has no value, or a value it cannot have.
    """
    flags = _flags(arguments, short_names)
    merged = _from_file(flags, RecapConfig)
    if CONFIG_FLAG not in flags and "project" in flags:
        frozen = Path(flags["project"]) / SETTINGS_FILE
        merged = _load(frozen) if frozen.exists() else merged
    merged = _over(merged, flags, RecapConfig)
    _require_robot(flags, merged)
    if merged.get("project") is None:
        message = "project is not set. Say which folder the run lives in: --project=runs/NAME"
        raise ConfigError(message)
    return _decode(RecapConfig, merged)


def read_serving(arguments: Sequence[str]) -> ServingConfig:
    """Read the settings of a server, which has no project, from arguments and the file they name.

    Raises:
        ConfigError: If a setting is unknown, has no value, or a value it cannot have.
    """
    flags = _flags(arguments, {})
    merged = _over(_from_file(flags, ServingConfig), flags, ServingConfig)
    return _decode(ServingConfig, merged)


def plain_settings(config: RecapConfig) -> dict[str, Any]:
    """Give the whole configuration as mappings, lists, texts and numbers, without secrets."""
    plain: dict[str, Any] = json.loads(json.dumps(draccus.encode(config)))
    for name in SECRETS:
        group, _, leaf = name.partition(".")
        plain[group].pop(leaf)
    return plain


def settings_of(sections: Sequence[str]) -> list[Setting]:
    """List the settings that a command reads, each with its sentence and default.

    Args:
        sections: Top-level settings that the command reads besides those that all read.
    """
    shown = set(ALWAYS_SHOWN) | set(sections)
    listed = [s for s in _listed(RecapConfig) if _group(s) in shown]
    return sorted(listed, key=lambda setting: _group(setting) in ALWAYS_SHOWN)


def serving_settings() -> list[Setting]:
    """List the settings of a server."""
    return list(_listed(ServingConfig))


def _require_robot(flags: Mapping[str, str], merged: Mapping[str, Any]) -> None:
    """Refuse what is for a session where there is no robot: it would be simulated instead."""
    for name in flags:
        if name in SESSION_LENGTHS and not merged.get("robot"):
            message = (
                f"--{name.removeprefix('session.')} is for a session with a robot, and none is "
                f"named. Name it with --robot.type=... or --config_path=..., or, for the "
                f"simulation, use --collect.episodes or --demonstrations.episodes."
            )
            raise ConfigError(message)


def _group(setting: Setting) -> str:
    return setting.name.split(".")[0]


def _from_file(flags: Mapping[str, str], kind: type) -> dict[str, Any]:
    """Read the file that ``--config_path`` names, if it is given."""
    if CONFIG_FLAG not in flags:
        return {}
    path = Path(flags[CONFIG_FLAG])
    content = _load(path)
    _require_tree_known(content, _known(kind), source=f"{path}: ")
    return content


def _over(settings: dict[str, Any], flags: Mapping[str, str], kind: type) -> dict[str, Any]:
    """Put the flags over the settings of a file."""
    known = _known(kind)
    for name, text in flags.items():
        if name != CONFIG_FLAG:
            parts = name.split(".")
            _require_known(parts, known, source="")
            leaf, parts = _leaf(parts, known)
            # An instruction with a colon in it is no mapping.
            _put(settings, parts, text if leaf.is_text else _value_of(name, text))
    return settings


def _leaf(parts: list[str], known: _Known) -> tuple[_Known, list[str]]:
    """Return where a name leads, and its parts with what follows a flat group in one piece."""
    for depth, part in enumerate(parts, start=1):
        if known.is_open and not known.is_flat:
            break
        if known.is_flat:
            one = _Known(is_text=known.holds_text)
            return one, [*parts[: depth - 1], ".".join(parts[depth - 1 :])]
        known = known.children[part]
    return known, parts


def _flags(arguments: Sequence[str], short_names: Mapping[str, str]) -> dict[str, str]:
    """Split ``--name=value`` and ``--name value`` into full names and texts."""
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
    return {_full_name(name, short_names): text for name, text in flags.items()}


def _full_name(name: str, short_names: Mapping[str, str]) -> str:
    """Return the setting that a short name stands for, or one inside the group it stands for."""
    for short, full in short_names.items():
        if name == short or name.startswith(f"{short}."):
            return full + name.removeprefix(short)
    return name


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


def _decode[Config](kind: type[Config], merged: Mapping[str, Any]) -> Config:
    require_choices(kind, merged)
    try:
        config: Config = draccus.decode(kind, merged)
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
            f.name: _known(hints[f.name])
            if is_dataclass(hints[f.name])
            else _Known(
                is_open=_is_mapping(hints[f.name]),
                is_flat=_is_mapping(hints[f.name]) and Any not in typing.get_args(hints[f.name]),
                is_text=hints[f.name] is str,
                holds_text=_is_mapping(hints[f.name]) and typing.get_args(hints[f.name])[1] is str,
            )
            for f in fields(config)
        }
    )


def _require_tree_known(
    tree: Mapping[str, Any], known: _Known, *, source: str, prefix: tuple[str, ...] = ()
) -> None:
    for name, value in tree.items():
        parts = (*prefix, str(name))
        _require_known(parts, known, source=source)
        if _at(parts, known).is_open:
            continue
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
        if here.is_open:
            return
        if part not in here.children:
            message = (
                f"{source}'{'.'.join(parts)}' is not a setting."
                f"{_suggestion(part, here=here, everywhere=known)}"
            )
            raise ConfigError(message)
        here = here.children[part]


def _suggestion(part: str, *, here: _Known, everywhere: _Known) -> str:
    """Name the nearest setting in the same group, or the same word in another group."""
    known = [*here.children, *SHORT_NAMES] if here is everywhere else [*here.children]
    nearest = difflib.get_close_matches(part, known, n=1)
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
            name=prefix + f.name + (".*" if _is_mapping(kind) else ""),
            kind=_kind_in_words(kind),
            sentence=" ".join(sentence.split()),
            default=_default_in_words(f.default),
        )


def _is_mapping(kind: object) -> bool:
    return typing.get_origin(kind) in {dict, Mapping}


def _kind_in_words(kind: object) -> str:
    arguments = typing.get_args(kind)
    if _is_mapping(kind):
        return "..."
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
