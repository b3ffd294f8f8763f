"""The stages between collecting and the policy, on attempts made by hand."""

from dataclasses import dataclass, field, replace
from types import SimpleNamespace

import numpy as np
import pytest

from data.errors import FingerprintError, UnjudgedError, UnusableError
from data.files import read_json, write_json_atomically
from data.schema import Outcome
from recap.config import PretrainingConfig, RecapConfig
from recap.core.returns import FailureScaling
from recap.progress import silent
from recap.project import Project
from recap.settings import plain_settings
from recap.stages import label, mark_advantage, train_value
from recap.stages.mark_advantage import AdvantageConfig
from recap.stages.train_value import ReturnConfig
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
def test_both_stages_scale_failures_alike_and_refuse_to_mix_scalings(config, project):
    from data.annotations import AdvantageTable
    from recap.core.returns import ReturnScale

    on_the_floor = replace(config, returns=ReturnConfig(scaling=FailureScaling.FLOOR))
    run(label, on_the_floor, project, iteration=0)
    run(train_value, on_the_floor, project, iteration=None)
    # The normaliser is the same, so only the name of the scaling tells them apart.
    with pytest.raises(FingerprintError, match="on another scale of returns than these settings"):
        run(mark_advantage, config, project, iteration=None)
    run(mark_advantage, on_the_floor, project, iteration=None)
    returns = AdvantageTable.load(project.advantages(None)).frames["return"]
    floor = ReturnScale(max_steps=config.world.time_limit_steps, scaling=FailureScaling.FLOOR)
    assert returns.min() == pytest.approx(floor.returns(12, outcome_is_success=False).min())


@pytest.mark.slow
def test_a_changed_outcome_is_noticed_by_both_stages(config, project):
    from data.outcomes import OutcomeStore

    run(label, config, project, iteration=0)
    run(train_value, config, project, iteration=None)
    outcomes = OutcomeStore(project.outcomes)
    outcomes.judge("demonstration-00-00000000", Outcome.FAILURE, rater="me")
    outcomes.close()
    with pytest.raises(
        FingerprintError, match="Delete the folder and run `recap train-value` again"
    ):
        run(train_value, config, project, iteration=None)
    with pytest.raises(
        FingerprintError, match="Delete the folder and run `recap train-value` again"
    ):
        run(mark_advantage, config, project, iteration=None)
    assert not project.advantages(None).exists()


def judge_model(project, verdict, *reasons):
    """Let the measurement of the value model come to another verdict."""
    path = project.value(None) / "metrics.json"
    metrics = read_json(path)
    metrics["gate"] = {"verdict": verdict, "reasons": list(reasons)}
    if verdict is None:
        del metrics["gate"]
    path.unlink()
    write_json_atomically(path, metrics)


@pytest.fixture
def trained(config, project):
    run(label, config, project, iteration=0)
    return run(train_value, config, project, iteration=None)


@pytest.mark.slow
def test_too_few_held_out_attempts_to_tell_make_a_weak_model_not_an_unusable_one(
    trained, config, project
):
    assert trained.verdict == "weak"
    assert trained.headline().endswith(", weak")
    (warning,) = trained.warnings
    assert warning.startswith("The value model is weak.")
    assert run(mark_advantage, config, project, iteration=None).warnings[0] == warning


@pytest.mark.slow
def test_an_unusable_value_model_marks_nothing_unless_it_is_accepted(trained, config, project):
    judge_model(project, "unusable", "It knows nothing.", "It is flat.")
    with pytest.raises(UnusableError) as stopped:
        run(mark_advantage, config, project, iteration=None)
    assert str(stopped.value) == (
        f"{project.value(None)} is unusable: It knows nothing. It is flat. A policy would learn "
        f"noise from its marks. Give it more judged attempts, failures among them, and delete "
        f"the folder to train it again; or mark with it all the same: "
        f"--advantage.accept_unusable=true"
    )
    assert not project.advantages(None).exists()

    accepting = replace(config, advantage=replace(config.advantage, accept_unusable=True))
    Project.open(project.folder, plain_settings(accepting))  # the setting may change
    marked = run(mark_advantage, accepting, project, iteration=None)
    said = "The value model is unusable. It knows nothing. It is flat."
    assert marked.warnings[0] == said
    # What is marked is marked: the same command without the flag goes on.
    assert run(mark_advantage, config, project, iteration=None).warnings[0] == said


@pytest.mark.slow
def test_a_value_model_of_an_earlier_version_is_used_with_a_warning(trained, config, project):
    judge_model(project, None)
    again = run(train_value, config, project, iteration=None)
    assert (again.verdict, again.warnings) == (None, ())
    assert "weak" not in again.headline()
    marked = run(mark_advantage, config, project, iteration=None)
    assert marked.warnings[0] == mark_advantage.UNMEASURED


@pytest.mark.slow
def test_a_ready_value_model_is_not_warned_of(trained, config, project):
    judge_model(project, "ready")
    again = run(train_value, config, project, iteration=None)
    assert (again.verdict, again.warnings) == ("ready", ())
    assert run(mark_advantage, config, project, iteration=None).warnings == ()


@pytest.mark.parametrize(
    ("auc", "verdict", "stopped", "said"),
    [
        (0.912, "ready", "", "held-out AUC halfway 0.91, ready"),
        (None, "weak", "", "nothing to tell apart, weak"),
        (0.5, None, "", "held-out AUC halfway 0.50"),
        (
            None,
            "weak",
            "stopped after 4 of 9 steps",
            "stopped after 4 of 9 steps, nothing to tell apart, weak",
        ),
    ],
)
def test_the_headline_of_a_value_model_says_its_verdict(auc, verdict, stopped, said):
    report = train_value.TrainValueReport(
        inputs={},
        outputs={},
        trainset="abc",
        episodes=9,
        frames=90,
        held_out={"auc_50": auc},
        verdict=verdict,
        stopped_early=stopped,
        warnings=(),
    )
    assert report.headline() == f"training set abc, 9 episodes, {said}"


@pytest.mark.parametrize(
    ("steps", "said"),
    [
        ([100], ""),
        ([40], "stopped after 40 of 100 steps"),
        ([40, 100], "stopped after 40 and 100 of 100 steps"),
        ([100, 40, 55], "stopped after 100, 40 and 55 of 100 steps"),
        ([100, 100], ""),
    ],
)
def test_a_training_that_stopped_early_says_after_how_many_steps(config, steps, said):
    lap = replace(config, value=replace(config.value, steps=100))
    metrics = {"members": [{"steps": one} for one in steps]}
    assert train_value._stopped_early(lap, metrics, iteration=1) == said
    assert train_value._stopped_early(lap, {}, iteration=1) == ""
    before = replace(lap, pretraining=replace(config.pretraining, value=lap.value))
    assert train_value._stopped_early(before, metrics, iteration=None) == said


@pytest.mark.parametrize(
    ("members", "step", "said"),
    [
        (1, 7, ""),
        (3, 0, "model 1 of 3, "),
        (3, 10, "model 1 of 3, "),
        (3, 11, "model 2 of 3, "),
        (3, 30, "model 3 of 3, "),
    ],
)
def test_the_bar_says_which_model_of_an_ensemble_is_trained(config, members, step, said):
    settings = replace(config.value, steps=10, members=members)
    assert train_value._of_member(settings, step) == said
