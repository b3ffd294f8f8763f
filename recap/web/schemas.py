"""What the form's pages and its server say to each other; the OpenAPI schema is made of these."""

import datetime as dt
import unicodedata
from enum import StrEnum
from typing import Annotated

from pydantic import (
    AfterValidator,
    BaseModel,
    ConfigDict,
    Field,
    StrictBool,
    ValidationError,
    ValidatorFunctionWrapHandler,
    WrapValidator,
)
from pydantic_core import PydanticCustomError

from data.schema import UID, Ending, Indicator, Outcome, Pilot, Source
from data.verdicts import NAME_RULE, SIMULATOR, Rule, is_person

MOST_NOTE_CHARACTERS = 2000
MOST_FRAMES = 10_000_000
MOST_QUEUED = 100


def _one_spelling(name: str) -> str:
    """Return a person's name in one spelling; an accent may be written in two ways."""
    if not is_person(unicodedata.normalize("NFKC", name)):
        kind, message = "rater", f"'{SIMULATOR}' is no person's name; type your own"
        raise PydanticCustomError(kind, message)
    return unicodedata.normalize("NFC", name)


def _in_words(name: object, check: ValidatorFunctionWrapHandler) -> object:
    """Say in words what a person may be called, instead of showing them a regular expression."""
    try:
        return check(name)
    except ValidationError as error:
        kinds = {found["type"] for found in error.errors()}
        if kinds <= {"string_pattern_mismatch", "string_too_long"}:
            kind, message = "rater", "{rule}"
            raise PydanticCustomError(kind, message, {"rule": NAME_RULE}) from error
        raise


Uid = Annotated[str, Field(pattern=f"^{UID.pattern}$", max_length=200)]
RaterName = Annotated[
    str,
    # Letters and digits of any script, spaces, and a few signs; no space at either end.
    Field(pattern=r"^[^\W_]([\w .@'-]*[\w.])?$", max_length=60),
    AfterValidator(_one_spelling),
    WrapValidator(_in_words),
]
ProjectId = Annotated[str, Field(max_length=64)]
RequestId = Annotated[str, Field(pattern=r"^[A-Za-z0-9-]{8,64}$")]

# PostgreSQL cannot hold the character zero.
Note = Annotated[str, Field(pattern=r"^[^\x00]*$", max_length=MOST_NOTE_CHARACTERS)]


class _Message(BaseModel):
    model_config = ConfigDict(extra="forbid")


class Problem(_Message):
    """Why a request was refused, in one sentence for a person."""

    detail: str


class OutcomeFilter(StrEnum):
    """Which episodes of the queue to show, by how they were judged."""

    UNJUDGED = "unjudged"
    """Still to be judged by the person who asks: undecided by the rule, and not judged by them."""

    NOT_YOURS = "not-yours"
    """Without a standing verdict of the person who asks, decided or not; all for nobody."""

    SUCCESS = "success"
    FAILURE = "failure"
    DISCARD = "discard"
    DISPUTED = "disputed"
    """Judged differently by different people."""

    ANY = "any"


class Camera(_Message):
    """One camera of the project."""

    name: str
    height: int
    width: int


class Criterion(_Message):
    """One question of the checklist."""

    name: str
    question: str


class CriteriaOut(_Message):
    """The checklist, and how its answers become an outcome."""

    version: str
    needed: int
    """How many must be met for a success."""

    items: list[Criterion]


class ProjectOut(_Message):
    """What holds for every episode of the project."""

    id: str
    """Tells it from every other project, also from one of the same name."""

    name: str
    fps: int | None
    """Frames a second; null while nothing has been recorded."""

    cameras: list[Camera]
    tasks: list[str]
    iterations: list[int]
    criteria: CriteriaOut | None
    rule: Rule
    raters_needed: int


