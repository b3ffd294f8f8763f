"""Cameras larger than a value model sees, from training to what is said of them afterwards."""

from dataclasses import replace

import numpy as np
import pytest

from data.errors import CheckpointError
from data.reduction import reduce_image
from envs.tabletop import LAYOUT
from envs.world import Observation
from recap.config import PretrainingConfig, RecapConfig
from recap.progress import silent
from recap.project import Project
from recap.seen_episodes import SeenEpisodes, ValueModelAt
from recap.settings import plain_settings
from recap.stages import label, mark_advantage, train_value
from recap.stages.mark_advantage import AdvantageConfig
from recap.trainsets import fix_layout
from recap.values import as_seen
from value_models.config import EncoderKind, ValueModelConfig, ValueTrainingConfig

LARGE = replace(LAYOUT, cameras={"front": (120, 160), "wrist": (64, 64)})
TRAINING = ValueTrainingConfig(
    model=ValueModelConfig(bins=11, channels=4, keypoints=2, text_width=4, hidden_size=8),
    steps=3,
    batch_size=4,
    measurements=1,
)


@pytest.fixture
def config(tmp_path):
    return RecapConfig(
        project=tmp_path / "run",
        value=TRAINING,
        pretraining=PretrainingConfig(value=TRAINING),
        advantage=AdvantageConfig(horizon=4, accept_unusable=True),
    )


@pytest.fixture
def project(config, demonstrate):
    """Judged demonstrations of a robot with a large camera and a small one."""
    project = Project.create(config.project, plain_settings(config))
    fix_layout(project, LARGE)
    demonstrate(project, range(6))
    label.run(config, project, iteration=0, progress=silent)
    return project


def run(stage, config, project):
    return stage.run(config, project, iteration=None, progress=silent)


def cached(project):
    return {path.name.partition(".")[2] for path in project.frame_cache.iterdir()}


@pytest.mark.slow
def test_large_cameras_are_seen_reduced_by_every_stage(config, project):
    from data.annotations import AdvantageTable
    from recap.rollout.critic import Critic
    from value_models.checkpoint import load_checkpoint

    run(train_value, config, project)
    spec = load_checkpoint(project.value(None)).spec
    assert spec.cameras == {"front": (72, 96), "wrist": (64, 64)}
    assert spec.config.image_size == 96
    assert {"-72x96.front" in name for name in cached(project) if "front" in name} == {True}

    # What a checkpoint was made for decides, whatever the settings say by now.
    changed = replace(TRAINING, model=replace(TRAINING.model, image_size=48))
    config = replace(config, value=changed, pretraining=PretrainingConfig(value=changed))
    assert run(mark_advantage, config, project).frames == 72
    table = AdvantageTable.load(project.advantages(None)).frames

    at = ValueModelAt(
        folder=project.value(None), marks=project.advantages(None), pictures=project.folder
    )
    uid = table["episode_uid"][0]
    view = SeenEpisodes(config, project, at).view(uid)
    assert view.images["front"].shape == (12, 120, 160, 3)  # drawn as they were recorded
    marked = table[table["episode_uid"] == uid]["value"].to_numpy()
    np.testing.assert_allclose(view.values, marked, atol=2e-3)

    critic = Critic(project.value(None), batch_size=1, layout=LARGE)
    state = np.zeros(len(LARGE.state_names), dtype=np.float32)
    images = {camera: frames[0] for camera, frames in view.images.items()}
    seen = Observation(images=images, state=state, task=spec.tasks[0])
    assert -1.0 <= critic.values({0: seen})[0] <= 0.0
    twice = {"front": np.repeat(np.repeat(images["front"], 2, 0), 2, 1), "wrist": images["wrist"]}
    said = critic.values({0: replace(seen, images=twice)})[0]
    assert said == pytest.approx(critic.values({0: seen})[0], abs=1e-3)
    square = {**images, "front": images["front"][:, :120]}
    with pytest.raises(CheckpointError) as told:
        critic.values({0: replace(seen, images=square)})
    assert "made for cameras {'front': (72, 96), 'wrist': (64, 64)} (height, width), and the " in (
        str(told.value)
    )
    assert "episodes have {'front': (96, 96), 'wrist': (64, 64)}, reduced to 96 pixels." in (
        str(told.value)
    )


@pytest.mark.slow
def test_images_are_seen_as_recorded_where_that_is_asked_for(config, project):
    from value_models.checkpoint import load_checkpoint

    whole = replace(TRAINING, model=replace(TRAINING.model, image_size=0))
    run(train_value, replace(config, pretraining=PretrainingConfig(value=whole)), project)
    spec = load_checkpoint(project.value(None)).spec
    assert spec.cameras == LARGE.cameras
    assert not any("-72x96" in name for name in cached(project))
    assert run(mark_advantage, config, project).frames == 72


def test_a_policys_features_are_read_from_images_as_recorded():
    images = {"front": np.zeros((2, 480, 640, 3), dtype=np.uint8)}
    assert as_seen(ValueModelConfig(encoder=EncoderKind.POLICY), images)["front"] is images["front"]
    assert as_seen(ValueModelConfig(), images)["front"].shape == (2, 72, 96, 3)


@pytest.mark.slow
def test_the_critic_answers_480_by_640_frames_with_a_model_made_for_72_by_96(tmp_path):
    from recap.rollout.critic import Critic
    from value_models.checkpoint import load_checkpoint, save_checkpoint

    model = load_checkpoint(tmp_path.cwd() / "assets/base/value")
    model.spec = replace(model.spec, cameras=dict.fromkeys(model.spec.cameras, (72, 96)))
    save_checkpoint(model, tmp_path / "value")
    rng = np.random.default_rng(0)
    large = rng.integers(0, 255, (480, 640, 3), dtype=np.uint8)
    small = reduce_image(large, (72, 96))
    critic = Critic(tmp_path / "value", batch_size=1)
    seen = [
        Observation(
            images={"front": image, "wrist": image},
            state=np.array(model.spec.state_mean, dtype=np.float32),
            task=model.spec.tasks[0],
        )
        for image in (small, large[:, :480].copy(), large)
    ]
    assert critic.values({0: seen[2]}) == critic.values({0: seen[0]})
    with pytest.raises(CheckpointError, match="reduced to 96 pixels"):
        critic.values({0: seen[1]})


def test_a_checkpoint_from_before_saw_images_as_recorded(tmp_path):
    from data.files import read_json, write_json_atomically
    from value_models.checkpoint import load_checkpoint, save_checkpoint

    model = load_checkpoint(tmp_path.cwd() / "assets/base/value")
    save_checkpoint(model, tmp_path / "value")
    assert load_checkpoint(tmp_path / "value").spec.config.image_size == 96
    content = read_json(tmp_path / "value/config.json")
    del content["config"]["image_size"]
    write_json_atomically(tmp_path / "value/config.json", content)
    assert load_checkpoint(tmp_path / "value").spec.config.image_size == 0
