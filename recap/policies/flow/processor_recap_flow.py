"""What happens to an observation before the policy and to an action after it."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import Any

import torch
from lerobot.lerobot_types import TransitionKey
from lerobot.processor import (
    PolicyProcessorPipeline,
    ProcessorStep,
    make_default_policy_processor_steps,
    make_policy_processor_pipelines,
)
from lerobot.utils.constants import OBS_LANGUAGE_ATTENTION_MASK, OBS_LANGUAGE_TOKENS
from torch import Tensor

from recap.policies.flow.configuration_recap_flow import RecapFlowConfig
from recap.policies.flow.language import PAD_ID, RESERVED_WORDS, UNKNOWN_ID
from recap.policies.indicator import IndicatorStep
from recap.policies.prompts import words_of

SMALLEST_STANDARD_DEVIATION = 1e-3
"""An entry that hardly moved in the data must not be blown up when it moves later."""


def vocabulary_of(tasks: Iterable[str]) -> list[str]:
    """Return the words of all tasks in alphabetical order, without the reserved ones."""
    return sorted({word for task in tasks for word in words_of(task)} - set(RESERVED_WORDS))


@dataclass
class WordTokenizerStep(ProcessorStep):
    """Turn the prompt into word numbers; a word that is not known is ``<unk>``."""

    vocabulary: list[str] = field(default_factory=list)
    """Words numbered from ``len(RESERVED_WORDS)`` on."""

    length: int = 24
    """Numbers per prompt; shorter ones are padded, longer ones lose words of the task."""

    def __post_init__(self) -> None:
        """Number the words."""
        self._number = {word: i for i, word in enumerate([*RESERVED_WORDS, *self.vocabulary])}

    def tokenize(self, prompts: Sequence[str]) -> tuple[Tensor, Tensor]:
        """Return ``(B, length)`` int64 word numbers and the ``(B, length)`` bool mask of words."""
        tokens = torch.full((len(prompts), self.length), PAD_ID, dtype=torch.long)
        for row, prompt in zip(tokens, prompts, strict=True):
            task, _, indicator = prompt.partition("\n")
            last = words_of(indicator)
            words = words_of(task)[: self.length - len(last)] + last
            numbers = [self._number.get(word, UNKNOWN_ID) for word in words]
            row[: len(numbers)] = torch.tensor(numbers, dtype=torch.long)
        return tokens, tokens != PAD_ID

    def __call__(self, transition: dict[TransitionKey, Any]) -> dict[TransitionKey, Any]:
        """Add the tokens of ``task`` to the observation."""
        task = (transition.get(TransitionKey.COMPLEMENTARY_DATA) or {}).get("task")
        if task is None:
            message = "The policy is told its task in words, and the batch holds no 'task'."
            raise ValueError(message)
        tokens, mask = self.tokenize([task] if isinstance(task, str) else task)
        observation = dict(transition.get(TransitionKey.OBSERVATION) or {})
        observation[OBS_LANGUAGE_TOKENS] = tokens
        observation[OBS_LANGUAGE_ATTENTION_MASK] = mask
        return {**transition, TransitionKey.OBSERVATION: observation}

    def get_config(self) -> dict[str, Any]:
        """Return what is saved inside the checkpoint."""
        return {"vocabulary": self.vocabulary, "length": self.length}

    def transform_features(self, features: dict[Any, Any]) -> dict[Any, Any]:
        """Leave the description of the features as it is."""
        return features


def make_recap_flow_pre_post_processors(
    config: RecapFlowConfig,
    dataset_stats: dict[str, dict[str, Any]] | None = None,
    dataset_meta: Any = None,  # noqa: ANN401 - LeRobot's own, imported only for typing
    indicator: IndicatorStep | None = None,
) -> tuple[PolicyProcessorPipeline, PolicyProcessorPipeline]:
    """Build both pipelines, under the name by which LeRobot finds this function.

    Args:
        config: The policy's configuration; an empty vocabulary is filled from ``dataset_meta``.
        dataset_stats: Statistics of state and action.
        dataset_meta: The dataset's metadata, of which the tasks are read.
        indicator: The indicator's step; by default one without a table that says "positive" at
            run time.
    """
    if not config.vocabulary and dataset_meta is not None:
        config.vocabulary = vocabulary_of(str(task) for task in dataset_meta.tasks.index)
    steps = make_default_policy_processor_steps(config, guarded_statistics(dataset_stats))
    pipelines: tuple[PolicyProcessorPipeline, PolicyProcessorPipeline]
    pipelines = make_policy_processor_pipelines(
        input_steps=[
            steps.rename_observations,
            steps.add_batch_dim,
            indicator or IndicatorStep(),
            WordTokenizerStep(vocabulary=config.vocabulary, length=config.text_length),
            steps.to_device,
            steps.normalize,
        ],
        output_steps=[steps.unnormalize, steps.to_cpu],
    )
    return pipelines


def guarded_statistics(
    statistics: dict[str, dict[str, Any]] | None,
) -> dict[str, dict[str, Tensor]] | None:
    """Return the statistics as float32 tensors, with a floor under every standard deviation."""
    if statistics is None:
        return None
    guarded = {
        key: {name: torch.as_tensor(value, dtype=torch.float32) for name, value in entry.items()}
        for key, entry in statistics.items()
    }
    for entry in guarded.values():
        if "std" in entry:
            entry["std"] = entry["std"].clamp(min=SMALLEST_STANDARD_DEVIATION)
    return guarded
