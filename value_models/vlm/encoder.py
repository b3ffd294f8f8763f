"""The encoder that is a vision-language model."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor, nn
from torch.nn import functional

from value_models.encoder import Encoder, ObservationBatch
from value_models.vlm.adapters import add_adapters, merge_adapters
from value_models.vlm.backbone import Images
from value_models.vlm.config import StateInput
from value_models.vlm.loading import ASSETS_FOLDER, load_backbone
from value_models.vlm.prompt import standardise, state_bins, write_prompt

if TYPE_CHECKING:
    from value_models.spec import ValueSpec


class VlmEncoder(Encoder):
    """Show a vision-language model the cameras, and ask it in words for the value.

    The features are those of the prompt's last token: it is the one that has seen everything in
    models that read from left to right, and the one from which they would go on with the answer.
    Joints that enter as an embedding come after the prompt, and are then the last token.
    """

    mean: Tensor
    std: Tensor

    def __init__(self, spec: ValueSpec, *, assets: Path | None = None) -> None:
        """Load the pre-trained model, or with ``assets`` make its like for weights that follow.

        Raises:
            CheckpointError: If what the settings name is not there or not whole.
        """
        super().__init__()
        self.config = spec.config.vlm
        self.cameras = tuple(spec.cameras)
        self.backbone = load_backbone(self.config, assets=assets)
        # Not weights: the checkpoint's config.json states them.
        self.register_buffer("mean", torch.tensor(spec.state_mean), persistent=False)
        self.register_buffer("std", torch.tensor(spec.state_std), persistent=False)
        self.state = (
            nn.Linear(len(spec.state_mean), self.backbone.width)
            if self.config.state is StateInput.TOKEN
            else None
        )

    @property
    def output_size(self) -> int:
        """Width of the language model's features."""
        return self.backbone.width

    def forward(self, batch: ObservationBatch) -> Tensor:
        """Give the ``(B, output_size)`` float32 features of every frame."""
        standard = standardise(batch.state, self.mean, self.std)
        cameras = [batch.images[name].permute(0, 3, 1, 2) for name in self.cameras]
        images = [list(sample) for sample in zip(*cameras, strict=True)]
        rows = self.backbone.rows(self._prompts(batch, standard), images).to(batch.device)
        state = None
        if self.state is not None:
            rows, state = rows.with_place_for_state(), self.state(standard)
        hidden = self.backbone.hidden(self.backbone.pixels(images), rows, state)
        return hidden[torch.arange(len(hidden), device=hidden.device), rows.last()].float()

    def language_loss(
        self, images: Images, prompts: Sequence[str], answers: Sequence[str]
    ) -> Tensor:
        """Give the mean cross-entropy of the answers' tokens, in nats.

        Args:
            images: The images of every sample, ``(3, H, W)`` in [0, 255].
            prompts: What is asked about each; may be empty.
            answers: What should be answered. Each ends with the end-of-text token.
        """
        rows = self.backbone.rows(prompts, images, answers).to(self.mean.device)
        seen = [[image.to(self.mean.device) for image in sample] for sample in images]
        hidden = self.backbone.hidden(self.backbone.pixels(seen), rows)
        # Only where an answer's token comes next: a vocabulary is wide.
        before = rows.is_answer[:, 1:]
        logits = self.backbone.logits(hidden[:, :-1][before])
        return functional.cross_entropy(logits.float(), rows.ids[:, 1:][before])

    def begin_training(self) -> None:
        """Say what is trained, with fresh adapters where there are to be any."""
        self.requires_grad_(requires_grad=True)
        if self.config.lora_rank:
            add_adapters(self.backbone, self.config)
        if self.config.freeze_vision:
            self.backbone.vision.requires_grad_(requires_grad=False)
        for part in self.backbone.idle:
            part.requires_grad_(requires_grad=False)
        if self.config.gradient_checkpointing:
            for part in (self.backbone.vision, self.backbone.language):
                enable: Any = part.gradient_checkpointing_enable
                enable()

    def finish_training(self) -> None:
        """Merge the adapters into the weights: a checkpoint always has the plain shape."""
        merge_adapters(self.backbone)
        self.requires_grad_(requires_grad=True)

    def save_assets(self, folder: Path) -> None:
        """Write configuration, tokenizer and processor into ``folder/vlm``."""
        self.backbone.save(folder / ASSETS_FOLDER)

    def _prompts(self, batch: ObservationBatch, standard: Tensor) -> list[str]:
        instructions = batch.instructions()
        if self.config.state is not StateInput.TEXT:
            return [write_prompt(task) for task in instructions]
        numbers = state_bins(standard).tolist()
        return [write_prompt(task, bins) for task, bins in zip(instructions, numbers, strict=True)]
