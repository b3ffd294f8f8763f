"""A writer killed at any moment loses the attempt in flight and nothing else."""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest

KILLS = 20

WRITER = """
import importlib.util, itertools, os, sys
from pathlib import Path
spec = importlib.util.spec_from_file_location("builders", sys.argv[1])
builders = importlib.util.module_from_spec(spec)
spec.loader.exec_module(builders)
store = builders.EpisodeStore(Path(sys.argv[2]), builders.LAYOUT)
print("ready", flush=True)
for _ in sys.stdin:  # one line, one life: a fork is killed instead of a slow fresh start
    child = os.fork()
    if child == 0:
        for number in itertools.count():
            uid = f"rollout-01-{os.getpid()}-{number:04d}"
            store.write(builders.episode(uid, frames=20, seed=number))
    print(child, flush=True)
    os.waitpid(child, 0)
    print("dead", flush=True)
"""


def answer(writer):
    return writer.stdout.readline().strip()


@pytest.mark.slow
def test_kill_9_at_any_moment_leaves_every_listed_episode_whole(store):
    root = Path(__file__).parents[2]
    command = [sys.executable, "-c", WRITER, Path(__file__).with_name("conftest.py"), store.root]
    rng = np.random.default_rng(0)
    partials_seen = 0
    with subprocess.Popen(
        command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, cwd=root
    ) as writer:
        assert answer(writer) == "ready"
        for _ in range(KILLS):
            writer.stdin.write("go\n")
            writer.stdin.flush()
            child = int(answer(writer))
            time.sleep(rng.uniform(0.02, 0.25))
            os.kill(child, signal.SIGKILL)
            assert answer(writer) == "dead"
            swept = store.sweep_partials()
            assert len(swept) <= 1
            partials_seen += len(swept)
        writer.stdin.close()

    assert partials_seen > KILLS // 4  # the kills did hit writers at work
    assert list((store.root / ".partial").iterdir()) == []
    assert len(store.uids()) > KILLS // 4
    for uid in store.uids():
        store.verify(uid)
        assert len(store.table(uid)) == store.info(uid).frames == 20
