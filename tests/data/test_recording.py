"""An attempt that is written while it is being made."""

import errno
import resource
import threading
import time
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from data.episodes import EpisodeStore
from data.errors import EpisodeError
from data.files import content_hash
from data.pictures import PictureWriter
from data.recording import EpisodeRecorder
from data.schema import Pilot

UID = "rollout-01-00000001"


def frame(record, step):
    """Give one frame of a record as the recorder takes it."""
    asked = record.policy_action
    return {
        "images": {camera: images[step] for camera, images in record.images.items()},
        "state": record.state[step],
        "action": record.action[step],
        "pilot": record.pilot[step],
        "policy_action": None if asked is None else asked[step],
    }


def record_all(recorder, record, *, every_s=0.0):
    for step in range(record.info.frames):
        recorder.add(**frame(record, step))
        time.sleep(every_s)


def record_and_finish(recorder, record):
    record_all(recorder, record)
    recorder.finish(record.info)


def leftovers(store):
    return [path.name for path in store.root.rglob("*")]


@pytest.fixture
def recorder(store):
    with EpisodeRecorder(store) as opened:
        yield opened


@pytest.fixture
def narrow_recorder(store):
    with EpisodeRecorder(store, most_waiting_frames=4) as opened:
        yield opened


@pytest.fixture
def held_encoders(monkeypatch):
    """Keep the encoders waiting until the event is set."""
    may_encode = threading.Event()
    encode = PictureWriter.add

    def wait_and_encode(self, pixels):
        may_encode.wait(10)
        encode(self, pixels)

    monkeypatch.setattr(PictureWriter, "add", wait_and_encode)
    yield may_encode
    may_encode.set()


