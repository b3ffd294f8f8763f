from __future__ import annotations

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import torch

from data.errors import CheckpointError, ConfigError
from recap.policies.indicator import IndicatorStep


def told(step, *, index=None, frames=3, has_action=True):
    from lerobot.processor import batch_to_transition, transition_to_batch

    batch = {"task": ["go"] * frames}
    if has_action:
        batch["action"] = torch.zeros(frames, 4, 2)
    if index is not None:
        batch["index"] = torch.tensor(index)
    return transition_to_batch(step(batch_to_transition(batch)))["task"]


@pytest.mark.parametrize(
    ("runtime", "prompt"),
    [
        ("positive", "go\nAdvantage: positive"),
        ("negative", "go\nAdvantage: negative"),
        ("none", "go"),
    ],
)
def test_at_run_time_the_setting_is_told(runtime, prompt):
    assert told(IndicatorStep(runtime=runtime), has_action=False) == [prompt] * 3


def test_in_training_the_sign_is_looked_up_by_index_and_absence_is_not_negative():
    step = IndicatorStep(indicators=np.array([1, -1, 0], dtype=np.int8), dropout=0.0)

    assert told(step, index=[1, 0, 2, 7], frames=4) == [
        "go\nAdvantage: negative",
        "go\nAdvantage: positive",
        "go",
        "go",
    ]


def test_the_table_is_read_from_its_file(tmp_path):
    path = tmp_path / "advantages.parquet"
    pq.write_table(pa.table({"index": [2, 0], "indicator": ["negative", "positive"]}), path)

    step = IndicatorStep(table=str(path), dropout=0.0)

    assert told(step, index=[0, 1, 2]) == [
        "go\nAdvantage: positive",
        "go",
        "go\nAdvantage: negative",
    ]


def test_a_missing_table_stops_training_but_not_a_run(tmp_path):
    step = IndicatorStep(table=str(tmp_path / "gone.parquet"))

    assert told(step, has_action=False) == ["go\nAdvantage: positive"] * 3
    with pytest.raises(CheckpointError, match=r"gone\.parquet does not exist, and training needs"):
        told(step, index=[0, 1, 2])


def test_three_in_ten_indicators_are_dropped_and_the_seed_decides_which():
    signs = np.ones(4000, dtype=np.int8)
    batches = [
        told(IndicatorStep(indicators=signs, seed=seed), index=list(range(4000)), frames=4000)
        for seed in (0, 0, 1)
    ]

    share = sum(task == "go" for task in batches[0]) / 4000
    assert share == pytest.approx(0.3, abs=0.03)
    assert batches[0] == batches[1] != batches[2]


def test_an_unknown_runtime_indicator_is_refused():
    with pytest.raises(ConfigError, match="must be one of positive, none, negative, got 'good'"):
        IndicatorStep(runtime="good")


def test_the_signs_travel_with_the_step_as_state(tmp_path):
    from lerobot.processor import DataProcessorPipeline

    step = IndicatorStep(indicators=np.array([1, -1], dtype=np.int8), dropout=0.0)
    DataProcessorPipeline(steps=[step], name="told").save_pretrained(tmp_path / "here")
    (tmp_path / "here").rename(tmp_path / "there")
    loaded = DataProcessorPipeline.from_pretrained(tmp_path / "there", "told.json").steps[0]

    assert told(loaded, index=[0, 1, 2]) == [
        "go\nAdvantage: positive",
        "go\nAdvantage: negative",
        "go",
    ]


def test_a_step_without_signs_keeps_no_state():
    assert IndicatorStep().state_dict() == {}


def test_signs_are_not_a_setting():
    step = IndicatorStep(table="a/b.parquet", indicators=np.ones(3, dtype=np.int8))

    assert step.get_config() == {
        "table": "a/b.parquet",
        "runtime": "positive",
        "dropout": 0.3,
        "seed": 0,
    }
