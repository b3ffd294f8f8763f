"""A small robot, a policy that can be worked by hand, and a server in a thread of this process."""

import asyncio
import threading
from contextlib import ExitStack
from dataclasses import dataclass, field, replace

import numpy as np
import pytest

from data.schema import Layout
from envs.world import Observation
from recap.remote.card import Sizes
from recap.remote.client import RemoteSource
from recap.remote.config import RemotePolicyConfig
from recap.remote.server import PolicyServer
from recap.rollout.chunks import Chunk

STEPS, STATE, ACTION = 6, 3, 2


class DrawingSource:
    """Draws its chunk from the seed, the number of questions so far, and all that it is asked."""

    chunk_steps = STEPS
    executed_steps = 4
    follows_prefix = True

    def __init__(self, policy_id="drawing"):
        self.policy_id = policy_id
        self.is_closed = False
        self._rng = np.random.default_rng(0)

    def begin(self, *, seed):
        self._rng = np.random.default_rng(seed)

    def predict(self, observation, prefix):
        asked = [observation.state.sum(), len(observation.task)]
        asked += [picture.sum() for picture in observation.images.values()]
        if prefix is not None:
            asked += [prefix.normalised.sum(), prefix.delay_steps, *prefix.normalised.shape]
        drawn = self._rng.normal(size=(STEPS, ACTION)) + np.float64(sum(asked))
        return Chunk(actions=drawn.astype(np.float32), normalised=(drawn / 3).astype(np.float32))

    def close(self):
        self.is_closed = True


@dataclass
class Serving:
    """A server that runs in a thread."""

    port: int = 0
    said: list = field(default_factory=list)
    _loop: asyncio.AbstractEventLoop | None = None
    _stop: asyncio.Event | None = None
    _thread: threading.Thread | None = None

    @property
    def address(self):
        return f"127.0.0.1:{self.port}"

    def start(self, make_source, sizes, *, token="", max_robots=4, port=0):
        listening = threading.Event()

        def announce(found):
            self.port = found
            listening.set()

        async def run():
            self._loop, self._stop = asyncio.get_running_loop(), asyncio.Event()
            server = PolicyServer(
                make_source, sizes, token=token, max_robots=max_robots, say=self.said.append
            )
            await server.run("127.0.0.1", port, listening=announce, stop=self._stop)

        self._thread = threading.Thread(target=asyncio.run, args=(run(),))
        self._thread.start()
        assert listening.wait(5)
        return self

    def stop(self):
        if self._thread.is_alive():
            self._loop.call_soon_threadsafe(self._stop.set)
            self._thread.join(10)
        assert not self._thread.is_alive()


@pytest.fixture
def layout():
    return Layout(
        fps=50,
        cameras={"front": (8, 10), "wrist": (6, 4)},
        state_names=("a", "b", "c"),
        action_names=("x", "y"),
        robot_type="test",
    )


@pytest.fixture
def sizes(layout):
    return Sizes(cameras=dict(layout.cameras), state_size=STATE, action_size=ACTION)


@pytest.fixture
def observe(layout):
    def draw(seed=0, *, task="put the cube on the pad"):
        rng = np.random.default_rng(seed)
        return Observation(
            images={
                name: rng.integers(0, 256, (*size, 3), dtype=np.uint8)
                for name, size in layout.cameras.items()
            },
            state=rng.normal(size=STATE).astype(np.float32),
            task=task,
        )

    return draw


@pytest.fixture
def drawing_source():
    return DrawingSource


@pytest.fixture
def serving(sizes, monkeypatch):
    """Start servers; they are stopped when the test ends."""
    monkeypatch.delenv("RECAP_POLICY_TOKEN", raising=False)
    with ExitStack() as stack:

        def start(make_source=DrawingSource, sizes=sizes, **options):
            server = Serving().start(make_source, sizes, **options)
            stack.callback(server.stop)
            return server

        yield start


@pytest.fixture
def connect(layout):
    """Connect to servers; the connections are closed when the test ends."""
    with ExitStack() as stack:

        def source(address, layout_cameras=layout.cameras, **options):
            config = RemotePolicyConfig(address=address, **{"deadline_s": 5.0, **options})
            remote = RemoteSource(config, replace(layout, cameras=layout_cameras))
            stack.callback(remote.close)
            return remote

        yield source
