"""Execution of chunks: when to ask for one, and what to do at every control step.

One interface, :class:`Execution`, and three ways, chosen by ``execution.type``.
"""

from data.errors import ConfigError
from recap.rollout.execution.config import REAL_TIME, SYNCHRONOUS, ExecutionConfig
from recap.rollout.execution.real_time import RealTime
from recap.rollout.execution.schedule import ChunkSizes, Execution
from recap.rollout.execution.synchronous import Synchronous
from recap.rollout.execution.temporal_ensemble import TemporalEnsemble

__all__ = ["ChunkSizes", "Execution", "ExecutionConfig", "make_execution"]


def make_execution(config: ExecutionConfig, source: ChunkSizes) -> Execution:
    """Make the execution of one attempt's chunks.

    Args:
        config: Which way, and its settings.
        source: Whoever predicts; it says how long its chunks are.

    Raises:
        ConfigError: If more actions of a chunk shall be carried out than it has.
    """
    executed_steps = config.executed_steps or source.executed_steps
    if executed_steps > source.chunk_steps:
        message = (
            f"execution.executed_steps is {executed_steps}, but the policy predicts only "
            f"{source.chunk_steps} actions at once. Use --execution.executed_steps="
            f"{source.chunk_steps} or less, or 0 for what the checkpoint was made for."
        )
        raise ConfigError(message)
    if config.type == SYNCHRONOUS:
        return Synchronous(executed_steps=executed_steps)
    if config.type == REAL_TIME:
        return RealTime(
            chunk_steps=source.chunk_steps,
            executed_steps=executed_steps,
            follows_prefix=source.follows_prefix,
            fade_steps=config.fade_steps,
        )
    return TemporalEnsemble(decay=config.ensemble_decay)
