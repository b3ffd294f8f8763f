import json
import os
import shutil

import numpy as np
import pytest

from data.errors import EpisodeError, ProjectError, UnjudgedError
from data.schema import Outcome
from data.trainset import Trainset


def test_rows_stand_in_the_order_of_the_uids_and_are_renumbered(trainset, three_episodes):
    table = trainset.table()
    assert len(trainset) == len(table) == 16
    assert [(e.info.uid, e.start, e.stop) for e in trainset.episodes] == [
        ("demonstration-00-00000007", 0, 5),
        ("rollout-01-00000001", 5, 12),
        ("rollout-01-00000002", 12, 16),
    ]
    assert table["index"].tolist() == list(range(16))
    assert table["episode_index"].tolist() == [0] * 5 + [1] * 7 + [2] * 4
    assert table["frame_index"].tolist() == [*range(5), *range(7), *range(4)]
    assert trainset.tasks == ["put the red cube on the green pad", "stack"]
    assert trainset.task_index().tolist() == [0] * 12 + [1] * 4
    assert trainset.episode_index().tolist() == table["episode_index"].tolist()
    for episode, record in zip(trainset.episodes, three_episodes, strict=True):
        rows = slice(episode.start, episode.stop)
        assert episode.info == record.info
        np.testing.assert_array_equal(trainset.state()[rows], record.state)
        np.testing.assert_array_equal(trainset.action()[rows], record.action)
        assert table["recap.episode_uid"][rows].tolist() == [record.info.uid] * len(record.pilot)
        assert table["recap.pilot"][rows].tolist() == record.pilot


def test_only_helped_frames_of_rollouts_are_corrections(trainset):
    assert np.flatnonzero(trainset.is_correction()).tolist() == [8, 9]


def test_outcomes_are_those_given(trainset, outcomes):
    assert {e.info.uid: e.outcome for e in trainset.episodes} == outcomes


def test_a_training_set_reopens_as_built(trainset, layout):
    again = Trainset.open(trainset.root)
    assert again.fingerprint == trainset.fingerprint == trainset.root.name
    assert again.layout == layout
    assert again.tasks == trainset.tasks
    assert again.episodes == trainset.episodes


def test_videos_are_shared_with_the_episodes(trainset, store):
    for number, episode in enumerate(trainset.episodes):
        path = f"videos/observation.images.wrist/chunk-000/file-{number:03d}.mp4"
        source = store.root / episode.info.uid / path.replace(f"{number:03d}.mp4", "000.mp4")
        assert (trainset.root / path).samefile(source)


def test_where_links_are_impossible_videos_are_copied(
    store, three_episodes, outcomes, tmp_path, monkeypatch
):
    def refuse(*_):
        raise OSError

    monkeypatch.setattr(os, "link", refuse)
    built = Trainset.build(
        store, outcomes, uids=store.uids(), destination_root=tmp_path / "t", statistics=None
    )
    copy = built.root / "videos/observation.images.front/chunk-000/file-001.mp4"
    original = store.root / "rollout-01-00000001" / copy.relative_to(built.root)
    assert copy.read_bytes() == original.with_name("file-000.mp4").read_bytes()
    assert len(three_episodes) == len(built.episodes)


def build(store, outcomes, root, **changes):
    options = {"uids": store.uids(), "destination_root": root, "statistics": None} | changes
    return Trainset.build(store, outcomes, **options)


def test_the_same_episodes_and_outcomes_are_the_same_training_set(
    trainset, store, outcomes, tmp_path
):
    before = trainset.root.stat().st_mtime_ns
    shuffled = [*reversed(store.uids()), store.uids()[0]]
    others = {**outcomes, "rollout-09-00000009": Outcome.FAILURE}
    again = build(store, others, trainset.root.parent, uids=shuffled)
    elsewhere = build(store, outcomes, tmp_path / "elsewhere")
    assert again.root == trainset.root
    assert again.root.stat().st_mtime_ns == before
    assert elsewhere.fingerprint == trainset.fingerprint


