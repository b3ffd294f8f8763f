"""Value models that read a policy's features, from the stages to what is said beside the policy."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from data.errors import CheckpointError, ConfigError, FingerprintError
from recap.config import PretrainingConfig, RecapConfig
from recap.progress import silent
from recap.project import Project
from recap.settings import plain_settings
from recap.stages import label, mark_advantage, train_value
from recap.stages.mark_advantage import AdvantageConfig
from value_models.config import EncoderKind, ValueModelConfig, ValueTrainingConfig
from value_models.policy_features_config import PolicyFeaturesConfig

pytestmark = pytest.mark.slow

EPISODES = 6
TINY = ValueTrainingConfig(
    model=ValueModelConfig(bins=11, channels=4, keypoints=2, text_width=4, hidden_size=8),
    steps=3,
    batch_size=4,
    measurements=1,
)


def run(stage, config, project, *, iteration):
    return stage.run(config, project, iteration=iteration, progress=silent)


def reading(config, **changes):
    """Let every lap make a value model that reads the features of a policy."""
    model = replace(config.value.model, encoder=EncoderKind.POLICY, policy=PolicyFeaturesConfig())
    return replace(
        config, value=replace(config.value, **{"from_base": False, "model": model} | changes)
    )


def write_policy(project, folder):
    """Write a policy that saw the demonstrations for a moment."""
    from recap.policies.batches import TrainingFrames
    from recap.policies.config import PolicyShape, PolicyTrainingConfig
    from recap.policies.training import train_policy
    from recap.trainsets import Choice, gather, observe

    trainset = gather(project, iteration=0, base=None, choice=Choice())
    seen = observe(project, trainset, silent).images
    frames = TrainingFrames(
        images={
            camera: np.asarray(images[np.arange(len(trainset))]) for camera, images in seen.items()
        },
        state=trainset.state(),
        action=trainset.action(),
        bounds=[(episode.start, episode.stop) for episode in trainset.episodes],
        tasks=[episode.info.task for episode in trainset.episodes],
        indicator=np.ones(len(trainset), dtype=np.int8),
    )
    train_policy(
        frames,
        destination=folder,
        settings=PolicyTrainingConfig(steps=1, batch_size=8, noise_samples=1),
        start=PolicyShape(chunk_size=2, n_action_steps=1, keypoints=4, hidden_size=16, layers=1),
        statistics={
            "observation.state": {
                "mean": frames.state.mean(axis=0),
                "std": frames.state.std(axis=0),
            },
            "action": {"mean": frames.action.mean(axis=0), "std": frames.action.std(axis=0)},
        },
    )


@pytest.fixture
def config(tmp_path):
    return RecapConfig(
        project=tmp_path / "run",
        value=TINY,
        pretraining=PretrainingConfig(value=TINY),
        advantage=AdvantageConfig(horizon=4, accept_unusable=True),
    )


@pytest.fixture
def project(config, demonstrate):
    """A project with judged demonstrations, a small value model to start from, and a policy."""
    project = Project.create(config.project, plain_settings(config))
    demonstrate(project, range(EPISODES))
    run(label, config, project, iteration=0)
    run(train_value, config, project, iteration=None)
    write_policy(project, project.policy(None))
    return project


@pytest.fixture
def asked(monkeypatch):
    """How many frames a policy was asked about, call by call."""
    from recap.policies.backbone import PolicyBackbone

    read, counted = PolicyBackbone.features, []

    def count(self, images, state, tasks):
        counted.append(len(tasks))
        return read(self, images, state, tasks)

    monkeypatch.setattr(PolicyBackbone, "features", count)
    return counted


def spec_of(project, iteration):
    from value_models.checkpoint import load_checkpoint

    return load_checkpoint(project.value(iteration)).spec


def test_a_lap_learns_and_marks_with_the_features_of_the_policy_it_starts_from(
    config, project, asked
):
    from data.annotations import AdvantageTable
    from data.trainset import Trainset
    from envs.world import Observation
    from recap.policies.backbone import PolicyBackbone
    from recap.rollout.critic import Critic
    from recap.trainsets import observe

    settings = reading(config)
    trained = run(train_value, settings, project, iteration=1)
    assert asked == [12] * EPISODES  # each episode once
    spec = spec_of(project, 1)
    backbone = PolicyBackbone(PolicyFeaturesConfig(path=str(project.policy(None))))
    assert spec.features.path == str(project.policy(None))
    assert spec.features.fingerprint == backbone.fingerprint
    assert spec.base_fingerprint == ""
    assert spec.trainset_fingerprint == trained.trainset
    assert trained.inputs == {"policy whose features are read": backbone.fingerprint}

    marked = run(mark_advantage, settings, project, iteration=1)
    assert asked == [12] * EPISODES  # what is kept is used
    assert marked.frames == 12 * EPISODES

    # A robot shows the same frames: the same is said of them, and this time nothing is kept.
    trainset = Trainset.open(project.trainsets / trained.trainset)
    seen = observe(project, trainset, silent)
    critic = Critic(project.value(1), batch_size=3)
    told = critic.values(
        {
            place: Observation(
                images={
                    camera: images[np.array([row])][0] for camera, images in seen.images.items()
                },
                state=seen.state[row],
                task=seen.tasks[seen.task_index[row]],
            )
            for place, row in ((0, 5), (2, 40))
        }
    )
    assert asked == [*[12] * EPISODES, 3]
    values = AdvantageTable.load(project.advantages(1)).frames["value"]
    assert told == pytest.approx({0: values[5], 2: values[40]}, abs=1e-3)
    assert abs(values[5] - values[40]) > 1e-6


def test_a_killed_lap_goes_on_with_the_features_that_are_kept(config, project, asked, monkeypatch):
    from recap.policies import backbone

    settings, rows = reading(config), backbone.PolicyBackbone._read

    def die(self, images, state, tasks):
        if len(asked) == 4:
            raise KeyboardInterrupt
        return rows(self, images, state, tasks)

    with monkeypatch.context() as dying:
        dying.setattr(backbone.PolicyBackbone, "_read", die)
        with pytest.raises(KeyboardInterrupt):
            run(train_value, settings, project, iteration=1)
    assert not project.value(1).exists()
    asked.clear()
    run(train_value, settings, project, iteration=1)
    assert asked == [12] * (EPISODES - 3)


def test_a_policy_that_is_another_one_by_now_is_refused(config, project):
    from recap.rollout.critic import Critic

    settings, policy = reading(config), project.policy(None)
    run(train_value, settings, project, iteration=1)
    before = spec_of(project, 1).features.fingerprint
    (policy / "README.md").write_text("trained once more")
    complaint = (
        f"reads the features of the policy {policy} as it was with fingerprint {before}, and it is "
    )
    for use in (
        lambda: run(train_value, settings, project, iteration=1),
        lambda: run(mark_advantage, settings, project, iteration=1),
        lambda: Critic(project.value(1), batch_size=1),
    ):
        with pytest.raises(FingerprintError) as refused:
            use()
        assert complaint in str(refused.value)
        assert "delete its folder and run `recap train-value`" in str(refused.value)

    policy.rename(policy.with_name("elsewhere"))
    with pytest.raises(CheckpointError) as missing:
        run(mark_advantage, settings, project, iteration=1)
    assert str(missing.value) == (
        f"The value model reads the features of the policy {policy}, which does not exist. Put it "
        f"back, or train the value model again: delete its folder and run `recap train-value`."
    )


def test_an_encoder_that_the_base_does_not_have_is_not_left_out_without_a_word(config, project):
    asking = reading(config, from_base=True)
    with pytest.raises(ConfigError) as refused:
        run(train_value, asking, project, iteration=1)
    assert str(refused.value) == (
        f"value.model.encoder is policy, but training starts from {project.value(None)}, whose "
        f"encoder is small and stays so. Train a new value model in every lap with "
        f"--value.from_base=false, or leave value.model.encoder out."
    )
    assert not project.value(1).exists()


def test_a_new_small_model_is_made_in_every_lap_where_asked_for(config, project):
    from data.files import content_hash

    fresh = replace(config, value=replace(config.value, from_base=False))
    run(train_value, fresh, project, iteration=1)
    assert spec_of(project, 1).base_fingerprint == ""
    # The other way round it is another model, and that is noticed.
    with pytest.raises(FingerprintError, match="began from nothing, but the settings now name"):
        run(train_value, config, project, iteration=1)
    run(train_value, config, project, iteration=2)
    assert spec_of(project, 2).base_fingerprint == content_hash(project.value(None))


def test_pre_training_reads_a_policy_that_is_named_and_the_laps_keep_it(config, project, asked):
    import shutil

    policy, value = project.folder / "a_policy", project.value(None)
    shutil.copytree(project.policy(None), policy)
    shutil.rmtree(value)
    model = replace(TINY.model, encoder=EncoderKind.POLICY)

    def pretraining(path):
        named = replace(model, policy=PolicyFeaturesConfig(path=path))
        return replace(config, pretraining=PretrainingConfig(value=replace(TINY, model=named)))

    with pytest.raises(ConfigError, match=r"--pretraining\.value\.model\.policy\.path=\.\.\."):
        run(train_value, pretraining(""), project, iteration=None)
    run(train_value, pretraining(str(policy)), project, iteration=None)
    made = spec_of(project, None)
    assert Path(made.features.path) == policy
    assert asked == [12] * EPISODES

    run(train_value, config, project, iteration=1)  # the settings' own model does not matter
    tuned = spec_of(project, 1)
    assert tuned.features == made.features
    assert tuned.config == made.config
    assert tuned.base_fingerprint != ""
    assert asked == [12] * EPISODES
