"""What the data of a value model costs: training against the obvious loop, and annotation.

The headline figures are of two cameras of 480 x 640 pixels, with the noise of a camera, recorded
by the real writer; those that end in ``_64`` are of the demo's 64 x 64.

Training is the real loop of ``train_value_model``. The obvious loop is a torch DataLoader that
shuffles the frames of a LeRobotDataset (pyav) and reduces them in torch, with the same model, batch
size, optimizer and loss, and as many workers as there are cores. At 64 x 64 each computes on one
thread and on as many as there are cores, and the faster counts; then the cache is bounded below
the data set, which shows the price of windows. At 480 x 640 both compute on one thread.

Annotation is ``predict_values`` with nothing decoded beforehand. It is compared with decoding the
same videos in order, with as many decoder threads, into memory that is thrown away: to the size
that the model sees, and to full size. All take turns.
"""

import argparse
import os
import shutil
import sys
import tempfile
import time
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
from small_obvious_loop import train_obviously, untrained
from small_project import demonstrate, say

from data.episodes import EpisodeStore
from data.frames import decode_episode
from data.frames_config import GIB, FramesConfig
from data.lerobot_format import video_path
from data.schema import EpisodeRecord, Outcome, Pilot
from data.trainset import Trainset
from data.video_reader import VideoReader
from recap.progress import silent
from recap.project import Project
from value_models.config import ValueModelConfig
from value_models.seen_size import seen_sizes

if TYPE_CHECKING:
    from collections.abc import Mapping

    from numpy.typing import NDArray

    from value_models.config import ValueTrainingConfig
    from value_models.frames import JudgedFrames

LARGE: Final = (480, 640)
NOISE: Final = 2.0
"""Standard deviation of a camera's noise, of 255."""

