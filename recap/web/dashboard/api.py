"""The address of the numbers for the people around the robot."""

from fastapi import APIRouter

from recap.web.dashboard.figures import Dashboard
from recap.web.dashboard.schemas import DashboardOut
from recap.web.desk import Desk


def make_router(desk: Desk) -> APIRouter:
    """Make the route of the dashboard's numbers."""
    router = APIRouter(prefix="/api")
    dashboard = Dashboard(desk)

    # Not a coroutine: the numbers are worked out in a thread, while others judge.
    @router.get("/dashboard")
    def get_dashboard() -> DashboardOut:
        """Say how the project is doing, lap by lap, and what is missing."""
        return dashboard.now()

    return router
