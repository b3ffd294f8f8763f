"""A value model as a folder: ``model.safetensors``, ``config.json`` and ``metrics.json``."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Any, Final

from safetensors import SafetensorError
from safetensors.torch import load_file, save_file
from torch import Tensor

from data.errors import CheckpointError, ProjectError, RecapError
from data.files import read_json, whole_folder, write_json_atomically
from value_models.config import EncoderKind, Projection, ValueModelConfig
from value_models.model import DistributionalValueModel
from value_models.spec import FeatureSource, ValueSpec

WEIGHTS_FILE: Final = "model.safetensors"
CONFIG_FILE: Final = "config.json"
METRICS_FILE: Final = "metrics.json"
KIND: Final = "recap value model, format 2"


def save_checkpoint(
    model: DistributionalValueModel, folder: Path, *, metrics: Mapping[str, Any] | None = None
) -> None:
    """Write a value model, whole or not at all.

    Args:
        model: The model.
        folder: Where to; it must not exist, as nothing that exists is changed.
        metrics: What was measured on held-out episodes, kept beside the weights.

    Raises:
        CheckpointError: If ``folder`` exists.
    """
    try:
        with whole_folder(folder) as partial:
            weights = {name: t.detach().cpu().contiguous() for name, t in _tensors(model).items()}
            save_file(weights, partial / WEIGHTS_FILE)
            model.encoder.save_assets(partial)
            write_json_atomically(partial / CONFIG_FILE, {"kind": KIND, **asdict(model.spec)})
            if metrics is not None:
                write_json_atomically(partial / METRICS_FILE, dict(metrics))
    except FileExistsError:
        message = f"{folder} exists already and is not overwritten. Delete it to train it again."
        raise CheckpointError(message) from None


def load_checkpoint(folder: Path) -> DistributionalValueModel:
    """Read a value model that ``save_checkpoint`` wrote, ready to predict on the CPU.

    Raises:
        CheckpointError: If the folder, its configuration or its weights are missing, damaged,
            or do not belong together.
    """
    if not folder.is_dir():
        message = f"{folder} does not exist. Train a value model with `recap train-value`."
        raise CheckpointError(message)
    spec = _read_spec(folder)
    model = DistributionalValueModel(spec, assets=folder)
    model.load_state_dict(_read_weights(folder, _tensors(model)))
    return model.eval()


def _tensors(model: DistributionalValueModel) -> dict[str, Tensor]:
    return dict(model.state_dict())


def _read_spec(folder: Path) -> ValueSpec:
    path = folder / CONFIG_FILE
    if not path.is_file():
        message = (
            f"{folder} is not a value model: it holds no {CONFIG_FILE}. "
            f"Train one with `recap train-value`."
        )
        raise CheckpointError(message)
    try:
        return _spec_from_json(read_json(path))
    except (KeyError, TypeError, ValueError, RecapError) as error:
        reason = "" if isinstance(error, KeyError) else f" ({error})"
        if isinstance(error, ProjectError):
            reason = " (it is not JSON)"
        message = (
            f"{path} does not describe a value model of this version{reason}. "
            f"Restore the folder from a copy, or train again with `recap train-value`."
        )
        raise CheckpointError(message) from error


def _spec_from_json(content: dict[str, Any]) -> ValueSpec:
    kind = content["kind"]
    if kind != KIND:
        message = f"it says {kind!r} where {KIND!r} is expected"
        raise ValueError(message)
    config = dict(content["config"])
    config["projection"] = Projection(config["projection"])
    config["encoder"] = EncoderKind(config["encoder"])
    features = content["features"]
    return ValueSpec(
        config=ValueModelConfig(**config),
        tasks=tuple(content["tasks"]),
        vocabulary=tuple(content["vocabulary"]),
        cameras={name: (height, width) for name, (height, width) in content["cameras"].items()},
        state_mean=tuple(content["state_mean"]),
        state_std=tuple(content["state_std"]),
        normalisers=dict(content["normalisers"]),
        scaling=content["scaling"],
        trainset_fingerprint=content["trainset_fingerprint"],
        base_fingerprint=content["base_fingerprint"],
        features=None if features is None else FeatureSource(**features),
    )


def _read_weights(folder: Path, expected: Mapping[str, Tensor]) -> dict[str, Tensor]:
    path = folder / WEIGHTS_FILE
    if not path.is_file():
        message = (
            f"{folder} holds no weights: {WEIGHTS_FILE} is missing. Copy the whole folder again, "
            f"or train again with `recap train-value`."
        )
        raise CheckpointError(message)
    try:
        weights = load_file(path)
    except SafetensorError as error:
        message = (
            f"{path} is damaged ({error}). Copy the whole folder again, or train again with "
            f"`recap train-value`."
        )
        raise CheckpointError(message) from error
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
