"""Projects with real episodes, made in milliseconds: a square that moves before two cameras."""

import asyncio
import shutil

import httpx
import numpy as np
import pytest

from data.episodes import EpisodeStore
from data.files import write_json_atomically
from data.schema import Ending, EpisodeInfo, EpisodeRecord, Layout, Pilot, Source
from recap.project import Project

TASKS = ("put the red cube on the green pad", "put the blue cube on the white pad")
FRAMES = 24
LAYOUT = Layout(
    fps=20,
    cameras={"front": (64, 96), "wrist": (64, 64)},
    state_names=("x", "y", "z"),
    action_names=("dx", "dy", "dz"),
    robot_type="square",
)


def record(number, *, iteration=1, frames=FRAMES, corrected=0, measured_success=None, session=""):
    """Make one attempt; its last ``corrected`` frames are flown by a person."""
    rng = np.random.default_rng(number)
    images = {}
    for camera, (height, width) in LAYOUT.cameras.items():
        seen = np.full((frames, height, width, 3), 235, dtype=np.uint8)
        for frame in range(frames):
            left = 2 + (width - 16) * frame // frames
            seen[frame, 20:32, left : left + 12] = (200, 60, 40 + 7 * number % 200)
        images[camera] = seen
    is_demonstration = iteration == 0
    flown = Pilot.EXPERT if is_demonstration else Pilot.POLICY
    info = EpisodeInfo(
        uid=f"{'demonstration' if is_demonstration else 'rollout'}-{iteration:02d}-{number:08d}",
        task=TASKS[number % 2],
        seed=number,
        source=Source.DEMONSTRATION if is_demonstration else Source.ROLLOUT,
        iteration=iteration,
        policy_id="" if is_demonstration else "policy-a",
        ending=Ending.TERMINATED,
        frames=frames,
        corrected_frames=corrected,
        measured_success=measured_success,
        session=session,
    )
    return EpisodeRecord(
        info=info,
        images=images,
        state=rng.normal(size=(frames, 3)).astype(np.float32),
        action=rng.normal(size=(frames, 3)).astype(np.float32),
        pilot=[flown] * (frames - corrected) + [Pilot.TELEOPERATOR] * corrected,
    )


def add_episodes(project, numbers, **about):
    """Record attempts into a project and return their uids."""
    store = EpisodeStore(project.episodes, LAYOUT)
    return [store.write(record(number, **about)).name for number in numbers]


def make_project(folder, *, episodes=0, settings=None, **about):
    """Make a project with so many attempts of one iteration."""
    project = Project.create(folder, settings or {})
    write_json_atomically(project.layout, LAYOUT.to_json())
    add_episodes(project, range(episodes), **about)
    return project


@pytest.fixture(scope="session")
def square(tmp_path_factory):
    """What `project` copies: recording takes half a second, copying some milliseconds."""
    return make_project(tmp_path_factory.mktemp("recorded") / "square", episodes=6)


@pytest.fixture
def project(tmp_path, square):
    """A project with six attempts of iteration 1, nobody's verdict on any."""
    return Project(shutil.copytree(square.folder, tmp_path / "square"))


@pytest.fixture(scope="session", name="make_project")
def make_project_():
    return make_project


@pytest.fixture(scope="session", name="add_episodes")
def add_episodes_():
    return add_episodes


class AppTransport(httpx.BaseTransport):
    """Asks an app without a server in between; a fault in it is its answer 500."""

    def __init__(self, app):
        self.inner = httpx.ASGITransport(app, raise_app_exceptions=False)
        self.runner = asyncio.Runner()

    def handle_request(self, request):
        return self.runner.run(self._ask(request))

    async def _ask(self, request):
        answer = await self.inner.handle_async_request(request)
        content = b"".join([part async for part in answer.stream])
        return httpx.Response(answer.status_code, headers=answer.headers, content=content)

    def close(self):
        self.runner.close()


@pytest.fixture(scope="session")
def talk_to():
    """Make a client of an app: ``with talk_to(app) as client: client.get(...)``."""

    def connect(app, *, base_url="http://localhost", **settings):
        return httpx.Client(transport=AppTransport(app), base_url=base_url, **settings)

    return connect
