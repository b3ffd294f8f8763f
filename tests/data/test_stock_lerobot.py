"""The stock LeRobotDataset opens what is written here, and sees what was recorded."""

from dataclasses import replace

import numpy as np
import pytest

from data.recording import EpisodeRecorder
from data.trainset import Trainset

pytestmark = [
    pytest.mark.slow,
    # LeRobot and what it imports warn about themselves; that is not ours to fail on.
    pytest.mark.filterwarnings("ignore"),
]


def assert_same_frame(item, record, step):
    np.testing.assert_array_equal(item["observation.state"].numpy(), record.state[step])
    np.testing.assert_array_equal(item["action"].numpy(), record.action[step])
    asked = np.full(2, np.nan) if record.policy_action is None else record.policy_action[step]
    np.testing.assert_array_equal(item["recap.policy_action"].numpy(), asked)
    for camera, images in record.images.items():
        pixels = item[f"observation.images.{camera}"].permute(1, 2, 0).numpy() * 255
        assert np.abs(pixels - images[step]).mean() < 1.5
    assert item["task"] == record.info.task
    assert item["recap.pilot"] == record.pilot[step]
    assert item["recap.episode_uid"] == record.info.uid
    assert item["recap.policy_id"] == record.info.policy_id
    assert item["frame_index"].item() == step
    assert item["timestamp"].item() == pytest.approx(step / 20, abs=1e-6)


def test_one_episode_opens_as_a_dataset(open_in_lerobot, store, make_episode):
    record = make_episode(frames=9)
    dataset = open_in_lerobot(store.write(record))
    assert (dataset.num_episodes, dataset.num_frames, dataset.fps) == (1, 9, 20)
    for step in range(9):
        assert_same_frame(dataset[step], record, step)


def test_what_the_policy_asked_for_opens_with_its_gaps(open_in_lerobot, store, make_episode):
    record = make_episode(frames=4)
    asked = record.action + 1
    asked[2] = np.nan
    record = replace(record, policy_action=asked)
    dataset = open_in_lerobot(store.write(record))
    for step in range(4):
        assert_same_frame(dataset[step], record, step)
    assert dataset.meta.features["recap.policy_action"]["shape"] == (2,)
    assert "recap.policy_action" not in dataset.meta.stats


def test_an_attempt_that_was_recorded_while_it_was_made_opens_as_a_dataset(
    open_in_lerobot, store, make_episode
):
    record = make_episode(frames=7)
    with EpisodeRecorder(store) as recorder:
        for step in range(7):
            recorder.add(
                images={camera: images[step] for camera, images in record.images.items()},
                state=record.state[step],
                action=record.action[step],
                pilot=record.pilot[step],
            )
        dataset = open_in_lerobot(recorder.finish(replace(record.info, seed=None)))
    assert dataset.num_frames == 7
    for step in range(7):
        assert_same_frame(dataset[step], record, step)


def test_a_merge_opens_as_a_dataset_with_every_frame_in_place(
    open_in_lerobot, trainset, three_episodes
):
    dataset = open_in_lerobot(trainset.root)
    assert (dataset.num_episodes, dataset.num_frames) == (3, 16)
    assert dataset.meta.robot_type == "test_arm"
    for number, (episode, record) in enumerate(zip(trainset.episodes, three_episodes, strict=True)):
        for step, index in enumerate(range(episode.start, episode.stop)):
            item = dataset[index]
            assert_same_frame(item, record, step)
            assert (item["index"].item(), item["episode_index"].item()) == (index, number)


def test_windows_stop_at_the_ends_of_episodes(open_in_lerobot, trainset, three_episodes):
    dataset = open_in_lerobot(
        trainset.root,
        delta_timestamps={
            "action": [0.0, 0.05, 0.1, 0.15],
            "observation.images.front": [-0.05, 0.0],
        },
    )
    item = dataset[10]  # frame 5 of the 7 frames of the second episode
    record = three_episodes[1]
    np.testing.assert_array_equal(item["action"].numpy(), record.action[[5, 6, 6, 6]])
    assert item["action_is_pad"].tolist() == [False, False, True, True]
    pixels = item["observation.images.front"].permute(0, 2, 3, 1).numpy() * 255
    assert np.abs(pixels - record.images["front"][[4, 5]]).mean() < 1.5


