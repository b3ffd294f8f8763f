"""The stages between collecting and the policy, on attempts made by hand."""

from dataclasses import dataclass, field
from types import SimpleNamespace

import numpy as np
import pytest

from data.errors import FingerprintError, UnjudgedError
from data.schema import Outcome
from recap.config import PretrainingConfig, RecapConfig
from recap.progress import silent
from recap.project import Project
from recap.settings import plain_settings
from recap.stages import label, mark_advantage, train_value
from recap.stages.mark_advantage import AdvantageConfig
from value_models.config import ValueTrainingConfig

TASKS = ("put the red cube on the green pad", "put the blue cube on the white pad")


@dataclass
class Attempts:
    """A training set, as far as thresholds and warnings look at it: ``(task, lap, corrected)``."""

    lines: list[tuple[int, int, list[bool]]] = field(default_factory=list)

    @property
    def episodes(self):
        return [
            SimpleNamespace(
                info=SimpleNamespace(iteration=lap, corrected_frames=sum(corrected)),
                outcome=Outcome.SUCCESS,
            )
            for _, lap, corrected in self.lines
        ]

    def __len__(self):
        return sum(len(corrected) for *_, corrected in self.lines)

    def task_index(self):
        return np.concatenate([np.full(len(c), task) for task, _, c in self.lines])

    def episode_index(self):
        return np.concatenate([np.full(len(c), i) for i, (*_, c) in enumerate(self.lines)])

    def is_correction(self):
        return np.concatenate([corrected for *_, corrected in self.lines])


def test_thresholds_rest_on_the_newest_laps_own_frames_of_each_task():
    attempts = Attempts(
        [
            (0, 0, [False, False]),
            (0, 1, [False, False]),
            (0, 2, [False, True]),  # the corrected frame does not count
            (1, 0, [False, False]),
            (1, 1, [False, False]),  # lap 2 drew no attempt of task 1
            (2, 0, [False, False]),  # task 2 was only ever demonstrated
        ]
    )
    newest = mark_advantage._newest_autonomous_frames(attempts)
    assert newest.astype(int).tolist() == [0, 0, 0, 0, 1, 0, 0, 0, 1, 1, 1, 1]


def test_negatives_that_swamp_the_positives_are_warned_of():
    attempts = Attempts([(0, 0, [False] * 31)])
    assert mark_advantage._warnings(attempts, positive=11, iteration=1) == ()
    assert mark_advantage._warnings(attempts, positive=10, iteration=1) == (
        "2.1 negative frames for every positive one: the indicator may come to mean nothing, or "
        "its opposite. Raise the positive fraction.",
    )


def test_a_policy_that_nearly_always_succeeds_is_warned_of():
    attempts = Attempts([(0, 1, [False])] * 20 + [(0, 1, [True])])
    assert mark_advantage._warnings(attempts, positive=21, iteration=1) == (
        "20 of 20 autonomous attempts succeeded: hardly anything is left to gain but speed.",
    )


@pytest.fixture
def config(tmp_path):
    training = ValueTrainingConfig(steps=3, batch_size=4, measurements=1)
    return RecapConfig(
        project=tmp_path / "run",
        value=training,
        pretraining=PretrainingConfig(value=training),
        advantage=AdvantageConfig(horizon=4),
    )


@pytest.fixture
def project(config, demonstrate):
    """A project with six demonstrations, of which the world measured four as successes."""
    project = Project.create(config.project, plain_settings(config))
    demonstrate(project, range(6))
    return project


def run(stage, config, project, *, iteration):
    return stage.run(config, project, iteration=iteration, progress=silent)


@pytest.mark.slow
def test_frames_are_judged_valued_and_marked(config, project):
    from data.annotations import AdvantageTable

    judged = run(label, config, project, iteration=0)
    assert judged.headline() == "4 of 6 episodes are successes"
    trained = run(train_value, config, project, iteration=None)
    marked = run(mark_advantage, config, project, iteration=None)

    table = AdvantageTable.load(project.advantages(None))
    assert set(table.thresholds) == set(TASKS)
    assert (marked.frames, marked.positive) == (72, int(table.positive().sum()))
    assert marked.inputs.items() <= trained.outputs.items()
    # Pre-training looks to the end of the episode: A = R - V.
    frames = table.frames
    np.testing.assert_allclose(frames["advantage"], frames["return"] - frames["value"])
    assert table.positive().mean() == pytest.approx(0.3, abs=0.03)


@pytest.mark.slow
def test_a_stage_that_runs_again_makes_nothing_anew(config, project):
    run(label, config, project, iteration=0)
    first = [run(s, config, project, iteration=None) for s in (train_value, mark_advantage)]
    made = {p: p.stat().st_mtime_ns for p in project.lap(None).rglob("*") if p.is_file()}
    assert run(label, config, project, iteration=0).successes == 4
    second = [run(s, config, project, iteration=None) for s in (train_value, mark_advantage)]
    assert second == first
    assert made == {p: p.stat().st_mtime_ns for p in project.lap(None).rglob("*") if p.is_file()}


@pytest.mark.slow
def test_unjudged_attempts_are_refused_unless_they_are_left_out(config, project):
    with pytest.raises(UnjudgedError, match="A missing label is never read as a failure"):
        run(train_value, config, project, iteration=None)
    assert not project.value(None).exists()


@pytest.mark.slow
def test_a_changed_outcome_is_noticed_by_both_stages(config, project):
    from data.outcomes import OutcomeStore

    run(label, config, project, iteration=0)
    run(train_value, config, project, iteration=None)
    outcomes = OutcomeStore(project.outcomes)
    outcomes.judge("demonstration-00-00000000", Outcome.FAILURE, rater="me")
    outcomes.close()
    with pytest.raises(FingerprintError, match="Delete the folder to train it again"):
        run(train_value, config, project, iteration=None)
    with pytest.raises(
        FingerprintError, match="Delete the folder and run `recap train-value` again"
    ):
        run(mark_advantage, config, project, iteration=None)
    assert not project.advantages(None).exists()
