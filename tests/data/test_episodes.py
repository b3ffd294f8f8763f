from dataclasses import replace

import numpy as np
import pyarrow.parquet as pq
import pytest

from data.episodes import EpisodeStore
from data.errors import EpisodeError
from data.files import content_hash
from data.frames import decode_episode
from data.schema import Pilot

UID = "rollout-01-00000001"


def test_an_episode_reads_back_as_recorded(store, make_episode):
    record = make_episode(pilot=[Pilot.POLICY] * 4 + [Pilot.TELEOPERATOR] * 2)
    folder = store.write(record)
    assert folder == store.root / UID
    assert store.info(UID) == record.info
    table = store.table(UID)
    np.testing.assert_array_equal(np.stack(table["observation.state"]), record.state)
    np.testing.assert_array_equal(np.stack(table["action"]), record.action)
    assert table["recap.pilot"].tolist() == ["policy"] * 4 + ["teleoperator"] * 2
    assert table["recap.episode_uid"].tolist() == [UID] * 6
    assert table["recap.policy_id"].tolist() == ["base"] * 6
    assert table["frame_index"].tolist() == table["index"].tolist() == list(range(6))
    np.testing.assert_allclose(table["timestamp"], np.arange(6) / 20, atol=1e-7)


def test_images_read_back_nearly_as_recorded_and_in_order(store, make_episode):
    record = make_episode(frames=12)
    folder = store.write(record)
    for camera, images in record.images.items():
        decoded = decode_episode(folder, camera)
        assert decoded.shape == images.shape
        error = np.abs(decoded.astype(int) - images)
        assert error.mean(axis=(1, 2, 3)).max() < 2.0  # neighbouring frames differ by 2 on average
        brightness = decoded[:, :, -4:].mean(axis=(1, 2, 3))
        assert (np.diff(brightness) > 2.0).all()


def test_episodes_are_listed_by_uid(store, make_episode):
    assert store.uids() == []
    for uid in ("rollout-01-00000002", "demonstration-00-00000003"):
        store.write(make_episode(uid))
    (store.root / "notes.txt").write_text("not an episode")
    assert store.uids() == ["demonstration-00-00000003", "rollout-01-00000002"]
    assert [info.uid for info in store.infos()] == store.uids()


def test_writing_the_same_attempt_again_changes_nothing(store, make_episode):
    folder = store.write(make_episode())
    before = content_hash(folder)
    assert store.write(make_episode()) == folder
    assert content_hash(folder) == before


def test_another_attempt_under_the_same_name_is_refused(store, make_episode):
    folder = store.write(make_episode())
    before = content_hash(folder)
    with pytest.raises(EpisodeError) as caught:
        store.write(make_episode(seed=2))
    assert str(caught.value) == (
        f"{folder} already holds another attempt under the same name. Episodes are never "
        f"overwritten: move the folder away, or record with another seed."
    )
    assert content_hash(folder) == before


def test_the_same_attempt_has_the_same_bytes_in_every_store(tmp_path, layout, make_episode):
    one, two = (EpisodeStore(tmp_path / name, layout) for name in ("one", "two"))
    assert content_hash(one.write(make_episode())) == content_hash(two.write(make_episode()))


def test_the_content_hash_knows_images_numbers_and_info(store, make_episode):
    records = [
        make_episode("a"),
        make_episode("b", shade=90),
        make_episode("c", seed=2),
        make_episode("d", task="stack"),
    ]
    for record in records:
        store.write(record)
    assert len({store.content_hash(uid) for uid in "abcd"}) == 4


def test_pixel_counts_are_those_of_the_recorded_frames(store, make_episode):
    record = make_episode()
    store.write(record)
    for camera, counts in store.pixel_counts(UID).items():
        red = record.images[camera][..., 0]
        np.testing.assert_array_equal(counts[0], np.bincount(red.ravel(), minlength=256))


