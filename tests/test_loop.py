"""The loop end to end at a tiny size, everything real: physics, pictures, datasets, training."""

import json
import os
import random
import shlex
import signal
import subprocess
import sys
import time
from dataclasses import dataclass
from pathlib import Path

import pytest

from recap.manifest import Manifest
from recap.project import Project

pytestmark = [pytest.mark.slow, pytest.mark.render]

ROOT = Path(__file__).parents[1]
LAPS = (None, 0, 1)
KEYS = {
    "throughput_ratio",
    "throughput_ratio_ci95",
    "failure_ratio",
    "failure_ratio_ci95",
    "sft_success",
    "recap_success",
    "episodes",
    "minutes",
}
KILL = (signal.SIGKILL, -signal.SIGKILL)
INTERRUPT = (signal.SIGINT, 130)
BLOWS = (KILL, KILL, INTERRUPT, KILL)


def command(folder):
    return ["iterate", "--config_path", "configs/tiny.yaml", f"--project={folder}"]


def start(words, *, error=subprocess.STDOUT):
    """Start the program the way a terminal does: in a group that Ctrl-C reaches as a whole."""
    return subprocess.Popen(
        [sys.executable, "-m", "recap.cli", *words],
        cwd=ROOT,
        env={**os.environ, "OMP_NUM_THREADS": "1"},
        stdout=subprocess.PIPE,
        stderr=error,
        text=True,
        start_new_session=True,
    )


def run_to_the_end(folder):
    """Run the loop and return what it said on standard output, line by line."""
    with start(command(folder), error=subprocess.PIPE) as process:
        said, errors = process.communicate()
    assert process.returncode == 0, errors
    return said.splitlines()


def comparable(folder):
    project = Project(folder)
    return {lap: Manifest(project.manifest(lap)).comparable() for lap in LAPS}


@dataclass(frozen=True)
class Run:
    """A loop that nobody disturbed."""

    folder: Path
    said: list[str]
    seconds: float


@pytest.fixture(scope="module")
def undisturbed(tmp_path_factory):
    folder = tmp_path_factory.mktemp("undisturbed") / "tiny"
    began = time.monotonic()
    said = run_to_the_end(folder)
    return Run(folder=folder, said=said, seconds=time.monotonic() - began)


def test_the_last_line_is_one_json_object_with_the_numbers_that_matter(undisturbed):
    content = json.loads(undisturbed.said[-1])
    assert content.keys() == KEYS
    assert content["episodes"] == 4
    assert 0.0 < content["minutes"] <= undisturbed.seconds / 60 + 0.1
    assert undisturbed.said[-2].startswith("last over first")


def test_every_lap_has_its_page(undisturbed):
    for lap in (0, 1):
        page = (undisturbed.folder / f"iterations/{lap}/report.html").read_text()
        assert "<video" in page
        assert "</html>" in page


@pytest.mark.filterwarnings("ignore")
def test_stock_lerobot_opens_the_training_sets(undisturbed):
    from lerobot.datasets.lerobot_dataset import LeRobotDataset

    lengths = []
    for folder in (undisturbed.folder / "trainsets").glob("[!.]*"):
        dataset = LeRobotDataset("recap/tiny", root=folder, video_backend="pyav")
        lengths.append(dataset.num_episodes)
        frame = dataset[len(dataset) - 1]
        assert frame["observation.images.front"].shape[0] == 3
        assert frame["task"].startswith("put the ")
    assert set(lengths) == {8, 14}  # demonstrations; and with the attempts of the lap


def test_a_second_run_does_nothing_and_says_the_same(undisturbed):
    files = {p: p.stat().st_mtime_ns for p in undisturbed.folder.rglob("*") if p.is_file()}
    said = run_to_the_end(undisturbed.folder)
    assert [line.removesuffix(" (done before)") for line in said] == undisturbed.said
    after = {p: p.stat().st_mtime_ns for p in undisturbed.folder.rglob("*") if p.is_file()}
    lock = undisturbed.folder / ".lock"
    assert {**after, lock: 0} == {**files, lock: 0}


def test_killed_and_interrupted_anywhere_it_ends_with_the_same_manifests(undisturbed, tmp_path):
    folder = tmp_path / "tiny"
    rng = random.Random(0)  # noqa: S311 - moments, not secrets
    for blow, exit_code in BLOWS:
        with start(command(folder)) as process:
            process.stdout.readline()  # it is at work
            time.sleep(rng.uniform(0.05, 0.25) * undisturbed.seconds)
            process.send_signal(blow)
            process.stdout.read()
        assert process.returncode == exit_code

    run_to_the_end(folder)
    assert comparable(folder) == comparable(undisturbed.folder)


def test_ctrl_c_ends_with_one_line_that_says_how_to_go_on(tmp_path):
    words = [*command(tmp_path / "my tiny"), "--workers=2"]
    with start(words) as process:
        assert process.stdout.readline().startswith("collect: 0/8")
        time.sleep(1.0)
        os.killpg(process.pid, signal.SIGINT)
        said = process.stdout.read()
    assert process.returncode == 130
    assert said == f"\nStopped. To go on from here: {shlex.join(['recap', *words])}\n"
