"""What the page for the people around the robot is told; part of the OpenAPI schema."""

from enum import StrEnum

from pydantic import BaseModel, ConfigDict

from data.schema import Outcome
from data.verdicts import Rule
from recap.web.schemas import Uid

MOST_DISPUTED_SHOWN = 50


class _Message(BaseModel):
    model_config = ConfigDict(extra="forbid")


class Grade(StrEnum):
    """How good a figure is, for those who do not read such figures every day."""

    GOOD = "good"
    FAIR = "fair"
    WEAK = "weak"
    BAD = "bad"
    UNKNOWN = "unknown"
    """It could not be measured."""


class IntervalOut(_Message):
    """A measured number between the bounds of its 95 % confidence interval."""

    low: float | None
    """Null where the bound is infinite."""

    point: float
    high: float | None
    """Null where the bound is infinite."""


class RateOut(_Message):
    """A share of some episodes, with its Wilson interval."""

    count: int
    """How many of them."""

    episodes: int
    """Out of how many."""

    share: IntervalOut


class AttemptsOut(_Message):
    """The recorded attempts of one lap."""

    episodes: int
    demonstrations: int
    """How many of them a person or an expert flew from the beginning."""

    interrupted: int
    """How many lost their robot or a camera, or were cut."""

    successes: int
    failures: int
    discards: int
    waiting: int
    """Undecided, and judged by fewer people than the project's rule needs."""

    third_looks: int
    """Undecided although enough people judged them, as these disagree. What is decided as success,
    failure or discard, what waits and what needs a third look make up all attempts; the undecided
    count neither way in any figure here."""

    disputed: int
    """Judged differently by different people, decided or not."""

    disputed_decided: int
    """Those of them that the rule decides all the same."""

    success: IntervalOut | None
    """Share of successes among the attempts that are decided as success or failure."""

    alone: RateOut | None
    """The same of those rollouts that nobody corrected; null without one."""

    helped: RateOut | None
    """The same of those rollouts that somebody corrected; null without one."""

    successes_per_hour: IntervalOut | None
    """Successes in an hour of robot time of the decided attempts, resets not counted."""

    corrected: RateOut | None
    """Share of the rollouts that somebody corrected, judged or not; null without a rollout."""

    corrected_frame_share: float | None
    """Share of the rollouts' frames that somebody corrected; null without a rollout."""


class EvaluationOut(_Message):
    """How the policy of one lap did on the held-out worlds, where nobody helps."""

    episodes: int
    success: IntervalOut
    successes_per_hour: IntervalOut | None
    median_steps_to_success: float | None


class LapOut(_Message):
    """One lap."""

    iteration: int
    attempts: AttemptsOut | None
    """Null where none was recorded."""

    evaluation: EvaluationOut | None
    report: str | None
    """Address of the lap's report; null while there is none."""


class FigureOut(_Message):
    """One figure of a value model, on episodes it never saw."""

    name: str
    value: float | None
    """Null where there was nothing to measure it on."""

    train: float | None
    """The same on the episodes it was trained on."""

    grade: Grade
    reading: str
    """What the figure says, in plain words."""


class ValueModelOut(_Message):
    """How far the value model of one lap can be relied on."""

    iteration: int | None
    """The lap; null is pre-training."""

    held_out_episodes: int
    grade: Grade
    headline: str
    """The figure that matters most, in plain words."""

    figures: list[FigureOut]


class DisputedOut(_Message):
    """An episode that people judged differently."""

    uid: Uid
    task: str
    iteration: int
    outcome: Outcome | None
    """What the project's rule makes of it; null while it is undecided."""

    verdicts: dict[str, Outcome]
    """Person to what they say."""


class StepOut(_Message):
    """Something that is missing, and what to do about it."""

    text: str
    link: str | None
    """Where to do it in the browser."""

    command: str | None
    """What to type."""


class DashboardOut(_Message):
    """One project, for the people around the robot."""

    name: str
    revision: int
    """Of the episodes and judgements, as the progress has it."""

    fps: int | None
    rule: Rule
    raters_needed: int
    episodes: int
    decided: int
    """Attempts with an outcome. With the next two they are all attempts."""

    waiting: int
    """Undecided, and judged by fewer people than the rule needs."""

    third_looks: int
    """Undecided although enough people judged them."""

    indexing: int
    """Episodes found but not read yet: every figure lacks them."""

    disputed: int
    """Judged differently by different people, decided or not."""

    laps: list[LapOut]
    """In their order; a lap without attempts, evaluation and report is left out."""

    value_models: list[ValueModelOut]
    """Pre-training first, then the laps in their order."""

    disputed_episodes: list[DisputedOut]
    """The newest of them."""

    next_steps: list[StepOut]
    """What is missing, what to do first at the beginning."""

    problems: list[str]
    """What could not be read, and therefore is not in the figures."""
