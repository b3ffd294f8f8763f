"""What the way to a remote policy and back costs: two pictures of 480 x 640, sent raw and as JPEG.

The server is a process of its own on this machine and answers at once, so what is measured is the
messages and not the model or the network. A network adds the bytes over its rate: raw pictures take
15 ms on a line of 1 Gbit/s.
"""

import argparse
import asyncio
import json
import multiprocessing
import sys
import time
from contextlib import closing
from multiprocessing.connection import Connection
from typing import Final

import numpy as np

from data.schema import Layout
from envs.world import Observation
from recap.remote.card import Sizes
from recap.remote.client import RemoteSource
from recap.remote.config import RemotePolicyConfig
from recap.remote.messages import Question, write_question
from recap.remote.server import PolicyServer
from recap.rollout.chunks import Chunk, Prefix

STEPS: Final = 50
COMPONENTS: Final = 6
WARM_UP: Final = 20
COUNT: Final = 300
QUICK_COUNT: Final = 20
QUALITY: Final = 90
LAYOUT: Final = Layout(
    fps=50,
    cameras={"front": (480, 640), "wrist": (480, 640)},
    state_names=tuple(f"state {i}" for i in range(COMPONENTS)),
    action_names=tuple(f"action {i}" for i in range(COMPONENTS)),
    robot_type="bench",
)
SIZES: Final = Sizes(cameras=LAYOUT.cameras, state_size=COMPONENTS, action_size=COMPONENTS)


class PromptSource:
    """Answers every question at once with a chunk of zeros."""

    chunk_steps = STEPS
    executed_steps = STEPS
    follows_prefix = False
    policy_id = "prompt"

    def begin(self, *, seed: int) -> None:
        """Begin nothing."""

    def predict(self, observation: Observation, prefix: Prefix | None) -> Chunk:  # noqa: ARG002
        """Answer with zeros."""
        nothing = np.zeros((STEPS, COMPONENTS), np.float32)
        return Chunk(actions=nothing, normalised=nothing)

    def close(self) -> None:
        """Hold nothing."""


def run_server(tell: Connection) -> None:
    """Serve until killed, and tell the port."""
    server = PolicyServer(PromptSource, SIZES, token="", max_robots=1, say=lambda _: None)
    asyncio.run(server.run("127.0.0.1", 0, listening=tell.send, stop=asyncio.Event()))


def draw_observation() -> Observation:
    """Return pictures that compress about as a camera's do: smooth shapes under a little noise."""
    rng = np.random.default_rng(0)
    down, across = np.mgrid[0:480, 0:640] / 60
    shapes = np.stack([np.sin(down + k) * np.cos(across * k) for k in (1, 2, 3)], axis=-1)
    images = {
        name: np.clip(128 + 80 * shapes + rng.normal(0, 4, shapes.shape), 0, 255).astype(np.uint8)
        for name in LAYOUT.cameras
    }
    return Observation(images=images, state=np.zeros(COMPONENTS, np.float32), task="measure")


def round_trips_ms(port: int, observation: Observation, *, quality: int, count: int) -> list[float]:
    """Return the milliseconds of every round trip, in order of size."""
    config = RemotePolicyConfig(address=f"127.0.0.1:{port}", jpeg_quality=quality, deadline_s=10)
    taken = []
    with closing(RemoteSource(config, LAYOUT)) as source:
        for _ in range(WARM_UP + count):
            began = time.perf_counter()
            source.predict(observation, None)
            taken.append(1000 * (time.perf_counter() - began))
    return sorted(taken[WARM_UP:])


def main() -> int:
    """Measure and print; the last line is JSON."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--quick", action="store_true", help="Few round trips, rough figures.")
    count = QUICK_COUNT if parser.parse_args().quick else COUNT
    ours, theirs = multiprocessing.Pipe()
    server = multiprocessing.get_context("spawn").Process(target=run_server, args=(theirs,))
    server.start()
    figures: dict[str, float] = {}
    try:
        port, observation = ours.recv(), draw_observation()
        for kind, quality in (("raw", 0), ("jpeg", QUALITY)):
            taken = round_trips_ms(port, observation, quality=quality, count=count)
            question = Question(number=1, begin=0, observation=observation, prefix=None)
            figures[f"{kind}_megabytes"] = len(write_question(question, jpeg_quality=quality)) / 1e6
            figures[f"{kind}_median_ms"] = taken[len(taken) // 2]
            figures[f"{kind}_p99_ms"] = taken[int(len(taken) * 0.99)]
    finally:
        server.kill()
        server.join()
    rounded = {name: round(figure, 2) for name, figure in figures.items()}
    lines = [f"{name:16} {figure:8.2f}" for name, figure in rounded.items()]
    sys.stdout.write("\n".join([*lines, json.dumps(rounded)]) + "\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
