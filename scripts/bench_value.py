"""What the data of a value model costs: training against the obvious loop, and annotation.

Training is the real loop of ``train_value_model`` on episodes as the recorder wrote them. The
obvious loop is a torch DataLoader that shuffles the frames of a LeRobotDataset (pyav), with the
same model, batch size, optimizer and loss, and as many workers as there are cores. Each computes
on one thread and on as many as there are cores, and the faster counts. Then the cache is bounded
below the data set, which shows the price of windows.

Annotation is ``predict_values`` with nothing decoded beforehand. It is compared with decoding the
same videos in order, with as many decoder threads, into memory that is thrown away. Both take
turns. Besides 64 x 64 pixels, the same episodes are recorded at 240 x 320.
"""

import argparse
import os
import shutil
import sys
import tempfile
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from pathlib import Path
from statistics import median
from typing import TYPE_CHECKING, Any, Final

os.environ.setdefault("OMP_NUM_THREADS", "1")
os.environ.setdefault("HF_HUB_OFFLINE", "1")

import cv2
import numpy as np
from small_memory import memory_growth
from small_project import demonstrate, say

from data.episodes import EpisodeStore
from data.frames import decode_episode
from data.frames_config import GIB, FramesConfig
from data.lerobot_format import video_path
from data.schema import EpisodeRecord, Outcome, Pilot
from data.trainset import Trainset
from data.videos import decode_video
from recap.progress import silent
from recap.project import Project

if TYPE_CHECKING:
    from collections.abc import Mapping

    from torch import Tensor

    from value_models.config import ValueTrainingConfig
    from value_models.encoder import ObservationBatch
    from value_models.frames import JudgedFrames
    from value_models.model import DistributionalValueModel

