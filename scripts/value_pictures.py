"""Make the pictures of docs/value.md: a good value model, and four bad ones, really trained.

Clumsy demonstrations of the demo's arm are recorded (or those that are in the folder are taken),
a value model is pre-trained on them by the stages that everybody runs, and then again in four
ways in which it goes wrong: on a tenth of the attempts and far too long, on shuffled outcomes, for
a few steps only, and blind to all but the clock. Every one is measured on held-out episodes.
"""

import argparse
import io
import shutil
import sys
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Final

import numpy as np
from PIL import Image
from small_project import say

from data.files import read_json
from data.videos import decode_video
from recap.config import RecapConfig
from recap.inspect_value import value_model_of, write_pictures
from recap.perform import perform
from recap.progress import show_progress, silent
from recap.project import Project
from recap.report.palette import light_colours
from recap.report.value_charts import new_figure, png
from recap.report.value_pictures import baselines_picture, draw_auc, draw_learning, draw_pit
from recap.report.value_predictions import (
    PredictedEpisode,
    draw_episode,
    predicted_episodes,
    shown_episodes,
)
from recap.seen_episodes import SeenEpisodes
from recap.settings import plain_settings, read_settings
from recap.trainsets import judge, observe, trainset_of
from value_models.checkpoint import METRICS_FILE, load_checkpoint
from value_models.config import ValueTrainingConfig
from value_models.frames import JudgedFrames
from value_models.held_out import hold_out_episodes
from value_models.prediction import predict_judged
from value_models.training import TrainedValue, train_value_model

PICTURES: Final = Path("docs/pictures")
MOST_BYTES: Final = 150_000
COLOURS: Final = 256
EPISODES: Final = 240
FEW_EPISODES: Final = 24
STEPS: Final = 400
HOLDOUT: Final = "holdout_fraction"


@dataclass(frozen=True, slots=True, kw_only=True)
class Bad:
    """A way to train a bad value model."""

    title: str
    """What is wrong, in a few words."""

    frames: JudgedFrames
    """What it learns from, and is measured on."""

    config: ValueTrainingConfig
    """How it is trained."""

    keeps_last: bool = False
    """Whether the last weights are kept, as if nobody had looked at held-out episodes."""


