"""What is missing in a project, and what to click or type about it."""

from dataclasses import replace

import pytest

from data.files import write_json_atomically
from data.schema import Outcome
from recap.project import Project
from recap.web.dashboard.attempts import AttemptFigures
from recap.web.dashboard.changes import Change
from recap.web.dashboard.files import FileReader
from recap.web.dashboard.steps import Seen, next_steps, project_as_typed


def seen(project, laps, *, typed="runs/arm"):
    told = {lap: AttemptFigures().of(some, fps=20) for lap, some in laps.items()}
    return Seen(attempts=told, files=FileReader(project).read(), project=typed)


def commands(project, laps):
    return [step.command for step in next_steps(seen(project, laps))]


@pytest.fixture
def make(evaluate, measure):
    """Leave behind what stages of a lap leave behind."""

    def made(project, lap, *stages):
        paths = {
            "mark-advantage": project.advantages,
            "train-policy": project.policy,
            "report": project.report,
        }
        for stage in stages:
            if stage == "evaluate":
                evaluate(project, lap)
            elif stage == "train-value":
                measure(project, lap)
            else:
                path = paths[stage](lap)
                path.parent.mkdir(parents=True, exist_ok=True)
                path.touch()

    return made


def test_an_empty_project_begins_with_demonstrations(empty):
    (step,) = next_steps(seen(empty, {}))
    assert step.text == "Nothing has been recorded yet. Begin with demonstrations."
    assert step.command == "recap collect --project=runs/arm --iteration=0"


def test_judging_comes_first_newest_lap_first_and_then_what_trains(empty, attempts, make):
    make(empty, None, "train-value", "mark-advantage", "train-policy")
    laps = {0: attempts(successes=5), 1: attempts(unjudged=1), 2: attempts(unjudged=37)}
    steps = next_steps(seen(empty, laps))
    assert [(step.text, step.link) for step in steps] == [
        (
            "37 attempts of iteration 2 wait for a verdict.",
            "/label?show=unjudged&iteration=2",
        ),
        ("1 attempt of iteration 1 waits for a verdict.", "/label?show=unjudged&iteration=1"),
        ("Then train the value model of iteration 2.", None),
    ]
    assert steps[-1].command == "recap train-value --project=runs/arm --iteration=2"


def test_many_laps_with_unjudged_attempts_are_not_all_named(empty, attempts):
    steps = next_steps(seen(empty, {lap: attempts(unjudged=lap) for lap in range(1, 6)}))
    assert [(step.text, step.link) for step in steps[2:4]] == [
        ("3 attempts of iteration 3 wait for a verdict.", "/label?show=unjudged&iteration=3"),
        ("3 attempts of earlier iterations wait for a verdict.", "/label?show=unjudged"),
    ]


@pytest.mark.parametrize(
    ("count", "text"),
    [
        (
            1,
            "1 attempt is undecided, as those who judged disagree: take a third look, or talk it "
            "over.",
        ),
        (
            2,
            "2 attempts are undecided, as those who judged disagree: take a third look, or talk it "
            "over.",
        ),
    ],
)
def test_disputes_that_nothing_decides_ask_for_a_third_look(empty, count, text, attempt):
    some = [attempt(None, is_disputed=True, raters=["Ann", "Ben"]) for _ in range(count)]
    looks, stage = next_steps(seen(empty, {1: some}))
    assert (looks.text, looks.link) == (text, "/label?show=disputed")
    assert stage.text.startswith("Then ")


@pytest.mark.parametrize(
    ("count", "text"),
    [
        (
            1,
            "1 attempt is judged differently by different people and counts as the rule says: look "
            "again where you doubt it.",
        ),
        (
            2,
            "2 attempts are judged differently by different people and count as the rule says: "
            "look again where you doubt it.",
        ),
    ],
)
def test_disputes_that_the_rule_decides_hold_nothing_up(empty, count, text, attempt):
    some = [attempt(Outcome.SUCCESS, is_disputed=True) for _ in range(count)]
    stage, look = next_steps(seen(empty, {1: some}))
    assert stage.text == "Train the value model of iteration 1."
    assert (look.text, look.link) == (text, "/label?show=disputed")


