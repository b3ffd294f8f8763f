"""The study of value models: its scores by hand, its comparisons, and what it does twice."""

from types import SimpleNamespace

import numpy as np
import pytest

from value_models.bins import BinSupport
from value_models.config import Projection


@pytest.fixture
def study(script):
    return script("value_study")


def run(advantage, is_success, error=1.0):
    """What is kept of one run: an attempt's error, and its mean advantage."""
    count = len(advantage)
    return {
        "episodes": {
            "squared_error": [error] * count,
            "log_score": [error] * count,
            "crps_steps": [error] * count,
            "advantage": list(advantage),
            "is_success": [float(s) for s in is_success],
        }
    }


def test_the_scores_of_a_distribution_are_what_they_are_by_hand(study, monkeypatch):
    """Three bins, at -1, -1/2 and 0; attempts of two frames and of one; four steps to a unit."""
    probabilities = np.array([[0.2, 0.5, 0.3], [0.2, 0.5, 0.3], [0.0, 0.0, 1.0]], dtype=np.float32)
    said = SimpleNamespace(
        values=np.array([-0.45, -0.55, 0.0], dtype=np.float32), probabilities=probabilities
    )
    monkeypatch.setattr(study, "predict_distributions", lambda *_: said)
    monkeypatch.setattr(study, "_only", lambda observations, rows: observations)
    support = BinSupport(bins=3, projection=Projection.HL_GAUSS, gaussian_bins=1.0)
    frames = SimpleNamespace(
        observations=None,
        returns=np.array([-0.5, -0.5, 0.0]),
        episode_index=np.array([0, 0, 1]),
        is_success=np.array([False, False, True]),
        steps_per_return=lambda: np.array([4.0, 4.0, 4.0]),
    )
    attempts = SimpleNamespace(
        frames=frames, rewards=np.array([-0.25, -0.5, 0.0]), is_autonomous=np.array([True] * 3)
    )
    model = SimpleNamespace(support=support)
    found = study._per_episode(model, attempts, np.array([0, 1, 2]), horizon=1)
    assert found["squared_error"] == pytest.approx([(0.05 * 4) ** 2, 0.0], abs=1e-6)
    assert found["log_score"] == pytest.approx([-np.log(0.5), 0.0], abs=1e-6)
    # Below -1/2 lies 0.2, and up to it 0.7: (0.2**2 + 0.3**2) of half a unit, in steps.
    assert found["crps_steps"] == pytest.approx([(0.04 + 0.09) / 2 * 4, 0.0], abs=1e-6)
    # The first frame's window ends before the last reward; a shorter attempt has none such.
    assert found["advantage"][0] == pytest.approx(-0.25 - 0.55 + 0.45)
    assert found["advantage"][1] is None
    assert found["is_success"] == [0.0, 1.0]


def test_an_attempt_s_mean_advantage_tells_successes_from_failures(study):
    episodes = {
        "advantage": np.array([0.3, 0.1, 0.2, np.nan]),
        "is_success": np.array([1.0, 1.0, 0.0, 0.0]),
    }
    assert study._advantage_auc(episodes) == 0.5
    tied = {**episodes, "advantage": np.array([0.3, 0.2, 0.2, 9.0])}
    assert study._advantage_auc(tied) == 1.5 / 4


def test_ways_are_compared_attempt_by_attempt(study):
    better = [run([1.0, 0.0], [True, False], error=1.0)]
    worse = [run([1.0, 0.0], [True, False], error=1.5)]
    told = study._paired(better, worse, study._mean_of("log_score"))
    assert told == "-0.500 [-0.500, -0.500]"


def test_only_what_is_there_can_be_studied(study, monkeypatch, capsys, tmp_path):
    words = ["value_study.py", f"--project={tmp_path}", "--only", "magic"]
    monkeypatch.setattr(study.sys, "argv", words)
    assert study.main() == 2
    assert capsys.readouterr().err.startswith("--only takes some of: 'as in the demo', ")


def test_the_tables_go_between_the_marks(study, monkeypatch, tmp_path):
    page = tmp_path / "results.md"
    monkeypatch.setattr(study, "PAGE", page)
    page.write_text(f"before\n{study.BEGIN}\nold\n{study.END}\nafter\n")
    study.put_into_page("new")
    assert page.read_text() == f"before\n{study.BEGIN}\nnew\n{study.END}\nafter\n"
    page.write_text("nothing")
    with pytest.raises(study.ConfigError, match="lacks the marks"):
        study.put_into_page("new")
