"""How a person tells a session what to do: keys, a pedal, the teleoperator's buttons."""

import logging
import sys
from collections.abc import Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field
from typing import Protocol

from recap.rollout.live.handover import Event
from recap.rollout.live.keyboard import TerminalKeys, can_read_keys, keys_help
from recap.rollout.live.pedal import PedalConfig, PedalControls
from recap.rollout.live.teleop_events import TeleopEventControls, has_events

logger = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True, kw_only=True)
class ControlsConfig:
    """How the person who attends a session is heard."""

    keyboard: bool = True
    """Whether the keys of the terminal count."""

    teleop_events: bool = True
    """Whether the buttons of the teleoperator count, where it has any."""

    pedal: PedalConfig = field(default_factory=PedalConfig)
    """The foot pedal."""


class Controls(Protocol):
    """Hears a person."""

    def poll(self) -> list[Event]:
        """Return what was said since the last call, without ever waiting."""
        ...

    def close(self) -> None:
        """Give back what it holds; safe to call twice."""
        ...


class CombinedControls:
    """Hears several controls as one; an emergency stop comes before anything else."""

    def __init__(self, controls: Sequence[Controls], *, help_text: str = "") -> None:
        """Take the controls over, and close them in the end."""
        self.help_text = help_text
        self._controls = tuple(controls)

    def poll(self) -> list[Event]:
        """Return what all of them heard since the last call, without ever waiting."""
        heard = [event for controls in self._controls for event in controls.poll()]
        return sorted(heard, key=lambda event: event is not Event.EMERGENCY_STOP)

    def close(self) -> None:
        """Close all of them, also if one fails to."""
        with ExitStack() as stack:
            for controls in self._controls:
                stack.callback(controls.close)


def open_controls(config: ControlsConfig, teleoperator: object = None) -> CombinedControls:
    """Open every control that the settings name.

    Where the keys are wanted, but standard input is no terminal, it says so and goes on.

    Args:
        config: The settings.
        teleoperator: A connected LeRobot teleoperator, whose buttons may count; None for none.

    Raises:
        DeviceError: If there is no such pedal, or nothing to read it with.
    """
    controls: list[Controls] = []
    help_text = ""
    if config.teleop_events and has_events(teleoperator):
        controls.append(TeleopEventControls(teleoperator))
    ignored: frozenset[str] = frozenset()
    if config.pedal.is_used:
        controls.append(PedalControls(config.pedal))
        ignored = config.pedal.typed
    if config.keyboard and can_read_keys(sys.stdin):
        # The last to be opened: nothing fails after the terminal was changed.
        controls.append(TerminalKeys(ignored=ignored))
        help_text = keys_help(ignored=ignored)
    elif config.keyboard:
        logger.warning(
            "Standard input is no terminal, so keys are not heard. End an attempt by its time "
            "limit, by the world's own success, or with Ctrl-C."
        )
    return CombinedControls(controls, help_text=help_text)
