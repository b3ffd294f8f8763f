"""The live list of episodes."""

import json
import os
import shutil
import time

import pytest

from data import lerobot_format
from data.episodes import EpisodeStore
from data.schema import RECAP_PATH, Layout, Pilot
from recap.project import Project
from recap.web.desk import catalogue as module
from recap.web.desk import timeline
from recap.web.desk.catalogue import Catalogue, Snapshot

FIRST = "rollout-01-00000000"


def looked(project):
    catalogue = Catalogue(project)
    while catalogue.refresh():
        pass
    return catalogue


def uids(catalogue):
    return [entry.info.uid for entry in catalogue.now.order]


def test_the_path_of_the_table_is_that_of_the_episode_store():
    # It is spelled again because the module that spells it needs pandas.
    assert timeline.TABLE_PATH == lerobot_format.TABLE_PATH


def test_nothing_is_recorded_yet(tmp_path):
    catalogue = looked(Project(tmp_path / "empty"))
    assert catalogue.now == Snapshot()
    assert catalogue.layout is None


def test_it_says_of_every_episode_what_the_store_says(project):
    catalogue = looked(project)
    store = EpisodeStore(project.episodes, catalogue.layout)
    assert {uid: (entry.info, entry.content_hash) for uid, entry in catalogue.infos.items()} == {
        uid: (store.info(uid), store.content_hash(uid)) for uid in store.uids()
    }
    assert (catalogue.pending, catalogue.damaged, catalogue.revision) == (0, (), 6)


def test_the_newest_iteration_comes_first_then_the_uid_decides(
    tmp_path, make_project, add_episodes
):
    project = make_project(tmp_path / "laps", episodes=2, iteration=1)
    add_episodes(project, [7], iteration=0)
    add_episodes(project, [9, 8], iteration=10)
    assert uids(looked(project)) == [
        "rollout-10-00000008",
        "rollout-10-00000009",
        "rollout-01-00000000",
        "rollout-01-00000001",
        "demonstration-00-00000007",
    ]


def test_only_what_is_new_is_read(project, add_episodes, monkeypatch):
    catalogue = looked(project)
    read = []
    real = module._read_entry
    monkeypatch.setattr(module, "_read_entry", lambda at: read.append(at.name) or real(at))
    catalogue.refresh()
    assert read == []
    [added] = add_episodes(project, [6])
    catalogue.refresh()
    assert read == [added]
    assert added in catalogue.infos
    assert catalogue.revision == 7


def test_episodes_show_in_portions_while_the_rest_is_read(project, monkeypatch):
    monkeypatch.setattr(module, "READ_AT_ONCE", 4)
    catalogue = Catalogue(project)
    seen = []
    real = module._read_entry

    def read(folder):
        seen.append((len(catalogue.infos), catalogue.pending))
        return real(folder)

    monkeypatch.setattr(module, "_read_entry", read)
    catalogue.refresh()
    assert seen == [(0, 6)] * 4 + [(4, 2)] * 2
    assert (len(catalogue.infos), catalogue.pending) == (6, 0)


def test_a_snapshot_does_not_change(project, add_episodes):
    catalogue = looked(project)
    before = catalogue.now
    add_episodes(project, [6])
    catalogue.refresh()
    assert (len(before.entries), len(before.order)) == (6, 6)
    assert len(catalogue.infos) == 7
    with pytest.raises(TypeError):
        before.entries["x"] = None


def test_a_removed_episode_disappears(project):
    catalogue = looked(project)
    shutil.rmtree(project.episodes / FIRST)
    catalogue.refresh()
    assert FIRST not in catalogue.infos
    assert FIRST not in uids(catalogue)
    assert catalogue.revision == 7
    shutil.rmtree(project.episodes)
    catalogue.refresh()
    assert (catalogue.infos, catalogue.revision) == ({}, 12)


def test_another_episode_of_the_same_name_replaces_the_first(project, add_episodes):
    catalogue = looked(project)
    before = catalogue.infos[FIRST]
    (project.episodes / FIRST).rename(project.folder / "moved")
    add_episodes(project, [0], frames=30)
    catalogue.refresh()
    after = catalogue.infos[FIRST]
    assert (before.info.frames, after.info.frames) == (24, 30)
    assert before.content_hash != after.content_hash


def test_a_damaged_episode_of_the_same_name_is_not_taken_for_the_first(project):
    catalogue = looked(project)
    (project.episodes / FIRST).rename(project.folder / "moved")
    (project.episodes / FIRST).mkdir()
    catalogue.refresh()
    assert FIRST not in catalogue.infos
    assert catalogue.damaged == (FIRST,)


def cut(path):
    path.write_bytes(path.read_bytes()[:-100])


def cut_in_the_info(path):
    path.write_bytes(path.read_bytes()[:40])


def change(path, **changes):
    sidecar = json.loads(path.read_text())
    path.write_text(json.dumps(sidecar | changes))


def rename(path):
    path.parents[1].rename(path.parents[2] / "copy")


@pytest.mark.parametrize(
    "damage",
    [
        os.remove,
        cut,
        cut_in_the_info,
        lambda path: path.write_text("[]"),
        lambda path: path.write_text('{"info": 3}'),
        lambda path: path.write_bytes(b"\xff\xfe"),
        lambda path: change(path, info={"uid": FIRST}),
        lambda path: change(path, info=None),
        lambda path: shutil.rmtree(path.parent),
        rename,
    ],
)
def test_a_damaged_episode_is_named_and_the_others_are_listed(project, damage):
    damage(project.episodes / FIRST / RECAP_PATH)
    catalogue = looked(project)
    assert len(catalogue.infos) == 5
    assert catalogue.damaged == ("copy" if damage is rename else FIRST,)


