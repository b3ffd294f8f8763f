"""What happened to the folder, and the exact words that the user reads."""

import json
from dataclasses import replace

import pytest

from data.episodes import EpisodeStore
from data.errors import EpisodeError
from data.files import content_hash

UID = "rollout-01-00000001"
VIDEO = "videos/observation.images.front/chunk-000/file-000.mp4"
TABLE = "data/chunk-000/file-000.parquet"


@pytest.fixture
def folder(store, make_episode):
    return store.write(make_episode())


def edit(path, change):
    content = json.loads(path.read_text())
    change(content)
    path.write_text(json.dumps(content))


def swap_two_bytes(path):
    content = bytearray(path.read_bytes())
    middle = len(content) // 2
    content[middle] ^= 0xFF
    path.write_bytes(content)


@pytest.mark.parametrize(
    ("damage", "reason"),
    [
        (lambda f: (f / "meta/recap.json").unlink(), "meta/recap.json is missing"),
        (
            lambda f: (f / "meta/recap.json").write_text('{"info": {'),
            "meta/recap.json is not valid JSON",
        ),
        (
            lambda f: edit(f / "meta/recap.json", lambda c: c.pop("content_hash")),
            "meta/recap.json does not describe an episode",
        ),
        (
            lambda f: edit(f / "meta/recap.json", lambda c: c["info"].pop("task")),
            "meta/recap.json: missing or unknown field(s): task",
        ),
        (lambda f: (f / VIDEO).unlink(), f"{VIDEO} is missing"),
        (lambda f: (f / TABLE).unlink(), f"{TABLE} is missing"),
        (lambda f: (f / "meta/info.json").unlink(), "meta/info.json is missing"),
        (
            lambda f: edit(f / "meta/info.json", lambda c: c.pop("features")),
            "meta/info.json has no usable 'features'",
        ),
        (lambda f: swap_two_bytes(f / VIDEO), "its files changed after they were written"),
        (lambda f: (f / TABLE).write_bytes(b""), "its files changed after they were written"),
        (
            lambda f: edit(f / "meta/recap.json", lambda c: c["info"].update(task="another")),
            "its files changed after they were written",
        ),
    ],
)
def test_a_damaged_episode_says_what_is_wrong_and_what_to_do(store, folder, damage, reason):
    damage(folder)
    before = content_hash(folder)
    with pytest.raises(EpisodeError) as caught:
        store.verify(UID)
    assert str(caught.value) == (
        f"{folder} is not a whole episode: {reason}. Move the folder away or delete it; the "
        f"attempt can then be recorded again."
    )
    assert content_hash(folder) == before


def test_a_whole_episode_verifies(store, folder):
    store.verify(folder.name)


def test_an_unknown_uid_is_named(store):
    with pytest.raises(EpisodeError) as caught:
        store.info("nobody")
    assert str(caught.value) == f"There is no episode 'nobody' in {store.root}."


def test_a_renamed_folder_is_noticed(store, folder):
    folder.rename(store.root / "copy")
    with pytest.raises(EpisodeError, match=f"it holds '{UID}', so the folder was renamed"):
        store.info("copy")


def test_a_table_that_cannot_be_read_names_the_folder(store, folder):
    (folder / TABLE).write_bytes(b"not parquet at all")
    with pytest.raises(EpisodeError, match=f"{UID} is not a whole episode: Parquet magic bytes"):
        store.table(UID)


def test_an_episode_of_another_robot_is_not_merged(store, folder, layout):
    other = EpisodeStore(store.root, replace(layout, fps=30, robot_type="other_arm"))
    with pytest.raises(EpisodeError) as caught:
        other.verify(UID)
    assert str(caught.value) == (
        f"{folder} was recorded with another robot or camera setting than this project has: fps "
        f"was 30, is 20; robot_type was other_arm, is test_arm. Move it away; it cannot be merged."
    )
