"""Whoever is killed, nobody stays behind at work."""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

pytestmark = [pytest.mark.render, pytest.mark.slow]

ROOT = Path(__file__).parents[2]
PATIENCE_SECONDS = 60.0
SOON_SECONDS = 15.0

COLLECT = """
import sys
from pathlib import Path
from recap.progress import silent
from recap.rollout.attempt import AttemptPlan
from recap.rollout.manager import RecordingSpec, Rollouts, run_rollouts

if __name__ == "__main__":
    plans = [AttemptPlan(seed=s, time_limit_steps=100, takeover_step=0) for s in range(3_000)]
    recording = RecordingSpec(episodes=Path(sys.argv[1]), iteration=0, policy_id="")
    run_rollouts(
        Rollouts(plans=plans, pilot=None, recording=recording, workers=2, worlds_per_worker=4),
        silent("collect"),
    )
"""


def parents():
    """Every process that lives, and the one that started it."""
    found = {}
    for path in Path("/proc").glob("[0-9]*/stat"):
        try:
            state, parent = path.read_text().rpartition(")")[2].split()[:2]
        except (FileNotFoundError, ProcessLookupError):
            continue
        if state != "Z":
            found[int(path.parent.name)] = int(parent)
    return found


def descendants(process):
    tree = parents()
    found, fresh = set(), {process}
    while fresh:
        fresh = {child for child, parent in tree.items() if parent in fresh} - found
        found |= fresh
    return found


def wait_until(is_true, seconds):
    deadline = time.monotonic() + seconds
    while not is_true():
        if time.monotonic() > deadline:
            return False
        time.sleep(0.1)
    return True


@pytest.fixture
def collecting(tmp_path):
    """A collection at full work, and the processes that take part in it besides the main one."""
    script = tmp_path / "collect_for_ever.py"
    script.write_text(COLLECT)
    episodes = tmp_path / "episodes"
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    with subprocess.Popen(
        [sys.executable, script, episodes], cwd=ROOT, env=environment, stderr=subprocess.DEVNULL
    ) as main:
        try:
            is_at_work = wait_until(
                lambda: len(list(episodes.glob("demonstration-*"))) >= 4, PATIENCE_SECONDS
            )
            assert is_at_work
            yield main, descendants(main.pid)
        finally:
            main.kill()


def test_when_the_main_process_is_killed_its_workers_leave(collecting):
    main, helpers = collecting
    assert len(helpers) >= 3  # a server and two workers
    os.kill(main.pid, signal.SIGKILL)
    main.wait()
    assert wait_until(lambda: not helpers & parents().keys(), SOON_SECONDS)


def test_when_a_worker_is_killed_the_collection_ends_and_takes_the_others_with_it(collecting):
    main, helpers = collecting
    tree = parents()
    # Workers are forked from the server, which the main process has started.
    worker = next(process for process in helpers if tree[process] in helpers)
    os.kill(worker, signal.SIGKILL)
    assert wait_until(lambda: main.poll() is not None, SOON_SECONDS)
    assert main.returncode == 1
    assert wait_until(lambda: not helpers & parents().keys(), SOON_SECONDS)
