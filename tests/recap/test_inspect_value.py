"""`recap inspect-value`: pictures and films of a project's episodes."""

import json
from contextlib import closing
from pathlib import Path

import numpy as np
import pytest

from data.annotations import SCHEMA, AdvantageTable
from data.files import content_hash
from data.outcomes import OutcomeStore
from data.schema import Outcome
from data.videos import decode_video
from recap.cli import main
from recap.project import Project
from recap.seen_episodes import HELD_OUT
from recap.settings import plain_settings, read_settings

UIDS = [f"demonstration-00-{seed:08d}" for seed in range(1, 7)]
JUDGED = {
    UIDS[0]: Outcome.SUCCESS,
    UIDS[1]: Outcome.FAILURE,
    UIDS[2]: Outcome.SUCCESS,
    UIDS[3]: Outcome.DISCARD,
    UIDS[4]: Outcome.FAILURE,
}
HELD_OUT_UID = UIDS[2]


@pytest.fixture(scope="module")
def trained(tmp_path_factory, demonstrate):
    """Six attempts, one unjudged and one discarded, and a value model that was trained on four."""
    from recap.progress import silent
    from recap.trainsets import Choice, gather, judge, observe
    from value_models.checkpoint import save_checkpoint
    from value_models.config import ValueModelConfig, ValueTrainingConfig
    from value_models.training import train_value_model

    folder = tmp_path_factory.mktemp("inspect") / "project"
    config = read_settings([f"--project={folder}", "--base=null"])
    project = Project.create(folder, plain_settings(config))
    demonstrate(project, range(1, 7))
    with closing(OutcomeStore(project.outcomes)) as store:
        for uid, outcome in JUDGED.items():
            store.judge(uid, outcome, rater="test")
    choice = Choice(skip_unjudged=True)
    trainset = gather(project, iteration=1, base=None, choice=choice)
    frames = judge(
        trainset,
        observe(project, trainset, silent),
        config.returns.scale(config.world.time_limit_steps),
    )
    tiny = ValueModelConfig(channels=4, keypoints=2, hidden_size=8)
    trained = train_value_model(
        frames,
        config=ValueTrainingConfig(model=tiny, steps=1, measurements=1, save_every=0),
        trainset_fingerprint=trainset.fingerprint,
    )
    number = [episode.info.uid for episode in trainset.episodes].index(HELD_OUT_UID)
    save_checkpoint(
        trained.model, project.value(1), metrics={**trained.metrics, HELD_OUT: [number]}
    )
    return project


@pytest.fixture
def look(trained, tmp_path, capsys):
    def look_(*flags, expect=0):
        code = main(["inspect-value", f"--project={trained.folder}", f"--to={tmp_path}", *flags])
        told = capsys.readouterr()
        assert code == expect, told.err
        return told.err if expect else told.out

    return look_


@pytest.fixture
def undrawn(monkeypatch):
    """Say where pictures would go, for tests that do not look at them."""

    def write_pictures(view, folder):
        return {"picture": str(folder / f"{view.uid}.png"), "film": str(folder / f"{view.uid}.mp4")}

    monkeypatch.setattr("recap.inspect_value.write_pictures", write_pictures)


