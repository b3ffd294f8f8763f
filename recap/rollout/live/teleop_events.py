"""The buttons of a LeRobot teleoperator, a gamepad say, as controls."""

from collections.abc import Mapping
from typing import Any, Final, Protocol, TypeGuard

from recap.rollout.live.handover import Event

INTERVENTION: Final = "is_intervention"


class EventfulTeleoperator(Protocol):
    """A LeRobot teleoperator that says more than where to go."""

    def get_teleop_events(self) -> Mapping[Any, Any]:
        """Return which of LeRobot's ``TeleopEvents`` hold now."""
        ...


def has_events(teleoperator: object) -> TypeGuard[EventfulTeleoperator]:
    """Say whether a LeRobot teleoperator has buttons for events."""
    return hasattr(teleoperator, "get_teleop_events")


class TeleopEventControls:
    """Turns what LeRobot's ``get_teleop_events`` says is so into what happened.

    A button that is held is said again and again, and counts once, when it goes down. For the
    button of intervention its release counts too: it hands back. LeRobot's devices tell a failure
    by ending the episode and saying nothing else, so that is what it means here.
    """

    def __init__(self, teleoperator: EventfulTeleoperator) -> None:
        """Listen to a teleoperator that is connected."""
        self._teleoperator = teleoperator
        self._before: frozenset[str] = frozenset()

    def poll(self) -> list[Event]:
        """Return what happened since the last call, without waiting."""
        told = self._teleoperator.get_teleop_events()
        # The keys are an enumeration of LeRobot's; its values say the same without the import.
        now = frozenset(str(getattr(key, "value", key)) for key, holds in told.items() if holds)
        before, self._before = self._before, now
        begun = now - before
        events: list[Event] = []
        if INTERVENTION in begun:
            events.append(Event.TAKE_OVER)
        elif INTERVENTION in before - now:
            events.append(Event.HAND_BACK)
        verdict = _verdict(begun)
        return events if verdict is None else [*events, verdict]

    def close(self) -> None:
        """Forget what is held; whoever connected the teleoperator lets go of it."""
        self._before = frozenset()


def _verdict(begun: frozenset[str]) -> Event | None:
    """Return the strongest thing that was said about the attempt."""
    if "rerecord_episode" in begun:
        return Event.DISCARD
    if "success" in begun:
        return Event.SUCCESS
    if begun & {"failure", "terminate_episode"}:
        return Event.FAILURE
    return None
