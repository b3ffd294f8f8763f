"""What a page says about where its numbers come from."""

from recap.manifest import StageEntry, Status
from recap.report.provenance import provenance


def entry(**fields):
    plain = {"status": Status.COMPLETE, "seed": 7, "settings": {}, "versions": {"torch": "2.11"}}
    return StageEntry(**{**plain, **fields})


def told(**stages):
    return provenance(stages, worlds={"evaluate": range(10, 20)})


def test_a_stage_is_told_in_its_own_words():
    done = entry(
        report={"headline": "8 of 9"}, seconds=75.4, finished_at="2026-03-02T14:05:00+00:00"
    )
    assert told(label=done, evaluate=entry(status=Status.RUNNING))["Stages"] == {
        "label": "8 of 9 (75 s, 2026-03-02 14:05 UTC)",
        "evaluate": "not complete (0 s)",
    }


def test_settings_are_written_as_on_the_command_line():
    settings = {"base": None, "value": {"steps": 600, "model": {"bins": 201}}}
    assert told(train=entry(settings=settings))["Settings"] == {
        "base": "null",
        "value.steps": "600",
        "value.model.bins": "201",
    }


def test_fingerprints_are_short_and_leave_out_the_episodes():
    made = entry(
        inputs={"trainsets/9f2c": "9f2c"},
        outputs={"iterations/1/value": "ab" * 32, "episodes/rollout-01-00000001": "cd" * 32},
    )
    assert told(train=made)["Fingerprints"] == {
        "trainsets/9f2c": "9f2c",
        "iterations/1/value": "ab" * 8,
    }


def test_versions_that_changed_on_the_way_are_all_named():
    assert told(first=entry(), second=entry(versions={"torch": "2.12"}))["Versions"] == {
        "torch": "2.11, 2.12"
    }


def test_seeds_name_the_worlds():
    assert told(train=entry())["Seeds"] == {"training": "7", "worlds to evaluate": "10–19"}
