"""The processor step that tells a policy how good its actions should be."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import numpy as np
import torch
from lerobot.lerobot_types import TransitionKey
from lerobot.processor import ProcessorStep
from numpy.typing import NDArray

from data.errors import CheckpointError, ConfigError
from recap.policies.prompts import ABSENT, NEGATIVE, POSITIVE, with_indicator

Signs = NDArray[np.int8]

SIGNS: Final = "indicators"
"""Name of the signs in the state of the step."""

RUNTIME_INDICATORS: Final = {"positive": POSITIVE, "none": ABSENT, "negative": NEGATIVE}


def dropped(indicators: Signs, *, share: float, generator: np.random.Generator) -> Signs:
    """Return the indicators with a random share of them replaced by ``ABSENT``."""
    return np.where(generator.random(len(indicators)) < share, ABSENT, indicators).astype(np.int8)


@dataclass
class IndicatorStep(ProcessorStep):
    """Append ``Advantage: positive`` or ``Advantage: negative`` to the task.

    In training (an action is present) the sign of each frame is looked up by the frame's ``index``
    and dropped at random; at run time it is the ``runtime`` setting. LeRobot saves the step inside
    the checkpoint by its import path, so stock tools run it; nothing in it is bound to a policy
    type. The signs are the step's state and lie in the checkpoint too: it names no place outside
    itself, so it may be moved, and equal training makes equal checkpoints wherever it is done.
    """

    table: str = ""
    """Path of an ``advantages.parquet`` to read in training where no signs were given."""

    runtime: str = "positive"
    """What the policy is told at run time: "positive", "none" or "negative"."""

    dropout: float = 0.3
    """Share of the frames told no indicator in training."""

    seed: int = 0
    """Seed of the dropout."""

    indicators: Signs | None = None
    """``(N,)`` signs by ``index``; saved as state, not as a setting."""

    def __post_init__(self) -> None:
        """Check the runtime setting."""
        if self.runtime not in RUNTIME_INDICATORS:
            message = (
                f"indicator must be one of {', '.join(RUNTIME_INDICATORS)}, got {self.runtime!r}."
            )
            raise ConfigError(message)
        self._generator = np.random.default_rng(self.seed)

    def __call__(self, transition: dict[TransitionKey, Any]) -> dict[TransitionKey, Any]:
        """Append the indicator to every task of the batch."""
        extra = dict(transition.get(TransitionKey.COMPLEMENTARY_DATA) or {})
        task = extra.get("task")
        if task is None:
            return transition
        tasks = [task] if isinstance(task, str) else list(task)
        if transition.get(TransitionKey.ACTION) is None:
            indicators: Signs = np.full(len(tasks), RUNTIME_INDICATORS[self.runtime], np.int8)
        else:
            indicators = self._training_indicators(extra.get("index"), len(tasks))
        told = [with_indicator(t, int(i)) for t, i in zip(tasks, indicators, strict=True)]
        extra["task"] = told[0] if isinstance(task, str) else told
        return {**transition, TransitionKey.COMPLEMENTARY_DATA: extra}

    def get_config(self) -> dict[str, Any]:
        """Return what is saved inside the checkpoint."""
        return {
            "table": self.table,
            "runtime": self.runtime,
            "dropout": self.dropout,
            "seed": self.seed,
        }

    def state_dict(self) -> dict[str, torch.Tensor]:
        """Return the signs, where there are any; the checkpoint keeps them beside the settings."""
        return {} if self.indicators is None else {SIGNS: torch.from_numpy(self.indicators)}

    def load_state_dict(self, state: dict[str, torch.Tensor]) -> None:
        """Take the signs that a checkpoint kept."""
        self.indicators = state[SIGNS].cpu().numpy()

    def transform_features(self, features: dict[Any, Any]) -> dict[Any, Any]:
        """Leave the description of the features as it is."""
        return features

    def _training_indicators(self, index: Any, frames: int) -> Signs:  # noqa: ANN401
        if self.indicators is None and self.table:
            self.indicators = indicators_from_table(Path(self.table))
        if self.indicators is None or index is None:
            return np.full(frames, ABSENT, dtype=np.int8)
        rows = np.asarray(index).reshape(-1)
        # A frame the table does not know has no indicator; it is not negative.
        is_known = rows < len(self.indicators)
        found = np.where(is_known, self.indicators[np.where(is_known, rows, 0)], ABSENT)
        return dropped(found.astype(np.int8), share=self.dropout, generator=self._generator)


def indicators_from_table(path: Path) -> Signs:
    """Read ``(N,)`` signs by frame index; a frame without an entry gets ``ABSENT``.

    Raises:
        CheckpointError: If the table does not exist.
    """
    import pyarrow.parquet

    if not path.is_file():
        message = (
            f"The checkpoint's indicator table {path} does not exist, and training needs it. Make "
            f"it with `recap mark-advantage`."
        )
        raise CheckpointError(message)
    columns = pyarrow.parquet.read_table(path, columns=["index", "indicator"])
    index = columns["index"].to_numpy()
    words = columns["indicator"].to_pylist()
    signs = np.full(int(index.max(initial=-1)) + 1, ABSENT, dtype=np.int8)
    signs[index] = [RUNTIME_INDICATORS.get(word or "none", ABSENT) for word in words]
    return signs