LARGE: Final = (240, 320)
TIME_LIMIT_STEPS: Final = 100
KEPT_SHARE: Final = 0.4
"""Share of the data set that the bounded cache holds."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Trained:
    """How training went."""

    rate: float
    """Frames a second."""

    threads: int
    """Threads that computed."""

    growth_mb: float
    """Memory taken at its peak, over that before, in this process and its workers."""

    cache_mb: float = 0.0
    """Decoded frames on disk."""


def main() -> int:
    """Measure, and say what came out."""
    arguments = _arguments()
    arguments.folder.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=arguments.folder, prefix="bench-value-") as name:
        folder = Path(name)
        os.environ.setdefault("HF_DATASETS_CACHE", str(folder / "datasets"))
        config, project, trainset = demonstrate(
            folder / "project", episodes=10 if arguments.quick else 60
        )
        settings = replace(config.value, steps=60 if arguments.quick else 300, measurements=1)
        trained, windowed, obvious = _training(
            project, trainset, settings, batches=8 if arguments.quick else 30
        )
        annotated = _annotation(project, trainset, turns=3 if arguments.quick else 9)
        large = _enlarged(project, trainset, folder / "large", episodes=2 if arguments.quick else 9)
        annotated_large = _annotation(Project(folder / "large"), large, turns=3)
    content: dict[str, Any] = {
        "training_over_naive": round(trained.rate / obvious.rate, 2),
        "annotation_over_decode": round(annotated["ratio"], 3),
        "annotation_over_decode_240x320": round(annotated_large["ratio"], 3),
        "windowed_over_cached": round(windowed.rate / trained.rate, 3),
        "training_frames_per_second": round(trained.rate),
        "windowed_frames_per_second": round(windowed.rate),
        "naive_frames_per_second": round(obvious.rate, 1),
        "annotated_frames_per_second": round(annotated["annotated"]),
        "decoded_frames_per_second": round(annotated["decoded"]),
        "annotated_frames_per_second_240x320": round(annotated_large["annotated"]),
        "decoded_frames_per_second_240x320": round(annotated_large["decoded"]),
        "training_memory_growth_mb": round(trained.growth_mb),
        "windowed_memory_growth_mb": round(windowed.growth_mb),
        "naive_memory_growth_mb": round(obvious.growth_mb),
        "cache_mb": round(trained.cache_mb, 1),
        "windowed_cache_mb": round(windowed.cache_mb, 1),
        "naive_workers": _cores(),
        "training_threads": trained.threads,
        "naive_threads": obvious.threads,
        "decoders": annotated["decoders"],
        "quick": arguments.quick,
        "load_average": round(os.getloadavg()[0], 1),
    }
    rows = [
        ("frames", "frames / s"),
        ("trained on, all at hand", round(trained.rate)),
        ("trained on, in windows", round(windowed.rate)),
        ("trained on, the obvious loop", round(obvious.rate, 1)),
        ("annotated", round(annotated["annotated"])),
        ("decoded", round(annotated["decoded"])),
        ("annotated, 240 x 320", round(annotated_large["annotated"])),
        ("decoded, 240 x 320", round(annotated_large["decoded"])),
    ]
    say(rows, content)
    return 0


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--quick", action="store_true", help="under 45 s, and rougher")
    parser.add_argument("--folder", type=Path, default=Path("runs"), help="on the disk to measure")
    return parser.parse_args()


def _cores() -> int:
    return len(os.sched_getaffinity(0))


def _training(
    project: Project, trainset: Trainset, settings: "ValueTrainingConfig", *, batches: int
) -> tuple[Trained, Trained, Trained]:
    """Train with all frames at hand, in windows, and as is obvious."""
    decoded = sum(
        e.info.frames * height * width * 3
        for e in trainset.episodes
        for height, width in trainset.layout.cameras.values()
    )
    bounded = FramesConfig(cache_gib=KEPT_SHARE * decoded / GIB, memory_gib=0.0)
    on = [replace(settings, threads=threads) for threads in sorted({1, _cores()})]
    return (
        max((_train(project, trainset, each, FramesConfig()) for each in on), key=_rate),
        max((_train(project, trainset, each, bounded) for each in on), key=_rate),
        max((_train_naively(project, trainset, each, batches=batches) for each in on), key=_rate),
    )


def _rate(trained: Trained) -> float:
    return trained.rate


def _judged(project: Project, trainset: Trainset, frames: FramesConfig) -> "JudgedFrames":
    from recap.core.returns import ReturnScale
    from recap.trainsets import judge, observe

    scale = ReturnScale(max_steps=TIME_LIMIT_STEPS, failure_penalty_fraction=0.5)
    return judge(trainset, observe(project, trainset, silent, frames=frames), scale)


def _train(
    project: Project, trainset: Trainset, settings: "ValueTrainingConfig", frames: FramesConfig
) -> Trained:
    """Run the real loop, from frames that are not decoded yet; its first report starts the watch.

    By then the first frames are at hand, and every later one counts.
    """
    from data.frames import TrainsetFrames
    from value_models.training import train_value_model

    _forget(project)
    marks: list[tuple[float, int]] = []

    def note(step: int, _steps: int, _figures: "Mapping[str, float]") -> None:
        marks.append((time.perf_counter(), step))

    with memory_growth() as grown:
        judged = _judged(project, trainset, frames)
        train_value_model(judged, config=settings, progress=note)
        images = judged.observations.images
        held = images.used_bytes() if isinstance(images, TrainsetFrames) else 0
        del judged, images
    (began, first), (ended, last) = marks[0], marks[-1]
    return Trained(
        rate=(last - first) * settings.batch_size / (ended - began),
        threads=settings.threads,
        growth_mb=grown(),
        cache_mb=held / 1e6,
    )


def _train_naively(
    project: Project, trainset: Trainset, settings: "ValueTrainingConfig", *, batches: int
) -> Trained:
    """Train as is obvious: a loader shuffles the frames and decodes each where it is."""
    from lerobot.datasets.lerobot_dataset import LeRobotDataset
    from torch.utils.data import DataLoader

    step = _obvious_step(_judged(project, trainset, FramesConfig()), settings)
    with memory_growth() as grown:
        dataset = LeRobotDataset("recap/bench", root=trainset.root, video_backend="pyav")
        workers = _cores()
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
        del loader
    return Trained(
        rate=batches * settings.batch_size / (ended - began),
        threads=settings.threads,
        growth_mb=grown(),
    )


def _obvious_step(
    judged: "JudgedFrames", settings: "ValueTrainingConfig"
) -> Callable[["Mapping[str, Any]"], None]:
    """Make a step on what a LeRobotDataset gives, with the model, optimizer and loss of ours."""
    import torch

    from value_models.bins import cross_entropy
    from value_models.optimisation import make_optimizer

    model = _model(judged)
    optimizer = make_optimizer(model, settings, torch.device("cpu"))
    returns = torch.from_numpy(judged.returns.astype(np.float32))
    tasks = tuple(judged.observations.tasks)
    torch.set_num_threads(settings.threads)

    def step(batch: "Mapping[str, Any]") -> None:
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
            name: 255.0 * batch[IMAGE_PREFIX + name].permute(0, 2, 3, 1)
            for name in model.spec.cameras
        },
        state=batch[STATE_KEY],
        task_index=batch["task_index"].flatten(),
        tasks=tasks,
    )


def _model(judged: "JudgedFrames") -> "DistributionalValueModel":
    """Make an untrained value model for these frames: it costs what a trained one costs."""
    from value_models.config import ValueModelConfig
    from value_models.model import DistributionalValueModel
    from value_models.spec import ValueSpec
    from value_models.words import WordTable

    observations = judged.observations
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
            normalisers=dict(judged.normalisers),
        )
    )


def _annotation(project: Project, trainset: Trainset, *, turns: int) -> dict[str, float]:
    """Annotate and decode in turns, with as many decoder threads; give rates and their ratio."""
    from value_models.prediction import predict_values

    frames = FramesConfig(decoders=1)
    model = _model(_judged(project, trainset, frames))
    annotated, decoded = [], []
    for turn in range(turns + 1):
        _forget(project)
        began = time.perf_counter()
        predict_values(
            model, _judged(project, trainset, frames).observations, threads=max(1, _cores() - 1)
        )
        middle = time.perf_counter()
        _decode(trainset, decoders=frames.decoders)
        ended = time.perf_counter()
        if turn:  # the first turn loads what is loaded once
            annotated.append(len(trainset) / (middle - began))
            decoded.append(len(trainset) / (ended - middle))
    ratios = [one / other for one, other in zip(annotated, decoded, strict=True)]
    return {
        "annotated": median(annotated),
        "decoded": median(decoded),
        "ratio": median(ratios),
        "decoders": frames.decoders,
    }


def _decode(trainset: Trainset, *, decoders: int) -> None:
    """Decode every video in order."""
    videos = [
        trainset.root / video_path(camera, number)
        for number in range(len(trainset.episodes))
        for camera in trainset.layout.cameras
    ]

    def decode(path: Path) -> None:
        decode_video(path)

    with ThreadPoolExecutor(decoders) as pool:
        list(pool.map(decode, videos))


def _enlarged(project: Project, trainset: Trainset, folder: Path, *, episodes: int) -> Trainset:
    """Record the first episodes again with larger pictures."""
    layout = replace(trainset.layout, cameras=dict.fromkeys(trainset.layout.cameras, LARGE))
    store = EpisodeStore(folder / "episodes", layout)
    some = trainset.episodes[:episodes]
    state, action = trainset.state(), trainset.action()
    for episode in some:
        source = project.episodes / episode.info.uid
        rows = slice(episode.start, episode.stop)
        store.write(
            EpisodeRecord(
                info=episode.info,
                images={
                    camera: np.stack(
                        [
                            cv2.resize(frame, LARGE[::-1], interpolation=cv2.INTER_CUBIC)
                            for frame in decode_episode(source, camera)
                        ]
                    )
                    for camera in layout.cameras
                },
                state=state[rows],
                action=action[rows],
                pilot=[Pilot.EXPERT] * episode.info.frames,
            )
        )
    outcomes = dict.fromkeys((episode.info.uid for episode in some), Outcome.SUCCESS)
    return Trainset.build(
        store, outcomes, uids=outcomes, destination_root=folder / "trainsets", statistics=None
    )


def _forget(project: Project) -> None:
    """Delete the decoded frames."""
    shutil.rmtree(project.frame_cache, ignore_errors=True)


if __name__ == "__main__":
    sys.exit(main())