@settings(
    max_examples=8, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(frames=st.integers(1, 30), asks=st.booleans(), seed=st.integers(0, 99), data=st.data())
def test_it_has_the_bytes_of_the_same_attempt_written_at_the_end(
    tmp_path_factory, layout, make_episode, frames, asks, seed, data
):
    pilot = data.draw(st.lists(st.sampled_from(Pilot), min_size=frames, max_size=frames))
    record = make_episode(frames=frames, pilot=pilot, seed=seed)
    if asks:
        record = replace(record, policy_action=record.action * 2)
        record.policy_action[0] = np.nan
    folder = tmp_path_factory.mktemp("stores")
    written = EpisodeStore(folder / "written", layout)
    recorded = EpisodeStore(folder / "recorded", layout)
    recorder = EpisodeRecorder(recorded)
    record_all(recorder, record)
    assert recorder.frames == frames
    assert content_hash(recorder.finish(record.info)) == content_hash(written.write(record))
    assert recorded.content_hash(UID) == written.content_hash(UID)
    recorded.verify(UID)


def test_what_the_policy_asked_for_is_unknown_where_nobody_asked(store, recorder, make_episode):
    record = make_episode(frames=3)
    for step in range(3):
        asked = record.action[step] + 1 if step == 1 else None
        recorder.add(**{**frame(record, step), "policy_action": asked})
    recorder.finish(record.info)
    nothing = [np.nan, np.nan]
    np.testing.assert_array_equal(
        np.stack(store.table(UID)["recap.policy_action"]),
        np.array([nothing, record.action[1] + 1, nothing], dtype=np.float32),
    )


def test_the_caller_may_use_its_arrays_again(tmp_path, layout, store, held_encoders, make_episode):
    record = make_episode(frames=4)
    reused = {
        "images": {camera: np.empty_like(images[0]) for camera, images in record.images.items()},
        "state": np.empty(3, dtype=np.float32),
        "action": np.empty(2, dtype=np.float32),
    }
    with EpisodeRecorder(store) as recorder:
        for step in range(4):
            for camera, images in record.images.items():
                reused["images"][camera][:] = images[step]
            reused["state"][:], reused["action"][:] = record.state[step], record.action[step]
            recorder.add(**reused, pilot=record.pilot[step])
        held_encoders.set()
        recorder.finish(record.info)
    written = EpisodeStore(tmp_path / "written", layout)
    written.write(record)
    assert store.content_hash(UID) == written.content_hash(UID)


def test_nothing_is_in_the_store_until_it_is_finished(store, recorder, make_episode):
    record = make_episode()
    record_all(recorder, record)
    assert store.uids() == []
    assert recorder.finish(record.info) == store.root / UID
    assert store.uids() == [UID]
    assert list((store.root / ".partial").iterdir()) == []


def test_what_is_abandoned_or_left_unfinished_leaves_nothing(store, make_episode):
    threads = threading.active_count()
    record = make_episode(frames=3)
    abandoned = EpisodeRecorder(store)
    record_all(abandoned, record)
    abandoned.abandon()
    abandoned.abandon()
    with EpisodeRecorder(store) as unfinished:
        unfinished.add(**frame(record, 0))
    EpisodeRecorder(store).abandon()
    assert leftovers(store) == [".partial"]
    assert threading.active_count() == threads


def test_after_the_end_there_is_no_more_of_it(recorder, make_episode):
    record = make_episode(frames=2)
    record_all(recorder, record)
    recorder.finish(record.info)
    for again in (lambda: recorder.add(**frame(record, 0)), lambda: recorder.finish(record.info)):
        with pytest.raises(ValueError, match="This recording has ended"):
            again()


def test_encoders_that_fall_behind_are_told_instead_of_dropping_frames(
    store, narrow_recorder, held_encoders, make_episode
):
    record, recorder = make_episode(frames=5), narrow_recorder
    for step in range(4):
        recorder.add(**frame(record, step))
        assert recorder.waiting_frames == step + 1
    with pytest.raises(EpisodeError) as caught:
        recorder.add(**frame(record, 4))
    assert str(caught.value) == (
        "The recording is 4 frames (0.2 s) behind the cameras: this machine cannot encode them as "
        "fast as they come, and none may be dropped. Use fewer or smaller cameras, or a lower "
        "rate, or free the processor."
    )
    held_encoders.set()
    assert recorder.frames == 4
    assert recorder.is_open
    recorder.finish(replace(record.info, frames=4))  # what was taken until then is whole
    store.verify(UID)
    assert len(store.table(UID)) == 4


def test_a_waiting_room_that_empties_takes_frames_again(
    narrow_recorder, held_encoders, make_episode
):
    recorder = narrow_recorder
    record = make_episode(frames=8)
    for step in range(4):
        recorder.add(**frame(record, step))
    held_encoders.set()
    deadline = time.monotonic() + 10
    while recorder.waiting_frames and time.monotonic() < deadline:
        time.sleep(0.001)
    for step in range(4, 8):
        recorder.add(**frame(record, step))
    recorder.finish(record.info)


def test_a_disk_that_is_full_ends_the_recording_and_leaves_nothing(
    store, recorder, monkeypatch, make_episode
):
    def full(self, pixels):
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(PictureWriter, "add", full)
    record = make_episode(frames=100)
    with pytest.raises(EpisodeError) as caught:
        record_all(recorder, record, every_s=0.002)
    assert str(caught.value) == (
        f"An attempt cannot be written to {store.root} (No space left on device). Nothing of it "
        f"was kept: make room there, or check the disk, and record it again."
    )
    assert not recorder.is_open
    assert leftovers(store) == [".partial"]


def test_a_file_that_may_not_grow_is_noticed_at_the_latest_at_the_end(store, layout, make_episode):
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    rng = np.random.default_rng(0)
    record = make_episode(frames=60)
    images = {c: rng.integers(0, 255, i.shape, dtype=np.uint8) for c, i in record.images.items()}
    record = replace(record, images=images)
    recorder = EpisodeRecorder(store)
    resource.setrlimit(resource.RLIMIT_FSIZE, (50_000, hard))
    try:
        with pytest.raises(EpisodeError, match="File too large"):
            record_and_finish(recorder, record)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
    recorder.abandon()
    assert leftovers(store) == [".partial"]


def test_an_encoder_that_lost_a_frame_is_noticed(store, recorder, monkeypatch, make_episode):
    encode, calls = PictureWriter.add, []

    def lose_the_third(self, pixels):
        calls.append(self)
        if calls.count(self) != 3:
            encode(self, pixels)

    monkeypatch.setattr(PictureWriter, "add", lose_the_third)
    record = make_episode()
    record_all(recorder, record)
    with pytest.raises(EpisodeError, match="the video of camera 'front' has 5 of 6 frames"):
        recorder.finish(record.info)
    assert leftovers(store) == [".partial"]


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda f: {"images": {}}, r"images are of \[\], the layout has \['front', 'wrist'\]"),
        (
            lambda f: {"images": {**f["images"], "wrist": np.zeros((16, 16, 3))}},
            r"images\['wrist'\] must be uint8 \(16, 16, 3\), got float64 \(16, 16, 3\)",
        ),
        (lambda f: {"state": f["state"][:2]}, r"state must be float32 \(3,\), got float32 \(2,\)"),
        (lambda f: {"action": f["state"]}, r"action must be float32 \(2,\)"),
        (lambda f: {"policy_action": f["state"]}, r"policy_action must be float32 \(2,\)"),
    ],
)
def test_a_frame_that_does_not_fit_is_not_taken(recorder, make_episode, change, message):
    record = make_episode(frames=2)
    good = frame(record, 0)
    recorder.add(**good)
    with pytest.raises(ValueError, match=message):
        recorder.add(**{**good, **change(good)})
    assert recorder.frames == 1
    recorder.add(**frame(record, 1))
    recorder.finish(record.info)


