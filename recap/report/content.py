"""What a report says, before anybody decides how it looks.

Every section of the page is one field of :class:`ReportContent`. An empty field leaves its section
out: an iteration without corrections shows no corrected episode and claims nothing about it.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from data.schema import Outcome
from recap.core.intervals import Interval

Floats = NDArray[np.floating]
Bools = NDArray[np.bool_]
Integers = NDArray[np.integer]
Pixels = NDArray[np.uint8]


@dataclass(frozen=True, slots=True, kw_only=True)
class PolicyRow:
    """One policy under one condition, as measured by an evaluation."""

    name: str
    """What the row is called, for example ``"RECAP, iteration 1"`` or ``"positive"``."""

    episodes: int
    """Number of evaluation episodes."""

    success: Interval
    """Share of episodes that succeeded, in [0, 1], with its 95 % Wilson interval."""

    successes_per_hour: Interval
    """Successes per hour of robot time, with its 95 % bootstrap interval."""

    median_steps_to_success: float | None
    """Median length of the successful episodes in control steps; None when there were none."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Comparison:
    """The candidate against the baseline, paired on the same seeds."""

    throughput_ratio: Interval
    """Successes per hour, candidate over baseline. Above one means faster."""

    failure_ratio: Interval
    """Failure rate, candidate over baseline. Below one means fewer failures."""

    mcnemar_p: float
    """McNemar p-value of the paired successes."""


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class ValueCurve:
    """What the value model thought of one episode, frame by frame."""

    title: str
    """Why this episode was picked, for example ``"A failure"``."""

    task: str
    """The instruction."""

    outcome: Outcome
    """How the episode was judged."""

    values: Floats
    """``(T,)`` predicted returns, in [-1, 0]."""

    returns: Floats
    """``(T,)`` returns as they turned out, in [-1, 0]."""

    is_positive: Bools
    """``(T,)`` indicator of each frame: better than its task's threshold, or a correction."""

    is_correction: Bools
    """``(T,)`` frames where somebody other than the policy was in control."""

    filmstrip_frames: Integers
    """``(K,)`` frame indices of the pictures, ascending."""

    filmstrip: Pixels
    """``(K, H, W, 3)`` pictures at those frames."""

    def __post_init__(self) -> None:
        """Refuse arrays that do not describe the same frames."""
        length = len(self.values)
        if not len(self.returns) == len(self.is_positive) == len(self.is_correction) == length:
            message = (
                f"A value curve needs one return, indicator and correction flag for each of its "
                f"{length} values, got {len(self.returns)}, {len(self.is_positive)} and "
                f"{len(self.is_correction)}."
            )
            raise ValueError(message)
        if len(self.filmstrip) != len(self.filmstrip_frames):
            message = (
                f"{len(self.filmstrip)} filmstrip picture(s) for "
                f"{len(self.filmstrip_frames)} filmstrip frame(s)."
            )
            raise ValueError(message)


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class AdvantageHistogram:
    """How the advantages of one task are spread around its threshold."""

    task: str
    """The instruction."""

    advantages: Floats
    """``(N,)`` advantages of the frames that the threshold was set on."""

    threshold: float
    """Frames above it are positive."""


@dataclass(frozen=True, slots=True, kw_only=True)
class SourceShare:
    """How many frames of one kind of data are positive."""

    source: str
    """Where the frames come from: ``"demonstration"``, ``"autonomous"`` or ``"correction"``."""

    frames: int
    """Number of frames."""

    positive: int
    """Number of those that are positive."""


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Series:
    """One line of a learning curve."""

    name: str
    """What the line is called in the legend, for example ``"train"``; empty when it is alone."""

    steps: Floats
    """``(N,)`` training steps, ascending."""

    values: Floats
    """``(N,)`` the metric at those steps."""


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class LearningCurve:
    """One metric of one training stage."""

    stage: str
    """The stage that was training, for example ``"train_value"``."""

    metric: str
    """What was measured, for example ``"loss"``."""

    series: tuple[Series, ...]
    """The lines of the panel."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ValueMetric:
    """One measurement of the value model on episodes it was not trained on."""

    name: str
    """What was measured."""

    held_out: float
    """The figure on held-out episodes."""

    train: float | None = None
    """The same figure on training episodes, where it was measured: the gap is over-fitting."""

    meaning: str = ""
    """One sentence that says how to read it."""

    interval: Interval | None = None
    """The held-out figure with its 95 % bootstrap interval over episodes, where there is one."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ComparedFigure:
    """One figure of the value model or a baseline."""

    value: float | None
    """The figure on held-out episodes; None where it could not be measured."""

    model_less_this: Interval | None = None
    """The model's figure less this one, on the same episodes, with its 95 % bootstrap interval;
    None for the model itself."""


@dataclass(frozen=True, slots=True, kw_only=True)
class BaselineRow:
    """The value model, or what it must beat, on the same held-out episodes."""

    name: str
    """What it is called."""

    meaning: str
    """One sentence that says what it knows."""

    figures: Mapping[str, ComparedFigure]
    """Name of the measurement to the figure."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ValueQuality:
    """How far the value model can be relied on."""

    verdict: str
    """``"ready"``, ``"weak"`` or ``"unusable"``."""

    reasons: tuple[str, ...]
    """Sentences that say why it is not ready."""

    pit: tuple[Interval, ...]
    """Share of held-out returns that fell into each tenth of their predicted distribution."""

    baselines: tuple[BaselineRow, ...]
    """The model first, then the baselines."""


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Video:
    """One rollout to watch."""

    mp4: bytes
    """The film, H.264 in yuv420p."""

    poster: Pixels
    """``(H, W, 3)`` picture shown before it plays."""

    title: str
    """Whose rollout it is, for example ``"RECAP, iteration 1"``."""

    task: str
    """The instruction."""

    outcome: Outcome
    """How the episode was judged."""

    is_correction: Bools
    """``(T,)`` frames where somebody other than the policy was in control."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ReportContent:
    """Everything one iteration has to show."""

    project: str
    """Name of the project."""

    iteration: int
    """Which lap this is; 0 is supervised fine-tuning alone."""

    made_at: str
    """When the page was made, in words."""

    policies: tuple[PolicyRow, ...]
    """The headline table, baseline first, this iteration's policy last."""

    comparison: Comparison | None = None
    """Last row against first row, where both were evaluated on the same seeds."""

    notes: tuple[str, ...] = ()
    """Warnings and remarks the reader should see before the numbers."""

    conditioning: tuple[PolicyRow, ...] = ()
    """The same policy told *positive*, nothing, and *negative*."""

    value_curves: tuple[ValueCurve, ...] = ()
    """A success, a failure and a corrected episode, where there are such."""

    advantage_histograms: tuple[AdvantageHistogram, ...] = ()
    """One for each task."""

    source_shares: tuple[SourceShare, ...] = ()
    """Share of positive frames by where they come from."""

    learning_curves: tuple[LearningCurve, ...] = ()
    """What :func:`recap.report.learning.learning_curves` found in the metrics."""

    value_metrics: tuple[ValueMetric, ...] = ()
    """The value model on held-out episodes."""

    value_quality: ValueQuality | None = None
    """What these figures come to; None where an earlier version measured them."""

    videos: tuple[Video, ...] = ()
    """A few rollouts."""

    provenance: Mapping[str, Mapping[str, str]] = field(default_factory=dict)
    """Group title -> name -> text: fingerprints, settings, versions, seeds."""
