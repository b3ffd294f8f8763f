"""Real-time chunking: a chunk that agrees with what will be done anyway, by LeRobot's guidance."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace

from lerobot.policies.rtc import RTCConfig, RTCProcessor
from torch import Tensor

VelocityField = Callable[[Tensor, float], Tensor]
"""From a chunk ``(B, chunk, A)`` and a flow time, 0 noise and 1 actions, to a velocity alike."""


def make_guidance(config: RTCConfig | None, *, flow_steps: int) -> RTCProcessor | None:
    """Build LeRobot's guidance; None where it is not asked for.

    Its weight multiplies the distance to the prefix, and an Euler step is ``1 / flow_steps`` long:
    a weight above ``flow_steps`` would carry the chunk beyond the prefix, so it is cut there.
    """
    if config is None or not config.enabled:
        return None
    weight = min(config.max_guidance_weight, float(flow_steps))
    return RTCProcessor(replace(config, max_guidance_weight=weight))


@dataclass(frozen=True, slots=True, kw_only=True)
class PrefixGuidance:
    """Draws a velocity towards chunks that begin like the prefix."""

    processor: RTCProcessor
    """LeRobot's guidance."""

    prefix: Tensor
    """``(B, k, A)`` or ``(k, A)`` normalised actions that are left of the chunk before."""

    delay_steps: int
    """So many of them will have been done when the new chunk begins to play."""

    horizon_steps: int
    """The pull fades until here; what comes later is free."""

    def velocity(self, field: VelocityField, chunk: Tensor, time: float) -> Tensor:
        """Return the guided velocity ``(B, chunk, A)`` at flow time ``time``.

        LeRobot's time runs from 1 at the noise to 0 at the actions, and its velocity points from
        the actions to the noise: both are turned around on the way in, the velocity on the way
        out.
        """
        guided: Tensor = self.processor.denoise_step(
            x_t=chunk,
            prev_chunk_left_over=self.prefix[..., : chunk.shape[1], :],
            inference_delay=self.delay_steps,
            time=1.0 - time,
            original_denoise_step_partial=lambda noisy: -field(noisy, time),
            execution_horizon=self.horizon_steps,
        )
        return -guided