class EpisodeCard(_Message):
    """One episode as the queue lists it."""

    uid: Uid
    task: str
    iteration: int
    source: Source
    ending: Ending
    frames: int
    corrected_frames: int
    measured_success: bool | None
    outcome: Outcome | None
    """What the project's rule makes of the verdicts; null while it is undecided."""

    is_disputed: bool
    raters: list[str]
    """Whose verdict stands."""

    yours: Outcome | None
    """The standing verdict of the person who asks."""

    looked_at_by: list[str]
    """Other people who have it on their screen."""


class Queue(_Message):
    """A stretch of the episodes that fit the filters, in the order to judge them."""

    episodes: list[EpisodeCard]
    total: int
    """How many fit the filters altogether."""


class Segment(_Message):
    """A stretch of frames ``[start, stop)`` with one pilot in control."""

    start: int
    stop: int
    pilot: Pilot
    is_correction: bool


class Marks(_Message):
    """What the newest lap that marked an episode says of its frames."""

    iteration: int | None
    """The lap; null is pre-training."""

    value: list[float]
    advantage: list[float]
    indicator: list[Indicator]


class JudgementOut(_Message):
    """One line of the append-only history."""

    id: int
    episode_uid: Uid
    rater: str
    verdict: Outcome | None
    """Null in a line that withdraws another."""

    withdraws: int | None
    """The line that this one withdraws."""

    note: str
    success_frame: int | None
    answers: dict[str, bool] | None
    criteria_version: str
    judged_at: dt.datetime
    """When, in UTC."""

    is_standing: bool
    """Whether it is what its rater says now."""


class EpisodeDetail(EpisodeCard):
    """One episode as the form shows it."""

    videos: dict[str, str]
    """Camera name to the address of its video."""

    fps: int
    segments: list[Segment]
    marks: Marks | None
    success_frame: int | None
    """The moment of success by the project's rule."""

    history: list[JudgementOut]


class VerdictIn(_Message):
    """A verdict to add."""

    rater: RaterName
    verdict: Outcome
    note: Note = ""
    success_frame: Annotated[int, Field(ge=0, le=MOST_FRAMES, strict=True)] | None = None
    answers: dict[str, StrictBool] | None = None
    """Criterion name to whether it is met; null where the project has no criteria, or a discard."""

    criteria_version: Annotated[str, Field(max_length=16)] = ""
    request_id: RequestId
    """Made up by the client: a request that is sent again adds nothing."""

    project_id: ProjectId | None = None
    """The project it is about; one that is meant for another is refused. Null for this one."""


class WithdrawalIn(_Message):
    """A wish to take a verdict back."""

    rater: RaterName
    request_id: RequestId
    project_id: ProjectId | None = None
    """The project it is about; one that is meant for another is refused. Null for this one."""


class LookIn(_Message):
    """Word that somebody has an episode on the screen."""

    rater: RaterName


class Progress(_Message):
    """How far the judging is."""

    project_id: str
    """The project, as a page may be left open while another one takes its place."""

    settings: str
    """Changes with the rule and with the checklist, which may be others after a restart."""

    revision: int
    """Grows whenever an episode or a judgement was added."""

    episodes: int
    indexing: int
    """Episodes found but not read yet."""

    damaged: list[str]
    """Folders that are not whole episodes."""

    unjudged: int
    """Undecided by the rule."""

    decided_by_simulator: int
    """Decided, and nobody has said anything of them: the simulator measured their success."""

    disputed: int
    yours: int
    """Episodes with a standing verdict of the person who asks."""

    yours_per_hour: float | None
    """Their pace over the last minutes; null before there is one."""


class RaterRow(_Message):
    """One person's part."""

    rater: str
    episodes: int
    successes: int
    failures: int
    discards: int


class AgreementOut(_Message):
    """How far people agree, beyond chance."""

    kind: str
    """``Cohen's kappa`` for two people, ``Fleiss' kappa`` for more, empty with nothing to compare.
    """

    kappa: float | None
    low: float | None
    high: float | None
    """Bounds of the 95 % bootstrap interval over episodes."""

    episodes: int
    """Episodes that at least two people judged."""

    disputed: list[str]
    raters: list[RaterRow]
