"""Who is in control: the states of an attempt that a person attends, and what moves between them.

It has no clock and no device, so every sequence of events can be tried. An attempt that the
policy flies begins *autonomous*; a demonstration begins *aligning*, because the robot need not
stand where the leader is. The table says where each event leads; a dot means that it is ignored::

    event            autonomous   paused           aligning     correcting   ended
    PAUSE            paused       whoever had it   paused       paused       .
    HALT             paused       .                paused       paused       .
    TAKE_OVER        aligning     aligning         .            .            .
    HAND_BACK        .            autonomous       autonomous   autonomous   .
    SWAP             aligning     to the other     autonomous   autonomous   .
    ALIGNED          .            .                correcting   .            .
    SUCCESS, FAILURE, DISCARD, TIME_UP, TERMINATED, LOST, QUIT
                     ended        ended            ended        ended        .
    EMERGENCY_STOP   paused       paused           paused       paused       ended    and latched
    READY            .            .                .            .            .

While the emergency stop is latched nobody gets control. PAUSE lifts it and leaves the attempt
paused, so that a person can choose to take over before the policy moves again; events that end the
attempt still do. A person who goes on after a pause is aligned again: the leader may have moved.
"""

from enum import StrEnum
from typing import Final

from data.schema import Ending, Outcome, Pilot


class Phase(StrEnum):
    """What is going on in an attempt."""

    AUTONOMOUS = "autonomous"
    PAUSED = "paused"
    ALIGNING = "aligning"
    CORRECTING = "correcting"
    ENDED = "ended"


class Event(StrEnum):
    """What a person, the world or the clock says."""

    PAUSE = "pause"
    """Stand still, or go on with whoever was in control; also lifts the emergency stop."""

    HALT = "halt"
    """Stand still, and in no case go on: a pause key that is held down says this."""

    TAKE_OVER = "take_over"
    """The person wants control."""

    HAND_BACK = "hand_back"
    """The policy is to have control again."""

    SWAP = "swap"
    """Whoever is not in control gets it: one key for both directions."""

    ALIGNED = "aligned"
    """Leader and robot stand in the same place."""

    SUCCESS = "success"
    """The person judges that the attempt succeeded."""

    FAILURE = "failure"
    """The person judges that the attempt failed."""

    DISCARD = "discard"
    """The person does not want the attempt to be used."""

    EMERGENCY_STOP = "emergency_stop"
    """Hold still at once, until it is lifted."""

    TIME_UP = "time_up"
    """The attempt has had its time."""

    TERMINATED = "terminated"
    """The world measured success."""

    LOST = "lost"
    """The robot or a camera is gone."""

    QUIT = "quit"
    """The person wants to end the session."""

    READY = "ready"
    """The world is reset, and the next attempt can begin; means nothing inside an attempt."""


_ENDINGS: Final = {
    Event.SUCCESS: Ending.STOPPED,
    Event.FAILURE: Ending.STOPPED,
    Event.DISCARD: Ending.STOPPED,
    Event.TIME_UP: Ending.TIME_LIMIT,
    Event.TERMINATED: Ending.TERMINATED,
    Event.LOST: Ending.INTERRUPTED,
    Event.QUIT: Ending.INTERRUPTED,
}
_VERDICTS: Final = {
    Event.SUCCESS: Outcome.SUCCESS,
    Event.FAILURE: Outcome.FAILURE,
    Event.DISCARD: Outcome.DISCARD,
}


