"""Which episodes of a training set are alike for a reason that a value model must not rely on."""

from __future__ import annotations

from typing import TYPE_CHECKING

from data.verdicts import UNDECIDED
from recap.judgements import read_decisions
from value_models.config import HoldOutBy

if TYPE_CHECKING:
    from collections.abc import Mapping

    from data.schema import EpisodeInfo
    from data.trainset import Trainset
    from data.verdicts import Decision
    from recap.config import RecapConfig
    from recap.project import Project


def episode_groups(
    config: RecapConfig, project: Project, trainset: Trainset, *, by: HoldOutBy
) -> list[str] | None:
    """Name the group that each episode of a training set is held out with.

    - ``session``: the sitting that it was recorded in. Where that is not known, an attempt whose
      scene was drawn from a seed stands for itself, as simulated ones do; all others, which may be
      of one sitting, count as one.
    - ``rater``: the people whose verdicts decided it, all of them together as one name: what Ann
      judged alone is another group than what Ann and Bob judged.

    Returns:
        A name for each of ``trainset.episodes``; None where each stands for itself anyway.
    """
    if by is HoldOutBy.EPISODE:
        return None
    infos = [episode.info for episode in trainset.episodes]
    if by is HoldOutBy.SESSION:
        return [_session(info) for info in infos]
    decisions = read_decisions(project, config.label.decision_rule, config.label.database_url)
    return [_raters(decisions, info.uid) for info in infos]


def _session(info: EpisodeInfo) -> str:
    if info.session or info.seed is None:
        return info.session
    return f"episode {info.uid}"  # no session's name has a space


def _raters(decisions: Mapping[str, Decision], uid: str) -> str:
    return ", ".join(decisions.get(uid, UNDECIDED).raters)
