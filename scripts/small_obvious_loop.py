"""How a value model is trained where nobody thought about its data."""

import os
import time
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any

import numpy as np

from data.trainset import Trainset

if TYPE_CHECKING:
    from torch import Tensor

    from value_models.config import ValueTrainingConfig
    from value_models.encoder import ObservationBatch
    from value_models.frames import JudgedFrames
    from value_models.model import DistributionalValueModel


def train_obviously(
    trainset: Trainset,
    frames: "JudgedFrames",
    settings: "ValueTrainingConfig",
    *,
    batches: int,
) -> float:
    """Train while a loader shuffles the frames and decodes each where it is.

    A torch DataLoader reads a LeRobotDataset (pyav), with as many workers as there are cores.
    Images come as they were recorded; larger ones are reduced to what the model sees, in torch.

    Args:
        trainset: What to read.
        frames: The same frames, judged, in the size that the model sees.
        settings: How to train.
        batches: How many batches to time.

    Returns:
        Frames a second.
    """
    from lerobot.datasets.lerobot_dataset import LeRobotDataset
    from torch.utils.data import DataLoader

    step = _obvious_step(frames, settings)
    dataset = LeRobotDataset("recap/bench", root=trainset.root, video_backend="pyav")
    workers = len(os.sched_getaffinity(0))
    loader = DataLoader(
        dataset,
        batch_size=settings.batch_size,
        shuffle=True,
        num_workers=workers,
        persistent_workers=True,
    )
    ready = 2 * workers  # what the workers may have decoded before they are asked
    done, began, ended = 0, 0.0, 0.0
    while done < ready + batches:
        for batch in loader:
            step(batch)
            done += 1
            ended = time.perf_counter()
            began = ended if done == ready else began
            if done == ready + batches:
                break
    return batches * settings.batch_size / (ended - began)


def untrained(frames: "JudgedFrames") -> "DistributionalValueModel":
    """Make an untrained value model for these frames: it costs what a trained one costs."""
    from value_models.config import ValueModelConfig
    from value_models.model import DistributionalValueModel
    from value_models.spec import ValueSpec
    from value_models.words import WordTable

    observations = frames.observations
    config = ValueModelConfig()
    words = WordTable.of(tuple(observations.tasks), unknown_words=config.unknown_words)
    joints = observations.state.shape[1]
    return DistributionalValueModel(
        ValueSpec(
            config=config,
            tasks=tuple(observations.tasks),
            vocabulary=words.vocabulary,
            cameras=observations.camera_sizes(),
            state_mean=(0.0,) * joints,
            state_std=(1.0,) * joints,
            normalisers=dict(frames.normalisers),
        )
    )


def _obvious_step(
    frames: "JudgedFrames", settings: "ValueTrainingConfig"
) -> Callable[[Mapping[str, Any]], None]:
    """Make a step on what a LeRobotDataset gives, with the model, optimizer and loss of ours."""
    import torch

    from value_models.bins import cross_entropy
    from value_models.optimisation import make_optimizer

    model = untrained(frames)
    optimizer = make_optimizer(model, settings, torch.device("cpu"))
    returns = torch.from_numpy(frames.returns.astype(np.float32))
    tasks = tuple(frames.observations.tasks)
    torch.set_num_threads(settings.threads)

    def step(batch: Mapping[str, Any]) -> None:
        targets = model.support.project(returns[batch["index"].flatten()])
        loss = cross_entropy(model(_seen(batch, tasks, model)), targets).mean()
        optimizer.zero_grad()
        torch.autograd.backward(loss)
        torch.nn.utils.clip_grad_norm_(model.parameters(), settings.gradient_clip)
        optimizer.step()

    return step


def _seen(
    batch: "Mapping[str, Tensor]", tasks: tuple[str, ...], model: "DistributionalValueModel"
) -> "ObservationBatch":
    from data.schema import IMAGE_PREFIX, STATE_KEY
    from value_models.encoder import ObservationBatch

    return ObservationBatch(
        images={
            name: 255.0 * _reduced(batch[IMAGE_PREFIX + name], size).permute(0, 2, 3, 1)
            for name, size in model.spec.cameras.items()
        },
        state=batch[STATE_KEY],
        task_index=batch["task_index"].flatten(),
        tasks=tasks,
    )


def _reduced(images: "Tensor", size: tuple[int, int]) -> "Tensor":
    """Reduce ``(B, 3, H, W)`` images, where they are larger than a model sees."""
    from torch.nn import functional

    if tuple(images.shape[2:]) == size:
        return images
    return functional.interpolate(images, size=size, mode="area")
