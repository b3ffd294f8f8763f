"""A session: attempt after attempt of one robot, with a person who judges, corrects and resets."""

import gc
import math
import secrets
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from typing import Final

import numpy as np
from numpy.typing import NDArray

from data.episodes import EpisodeStore
from data.errors import DeviceError
from data.recording import EpisodeRecorder
from data.schema import Ending, EpisodeInfo, Pilot, Source
from recap.rollout.live.alignment import bring_together
from recap.rollout.live.attempt import LiveAttempt, Rig, Tally
from recap.rollout.live.handover import Event, Handover
from recap.rollout.live.interruption import Interruption
from recap.rollout.live.plan import SessionPlan, SessionResult
from recap.rollout.live.telling import Moment, Teller
from recap.rollout.live.verdicts import OperatorVerdicts

Floats = NDArray[np.float32]

SECONDS_BETWEEN_RECONNECTS: Final = 2.0
SECONDS_BETWEEN_LOOKS: Final = 0.05
SWITCH_INTERVAL_S: Final = 0.0005


class Session:
    """Runs attempts until there are enough, the time is up, or the operator has had enough."""

    def __init__(
        self,
        rig: Rig,
        plan: SessionPlan,
        *,
        store: EpisodeStore,
        verdicts: OperatorVerdicts,
        teller: Teller,
        interruption: Interruption,
    ) -> None:
        """Prepare; robot and leader are connected."""
        self._rig = rig
        self._plan = plan
        self._store = store
        self._verdicts = verdicts
        self._teller = teller
        self._interruption = interruption
        self._result = SessionResult()
        self._began_s = time.monotonic()
        self._has_quit = False
        self._is_stopped = False
        self._home = rig.world.position

    def run(self) -> SessionResult:
        """Run the session; Ctrl-C ends it after the step in progress, and keeps what is there.

        Whatever ends it, the robot is left holding where it stands.

        Raises:
            PolicyRefusedError: If the policy elsewhere does not want this robot any more.
            EpisodeError: If the disk is full, or the pictures come faster than they are encoded.
        """
        try:
            with _switching_quickly():
                while not self._is_over():
                    try:
                        if self._reset():
                            self._attempt()
                    except DeviceError as error:
                        self._reconnect(str(error))
        finally:
            self._rig.world.hold()
        self._teller.tell(Moment.OVER, Tally(), self._result)
        return self._result

    def _is_over(self) -> bool:
        plan, minutes = self._plan, (time.monotonic() - self._began_s) / 60
        has_enough = 0 < plan.episodes <= len(self._result.uids)
        return self._is_unwanted or has_enough or 0 < plan.minutes <= minutes

    @property
    def _is_unwanted(self) -> bool:
        """Whether the operator, or somebody outside, wants the session to end."""
        return self._has_quit or self._interruption.has_come

    # An attempt

    def _attempt(self) -> None:
        """Make one attempt and keep it."""
        rig, plan = self._rig, self._plan
        handover = Handover(
            first_pilot=Pilot.TELEOPERATOR if rig.policy is None else Pilot.POLICY,
            corrector=None if rig.leader is None else Pilot.TELEOPERATOR,
        )
        with EpisodeRecorder(self._store) as recorder:
            attempt = LiveAttempt(rig, handover, recorder, time_limit_steps=plan.time_limit_steps)
            with _without_garbage_collection():
                self._fly(attempt)
            self._keep(handover, recorder, attempt.tally)
        if attempt.tally.error is not None:
            raise attempt.tally.error

    def _fly(self, attempt: LiveAttempt) -> None:
        """Step an attempt until it is over."""
        rig, handover = self._rig, attempt.handover
        if rig.policy is not None:
            rig.policy.begin(seed=self._seed())
        rig.safety.begin(rig.world.standstill)
        began_s = time.monotonic()
        rig.clock.restart()
        while not attempt.is_over:
            attempt.step()
            if self._is_unwanted:
                handover.handle(Event.QUIT)
            moment = Moment.STOPPED if handover.is_stopped else handover.phase
            self._teller.tell(moment, attempt.tally, self._result)
        self._result.working_s += time.monotonic() - began_s
        self._is_stopped = handover.is_stopped
        self._has_quit |= attempt.tally.has_quit
        self._teller.beep()

    def _keep(self, handover: Handover, recorder: EpisodeRecorder, tally: Tally) -> None:
        if tally.steps == 0 or handover.ending is None or not recorder.is_open:
            return  # nothing to keep, or the disk took none of it
        info = self._info(handover.ending, tally)
        recorder.finish(info)
        if handover.verdict is not None:
            self._verdicts.say(info.uid, handover.verdict)
        missed_steps = 0 if self._rig.policy is None else self._rig.policy.missed_steps
        self._result.count(info, handover.verdict, missed_steps=missed_steps)

    def _info(self, ending: Ending, tally: Tally) -> EpisodeInfo:
        rig, plan = self._rig, self._plan
        source = Source.ROLLOUT if rig.policy is not None else Source.DEMONSTRATION
        stamp = f"{datetime.now(UTC):%Y%m%dT%H%M%S}-{secrets.token_hex(3)}"
        return EpisodeInfo(
            uid=f"{source}-{plan.iteration:02d}-{stamp}",
            task=rig.world.task,
            seed=self._seed() if rig.world.lays_scenes else None,
            source=source,
            iteration=plan.iteration,
            policy_id="" if rig.policy is None else rig.policy.policy_id,
            ending=ending,
            frames=tally.steps,
            corrected_frames=tally.corrected_steps if source is Source.ROLLOUT else 0,
            measured_success=self._measured(ending),
            session=plan.session,
        )

    def _measured(self, ending: Ending) -> bool | None:
        if ending is Ending.INTERRUPTED:
            return None
        try:
            return self._rig.world.is_success
        except DeviceError:  # gone since its last frame: nobody measured
            return None

    def _seed(self) -> int:
        return self._plan.first_seed + len(self._result.uids)

    # Between attempts

    def _reset(self) -> bool:
        """Put the scene back, or wait until a person has; say whether an attempt may begin."""
        world = self._rig.world
        if self._is_stopped or not world.lays_scenes:
            return self._wait()
        self._teller.tell(Moment.RESET, Tally(), self._result)
        world.reset(seed=self._seed())
        self._listen()  # what was typed meanwhile was meant for the attempt before
        return not self._is_stopped and not self._is_unwanted

    def _wait(self) -> bool:
        """Hold, or go home, until a person says that the scene is ready; never while stopped."""
        rig, began_s = self._rig, time.monotonic()
        self._teller.beep()
        rig.safety.begin(rig.world.standstill)
        rig.clock.restart()
        while not self._is_over():
            rig.clock.tick()
            is_ready = self._listen()
            rig.world.observe()
            rig.world.act(self._between_attempts())
            self._teller.tell(
                Moment.STOPPED if self._is_stopped else Moment.RESET,
                Tally(),
                self._result,
                warning=self._verdicts.trouble,
            )
            if self._is_stopped:
                began_s = time.monotonic()  # nobody puts a scene back beside a stopped robot
                continue
            if rig.world.lays_scenes:
                return False
            if is_ready or 0 < self._plan.reset_s <= time.monotonic() - began_s:
                return True
        return False

    def _listen(self) -> bool:
        """Hear what counts between attempts; say whether the scene was said to be ready."""
        events = self._rig.controls.poll()
        self._has_quit |= Event.QUIT in events
        if Event.EMERGENCY_STOP in events:
            self._is_stopped = True
        elif Event.PAUSE in events:
            self._is_stopped = False
        return Event.READY in events

    def _between_attempts(self) -> Floats:
        """Return the command of a step in which nobody is in control."""
        rig = self._rig
        if self._is_stopped:
            rig.safety.stop(rig.world.standstill)
            return rig.safety.hold().action
        rig.safety.release()
        return rig.safety.apply(self._homeward()).action

    def _homeward(self) -> Floats:
        """Go back to where the robot stood when the session began, as slowly as it is aligned."""
        rig = self._rig
        return bring_together(rig.safety.command, self._home, largest_step=rig.approach_step)

    def _reconnect(self, reason: str) -> None:
        """Try to get back what was lost until it answers or the operator gives up."""
        rig, tried_s = self._rig, -math.inf
        self._teller.beep()
        while not self._is_over():
            self._listen()
            self._teller.tell(Moment.LOST, Tally(), self._result, warning=reason)
            if time.monotonic() - tried_s < SECONDS_BETWEEN_RECONNECTS:
                time.sleep(SECONDS_BETWEEN_LOOKS)
                continue
            tried_s = time.monotonic()
            try:
                rig.world.reconnect()
                if rig.leader is not None:
                    rig.leader.reconnect()
            except DeviceError as error:
                reason = str(error)
            else:
                # Somebody may have an arm or a cable in hand: nothing moves before they say so.
                self._is_stopped |= not rig.world.lays_scenes
                return


@contextmanager
def _without_garbage_collection() -> Iterator[None]:
    """Leave the search for garbage to the time between attempts.

    With the libraries of a policy loaded it looks through a million objects, which takes the
    time of several control steps.
    """
    gc.collect()
    gc.disable()
    try:
        yield
    finally:
        gc.enable()


@contextmanager
def _switching_quickly() -> Iterator[None]:
    """Let the control loop have the interpreter sooner when its time has come.

    By default another thread, which predicts or encodes, may keep it for 5 ms.
    """
    before = sys.getswitchinterval()
    sys.setswitchinterval(SWITCH_INTERVAL_S)
    try:
        yield
    finally:
        sys.setswitchinterval(before)
