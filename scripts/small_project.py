"""What the benchmarks share: a project with demonstrations, a policy, a table and the last line."""

import json
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from data.frames import TrainsetFrames
from data.trainset import Trainset
from recap.config import RecapConfig
from recap.perform import perform
from recap.progress import show_progress
from recap.project import Project
from recap.settings import plain_settings, read_settings
from recap.trainsets import Choice, gather

if TYPE_CHECKING:
    from recap.policies.batches import TrainingFrames


def demonstrate(folder: Path, *, episodes: int) -> tuple[RecapConfig, Project, Trainset]:
    """Record the first demonstrations of the demo, or open those that are there, and merge them.

    Args:
        folder: The project to make.
        episodes: How many demonstrations.
    """
    config = read_settings(
        [
            "--config_path=configs/demo.yaml",
            f"--project={folder}",
            "--base=null",
            f"--demonstrations.episodes={episodes}",
        ]
    )
    project = Project.create(folder, plain_settings(config))
    with project.at_work(), show_progress() as progress:
        for stage in ("collect", "label"):
            perform(stage, config, project, iteration=0, progress=progress)
    return config, project, gather(project, iteration=0, base=None, choice=Choice())


def training_frames(project: Project, trainset: Trainset) -> "TrainingFrames":
    """Load demonstrations as a policy learns from them, every frame called positive."""
    from recap.policies.batches import TrainingFrames

    return TrainingFrames(
        images=TrainsetFrames(trainset, project.frame_cache).load(),
        state=trainset.state(),
        action=trainset.action(),
        bounds=[(episode.start, episode.stop) for episode in trainset.episodes],
        tasks=[episode.info.task for episode in trainset.episodes],
        indicator=np.ones(len(trainset), dtype=np.int8),
    )


def say(rows: Sequence[Sequence[object]], content: Mapping[str, Any]) -> None:
    """Write a table, its first row the head, and the last line: one JSON object."""
    cells = [[str(cell) for cell in row] for row in rows]
    widths = [max(len(row[column]) for row in cells) for column in range(len(cells[0]))]
    lines = [
        "  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip()
        for row in cells
    ]
    lines.insert(1, "  ".join("-" * width for width in widths))
    sys.stdout.write("\n".join([*lines, json.dumps(content)]) + "\n")
