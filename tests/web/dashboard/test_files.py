"""What the laps left on disk, whole, half and damaged."""

import pytest

from data.files import write_json_atomically
from recap.web.dashboard.files import FileReader


def test_laps_are_found_by_number_after_pre_training(empty, measure):
    for lap in (None, 0, 2, 10):
        measure(empty, lap)
    for stray in ("007", "old", "-1"):
        (empty.lap(0).parent / stray).mkdir()
    files = FileReader(empty).read()
    assert list(files.laps) == [None, 0, 2, 10]
    assert files.problems == ()


def test_a_stage_is_done_when_its_output_is_there_and_begun_until_then(empty, measure):
    measure(empty, 1)
    stages = {
        name: {"status": status}
        for name, status in [
            ("train-value", "running"),
            ("mark-advantage", "running"),
            ("collect", "complete"),
        ]
    }
    write_json_atomically(empty.manifest(1), {"stages": stages})
    lap = FileReader(empty).read().laps[1]
    assert lap.done == {"train-value"}
    assert lap.begun == {"mark-advantage"}


DAMAGE = {
    "half": '{"summary": {"n": 20',
    "list": "[]",
    "empty": "",
    "no summary": "{}",
    "a word": '{"summary": "good"}',
    "nan": '{"summary": {"n": 1, "success": [NaN, 0.5, 1], "successes_per_hour": [1, 1, 1], '
    '"median_steps_to_success": null}}',
    "share of five": '{"summary": {"n": 1, "success": [0, 5, 1], "successes_per_hour": [1, 1, 1], '
    '"median_steps_to_success": null}}',
    "deep": "[" * 100_000,
    "long number": "1" * 10_000,
}


@pytest.mark.parametrize("content", DAMAGE.values(), ids=DAMAGE)
def test_a_damaged_evaluation_is_said_and_the_rest_is_read(empty, content, measure):
    measure(empty, 1)
    empty.evaluation(1).write_text(content)
    files = FileReader(empty).read()
    assert files.laps[1].evaluation is None
    assert files.laps[1].metrics is not None
    (problem,) = files.problems
    assert problem.startswith("iterations/1/evaluation.json cannot be read: ")
    assert problem.endswith(". Restore it, or delete it and run its stage again.")
    assert str(empty.folder) not in problem


def test_a_folder_or_bytes_in_place_of_a_file_are_said(empty, measure):
    empty.evaluation(1).mkdir(parents=True)
    measure(empty, 1)
    (empty.value(1) / "metrics.json").write_bytes(b"\xff\xfe\x00")
    (empty.folder / "project.yaml").write_text("a: [")
    problems = FileReader(empty).read().problems
    assert len(problems) == 3
    assert problems[0] == "project.yaml cannot be read: it is not valid YAML."


def test_a_file_is_read_again_when_it_changed_and_not_before(empty, evaluate, summary):
    evaluate(empty, 0)
    reader = FileReader(empty)
    before, state = reader.read().laps[0].evaluation, reader.state()
    assert reader.read().laps[0].evaluation is before
    assert reader.state() == state
    evaluate(empty, 0, {"summary": summary | {"n": 77}})
    assert reader.state() != state
    assert reader.read().laps[0].evaluation.summary.n == 77


def test_the_state_changes_with_every_output_of_a_lap(empty, measure):
    measure(empty, 1)
    reader = FileReader(empty)
    for path in (empty.advantages(1), empty.evaluation(1), empty.report(1), empty.manifest(1)):
        before = reader.state()
        path.write_text("{}")
        assert reader.state() != before
    before = reader.state()
    empty.policy(1).mkdir()
    assert reader.state() != before
    before = reader.state()
    (empty.lap(2)).mkdir()
    assert reader.state() != before