def test_where_several_people_are_needed_the_queue_is_said_to_be_ones_own(empty, attempts):
    (step, _) = next_steps(replace(seen(empty, {1: attempts(unjudged=8)}), raters_needed=3))
    assert step.text == (
        "8 attempts of iteration 1 wait for a verdict. Each needs 3 people; you are shown those "
        "that you have not judged."
    )


def test_what_was_trained_on_other_verdicts_is_told_last(empty, attempts):
    changes = [
        Change(laps=(1,), verdicts=1),
        Change(laps=(None, 0, 2), verdicts=3),
        Change(laps=(0,), verdicts=5),
    ]
    about = replace(seen(empty, {1: attempts(successes=1)}), changes=changes)
    texts = [step.text for step in next_steps(about)]
    rest = (
        " What was made from them stays; to make it again, delete the lap's value, "
        "advantages.parquet and policy and run its stages again."
    )
    assert texts[1:] == [
        "1 verdict changed since the training of iteration 1." + rest,
        "3 verdicts changed since pre-training, the training of iteration 0 and the training of "
        "iteration 2." + rest,
    ]


def test_a_lap_is_led_through_stage_by_stage(empty, attempts, make):
    laps = {0: attempts(successes=5), 1: attempts(successes=5)}
    typed = []
    for stage in ("train-value", "mark-advantage", "train-policy", "evaluate", "report"):
        typed += commands(empty, laps)
        make(empty, 1, stage)
    assert typed == [
        f"recap {stage} --project=runs/arm --iteration=1"
        for stage in ("train-value", "mark-advantage", "train-policy", "evaluate", "report")
    ]
    assert commands(empty, laps) == ["recap collect --project=runs/arm --iteration=2"]


def test_imitation_needs_a_base_and_no_marks_of_its_own(empty, attempts, make):
    laps = {0: attempts(successes=5)}
    assert commands(empty, laps) == ["recap pretrain --project=runs/arm"]
    make(empty, None, "train-value", "mark-advantage", "train-policy")
    assert commands(empty, laps) == ["recap train-policy --project=runs/arm --iteration=0"]


def test_a_base_that_was_brought_along_is_not_pre_trained(tmp_path, attempts):
    project = Project.create(tmp_path / "arm", {"base": "runs/base"})
    typed = commands(project, {0: attempts(successes=5)})
    assert typed == ["recap train-policy --project=runs/arm --iteration=0"]


def test_a_robot_is_not_measured_in_simulation(tmp_path, attempts, make):
    project = Project.create(tmp_path / "arm", {"robot": {"type": "so101_follower"}})
    make(project, 1, "train-value", "mark-advantage", "train-policy")
    typed = commands(project, {1: attempts(successes=5)})
    assert typed == ["recap collect --project=runs/arm --iteration=2"]


def test_a_stage_that_was_begun_is_told_to_be_at_work_or_stopped(empty, attempts):
    write_json_atomically(empty.manifest(1), {"stages": {"train-value": {"status": "running"}}})
    (step,) = next_steps(seen(empty, {1: attempts(successes=5)}))
    assert step.text == (
        "Train the value model of iteration 1. It was begun already: it is at work, or it was "
        "stopped and goes on from there."
    )


def test_a_lap_that_has_a_folder_and_no_attempts_is_collected(empty, attempts):
    write_json_atomically(empty.manifest(3), {"stages": {}})
    assert commands(empty, {2: attempts(successes=1)}) == [
        "recap collect --project=runs/arm --iteration=3"
    ]


def test_a_project_is_typed_without_telling_where_it_lies(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    relative = Project(tmp_path).folder.__class__("runs/arm")
    assert project_as_typed(relative) == "runs/arm"
    assert project_as_typed(tmp_path / "deep" / "arm") == ".../arm"
    assert project_as_typed(relative / ".." / "leg") == ".../leg"


def test_a_name_with_a_space_is_typed_in_quotes(empty):
    (step,) = next_steps(seen(empty, {}, typed="runs/my arm"))
    assert step.command == "recap collect --project='runs/my arm' --iteration=0"
