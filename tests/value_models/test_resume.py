"""A training that is stopped goes on as if it had not been."""

import errno
import json
import os
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest
import torch

from data.errors import CheckpointError, FingerprintError, ProjectError
from value_models import resume
from value_models.checkpoint import save_checkpoint
from value_models.resume import TrainingState, Workspace, discard_workspace
from value_models.training import train_value_model

SCRIPT = Path(__file__).with_name("killed_runs.py")


class StoppedError(Exception):
    """Somebody stopped the training."""


def stop_at(step):
    def progress(done, total, figures):
        if done >= step:
            raise StoppedError

    return progress


def train(frames, config, workspace, progress=None, **more):
    return train_value_model(frames, config=config, workspace=workspace, progress=progress, **more)


def stop(frames, config, workspace, *, step, **more):
    with pytest.raises(StoppedError):
        train(frames, config, workspace, stop_at(step), **more)


def states(workspace):
    return sorted(path.relative_to(workspace).as_posix() for path in workspace.glob("*/step-*"))


def assert_same(first, second):
    one, other = first.model.state_dict(), second.model.state_dict()
    assert one.keys() == other.keys()
    assert all(torch.equal(one[name], other[name]) for name in one)
    assert first.metrics == second.metrics


@pytest.fixture
def config(tiny):
    return replace(tiny, steps=24, measurements=12, save_every=5, learning_rate=0.02)


