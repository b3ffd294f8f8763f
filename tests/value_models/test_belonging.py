"""What a checkpoint states, and which data it refuses for it."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from data.errors import CheckpointError, FingerprintError
from data.files import content_hash
from value_models.belonging import (
    fine_tuned_spec,
    require_known_tasks,
    require_made_from,
    require_scale,
    require_trained_on,
    unknown_tasks,
)
from value_models.checkpoint import load_checkpoint, save_checkpoint
from value_models.config import ValueModelConfig
from value_models.frames import require_fitting
from value_models.prediction import predict_values
from value_models.spec import ValueSpec
from value_models.training import train_value_model

VALUE = Path("run/iterations/1/value")
LEFT, RIGHT = "walk to the left", "walk to the right"
SPEC = ValueSpec(
    config=ValueModelConfig(),
    tasks=(LEFT, RIGHT),
    vocabulary=("walk",),
    cameras={"front": (16, 16), "wrist": (12, 16)},
    state_mean=(0.0, 0.0),
    state_std=(1.0, 1.0),
    normalisers={LEFT: 60.0, RIGHT: 90.0},
    fps=20,
    state_names=("pan", "lift"),
    trainset_fingerprint="0123abcd",
    base_fingerprint="base01",
)


def test_a_model_of_this_data_and_base_is_let_through():
    require_made_from(SPEC, value=VALUE, trainset_fingerprint="0123abcd", base_fingerprint="base01")
    require_known_tasks(SPEC, (RIGHT, LEFT, LEFT), value=VALUE)
    require_scale(SPEC, {RIGHT: 90.0}, scaling="penalty", value=VALUE)


def test_another_training_set_is_named_beside_the_one_that_was_meant():
    with pytest.raises(FingerprintError) as caught:
        require_made_from(SPEC, value=VALUE, trainset_fingerprint="ffff", base_fingerprint="base01")
    assert str(caught.value) == (
        "run/iterations/1/value was trained on the training set 0123abcd, but the episodes and "
        "outcomes now make ffff. Delete the folder and run `recap train-value` again."
    )
    with pytest.raises(FingerprintError):
        require_trained_on(SPEC, value=VALUE, trainset_fingerprint="")


@pytest.mark.parametrize(
    ("base", "said"),
    [("base02", "the base base02"), ("", "nothing")],
)
def test_another_base_is_named_beside_the_one_that_was_meant(base, said):
    with pytest.raises(FingerprintError) as caught:
        require_made_from(SPEC, value=VALUE, trainset_fingerprint="0123abcd", base_fingerprint=base)
    assert str(caught.value) == (
        f"run/iterations/1/value began from the base base01, but the settings now name {said}. "
        f"Delete the folder and run `recap train-value` again."
    )


def test_tasks_it_was_not_trained_on_are_listed_with_those_it_was():
    assert unknown_tasks(SPEC, ("fly", RIGHT, "fly", "dive")) == ("fly", "dive")
    with pytest.raises(CheckpointError) as caught:
        require_known_tasks(SPEC, ("fly", RIGHT, "dive"), value=VALUE)
    assert str(caught.value) == (
        "run/iterations/1/value was not trained on 'fly', 'dive'; it knows 'walk to the left', "
        "'walk to the right'. What it would say is a guess. Add judged attempts of it, delete the "
        "folder and run `recap train-value` again."
    )


@pytest.mark.parametrize(
    ("normalisers", "scaling", "task", "said"),
    [
        (
            {LEFT: 60.0, RIGHT: 60.0},
            "penalty",
            RIGHT,
            "90 steps to a unit, failures by 'penalty', and they make 60 steps to a unit, failures "
            "by 'penalty'",
        ),
        (
            {LEFT: 60.0},
            "floor",
            LEFT,
            "60 steps to a unit, failures by 'penalty', and they make 60 steps to a unit, failures "
            "by 'floor'",
        ),
        (
            {"fly": 60.0},
            "penalty",
            "fly",
            "no unit, failures by 'penalty', and they make 60 steps to a unit, failures by "
            "'penalty'",
        ),
    ],
)
def test_another_scale_of_returns_is_refused_task_by_task(normalisers, scaling, task, said):
    with pytest.raises(FingerprintError) as caught:
        require_scale(SPEC, normalisers, scaling=scaling, value=VALUE)
    assert str(caught.value) == (
        f"run/iterations/1/value predicts '{task}' on another scale of returns than these settings "
        f"make: {said}. Delete the folder and run `recap train-value` again."
    )


def test_frames_at_another_rate_are_refused_and_unknown_rates_are_not(frames):
    seen = frames.observations
    require_fitting(SPEC, replace(seen, fps=20))
    require_fitting(SPEC, seen)
    require_fitting(replace(SPEC, fps=None), replace(seen, fps=50))
    with pytest.raises(CheckpointError) as caught:
        require_fitting(SPEC, replace(seen, fps=50))
    assert str(caught.value) == (
        "the value model was made for 20 frames a second, and the episodes have 50. It counts what "
        "is left in frames, so every value would be wrong. Use a value model of this rate, or "
        "train one from nothing."
    )


def test_joints_of_other_names_or_in_another_order_are_refused(frames):
    seen = frames.observations
    require_fitting(SPEC, replace(seen, state_names=("pan", "lift")))
    require_fitting(replace(SPEC, state_names=None), replace(seen, state_names=("lift", "pan")))
    with pytest.raises(CheckpointError) as caught:
        require_fitting(SPEC, replace(seen, state_names=("lift", "pan")))
    assert str(caught.value) == (
        "the value model was made for the state entries pan, lift, and the episodes have lift, "
        "pan. Use a value model of this robot, or train one from nothing."
    )


def test_the_frames_say_how_long_their_tasks_are_whatever_the_model_knew(frames):
    seen = replace(frames.observations, tasks=("jump", LEFT), fps=20)
    longer = replace(frames, observations=seen, normalisers={"jump": 30.0, LEFT: 120.0})
    tuned = fine_tuned_spec(SPEC, longer, base_fingerprint="base02")
    assert tuned.tasks == (LEFT, RIGHT, "jump")
    assert tuned.normalisers == {LEFT: 120.0, RIGHT: 90.0, "jump": 30.0}
    assert (tuned.scaling, tuned.base_fingerprint) == ("penalty", "base02")
    assert (tuned.fps, tuned.state_names) == (20, ("pan", "lift"))


def test_under_another_scaling_the_tasks_of_before_are_known_no_more(frames):
    seen = replace(frames.observations, tasks=("jump", LEFT))
    floor = replace(
        frames, observations=seen, normalisers={"jump": 30.0, LEFT: 60.0}, scaling="floor"
    )
    tuned = fine_tuned_spec(SPEC, floor, base_fingerprint="")
    assert tuned.tasks == ("jump", LEFT)
    assert tuned.normalisers == {"jump": 30.0, LEFT: 60.0}
    assert tuned.scaling == "floor"
    assert (tuned.fps, tuned.state_names) == (20, ("pan", "lift"))  # these frames do not say
    with pytest.raises(CheckpointError, match=f"was not trained on '{RIGHT}'"):
        require_known_tasks(tuned, (LEFT, RIGHT), value=VALUE)


def test_a_trained_model_states_what_it_was_made_for_and_refuses_the_rest(frames, tiny, tmp_path):
    base = tmp_path / "base"
    named = replace(frames.observations, fps=20, state_names=("pan", "lift"))
    trained = train_value_model(
        replace(frames, observations=named, scaling="floor"),
        config=tiny,
        trainset_fingerprint="0123abcd",
    )
    save_checkpoint(trained.model, base)
    model = load_checkpoint(base)
    assert (model.spec.fps, model.spec.state_names) == (20, ("pan", "lift"))
    assert (model.spec.scaling, model.spec.base_fingerprint) == ("floor", "")
    assert np.isfinite(predict_values(model, named)).all()
    for change in ({"fps": 50}, {"state_names": ("lift", "pan")}):
        other = replace(named, **change)
        with pytest.raises(CheckpointError):
            predict_values(model, other)
        with pytest.raises(CheckpointError):
            train_value_model(replace(frames, observations=other), config=tiny, initial=base)

    # The next lap of a project with another time limit: its own scale, stated and refused by.
    longer = replace(frames, observations=named, normalisers={LEFT: 90.0, RIGHT: 90.0})
    spec = train_value_model(longer, config=tiny, initial=base).model.spec
    assert spec.normalisers == {LEFT: 90.0, RIGHT: 90.0}
    assert (spec.scaling, spec.base_fingerprint) == ("penalty", content_hash(base))
    with pytest.raises(FingerprintError):
        require_scale(spec, {LEFT: 60.0}, scaling="penalty", value=VALUE)
