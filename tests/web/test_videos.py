import os
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from data.lerobot_format import video_path
from data.outcomes import OutcomeStore
from data.verdicts import DecisionRule
from recap.web import stretches
from recap.web.app import create_app
from recap.web.videos import stretch_asked, video_address, video_parts

UID = "rollout-01-00000002"


@pytest.fixture(scope="module")
def served(tmp_path_factory, make_project, talk_to):
    project = make_project(tmp_path_factory.mktemp("videos") / "square", episodes=3)
    store = OutcomeStore(project.outcomes)
    app = create_app(project, store, rule=DecisionRule())
    app.state.desk.catalogue.refresh()
    with talk_to(app) as client:
        yield project, client, app.state.desk.catalogue
    app.state.desk.close()
    store.close()


@pytest.fixture
def client(served):
    return served[1]


@pytest.fixture
def video(served):
    return served[0].episodes.joinpath(*video_parts(UID, "front")).read_bytes()


@pytest.fixture
def address(served):
    return video_address(UID, "front", served[2].infos[UID].content_hash)


def test_a_video_is_sent_whole_with_its_length_and_kind(client, address, video):
    answer = client.get(address)
    assert (answer.status_code, answer.content) == (200, video)
    assert answer.headers["content-type"] == "video/mp4"
    assert answer.headers["content-length"] == str(len(video))
    assert answer.headers["accept-ranges"] == "bytes"
    assert "content-range" not in answer.headers


def test_videos_lie_where_the_episode_store_puts_them():
    assert "/".join(video_parts("episode", "wrist")) == f"episode/{video_path('wrist', 0)}"


@pytest.mark.parametrize(
    ("wanted", "start", "stop"),
    [
        ("bytes=0-0", 0, 1),
        ("bytes=0-9", 0, 10),
        ("bytes=10-", 10, None),
        ("bytes=-5", -5, None),
        ("bytes=0-999999999", 0, None),
        ("bytes=-999999999", 0, None),
        (" bytes=3-4 ", 3, 5),
    ],
)
def test_a_player_gets_the_stretch_it_asks_for(client, address, video, wanted, start, stop):
    answer = client.get(address, headers={"Range": wanted})
    first, last, _ = slice(start, stop).indices(len(video))
    assert (answer.status_code, answer.content) == (206, video[start:stop])
    assert answer.headers["content-range"] == f"bytes {first}-{last - 1}/{len(video)}"
    assert answer.headers["content-length"] == str(last - first)


@pytest.mark.parametrize("beyond", ["bytes={}-", "bytes={}-99999999", "bytes=-0"])
def test_a_stretch_behind_the_end_is_refused_with_the_size(client, address, video, beyond):
    answer = client.get(address, headers={"Range": beyond.format(len(video))})
    assert answer.status_code == 416
    assert answer.headers["content-range"] == f"bytes */{len(video)}"
    assert answer.json() == {
        "detail": f"The video has {len(video)} bytes; it ends before the stretch begins."
    }


def test_what_a_browser_has_is_not_sent_again(client, address):
    tag = client.get(address).headers["etag"]
    for known in (tag, f"W/{tag}", f'"other", {tag}', "*"):
        answer = client.get(address, headers={"If-None-Match": known, "Range": "bytes=0-1"})
        assert (answer.status_code, answer.content) == (304, b"")
        assert answer.headers["etag"] == tag
    assert client.get(address, headers={"If-None-Match": '"other"'}).status_code == 200


def test_the_rest_of_another_file_is_not_sent_as_the_rest_of_this_one(client, address, video):
    tag = client.get(address).headers["etag"]
    same = client.get(address, headers={"Range": "bytes=5-", "If-Range": tag})
    assert (same.status_code, same.content) == (206, video[5:])
    for other in ('"other"', f"W/{tag}", "Sat, 21 Nov 2026 00:00:00 GMT"):
        answer = client.get(address, headers={"Range": "bytes=5-", "If-Range": other})
        assert (answer.status_code, answer.content) == (200, video)


def test_a_head_tells_the_length_and_knows_no_ranges(client, address, video):
    answer = client.head(address, headers={"Range": "bytes=0-1"})
    assert (answer.status_code, answer.content) == (200, b"")
    assert answer.headers["content-length"] == str(len(video))


def test_a_video_is_kept_for_ever_only_under_the_name_of_its_content(client, address):
    assert client.get(address).headers["cache-control"].endswith("immutable")
    for other in (address.split("?")[0], f"{address}0", f"{address[:-1]}"):
        assert client.get(other).headers["cache-control"] == "private, no-cache"


def test_two_projects_name_the_video_of_the_same_episode_differently():
    one, two = (video_address(UID, "front", digit * 64) for digit in "ab")
    assert one == f"/videos/{UID}/front.mp4?v=aaaaaaaaaaaaaaaa"
    assert one != two
    assert video_address("e", "left arm/1", "c" * 64).startswith("/videos/e/left%20arm%2F1.mp4?")


@pytest.mark.parametrize(
    ("address", "words"),
    [
        ("/videos/rollout-01-99999999/front.mp4", "There is no episode of this name."),
        (f"/videos/{UID}/back.mp4", "There is no camera of this name."),
    ],
)
def test_an_unknown_video_is_named(client, address, words):
    answer = client.get(address)
    assert (answer.status_code, answer.json()) == (404, {"detail": words})


def test_a_video_that_was_removed_is_missing_not_broken(served, client):
    project, _, _ = served
    project.episodes.joinpath(*video_parts("rollout-01-00000001", "wrist")).unlink()
    answer = client.get("/videos/rollout-01-00000001/wrist.mp4")
    assert (answer.status_code, answer.json()["detail"]) == (
        404,
        "The video of this camera is missing.",
    )


def test_a_long_video_is_read_in_pieces(client, address, video, monkeypatch):
    monkeypatch.setattr(stretches, "CHUNK_BYTES", 100)
    sizes, pread = [], os.pread

    def noted(handle, count, offset):
        sizes.append(count)
        return pread(handle, count, offset)

    monkeypatch.setattr(os, "pread", noted)
    assert client.get(address, headers={"Range": "bytes=7-256"}).content == video[7:257]
    assert sizes == [100, 100, 50]


def test_no_file_stays_open(client, address):
    client.get(address)
    before = len(list(Path("/proc/self/fd").iterdir()))
    for headers in ({}, {"Range": "bytes=1-2"}, {"Range": "bytes=999999999-"},
                    {"If-None-Match": "*"}):  # fmt: skip
        client.get(address, headers=headers)
        client.head(address, headers=headers)
    client.get(f"/videos/{UID}/back.mp4")
    assert len(list(Path("/proc/self/fd").iterdir())) == before


@given(size=st.integers(0, 50), first=st.integers(0, 60), last=st.integers(0, 60))
def test_a_stretch_holds_exactly_the_bytes_between_its_ends(size, first, last):
    content = bytes(range(size))
    asked = stretch_asked(f"bytes={first}-{last}", size)
    if last < first:
        assert asked is None
    else:
        assert content[slice(*asked)] == content[first : last + 1]
        assert (asked[0] == asked[1]) == (first >= size)


@given(size=st.integers(0, 50), count=st.integers(0, 60))
def test_a_stretch_from_the_end_holds_that_many_bytes(size, count):
    start, stop = stretch_asked(f"bytes=-{count}", size)
    assert (stop - start, stop) == (min(count, size), size)


@given(st.text(max_size=30))
def test_whatever_a_range_header_says_it_is_read_or_ignored(value):
    asked = stretch_asked(value, 10)
    assert asked is None or 0 <= asked[0] <= asked[1] <= 10