@pytest.mark.slow
def test_a_training_that_is_killed_at_any_moment_ends_as_if_it_had_not_been(tmp_path):
    environment = {**os.environ, "OMP_NUM_THREADS": "1"}
    done = subprocess.run(
        [sys.executable, str(SCRIPT), str(tmp_path)],
        env=environment,
        capture_output=True,
        text=True,
        timeout=180,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    steps = json.loads((tmp_path / "steps.json").read_text())
    assert len({step for step in steps if step}) >= 2  # it was killed with work behind it
    whole, killed = (
        json.loads((tmp_path / name / "result.json").read_text()) for name in ("whole", "killed")
    )
    assert whole == killed


@pytest.mark.parametrize("step", [4, 10, 18])
@pytest.mark.parametrize("change", [{}, {"ema_decay": 0.8}, {"patience": 4}, {"members": 2}])
def test_it_goes_on_as_if_it_had_not_been_stopped(frames, config, tmp_path, step, change):
    config = replace(config, **change)
    stop(frames, config, tmp_path, step=step)
    saved = 5 * ((step - 1) // 5)
    assert states(tmp_path) == ([f"member-0/step-{saved:08d}"] if saved else [])
    heard = []
    resumed = train(frames, config, tmp_path, lambda *said: heard.append(said[0]))
    assert heard[0] == saved + 2 - saved % 2  # every second step is measured
    assert_same(resumed, train_value_model(frames, config=config))


def test_a_member_that_is_trained_is_not_trained_again(frames, config, tmp_path):
    config = replace(config, members=2)
    stop(frames, config, tmp_path, step=24 + 6)
    assert states(tmp_path) == ["member-0/step-00000024", "member-1/step-00000005"]
    heard = []
    resumed = train(frames, config, tmp_path, lambda *said: heard.append(said[0]))
    assert heard[0] == 24 + 6
    assert_same(resumed, train_value_model(frames, config=config))


def test_a_training_that_ended_is_there_until_its_checkpoint_is_written(frames, config, tmp_path):
    trained = train(frames, config, tmp_path / "work")
    assert states(tmp_path / "work") == ["member-0/step-00000024"]
    heard = []
    again = train(frames, config, tmp_path / "work", lambda *said: heard.append(said))
    assert heard == []
    assert_same(again, trained)
    discard_workspace(tmp_path / "work")
    discard_workspace(tmp_path / "work")
    assert list(tmp_path.iterdir()) == []


def test_what_does_not_decide_the_result_may_change(frames, config, tmp_path):
    stop(frames, config, tmp_path, step=12)
    other = replace(config, save_every=7, threads=2, accumulate=2)
    resumed, whole = train(frames, other, tmp_path), train_value_model(frames, config=config)
    for one, expected in zip(resumed.metrics["history"], whole.metrics["history"], strict=True):
        assert one == pytest.approx(expected, abs=1e-5)


def test_nothing_is_saved_where_that_is_not_asked_for(frames, config, tmp_path):
    train(frames, replace(config, save_every=0), tmp_path / "work")
    assert not (tmp_path / "work").exists()


def test_the_state_of_another_training_is_refused(frames, config, tmp_path, random_walk):
    stop(frames, config, tmp_path / "work", step=12)
    with pytest.raises(FingerprintError) as caught:
        train(frames, replace(config, learning_rate=0.5, seed=3), tmp_path / "work")
    assert str(caught.value) == (
        f"{tmp_path}/work/member-0 holds a training that was stopped, and differs from this one "
        f"in returns and held-out episodes, value.learning_rate, value.seed. Go back to what it "
        f"was to go on with it, or delete the folder to begin again."
    )
    with pytest.raises(FingerprintError, match="differs from this one in training set"):
        train(frames, config, tmp_path / "work", trainset_fingerprint="other")
    with pytest.raises(FingerprintError, match="in returns and held-out episodes"):
        train(random_walk(50), config, tmp_path / "work")
    bigger = replace(config, model=replace(config.model, hidden_size=9))
    with pytest.raises(FingerprintError, match=r"in value\.model\.hidden_size\."):
        train(frames, bigger, tmp_path / "work")
    save_checkpoint(train_value_model(frames, config=config).model, tmp_path / "base")
    with pytest.raises(FingerprintError, match=r"differs from this one in base\."):
        train(frames, config, tmp_path / "work", initial=tmp_path / "base")


@pytest.mark.parametrize("name", ["state.json", "tensors.safetensors"])
@pytest.mark.parametrize("damage", ["gone", "short"])
def test_a_damaged_state_is_named(frames, config, tmp_path, name, damage):
    stop(frames, config, tmp_path, step=12)
    path = tmp_path / "member-0" / "step-00000010" / name
    content = path.read_bytes()
    path.unlink()
    if damage == "short":
        path.write_bytes(content[: len(content) // 2])
    with pytest.raises(CheckpointError, match=r"step-00000010 holds .* is damaged .*Delete .*m"):
        train(frames, config, tmp_path)


def test_the_state_before_survives_a_full_disk(frames, config, tmp_path, monkeypatch):
    stop(frames, config, tmp_path, step=8)
    write = resume.save_file

    def fill(tensors, path):
        write(tensors, path)
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(resume, "save_file", fill)
    with pytest.raises(ProjectError) as caught:
        train(frames, config, tmp_path)
    assert str(caught.value) == (
        f"The state of the training after step 10 could not be written to {tmp_path}/member-0 "
        f"([Errno 28] No space left on device); it is kept as it was after step 5. Make room, and "
        f"run the same command to go on."
    )
    assert states(tmp_path) == ["member-0/step-00000005"]
    monkeypatch.undo()
    assert_same(train(frames, config, tmp_path), train_value_model(frames, config=config))


def test_only_the_newest_state_stays_and_leftovers_are_swept(tmp_path):
    workspace = Workspace(tmp_path / "work", made_for={"sizes": (1, 2)})
    shared = torch.arange(6.0)
    for step in (1, 2):
        workspace.save(
            TrainingState(
                step=step, numbers={"n": step}, tensors={"a": shared, "b": shared.view(2, 3)}
            )
        )
    (tmp_path / "work" / ".partial" / "step-00000003.1.1").mkdir(parents=True)
    again = Workspace(tmp_path / "work", made_for={"sizes": [1, 2]})
    found = again.latest()
    assert (found.step, found.numbers) == (2, {"n": 2})
    assert torch.equal(found.tensors["b"], shared.view(2, 3))
    again.sweep()
    left = [path.name for path in (tmp_path / "work").rglob("*") if path.name != ".partial"]
    assert sorted(left) == ["state.json", "step-00000002", "tensors.safetensors"]
