"""A foot pedal as controls, read by LeRobot's listener: both hands stay on the leader."""

from dataclasses import dataclass
from pathlib import Path
from queue import Empty, SimpleQueue
from typing import Final

from data.errors import ConfigError, DeviceError
from recap.rollout.live.handover import Event

KEY_PREFIX: Final = "KEY_"


@dataclass(frozen=True, slots=True, kw_only=True)
class PedalConfig:
    """Settings of a foot pedal; the codes are LeRobot's, as ``evdev`` names them."""

    is_used: bool = False
    """Whether to listen to a pedal."""

    device_path: str = "/dev/input/by-id/usb-PCsensor_FootSwitch-event-kbd"
    """The pedal's input device."""

    pause: str = "KEY_A"
    """Code of the pedal that pauses, or goes on."""

    swap: str = "KEY_B"
    """Code of the pedal that takes over, or hands back."""

    success: str = "KEY_C"
    """Code of the pedal that ends the attempt as a success."""

    def __post_init__(self) -> None:
        """Refuse one pedal with two meanings."""
        codes = (self.pause, self.swap, self.success)
        if len(set(codes)) < len(codes):
            message = (
                f"controls.pedal: pause, swap and success need a code each, got {', '.join(codes)}."
            )
            raise ConfigError(message)

    @property
    def events(self) -> dict[str, Event]:
        """What each code says."""
        return {self.pause: Event.PAUSE, self.swap: Event.SWAP, self.success: Event.SUCCESS}

    @property
    def typed(self) -> frozenset[str]:
        """What the pedal also types into a terminal on the same machine, being a keyboard."""
        names = (code.removeprefix(KEY_PREFIX).lower() for code in self.events)
        return frozenset(name for name in names if len(name) == 1)


class PedalControls:
    """Hears a foot pedal through LeRobot's listener, which runs in a thread of its own."""

    def __init__(self, config: PedalConfig) -> None:
        """Begin to listen.

        Raises:
            DeviceError: If there is no such pedal, or nothing to read it with.
        """
        if not Path(config.device_path).exists():
            message = (
                f"There is no foot pedal at {config.device_path}. Say where it is with "
                f"--controls.pedal.device_path=... (see /dev/input/by-id), or leave it out with "
                f"--controls.pedal.is_used=false."
            )
            raise DeviceError(message)
        # Only here: LeRobot takes seconds to import.
        from lerobot.utils.pedal import start_pedal_listener

        self._events = config.events
        self._heard: SimpleQueue[Event] = SimpleQueue()
        if start_pedal_listener(self._hear, config.device_path) is None:
            message = "A foot pedal is read with evdev: pip install evdev."
            raise DeviceError(message)

    def poll(self) -> list[Event]:
        """Return what the pedal said since the last call, without waiting."""
        events: list[Event] = []
        while True:
            try:
                events.append(self._heard.get_nowait())
            except Empty:
                return events

    def close(self) -> None:
        """Hear nothing more; the listener's thread ends with the process."""
        self._events = {}

    def _hear(self, code: str) -> None:
        event = self._events.get(code)
        if event is not None:
            self._heard.put(event)
