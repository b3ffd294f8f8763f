"""The whole distribution of every frame's return."""

import numpy as np
import pytest
import torch

from data.errors import CheckpointError
from value_models.config import ValueModelConfig
from value_models.distributions import predict_distributions
from value_models.frames import Observations
from value_models.model import DistributionalValueModel
from value_models.prediction import predict_values
from value_models.spec import ValueSpec

TASK = "put the red cube on the green pad"


@pytest.fixture(scope="module")
def observations():
    rng = np.random.default_rng(0)
    return Observations(
        images={"front": rng.integers(0, 255, (9, 64, 64, 3), dtype=np.uint8)},
        state=rng.normal(size=(9, 3)).astype(np.float32),
        task_index=np.zeros(9, dtype=np.int64),
        tasks=(TASK,),
    )


@pytest.fixture(scope="module")
def model():
    torch.manual_seed(0)
    spec = ValueSpec(
        config=ValueModelConfig(bins=21, channels=4, keypoints=2, hidden_size=8),
        tasks=(TASK,),
        vocabulary=("red",),
        cameras={"front": (64, 64)},
        state_mean=(0.0,) * 3,
        state_std=(1.0,) * 3,
        normalisers={TASK: 100.0},
    )
    return DistributionalValueModel(spec)


def test_distributions_have_the_values_that_are_predicted_as_their_means(model, observations):
    model.head[1].p = 0.5
    model.train()  # asked without dropout all the same
    predicted = predict_distributions(model, observations, batch_size=4)
    np.testing.assert_allclose(predicted.values, predict_values(model, observations), atol=1e-6)
    np.testing.assert_allclose(predicted.probabilities.sum(axis=1), 1.0, atol=1e-5)
    means = predicted.probabilities @ np.linspace(-1.0, 0.0, 21)
    np.testing.assert_allclose(predicted.values, means, atol=1e-5)
    assert model.training
    assert len(predicted) == 9


def test_intervals_hold_what_they_promise(model, observations):
    predicted = predict_distributions(model, observations)
    half, most = predicted.interval(0.5), predicted.interval(0.9)
    assert (most[:, 0] < half[:, 0]).all()
    assert (half[:, 0] < predicted.quantiles[:, 2]).all()
    assert (predicted.quantiles[:, 2] < half[:, 1]).all()
    assert (half[:, 1] < most[:, 1]).all()
    # As much mass lies within as is promised, to within the bins at the ends.
    centres = np.linspace(-1.0, 0.0, 21)
    inside = (centres >= most[:, :1]) & (centres <= most[:, 1:])
    mass = (predicted.probabilities * inside).sum(axis=1)
    np.testing.assert_allclose(mass, 0.9, atol=2 * predicted.probabilities.max())


def test_an_interval_without_its_quantiles_is_refused(model, observations):
    predicted = predict_distributions(model, observations, levels=(0.25, 0.5, 0.75))
    assert predicted.interval(0.5).shape == (9, 2)
    with pytest.raises(ValueError, match=r"no quantiles bound the central 0\.9"):
        predicted.interval(0.9)


def test_frames_of_another_robot_are_refused(model, observations):
    other = Observations(
        images={"side": observations.images["front"]},
        state=observations.state,
        task_index=observations.task_index,
        tasks=(TASK,),
    )
    with pytest.raises(CheckpointError, match="cameras"):
        predict_distributions(model, other)
