"""The web service: every address of the form, behind one guard."""

from __future__ import annotations

from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Final

from fastapi import Depends, FastAPI
from fastapi.security import HTTPBearer

from recap.web import pages, videos
from recap.web.api import reading
from recap.web.api.refusals import problems
from recap.web.dashboard import api as dashboard
from recap.web.desk import Desk
from recap.web.guard.bodies import BodyLimits
from recap.web.guard.headers import SafeHeaders
from recap.web.guard.problems import tell_problems
from recap.web.guard.security import Guard

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from data.criteria import Criteria
    from data.outcomes import OutcomeStore
    from data.verdicts import DecisionRule
    from recap.project import Project

BEARER: Final = HTTPBearer(auto_error=False, description="The token; pages have a cookie instead.")


def create_app(
    project: Project,
    store: OutcomeStore,
    *,
    rule: DecisionRule,
    criteria: Criteria | None = None,
    token: str = "",
) -> FastAPI:
    """Make the service of one project. It looks for episodes from now until it is shut down.

    Args:
        project: The project to judge.
        store: Where its verdicts are kept; it stays the caller's, who closes it.
        rule: How verdicts become a decision.
        criteria: The checklist; None where the project has none.
        token: What a browser must show; empty if only this machine can connect, in which case
            only requests to this machine's own names are answered.
    """
    desk = Desk.open(project, store, rule=rule, criteria=criteria)

    @asynccontextmanager
    async def life(_app: FastAPI) -> AsyncIterator[None]:
        yield
        desk.close()

    app = FastAPI(
        title="recap: judging episodes",
        version="1",
        description="What the pages of `recap label` ask its server. Times are in UTC.",
        docs_url=None,
        redoc_url=None,
        redirect_slashes=False,
        responses=problems(),
        lifespan=life,
        # The guard looks at every request before any address does; these tell the schema.
        dependencies=[Depends(BEARER)] if token else None,
    )
    app.state.desk = desk
    for part in (reading, dashboard, videos, pages):
        app.include_router(part.make_router(desk))
    tell_problems(app)
    # The last one added is asked first.
    app.add_middleware(BodyLimits)
    app.add_middleware(Guard, token=token)
    app.add_middleware(SafeHeaders)
    return app
