"""LoRA: small matrices trained beside the weights, and merged into them afterwards."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import TYPE_CHECKING, Any

from torch import nn

if TYPE_CHECKING:
    from value_models.vlm.backbone import Backbone
    from value_models.vlm.config import VlmConfig


def add_adapters(backbone: Backbone, config: VlmConfig) -> None:
    """Put adapters on every projection inside attention and MLP, and freeze all that they serve.

    The vision tower gets none where it is frozen. What joins vision and language is trained whole.
    Adapters begin as zero, so nothing changes until they are trained; they keep float32.
    """
    from peft import LoraConfig, inject_adapter_in_model

    parts = [backbone.language] if config.freeze_vision else [backbone.language, backbone.vision]
    idle = {id(module) for part in backbone.idle for module in part.modules()}
    inside = {id(module) for part in parts for module in _linear_in_layers(part)} - idle
    names = [name for name, module in backbone.named_modules() if id(module) in inside]
    inject_adapter_in_model(
        LoraConfig(
            r=config.lora_rank, lora_alpha=config.lora_alpha, lora_dropout=0.0, target_modules=names
        ),
        backbone,
    )
    for _, layer in _adapted(backbone):
        for adapter in (layer.lora_A, layer.lora_B):
            adapter.float()
    for parameter in _joining(backbone):
        parameter.requires_grad = True


def merge_adapters(backbone: Backbone) -> None:
    """Add the adapters to the weights that they serve, and take them off."""
    for name, layer in list(_adapted(backbone)):
        layer.merge(safe_merge=True)
        parent, _, child = name.rpartition(".")
        setattr(backbone.get_submodule(parent), child, layer.get_base_layer())
    if hasattr(backbone, "peft_config"):  # a note of peft's that they are there
        del backbone.peft_config


def _adapted(backbone: nn.Module) -> Iterator[tuple[str, Any]]:
    """Give the layers that carry an adapter, with their names."""
    from peft.tuners.lora import LoraLayer

    for name, module in backbone.named_modules():
        if isinstance(module, LoraLayer):
            yield name, module


def _linear_in_layers(part: nn.Module) -> Iterable[nn.Module]:
    """Give the linear maps of a transformer's layers: attention and MLP."""
    return (
        module
        for name, module in part.named_modules()
        if isinstance(module, nn.Linear) and ".layers." in f".{name}"
    )


def _joining(backbone: Backbone) -> Iterator[nn.Parameter]:
    """Give the weights that are in neither vision nor language: the projection between them."""
    apart = (backbone.vision, backbone.language, *backbone.idle)
    inside = {id(parameter) for part in apart for parameter in part.parameters()}
    return (parameter for parameter in backbone.parameters() if id(parameter) not in inside)