def test_what_the_policy_asked_for_reads_back_with_its_gaps(store, make_episode):
    record = make_episode()
    asked = record.action * 2
    asked[[0, 3]] = np.nan
    store.write(replace(record, policy_action=asked))
    np.testing.assert_array_equal(np.stack(store.table(UID)["recap.policy_action"]), asked)
    with pytest.raises(ValueError, match=r"policy_action must be float32 \(6, 2\)"):
        store.write(replace(record, policy_action=asked[1:]))


def test_where_nobody_asked_the_policy_its_action_is_unknown(store, make_episode):
    store.write(make_episode())
    assert np.isnan(np.stack(store.table(UID)["recap.policy_action"])).all()


def test_an_episode_from_before_the_policys_action_reads_as_if_nobody_had_asked(
    store, make_episode
):
    table = store.write(make_episode()) / "data/chunk-000/file-000.parquet"
    now = store.frames(UID)
    pq.write_table(now.drop_columns(["recap.policy_action"]), table)
    before = store.frames(UID)
    assert before.schema.equals(now.schema, check_metadata=True)
    assert str(before.to_pandas().to_dict()) == str(now.to_pandas().to_dict())


@pytest.mark.parametrize("name", ["state", "action"])
def test_a_number_that_is_not_finite_is_refused(store, make_episode, name):
    record = make_episode()
    getattr(record, name)[3, 1] = np.nan
    with pytest.raises(EpisodeError) as caught:
        store.write(record)
    assert str(caught.value) == f"{UID}: the {name} of frame 3 is not finite."
    assert store.uids() == []


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda r: {"state": r.state.astype(np.float64)}, r"state must be float32 \(6, 3\)"),
        (lambda r: {"action": r.action[:-1]}, r"action must be .* got float32 \(5, 2\)"),
        (lambda r: {"images": {"front": r.images["front"]}}, r"images\['wrist'\] .* got nothing"),
        (lambda r: {"images": {**r.images, "top": r.images["wrist"]}}, "do not fit the layout"),
        (lambda r: {"pilot": r.pilot[:-1]}, "6 frames and 5 pilots do not fit"),
        (lambda _: {"pilot": [Pilot.EXPERT] * 6}, "6 corrected frames, the info says otherwise"),
    ],
)
def test_a_record_that_contradicts_itself_is_a_programmers_mistake(
    store, make_episode, change, message
):
    record = make_episode()
    with pytest.raises(ValueError, match=message):
        store.write(replace(record, **change(record)))


def test_a_robot_with_one_state_and_one_action_can_be_recorded(tmp_path, layout, make_episode):
    small = replace(layout, state_names=("x",), action_names=("dx",))
    record = make_episode()
    record = replace(record, state=record.state[:, :1], action=record.action[:, :1])
    store = EpisodeStore(tmp_path, small)
    store.write(record)
    store.verify(UID)
    np.testing.assert_array_equal(store.table(UID)["action"], record.action[:, 0])


def test_a_robot_without_cameras_can_be_recorded(tmp_path, layout, make_episode):
    store = EpisodeStore(tmp_path, replace(layout, cameras={}))
    store.write(replace(make_episode(), images={}))
    store.verify(UID)


def test_a_session_is_kept_and_guarded_by_the_hash(store, make_episode):
    sat = replace(make_episode(), info=replace(make_episode().info, session="morning"))
    store.write(sat)
    assert store.info(UID).session == "morning"
    store.verify(UID)
    sidecar = store.root / UID / "meta" / "recap.json"
    sidecar.write_text(sidecar.read_text().replace('"morning"', '"evening"'))
    with pytest.raises(EpisodeError, match="changed after they were written"):
        EpisodeStore(store.root, store.layout).verify(UID)


def test_an_episode_from_before_there_were_sessions_opens_and_verifies(store, make_episode):
    store.write(make_episode())
    assert "session" not in (store.root / UID / "meta" / "recap.json").read_text()
    assert store.info(UID).session == ""
    store.verify(UID)
