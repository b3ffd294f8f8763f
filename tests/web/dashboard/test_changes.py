"""Verdicts that are others now than those that something was trained on."""

import json

import pytest

from data.files import write_json_atomically
from data.schema import Outcome
from recap.web.dashboard.changes import Change, Changes

NOW = {"a": Outcome.SUCCESS, "b": Outcome.FAILURE}


def trainset(project, name, **outcomes):
    episodes = [{"info": {"uid": uid}, "outcome": word} for uid, word in outcomes.items()]
    write_json_atomically(project.trainsets / name / "meta" / "recap.json", {"episodes": episodes})


def train(project, lap, *names, stage="train-value"):
    about = {"inputs": {f"trainsets/{name}": "hash" for name in names}, "outputs": {}}
    write_json_atomically(project.manifest(lap), {"stages": {stage: about}})


def changes(project, laps):
    return Changes(project).since_training(laps, NOW.get)


def test_changed_and_withdrawn_verdicts_are_counted_and_new_ones_are_not(empty):
    trainset(empty, "ab1", a="failure", b="failure", gone="success")
    train(empty, 1, "ab1")
    assert changes(empty, [1]) == [Change(laps=(1,), verdicts=2)]
    trainset(empty, "ab2", b="failure")
    train(empty, 1, "ab2")
    assert changes(empty, [1]) == []


def test_laps_of_one_training_set_are_named_together_and_the_newest_first(empty):
    trainset(empty, "old", a="failure")
    trainset(empty, "new", a="failure", b="success")
    train(empty, None, "old")
    train(empty, 0, "old", stage="train-policy")
    train(empty, 2, "new")
    assert changes(empty, [2, None, 0]) == [
        Change(laps=(2,), verdicts=2),
        Change(laps=(None, 0), verdicts=1),
    ]


def test_other_stages_and_other_paths_are_not_looked_at(empty):
    trainset(empty, "ab1", a="failure")
    train(empty, 1, "ab1", stage="report")
    train(empty, 2, "..", "ab1/meta", "")
    assert changes(empty, [1, 2]) == []


@pytest.mark.parametrize(
    "content", ["", "[]", "{}", '{"stages": []}', '{"stages": {"train-value": {}}}', "null", "1"]
)
def test_a_manifest_that_cannot_be_read_is_passed_over(empty, content):
    empty.manifest(1).parent.mkdir(parents=True)
    empty.manifest(1).write_text(content)
    assert changes(empty, [1]) == []


@pytest.mark.parametrize("content", ["", "[]", '{"episodes": [{"info": 1}]}', '{"episodes": 1}'])
def test_a_training_set_that_cannot_be_read_is_passed_over(empty, content):
    trainset(empty, "ab1", a="failure")
    (empty.trainsets / "ab1" / "meta" / "recap.json").write_text(content)
    train(empty, 1, "ab1")
    assert changes(empty, [1]) == []


def test_a_file_is_read_again_only_when_it_is_another_one(empty, monkeypatch):
    trainset(empty, "ab1", a="failure")
    train(empty, 1, "ab1")
    found = Changes(empty)
    assert len(found.since_training([1], NOW.get)) == 1
    parsed = []
    whole = json.loads
    monkeypatch.setattr(json, "loads", lambda text: parsed.append(text) or whole(text))
    assert len(found.since_training([1], NOW.get)) == 1
    assert parsed == []
    trainset(empty, "ab1", a="success")
    assert found.since_training([1], NOW.get) == []
    assert len(parsed) == 1
