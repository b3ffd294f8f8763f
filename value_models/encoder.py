"""What every encoder of a value model is: observation and task in, features out."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor, nn


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class ObservationBatch:
    """What was seen, felt and asked for in B frames."""

    images: Mapping[str, Tensor]
    """Camera name to ``(B, H, W, 3)`` images in [0, 255], uint8 or float; empty for an encoder
    that does not read them."""

    state: Tensor
    """``(B, S)`` float32 joints, as recorded."""

    task_index: Tensor
    """``(B,)`` int64 place of each frame's instruction in ``tasks``."""

    tasks: tuple[str, ...]
    """Instructions in words."""

    features: Tensor | None = None
    """``(B, F)`` features of a frozen backbone, for an encoder that reads those instead."""

    @property
    def device(self) -> torch.device:
        """Where the batch lies."""
        return self.state.device

    def instructions(self) -> list[str]:
        """Give the instruction of every frame, in words."""
        return [self.tasks[place] for place in self.task_index.tolist()]


class Encoder(nn.Module, ABC):
    """Turn observations and their tasks into features, from which a head reads the value.

    Made by :func:`value_models.model.make_encoder`. What it learns is in its ``state_dict``; what
    else it needs to be made again (a tokenizer, the shape of a language model) in its assets.
    """

    reads_images: bool = True
    """Whether it needs the images; frames are not decoded for one that does not."""

    @property
    @abstractmethod
    def output_size(self) -> int:
        """Width of the features."""

    @abstractmethod
    def forward(self, batch: ObservationBatch) -> Tensor:
        """Give the ``(B, output_size)`` features of every frame."""

    def save_assets(self, folder: Path) -> None:
        """Write into a checkpoint's folder what is neither weight nor setting; most have none."""

    def begin_training(self) -> None:
        """Say which weights are trained, before an optimizer is made; most train all of them."""

    def finish_training(self) -> None:
        """Take the form in which it is kept; adapters are merged into the weights, for one."""
