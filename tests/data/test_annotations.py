from dataclasses import replace

import pandas as pd
import pytest

from data.annotations import AdvantageTable
from data.errors import FingerprintError, ProjectError


@pytest.fixture
def advantages():
    frames = pd.DataFrame(
        {
            "episode_uid": ["a", "a", "b"],
            "frame_index": [0, 1, 0],
            "index": [0, 1, 2],
            "return": [-0.2, -0.1, -1.0],
            "value": [-0.3, -0.1, -0.5],
            "advantage": [0.1, 0.0, -0.5],
            "indicator": ["positive", "negative", "positive"],
            "is_correction": [False, False, True],
        }
    )
    return AdvantageTable(
        frames=frames,
        thresholds={"stack": 0.05},
        trainset_fingerprint="aaaa",
        value_fingerprint="bbbb",
        settings={"horizon": 50},
    )


def test_a_table_comes_back_as_saved(advantages, tmp_path):
    advantages.save(tmp_path / "advantages.parquet")
    loaded = AdvantageTable.load(tmp_path / "advantages.parquet")
    pd.testing.assert_frame_equal(loaded.frames, advantages.frames)
    for name in ("thresholds", "trainset_fingerprint", "value_fingerprint", "settings"):
        assert getattr(loaded, name) == getattr(advantages, name)
    assert loaded.positive().tolist() == [True, False, True]


def test_annotations_of_another_training_set_are_refused(advantages):
    advantages.require("aaaa")
    with pytest.raises(FingerprintError) as caught:
        advantages.require("cccc")
    assert str(caught.value) == (
        "These advantages mark the training set aaaa, not cccc. Episodes or outcomes changed "
        "since: delete the file and run `recap mark-advantage` again."
    )


def test_a_missing_table_says_what_to_run(tmp_path):
    with pytest.raises(ProjectError) as caught:
        AdvantageTable.load(tmp_path / "advantages.parquet")
    assert str(caught.value) == (
        f"{tmp_path}/advantages.parquet does not exist. Run `recap mark-advantage` first."
    )


@pytest.mark.parametrize("content", ["not parquet", "other parquet"])
def test_something_else_is_not_read_as_advantages(content, tmp_path):
    path = tmp_path / "advantages.parquet"
    if content == "not parquet":
        path.write_text(content)
    else:
        pd.DataFrame({"x": [1]}).to_parquet(path)
    with pytest.raises(ProjectError, match="is not a table of advantages"):
        AdvantageTable.load(path)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"indicator": ["positive", "negative", "good"]}, r"got \['good'\]"),
        ({"value": [0.0, None, 0.0]}, "is not a negative one"),
        ({"index": [0, 2, 1]}, "order of the training set"),
        ({"extra": [1, 2, 3]}, "columns must be"),
    ],
)
def test_a_table_that_breaks_the_schema_is_refused(advantages, change, message):
    with pytest.raises(ValueError, match=message):
        replace(advantages, frames=advantages.frames.assign(**change))
