"""The schema: one drawing of an episode, and the words used for its parts.

An episode is one attempt of ``T`` frames, one frame per control step, stored as one small
LeRobotDataset (format v3.0)::

    key                        dtype    shape     range, unit
    observation.images.<cam>   video    (H, W, 3) uint8 RGB, H.264, one file per camera
    observation.state          float32  (S,)      as the robot reports it
    action                     float32  (A,)      as commanded, not as reached
    recap.policy_action        float32  (A,)      as the policy asked, unlimited; NaN: not asked
    recap.pilot                string   ()        policy | expert | teleoperator
    recap.episode_uid          string   ()        the same in every frame, survives merging
    recap.policy_id            string   ()        "" where no policy took part
    timestamp                  float32  ()        seconds since the first frame
    frame_index                int64    ()        0 ... T-1
    episode_index, index, task_index             int64, numbered by LeRobot's conventions

``meta/recap.json`` holds the `EpisodeInfo`. The outcome is *not* part of an episode: it is a
judgement, given later and possibly revised, and lives in the outcome store.
"""

from __future__ import annotations

import re
from dataclasses import asdict, dataclass, fields
from enum import StrEnum
from typing import TYPE_CHECKING, Any

from data.errors import ConfigError, EpisodeError

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    import numpy as np
    from numpy.typing import NDArray

IMAGE_PREFIX = "observation.images."
STATE_KEY = "observation.state"
ACTION_KEY = "action"
POLICY_ACTION_KEY = "recap.policy_action"
PILOT_KEY = "recap.pilot"
EPISODE_KEY = "recap.episode_uid"
POLICY_KEY = "recap.policy_id"

RECAP_PATH = "meta/recap.json"
"""Where LeRobot's folders hold what is ours, in an episode as in a training set."""

UID = re.compile(r"[A-Za-z0-9][A-Za-z0-9_-]*")
"""The whole name of an episode."""


class Pilot(StrEnum):
    """Whoever is in control of a frame."""

    POLICY = "policy"
    EXPERT = "expert"
    TELEOPERATOR = "teleoperator"


class Source(StrEnum):
    """Why an episode was recorded."""

    DEMONSTRATION = "demonstration"
    ROLLOUT = "rollout"


class Ending(StrEnum):
    """How an episode ended. A time limit says nothing about success.

    An interrupted episode lost its robot or a camera, or its recording was cut. It is kept, and
    never trained on unless asked for.
    """

    TERMINATED = "terminated"
    TIME_LIMIT = "time_limit"
    STOPPED = "stopped"
    INTERRUPTED = "interrupted"


class Outcome(StrEnum):
    """The judgement of an episode. An episode without one is unjudged, not failed.

    A discarded one is neither a success nor a failure: it is left out of training.
    """

    SUCCESS = "success"
    FAILURE = "failure"
    DISCARD = "discard"


class Indicator(StrEnum):
    """What the policy is told about an action."""

    POSITIVE = "positive"
    NEGATIVE = "negative"


@dataclass(frozen=True, slots=True, kw_only=True)
class Layout:
    """What every frame of a project holds: names, sizes and rate."""

    fps: int
    """Frames a second; one frame is one control step."""

    cameras: Mapping[str, tuple[int, int]]
    """Camera name to (height, width) in pixels; both even, as the video format demands."""

    state_names: tuple[str, ...]
    """Name of each component of the state."""

    action_names: tuple[str, ...]
    """Name of each component of the action."""

    robot_type: str
    """Name of the robot, as LeRobot records it."""

    def __post_init__(self) -> None:
        if self.fps < 1:
            message = f"fps must be at least 1 frame a second, got {self.fps}."
            raise ConfigError(message)
        for camera, (height, width) in self.cameras.items():
            if height % 2 or width % 2 or min(height, width) < 2:
                message = (
                    f"Camera '{camera}' is {height}x{width}, but the video format needs an even "
                    f"height and width. Crop or resize it by one pixel."
                )
                raise ConfigError(message)
        if not self.state_names or not self.action_names:
            message = "A layout needs at least one state and one action component."
            raise ConfigError(message)

    def image_key(self, camera: str) -> str:
        """Return the dataset key of a camera."""
        return IMAGE_PREFIX + camera

    def differences(self, now: Layout) -> list[str]:
        """Say in words what is different in another layout, thing by thing."""
        told = [
            f"{name} was {getattr(self, name)}, is {getattr(now, name)}"
            for name in ("fps", "robot_type")
            if getattr(self, name) != getattr(now, name)
        ]
        for camera in sorted(self.cameras.keys() | now.cameras.keys()):
            before, after = self.cameras.get(camera), now.cameras.get(camera)
            if before != after:
                told.append(f"camera '{camera}' was {_size(before)}, is {_size(after)}")
        for kind in ("state_names", "action_names"):
            old, new = getattr(self, kind), getattr(now, kind)
            if old != new:
                told.append(f"{kind} were {', '.join(old)}, are {', '.join(new)}")
        return told

    def to_json(self) -> dict[str, Any]:
        """Return the layout as a JSON object."""
        return asdict(self)

    @classmethod
    def from_json(cls, content: Mapping[str, Any]) -> Layout:
        """Read what `to_json` wrote.

        Raises:
            ConfigError: If a field is missing or has another type, or a value it cannot have.
        """
        try:
            return cls(
                fps=int(content["fps"]),
                cameras={name: (int(h), int(w)) for name, (h, w) in content["cameras"].items()},
                state_names=tuple(content["state_names"]),
                action_names=tuple(content["action_names"]),
                robot_type=str(content["robot_type"]),
            )
        except (KeyError, TypeError, ValueError, AttributeError) as error:
            message = f"a layout has no usable {error}"
            raise ConfigError(message) from error


