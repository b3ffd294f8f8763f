"""The whole way: a checkpoint served by a process of its own, against the same one in here."""

import os
import re
import signal
import subprocess
import sys
from contextlib import closing
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest

from data.errors import CheckpointError, ConfigError
from data.schema import Layout
from envs.world import Observation
from recap.remote.card import read_sizes
from recap.remote.client import RemoteSource
from recap.remote.config import RemotePolicyConfig, ServeConfig
from recap.remote.server import serve
from recap.rollout.chunks import Prefix

ROOT = Path(__file__).parents[2]
BASE = ROOT / "assets" / "base" / "policy"

SERVE = """
import sys
from pathlib import Path
from recap.remote.config import ServeConfig
from recap.remote.server import serve
serve(ServeConfig(path=Path(sys.argv[1]), port=0), lambda line: print(line, flush=True))
"""


def base_layout():
    sizes = read_sizes(BASE)
    return Layout(
        fps=10,
        cameras=sizes.cameras,
        state_names=tuple(f"state {i}" for i in range(sizes.state_size)),
        action_names=tuple(f"action {i}" for i in range(sizes.action_size)),
        robot_type="test",
    )


def observations(layout, count):
    rng = np.random.default_rng(0)
    for _ in range(count):
        yield Observation(
            images={
                name: rng.integers(0, 256, (*size, 3), dtype=np.uint8)
                for name, size in layout.cameras.items()
            },
            state=rng.normal(size=len(layout.state_names)).astype(np.float32),
            task="put the red cube on the green pad",
        )


@pytest.fixture
def served():
    environment = {**os.environ, "OMP_NUM_THREADS": "1", "HF_HUB_OFFLINE": "1"}
    environment.pop("RECAP_POLICY_TOKEN", None)
    with subprocess.Popen(
        [sys.executable, "-c", SERVE, str(BASE)],
        cwd=ROOT,
        env=environment,
        stdout=subprocess.PIPE,
        text=True,
    ) as process:
        try:
            assert process.stdout.readline() == f"Loading {BASE} ...\n"
            found = re.search(r"at (127\.0\.0\.1:\d+)\. On the robot", process.stdout.readline())
            yield process, found[1]
        finally:
            process.kill()


@pytest.mark.slow
def test_a_served_checkpoint_acts_bit_for_bit_as_in_this_process(served):
    from recap.rollout.execution.config import ExecutionConfig
    from recap.rollout.pilots import PolicySource

    process, address = served
    layout = base_layout()
    here = PolicySource(BASE, execution=ExecutionConfig(type="real_time"))
    config = RemotePolicyConfig(address=address, deadline_s=30.0)
    with closing(RemoteSource(config, layout)) as there:
        for told in ("policy_id", "chunk_steps", "executed_steps", "follows_prefix"):
            assert getattr(there, told) == getattr(here, told)
        assert there.follows_prefix
        for source in (here, there):
            source.begin(seed=11)
        prefix = None
        for seen in observations(layout, 4):
            ours, theirs = here.predict(seen, prefix), there.predict(seen, prefix)
            np.testing.assert_array_equal(theirs.actions, ours.actions)
            np.testing.assert_array_equal(theirs.normalised, ours.normalised)
            prefix = Prefix(normalised=ours.normalised[3:], delay_steps=2)

        # A second robot on the same model has noise of its own.
        with closing(RemoteSource(config, layout)) as other:
            other.begin(seed=12)
            # Where no prefix is sent, a server is as good as a policy that was prepared for none.
            plain = PolicySource(BASE)
            plain.begin(seed=11)
            there.begin(seed=11)
            for seen in observations(layout, 3):
                other.predict(seen, None)
                ours, theirs = plain.predict(seen, None), there.predict(seen, None)
                np.testing.assert_array_equal(theirs.actions, ours.actions)

    process.send_signal(signal.SIGINT)
    assert process.stdout.read().endswith("Stopped.\n")
    assert process.wait(10) == 0


def test_a_port_that_is_taken_is_a_mistake_in_words(serving, monkeypatch, drawing_source):
    taken = serving().port
    pilots = SimpleNamespace(PolicySource=Loaded)  # the real one takes seconds to import
    monkeypatch.setitem(sys.modules, "recap.rollout.pilots", pilots)
    with pytest.raises(ConfigError) as caught:
        serve(ServeConfig(path=BASE, port=taken), lambda line: None)
    assert str(caught.value).startswith(f"Cannot listen on 127.0.0.1:{taken}: ")
    assert str(caught.value).endswith("with --serve.host or another port with --serve.port.")


class Loaded:
    """Stands in for a policy that takes seconds to load."""

    policy_id = "loaded"

    def __init__(self, folder, **options):
        assert options["execution"].type == "real_time"

    def begin(self, *, seed):
        pass

    def predict(self, observation, prefix):
        pass


def test_a_folder_that_is_no_checkpoint_is_told_before_anything_is_loaded(tmp_path):
    with pytest.raises(CheckpointError, match="is not a policy checkpoint"):
        serve(replace(ServeConfig(), path=tmp_path), lambda line: None)
