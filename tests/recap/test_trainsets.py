"""Which episodes a lap trains on, and what every frame of a project holds."""

from dataclasses import replace

import numpy as np
import pytest

from data.episodes import EpisodeStore
from data.errors import ProjectError, UnjudgedError
from data.outcomes import OutcomeStore
from data.schema import Ending, EpisodeInfo, EpisodeRecord, Layout, Outcome, Pilot, Source
from envs.tabletop import LAYOUT as TABLETOP
from recap.config import RecapConfig
from recap.progress import show_progress
from recap.project import Project
from recap.stages import label
from recap.trainsets import Choice, fix_layout, gather, open_store, recorded_layout

LAYOUT = Layout(
    fps=30,
    cameras={"wrist": (16, 16)},
    state_names=("a.pos",),
    action_names=("a.pos",),
    robot_type="so101_follower",
)


@pytest.fixture
def project(tmp_path):
    (tmp_path / "run").mkdir()
    return Project(tmp_path / "run")


def record(project, uid, *, ending=Ending.STOPPED, measured_success=None):
    ones = np.ones((3, 1), dtype=np.float32)
    info = EpisodeInfo(
        uid=uid,
        task="tidy up",
        seed=None,
        source=Source.DEMONSTRATION,
        iteration=0,
        policy_id="",
        ending=ending,
        frames=3,
        corrected_frames=0,
        measured_success=measured_success,
    )
    images = {"wrist": np.zeros((3, 16, 16, 3), dtype=np.uint8)}
    EpisodeStore(project.episodes, LAYOUT).write(
        EpisodeRecord(
            info=info, images=images, state=ones, action=ones, pilot=[Pilot.TELEOPERATOR] * 3
        )
    )


def judge(project, **verdicts):
    outcomes = OutcomeStore(project.outcomes)
    outcomes.judge_many(verdicts.items(), rater="me")
    outcomes.close()


def trained_on(project, **options):
    trainset = gather(project, iteration=None, base=None, choice=Choice(**options))
    return [episode.info.uid for episode in trainset.episodes]


def test_a_layout_is_fixed_once_and_read_back(project):
    fix_layout(project, LAYOUT)
    fix_layout(project, LAYOUT)
    assert recorded_layout(project) == open_store(project).layout == LAYOUT


def test_another_robot_is_refused_with_all_that_differs(project):
    fix_layout(project, LAYOUT)
    before = project.layout.read_bytes()
    other = replace(LAYOUT, fps=50, cameras={"wrist": (32, 16), "top": (32, 32)})
    with pytest.raises(ProjectError) as caught:
        fix_layout(project, other)
    assert str(caught.value) == (
        f"{project.folder} was recorded with another robot or camera setting: fps was 30, is 50; "
        f"camera 'top' was absent, is 32x32; camera 'wrist' was 16x16, is 32x16. Only episodes "
        f"that are alike can be merged: go back to that setting, or begin a new project with "
        f"--project=..."
    )
    assert project.layout.read_bytes() == before


def test_a_project_from_before_the_file_has_the_layout_of_its_episodes(project):
    record(project, "one")
    assert recorded_layout(project) == LAYOUT
    with pytest.raises(ProjectError, match="fps was 30, is 50"):
        fix_layout(project, replace(LAYOUT, fps=50))
    assert not project.layout.exists()
    fix_layout(project, LAYOUT)
    assert project.layout.exists()


def test_where_nothing_was_recorded_there_is_nothing_to_train_on(project):
    assert open_store(project).layout == TABLETOP
    for needy in (lambda: recorded_layout(project), lambda: trained_on(project)):
        with pytest.raises(ProjectError) as caught:
            needy()
        assert str(caught.value) == (
            f"No attempt was recorded yet in {project.folder}. Record some with "
            f"`recap collect --project={project.folder}`."
        )


def test_a_damaged_layout_is_named(project):
    project.layout.write_text("{}")
    with pytest.raises(ProjectError) as caught:
        recorded_layout(project)
    assert str(caught.value) == (
        f"{project.layout} is damaged: a layout has no usable 'fps'. Restore it, or delete it."
    )


def test_discarded_and_interrupted_episodes_are_left_out(project):
    for uid in ("good", "bad", "discarded"):
        record(project, uid)
    for uid in ("lost", "lost_late"):
        record(project, uid, ending=Ending.INTERRUPTED)
    judge(
        project,
        good=Outcome.SUCCESS,
        bad=Outcome.FAILURE,
        discarded=Outcome.DISCARD,
        lost_late=Outcome.FAILURE,
    )
    assert trained_on(project) == ["bad", "good"]  # and nothing counts as unjudged
    assert trained_on(project, include_interrupted=True) == ["bad", "good", "lost_late"]
    record(project, "unjudged")
    assert trained_on(project, skip_unjudged=True) == ["bad", "good"]
    with pytest.raises(UnjudgedError, match=r"^1 episode"):
        trained_on(project)


def test_an_interrupted_attempt_is_not_judged_by_what_the_world_measured(project):
    record(project, "lost", ending=Ending.INTERRUPTED, measured_success=False)
    record(project, "failed", measured_success=False)
    record(project, "unknown")
    record(project, "discarded", measured_success=True)
    judge(project, discarded=Outcome.DISCARD)
    with show_progress() as progress:
        report = label.run(
            RecapConfig(project=project.folder), project, iteration=0, progress=progress
        )
    outcomes = OutcomeStore(project.outcomes)
    assert outcomes.outcomes() == {"failed": Outcome.FAILURE, "discarded": Outcome.DISCARD}
    outcomes.close()
    assert report.headline() == (
        "0 of 1 episodes are successes, 1 left unjudged, 2 discarded or interrupted"
    )
