"""Frames that are reduced when they are decoded, and images that are reduced in memory."""

import cv2
import numpy as np
import pytest

from data.errors import ConfigError
from data.frame_cache import FrameCache, Video
from data.frames import TrainsetFrames, decode_episode
from data.frames_config import GIB, FramesConfig
from data.reduction import reduce_image, reduce_images
from data.video_reader import VideoReader
from data.videos import VideoWriter, decode_video

SMALL = {"front": (16, 24)}
WAYS = {
    "in memory": FramesConfig(),
    "in memory, and no room on disk": FramesConfig(cache_gib=1 / GIB),
    "on disk": FramesConfig(memory_gib=0.0),
    "in windows": FramesConfig(cache_gib=28_000 / GIB, memory_gib=0.0),
}


@pytest.fixture
def scene(tmp_path):
    """A video of things that move over a shaded ground, 480 x 640 pixels."""
    rows, columns = np.mgrid[:480, :640]
    writer = VideoWriter(tmp_path / "scene.mp4", size=(480, 640), fps=20)
    for t in range(6):
        frame = np.stack([rows / 2, columns / 3, (rows + columns) / 5], axis=2)
        frame[100:180, 200 + 9 * t : 290 + 9 * t] = (220, 40, 30)
        frame[300:340, 100:500] = (20, 200, 60)
        writer.add(frame.astype(np.uint8))
    writer.close()
    return tmp_path / "scene.mp4"


def test_a_frame_reduced_as_it_is_decoded_is_nearly_the_decoded_frame_reduced(scene):
    full = decode_video(scene)
    reduced = np.empty((6, 72, 96, 3), dtype=np.uint8)
    with VideoReader(scene, frames=6, size=(72, 96)) as reader:
        reader.read_into(range(6), reduced)
    error = np.abs(reduced.astype(int) - reduce_images(full, (72, 96)).astype(int))
    assert error.mean() < 1.5
    assert error.max() <= 4
    moved = np.abs(np.diff(reduced.astype(int), axis=0)).mean()
    assert moved > 0.5  # what is compared shows something


def test_a_pixel_is_the_mean_of_the_area_it_stands_for():
    image = np.arange(4 * 8 * 3, dtype=np.uint8).reshape(4, 8, 3)
    means = image.reshape(2, 2, 2, 4, 3).mean(axis=(1, 3))
    np.testing.assert_allclose(reduce_image(image, (2, 2)), means, atol=0.5)
    np.testing.assert_array_equal(
        reduce_images(image[None], (2, 2))[0],
        cv2.resize(image, (2, 2), interpolation=cv2.INTER_AREA),
    )


def test_images_of_the_size_that_is_wanted_are_not_copied():
    images = np.zeros((2, 4, 8, 3), dtype=np.uint8)
    assert reduce_images(images, (4, 8)) is images


@pytest.mark.parametrize("way", WAYS)
def test_reduced_frames_are_the_same_wherever_they_are_kept(trainset, store, tmp_path, way):
    frames = TrainsetFrames(trainset, tmp_path / "cache", WAYS[way], sizes=SMALL)
    assert frames.fits == (way != "in windows")
    assert frames["front"].shape == (16, 16, 24, 3)
    expected = []
    for episode in trainset.episodes:
        pixels = np.empty((episode.info.frames, 16, 24, 3), dtype=np.uint8)
        path = store.root / episode.info.uid / "videos/observation.images.front/chunk-000"
        with VideoReader(path / "file-000.mp4", frames=len(pixels), size=(16, 24)) as reader:
            reader.read_into(range(len(pixels)), pixels)
        expected.append(pixels)
    np.testing.assert_array_equal(frames["front"][:], np.concatenate(expected))
    whole = np.concatenate(
        [decode_episode(store.root / e.info.uid, "wrist") for e in trainset.episodes]
    )
    np.testing.assert_array_equal(frames["wrist"][:], whole)  # not named: as recorded, to the bit
    in_order = list(frames.in_order([np.arange(9), np.arange(9, 16)]))
    read = np.concatenate([batch["front"] for batch in in_order])
    np.testing.assert_array_equal(read, np.concatenate(expected))


def test_full_and_reduced_frames_lie_side_by_side(trainset, tmp_path):
    root = tmp_path / "cache"
    recorded = {"front": (32, 48), "wrist": (16, 16)}
    full = TrainsetFrames(trainset, root, FramesConfig())["front"][:]
    names = {path.name for path in root.iterdir()}
    for sizes in (None, recorded):
        frames = TrainsetFrames(trainset, root, FramesConfig(memory_gib=0.0), sizes=sizes)
        np.testing.assert_array_equal(frames["front"][:], full)
        names |= {path.name for path in root.iterdir()}
    assert len(names) == 6  # three episodes by two cameras: the recorded size has no other name
    small = TrainsetFrames(trainset, root, FramesConfig(memory_gib=0.0), sizes=SMALL)["front"][:]
    assert small.shape == (16, 16, 24, 3)
    new = {path.name for path in root.iterdir()} - names
    assert len(new) == 3
    assert all("-16x24.front" in name for name in new)
    again = TrainsetFrames(trainset, root, FramesConfig(memory_gib=0.0))["front"][:]
    np.testing.assert_array_equal(again, full)


def test_no_camera_is_called_like_the_reduced_frames_of_another(trainset, tmp_path):
    frames = TrainsetFrames(trainset, tmp_path / "cache", sizes=SMALL)
    uid, rest = frames.video("front", 0).name.split(".", 1)
    assert uid == trainset.episodes[0].info.uid
    assert rest == f"{trainset.episodes[0].content_hash[:8]}-16x24.front.npy"


def test_bounds_count_what_reduced_frames_take(trainset, tmp_path):
    bound = FramesConfig(cache_gib=20_000 / GIB, memory_gib=0.0)
    with pytest.raises(ConfigError, match="The largest episode takes"):
        TrainsetFrames(trainset, tmp_path / "cache", bound)
    sizes = {"front": (8, 8), "wrist": (8, 8)}
    frames = TrainsetFrames(trainset, tmp_path / "cache", bound, sizes=sizes)
    assert frames.total_bytes == 16 * 2 * 8 * 8 * 3 + 6 * 128
    assert frames.fits


def test_a_file_of_reduced_frames_is_an_ordinary_array(scene, tmp_path):
    video = Video(name="small.npy", source=scene, shape=(6, 72, 96, 3), is_reduced=True)
    frames = FrameCache(tmp_path / "cache", most_bytes=10**7).frames(video)
    kept = np.load(tmp_path / "cache/small.npy", allow_pickle=False)
    np.testing.assert_array_equal(kept, frames)
    assert kept.shape == (6, 72, 96, 3)
