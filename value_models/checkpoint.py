"""A value model as a folder: ``model.safetensors``, ``config.json`` and ``metrics.json``."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, is_dataclass
from enum import Enum
from pathlib import Path
from typing import Any, Final, get_type_hints

from safetensors import SafetensorError
from safetensors.torch import load_file, save_file
from torch import Tensor

from data.errors import CheckpointError, ProjectError, RecapError
from data.files import read_json, whole_folder, write_json_atomically
from value_models.config import ValueModelConfig
from value_models.ensemble import join, members_of
from value_models.model import DistributionalValueModel
from value_models.resume import unshared
from value_models.spec import FeatureSource, ValueSpec

WEIGHTS_FILE: Final = "model.safetensors"
CONFIG_FILE: Final = "config.json"
METRICS_FILE: Final = "metrics.json"
KIND: Final = "recap value model, format 2"


_ANEW: Final = "Copy the whole folder again, or delete it and run `recap train-value` again."


def save_checkpoint(
    model: DistributionalValueModel,
    folder: Path,
    *,
    metrics: Mapping[str, Any] | None = None,
    pictures: Mapping[str, bytes] | None = None,
) -> None:
    """Write a value model, whole or not at all.

    Args:
        model: The model; the members of an ensemble share the folder.
        folder: Where to; it must not exist, as nothing that exists is changed.
        metrics: What was measured on held-out episodes, kept beside the weights.
        pictures: File name to content of the same in pictures, kept there too.

    Raises:
        CheckpointError: If ``folder`` exists.
    """
    try:
        with whole_folder(folder) as partial:
            save_file(unshared(_tensors(model)), partial / WEIGHTS_FILE)
            model.encoder.save_assets(partial)
            about = {"kind": KIND, "members": len(members_of(model)), **asdict(model.spec)}
            write_json_atomically(partial / CONFIG_FILE, about)
            if metrics is not None:
                write_json_atomically(partial / METRICS_FILE, dict(metrics))
            for name, content in (pictures or {}).items():
                (partial / name).write_bytes(content)
    except FileExistsError:
        message = f"{folder} exists already and is not overwritten. Delete it to train it again."
        raise CheckpointError(message) from None


def load_checkpoint(folder: Path) -> DistributionalValueModel:
    """Read a value model that ``save_checkpoint`` wrote, ready to predict on the CPU.

    Returns:
        The model, or the ensemble where the folder states several members.

    Raises:
        CheckpointError: If the folder, its configuration or its weights are missing, damaged,
            or do not belong together.
    """
    if not folder.is_dir():
        message = f"{folder} does not exist. Train a value model with `recap train-value`."
        raise CheckpointError(message)
    spec, members = _read_spec(folder)
    model = join([DistributionalValueModel(spec, assets=folder) for _ in range(members)])
    model.load_state_dict(_read_weights(folder, _tensors(model)))
    return model.eval()


def _tensors(model: DistributionalValueModel) -> dict[str, Tensor]:
    return dict(model.state_dict())


def _read_spec(folder: Path) -> tuple[ValueSpec, int]:
    """Read what a value model was made for, and how many members it has."""
    path = folder / CONFIG_FILE
    if not path.is_file():
        message = (
            f"{folder} is not a value model: it holds no {CONFIG_FILE}. "
            f"Train one with `recap train-value`."
        )
        raise CheckpointError(message)
    try:
        content = read_json(path)
        return _spec_from_json(content), _members_from_json(content)
    except (KeyError, TypeError, ValueError, RecapError) as error:
        reason = "" if isinstance(error, KeyError) else f" ({error})"
        if isinstance(error, ProjectError):
            reason = " (it is not JSON)"
        message = (
            f"{path} does not describe a value model of this version{reason}. "
            f"Restore the folder from a copy, or delete it and run `recap train-value` again."
        )
        raise CheckpointError(message) from error


def _spec_from_json(content: dict[str, Any]) -> ValueSpec:
    kind = content["kind"]
    if kind != KIND:
        message = f"it says {kind!r} where {KIND!r} is expected"
        raise ValueError(message)
    features = content["features"]
    return ValueSpec(
        # Before images were reduced, they were seen as recorded.
        config=_settings_from_json(ValueModelConfig, {"image_size": 0, **content["config"]}),
        tasks=tuple(content["tasks"]),
        vocabulary=tuple(content["vocabulary"]),
        cameras={name: (height, width) for name, (height, width) in content["cameras"].items()},
        state_mean=tuple(content["state_mean"]),
        state_std=tuple(content["state_std"]),
        normalisers=dict(content["normalisers"]),
        fps=content["fps"],
        state_names=None if content["state_names"] is None else tuple(content["state_names"]),
        scaling=content["scaling"],
        trainset_fingerprint=content["trainset_fingerprint"],
        base_fingerprint=content["base_fingerprint"],
        features=None if features is None else FeatureSource(**features),
    )


def _members_from_json(content: dict[str, Any]) -> int:
    members = content.get("members", 1)
    if not isinstance(members, int) or members < 1:
        message = f"members must be at least 1, got {members!r}"
        raise ValueError(message)
    return members


def _settings_from_json[Settings](kind: type[Settings], content: Mapping[str, Any]) -> Settings:
    """Make settings of plain values, enums and settings; what is not there has its default."""
    types = get_type_hints(kind)
    values: dict[str, Any] = {}
    for name, value in content.items():
        wanted = types.get(name)
        if isinstance(wanted, type) and is_dataclass(wanted):
            values[name] = _settings_from_json(wanted, value)
        elif isinstance(wanted, type) and issubclass(wanted, Enum):
            values[name] = wanted(value)
        else:
            values[name] = value
    return kind(**values)


def _read_weights(folder: Path, expected: Mapping[str, Tensor]) -> dict[str, Tensor]:
    path = folder / WEIGHTS_FILE
    if not path.is_file():
        message = f"{folder} holds no weights: {WEIGHTS_FILE} is missing. {_ANEW}"
        raise CheckpointError(message)
    try:
        weights = load_file(path)
    except SafetensorError as error:
        message = f"{path} is damaged ({error}). {_ANEW}"
        raise CheckpointError(message) from error
    broken = sorted(n for n, t in weights.items() if t.is_floating_point() and _is_broken(t))
    if broken:
        message = (
            f"{path} is damaged: {len(broken)} tensor(s) hold what is no number, first "
            f"{broken[0]!r}. {_ANEW}"
        )
        raise CheckpointError(message)
    wrong = sorted(expected.keys() ^ weights.keys()) + sorted(
        name
        for name in expected.keys() & weights.keys()
        if (weights[name].shape, weights[name].dtype)
        != (expected[name].shape, expected[name].dtype)
    )
    if wrong:
        message = (
            f"{path} does not fit {CONFIG_FILE} beside it: {len(wrong)} tensor(s) are missing, "
            f"unknown or of another shape, first {wrong[0]!r}. The two belong to different models."
        )
        raise CheckpointError(message)
    return weights


def _is_broken(tensor: Tensor) -> bool:
    """Say whether a tensor holds NaN. Infinity is a number: what never varies is divided by it."""
    return bool(tensor.isnan().any())
