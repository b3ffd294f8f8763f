"""What a session is to record, and what it came to."""

from dataclasses import dataclass, field

from data.schema import Ending, EpisodeInfo, Outcome


@dataclass(frozen=True, slots=True, kw_only=True)
class SessionPlan:
    """What is to be recorded, and under which names."""

    iteration: int
    """The lap that the attempts belong to; 0 holds demonstrations."""

    episodes: int
    """Attempts to record; 0 for as many as the time allows."""

    minutes: float
    """Time after which no further attempt begins; 0 for no limit."""

    reset_s: float
    """Longest time to wait until a person has put the scene back; 0 for any time."""

    time_limit_steps: int
    """Control steps after which an attempt ends."""

    first_seed: int
    """Scene of the first attempt, where the robot lays scenes; also seeds the policy's noise."""

    operator: str
    """Who sits at the keys; the verdicts bear this name."""

    session: str = ""
    """What the sitting is called in the episodes that are recorded in it."""


@dataclass(slots=True, kw_only=True)
class SessionResult:
    """What a session came to."""

    uids: list[str] = field(default_factory=list)
    frames: int = 0
    corrected_frames: int = 0
    successes: int = 0
    failures: int = 0
    discarded: int = 0
    interrupted: int = 0
    missed_steps: int = 0
    working_s: float = 0.0

    def in_words(self) -> str:
        """Say how the attempts so far ended."""
        return (
            f"successes {self.successes}, failures {self.failures}, discarded {self.discarded}, "
            f"interrupted {self.interrupted}; {self.successes_per_hour:.0f} successes an hour"
        )

    def count(self, info: EpisodeInfo, verdict: Outcome | None, *, missed_steps: int) -> None:
        """Add an episode; where the operator said nothing, what the world measured counts."""
        is_interrupted = info.ending is Ending.INTERRUPTED
        measured = None if is_interrupted else info.measured_success
        self.uids.append(info.uid)
        self.frames += info.frames
        self.corrected_frames += info.corrected_frames
        self.missed_steps += missed_steps
        self.interrupted += is_interrupted
        self.discarded += verdict is Outcome.DISCARD
        self.successes += verdict is Outcome.SUCCESS or (verdict is None and measured is True)
        self.failures += verdict is Outcome.FAILURE or (verdict is None and measured is False)

    @property
    def successes_per_hour(self) -> float:
        """Successes in an hour of attempts; resets are not counted."""
        return 3600 * self.successes / self.working_s if self.working_s else 0.0