def test_a_folder_that_was_still_being_copied_is_tried_again(project, monkeypatch):
    sidecar = project.episodes / FIRST / RECAP_PATH
    sidecar.rename(project.folder / "aside")
    catalogue = looked(project)
    (project.folder / "aside").rename(sidecar)
    catalogue.refresh()
    assert catalogue.damaged == (FIRST,)  # not at every look: it would be read over and over
    now_s = time.monotonic()
    monkeypatch.setattr(time, "monotonic", lambda: now_s + module.LOOK_AGAIN_EVERY_S + 1)
    catalogue.refresh()
    assert catalogue.damaged == ()
    assert FIRST in catalogue.infos


def test_what_is_no_episode_folder_is_left_alone(project):
    (project.episodes / ".partial").mkdir(exist_ok=True)
    (project.episodes / "notes.txt").write_text("by a person")
    catalogue = looked(project)
    assert (len(catalogue.infos), catalogue.damaged) == (6, ())


def test_any_name_of_a_folder_can_be_told_as_json(project):
    os.mkdir(os.fsencode(project.episodes) + b"/\xff")  # noqa: PTH102 - a name that is no text
    assert json.dumps(looked(project).damaged).encode().decode() == '["\\ufffd"]'


def test_a_folder_that_cannot_be_listed_for_a_moment_loses_nothing(project, monkeypatch):
    catalogue = looked(project)

    def away(path):
        raise OSError(116, "Stale file handle")

    monkeypatch.setattr(os, "scandir", away)
    catalogue.refresh()
    assert len(catalogue.infos) == 6


def test_one_episode_is_found_before_the_catalogue_came_to_it(project):
    catalogue = Catalogue(project)
    assert catalogue.find(FIRST).info.uid == FIRST
    assert catalogue.layout.fps == 20
    assert catalogue.find("rollout-01-99999999") is None
    cut_in_the_info(project.episodes / FIRST / RECAP_PATH)
    assert catalogue.find(FIRST) is None


@pytest.mark.parametrize("uid", ["", ".", "..", "../episodes/" + FIRST, FIRST + "\n", "a\0b"])
def test_nothing_outside_is_found(project, uid):
    assert Catalogue(project).find(uid) is None


def test_a_project_from_before_the_layout_file_has_it_from_an_episode(project):
    expected = looked(project).layout
    project.layout.unlink()
    assert looked(project).layout == expected
    assert isinstance(expected, Layout)


def test_a_damaged_layout_is_none(project):
    project.layout.write_text("{}")
    assert looked(project).layout is None


def test_it_says_who_flew(tmp_path, make_project, add_episodes):
    project = make_project(tmp_path / "pilots")
    [demonstration] = add_episodes(project, [0], iteration=0)
    [rollout] = add_episodes(project, [1])
    [corrected] = add_episodes(project, [2], corrected=5)
    [taken_over] = add_episodes(project, [3], corrected=24)
    entries = looked(project).infos
    assert entries[demonstration].pilots == {Pilot.EXPERT}
    assert entries[rollout].pilots == {Pilot.POLICY}
    assert entries[corrected].pilots == {Pilot.POLICY, Pilot.TELEOPERATOR}
    assert entries[taken_over].pilots == {Pilot.TELEOPERATOR}


def test_tables_are_read_a_few_at_a_time(tmp_path, make_project, monkeypatch):
    monkeypatch.setattr(module, "PILOTS_AT_ONCE", 2)
    project = make_project(tmp_path / "pilots", episodes=3, corrected=1)
    catalogue = Catalogue(project)
    assert catalogue.refresh() is True
    assert [entry.pilots is None for entry in catalogue.now.order] == [False, False, True]
    assert catalogue.refresh() is False
    assert all(entry.pilots for entry in catalogue.now.order)


def test_a_damaged_table_is_looked_at_once(tmp_path, make_project):
    project = make_project(tmp_path / "pilots", episodes=1, corrected=1)
    cut(project.episodes / FIRST / timeline.TABLE_PATH)
    catalogue = Catalogue(project)
    assert catalogue.refresh() is False
    assert catalogue.infos[FIRST].pilots == frozenset()


def test_an_episode_shows_by_itself_while_the_catalogue_is_open(project, add_episodes, monkeypatch):
    monkeypatch.setattr(module, "LOOK_EVERY_S", 0.01)
    catalogue = Catalogue(project)
    catalogue.start()
    catalogue.start()  # harmless
    add_episodes(project, [6])
    give_up_at = time.monotonic() + 10
    while len(catalogue.infos) < 7 and time.monotonic() < give_up_at:
        time.sleep(0.005)
    assert len(catalogue.infos) == 7
    catalogue.close()
    catalogue.close()  # harmless, too
    add_episodes(project, [7])
    time.sleep(0.05)
    assert len(catalogue.infos) == 7


def test_it_knows_sessions_and_attempts_without_one(project, add_episodes):
    [uid] = add_episodes(project, [9], session="20260102T030405678901")
    infos = looked(project).infos
    assert infos[uid].info.session == "20260102T030405678901"
    assert infos[FIRST].info.session == ""
