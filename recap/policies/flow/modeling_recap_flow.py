"""The policy itself, under the interface of LeRobot."""

from __future__ import annotations

from collections import deque
from typing import Any, Final

import torch
from lerobot.policies.pretrained import PreTrainedPolicy
from lerobot.utils.constants import (
    ACTION,
    OBS_LANGUAGE_ATTENTION_MASK,
    OBS_LANGUAGE_TOKENS,
    OBS_STATE,
)
from torch import Tensor, nn

from recap.policies.flow.configuration_recap_flow import RecapFlowConfig
from recap.policies.flow.encoder import ImageEncoder
from recap.policies.flow.expert import ActionExpert, ContextEncoder
from recap.policies.flow.language import PromptEncoder, indicator_of, indicator_positions
from recap.policies.flow.real_time import PrefixGuidance, VelocityField, make_guidance

IMAGE_FEATURES_KEY: Final = "recap.image_features"
"""Batch key under which features computed by ``encode_images`` take the place of images."""

ACTION_PAD_KEY: Final = "action_is_pad"

NOISE_TIME_POWER: Final = 1.0 / 1.5
"""``1 - uniform**(1/1.5)`` follows a Beta(1, 1.5) law: more samples near the noise."""


class RecapFlowPolicy(PreTrainedPolicy):
    """Predict chunks of actions from images, state and a prompt by flow matching.

    A chunk ``x`` moves from noise at flow time 0 to actions at flow time 1:
    ``x_t = (1 - t) noise + t action``, and the network predicts ``action - noise``.

    A batch holds, all normalised by the preprocessor: ``observation.images.<camera>``
    ``(B, 3, H, W)`` in ``[0, 1]`` (or ``recap.image_features`` ``(B, F)``), ``observation.state``
    ``(B, S)``, ``observation.language.tokens`` and ``.attention_mask`` ``(B, L)``; in training
    also ``action`` ``(B, chunk, A)`` and ``action_is_pad`` ``(B, chunk)``, true past the episode.
    """

    config_class = RecapFlowConfig
    name = "recap_flow"

    def __init__(self, config: RecapFlowConfig, **_: Any) -> None:  # noqa: ANN401 - LeRobot's hook
        """Build the networks; LeRobot also hands over statistics, which the processors hold."""
        super().__init__(config)
        config.validate_features()
        self.config: RecapFlowConfig = config
        self.cameras = sorted(config.image_features)
        self.action_size = config.action_feature.shape[0]
        encoders = [ImageEncoder(config.encoder_channels, config.keypoints) for _ in self.cameras]
        self.encoders = nn.ModuleList(encoders)
        self.feature_size = sum(encoder.feature_size for encoder in encoders)
        self.prompt = PromptEncoder(
            config.vocabulary_capacity, config.text_length, config.text_width
        )
        self.context = ContextEncoder(
            self.feature_size,
            config.robot_state_feature.shape[0],
            config.text_width,
            config.hidden_size,
        )
        self.expert = ActionExpert(
            config.chunk_size * self.action_size, config.hidden_size, config.layers
        )
        self.encoders.requires_grad_(not config.freeze_encoder)
        self.init_rtc_processor()
        self.reset()

    def reset(self) -> None:
        """Forget the actions that were predicted and not yet carried out."""
        self._queue: deque[Tensor] = deque(maxlen=self.config.n_action_steps)

    def supports_rtc(self) -> bool:
        """Say that chunks can be made to agree with a prefix (real-time chunking)."""
        return True

    def init_rtc_processor(self) -> None:
        """Build the guidance again, after ``config.rtc_config`` has been set from outside."""
        self.rtc_processor = make_guidance(
            self.config.rtc_config, flow_steps=self.config.flow_steps
        )

    def get_optim_params(self) -> list[nn.Parameter]:
        """Return the parameters that train."""
        return [parameter for parameter in self.parameters() if parameter.requires_grad]

    def encode_images(self, batch: dict[str, Tensor]) -> Tensor:
        """Return ``(B, feature_size)``, which depends on the images alone."""
        return torch.cat(
            [
                encoder(batch[camera])
                for camera, encoder in zip(self.cameras, self.encoders, strict=True)
            ],
            dim=1,
        )

    def encode_context(
        self, batch: dict[str, Tensor], features: Tensor, *, is_conditioned: bool = True
    ) -> tuple[Tensor, Tensor]:
        """Join everything the expert may know about a frame.

        Args:
            batch: State and prompt.
            features: ``(B, feature_size)`` of the images.
            is_conditioned: Whether the indicator may be read; where not, its words are masked.

        Returns:
            The context ``(B, hidden_size)`` and the indicator ``(B,)`` for the expert.
        """
        tokens = batch[OBS_LANGUAGE_TOKENS]
        mask = batch[OBS_LANGUAGE_ATTENTION_MASK].bool()
        indicator = torch.zeros(len(tokens), dtype=torch.long, device=tokens.device)
        in_expert = self.config.indicator_placement == "expert"
        if is_conditioned and in_expert:
            indicator = indicator_of(tokens, mask)
        if in_expert or not is_conditioned:
            mask = mask & ~indicator_positions(tokens)
        with torch.autocast(features.device.type, enabled=False):
            text = self.prompt(tokens, mask)
            return self.context(features, batch[OBS_STATE], text), indicator

    def forward(
        self,
        batch: dict[str, Tensor],
        reduction: str = "mean",
        noise: Tensor | None = None,
        time: Tensor | None = None,
    ) -> tuple[Tensor, dict[str, float]]:
        """Return the flow-matching loss.

        Args:
            batch: See the class; padded actions do not count.
            reduction: "mean" for one number, "none" for one per frame.
            noise: ``(B, S, chunk, A)``; drawn when absent, ``S = noise_samples``.
            time: ``(B, S)`` flow times; drawn when absent.

        Returns:
            The loss, ``()`` or ``(B,)``, and numbers to log.
        """
        actions = batch[ACTION]
        if noise is None:
            shape = (len(actions), self.config.noise_samples, *actions.shape[1:])
            noise = torch.randn(shape, device=actions.device)
        if time is None:
            uniform = torch.rand(noise.shape[:2], device=actions.device)
            time = 1.0 - uniform**NOISE_TIME_POWER
        features = self._features(batch)
        losses = self.flow_losses(batch, features, noise, time)
        loss = losses if reduction == "none" else losses.mean()
        return loss, {"flow_loss": float(losses.detach().mean())}

    def flow_losses(
        self, batch: dict[str, Tensor], features: Tensor, noise: Tensor, time: Tensor
    ) -> Tensor:
        """Return ``(B,)`` mean squared errors of the velocity over the actions that exist."""
        context, indicator = self.encode_context(batch, features)
        actions = batch[ACTION][:, None]
        mix = time[:, :, None, None]
        noisy = (1.0 - mix) * noise + mix * actions
        velocity = self.expert(noisy.flatten(2), time, context, indicator)
        squared: Tensor = (velocity.view_as(noisy) - (actions - noise)).square().mean(dim=(1, 3))
        if ACTION_PAD_KEY not in batch:
            return squared.mean(dim=1)
        counts = (~batch[ACTION_PAD_KEY].bool()).to(squared.dtype)
        return (squared * counts).sum(dim=1) / counts.sum(dim=1).clamp(min=1.0)

    @torch.no_grad()
    def predict_action_chunk(
        self,
        batch: dict[str, Tensor],
        noise: Tensor | None = None,
        generator: torch.Generator | None = None,
        **prefix: Any,  # noqa: ANN401 - the settings of real-time chunking, as LeRobot passes them
    ) -> Tensor:
        """Return normalised actions ``(B, chunk, A)``.

        Args:
            batch: See the class.
            noise: ``(B, chunk, A)`` where the flow starts; drawn when absent.
            generator: Source of that noise.
            prefix: ``prev_chunk_left_over`` ``(B, k, A)`` or ``(k, A)``, what is left of the chunk
                before; ``inference_delay``, how much of it will be done anyway; and
                ``execution_horizon``, how far it has a say. Read where ``config.rtc_config`` is on.
        """
        features = self._features(batch)
        field = self._velocity_field(batch, features)
        if noise is None:
            shape = (len(features), self.config.chunk_size, self.action_size)
            noise = torch.randn(shape, generator=generator, device=features.device)
        guidance = self._prefix_guidance(**prefix)
        chunk = noise
        for step in range(self.config.flow_steps):
            time = step / self.config.flow_steps
            if guidance is None:
                velocity = field(chunk, time)
            else:
                velocity = guidance.velocity(field, chunk, time)
            chunk = chunk + velocity / self.config.flow_steps
        return chunk

    def _velocity_field(self, batch: dict[str, Tensor], features: Tensor) -> VelocityField:
        """Return the velocity under classifier-free guidance, ``v_none + scale (v_told - v_none)``.

        It holds at every step of the flow, so guidance towards a prefix comes on top of it.
        """
        scale = self.config.guidance_scale
        conditions = [(1.0, *self.encode_context(batch, features))]
        if scale != 1.0:
            unconditional = self.encode_context(batch, features, is_conditioned=False)
            conditions = [(scale, *conditions[0][1:]), (1.0 - scale, *unconditional)]

        def field(chunk: Tensor, time: float) -> Tensor:
            flat = chunk.flatten(1)[:, None]
            times = flat.new_full((len(flat), 1), time)
            velocities = (
                weight * self.expert(flat, times, context, indicator)
                for weight, context, indicator in conditions
            )
            total: Tensor = sum(velocities, start=torch.zeros_like(flat))
            return total.view(chunk.shape)

        return field

    def _prefix_guidance(
        self,
        *,
        prev_chunk_left_over: Tensor | None = None,
        inference_delay: int | None = None,
        execution_horizon: int | None = None,
        **_: Any,  # noqa: ANN401 - LeRobot may pass more
    ) -> PrefixGuidance | None:
        processor = self.rtc_processor
        if processor is None or prev_chunk_left_over is None:
            return None
        return PrefixGuidance(
            processor=processor,
            prefix=prev_chunk_left_over,
            delay_steps=inference_delay or 0,
            horizon_steps=execution_horizon or processor.rtc_config.execution_horizon,
        )

    @torch.no_grad()
    def select_action(self, batch: dict[str, Tensor], **_: Any) -> Tensor:  # noqa: ANN401
        """Return the next action ``(B, A)``; a chunk that is used up brings the next one."""
        if not self._queue:
            chunk = self.predict_action_chunk(batch)
            self._queue.extend(chunk[:, : self.config.n_action_steps].unbind(dim=1))
        return self._queue.popleft()

    def _features(self, batch: dict[str, Tensor]) -> Tensor:
        if IMAGE_FEATURES_KEY in batch:
            return batch[IMAGE_FEATURES_KEY]
        with torch.set_grad_enabled(torch.is_grad_enabled() and not self.config.freeze_encoder):
            return self.encode_images(batch)
