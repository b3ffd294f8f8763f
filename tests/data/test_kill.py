"""Writers killed at any moment lose the attempt in flight and nothing else."""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest

ROUNDS = 67
WRITERS = ("stored", "recorded", "recorded")
FRAMES = 6

# One line on stdin, one life of three writers: forks are killed instead of slow fresh starts.
NURSERY = """
import importlib.util, itertools, os, sys
from pathlib import Path

_, builders_path, root, notes, frames, *kinds = sys.argv
spec = importlib.util.spec_from_file_location("builders", builders_path)
builders = importlib.util.module_from_spec(spec)
spec.loader.exec_module(builders)
from data.recording import EpisodeRecorder
store = builders.EpisodeStore(Path(root), builders.LAYOUT)

def write_for_ever(kind):
    finished = os.open(notes, os.O_WRONLY | os.O_APPEND)
    for number in itertools.count():
        uid = f"rollout-01-{os.getpid()}-{number:04d}"
        record = builders.episode(uid, frames=int(frames), seed=number)
        if kind == "stored":
            store.write(record)
        else:
            recorder = EpisodeRecorder(store)
            for step in range(record.info.frames):
                recorder.add(
                    images={camera: images[step] for camera, images in record.images.items()},
                    state=record.state[step],
                    action=record.action[step],
                    pilot=record.pilot[step],
                )
            recorder.finish(record.info)
        os.write(finished, f"{uid} {kind}\\n".encode())

def fork(kind):
    child = os.fork()
    if child == 0:
        try:
            write_for_ever(kind)
        finally:
            os._exit(1)  # a writer that stops by itself has failed
    return child

print("ready", flush=True)
for _ in sys.stdin:
    children = [fork(kind) for kind in kinds]
    print(*children, flush=True)
    print(*[os.waitpid(child, 0)[1] for child in children], flush=True)
"""


def answer(nursery):
    return nursery.stdout.readline().split()


@pytest.fixture
def killed(store, tmp_path):
    """Let three writers at a time work in one store, and kill each at a moment of its own.

    Yields what they said they had finished: uid to the kind of writer.
    """
    notes = tmp_path / "finished.txt"
    notes.touch()
    builders = Path(__file__).with_name("conftest.py")
    # The nursery has threads of libraries that its children never use.
    python = [sys.executable, "-W", "ignore:This process:DeprecationWarning"]
    command = [*python, "-c", NURSERY, builders, store.root, notes, str(FRAMES), *WRITERS]
    rng = np.random.default_rng(0)
    swept, patience_s = 0, 0.1
    with subprocess.Popen(
        command,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        cwd=Path(__file__).parents[2],
    ) as nursery:
        assert answer(nursery) == ["ready"]
        for _ in range(ROUNDS):
            finished = len(notes.read_text().splitlines())
            nursery.stdin.write("go\n")
            nursery.stdin.flush()
            writers = [int(word) for word in answer(nursery)]
            for writer in rng.permutation(writers):
                time.sleep(rng.uniform(0.0, patience_s))
                swept += len(store.sweep_partials())  # while the others are at work
                os.kill(writer, signal.SIGKILL)
            # Nobody died of anything else, such as a folder that was swept away.
            assert answer(nursery) == [str(int(signal.SIGKILL))] * len(WRITERS)
            # However busy the machine is: about every second round shall finish an episode.
            has_finished = len(notes.read_text().splitlines()) > finished
            patience_s *= 0.8 if has_finished else 1.25
        nursery.stdin.close()
    assert swept > ROUNDS // 2  # the kills did hit writers at work
    store.sweep_partials()
    return dict(line.split() for line in notes.read_text().splitlines())


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore")  # LeRobot and what it imports warn about themselves
def test_two_hundred_kills_lose_no_finished_episode_and_leave_no_half_one(
    store, killed, open_in_lerobot
):
    assert ROUNDS * len(WRITERS) >= 200
    assert list((store.root / ".partial").iterdir()) == []
    assert set(killed.values()) == set(WRITERS)
    assert len(killed) > ROUNDS // 4
    # Whoever was killed between the renaming and the note has finished an episode, too.
    assert set(killed) <= set(store.uids())
    assert len(store.uids()) <= len(killed) + ROUNDS * len(WRITERS)
    for uid in store.uids():
        store.verify(uid)
        assert len(store.table(uid)) == store.info(uid).frames == FRAMES
        dataset = open_in_lerobot(store.root / uid)
        assert dataset.num_frames == FRAMES
        assert dataset[FRAMES - 1]["recap.episode_uid"] == uid