class Handover:
    """The state of one attempt: its phase, who is in control, and how it ended.

    Attributes:
        phase: What is going on.
        is_stopped: Whether the emergency stop is latched. It outlives the end of the attempt.
        ending: How the attempt ended; None until it has.
        verdict: What the person said of it; None if nobody said anything.
    """

    def __init__(self, *, first_pilot: Pilot, corrector: Pilot | None) -> None:
        """Begin an attempt.

        Args:
            first_pilot: The policy, or whoever demonstrates.
            corrector: Who can take over from the policy; None for nobody. A demonstrator corrects
                nobody: there it is None, or the same pilot.

        Raises:
            ValueError: If the policy is to correct, or somebody else than the demonstrator.
        """
        has_policy = first_pilot is Pilot.POLICY
        if corrector is Pilot.POLICY or (not has_policy and corrector not in (None, first_pilot)):
            message = f"'{corrector}' cannot correct '{first_pilot}'."
            raise ValueError(message)
        self._has_policy = has_policy
        self._person = corrector if has_policy else first_pilot
        self.phase = Phase.AUTONOMOUS if has_policy else Phase.ALIGNING
        self.is_stopped = False
        self.ending: Ending | None = None
        self.verdict: Outcome | None = None
        self._goes_on = self.phase
        self._policy_must_forget = False

    @property
    def pilot(self) -> Pilot | None:
        """Who is in control of the next frame; None while nobody is."""
        if self.phase is Phase.AUTONOMOUS:
            return Pilot.POLICY
        return self._person if self.phase is Phase.CORRECTING else None

    @property
    def is_recorded(self) -> bool:
        """Whether the next frame is kept; a pause would only teach to stand still."""
        return self.phase in (Phase.AUTONOMOUS, Phase.CORRECTING)

    @property
    def can_take_over(self) -> bool:
        """Whether there is anybody who could take control from the policy."""
        return self._has_policy and self._person is not None

    @property
    def policy_must_forget(self) -> bool:
        """Whether the policy has control again, and what it remembers belongs to before."""
        return self._policy_must_forget

    def take_policy_must_forget(self) -> bool:
        """Return `policy_must_forget` and take it as done."""
        must_forget, self._policy_must_forget = self._policy_must_forget, False
        return must_forget

    def handle(self, event: Event) -> bool:
        """Let something happen.

        Returns:
            Whether it changed anything. An event that means nothing now is ignored.
        """
        if event is Event.EMERGENCY_STOP:
            return self._stop()
        if event is Event.PAUSE and self.is_stopped:
            self.is_stopped = False
            return True
        if self.phase is Phase.ENDED:
            return False
        if event in _ENDINGS:
            self.phase, self.ending = Phase.ENDED, _ENDINGS[event]
            self.verdict = _VERDICTS.get(event)
            return True
        if self.is_stopped:
            return False
        return self._move(self._target(event))

    def _stop(self) -> bool:
        if self.is_stopped:
            return False
        self.is_stopped = True
        if self.phase is not Phase.ENDED:
            self._move(Phase.PAUSED)
        return True

    def _target(self, event: Event) -> Phase:
        """Return where an event that ends nothing leads; the phase itself if nowhere."""
        if event is Event.SWAP:
            event = Event.HAND_BACK if self._is_persons_turn else Event.TAKE_OVER
        if event is Event.PAUSE:
            return self._goes_on if self.phase is Phase.PAUSED else Phase.PAUSED
        if event is Event.HALT:
            return Phase.PAUSED
        if event is Event.ALIGNED and self.phase is Phase.ALIGNING:
            return Phase.CORRECTING
        if event is Event.HAND_BACK and self._has_policy:
            return Phase.AUTONOMOUS
        wants_person = event is Event.TAKE_OVER and self._person is not None
        if wants_person and self.phase in (Phase.AUTONOMOUS, Phase.PAUSED):
            return Phase.ALIGNING
        return self.phase

    @property
    def _is_persons_turn(self) -> bool:
        turn = self._goes_on if self.phase is Phase.PAUSED else self.phase
        return self._has_policy and turn is not Phase.AUTONOMOUS

    def _move(self, target: Phase) -> bool:
        if target is self.phase:
            return False
        if target is Phase.PAUSED:
            # Whoever moved the leader in the meantime moved it away from the robot.
            was_policy = self.phase is Phase.AUTONOMOUS
            self._goes_on = Phase.AUTONOMOUS if was_policy else Phase.ALIGNING
        self._policy_must_forget = target is Phase.AUTONOMOUS
        self.phase = target
        return True
