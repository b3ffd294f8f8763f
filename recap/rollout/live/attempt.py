"""One attempt of one robot in real time, from the first frame to its ending."""

from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from data.errors import RecapError
from data.recording import EpisodeRecorder
from data.schema import Pilot
from envs.hardware import RobotWorld
from envs.leader import Leader
from envs.world import Observation
from recap.rollout.live.alignment import Alignment
from recap.rollout.live.clock import ControlClock
from recap.rollout.live.controls import CombinedControls
from recap.rollout.live.handover import Event, Handover, Phase
from recap.rollout.live.policy import LivePolicy
from recap.rollout.live.safety import SafetyFilter

Floats = NDArray[np.float32]


@dataclass(slots=True, kw_only=True)
class Rig:
    """Everything that takes part in a session and outlives an attempt."""

    world: RobotWorld
    controls: CombinedControls
    clock: ControlClock
    safety: SafetyFilter
    policy: LivePolicy | None
    leader: Leader | None
    alignment: Alignment | None
    approach_step: float
    """Most that a joint moves in a control step when nobody is in control, in its own unit."""


@dataclass(slots=True, kw_only=True)
class Tally:
    """What an attempt has come to so far."""

    steps: int = 0
    corrected_steps: int = 0
    has_quit: bool = False
    concerns: set[str] = field(default_factory=set)
    error: RecapError | None = None
    """Why the attempt was cut short, if it was."""


class LiveAttempt:
    """Steps the robot at its control rate: a pilot commands, safety has the last word.

    In every control step: hear the person, look, ask the pilot, make the command safe, act,
    record. A step in which nobody gave a command holds the robot and is not recorded: frames of
    waiting would teach to stand still. Neither are pauses and the way of robot and leader to each
    other.
    """

    def __init__(
        self,
        rig: Rig,
        handover: Handover,
        recorder: EpisodeRecorder,
        *,
        time_limit_steps: int,
    ) -> None:
        """Prepare; the robot stands at its start and has been looked at."""
        self.rig = rig
        self.handover = handover
        self.tally = Tally()
        self._recorder = recorder
        self._time_limit_steps = time_limit_steps

    @property
    def is_over(self) -> bool:
        """Whether the attempt has ended."""
        return self.handover.phase is Phase.ENDED

    def step(self) -> None:
        """Make one control step."""
        clock = self.rig.clock
        clock.tick()
        try:
            self._hear()
            with clock.measuring("look"):
                observation = self.rig.world.observe()
            # Whoever is aligned by this step is in control from the next one on.
            pilot = self.handover.pilot
            with clock.measuring("decide"):
                wanted, asked = self._decide(observation)
                command = self._make_safe(wanted)
            with clock.measuring("act"):
                self.rig.world.act(command)
            with clock.measuring("record"):
                if pilot is not None and _is_usable(wanted):
                    self._record(observation, command, asked, pilot)
            self._judge()
        except RecapError as error:  # what was recorded until here is kept, whatever happened
            self.tally.error = error
            self.handover.handle(Event.LOST)
            self.rig.world.hold()
        if self.is_over:
            self._let_leader_go()

    def _hear(self) -> None:
        events = self.rig.controls.poll()
        for event in events:
            if event is Event.PAUSE and Event.EMERGENCY_STOP in events:
                continue  # typed in the same moment: it must not lift the stop
            self.tally.has_quit |= event is Event.QUIT
            self.handover.handle(event)
        if self.handover.take_policy_must_forget() and self.rig.policy is not None:
            self.rig.policy.forget()
        if self.handover.phase is not Phase.ALIGNING:
            self._let_leader_go()

    def _decide(self, observation: Observation) -> tuple[Floats | None, Floats | None]:
        """Return what the pilot commands, and what the policy would do, each if there is any."""
        phase, policy = self.handover.phase, self.rig.policy
        asked = None
        if policy is not None and self.handover.is_recorded:
            asked = policy.action(observation)
        match phase:
            case Phase.AUTONOMOUS:
                return asked, asked
            case Phase.CORRECTING:
                return self._leads(), asked
            case Phase.ALIGNING:
                return self._align(), None
            case _:
                return None, None

    def _leads(self) -> Floats | None:
        return None if self.rig.leader is None else self.rig.leader.action()

    def _align(self) -> Floats | None:
        leader, alignment = self.rig.leader, self.rig.alignment
        if leader is None or alignment is None:
            return None
        wanted = alignment.step(robot=self.rig.safety.command, leader=leader.action())
        if alignment.is_done:
            self.handover.handle(Event.ALIGNED)
        return wanted

    def _let_leader_go(self) -> None:
        """Leave no leader stiff in a person's hand when the aligning was broken off."""
        alignment = self.rig.alignment
        if alignment is not None and alignment.is_running:
            alignment.abandon()

    def _make_safe(self, wanted: Floats | None) -> Floats:
        safety = self.rig.safety
        if self.handover.is_stopped and not safety.is_stopped:
            safety.stop(self.rig.world.standstill)
        elif safety.is_stopped and not self.handover.is_stopped:
            safety.release()
        # In a pause nobody is expected to say anything; elsewhere the watchdog counts silence.
        safe = safety.hold() if self.handover.phase is Phase.PAUSED else safety.apply(wanted)
        self.tally.concerns.update(safe.concerns)
        return safe.action

    def _record(
        self, observation: Observation, command: Floats, asked: Floats | None, pilot: Pilot
    ) -> None:
        self._recorder.add(
            images=observation.images,
            state=observation.state,
            action=command,
            pilot=pilot,
            policy_action=asked,
        )
        self.tally.steps += 1
        self.tally.corrected_steps += pilot is not Pilot.POLICY

    def _judge(self) -> None:
        if self.rig.world.is_success:
            self.handover.handle(Event.TERMINATED)
        elif self.tally.steps >= self._time_limit_steps:
            self.handover.handle(Event.TIME_UP)


def _is_usable(wanted: Floats | None) -> bool:
    """Whether it was a command; of one that is not a number the safety makes a standstill."""
    return wanted is not None and bool(np.isfinite(wanted).all())