def mark(project, uid, *, value_fingerprint=None, frames=12):
    """Mark one episode: the first half positive."""
    import pandas as pd

    rows = pd.DataFrame(
        {
            "episode_uid": uid,
            "frame_index": np.arange(frames),
            "index": np.arange(frames),
            "return": -0.1,
            "value": -0.2,
            "advantage": np.linspace(0.5, -0.5, frames),
            "indicator": ["positive"] * (frames // 2) + ["negative"] * (frames - frames // 2),
            "is_correction": False,
        },
        columns=SCHEMA.names,
    )
    AdvantageTable(
        frames=rows,
        thresholds={},
        trainset_fingerprint="",
        value_fingerprint=value_fingerprint or content_hash(project.value(1)),
        settings={},
    ).save(project.advantages(1))


def test_an_episode_becomes_a_picture_and_a_film(look, tmp_path):
    told = look(f"--episode={UIDS[0]}")
    film = tmp_path / f"{UIDS[0]}.mp4"
    assert len(decode_video(film)) == 12
    assert (tmp_path / f"{UIDS[0]}.png").read_bytes().startswith(b"\x89PNG")
    assert told.splitlines() == [
        UIDS[0],
        "  no advantages: nothing was marked with this value model yet (`recap mark-advantage`)",
        str(tmp_path / f"{UIDS[0]}.png"),
        str(film),
    ]


def test_twice_is_as_once_and_leaves_the_checkpoint_alone(look, trained, tmp_path):
    before = content_hash(trained.value(1))
    look(f"--episode={UIDS[0]}")
    first = content_hash(tmp_path)
    look(f"--episode={UIDS[0]}")
    assert content_hash(tmp_path) == first
    assert content_hash(trained.value(1)) == before


def test_pictures_lie_beside_the_value_model_unless_told_otherwise(undrawn, trained, capsys):
    main(["inspect-value", f"--project={trained.folder}", f"--episode={UIDS[0]}", "--json"])
    answer = json.loads(capsys.readouterr().out)
    assert answer["value"] == str(trained.value(1))
    picture = Path(answer["episodes"][0]["picture"])
    assert picture.parent == trained.lap(1) / "value_pictures"


def test_what_an_episode_lacks_is_said(look, undrawn):
    told = look(f"--episode={UIDS[5]}, {UIDS[3]}")
    assert "no return line: nobody has judged the episode" in told
    assert "no return line: the episode was discarded" in told


def test_the_worst_is_looked_for_among_what_was_held_out(look, undrawn):
    told = look("--pick=worst", "--count=3")
    # The others of the training set were learnt by heart, and the other two are not judged.
    assert f"{HELD_OUT_UID}: off by " in told
    assert "the most of 1 judged episodes it was not trained on" in told
    assert UIDS[0] not in told


def test_failures_come_with_the_reason(look, undrawn):
    told = look("--pick=failures", "--count=5")
    assert [line for line in told.splitlines() if "a failure" in line] == [
        f"{UIDS[1]}: a failure, of its training set",
        f"{UIDS[4]}: a failure, of its training set",
    ]


def test_marks_of_this_value_model_are_shown(look, undrawn, trained):
    mark(trained, UIDS[0])
    try:
        assert "no advantages" not in look(f"--episode={UIDS[0]}")
        told = look(f"--episode={UIDS[1]}")
        assert f"no advantages: {UIDS[1]} is not in the training set that was marked" in told
        mark(trained, UIDS[0], value_fingerprint="another")
        told = look(f"--episode={UIDS[0]}")
        assert "advantages.parquet was made with another value model" in told
    finally:
        trained.advantages(1).unlink()


def test_the_view_has_what_training_sees(trained):
    from recap.seen_episodes import SeenEpisodes, ValueModelAt

    config = read_settings([f"--project={trained.folder}"])
    mark(trained, UIDS[0], frames=10)  # as if cut after its success
    try:
        at = ValueModelAt(folder=trained.value(1), marks=trained.advantages(1), pictures=Path())
        seen = SeenEpisodes(config, trained, at)
        view, unjudged = seen.view(UIDS[0]), seen.view(UIDS[5])
    finally:
        trained.advantages(1).unlink()
    # A success of 12 frames, on a scale of 100 steps and half as many for a failure.
    np.testing.assert_allclose(view.returns, -np.arange(12)[::-1] / 150)
    assert view.signs.tolist() == [1] * 5 + [-1] * 5 + [0, 0]
    assert np.isnan(view.advantages[10:]).all()
    assert view.steps_per_return == 150.0
    assert view.notes == ("trained on",)
    assert (unjudged.returns, unjudged.outcome) == (None, None)
    assert unjudged.notes == ("not trained on", "advantages not marked")
    assert seen.error_steps(UIDS[0]) == pytest.approx(view.error_steps)


@pytest.fixture
def on_another_scale(trained):
    """Lap 3 has the same value model, as if it was made where a return has twice the steps."""
    import shutil

    folder = shutil.copytree(trained.value(1), trained.value(3))
    about = json.loads((folder / "config.json").read_text())
    about["normalisers"] = dict.fromkeys(about["normalisers"], 300.0)
    (folder / "config.json").write_text(json.dumps(about))
    yield folder
    shutil.rmtree(trained.lap(3))


def test_what_a_model_of_another_scale_says_of_failures_is_compared_with_nothing(
    look, undrawn, on_another_scale
):
    told = look("--iteration=3", "--pick=worst", "--count=9")
    assert told.splitlines()[0] == (
        "The value model was made for another scale of returns than the settings make, so how "
        "wrong it is about failures cannot be said: these are the newest of them."
    )
    assert "off by" not in told
    assert f"{UIDS[1]}: a failure, of its training set" in told
    assert (
        "  no return line: the value model was made for another scale of returns (300 steps, "
        "penalty) than the settings make (150 steps, penalty), and what a failure costs on it was "
        "not noted"
    ) in told.splitlines()
    assert UIDS[0] not in told


def test_a_success_is_worth_the_same_steps_on_every_scale(trained, on_another_scale):
    from recap.seen_episodes import SeenEpisodes, ValueModelAt

    config = read_settings([f"--project={trained.folder}"])
    at = ValueModelAt(folder=on_another_scale, marks=trained.advantages(3), pictures=Path())
    seen = SeenEpisodes(config, trained, at)
    success, failure = seen.view(UIDS[0]), seen.view(UIDS[1])
    np.testing.assert_allclose(success.returns * success.steps_per_return, -np.arange(12)[::-1])
    assert success.steps_per_return == 300.0
    assert seen.error_steps(UIDS[0]) == pytest.approx(success.error_steps)
    assert seen.missing(success)[0].startswith("no advantages")
    assert (failure.returns, failure.error_steps, seen.error_steps(UIDS[1])) == (None, None, None)
    assert not seen.is_on_scale()


def test_an_unknown_episode_is_refused_with_the_nearest(look, trained):
    told = look("--episode=demonstration-00-0000001", expect=2)
    assert told == (
        f"There is no episode 'demonstration-00-0000001' in {trained.folder}. Did you mean "
        f"--episode={UIDS[0]} or --episode={UIDS[1]} or --episode={UIDS[2]}? "
        f"`recap label --project={trained.folder}` lists them, or have one picked: --pick=random\n"
    )


def test_a_lap_without_a_value_model_is_refused_with_those_that_have_one(look, trained):
    assert look("--iteration=2", expect=2) == (
        f"There is no value model in {trained.value(2)}. Train it with `recap train-value "
        f"--project={trained.folder} --iteration=2`. Or look at one that is there: "
        f"--iteration=1.\n"
    )
    assert f"`recap pretrain --project={trained.folder}`" in look("--iteration=0", expect=2)


def test_nothing_of_a_kind_is_refused_with_what_to_type(look, trained):
    assert look("--pick=corrected", expect=2) == (
        f"There is no episode in which somebody corrected the policy in {trained.folder}. Name "
        f"one with --episode=..., or pick others: --pick=random\n"
    )


def test_a_project_without_episodes_is_refused(tmp_path, capsys, trained):
    import shutil

    folder = tmp_path / "empty"
    config = read_settings([f"--project={folder}", "--base=null"])
    Project.create(folder, plain_settings(config))
    shutil.copytree(trained.value(1), Project(folder).value(1))
    assert main(["inspect-value", f"--project={folder}"]) == 2
    assert capsys.readouterr().err.startswith(f"No attempt was recorded yet in {folder}.")


@pytest.mark.parametrize(
    ("flag", "told"),
    [
        ("--count=0", "inspect.count must be at least 1, got 0.\n"),
        (
            "--rerun=value.mp4",
            "inspect.rerun must be a file ending in .rrd, or spawn, got 'value.mp4'. Rerun opens "
            "no others: --rerun=value.rrd\n",
        ),
    ],
)
def test_settings_that_mean_nothing_are_refused(look, flag, told):
    assert look(flag, expect=2) == told


def test_a_film_that_fails_half_way_leaves_nothing_behind(trained, tmp_path, monkeypatch):
    from recap import inspect_value
    from recap.report import value_episode
    from recap.seen_episodes import SeenEpisodes, ValueModelAt

    config = read_settings([f"--project={trained.folder}"])
    at = ValueModelAt(folder=trained.value(1), marks=trained.advantages(1), pictures=Path())
    view = SeenEpisodes(config, trained, at).view(UIDS[0])

    def killed(view):
        raise KeyboardInterrupt

    monkeypatch.setattr(value_episode, "episode_picture", killed)
    with pytest.raises(KeyboardInterrupt):
        inspect_value.write_pictures(view, tmp_path)
    assert list(tmp_path.iterdir()) == []  # the film was whole already, and goes as well


def test_rerun_gets_a_file_of_its_own_for_each_episode(look, undrawn, tmp_path):
    pytest.importorskip("rerun", reason="the extra recap[rerun] is not installed")
    look(f"--episode={UIDS[0]},{UIDS[1]}", f"--rerun={tmp_path / 'value.rrd'}")
    assert {path.name for path in tmp_path.glob("*.rrd")} == {
        f"value-{UIDS[0]}.rrd",
        f"value-{UIDS[1]}.rrd",
    }