def test_an_episode_that_is_cut_after_its_success_ends_there_for_lerobot_too(
    open_in_lerobot, store, three_episodes, outcomes, tmp_path
):
    cut = Trainset.build(
        store,
        outcomes,
        uids=outcomes,
        destination_root=tmp_path / "cut",
        statistics=None,
        success_frames={"rollout-01-00000001": 3},
    )
    ahead = [0.0, 0.05, 0.1]
    dataset = open_in_lerobot(
        cut.root, delta_timestamps={"action": ahead, "observation.images.front": ahead}
    )
    plain = open_in_lerobot(cut.root)
    assert (plain.num_episodes, plain.num_frames) == (3, 5 + 4 + 4)
    for episode, record in zip(cut.episodes, three_episodes, strict=True):
        for step, index in enumerate(range(episode.start, episode.stop)):
            assert_same_frame(plain[index], record, step)
    item, record = dataset[7], three_episodes[1]  # frame 2, the one before the moment of success
    assert item["action_is_pad"].tolist() == [False, False, True]
    np.testing.assert_array_equal(item["action"].numpy(), record.action[[2, 3, 3]])
    pixels = item["observation.images.front"].permute(0, 2, 3, 1).numpy() * 255
    assert np.abs(pixels - record.images["front"][[2, 3, 3]]).mean() < 1.5
    key = "videos/observation.images.front/to_timestamp"
    assert plain.meta.episodes[key] == pytest.approx([5 / 20, 4 / 20, 4 / 20])


def test_one_episode_of_a_merge_can_be_chosen(open_in_lerobot, trainset, three_episodes):
    dataset = open_in_lerobot(trainset.root, episodes=[2])
    assert len(dataset) == 4
    assert_same_frame(dataset[1], three_episodes[2], 1)


def test_lerobot_reads_the_exact_statistics(open_in_lerobot, trainset):
    measured = open_in_lerobot(trainset.root).meta.stats
    state = trainset.state().astype(np.float64)
    np.testing.assert_allclose(
        measured["observation.state"]["q99"], np.quantile(state, 0.99, axis=0)
    )
    assert measured["observation.images.front"]["mean"].shape == (3, 1, 1)


def test_the_files_have_the_columns_and_types_that_lerobot_itself_writes(
    open_in_lerobot, store, make_episode, tmp_path
):
    import pyarrow.parquet as pq
    from lerobot.configs import RGBEncoderConfig
    from lerobot.datasets.lerobot_dataset import LeRobotDataset

    record = make_episode()
    record = replace(record, policy_action=record.action + 1)
    ours = store.write(record)
    features = open_in_lerobot(ours).meta.features
    given = {
        key: {name: value for name, value in feature.items() if name != "info"}
        for key, feature in features.items()
        if "." in key or key == "action"
    }
    theirs = tmp_path / "theirs"
    encoder = RGBEncoderConfig(vcodec="h264", g=2, crf=18, preset="ultrafast")
    dataset = LeRobotDataset.create(
        "test/theirs", 20, given, root=theirs, robot_type="test_arm", rgb_encoder=encoder
    )
    for step in range(record.info.frames):
        images = {f"observation.images.{c}": v[step] for c, v in record.images.items()}
        strings = {
            "recap.pilot": record.pilot[step].value,
            "recap.episode_uid": record.info.uid,
            "recap.policy_id": record.info.policy_id,
        }
        numbers = {
            "observation.state": record.state[step],
            "action": record.action[step],
            "recap.policy_action": record.policy_action[step],
        }
        dataset.add_frame({**images, **strings, **numbers, "task": record.info.task})
    dataset.save_episode()
    dataset.finalize()

    assert open_in_lerobot(theirs).meta.info.to_dict() == open_in_lerobot(ours).meta.info.to_dict()
    for path in (
        "data/chunk-000/file-000.parquet",
        "meta/tasks.parquet",
        "meta/episodes/chunk-000/file-000.parquet",
    ):
        one, two = pq.read_table(ours / path), pq.read_table(theirs / path)
        # Theirs measures what the policy asked for as well; ours does not, for the NaNs in it.
        two = two.select([c for c in two.column_names if "stats/recap.policy_action/" not in c])
        assert dict(zip(one.column_names, one.schema.types, strict=True)) == dict(
            zip(two.column_names, two.schema.types, strict=True)
        )
        if "episodes" not in path:  # those hold statistics, which LeRobot only estimates
            assert one.select(two.column_names).to_pylist() == two.to_pylist()
