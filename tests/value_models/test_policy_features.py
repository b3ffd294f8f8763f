"""The encoder of a policy's features, and a model of it before its first step."""

from dataclasses import replace

import numpy as np
import pytest
import torch

from data.errors import CheckpointError, ConfigError
from value_models.beginning import beginning
from value_models.checkpoint import load_checkpoint, save_checkpoint
from value_models.config import EncoderKind, ValueModelConfig, ValueTrainingConfig
from value_models.ensemble import members_of
from value_models.frames import BatchReader
from value_models.held_out import hold_out_episodes
from value_models.model import DistributionalValueModel
from value_models.policy_features_config import PolicyFeaturesConfig, Pooling
from value_models.prediction import predict_values
from value_models.spec import FeatureSource
from value_models.training import train_value_model

SIZE = 5
SOURCE = FeatureSource(path="a/policy", fingerprint="0123456789abcdef", size=SIZE)


@pytest.fixture(scope="module")
def config():
    return ValueModelConfig(
        bins=11,
        hidden_size=8,
        text_width=4,
        encoder=EncoderKind.POLICY,
        policy=PolicyFeaturesConfig(width=6, module="a.b", pooling=Pooling.MEAN_MAX),
    )


@pytest.fixture(scope="module")
def featured(frames):
    """Walks with features: where the dot is, at several scales, a constant and noise."""
    seen = frames.observations
    place = seen.images["front"][:, 7, :, 0].argmax(axis=1) // 2
    noise = np.random.default_rng(0).normal(size=len(seen))
    columns = [place, 1000.0 + 50.0 * place, np.cos(place), np.full(len(seen), 7.0), noise]
    features = np.stack(columns, axis=1).astype(np.float16)
    return replace(frames, observations=replace(seen, features=features, source=SOURCE))


def untrained(frames, config, *, seed):
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        settings = ValueTrainingConfig(model=config)
        return beginning(frames, np.arange(len(frames.observations)), settings, initial=None)


@pytest.fixture
def model(featured, config):
    return untrained(featured, config, seed=0).eval()


def read(frames, index):
    reader = BatchReader(frames.observations, device=torch.device("cpu"), reads_images=False)
    return reader.read(np.asarray(index))


def test_no_image_is_read(model):
    assert not model.encoder.reads_images


def test_features_are_standardised_by_frozen_statistics_and_a_constant_says_nothing(
    model, featured
):
    encoder, features = model.encoder, featured.observations.features.astype(np.float64)
    varying = [0, 1, 2, 4]
    np.testing.assert_allclose(encoder.feature_mean, features.mean(axis=0), rtol=1e-5)
    np.testing.assert_allclose(
        encoder.feature_std[varying], features.std(axis=0)[varying], rtol=1e-5
    )
    batch = read(featured, range(9))
    before = encoder(batch)
    moved = batch.features.clone()
    moved[:, 3] += 1000.0
    assert torch.equal(encoder(replace(batch, features=moved)), before)
    moved[:, 0] += 1.0
    assert not torch.allclose(encoder(replace(batch, features=moved)), before)


def test_statistics_of_many_features_are_those_of_each(featured, config, monkeypatch, model):
    monkeypatch.setattr("value_models.policy_features.COLUMNS_AT_ONCE", 2)
    again = untrained(featured, config, seed=0)
    for name in ("feature_mean", "feature_std"):
        assert torch.equal(getattr(again.encoder, name), getattr(model.encoder, name))


def test_a_feature_far_from_all_others_counts_as_five_deviations(model, featured):
    batch = read(featured, range(2))
    far, farther = batch.features.clone(), batch.features.clone()
    far[:, 0] = model.encoder.feature_mean[0] + 5.0 * model.encoder.feature_std[0]
    farther[:, 0] = 60000.0
    encode = model.encoder
    torch.testing.assert_close(
        encode(replace(batch, features=far)), encode(replace(batch, features=farther))
    )


def test_joints_and_instruction_count_beside_the_features(model, featured):
    batch = read(featured, range(6))
    before = model.encoder(batch)
    told = replace(batch, task_index=1 - batch.task_index)
    felt = replace(batch, state=batch.state + 1.0)
    assert model.encoder.output_size == before.shape[1]
    for other in (told, felt):
        assert not torch.allclose(model.encoder(other), before)


def test_training_moves_the_head_and_never_the_statistics(featured, config, tiny, tmp_path):
    save_checkpoint(untrained(featured, config, seed=0), tmp_path / "begun")
    begun = load_checkpoint(tmp_path / "begun")
    trained = train_value_model(featured, config=tiny, initial=tmp_path / "begun").model
    for name in ("feature_mean", "feature_std"):
        assert torch.equal(getattr(trained.encoder, name), getattr(begun.encoder, name))
    assert not torch.equal(trained.encoder.projection.weight, begun.encoder.projection.weight)
    assert trained.spec.features == SOURCE
    assert trained.spec.config == config


def test_a_new_model_takes_the_statistics_of_the_frames_it_learns_from(featured, config, tiny):
    settings = replace(tiny, model=config, members=2)
    first, second = members_of(train_value_model(featured, config=settings).model)
    rng = np.random.default_rng(settings.seed)
    is_held_out = hold_out_episodes(featured, holdout_fraction=tiny.holdout_fraction, rng=rng)
    learned = featured.observations.features[~is_held_out].astype(np.float64)
    np.testing.assert_allclose(first.encoder.feature_mean, learned.mean(axis=0), rtol=1e-5)
    assert torch.equal(first.encoder.feature_mean, second.encoder.feature_mean)
    assert not torch.equal(first.encoder.projection.weight, second.encoder.projection.weight)
    assert first.spec.features == SOURCE


def test_a_checkpoint_says_whose_features_it_reads_and_comes_back_the_same(
    model, featured, tmp_path
):
    save_checkpoint(model, tmp_path / "value")
    loaded = load_checkpoint(tmp_path / "value")
    assert loaded.spec == model.spec
    assert loaded.spec.config.policy.pooling is Pooling.MEAN_MAX
    np.testing.assert_array_equal(
        predict_values(loaded, featured.observations), predict_values(model, featured.observations)
    )


@pytest.mark.parametrize(("columns", "found"), [(None, "none"), (4, "4")])
def test_frames_without_these_features_are_refused(columns, found, model, featured):
    seen = featured.observations
    other = replace(seen, features=None if columns is None else seen.features[:, :columns])
    with pytest.raises(CheckpointError) as refused:
        predict_values(model, other)
    assert str(refused.value) == (
        f"the value model reads 5 features of the policy a/policy, and the frames come with "
        f"{found}. Use a value model that sees for itself, or give it that policy's features."
    )


def test_a_model_that_does_not_say_whose_features_it_reads_is_refused(model):
    with pytest.raises(ValueError, match=r"spec\.features is None"):
        DistributionalValueModel(replace(model.spec, features=None))


def test_module_names_are_separated_by_commas():
    assert PolicyFeaturesConfig(module=" a.b, c ,").modules() == ("a.b", "c")
    assert PolicyFeaturesConfig().modules() == ()
    with pytest.raises(ConfigError, match=r"value\.model\.policy\.width must be at least 1, got 0"):
        PolicyFeaturesConfig(width=0)
