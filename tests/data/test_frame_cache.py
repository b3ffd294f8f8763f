"""The cache of decoded frames: bounded, whole, shared, and clear when there is no room."""

import errno
import json
import os
import subprocess
import sys
import threading
import time
from pathlib import Path

import numpy as np
import pytest

from data import frame_cache as frame_cache_module
from data.errors import ConfigError, EpisodeError, ProjectError
from data.frame_cache import FrameCache, Video
from data.videos import VideoWriter, decode_video

FRAMES, SIDE = 6, 16
FILE_BYTES = 128 + FRAMES * SIDE * SIDE * 3


@pytest.fixture
def videos(tmp_path):
    """Five small videos."""
    made = []
    for number in range(5):
        path = tmp_path / f"{number}.mp4"
        writer = VideoWriter(path, size=(SIDE, SIDE), fps=20)
        for t in range(FRAMES):
            writer.add(np.full((SIDE, SIDE, 3), 40 * number + 4 * t, dtype=np.uint8))
        writer.close()
        shape = (FRAMES, SIDE, SIDE, 3)
        made.append(Video(name=f"{number}.npy", source=path, shape=shape))
    return made


@pytest.fixture
def root(tmp_path):
    return tmp_path / "cache"


def names(root):
    return sorted(path.name for path in root.iterdir())


def held(root):
    return sum(path.stat().st_size for path in root.iterdir())


def test_a_file_is_an_ordinary_array_of_the_videos_frames(videos, root):
    cache = FrameCache(root, most_bytes=10**6)
    assert cache.find(videos[1]) is None
    frames = cache.frames(videos[1])
    np.testing.assert_array_equal(frames, decode_video(videos[1].source))
    np.testing.assert_array_equal(np.load(root / "1.npy", allow_pickle=False), frames)
    assert cache.used_bytes() == held(root) == FILE_BYTES
    with pytest.raises(ValueError, match="read-only"):
        frames[0] = 0


def test_the_least_recently_opened_make_room_and_the_bound_holds(videos, root):
    cache = FrameCache(root, most_bytes=3 * FILE_BYTES)
    for video in videos[:3]:
        cache.frames(video)
        time.sleep(0.02)
    # Another process looks at the oldest: it is the newest now.
    FrameCache(root, most_bytes=3 * FILE_BYTES).frames(videos[0])
    cache.frames(videos[3])
    assert names(root) == ["0.npy", "2.npy", "3.npy"]
    for video in videos * 3:
        np.testing.assert_array_equal(cache.frames(video), decode_video(video.source))
        assert held(root) <= 3 * FILE_BYTES


def test_what_is_kept_never_makes_room(videos, root):
    cache = FrameCache(root, most_bytes=3 * FILE_BYTES)
    for video in videos[:2]:
        cache.keep(video)
    for video in videos[2:]:
        cache.frames(video)
        assert {"0.npy", "1.npy"} < set(names(root))
    cache.release(videos[0])
    for video in videos[2:]:
        cache.frames(video)
    assert "0.npy" not in names(root)
    assert "1.npy" in names(root)


def test_what_is_kept_twice_is_released_twice(videos, root):
    cache = FrameCache(root, most_bytes=FILE_BYTES, seconds=0.1)
    cache.keep(videos[0])
    cache.keep(videos[0])
    cache.release(videos[0])
    with pytest.raises(ConfigError, match="all of it is in use"):
        cache.frames(videos[1])
    cache.release(videos[0])
    assert len(cache.frames(videos[1])) == FRAMES


def test_what_another_cache_keeps_never_makes_room_and_a_full_one_says_so(videos, root):
    other = FrameCache(root, most_bytes=2 * FILE_BYTES)
    other.keep(videos[0])
    other.keep(videos[1])
    cache = FrameCache(root, most_bytes=2 * FILE_BYTES, seconds=0.1)
    with pytest.raises(ConfigError) as caught:
        cache.frames(videos[2])
    assert str(caught.value) == (
        f"The cache of decoded frames {root} may hold 9.25 KiB, and all of it is in use: there is "
        f"no room for 4.62 KiB more. Give it more with --frames.cache_gib=..., or wait until other "
        f"commands have ended."
    )
    assert names(root) == ["0.npy", "1.npy"]  # and nothing half done


def test_it_waits_for_another_to_make_room(videos, root):
    other = FrameCache(root, most_bytes=FILE_BYTES)
    other.keep(videos[0])
    threading.Timer(0.2, other.release, [videos[0]]).start()
    frames = FrameCache(root, most_bytes=FILE_BYTES).frames(videos[1])
    np.testing.assert_array_equal(frames, decode_video(videos[1].source))


def test_a_cache_smaller_than_a_video_says_what_it_takes(videos, root):
    cache = FrameCache(root, most_bytes=FILE_BYTES - 1)
    with pytest.raises(ConfigError) as caught:
        cache.frames(videos[0])
    assert str(caught.value) == (
        f"{videos[0].source} takes 4.62 KiB decoded, and the cache of decoded frames may hold "
        f"4.62 KiB. Give it more with --frames.cache_gib=..."
    )


