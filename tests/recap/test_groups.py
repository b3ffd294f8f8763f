"""Which episodes are held out together: those of one sitting, or of the same judges."""

from contextlib import closing
from dataclasses import replace

import numpy as np
import pytest

from data.episodes import EpisodeStore
from data.errors import ConfigError, ProjectError
from data.files import read_json
from data.outcomes import OutcomeStore
from data.schema import Ending, EpisodeInfo, EpisodeRecord, Layout, Outcome, Pilot, Source
from data.verdicts import SIMULATOR
from recap.config import LabelConfig, PretrainingConfig, RecapConfig
from recap.core.returns import FailureScaling, ReturnScale
from recap.groups import episode_groups
from recap.progress import silent
from recap.project import Project
from recap.settings import plain_settings
from recap.stages import train_value
from recap.trainsets import judge, trainset_of
from value_models.config import HoldOutBy, ValueModelConfig, ValueTrainingConfig
from value_models.frames import Observations

LAYOUT = Layout(
    fps=30,
    cameras={"wrist": (16, 16)},
    state_names=("a.pos",),
    action_names=("a.pos",),
    robot_type="so101_follower",
)
FRAMES = 3


@pytest.fixture
def config(tmp_path):
    training = ValueTrainingConfig(
        model=ValueModelConfig(bins=11, channels=4, keypoints=2, text_width=4, hidden_size=8),
        steps=2,
        batch_size=4,
        measurements=1,
        holdout_fraction=0.4,
    )
    return RecapConfig(
        project=tmp_path / "run", value=training, pretraining=PretrainingConfig(value=training)
    )


@pytest.fixture
def project(config):
    return Project.create(config.project, plain_settings(config))


def record(project, uid, *, session="", seed=None):
    ones = np.ones((FRAMES, 1), dtype=np.float32)
    info = EpisodeInfo(
        uid=uid,
        task="tidy up",
        seed=seed,
        source=Source.DEMONSTRATION,
        iteration=0,
        policy_id="",
        ending=Ending.STOPPED,
        frames=FRAMES,
        corrected_frames=0,
        measured_success=None,
        session=session,
    )
    images = {"wrist": np.zeros((FRAMES, 16, 16, 3), dtype=np.uint8)}
    EpisodeStore(project.episodes, LAYOUT).write(
        EpisodeRecord(
            info=info, images=images, state=ones, action=ones, pilot=[Pilot.TELEOPERATOR] * FRAMES
        )
    )


def say(project, rater, **verdicts):
    with closing(OutcomeStore(project.outcomes)) as outcomes:
        outcomes.judge_many(verdicts.items(), rater=rater)


def groups(config, project, by):
    return episode_groups(config, project, trainset_of(config, project, iteration=None), by=by)


def holding_out(config, by):
    training = replace(config.value, holdout_by=by)
    return replace(config, value=training, pretraining=PretrainingConfig(value=training))


def test_a_session_groups_its_episodes_and_a_seed_sets_one_apart(config, project):
    record(project, "a", session="monday")
    record(project, "b", session="tuesday", seed=4)
    record(project, "c", session="monday", seed=5)
    for uid, seed in (("d", 6), ("e", 7)):  # simulated: a draw of its own
        record(project, uid, seed=seed)
    for uid in ("f", "g"):  # of some sitting, perhaps the same one
        record(project, uid)
    say(project, "ann", **dict.fromkeys("abcdefg", Outcome.SUCCESS))
    named = groups(config, project, HoldOutBy.SESSION)
    assert named == ["monday", "tuesday", "monday", "episode d", "episode e", "", ""]
    assert groups(config, project, HoldOutBy.EPISODE) is None