NOISES: Final = 8
"""Noises to draw from, frame by frame."""

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
    quick = arguments.quick
    arguments.folder.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=arguments.folder, prefix="bench-value-") as name:
        folder = Path(name)
        os.environ.setdefault("HF_DATASETS_CACHE", str(folder / "datasets"))
        config, project, trainset = demonstrate(folder / "project", episodes=10 if quick else 60)
        settings = replace(config.value, steps=40 if quick else 300, measurements=1)
        trained, windowed, obvious = _training(
            project, trainset, settings, batches=4 if quick else 30
        )
        annotated = _annotation(project, trainset, turns=3 if quick else 9)
        enlarged = _enlarged(project, trainset, folder / "large", episodes=2 if quick else 12)
        large = Project(folder / "large")
        alone = replace(settings, threads=1)
        trained_large = _train(large, enlarged, alone, FramesConfig())
        obvious_large = _train_naively(large, enlarged, alone, batches=3 if quick else 15)
        annotated_large = _annotation(large, enlarged, turns=3 if quick else 5)
    content: dict[str, Any] = {
        "training_over_naive": round(trained_large.rate / obvious_large.rate, 2),
        "annotation_over_decode": round(annotated_large["ratio"], 3),
        "annotation_over_full_decode": round(annotated_large["full_ratio"], 3),
        "training_over_naive_64": round(trained.rate / obvious.rate, 2),
        "annotation_over_decode_64": round(annotated["ratio"], 3),
        "windowed_over_cached": round(windowed.rate / trained.rate, 3),
        "training_frames_per_second": round(trained_large.rate),
        "naive_frames_per_second": round(obvious_large.rate, 1),
        "annotated_frames_per_second": round(annotated_large["annotated"]),
        "decoded_frames_per_second": round(annotated_large["decoded"]),
        "fully_decoded_frames_per_second": round(annotated_large["fully_decoded"]),
        "training_frames_per_second_64": round(trained.rate),
        "windowed_frames_per_second_64": round(windowed.rate),
        "naive_frames_per_second_64": round(obvious.rate, 1),
        "annotated_frames_per_second_64": round(annotated["annotated"]),
        "decoded_frames_per_second_64": round(annotated["decoded"]),
        "training_memory_growth_mb": round(trained_large.growth_mb),
        "naive_memory_growth_mb": round(obvious_large.growth_mb),
        "training_memory_growth_mb_64": round(trained.growth_mb),
        "windowed_memory_growth_mb_64": round(windowed.growth_mb),
        "naive_memory_growth_mb_64": round(obvious.growth_mb),
        "cache_mb": round(trained.cache_mb, 1),
        "windowed_cache_mb": round(windowed.cache_mb, 1),
        "naive_workers": _cores(),
        "training_threads_64": trained.threads,
        "naive_threads_64": obvious.threads,
        "decoders": annotated["decoders"],
        "quick": quick,
        "load_average": round(os.getloadavg()[0], 1),
    }
    rows = [
        ("frames / s", "480 x 640", "64 x 64"),
        ("trained on, all at hand", round(trained_large.rate), round(trained.rate)),
        ("trained on, in windows", "", round(windowed.rate)),
        ("trained on, the obvious loop", round(obvious_large.rate, 1), round(obvious.rate, 1)),
        ("annotated", round(annotated_large["annotated"]), round(annotated["annotated"])),
        (
            "decoded as the model sees",
            round(annotated_large["decoded"]),
            round(annotated["decoded"]),
        ),
        ("decoded in full", round(annotated_large["fully_decoded"]), ""),
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
    sizes = seen_sizes(ValueModelConfig(), trainset.layout.cameras)
    observations = observe(project, trainset, silent, frames=frames, sizes=sizes)
    return judge(trainset, observations, scale)


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
    judged = _judged(project, trainset, FramesConfig())
    with memory_growth() as grown:
        rate = train_obviously(trainset, judged, settings, batches=batches)
    return Trained(rate=rate, threads=settings.threads, growth_mb=grown())


def _annotation(project: Project, trainset: Trainset, *, turns: int) -> dict[str, float]:
    """Annotate and decode in turns, with as many decoder threads; give rates and their ratios."""
    from value_models.prediction import predict_values

    frames = FramesConfig(decoders=1)
    model = untrained(_judged(project, trainset, frames))
    seconds: list[tuple[float, ...]] = []
    for _ in range(turns + 1):
        _forget(project)
        marks = [time.perf_counter()]
        predict_values(
            model, _judged(project, trainset, frames).observations, threads=max(1, _cores() - 1)
        )
        marks.append(time.perf_counter())
        for sizes in (model.spec.cameras, trainset.layout.cameras):
            _decode(trainset, sizes, decoders=frames.decoders)
            marks.append(time.perf_counter())
        seconds.append(tuple(np.diff(marks).tolist()))
    timed = seconds[1:]  # the first turn loads what is loaded once
    annotated, decoded, fully = (median(each) for each in zip(*timed, strict=True))
    return {
        "annotated": len(trainset) / annotated,
        "decoded": len(trainset) / decoded,
        "fully_decoded": len(trainset) / fully,
        "ratio": median(decoding / annotating for annotating, decoding, _ in timed),
        "full_ratio": median(decoding / annotating for annotating, _, decoding in timed),
        "decoders": frames.decoders,
    }


def _decode(trainset: Trainset, sizes: "Mapping[str, tuple[int, int]]", *, decoders: int) -> None:
    """Decode every video in order, reduced where it was recorded larger."""
    recorded = trainset.layout.cameras

    def decode(number: int) -> None:
        frames = trainset.episodes[number].info.frames
        for camera, size in sizes.items():
            pixels = np.empty((frames, *size, 3), dtype=np.uint8)
            with VideoReader(
                trainset.root / video_path(camera, number),
                frames=frames,
                size=None if size == recorded[camera] else size,
            ) as reader:
                reader.read_into(range(frames), pixels)

    with ThreadPoolExecutor(decoders) as pool:
        list(pool.map(decode, range(len(trainset.episodes))))


def _enlarged(project: Project, trainset: Trainset, folder: Path, *, episodes: int) -> Trainset:
    """Record the first episodes again with larger pictures."""
    layout = replace(trainset.layout, cameras=dict.fromkeys(trainset.layout.cameras, LARGE))
    store = EpisodeStore(folder / "episodes", layout)
    some = trainset.episodes[:episodes]
    state, action = trainset.state(), trainset.action()
    rng = np.random.default_rng(0)
    noise = NOISE * rng.standard_normal((NOISES, *LARGE, 3), dtype=np.float32)
    for episode in some:
        source = project.episodes / episode.info.uid
        rows = slice(episode.start, episode.stop)
        store.write(
            EpisodeRecord(
                info=episode.info,
                images={
                    camera: np.stack(
                        [
                            _larger(frame, noise[rng.integers(NOISES)])
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


def _larger(frame: "NDArray[np.uint8]", noise: "NDArray[np.float32]") -> "NDArray[np.uint8]":
    resized = cv2.resize(frame, LARGE[::-1], interpolation=cv2.INTER_CUBIC)
    return (resized + noise).clip(0, 255).astype(np.uint8)


def _forget(project: Project) -> None:
    """Delete the decoded frames."""
    shutil.rmtree(project.frame_cache, ignore_errors=True)


if __name__ == "__main__":
    sys.exit(main())
