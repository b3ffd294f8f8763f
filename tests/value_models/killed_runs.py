"""What the tests start in a process of its own: a training that is killed again and again.

Every run is a fork, which takes no time to import anything.
"""

import hashlib
import json
import os
import random
import signal
import sys
import time
from dataclasses import replace
from pathlib import Path

from several_processes import SETTINGS, random_walk

from value_models.training import train_value_model

KILLS = 5


def train(folder: Path, workspace: Path) -> None:
    """Train to the end, and write down the learning curve and a digest of the weights."""
    config = replace(SETTINGS, steps=60, measurements=12, save_every=3, ema_decay=0.9)
    trained = train_value_model(random_walk(30), config=config, workspace=workspace)
    weights = hashlib.sha256()
    for name, tensor in trained.model.state_dict().items():
        weights.update(name.encode() + tensor.numpy().tobytes())
    content = {"weights": weights.hexdigest(), "metrics": trained.metrics}
    (folder / "result.json").write_text(json.dumps(content))


def started(folder: Path) -> int:
    """Start a run of its own; give its process number."""
    process = os.fork()
    if process == 0:
        train(folder, folder / "workspace")
        os._exit(0)
    return process


def newest(folder: Path) -> str:
    """Give the name of the newest state; empty where there is none."""
    return max((path.name for path in folder.glob("workspace/member-0/step-*")), default="")


def main() -> None:
    """Train once without kills, and once with: each a random moment after a new state."""
    folder = Path(sys.argv[1])
    for name in ("whole", "killed"):
        (folder / name).mkdir()
    # In this process: what a training imports, no fork has to.
    train(folder / "whole", folder / "whole" / "workspace")
    moments = random.Random(0)  # noqa: S311 - moments, not secrets
    steps: list[str] = []
    while len(steps) < KILLS:
        before, process = newest(folder / "killed"), started(folder / "killed")
        while newest(folder / "killed") == before:
            time.sleep(0.002)
        time.sleep(moments.uniform(0.0, 0.05))
        os.kill(process, signal.SIGKILL)
        os.waitpid(process, 0)
        steps.append(newest(folder / "killed"))
        if (folder / "killed" / "result.json").exists():
            break
    os.waitpid(started(folder / "killed"), 0)
    (folder / "steps.json").write_text(json.dumps(steps))


if __name__ == "__main__":
    main()
