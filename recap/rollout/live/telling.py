"""What a session tells its operator: the status on the screen, and what to be warned of."""

import shutil
import time
from collections.abc import Mapping
from enum import StrEnum
from pathlib import Path
from typing import Final

from recap.rollout.live.attempt import Rig, Tally
from recap.rollout.live.clock import ClockSummary, ControlClock
from recap.rollout.live.handover import Phase
from recap.rollout.live.plan import SessionPlan, SessionResult
from recap.rollout.live.view import Status, View

SECONDS_BETWEEN_DRAWINGS: Final = 0.5
LITTLE_DISK_GB: Final = 2.0


class Moment(StrEnum):
    """What there is to tell of besides the phases of an attempt."""

    RESET = "reset"
    """The scene is put back."""

    STOPPED = "stopped"
    """The emergency stop is latched."""

    LOST = "lost"
    """The robot, a camera or the leader is gone."""

    OVER = "session over"
    """No further attempt begins."""


HINTS: Final[Mapping[str, str]] = {
    Phase.PAUSED: "space goes on, t takes over",
    Phase.ALIGNING: "robot and leader come together: hold the leader",
    Moment.RESET: "put the scene back, then press r",
    Moment.STOPPED: "it stands still until space lifts the stop",
    Moment.LOST: "trying to connect again; q gives up",
}
"""What the operator is expected to do now."""

NO_KEYS: Final = "no keys are heard here; Ctrl-C ends the session"
LAYS_SCENES: Final = "the robot lays the next scene"


class Teller:
    """Draws the status of a session now and then, from the control loop itself."""

    def __init__(self, view: View, rig: Rig, plan: SessionPlan, *, folder: Path) -> None:
        """Prepare; ``folder`` lies on the disk whose space counts."""
        self._view = view
        self._rig = rig
        self._plan = plan
        self._folder = folder
        self._drawn_s = 0.0
        self._drawn = ""
        self._overruns = 0

    def beep(self) -> None:
        """Ask for the operator's attention."""
        self._view.beep()

    def tell(
        self, moment: Phase | Moment, tally: Tally, result: SessionResult, *, warning: str = ""
    ) -> None:
        """Draw the status if the moment is another one, or the last drawing is a while ago.

        Args:
            moment: Who is in control, or what is waited for.
            tally: What the attempt has come to.
            result: What the session has come to.
            warning: What matters more than anything that the rig has to say.
        """
        now_s = time.monotonic()
        if moment == self._drawn and now_s - self._drawn_s < SECONDS_BETWEEN_DRAWINGS:
            return
        self._drawn_s, self._drawn = now_s, moment
        fps, has_policy = self._rig.world.layout.fps, self._rig.policy is not None
        self._view.show(
            Status(
                attempt=self._attempt(result),
                task=self._rig.world.task,
                state=self._state(moment),
                seconds=tally.steps / fps,
                limit_s=self._plan.time_limit_steps / fps,
                corrected_s=tally.corrected_steps / fps if has_policy else None,
                rate=_rate_in_words(self._rig.clock.summary()),
                outcomes=result.in_words(),
                disk=f"{self._free_gb():.1f} GB left",
                warnings=(*filter(None, [warning]), *self._warnings(moment, tally)),
                hint=self._hint(moment),
                keys="" if moment is Moment.OVER else self._rig.controls.help_text,
            )
        )

    def _attempt(self, result: SessionResult) -> str:
        most, number = self._plan.episodes, len(result.uids) + 1
        return f"{min(number, most)} of {most}" if most else f"{number}"

    def _state(self, moment: Phase | Moment) -> str:
        is_demonstrated = moment is Phase.CORRECTING and self._rig.policy is None
        return "demonstrating" if is_demonstrated else moment.value

    def _hint(self, moment: Phase | Moment) -> str:
        if moment is Moment.RESET and self._rig.world.lays_scenes:
            return LAYS_SCENES
        hint = HINTS.get(moment, "")
        return NO_KEYS if hint and not self._rig.controls.help_text else hint

    def _warnings(self, moment: Phase | Moment, tally: Tally) -> list[str]:
        policy, found = self._rig.policy, []
        if self._rig.safety.is_starved and moment is Phase.AUTONOMOUS:
            found.append("the policy does not answer in time: holding")
        if self._rig.safety.is_starved and moment in (Phase.ALIGNING, Phase.CORRECTING):
            found.append("the leader does not say where to go: holding")
        if policy is not None and policy.trouble:
            found.append(policy.trouble)
        found += sorted(tally.concerns)[:1]
        found += self._lateness(self._rig.clock)
        if self._free_gb() < LITTLE_DISK_GB:
            found.append("the disk is nearly full")
        return found

    def _lateness(self, clock: ControlClock) -> list[str]:
        """Say which stage made the loop miss its rate since the last drawing."""
        missed, self._overruns = clock.overruns - self._overruns, clock.overruns
        if missed <= 0 or clock.last_overrun is None:
            return []
        late = clock.last_overrun
        took, period = f"{late.stage_s * 1e3:.0f} ms", f"{clock.period_s * 1e3:.0f} ms"
        if late.stage_s < clock.period_s / 2:
            return [f"the loop misses its rate of {period}: the machine is busy elsewhere"]
        return [f"the loop misses its rate: '{late.stage}' took {took} of {period}"]

    def _free_gb(self) -> float:
        return shutil.disk_usage(self._folder).free / 1e9


def _rate_in_words(summary: ClockSummary) -> str:
    return (
        f"{summary.rate_hz:.1f} Hz, jitter p99 {summary.jitter_p99_ms:.1f} ms, "
        f"{summary.overruns} late steps"
    )
