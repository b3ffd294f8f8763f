"""Several value models as one: averaged, kept in one folder, fine-tuned member by member."""

import json
from dataclasses import replace

import numpy as np
import pytest
import torch

from data.errors import CheckpointError, ConfigError
from value_models.checkpoint import load_checkpoint, save_checkpoint
from value_models.ensemble import ValueEnsemble, members_of
from value_models.frames import BatchReader
from value_models.prediction import predict_judged, predict_values
from value_models.training import train_value_model


def same(first, second):
    one, other = first.state_dict(), second.state_dict()
    return all(torch.equal(one[name], other[name]) for name in one)


@pytest.fixture(scope="module")
def trio(frames, tiny):
    """Three members, far enough apart to tell them from one another."""
    config = replace(tiny, members=3, learning_rate=0.02, steps=20)
    return train_value_model(frames, config=config)


@pytest.fixture
def folder(trio, tmp_path):
    save_checkpoint(trio.model, tmp_path / "value", metrics=trio.metrics)
    return tmp_path / "value"


def test_an_ensemble_says_the_mean_of_its_members_distributions(trio, frames):
    batch = BatchReader(frames.observations, device=torch.device("cpu")).read(np.arange(5))
    with torch.no_grad():
        odds = torch.stack([member(batch).softmax(dim=1) for member in members_of(trio.model)])
        values = torch.stack([member.values(batch) for member in members_of(trio.model)])
        torch.testing.assert_close(trio.model(batch).exp(), odds.mean(dim=0))
        torch.testing.assert_close(trio.model.values(batch), values.mean(dim=0))
        disagreement = trio.model.disagreement(batch)
    expected = (values - values.mean(dim=0)).square().mean(dim=0).sqrt()
    torch.testing.assert_close(disagreement, expected)
    assert (disagreement > 1e-4).all()


def test_the_first_member_is_the_model_that_would_be_trained_alone(trio, frames, tiny):
    alone = train_value_model(frames, config=replace(tiny, learning_rate=0.02, steps=20))
    first, second, third = members_of(trio.model)
    assert same(first, alone.model)
    assert not same(first, second)
    assert not same(second, third)


def test_members_share_the_held_out_episodes_and_each_tells_its_course(trio):
    assert [member["steps"] for member in trio.metrics["members"]] == [20, 20, 20]
    assert [entry["member"] for entry in trio.metrics["history"]] == [0, 0, 1, 1, 2, 2]
    assert trio.metrics["held_out_episodes"] == 12


def test_progress_counts_the_steps_of_all_members(frames, tiny):
    heard = []
    train_value_model(
        frames, config=replace(tiny, members=2), progress=lambda *said: heard.append(said[:2])
    )
    assert heard == [(3, 12), (6, 12), (9, 12), (12, 12)]


def test_an_ensemble_read_back_predicts_the_same_bits(trio, folder, frames):
    assert json.loads((folder / "config.json").read_text())["members"] == 3
    loaded = load_checkpoint(folder)
    assert isinstance(loaded, ValueEnsemble)
    assert loaded.spec == trio.model.spec
    assert not loaded.training
    np.testing.assert_array_equal(
        predict_values(loaded, frames.observations),
        predict_values(trio.model, frames.observations),
    )
    some = np.arange(0, len(frames.returns), 7)
    assert predict_judged(loaded, frames, some).cross_entropy.mean() < np.log(11)


def test_what_an_ensemble_is_made_for_its_members_are_made_for(folder):
    loaded = load_checkpoint(folder)
    loaded.spec = replace(loaded.spec, scaling="floor")
    assert {member.spec.scaling for member in members_of(loaded)} == {"floor"}


@pytest.mark.parametrize("members", [0, "three"])
def test_a_number_of_members_that_cannot_be_is_named(folder, members):
    stated = json.loads((folder / "config.json").read_text())
    (folder / "config.json").write_text(json.dumps({**stated, "members": members}))
    with pytest.raises(CheckpointError, match="members must be at least 1, got"):
        load_checkpoint(folder)


def test_an_ensemble_is_fine_tuned_member_by_member(trio, folder, frames, tiny):
    still = replace(tiny, members=3, steps=1, learning_rate=1e-30, weight_decay=0.0)
    tuned = train_value_model(frames, config=still, initial=folder)
    pairs = zip(members_of(tuned.model), members_of(trio.model), strict=True)
    assert all(same(one, other) for one, other in pairs)


def test_an_ensemble_of_a_single_base_begins_with_it_and_parts(trio, frames, tiny, tmp_path):
    base = members_of(trio.model)[1]
    save_checkpoint(base, tmp_path / "base")
    still = replace(tiny, members=2, steps=1, learning_rate=1e-30, weight_decay=0.0)
    begun = train_value_model(frames, config=still, initial=tmp_path / "base")
    assert all(same(member, base) for member in members_of(begun.model))
    tuned = train_value_model(frames, config=replace(tiny, members=2), initial=tmp_path / "base")
    first, second = members_of(tuned.model)
    assert not same(first, second)


def test_an_ensemble_of_another_number_of_members_is_refused(folder, frames, tiny):
    with pytest.raises(ConfigError) as caught:
        train_value_model(frames, config=tiny, initial=folder)
    assert str(caught.value) == (
        f"{folder} is an ensemble of 3, and value.members=1. Its members are fine-tuned one by "
        f"one: use value.members=3."
    )


def test_members_that_do_not_belong_together_are_refused(trio):
    first, second, _ = members_of(trio.model)
    stranger = members_of(train_like(second))[0]
    with pytest.raises(ValueError, match="members of the same specification"):
        ValueEnsemble([first, stranger])
    with pytest.raises(ValueError, match="one or more members"):
        ValueEnsemble([])


def train_like(model):
    """Copy a model, for another scale."""
    from copy import deepcopy

    stranger = deepcopy(model)
    stranger.spec = replace(stranger.spec, scaling="floor")
    return stranger
