"""The action expert: which way to move a noisy chunk, given what is seen and told."""

from __future__ import annotations

import math
from typing import Final

import torch
from torch import Tensor, nn

from recap.policies.flow.language import INDICATOR_EMBEDDINGS

TIME_WIDTH: Final = 64
"""Width of the encoding of the flow time."""


def time_encoding(time: Tensor) -> Tensor:
    """Encode flow times ``(...)`` in ``[0, 1]`` as ``(..., TIME_WIDTH)`` sines and cosines."""
    frequencies = torch.exp(
        torch.linspace(0.0, math.log(100.0), TIME_WIDTH // 2, device=time.device)
    )
    angles = time[..., None] * frequencies * math.pi
    return torch.cat([angles.sin(), angles.cos()], dim=-1)


class ContextEncoder(nn.Module):
    """Join image features, state and prompt into one vector per frame.

    The prompt first scales the image features (which of the keypoints matter for this task),
    then the hidden layers.
    """

    def __init__(self, image_size: int, state_size: int, text_width: int, hidden_size: int) -> None:
        """Build the layers."""
        super().__init__()
        self.image_gate = nn.Linear(text_width, image_size)
        self.image_in = nn.Linear(image_size, hidden_size)
        self.state_in = nn.Sequential(
            nn.Linear(state_size, hidden_size), nn.SiLU(), nn.Linear(hidden_size, hidden_size)
        )
        self.text_in = nn.Linear(text_width, 2 * hidden_size)
        self.norm = nn.LayerNorm(hidden_size)
        self.hidden = nn.Sequential(
            nn.Linear(hidden_size, 2 * hidden_size),
            nn.SiLU(),
            nn.Linear(2 * hidden_size, hidden_size),
        )

    def forward(self, images: Tensor, state: Tensor, text: Tensor) -> Tensor:
        """Return ``(B, hidden_size)``."""
        seen = self.image_in(images * (1.0 + self.image_gate(text)))
        scale, shift = self.text_in(text).chunk(2, dim=-1)
        joined = (seen + self.state_in(state)) * (1.0 + scale) + shift
        context: Tensor = joined + self.hidden(self.norm(joined))
        return context


class ConditionedBlock(nn.Module):
    """A residual perceptron whose normalised input is scaled and shifted by the context."""

    def __init__(self, hidden_size: int) -> None:
        """Build the layers; the context starts without influence on the scale."""
        super().__init__()
        self.norm = nn.LayerNorm(hidden_size, elementwise_affine=False)
        self.from_time = nn.Linear(TIME_WIDTH, 2 * hidden_size)
        self.from_context = nn.Linear(hidden_size, 2 * hidden_size)
        self.layers = nn.Sequential(
            nn.Linear(hidden_size, 2 * hidden_size),
            nn.SiLU(),
            nn.Linear(2 * hidden_size, hidden_size),
        )

    def forward(self, hidden: Tensor, context: Tensor, time: Tensor) -> Tensor:
        """Refine ``(B, S, hidden)`` for ``S`` samples of each of ``B`` frames.

        Args:
            hidden: ``(B, S, hidden_size)``.
            context: ``(B, hidden_size)``, computed once per frame.
            time: ``(B, S, TIME_WIDTH)``.
        """
        told = self.from_context(context)[:, None] + self.from_time(time)
        scale, shift = told.chunk(2, dim=-1)
        refined: Tensor = hidden + self.layers(self.norm(hidden) * (1.0 + scale) + shift)
        return refined


class ActionExpert(nn.Module):
    """Predict the flow's velocity for noisy action chunks.

    The indicator may enter here as an embedding that starts at zero (none stays zero for ever),
    instead of, or apart from, the words of the prompt.
    """

    def __init__(self, chunk_values: int, hidden_size: int, layers: int) -> None:
        """Build the blocks; the output starts at zero velocity."""
        super().__init__()
        self.action_in = nn.Linear(chunk_values, hidden_size)
        self.context_in = nn.Linear(hidden_size, hidden_size)
        self.indicator = nn.Embedding(INDICATOR_EMBEDDINGS, hidden_size, padding_idx=0)
        self.blocks = nn.ModuleList(ConditionedBlock(hidden_size) for _ in range(layers))
        self.norm = nn.LayerNorm(hidden_size)
        self.action_out = nn.Linear(hidden_size, chunk_values)
        nn.init.zeros_(self.indicator.weight)
        nn.init.zeros_(self.action_out.weight)
        nn.init.zeros_(self.action_out.bias)

    def forward(self, noisy: Tensor, time: Tensor, context: Tensor, indicator: Tensor) -> Tensor:
        """Return the velocity ``(B, S, chunk_values)``.

        Args:
            noisy: ``(B, S, chunk_values)`` points between noise and actions.
            time: ``(B, S)`` flow times, 0 noise, 1 actions.
            context: ``(B, hidden_size)`` what is seen and told.
            indicator: ``(B,)`` 0 none, 1 positive, 2 negative.
        """
        context = context + self.indicator(indicator)
        encoded_time = time_encoding(time)
        with torch.autocast(noisy.device.type, enabled=False):
            hidden = self.action_in(noisy) + self.context_in(context)[:, None]
        for block in self.blocks:
            hidden = block(hidden, context, encoded_time)
        with torch.autocast(noisy.device.type, enabled=False):
            velocity: Tensor = self.action_out(self.norm(hidden.float()))
            return velocity
