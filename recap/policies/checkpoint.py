"""Loading of a policy's checkpoint, which must be whole."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from lerobot.configs import PreTrainedConfig
from lerobot.policies.factory import get_policy_class, make_pre_post_processors
from safetensors import SafetensorError
from safetensors.torch import load_model

import recap.policies.flow  # noqa: F401 - registers the policy type
from data.errors import CheckpointError

if TYPE_CHECKING:
    from lerobot.processor import PolicyProcessorPipeline

WEIGHTS_FILE: Final = "model.safetensors"
CONFIG_FILE: Final = "config.json"


@dataclass(frozen=True, slots=True, kw_only=True)
class LoadedPolicy:
    """A policy with the pipelines that belong to it."""

    policy: Any
    """A LeRobot policy, in evaluation mode."""

    preprocessor: PolicyProcessorPipeline
    """From an observation as the world gives it to the policy's batch."""

    postprocessor: PolicyProcessorPipeline
    """From the policy's normalised action to a command."""


def load_policy(
    folder: Path, *, indicator: str | None = None, guidance_scale: float | None = None
) -> LoadedPolicy:
    """Load a ``pretrained_model`` folder of any LeRobot policy type.

    Some LeRobot policies fall back to random weights where the file is missing; here every tensor
    must be in the file and fit.

    Args:
        folder: The checkpoint.
        indicator: What to tell the policy at run time instead of what the checkpoint says.
        guidance_scale: Guidance to use instead of what the checkpoint says.

    Raises:
        CheckpointError: If the folder is no checkpoint, its weights are missing or do not fit, or
            it knows no indicator or guidance that shall be overridden.
    """
    weights = folder / WEIGHTS_FILE
    if not (folder / CONFIG_FILE).is_file():
        message = f"{folder} is not a policy checkpoint: it has no {CONFIG_FILE}."
        raise CheckpointError(message)
    if not weights.is_file():
        message = (
            f"{folder} has no weights ({WEIGHTS_FILE} is missing), and a policy without them acts "
            f"at random. Train it again, or restore the file."
        )
        raise CheckpointError(message)
    config = PreTrainedConfig.from_pretrained(folder, local_files_only=True)
    if guidance_scale is not None:
        _guide(config, guidance_scale, folder)
    policy = get_policy_class(config.type)(config)
    _load_weights(policy, weights)
    overrides: dict[str, Any] = {"device_processor": {"device": str(config.device)}}
    if indicator is not None:
        overrides["IndicatorStep"] = {"runtime": indicator}
    preprocessor, postprocessor = _load_processors(config, folder, overrides)
    policy.to(config.device).eval()
    return LoadedPolicy(policy=policy, preprocessor=preprocessor, postprocessor=postprocessor)


def statistics_of(preprocessor: PolicyProcessorPipeline) -> Mapping[str, Mapping[str, Any]]:
    """Return the statistics by which a loaded preprocessor normalises."""
    for step in preprocessor.steps:
        if hasattr(step, "norm_map"):
            statistics: Mapping[str, Mapping[str, Any]] = step.stats
            return statistics
    message = "The checkpoint's preprocessor does not normalise, so it holds no statistics."
    raise CheckpointError(message)


def _guide(config: Any, scale: float, folder: Path) -> None:  # noqa: ANN401 - any LeRobot policy
    if hasattr(config, "guidance_scale"):
        config.guidance_scale = scale
    elif scale != 1.0:  # plain conditioning is what every policy does
        message = (
            f"{folder} is a policy of type {config.type}, which has no guidance, so it cannot be "
            f"{scale}. Leave the guidance out."
        )
        raise CheckpointError(message)


def _load_processors(
    config: Any,  # noqa: ANN401 - any LeRobot policy
    folder: Path,
    overrides: dict[str, Any],
) -> tuple[PolicyProcessorPipeline, PolicyProcessorPipeline]:
    try:
        pipelines: tuple[PolicyProcessorPipeline, PolicyProcessorPipeline] = (
            make_pre_post_processors(
                config, pretrained_path=str(folder), preprocessor_overrides=overrides
            )
        )
    except KeyError as error:  # LeRobot: an override for a step that is not there
        if "IndicatorStep" not in str(error) or "IndicatorStep" not in overrides:
            raise
        message = (
            f"{folder} was not trained with an indicator, so it cannot be told "
            f"{overrides['IndicatorStep']['runtime']!r}. Leave the indicator out."
        )
        raise CheckpointError(message) from error
    return pipelines


def _load_weights(policy: Any, weights: Path) -> None:  # noqa: ANN401 - any LeRobot policy
    try:
        missing, unexpected = load_model(policy, weights, strict=False)
    except SafetensorError as error:
        message = f"{weights} is damaged ({error}). Train the policy again, or restore the file."
        raise CheckpointError(message) from error
    except RuntimeError as error:  # torch: a tensor of another size
        first = str(error).splitlines()[-1].strip()
        message = f"{weights} does not fit its {CONFIG_FILE}: {first}"
        raise CheckpointError(message) from error
    wrong = sorted([*missing, *unexpected])
    if wrong:
        message = (
            f"{weights} does not fit its {CONFIG_FILE}: {len(wrong)} tensor(s) are missing or left "
            f"over, first {wrong[0]!r}."
        )
        raise CheckpointError(message)