@pytest.mark.parametrize("name", ["state", "action"])
def test_a_number_that_is_not_finite_is_refused_when_it_comes(recorder, make_episode, name):
    record = make_episode()
    recorder.add(**frame(record, 0))
    bad = frame(record, 1)
    bad[name] = np.full_like(bad[name], np.inf)
    with pytest.raises(EpisodeError) as caught:
        recorder.add(**bad)
    assert str(caught.value) == f"The {name} of frame 1 is not finite."
    assert recorder.frames == 1


def test_an_info_that_contradicts_the_frames_can_be_mended(store, recorder, make_episode):
    record = make_episode(frames=3)
    with pytest.raises(ValueError, match="0 frames and 0 pilots"):
        recorder.finish(replace(record.info, frames=0))
    record_all(recorder, record)
    with pytest.raises(ValueError, match=r"state must be float32 \(4, 3\), got float32 \(3, 3\)"):
        recorder.finish(replace(record.info, frames=4))
    recorder.finish(record.info)
    store.verify(UID)


def test_the_same_attempt_again_is_harmless_and_another_one_is_refused(store, make_episode):
    record = make_episode()
    before = content_hash(store.write(record))
    with EpisodeRecorder(store) as recorder:
        record_all(recorder, record)
        assert recorder.finish(record.info) == store.root / UID
    other = make_episode(shade=90)
    with EpisodeRecorder(store) as recorder:
        record_all(recorder, other)
        with pytest.raises(EpisodeError, match="already holds another attempt under the same name"):
            recorder.finish(other.info)
    assert content_hash(store.root / UID) == before
    assert store.write(record) == store.root / UID
    assert list((store.root / ".partial").iterdir()) == []


def test_a_robot_without_cameras_can_be_recorded(tmp_path, layout, make_episode):
    store = EpisodeStore(tmp_path, replace(layout, cameras={}))
    record = replace(make_episode(), images={})
    with EpisodeRecorder(store) as recorder:
        record_all(recorder, record)
        assert recorder.waiting_frames == 0
        recorder.finish(record.info)
    store.verify(UID)


def test_two_recorders_may_work_in_one_store_at_once(store, make_episode):
    one, two = make_episode("one"), make_episode("two", seed=2)
    with EpisodeRecorder(store) as first, EpisodeRecorder(store) as second:
        for step in range(6):
            first.add(**frame(one, step))
            second.add(**frame(two, step))
            assert store.sweep_partials() == []
        first.finish(one.info)
        second.finish(two.info)
    for uid in store.uids():
        store.verify(uid)
    assert store.uids() == ["one", "two"]
