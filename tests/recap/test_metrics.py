import pytest

from recap.metrics import WandbConfig, open_metrics, read_metrics
from recap.project import Project


@pytest.fixture
def project(tmp_path):
    return Project(tmp_path)


def record(project, step, **numbers):
    with open_metrics(
        project, stage="train-value", iteration=1, wandb=WandbConfig(mode="disabled")
    ) as metrics:
        metrics.record(step, numbers)


def test_every_record_is_one_line(project):
    record(project, 20, loss=3.5)
    record(project, 40, loss=3.25)
    assert project.metrics.read_text().splitlines() == [
        '{"stage": "train-value", "iteration": 1, "step": 20, "loss": 3.5}',
        '{"stage": "train-value", "iteration": 1, "step": 40, "loss": 3.25}',
    ]


def test_a_torn_line_spoils_nothing_but_itself(project):
    record(project, 20, loss=3.5)
    with project.metrics.open("a") as stream:
        stream.write('{"stage": "train-va')
    record(project, 40, loss=3.25)
    assert [line["step"] for line in read_metrics(project.metrics)] == [20, 40]


def test_without_a_file_there_are_no_metrics(project):
    assert read_metrics(project.metrics) == []


@pytest.mark.slow
def test_offline_tracking_keeps_a_run_beside_the_project(project):
    with open_metrics(
        project, stage="train-value", iteration=1, wandb=WandbConfig(mode="offline")
    ) as metrics:
        metrics.record(1, {"loss": 3.5})
    assert len(list((project.folder / "wandb").glob("offline-run-*/*.wandb"))) == 1