def test_another_outcome_or_episode_is_another_training_set(trainset, store, outcomes):
    changed = {**outcomes, "rollout-01-00000001": Outcome.FAILURE}
    fewer = store.uids()[:2]
    root = trainset.root.parent
    fingerprints = {
        trainset.fingerprint,
        build(store, changed, root).fingerprint,
        build(store, outcomes, root, uids=fewer).fingerprint,
        build(store, outcomes, root, statistics=trainset.root / "meta/stats.json").fingerprint,
    }
    assert len(fingerprints) == 4


def test_statistics_are_exact_over_all_recorded_frames(trainset, three_episodes):
    measured = json.loads((trainset.root / "meta/stats.json").read_text())
    state = trainset.state().astype(np.float64)
    np.testing.assert_allclose(measured["observation.state"]["q01"], np.quantile(state, 0.01, 0))
    np.testing.assert_allclose(measured["observation.state"]["std"], state.std(axis=0))
    assert measured["action"]["count"] == [16]
    pixels = np.concatenate([record.images["wrist"] for record in three_episodes])
    flat = pixels.reshape(-1, 3) / 255
    image = measured["observation.images.wrist"]
    np.testing.assert_allclose(np.ravel(image["q90"]), np.quantile(flat, 0.9, axis=0))
    np.testing.assert_allclose(np.ravel(image["mean"]), flat.mean(axis=0))
    assert image["count"] == [16]


def test_frozen_statistics_are_used_to_the_byte(trainset, store, outcomes):
    frozen = trainset.root / "meta/stats.json"
    smaller = build(store, outcomes, trainset.root.parent, uids=store.uids()[:1], statistics=frozen)
    assert (smaller.root / "meta/stats.json").read_bytes() == frozen.read_bytes()


def test_an_unjudged_episode_is_not_read_as_a_failure(store, three_episodes, tmp_path):
    judged = {three_episodes[0].info.uid: Outcome.SUCCESS}
    with pytest.raises(UnjudgedError) as caught:
        build(store, judged, tmp_path / "trainsets")
    assert str(caught.value) == (
        f"1 episode(s) of 'put the red cube on the green pad', 1 episode(s) of 'stack' have no "
        f"outcome. A missing label is never read as a failure. Judge them with `recap label "
        f"--project={tmp_path}`, let the simulation judge with `recap auto-label "
        f"--project={tmp_path} --iteration=1`, or leave them out with `--skip_unjudged=true`."
    )
    assert not (tmp_path / "trainsets").exists()


def test_a_damaged_episode_never_enters_a_training_set(store, three_episodes, outcomes, tmp_path):
    video = "videos/observation.images.front/chunk-000/file-000.mp4"
    (store.root / three_episodes[1].info.uid / video).write_bytes(b"cut short")
    with pytest.raises(EpisodeError, match="its files changed after they were written"):
        build(store, outcomes, tmp_path / "trainsets")
    assert not (tmp_path / "trainsets").exists()


def test_a_training_set_of_nothing_is_refused(store, tmp_path):
    with pytest.raises(EpisodeError) as caught:
        build(store, {}, tmp_path / "trainsets")
    assert str(caught.value) == (
        f"There is no episode to train on in {store.root}. Collect some first."
    )


def test_a_missing_training_set_is_named(tmp_path):
    with pytest.raises(ProjectError, match=r"nowhere/meta/recap\.json does not exist"):
        Trainset.open(tmp_path / "nowhere")


def test_a_damaged_training_set_says_what_to_do(trainset):
    (trainset.root / "meta/recap.json").write_text('{"fingerprint": "abc"}')
    with pytest.raises(ProjectError) as caught:
        Trainset.open(trainset.root)
    assert str(caught.value) == (
        f"{trainset.root} is not a whole training set ('episodes'). Delete the folder; the command "
        f"that made it makes it again from the episodes."
    )


def test_a_training_set_outlives_its_episodes(trainset, store):
    shutil.rmtree(store.root)
    assert len(Trainset.open(trainset.root).table()) == 16
    video = trainset.root / "videos/observation.images.front/chunk-000/file-001.mp4"
    assert video.stat().st_size > 0


