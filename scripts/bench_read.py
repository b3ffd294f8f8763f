"""How fast training gets its pictures: from the decoded cache, and from a stock LeRobotDataset.

Both read frames of the same training set in random order, a chunk of actions with each.
"""

import argparse
import os
import sys
import tempfile
import time
from pathlib import Path
from typing import TYPE_CHECKING, Final

os.environ.setdefault("OMP_NUM_THREADS", "1")
os.environ.setdefault("HF_HUB_OFFLINE", "1")

import numpy as np
from small_project import demonstrate, say, training_frames

from data.schema import ACTION_KEY
from data.trainset import Trainset

if TYPE_CHECKING:
    from recap.policies.batches import TrainingFrames

BATCH: Final = 64
CHUNK: Final = 8


def main() -> int:
    """Measure, and say what came out."""
    arguments = _arguments()
    arguments.folder.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=arguments.folder, prefix="bench-read-") as name:
        folder = Path(name)
        os.environ.setdefault("HF_DATASETS_CACHE", str(folder / "datasets"))
        episodes, batches = (6, 2) if arguments.quick else (60, 10)
        _, project, trainset = demonstrate(folder / "project", episodes=episodes)
        began = time.perf_counter()
        frames = training_frames(project, trainset)
        decoding = time.perf_counter() - began
        cache = _from_cache(frames, batches=20 * batches)
        stock = _from_stock(trainset, batches=batches)
    content = {
        "cache_over_stock": round(cache / stock, 1),
        "cache_frames_per_second": round(cache),
        "stock_frames_per_second": round(stock, 1),
        "decoding_once_frames_per_second": round(len(trainset) / decoding),
        "load_average": round(os.getloadavg()[0], 1),
    }
    rows = [("source", "frames / s"), ("cache", round(cache)), ("stock", round(stock, 1))]
    say([*rows, ("decoding once", round(len(trainset) / decoding))], content)
    return 0


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--quick", action="store_true", help="under 45 s, and rougher")
    parser.add_argument("--folder", type=Path, default=Path("runs"), help="on the disk to measure")
    return parser.parse_args()


def _from_cache(frames: "TrainingFrames", *, batches: int) -> float:
    """Return frames a second of batches as our training makes them."""
    import torch

    from recap.policies.batches import chunk_rows
    from recap.policies.prepared import as_pictures

    rng = np.random.default_rng(0)
    chunks, _ = chunk_rows(frames.bounds, chunk=CHUNK)
    began = time.perf_counter()
    for _ in range(batches):
        rows = rng.integers(0, len(frames.state), BATCH)
        for images in frames.images.values():
            as_pictures(images[rows])
        torch.from_numpy(frames.state[rows])
        torch.from_numpy(frames.action[chunks[rows]])
    return batches * BATCH / (time.perf_counter() - began)


def _from_stock(trainset: Trainset, *, batches: int) -> float:
    """Return frames a second of LeRobot's own dataset and loader."""
    from lerobot.datasets.lerobot_dataset import LeRobotDataset
    from torch.utils.data import DataLoader

    ahead = [step / trainset.layout.fps for step in range(CHUNK)]
    dataset = LeRobotDataset(
        "recap/bench",
        root=trainset.root,
        video_backend="pyav",
        delta_timestamps={ACTION_KEY: ahead},
    )
    loader = iter(DataLoader(dataset, batch_size=BATCH, shuffle=True))
    next(loader)  # opens what is opened once
    began = time.perf_counter()
    for _ in range(batches):
        next(loader)
    return batches * BATCH / (time.perf_counter() - began)


if __name__ == "__main__":
    sys.exit(main())
