"""What every page of the form works with: one project, its episodes, what is judged, who looks."""

from __future__ import annotations

import threading
from contextlib import suppress
from dataclasses import dataclass
from typing import TYPE_CHECKING, Self

from data.errors import ProjectError
from recap.judgements import project_id
from recap.project import Project
from recap.web.desk.catalogue import Catalogue
from recap.web.desk.judging import Judging
from recap.web.desk.presence import Presence
from recap.web.desk.timeline import MarkReader, import_tables

if TYPE_CHECKING:
    from data.criteria import Criteria
    from data.outcomes import OutcomeStore
    from data.verdicts import DecisionRule


@dataclass(frozen=True, slots=True, kw_only=True)
class Desk:
    """The things that live as long as the server does. They are safe to use from many threads."""

    project: Project
    """The folder that is judged."""

    project_id: str
    """What tells it from another one that is served at the same address at another time."""

    catalogue: Catalogue
    """Its episodes, as they are being recorded."""

    judging: Judging
    """Their verdicts, as they are being given, here or by another process."""

    presence: Presence
    """Who has which episode on the screen."""

    marks: MarkReader
    """What the laps say of an episode's frames."""

    warming: threading.Thread
    """Does what the first question would otherwise wait for."""

    @classmethod
    def open(
        cls,
        project: Project,
        store: OutcomeStore,
        *,
        rule: DecisionRule,
        criteria: Criteria | None = None,
    ) -> Self:
        """Set the desk up. The episodes are read in the background, from now until `close`.

        Args:
            project: The folder to judge.
            store: Where its verdicts are kept. It stays the caller's, who closes it.
            rule: How verdicts become a decision.
            criteria: The checklist; None where the project has none.

        Raises:
            ProjectError: If the project's id is damaged.
        """
        judging = Judging(store, rule=rule, criteria=criteria)
        desk = cls(
            project=project,
            project_id=project_id(project),
            catalogue=Catalogue(project),
            judging=judging,
            presence=Presence(),
            marks=MarkReader(project),
            warming=threading.Thread(target=_warm_up, args=(judging,), name="desk", daemon=True),
        )
        desk.catalogue.start()
        desk.warming.start()
        return desk

    def close(self) -> None:
        """Stop looking for episodes. To call it twice is harmless."""
        self.catalogue.close()
        self.warming.join()


def _warm_up(judging: Judging) -> None:
    """Read the verdicts of a long project, and import what costs a quarter of a second."""
    # Whoever asks first is told what is wrong with the store.
    with suppress(ProjectError):
        judging.refresh()
    import_tables()
