import json
import subprocess
from pathlib import Path

import numpy as np
import pytest

from data.files import write_json_atomically


def evaluation(success, steps):
    episodes = [
        {"seed": seed, "task": "", "success": bool(s), "steps": int(n)}
        for seed, (s, n) in enumerate(zip(success, steps, strict=True))
    ]
    return {"episodes": episodes, "control_rate_hz": 20}


@pytest.fixture
def results(script, monkeypatch):
    """The script, with a loop that pretends: imitation 40 of 100, the second lap 80 of 100."""
    module = script("results")

    def pretend(command, **_):
        folder = Path(next(word for word in command if word.startswith("--project="))[10:])
        ok, late = np.arange(100) < 40, np.arange(100) < 80
        for lap, success in ((0, ok), (1, ok), (2, late)):
            (folder / "iterations" / str(lap) / "policy").mkdir(parents=True, exist_ok=True)
            path = folder / "iterations" / str(lap) / "evaluation.json"
            write_json_atomically(path, evaluation(success, np.where(success, 50, 100)))
        return subprocess.CompletedProcess(command, 0, stdout='{"minutes": 12.5}\n')

    monkeypatch.setattr(module.subprocess, "run", pretend)
    return module


def run(module, monkeypatch, tmp_path, *flags):
    page = tmp_path / "results.md"
    if not page.exists():
        page.write_text(f"before\n{module.BEGIN}\nold\n{module.END}\nafter\n")
    words = ["results.py", f"--folder={tmp_path / 'runs'}", "--pages", str(page), *flags]
    monkeypatch.setattr("sys.argv", words)
    return module.main(), page


def test_the_table_stands_between_its_marks_and_the_rest_stays(
    results, monkeypatch, tmp_path, capsys
):
    code, page = run(results, monkeypatch, tmp_path, "--seeds", "0", "1")
    assert code == 0
    text = page.read_text()
    assert text.startswith(f"before\n{results.BEGIN}\n| Cube on pad, 100 held-out episodes |")
    assert text.endswith(f"\n{results.END}\nafter\n")
    assert "old" not in text
    assert "| imitation only, seed 1 | 40.0% [30.9%, 49.8%] | 360 [" in text
    assert "| after 2 RECAP iteration(s), all seeds | 80.0% [" in text

    content = json.loads(capsys.readouterr().out.splitlines()[-1])
    # 80 successes in 6,000 steps against 40 in 8,000.
    assert content["throughput_ratio"] == pytest.approx(80 / 6000 / (40 / 8000))
    assert content["failure_ratio"] == pytest.approx(20 / 60)
    assert content["episodes"] == 200
    assert set(content["seeds"]) == {"0", "1"}


def test_writing_the_table_twice_changes_nothing(results, monkeypatch, tmp_path):
    _, page = run(results, monkeypatch, tmp_path)
    first = page.read_text()
    run(results, monkeypatch, tmp_path)
    assert page.read_text() == first


def test_a_page_without_its_marks_is_refused_before_anything_runs(
    results, monkeypatch, tmp_path, capsys
):
    (tmp_path / "results.md").write_text("no marks here")
    code, _ = run(results, monkeypatch, tmp_path)
    assert code == 2
    assert "has no place for the tables" in capsys.readouterr().err
    assert not (tmp_path / "runs").exists()
