"""Training from windows: what is measured again and again is decoded once, and nothing is kept."""

from collections import Counter

import numpy as np
import pytest

from data import frame_cache as frame_cache_module
from data.errors import ConfigError
from data.frames_config import GIB, FramesConfig
from recap.config import RecapConfig
from recap.core.returns import ReturnScale
from recap.progress import silent
from recap.project import Project
from recap.settings import plain_settings
from recap.stages import label
from recap.trainsets import Choice, gather, judge, observe
from value_models import training_loop
from value_models.config import ValueModelConfig, ValueTrainingConfig
from value_models.training import train_value_model
from value_models.training_loop import TrainingLoop

pytestmark = pytest.mark.slow

EPISODE_BYTES = 12 * 2 * 64 * 64 * 3 + 2 * 128
BOUNDED = FramesConfig(cache_gib=2.5 * EPISODE_BYTES / GIB, memory_gib=0.0)
TINY = ValueTrainingConfig(
    model=ValueModelConfig(bins=11, channels=4, keypoints=2, text_width=4, hidden_size=8),
    steps=8,
    batch_size=4,
    measurements=4,
    holdout_fraction=0.4,
)


@pytest.fixture
def judged(tmp_path, demonstrate):
    """Six judged demonstrations, read through a cache that holds two of them."""
    config = RecapConfig(project=tmp_path / "run")
    project = Project.create(config.project, plain_settings(config))
    demonstrate(project, range(6))
    label.run(config, project, iteration=0, progress=silent)
    trainset = gather(project, iteration=0, base=None, choice=Choice())
    seen = observe(project, trainset, silent, frames=BOUNDED)
    assert seen.windows() is not None
    return judge(trainset, seen, ReturnScale(max_steps=20, failure_penalty_fraction=0.5))


@pytest.fixture
def opened(monkeypatch):
    """How often each video was opened."""
    counted: Counter[str] = Counter()
    real = frame_cache_module.VideoReader

    def count(path, **options):
        counted[path.name] += 1
        return real(path, **options)

    monkeypatch.setattr(frame_cache_module, "VideoReader", count)
    return counted


def is_kept(judged):
    frames = judged.observations.images
    return any(frames._keeper.find(episode, "front") is not None for episode in range(6))


def test_frames_in_memory_are_those_of_the_videos(judged):
    rows = np.array([0, 5, 12, 13, 40, 71])
    some = judged.in_memory(rows)
    for camera, images in judged.observations.images.items():
        np.testing.assert_array_equal(some.observations.images[camera], images[rows])
    for name in ("returns", "episode_index", "is_success"):
        np.testing.assert_array_equal(getattr(some, name), getattr(judged, name)[rows])
    np.testing.assert_array_equal(some.observations.state, judged.observations.state[rows])
    np.testing.assert_array_equal(
        some.observations.task_index, judged.observations.task_index[rows]
    )


def test_watched_frames_are_decoded_once_and_measured_alike(judged, opened, monkeypatch):
    once = train_value_model(judged, config=TINY)
    times = opened.total()
    opened.clear()
    monkeypatch.setattr(training_loop, "MOST_WATCHED_BYTES", 0)
    again = train_value_model(judged, config=TINY)
    assert once.metrics["history"] == again.metrics["history"]
    assert opened.total() >= times + 3 * 2  # three more measurements, two cameras
    assert not is_kept(judged)


def test_a_training_that_fails_keeps_no_episode_in_the_cache(judged, monkeypatch):
    def fail(self, index):
        raise ConfigError(str(len(index)))

    monkeypatch.setattr(TrainingLoop, "_step", fail)
    with pytest.raises(ConfigError, match="4"):
        train_value_model(judged, config=TINY)
    assert not is_kept(judged)
