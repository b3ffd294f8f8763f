"""What a training step does to the weights: the optimizer, its schedule, and averages."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import TYPE_CHECKING

import torch
from torch import Tensor, nn

if TYPE_CHECKING:
    from value_models.config import ValueTrainingConfig

Tensors = dict[str, Tensor]


def make_optimizer(
    model: nn.Module, config: ValueTrainingConfig, device: torch.device
) -> torch.optim.AdamW:
    """Make an AdamW of the parameters that are not frozen."""
    return torch.optim.AdamW(
        trainable(model).values(),
        lr=config.learning_rate,
        weight_decay=config.weight_decay,
        fused=device.type in {"cpu", "cuda"},
    )


def trainable(model: nn.Module) -> dict[str, nn.Parameter]:
    """Give the parameters that are not frozen, each once, in a fixed order."""
    return {name: p for name, p in model.named_parameters() if p.requires_grad}


def learned_tensors(model: nn.Module) -> Tensors:
    """Give all of a model's state that training may change: weights not frozen, and buffers.

    They are the model's own, not copies.
    """
    named = model.named_parameters(remove_duplicate=False)
    frozen = {name for name, parameter in named if not parameter.requires_grad}
    return {name: t for name, t in model.state_dict().items() if name not in frozen}


def copy_of(tensors: Mapping[str, Tensor]) -> Tensors:
    """Copy tensors, so that they stay as they are."""
    return {name: tensor.detach().clone() for name, tensor in tensors.items()}


def put_in(model: nn.Module, tensors: Mapping[str, Tensor]) -> None:
    """Give a model the learned tensors of ``learned_tensors``, in place."""
    with torch.no_grad():
        for name, tensor in learned_tensors(model).items():
            tensor.copy_(tensors[name])


def learning_rate_share(step: int, *, steps: int, warmup_steps: int) -> float:
    """Give the share of the highest learning rate to use at a step, counted from one.

    It rises in a straight line over ``warmup_steps``, then falls along a cosine to zero.
    """
    warmup_steps = min(warmup_steps, steps // 2)
    if step <= warmup_steps:
        return step / warmup_steps
    return 0.5 * (1.0 + math.cos(math.pi * (step - 1 - warmup_steps) / (steps - warmup_steps)))


def optimizer_tensors(
    optimizer: torch.optim.Optimizer, parameters: Mapping[str, nn.Parameter]
) -> Tensors:
    """Give what an optimizer remembers of every parameter, as ``<memory>.<parameter>``."""
    return {
        f"{memory}.{name}": tensor
        for name, parameter in parameters.items()
        for memory, tensor in optimizer.state[parameter].items()
    }


def put_in_optimizer(
    optimizer: torch.optim.Optimizer,
    parameters: Mapping[str, nn.Parameter],
    tensors: Mapping[str, Tensor],
) -> None:
    """Let an optimizer of the same parameters remember what ``optimizer_tensors`` gave."""
    places = {name: place for place, name in enumerate(parameters)}
    remembered: dict[int, Tensors] = {}
    for label, tensor in tensors.items():
        memory, _, name = label.partition(".")
        remembered.setdefault(places[name], {})[memory] = tensor
    groups = optimizer.state_dict()["param_groups"]
    optimizer.load_state_dict({"state": remembered, "param_groups": groups})


class AveragedWeights:
    """An exponential moving average of everything that training changes, in float32.

    After step t the average moves by ``1 - min(decay, (1 + t) / (10 + t))`` of the way to the
    weights: early on it forgets faster, so that the weights of the start do not linger.
    """

    def __init__(self, model: nn.Module, *, decay: float) -> None:
        self.decay = decay
        self.tensors = {
            name: tensor.float() if tensor.is_floating_point() else tensor
            for name, tensor in copy_of(learned_tensors(model)).items()
        }

    def update(self, model: nn.Module, step: int) -> None:
        """Move towards the weights after a step, counted from one."""
        share = 1.0 - min(self.decay, (1.0 + step) / (10.0 + step))
        with torch.no_grad():
            for name, tensor in learned_tensors(model).items():
                average = self.tensors[name]
                if average.is_floating_point():
                    average.lerp_(tensor.float(), share)
                else:
                    average.copy_(tensor)

    @contextmanager
    def in_place(self, model: nn.Module) -> Iterator[None]:
        """Let the model have the average for a while."""
        own = copy_of(learned_tensors(model))
        put_in(model, self.tensors)
        try:
            yield
        finally:
            put_in(model, own)

    def put(self, tensors: Mapping[str, Tensor]) -> None:
        """Take up an average that was written down."""
        for name, average in self.tensors.items():
            average.copy_(tensors[name])