def test_a_full_disk_makes_room_in_the_cache_first_and_then_says_so(videos, root, monkeypatch):
    cache = FrameCache(root, most_bytes=10 * FILE_BYTES)
    cache.frames(videos[0])
    real = os.posix_fallocate

    def full(handle, begin, size):
        if len(list(root.glob("*.npy"))) >= limit:
            raise OSError(errno.ENOSPC, "no space")
        real(handle, begin, size)

    monkeypatch.setattr(frame_cache_module.os, "posix_fallocate", full)
    limit = 1
    cache.frames(videos[1])
    assert names(root) == ["1.npy"]
    cache.keep(videos[1])
    with pytest.raises(ProjectError) as caught:
        cache.frames(videos[2])
    assert str(caught.value) == (
        f"The disk is full: 4.62 KiB of decoded frames do not fit into {root}. Free some space; "
        f"what is in that folder may be deleted, and costs only time."
    )
    assert names(root) == ["1.npy"]


@pytest.mark.parametrize("damage", [b"", b"\x93NUMPY", b"x" * FILE_BYTES])
def test_a_file_that_is_not_whole_is_decoded_again(videos, root, damage):
    FrameCache(root, most_bytes=10**6).frames(videos[0])
    (root / "0.npy").write_bytes(damage)
    frames = FrameCache(root, most_bytes=10**6).frames(videos[0])
    np.testing.assert_array_equal(frames, decode_video(videos[0].source))


def test_a_failure_to_decode_leaves_nothing(videos, root):
    videos[0].source.write_bytes(b"not a video")
    cache = FrameCache(root, most_bytes=FILE_BYTES)
    with pytest.raises(EpisodeError, match="cannot be decoded"):
        cache.frames(videos[0])
    assert names(root) == []
    with pytest.raises(EpisodeError, match="cannot be decoded"):
        cache.keep(videos[0])
    assert len(cache.frames(videos[1])) == FRAMES


def test_what_a_killed_process_left_behind_makes_room(videos, root):
    root.mkdir()
    (root / ".4.npy.partial").write_bytes(b"x" * FILE_BYTES)
    cache = FrameCache(root, most_bytes=FILE_BYTES)
    cache.frames(videos[0])
    assert names(root) == ["0.npy"]
    (root / ".1.npy.partial").write_bytes(b"x" * 7)  # and is taken over by who needs it
    np.testing.assert_array_equal(cache.frames(videos[1]), decode_video(videos[1].source))
    assert names(root) == ["1.npy"]


def test_the_folder_may_be_deleted_at_any_time(videos, root):
    cache = FrameCache(root, most_bytes=10**6)
    cache.frames(videos[0])
    for path in root.iterdir():
        path.unlink()
    root.rmdir()
    np.testing.assert_array_equal(cache.frames(videos[0]), decode_video(videos[0].source))
    assert len(cache.frames(videos[1])) == FRAMES


def test_no_more_files_are_open_than_may_be(videos, root, monkeypatch):
    monkeypatch.setattr(frame_cache_module, "MOST_OPEN", 2)
    cache = FrameCache(root, most_bytes=10**6)
    before = len(list(Path("/proc/self/fd").iterdir()))
    cache.keep(videos[0])
    for video in videos * 2:
        np.testing.assert_array_equal(cache.frames(video)[0], decode_video(video.source)[0])
    assert len(list(Path("/proc/self/fd").iterdir())) - before <= 2
    again = FrameCache(root, most_bytes=FILE_BYTES, seconds=0.1)
    with pytest.raises(ConfigError, match="all of it is in use"):
        again.frames(Video(name="new.npy", source=videos[4].source, shape=videos[4].shape))
    assert "0.npy" in names(root)  # what is kept stays open, and so there


READ = """
import json, sys
from pathlib import Path
import numpy as np
from data.frame_cache import FrameCache, Video
root, most, sources, seed = Path(sys.argv[1]), int(sys.argv[2]), sys.argv[3].split(","), sys.argv[4]
rng = np.random.default_rng(int(seed))
cache = FrameCache(root, most_bytes=most)
largest, sums = 0, {}
for number in rng.integers(0, len(sources), 60).tolist():
    video = Video(name=f"{number}.npy", source=Path(sources[number]), shape=(6, 16, 16, 3))
    sums[number] = int(cache.frames(video).sum())
    sizes = []
    for path in root.iterdir():
        try:
            sizes.append(path.stat().st_size)
        except FileNotFoundError:
            pass
    largest = max(largest, sum(sizes))
print(json.dumps([largest, sums]))
"""


def test_processes_share_a_folder_without_exceeding_the_bound(videos, root):
    words = [str(root), str(3 * FILE_BYTES), ",".join(str(video.source) for video in videos)]
    started = [
        subprocess.Popen(
            [sys.executable, "-c", READ, *words, str(seed)],
            stdout=subprocess.PIPE,
            text=True,
            cwd=Path(__file__).parents[2],
        )
        for seed in range(3)
    ]
    truth = {str(n): int(decode_video(v.source).sum()) for n, v in enumerate(videos)}
    for process in started:
        said, _ = process.communicate(timeout=60)
        assert process.returncode == 0
        largest, sums = json.loads(said)
        # A file may be counted twice by who looks: under both of its names, while it is renamed.
        assert largest <= 4 * FILE_BYTES
        assert sums == {number: truth[number] for number in sums}
    assert held(root) <= 3 * FILE_BYTES


def test_threads_that_want_the_same_video_decode_it_once(videos, root, monkeypatch):
    opened = []
    real = frame_cache_module.VideoReader

    def slowly(path, **options):
        opened.append(path)
        time.sleep(0.05)
        return real(path, **options)

    monkeypatch.setattr(frame_cache_module, "VideoReader", slowly)
    cache = FrameCache(root, most_bytes=10**6)
    threads = [threading.Thread(target=cache.frames, args=[videos[0]]) for _ in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert opened == [videos[0].source]