def test_a_discarded_episode_is_never_merged(store, three_episodes, outcomes, tmp_path):
    discarded = {**outcomes, "rollout-01-00000002": Outcome.DISCARD}
    with pytest.raises(ValueError, match="cannot be merged: rollout-01-00000002"):
        Trainset.build(
            store, discarded, uids=outcomes, destination_root=tmp_path / "sets", statistics=None
        )
    assert not (tmp_path / "sets").exists()


CUT = {"rollout-01-00000001": 3, "rollout-01-00000002": 1}
"""The second episode, 7 frames and a success, is done in frame 3; the third is a failure."""


@pytest.fixture
def cut(store, three_episodes, outcomes, tmp_path):
    return build(store, outcomes, tmp_path / "cut", success_frames=CUT)


def test_a_success_ends_with_the_frame_in_which_it_was_done(cut, three_episodes):
    assert [(e.start, e.stop) for e in cut.episodes] == [(0, 5), (5, 9), (9, 13)]
    assert [e.info for e in cut.episodes] == [record.info for record in three_episodes]
    assert cut.table()["index"].tolist() == list(range(13))
    assert cut.table()["frame_index"].tolist() == [*range(5), *range(4), *range(4)]
    assert np.flatnonzero(cut.is_correction()).tolist() == [8]  # the other one came after
    for episode, record in zip(cut.episodes, three_episodes, strict=True):
        taken = episode.stop - episode.start
        np.testing.assert_array_equal(
            cut.action()[episode.start : episode.stop], record.action[:taken]
        )
        np.testing.assert_array_equal(
            cut.state()[episode.start : episode.stop], record.state[:taken]
        )


def test_a_cut_set_reopens_as_built(cut):
    again = Trainset.open(cut.root)
    assert again.fingerprint == cut.fingerprint == cut.root.name
    assert again.episodes == cut.episodes


def test_where_an_episode_is_cut_belongs_to_the_name_of_the_set(
    trainset, cut, store, outcomes, tmp_path
):
    root = tmp_path / "more"
    later = build(store, outcomes, root, success_frames={"rollout-01-00000001": 4})
    last = build(store, outcomes, root, success_frames={"rollout-01-00000001": 6})
    none = build(store, outcomes, root, success_frames={})
    failed = build(store, outcomes, root, success_frames={"rollout-01-00000002": 0})
    assert len({trainset.fingerprint, cut.fingerprint, later.fingerprint}) == 3
    # What takes every frame is the set that it always was.
    assert {last.fingerprint, none.fingerprint, failed.fingerprint} == {trainset.fingerprint}


def test_statistics_of_a_cut_set_are_those_of_the_frames_it_takes(cut, three_episodes):
    from data.frames import TrainsetFrames

    measured = json.loads((cut.root / "meta/stats.json").read_text())
    assert measured["action"]["count"] == measured["observation.images.front"]["count"] == [13]
    action = cut.action().astype(np.float64)
    np.testing.assert_allclose(measured["action"]["q99"], np.quantile(action, 0.99, 0))
    mean = np.ravel(measured["observation.images.front"]["mean"])
    seen = TrainsetFrames(cut, cut.root / "cache").load()["front"].reshape(-1, 3) / 255
    np.testing.assert_allclose(mean, seen.mean(axis=0), atol=0.003)  # the whole ones: as recorded
    whole = np.concatenate([record.images["front"] for record in three_episodes]) / 255
    assert np.abs(mean - whole.reshape(-1, 3).mean(axis=0)).max() > 0.003


def test_a_moment_that_the_episode_does_not_have_is_refused(store, three_episodes, outcomes):
    root = store.root.parent / "trainsets"
    for frame in (7, -1):
        with pytest.raises(EpisodeError) as caught:
            build(store, outcomes, root, success_frames={"rollout-01-00000001": frame})
        assert str(caught.value) == (
            f"The moment of success of rollout-01-00000001 is frame {frame}, and its frames are 0 "
            f"to 6. Judge it again with `recap label --project={store.root.parent}`, or take "
            f"attempts whole with `--label.trim_after_success=false`."
        )
    assert not root.exists()
