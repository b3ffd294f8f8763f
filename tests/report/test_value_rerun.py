"""One episode for Rerun's viewer, read back from its file."""

import importlib.util

import numpy as np
import pytest

from data.errors import ConfigError
from recap.report import value_rerun
from recap.report.value_rerun import lines_of, require_rerun, write_recording

rerun = pytest.importorskip("rerun", reason="the extra recap[rerun] is not installed")


def test_what_is_written_reads_back_on_one_line_of_time(make_view, tmp_path):
    from rerun.experimental import RrdReader

    view = make_view(5, is_correction=np.array([False, True, True, False, False]))
    write_recording(view, tmp_path / "value.rrd")
    store = RrdReader(str(tmp_path / "value.rrd")).store()
    schema = store.schema()
    entities = {column.entity_path for column in schema.component_columns()}
    assert {f"/{name}" for name in lines_of(view)} <= entities
    assert {"/cameras/front", "/cameras/wrist", "/distribution", "/about"} <= entities
    assert {"frame", "time"} <= {column.name for column in schema.index_columns()}


def test_lines_hold_the_numbers_of_every_frame(make_view):
    view = make_view(
        4,
        signs=np.array([1, -1, 0, 1], dtype=np.int8),
        advantages=np.array([0.1, -0.1, np.nan, 0.2]),
        is_correction=np.array([False, False, False, True]),
    )
    lines = lines_of(view)
    np.testing.assert_array_equal(lines["value/expected"], view.values)
    np.testing.assert_allclose(lines["value/q95"] - lines["value/q05"], 0.2)
    np.testing.assert_array_equal(lines["advantage/is_positive"], [1, 0, np.nan, 1])
    np.testing.assert_array_equal(lines["correction/is_correction"], [0, 0, 0, 1])


def test_what_is_not_known_has_no_line(make_view):
    lines = lines_of(make_view(returns=None, signs=None, advantages=None))
    assert not {"value/return", "advantage/advantage", "advantage/is_positive"} & set(lines)


def test_every_line_has_a_colour(make_view):
    assert set(lines_of(make_view())) == set(value_rerun.LINES)


def test_without_rerun_it_says_what_to_install(monkeypatch):
    monkeypatch.setattr(value_rerun, "find_spec", lambda name: None)
    with pytest.raises(ConfigError) as told:
        require_rerun()
    assert str(told.value) == (
        "Rerun is not installed, and --rerun needs it. Install the extra in this checkout: pip "
        "install -e '.[rerun]'\nWithout it, leave --rerun out: the picture and the film need "
        "nothing more."
    )
    assert importlib.util.find_spec("rerun") is not None
