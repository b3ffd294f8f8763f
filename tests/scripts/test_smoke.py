import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

pytestmark = pytest.mark.slow

ROOT = Path(__file__).parents[2]
SCRIPTS = sorted(path.name for path in (ROOT / "scripts").glob("*.py") if "small" not in path.name)


def run(name, *flags):
    return subprocess.run(
        [sys.executable, ROOT / "scripts" / name, *flags],
        cwd=ROOT,
        env={**os.environ, "OMP_NUM_THREADS": "1"},
        capture_output=True,
        text=True,
        check=False,
    )


@pytest.mark.parametrize("name", SCRIPTS)
def test_a_script_says_what_it_is_for(name):
    done = run(name, "--help")
    assert done.returncode == 0, done.stderr
    assert "usage:" in done.stdout


def test_every_benchmark_can_be_quick():
    benchmarks = sorted((ROOT / "scripts").glob("bench_*.py"))
    assert benchmarks
    assert [path.name for path in benchmarks if '"--quick"' not in path.read_text()] == []


@pytest.mark.render
def test_the_benchmark_of_recording_ends_with_a_line_for_machines(tmp_path):
    done = run("bench_collect.py", "--quick", f"--folder={tmp_path}")
    assert done.returncode == 0, done.stderr
    content = json.loads(done.stdout.splitlines()[-1])
    assert 0.0 < content["recorded_over_unrecorded"] < 1.5
    assert content["two_workers_over_one"] > 0.0
    assert list(tmp_path.iterdir()) == []  # it leaves nothing behind


@pytest.mark.render
@pytest.mark.filterwarnings("ignore")
def test_the_benchmark_of_reading_ends_with_a_line_for_machines(tmp_path):
    done = run("bench_read.py", "--quick", f"--folder={tmp_path}")
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout.splitlines()[-1])["cache_over_stock"] > 1.0


@pytest.mark.render
@pytest.mark.filterwarnings("ignore")
def test_the_benchmark_of_the_value_models_data_ends_with_a_line_for_machines(tmp_path):
    done = run("bench_value.py", "--quick", f"--folder={tmp_path}")
    assert done.returncode == 0, done.stderr
    content = json.loads(done.stdout.splitlines()[-1])
    assert content["training_over_naive"] > 2.0
    assert 0.0 < content["annotation_over_decode"] < 1.5
    assert content["annotation_over_full_decode"] > content["annotation_over_decode"]
    assert content["training_over_naive_64"] > 1.0
    assert 0.0 < content["annotation_over_decode_64"] < 1.5
    assert content["windowed_over_cached"] > 0.0
    assert content["windowed_cache_mb"] < 0.5 * content["cache_mb"]
    assert list(tmp_path.iterdir()) == []


@pytest.mark.browser
def test_the_benchmark_of_judging_ends_with_a_line_for_machines(tmp_path):
    done = run("bench_label.py", "--quick", f"--folder={tmp_path}")
    assert done.returncode == 0, done.stderr
    content = json.loads(done.stdout.splitlines()[-1])
    assert (content["lost"], content["errors"], content["verdicts"]) == (0, 0, 320)
    for name in ("verdict_p99_ms", "queue_ms", "first_frame_ms", "start_s"):
        assert content[name] > 0.0
    assert content["memory_growth_mb"] < 50.0
    assert content["quick"] is True
    assert list(tmp_path.iterdir()) == []


@pytest.mark.browser
@pytest.mark.render
def test_the_pictures_of_the_form_are_taken(tmp_path):
    done = run("label_pictures.py", f"--to={tmp_path}")
    assert done.returncode == 0, done.stderr
    sizes = {path.stem: path.stat().st_size for path in tmp_path.glob("*.png")}
    assert {"label-desktop", "label-phone", "label-dashboard", "label-light"} <= set(sizes)
    assert all(5_000 < size < 150_000 for size in sizes.values())


def test_the_benchmark_of_the_vision_language_encoder_ends_with_a_line_for_machines():
    done = run("bench_value_vlm.py", "--quick")
    assert done.returncode == 0, done.stderr
    content = json.loads(done.stdout.splitlines()[-1])
    for name in ("full", "full_checkpointing", "lora", "lora_frozen_vision"):
        assert all(figure is None or figure > 0 for figure in content[name].values())
