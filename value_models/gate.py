"""Whether a value model may decide what a policy learns: ready, weak or unusable, and why.

The bars are constants with their reasons. A model is called unusable only on evidence: with too
few held-out episodes to tell it is weak, and the reasons say so.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Any, Final

from value_models.config import HoldOutBy

COIN: Final = 0.5
"""AUC of a model that knows nothing."""

READY_AUC: Final = 0.85
"""Least AUC halfway. Below it, more than one pair of success and failure in seven is mistaken."""

READY_RANK_CORRELATION: Final = 0.9
"""Least rank correlation over successes: an advantage is a difference along an episode."""

READY_COVERAGE_90: Final = (0.85, 0.95)
"""Bounds of the share of returns within the central 90 % of their distribution."""

FEWEST_COMPARED: Final = 10
"""Successes, and failures, that must be compared halfway before an AUC says anything: with fewer
its 95 % interval is wider than from a coin to ``READY_AUC``."""

FEWEST_EPISODES: Final = 20
"""Held-out episodes below which no baseline is said to be as good as the model."""

FEWEST_GROUPS: Final = 6
"""Sessions, or raters, that must be held out where whole ones are. Five lie all on one side of
what is usual in 2 / 2**5 of the cases, more than the 5 % that an interval may miss."""

COMPARED_BY: Final = "rmse_steps"
"""How models and baselines are compared: by the error of the value, as advantages are made of
values, and squared, as a mean is then the best guess of all. Cross-entropy would favour a clock
without reason: attempts that fail at the time limit all last equally long, so the exact time,
which the model is not told, gives their return to the bin."""

MUST_BEAT: Final[Mapping[str, str]] = {
    "time": "a clock",
    "task": "the mean of the task",
}
"""Baselines that see nothing. A model that does not beat them has learnt nothing from looking."""

SHOULD_BEAT: Final[Mapping[str, str]] = {**MUST_BEAT, "linear_probe": "a linear probe"}
"""Baselines that a model must beat clearly, by an interval without zero, to be ready."""


class Verdict(StrEnum):
    """How far a value model can be relied on."""

    READY = "ready"
    WEAK = "weak"
    UNUSABLE = "unusable"


@dataclass(frozen=True, slots=True, kw_only=True)
class Gate:
    """The verdict on one value model."""

    verdict: Verdict
    """How far it can be relied on."""

    reasons: tuple[str, ...] = ()
    """Whole sentences that say why it is not ready, the gravest first; none where it is."""

    @classmethod
    def read(cls, metrics: Mapping[str, Any]) -> Gate | None:
        """Read the verdict in a value model's metrics; None where they are older than it."""
        said = metrics.get("gate")
        if said is None:
            return None
        return cls(verdict=Verdict(said["verdict"]), reasons=tuple(said["reasons"]))

    def as_json(self) -> dict[str, Any]:
        """Give what ``read`` reads, below the name ``gate``."""
        return {"verdict": self.verdict.value, "reasons": list(self.reasons)}

    def warnings(self) -> tuple[str, ...]:
        """Say the verdict and its reasons, as every later stage does; nothing where it is ready."""
        if self.verdict is Verdict.READY:
            return ()
        return (" ".join([f"The value model is {self.verdict}.", *self.reasons]),)


def gate_of(metrics: Mapping[str, Any]) -> Gate:
    """Judge a value model by what :func:`value_models.validation.validate` measured.

    It is unusable where enough held-out episodes show that

    - it cannot tell successes from failures: the interval of its AUC halfway holds a coin's 0.5
      and does not reach ``READY_AUC``; or
    - its value is no closer to the return than that of a baseline in ``MUST_BEAT``.

    It is weak where it is below a bar of this module, or where there are too few held-out
    successes or failures, sessions or raters, to tell. Otherwise it is ready.
    """
    against = _unusable(metrics)
    if against:
        return Gate(verdict=Verdict.UNUSABLE, reasons=(*against, *_weak(metrics)))
    doubts = _weak(metrics)
    return Gate(verdict=Verdict.WEAK if doubts else Verdict.READY, reasons=tuple(doubts))


def doubts_about_split(metrics: Mapping[str, Any]) -> tuple[str, ...]:
    """Say, in a sentence, where holding out whole groups held out single episodes.

    That is no fault of the model's and changes no verdict. But it is not what was asked for.
    """
    split = metrics.get("held_out_by", {"by": HoldOutBy.EPISODE})
    if split["by"] == HoldOutBy.EPISODE or split["groups"] < _all_episodes(metrics):
        return ()
    return (
        f"holdout_by={split['by']} is no stricter than episode here: each of the "
        f"{split['groups']} episodes counts as a {split['by']} of its own, as simulated ones do.",
    )


def _unusable(metrics: Mapping[str, Any]) -> list[str]:
    reasons = []
    auc = metrics["intervals"]["auc_50"]
    if _compares_enough(metrics) and auc is not None and _is_a_coin(auc):
        reasons.append(
            f"It cannot tell successes from failures: its AUC halfway is {_range(auc)}, "
            f"and a coin has {COIN}."
        )
    for name, words in MUST_BEAT.items():
        if _loses_to(metrics, name):
            reasons.append(
                f"It is no better than {words}: its values are off by {_error(metrics)} steps, "
                f"those of {words} by {_error(metrics['baselines'][name])}."
            )
    return reasons