def main() -> int:
    """Train, measure, draw."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--project", type=Path, help="folder to work in, kept; default: none")
    parser.add_argument("--to", type=Path, default=PICTURES, help="where the pictures go")
    arguments = parser.parse_args()
    made_up = None if arguments.project else Path(tempfile.mkdtemp(prefix="value-pictures-"))
    try:
        _make(arguments.project or made_up / "project", arguments.to)
    finally:
        if made_up is not None:
            shutil.rmtree(made_up, ignore_errors=True)
    return 0


def _make(folder: Path, to: Path) -> None:
    config = read_settings(
        [
            *("--config_path=configs/demo.yaml", f"--project={folder}", "--base=null"),
            f"--demonstrations.episodes={EPISODES}",
            *(f"--pretraining.value.{name}" for name in (f"steps={STEPS}", f"{HOLDOUT}=0.25")),
        ]
    )
    project = Project.create(folder, plain_settings(config))
    with project.at_work(), show_progress() as progress:
        for stage in ("collect", "label"):
            perform(stage, config, project, iteration=0, progress=progress)
        for stage in ("train-value", "mark-advantage"):
            perform(stage, config, project, iteration=None, progress=progress)
    trainset = trainset_of(config, project, iteration=None)
    scale = config.returns.scale(config.world.time_limit_steps)
    frames = judge(trainset, observe(project, trainset, silent), scale)
    settings = config.pretraining.value
    held_out = _held_out(frames, settings)

    to.mkdir(parents=True, exist_ok=True)
    uids = {
        trainset.episodes[number].info.uid for number in np.unique(frames.episode_index[held_out])
    }
    written = _inspected(replace(config, iteration=0), project, uids, to)
    good = TrainedValue(
        model=load_checkpoint(project.value(None)),
        metrics=read_json(project.value(None) / METRICS_FILE),
    )
    written.append(_keep(baselines_picture(good.metrics["baselines"]), to / "value-baselines.png"))
    rows = [("model", "verdict", "AUC halfway", "off by, steps", "in 90 %", "gap, nats")]
    rows.append(("good", *_figures(good.metrics)))
    figure = _overview("A good value model", good.metrics, _along(frames, settings, good))
    written.append(_keep(figure, to / "value-good.png"))
    for name, bad in _bad_ways(frames, settings).items():
        trained, history = _trained(bad)
        episodes = _along(bad.frames, bad.config, trained)
        figure = _overview(bad.title, {**trained.metrics, "history": history}, episodes)
        written.append(_keep(figure, to / f"value-{name}.png"))
        rows.append((name, *_figures(trained.metrics)))
    say(rows, {"pictures": [str(path) for path in written]})


def _bad_ways(frames: JudgedFrames, settings: ValueTrainingConfig) -> dict[str, Bad]:
    rng = np.random.default_rng(0)
    bare = replace(settings, shift_pixels=0, brightness=0.0, weight_decay=0.0)
    return {
        "over-fitted": Bad(
            title=f"Over-fitted: {FEW_EPISODES} attempts, half of them held out, no augmentation",
            frames=_first_episodes(frames, FEW_EPISODES),
            config=replace(
                bare,
                steps=300,
                batch_size=32,
                holdout_fraction=0.5,
                measurements=15,
                dropout=0.0,
            ),
            keeps_last=True,
        ),
        "shuffled": Bad(
            title="Trained on outcomes that were shuffled",
            frames=_with_shuffled_outcomes(frames, rng),
            config=replace(settings, steps=150),
        ),
        "under-trained": Bad(
            title="Under-trained: 15 gradient steps",
            frames=frames,
            config=replace(settings, steps=15, warmup_steps=3),
        ),
        "blind": Bad(
            title="Blind: sees the clock and the task, neither images nor joints",
            frames=_with_clock_alone(frames),
            config=replace(settings, steps=150),
        ),
    }


def _trained(bad: Bad) -> tuple[TrainedValue, list[dict[str, float]]]:
    """Train; where the last weights are kept, train twice: once to watch, once without looking."""
    trained = train_value_model(bad.frames, config=bad.config)
    history = trained.metrics["history"]
    if bad.keeps_last:
        # Weights are chosen where the held-out loss is measured: here only at the end.
        trained = train_value_model(bad.frames, config=replace(bad.config, measurements=1))
    return trained, history


def _first_episodes(frames: JudgedFrames, count: int) -> JudgedFrames:
    return _some(frames, frames.episode_index < count)


def _some(frames: JudgedFrames, kept: np.ndarray) -> JudgedFrames:
    seen = frames.observations
    return replace(
        frames,
        observations=replace(
            seen,
            images={name: np.asarray(pixels[kept]) for name, pixels in seen.images.items()},
            state=seen.state[kept],
            task_index=seen.task_index[kept],
        ),
        returns=frames.returns[kept],
        episode_index=frames.episode_index[kept],
        is_success=frames.is_success[kept],
    )


def _with_shuffled_outcomes(frames: JudgedFrames, rng: np.random.Generator) -> JudgedFrames:
    """Give every episode the outcome of another one, and the returns that follow from it."""
    starts = np.flatnonzero(np.diff(frames.episode_index, prepend=-1) != 0)
    lengths = np.diff(starts, append=len(frames.returns))
    shuffled = rng.permutation(frames.is_success[starts])
    steps = frames.steps_per_return()
    penalty = -float(frames.returns[~frames.is_success].max())  # of a failure's last frame
    left = np.concatenate([np.arange(length)[::-1] for length in lengths])
    is_success = np.repeat(shuffled, lengths)
    returns = -left / steps - np.where(is_success, 0.0, penalty)
    return replace(frames, returns=np.maximum(returns, -1.0), is_success=is_success)


def _with_clock_alone(frames: JudgedFrames) -> JudgedFrames:
    """Black out the images, and put the number of the frame where the joints were."""
    starts = np.flatnonzero(np.diff(frames.episode_index, prepend=-1) != 0)
    lengths = np.diff(starts, append=len(frames.returns))
    clock = np.concatenate([np.arange(length) for length in lengths]).astype(np.float32)
    seen = frames.observations
    return replace(
        frames,
        observations=replace(
            seen,
            images={name: np.zeros_like(pixels) for name, pixels in seen.images.items()},
            state=np.repeat(clock[:, None], seen.state.shape[1], axis=1),
        ),
    )


def _held_out(frames: JudgedFrames, config: ValueTrainingConfig) -> np.ndarray:
    """Give the frames that training with these settings holds out, as it draws them."""
    rng = np.random.default_rng(config.seed)
    return np.flatnonzero(
        hold_out_episodes(
            frames, holdout_fraction=config.holdout_fraction, rng=rng, by=config.holdout_by
        )
    )


def _along(
    frames: JudgedFrames, config: ValueTrainingConfig, trained: TrainedValue
) -> list[PredictedEpisode]:
    """Predict the held-out episodes again, to draw them."""
    rows = _held_out(frames, config)
    return predicted_episodes(
        predict_judged(trained.model, frames, rows).values,
        frames.returns[rows],
        episode_index=frames.episode_index[rows],
        is_success=frames.is_success[rows],
    )


def _overview(
    title: str, metrics: Mapping[str, Any], episodes: Sequence[PredictedEpisode]
) -> bytes:
    """Draw what was measured above, and below it two successes and two failures."""
    figure = new_figure(11.0, 5.6, rows=2, columns=12)
    for axes in figure.axes:
        axes.remove()
    grid = figure.add_gridspec(2, 12, height_ratios=(1.25, 1))
    draw_learning(figure.add_subplot(grid[0, :4]), metrics["history"])
    draw_pit(figure.add_subplot(grid[0, 4:8]), metrics["pit"])
    draw_auc(figure.add_subplot(grid[0, 8:]), metrics["intervals"])
    shown = shown_episodes(episodes)
    longest = max(len(episode.values) for episode in shown)
    for place, episode in enumerate(_four(shown)):
        axes = figure.add_subplot(grid[1, 3 * place : 3 * place + 3])
        draw_episode(axes, episode, longest=longest)
        axes.set_ylabel("return" * (place == 0))
    figure.suptitle(
        title, fontsize=13, fontweight="bold", color=light_colours()["ink"], x=0.01, ha="left"
    )
    return png(figure)


def _four(shown: Sequence[PredictedEpisode]) -> list[PredictedEpisode]:
    """Take the middling and the worst of the successes, then of the failures."""
    four = []
    for wanted in (True, False):
        kind = [episode for episode in shown if episode.is_success is wanted]
        four += [kind[len(kind) // 2], kind[-1]] if len(kind) > 1 else kind
    return four


def _inspected(config: RecapConfig, project: Project, uids: set[str], to: Path) -> list[Path]:
    """Look at the held-out failure that the good model is most wrong about."""
    seen = SeenEpisodes(config, project, value_model_of(config, project))
    failures = [e for e in seen.pickable() if e.outcome == "failure" and e.uid in uids]
    uid = max(failures, key=lambda e: seen.error_steps(e.uid) or 0.0).uid
    with tempfile.TemporaryDirectory() as folder:
        made = write_pictures(seen.view(uid), Path(folder))
        film = decode_video(Path(made["film"]))
        buffer = io.BytesIO()
        Image.fromarray(film[len(film) // 2]).save(buffer, format="png")
        return [
            _keep(Path(made["picture"]).read_bytes(), to / "value-episode.png"),
            _keep(buffer.getvalue(), to / "value-film.png"),
        ]


def _figures(metrics: Mapping[str, Any]) -> tuple[str, ...]:
    held_out = metrics["held_out"]
    numbers = (
        held_out["auc_50"],
        held_out["mae_steps"],
        held_out["coverage_90"],
        metrics["overfitting_gap"],
    )
    return (
        metrics["gate"]["verdict"],
        *("-" if number is None else f"{number:.2f}" for number in numbers),
    )


def _keep(picture: bytes, path: Path) -> Path:
    """Write a picture with few colours, which drawn pages hardly show."""
    image = Image.open(io.BytesIO(picture)).convert("RGB")
    few = image.quantize(COLOURS, kmeans=8, dither=Image.Dither.NONE)
    few.save(path, optimize=True)
    size = path.stat().st_size
    if size > MOST_BYTES:
        message = f"{path} has {size} bytes, more than {MOST_BYTES}: take a smaller picture"
        raise RuntimeError(message)
    return path


if __name__ == "__main__":
    sys.exit(main())
