"""Attempts and laps, made up for the tests of the dashboard."""

import pytest

from data.files import write_json_atomically
from data.schema import Ending, EpisodeInfo, Outcome, Source
from data.verdicts import Decision
from recap.project import Project
from recap.web.dashboard.attempts import Attempt

SUMMARY = {
    "n": 200,
    "success": [0.55, 0.62, 0.68],
    "successes_per_hour": [500.0, 581.0, 668.0],
    "median_steps_to_success": 62.0,
}
METRICS = {
    "held_out": {
        "cross_entropy": 4.5,
        "mae_steps": 27.2,
        "rank_correlation_successes": 0.858,
        "auc_25": 0.51,
        "auc_50": 0.643,
        "auc_75": 0.861,
    },
    "train": {"auc_50": 0.72},
    "overfitting_gap": 0.148,
    "held_out_episodes": 50,
}


def info(number=0, *, iteration=1, frames=100, corrected=0, ending=Ending.TERMINATED, source=None):
    return EpisodeInfo(
        uid=f"rollout-{iteration:02d}-{number:08d}",
        task="put the cube down",
        seed=number,
        source=source or Source.ROLLOUT,
        iteration=iteration,
        policy_id="a",
        ending=ending,
        frames=frames,
        corrected_frames=corrected,
        measured_success=None,
    )


def attempt(outcome, *, is_disputed=False, raters=(), **about):
    decision = Decision(
        outcome=outcome, success_frame=None, raters=tuple(raters), is_disputed=is_disputed
    )
    return Attempt(info(**about), decision)


def attempts(successes=0, failures=0, unjudged=0, discards=0, **about):
    numbers = (
        (Outcome.SUCCESS, successes),
        (Outcome.FAILURE, failures),
        (None, unjudged),
        (Outcome.DISCARD, discards),
    )
    return [attempt(outcome, **about) for outcome, count in numbers for _ in range(count)]


def evaluate(project, lap, content=None):
    """Leave behind what the evaluation of a lap leaves behind."""
    write_json_atomically(project.evaluation(lap), content or {"summary": SUMMARY})


def measure(project, lap, content=None):
    """Leave behind the figures of a lap's value model."""
    write_json_atomically(project.value(lap) / "metrics.json", content or METRICS)


@pytest.fixture
def empty(tmp_path):
    """A project in which nothing has happened."""
    return Project.create(tmp_path / "arm", {})


@pytest.fixture(name="info", scope="session")
def info_():
    return info


@pytest.fixture(name="attempt", scope="session")
def attempt_():
    return attempt


@pytest.fixture(name="attempts", scope="session")
def attempts_():
    return attempts


@pytest.fixture(name="evaluate", scope="session")
def evaluate_():
    return evaluate


@pytest.fixture(name="measure", scope="session")
def measure_():
    return measure


@pytest.fixture(scope="session")
def summary():
    return SUMMARY


@pytest.fixture(scope="session")
def metrics():
    return METRICS
