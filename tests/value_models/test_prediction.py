"""Asking a value model about many frames: the same answers however the frames come to hand."""

from dataclasses import replace

import numpy as np
import pytest

from value_models import prediction
from value_models.prediction import in_batches, predict_judged, predict_values
from value_models.training import train_value_model


@pytest.fixture(scope="module")
def model(frames, tiny):
    return train_value_model(frames, config=tiny).model


def some(observations, rows):
    return replace(
        observations,
        images={name: images[rows] for name, images in observations.images.items()},
        state=observations.state[rows],
        task_index=observations.task_index[rows],
    )


def test_a_frames_value_does_not_depend_on_what_else_is_in_the_set(model, frames, monkeypatch):
    whole = predict_values(model, frames.observations)
    rows = np.arange(7, 60, 3)
    alone = predict_values(model, some(frames.observations, rows))
    np.testing.assert_allclose(alone, whole[rows], atol=1e-6)
    monkeypatch.setattr(prediction, "PIXELS_AT_A_TIME", 1)  # one frame at a time
    np.testing.assert_allclose(predict_values(model, frames.observations), whole, atol=1e-6)


def test_values_are_those_that_the_model_gives_of_all_frames_at_once(model, frames):
    import torch

    from value_models.frames import BatchReader

    reader = BatchReader(frames.observations, device=torch.device("cpu"))
    with torch.inference_mode():
        expected = model.values(reader.read(np.arange(len(frames.observations)))).numpy()
    np.testing.assert_allclose(predict_values(model, frames.observations), expected, atol=1e-6)


def test_progress_counts_the_frames(model, frames):
    seen = []
    predict_values(
        model, frames.observations, batch_size=100, progress=lambda *counts: seen.append(counts)
    )
    total = len(frames.observations)
    assert [done for done, _ in seen] == [*range(100, total, 100), total]
    assert {of for _, of in seen} == {total}


def test_judged_frames_are_answered_in_the_order_they_were_asked(model, frames):
    index = np.array([40, 3, 3, 17])
    asked = predict_judged(model, frames, index, batch_size=3)
    np.testing.assert_allclose(
        asked.values, predict_values(model, frames.observations)[index], atol=1e-6
    )
    one = predict_judged(model, frames, index[3:])
    for name in ("values", "cross_entropy", "pit_lower", "pit_upper"):
        np.testing.assert_allclose(getattr(asked, name)[3], getattr(one, name)[0], atol=1e-6)


def test_on_a_cpu_a_batch_holds_as_many_frames_as_its_caches_do(model, frames, monkeypatch):
    pixels = 16 * 16 + 16 * 12  # of both cameras
    monkeypatch.setattr(prediction, "PIXELS_AT_A_TIME", 5 * pixels + 1)
    sizes = [len(b) for b in in_batches(np.arange(12), model, frames.observations, at_most=256)]
    assert sizes == [5, 5, 2]
    sizes = [len(b) for b in in_batches(np.arange(12), model, frames.observations, at_most=4)]
    assert sizes == [4, 4, 4]