def test_the_judges_of_an_episode_are_its_group(config, project):
    for uid in "abcde":
        record(project, uid)
    say(project, "bob", a=Outcome.SUCCESS, b=Outcome.SUCCESS, c=Outcome.SUCCESS)
    say(project, "ann", b=Outcome.FAILURE, c=Outcome.SUCCESS, d=Outcome.FAILURE)
    # What the simulator measured counts only where nobody judged.
    say(project, SIMULATOR, d=Outcome.SUCCESS, e=Outcome.SUCCESS)
    named = groups(config, project, HoldOutBy.RATER)
    assert named == ["bob", "ann, bob", "ann, bob", "ann", "simulator"]


def test_every_frame_knows_the_group_of_its_episode_and_how_failures_are_scaled(config, project):
    for uid in "abc":
        record(project, uid)
    say(project, "ann", **dict.fromkeys("abc", Outcome.FAILURE))
    trainset = trainset_of(config, project, iteration=None)
    count = len(trainset)
    observations = Observations(
        images={},
        state=trainset.state(),
        task_index=trainset.task_index(),
        tasks=trainset.tasks,
    )
    scale = ReturnScale(max_steps=4, scaling=FailureScaling.FLOOR)
    frames = judge(trainset, observations, scale, groups=["x", "y", "x"])
    assert frames.group_index is not None
    first, second, third = frames.group_index.reshape(3, count // 3)
    assert (first == first[0]).all()
    np.testing.assert_array_equal(first, third)
    assert (second != first).all()
    assert frames.scaling == "floor"
    assert judge(trainset, observations, scale).group_index is None


@pytest.mark.slow
def test_whole_sessions_are_held_out_and_the_metrics_say_so(config, project):
    for number in range(10):
        record(project, f"e{number}", session=f"day{number // 2}")
    say(project, "ann", **{f"e{n}": Outcome(("success", "failure")[n % 2]) for n in range(10)})
    by_session = holding_out(config, HoldOutBy.SESSION)
    train_value.run(by_session, project, iteration=None, progress=silent)
    metrics = read_json(project.value(None) / "metrics.json")
    assert metrics["held_out_by"] == {
        "by": "session",
        "groups": 5,
        "held_out_groups": 2,
        "drawn": "session",
    }
    assert metrics["held_out_episodes"] == 4
    assert any(r.startswith("Only 2 of 5 sessions") for r in metrics["gate"]["reasons"])
    spec = read_json(project.value(None) / "config.json")
    assert (spec["fps"], spec["state_names"]) == (30, ["a.pos"])


@pytest.mark.slow
def test_sessions_of_single_episodes_are_no_stricter_than_episodes_and_it_is_said(config, project):
    for number in range(6):
        record(project, f"e{number}", seed=number)
    say(project, SIMULATOR, **{f"e{n}": Outcome(("success", "failure")[n % 2]) for n in range(6)})
    by_session = holding_out(config, HoldOutBy.SESSION)
    report = train_value.run(by_session, project, iteration=None, progress=silent)
    assert report.warnings[-1] == (
        "holdout_by=session is no stricter than episode here: each of the 6 episodes counts as a "
        "session of its own, as simulated ones do."
    )


@pytest.mark.slow
def test_the_verdicts_of_one_person_cannot_be_split_by_rater(config, project):
    for uid in "abcd":
        record(project, uid)
    say(project, "ann", **dict.fromkeys("abcd", Outcome.SUCCESS))
    with pytest.raises(ConfigError, match=r"^All 4 episodes are of one rater.*holdout_by=episode"):
        train_value.run(
            holding_out(config, HoldOutBy.RATER), project, iteration=None, progress=silent
        )
    assert not project.value(None).exists()


def test_raters_are_looked_up_under_the_rule_and_in_the_database_of_the_settings(config, project):
    record(project, "a")
    say(project, "ann", a=Outcome.SUCCESS)
    trainset = trainset_of(config, project, iteration=None)
    elsewhere = LabelConfig(database_url=f"sqlite:///{project.folder}/other.db")
    with pytest.raises(ProjectError, match="holds judgements already"):
        episode_groups(replace(config, label=elsewhere), project, trainset, by=HoldOutBy.RATER)
