import json

import pytest

from data.errors import ConfigError, ProjectError
from recap.manifest import Manifest, Status


@pytest.fixture
def path(tmp_path):
    return tmp_path / "manifest.json"


def complete(path, *, report=""):
    (path.parent / "out").mkdir(exist_ok=True)
    with Manifest(path).running("collect", settings={"episodes": 2}, seed=1) as run:
        run.complete(inputs={"in": "a"}, outputs={"out": "b"}, report={"headline": report})


def test_a_complete_stage_is_complete_as_long_as_its_outputs_are_there(path):
    complete(path)
    assert Manifest(path).is_complete("collect", folder=path.parent)
    (path.parent / "out").rmdir()
    assert not Manifest(path).is_complete("collect", folder=path.parent)


def test_a_stage_that_was_stopped_is_not_complete_but_its_time_counts(path, monkeypatch):
    clock = iter([0.0, 3.0, 10.0, 14.0, 14.0])
    monkeypatch.setattr("recap.manifest.time.monotonic", lambda: next(clock))
    with pytest.raises(KeyboardInterrupt), Manifest(path).running("collect", settings={}, seed=0):
        raise KeyboardInterrupt
    entry = Manifest(path).entry("collect")
    assert (entry.status, entry.seconds, entry.runs) == (Status.RUNNING, 3.0, 1)
    complete(path)
    entry = Manifest(path).entry("collect")
    assert (entry.status, entry.seconds, entry.runs) == (Status.COMPLETE, 7.0, 2)
    assert Manifest(path).seconds() == 7.0


def test_a_mistake_leaves_no_trace(path):
    with pytest.raises(ConfigError), Manifest(path).running("label", settings={}, seed=0):
        raise ConfigError
    assert not path.exists()
    complete(path)
    before = path.read_bytes()
    for stage in ("label", "collect"):
        with pytest.raises(ConfigError), Manifest(path).running(stage, settings={}, seed=0):
            raise ConfigError
        assert path.read_bytes() == before


def test_a_kill_loses_seconds_of_the_time_only(path, monkeypatch):
    clock = iter([0.0, 4.0, 9.0, 9.0, 9.5])
    monkeypatch.setattr("recap.manifest.time.monotonic", lambda: next(clock))
    with Manifest(path).running("collect", settings={}, seed=0) as run:
        run.beat()
        assert Manifest(path).seconds() == 0.0
        run.beat()
        assert Manifest(path).seconds() == 9.0


def test_what_differs_between_two_equal_runs_is_not_compared(path):
    complete(path, report="3 frames a second")
    before = Manifest(path).comparable()
    complete(path, report="4 frames a second")
    assert Manifest(path).comparable() == before
    assert before["collect"]["outputs"] == {"out": "b"}


@pytest.mark.parametrize("content", [{}, {"stages": {"collect": {"status": "done"}}}, []])
def test_a_file_that_is_no_manifest_is_named(path, content):
    path.write_text(json.dumps(content))
    with pytest.raises(ProjectError, match=r"is not a manifest \(.*\)\. Restore it, or delete it"):
        Manifest(path)