def _weak(metrics: Mapping[str, Any]) -> list[str]:
    return [
        *_doubts_about_telling(metrics),
        *_below_bars(metrics),
        *_ties(metrics),
        *_doubts_about_groups(metrics),
    ]


def _doubts_about_groups(metrics: Mapping[str, Any]) -> list[str]:
    """Say that too few sessions or raters were held out to speak for others."""
    split = metrics["held_out_by"]
    held_out = split["held_out_groups"]
    if split["by"] == HoldOutBy.EPISODE or held_out >= FEWEST_GROUPS:
        return []
    return [
        f"Only {held_out} of {split['groups']} {split['by']}s were held out, and it takes "
        f"{FEWEST_GROUPS} to say how well it does in others: add some, or raise "
        f"value.holdout_fraction."
    ]


def _doubts_about_telling(metrics: Mapping[str, Any]) -> list[str]:
    """Say why success and failure may not be told apart, or why that cannot be said."""
    outcomes, auc = metrics["held_out_outcomes"], metrics["intervals"]["auc_50"]
    for missing, other in (("failure", "successes"), ("success", "failures")):
        if outcomes[other] == _episodes(metrics):
            return [
                f"No {missing} was held out, so that nothing says whether it tells successes "
                f"from failures."
            ]
    if not _compares_enough(metrics) or auc is None:
        compared = outcomes["compared_50"]
        return [
            f"Only {compared['successes']} held-out successes and {compared['failures']} failures "
            f"can be compared halfway: at least {FEWEST_COMPARED} of each are needed to say how "
            f"well it tells them apart."
        ]
    if _is_a_coin(auc):
        return []
    if auc[0] <= COIN:
        return [
            f"Its AUC halfway is {_range(auc)}: too few episodes were held out to tell it from "
            f"a coin's {COIN}."
        ]
    if auc[1] < READY_AUC:
        return [f"Its AUC halfway is {_range(auc)}, and {READY_AUC} is asked for."]
    return []


def _below_bars(metrics: Mapping[str, Any]) -> list[str]:
    reasons = []
    rank = metrics["intervals"]["rank_correlation_successes"]
    if rank is None and metrics["held_out_outcomes"]["successes"]:
        reasons.append("Its value is the same all the way to success.")
    if rank is not None and rank[1] < READY_RANK_CORRELATION:
        reasons.append(
            f"Its values do not rise steadily on the way to success: the rank correlation is "
            f"{_range(rank)}, and {READY_RANK_CORRELATION} is asked for."
        )
    coverage, (least, most) = metrics["held_out"]["coverage_90"], READY_COVERAGE_90
    if not least <= coverage <= most:
        sure = "too sure" if coverage < least else "not sure enough"
        reasons.append(
            f"It is {sure} of itself: where 90 % of the returns should lie, {coverage:.0%} do, "
            f"and {least:.0%} to {most:.0%} are asked for."
        )
    return reasons


def _ties(metrics: Mapping[str, Any]) -> list[str]:
    """Name the baselines that are not beaten, or not clearly."""
    reasons = []
    for name, words in SHOULD_BEAT.items():
        less = _less_than(metrics, name)
        if less is None or less[2] < 0.0 or _loses_to(metrics, name):
            continue
        reasons.append(
            f"It is {'not clearly' if less[1] < 0.0 else 'no'} better than {words}: its values "
            f"are off by {_error(metrics)} steps, those of {words} by "
            f"{_error(metrics['baselines'][name])}, on {_episodes(metrics)} held-out episodes."
        )
    return reasons


def _loses_to(metrics: Mapping[str, Any], baseline: str) -> bool:
    """Say whether a baseline that sees nothing is as good, on enough episodes to say so."""
    less = _less_than(metrics, baseline)
    enough = _episodes(metrics) >= FEWEST_EPISODES
    return baseline in MUST_BEAT and enough and less is not None and less[1] >= 0.0


def _less_than(metrics: Mapping[str, Any], baseline: str) -> Sequence[float] | None:
    """Read by how much the model's error is below a baseline's, negative where it is."""
    found = metrics["baselines"].get(baseline)
    less: Sequence[float] | None = found and found["model_minus_baseline"][COMPARED_BY]
    return less


def _compares_enough(metrics: Mapping[str, Any]) -> bool:
    compared = metrics["held_out_outcomes"]["compared_50"]
    return bool(min(compared["successes"], compared["failures"]) >= FEWEST_COMPARED)


def _is_a_coin(auc: Sequence[float]) -> bool:
    return auc[0] <= COIN and auc[2] < READY_AUC


def _episodes(metrics: Mapping[str, Any]) -> int:
    outcomes = metrics["held_out_outcomes"]
    return int(outcomes["successes"] + outcomes["failures"])


def _all_episodes(metrics: Mapping[str, Any]) -> int:
    return int(metrics["train_episodes"] + metrics["held_out_episodes"])


def _error(of: Mapping[str, Any]) -> str:
    return f"{of['held_out'][COMPARED_BY]:.1f}"


def _range(interval: Sequence[float]) -> str:
    low, point, high = interval
    return f"{point:.2f} ({low:.2f} to {high:.2f})"