def _size(size: tuple[int, int] | None) -> str:
    return "absent" if size is None else f"{size[0]}x{size[1]}"


@dataclass(frozen=True, slots=True, kw_only=True)
class EpisodeInfo:
    """What is known about an episode as a whole when it ends."""

    uid: str
    """Unique, stable name: letters, digits, ``-`` and ``_``. Also the name of its folder."""

    task: str
    """The instruction in words."""

    seed: int | None
    """Seed of the world at reset; None where the world cannot be seeded, as a real one."""

    source: Source
    """Demonstration or rollout."""

    iteration: int
    """Lap in which it was recorded; demonstrations have 0."""

    policy_id: str
    """Name of the policy that took part, empty where none did."""

    ending: Ending
    """How it ended."""

    frames: int
    """Number of frames."""

    corrected_frames: int
    """Number of frames in which somebody corrected the policy."""

    measured_success: bool | None
    """What the world itself measured, None where it cannot. The outcome is judged apart."""

    session: str = ""
    """The sitting at a robot it was recorded in, named like a uid: same light, same wear, same
    person. Empty where not known, and for a simulated attempt, which is a draw of its own."""

    def __post_init__(self) -> None:
        if not UID.fullmatch(self.uid):
            message = f"An episode uid has letters, digits, '-' and '_' only, got {self.uid!r}."
            raise ValueError(message)
        if self.session != "" and not UID.fullmatch(self.session):
            message = f"A session has letters, digits, '-' and '_' only, got {self.session!r}."
            raise ValueError(message)
        if not 0 <= self.corrected_frames <= self.frames:
            message = f"{self.uid}: {self.corrected_frames} of {self.frames} frames corrected."
            raise ValueError(message)

    def to_json(self) -> dict[str, Any]:
        """Return the info as a JSON object, without the session where there is none.

        Episodes from before that field hash as they did when they were written.
        """
        content = asdict(self)
        if not self.session:
            del content["session"]
        return content

    @classmethod
    def from_json(cls, content: Mapping[str, Any]) -> EpisodeInfo:
        """Read what `to_json` wrote.

        Raises:
            EpisodeError: If a field is missing, unknown, or has a value it cannot have.
        """
        wrong = sorted({field.name for field in fields(cls)} ^ {*content, "session"})
        if wrong:
            message = f"missing or unknown field(s): {', '.join(wrong)}"
            raise EpisodeError(message)
        try:
            typed = {"source": Source(content["source"]), "ending": Ending(content["ending"])}
            return cls(**{**content, **typed})
        except (TypeError, ValueError) as error:
            raise EpisodeError(str(error)) from error


@dataclass(frozen=True, slots=True, kw_only=True)
class EpisodeRecord:
    """A finished attempt in memory, ready to be written."""

    info: EpisodeInfo
    """The episode as a whole."""

    images: Mapping[str, NDArray[np.uint8]]
    """Camera name to ``(T, H, W, 3)`` RGB frames."""

    state: NDArray[np.float32]
    """``(T, S)`` states, each seen before the action of the same row."""

    action: NDArray[np.float32]
    """``(T, A)`` commanded actions."""

    pilot: Sequence[Pilot]
    """Who was in control, frame by frame."""

    policy_action: NDArray[np.float32] | None = None
    """``(T, A)`` what the policy asked for, or would have done, before any limit was applied. NaN
    in the frames in which nobody asked it; None if nobody ever did."""


def is_correction(source: Source, pilot: Pilot) -> bool:
    """Say whether a frame corrects the policy: a rollout frame that the policy did not fly."""
    return source is Source.ROLLOUT and pilot is not Pilot.POLICY
