import hashlib
import os
import subprocess
import sys

import pytest

from data.errors import ProjectError
from data.files import (
    content_hash,
    read_json,
    sweep_partials,
    whole_file,
    whole_folder,
    write_json_atomically,
)


def names(folder):
    return sorted(path.name for path in folder.iterdir())


def test_json_comes_back_as_written(tmp_path):
    path = tmp_path / "new" / "manifest.json"
    content = {"seeds": [1, 2], "note": "größer", "nothing": None}
    write_json_atomically(path, content)
    assert read_json(path) == content
    assert names(path.parent) == ["manifest.json"]


def test_json_that_cannot_be_written_leaves_the_old_file(tmp_path):
    path = tmp_path / "a.json"
    write_json_atomically(path, {"old": 1})
    with pytest.raises(ValueError, match="not JSON compliant"):
        write_json_atomically(path, {"new": float("nan")})
    assert read_json(path) == {"old": 1}


def test_a_missing_json_file_is_named(tmp_path):
    with pytest.raises(ProjectError) as caught:
        read_json(tmp_path / "manifest.json")
    assert str(caught.value) == f"{tmp_path}/manifest.json does not exist."


def test_a_damaged_json_file_is_named(tmp_path):
    (tmp_path / "manifest.json").write_text('{"a": ')
    with pytest.raises(ProjectError) as caught:
        read_json(tmp_path / "manifest.json")
    assert str(caught.value) == (
        f"{tmp_path}/manifest.json is not valid JSON (Expecting value: line 1 column 7 (char 6)). "
        f"Restore it, or delete it and run again."
    )


def test_a_failed_writer_leaves_the_old_file_and_nothing_else(tmp_path):
    path = tmp_path / "a.bin"
    path.write_bytes(b"old")

    def write_half():
        with whole_file(path) as partial:
            partial.write_bytes(b"half")
            raise RuntimeError

    with pytest.raises(RuntimeError):
        write_half()
    assert path.read_bytes() == b"old"
    assert names(tmp_path) == ["a.bin"]


def test_the_temporary_file_of_a_dead_writer_is_removed_and_of_a_living_one_kept(tmp_path):
    dead = subprocess.Popen([sys.executable, "-c", ""])
    dead.wait()
    (tmp_path / f".a.{dead.pid}.0.bin").write_bytes(b"half")
    living = f".a.{os.getppid()}.0.bin"
    (tmp_path / living).write_bytes(b"half")
    with whole_file(tmp_path / "a.bin") as partial:
        partial.write_bytes(b"whole")
    assert names(tmp_path) == [living, "a.bin"]


def test_a_folder_appears_whole(tmp_path):
    destination = tmp_path / "thing"
    with whole_folder(destination) as folder:
        (folder / "inside").mkdir()
        (folder / "inside" / "file").write_text("content")
        assert not destination.exists()
    assert (destination / "inside" / "file").read_text() == "content"
    assert names(tmp_path / ".partial") == []


def test_a_failed_writer_leaves_no_folder(tmp_path):
    def write_half():
        with whole_folder(tmp_path / "thing") as folder:
            (folder / "file").write_text("half")
            raise RuntimeError

    with pytest.raises(RuntimeError):
        write_half()
    assert names(tmp_path) == [".partial"]
    assert names(tmp_path / ".partial") == []


def test_an_existing_folder_is_never_replaced(tmp_path):
    destination = tmp_path / "thing"

    def write_while_another_process_is_faster():
        with whole_folder(destination) as folder:
            (folder / "file").write_text("second")
            destination.mkdir()
            (destination / "file").write_text("first")

    def write_late():
        with whole_folder(destination):
            pytest.fail("the block must not run")

    with pytest.raises(FileExistsError):
        write_while_another_process_is_faster()
    with pytest.raises(FileExistsError):
        write_late()
    assert (destination / "file").read_text() == "first"


def test_sweeping_spares_a_folder_that_is_being_written(tmp_path):
    (tmp_path / ".partial" / "dead.1.0").mkdir(parents=True)
    with whole_folder(tmp_path / "living") as folder:
        assert sweep_partials(tmp_path) == ["dead.1.0"]
        assert folder.is_dir()
    assert (tmp_path / "living").is_dir()


def test_the_next_writer_of_a_folder_removes_what_a_killed_one_left(tmp_path):
    (tmp_path / ".partial" / "thing.1.0").mkdir(parents=True)
    (tmp_path / ".partial" / "other.1.0").mkdir(parents=True)
    with whole_folder(tmp_path / "thing"):
        pass
    assert names(tmp_path / ".partial") == ["other.1.0"]


def test_sweeping_spares_another_process_until_it_is_dead(tmp_path):
    script = "\n".join(
        (
            "import sys",
            "from pathlib import Path",
            "from data.files import PartialFolder",
            "partial = PartialFolder(Path(sys.argv[1]), 'recording')",
            "print(partial.path.name, flush=True)",
            "sys.stdin.read()",
        )
    )
    command = [sys.executable, "-c", script, str(tmp_path)]
    pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "text": True}
    with (
        subprocess.Popen(command, **pipes) as one,
        subprocess.Popen(command, **pipes) as two,
    ):
        folders = {process: process.stdout.readline().strip() for process in (one, two)}
        assert sweep_partials(tmp_path) == []
        with whole_folder(tmp_path / "recording"):  # a writer of the same name spares them, too
            pass
        assert names(tmp_path / ".partial") == sorted(folders.values())
        one.kill()
        one.wait()
        assert sweep_partials(tmp_path) == [folders[one]]
        assert names(tmp_path / ".partial") == [folders[two]]
        two.kill()


def test_sweeping_where_nothing_was_written_is_harmless(tmp_path):
    assert sweep_partials(tmp_path / "nowhere") == []


def test_the_hash_of_a_file_is_its_sha256(tmp_path):
    (tmp_path / "a").write_bytes(b"abc")
    assert content_hash(tmp_path / "a") == hashlib.sha256(b"abc").hexdigest()


def test_the_hash_of_a_folder_knows_names_and_contents_but_not_its_own_name(tmp_path):
    for folder, name, content in [
        ("one", "a", "x"),
        ("same", "a", "x"),
        ("renamed", "b", "x"),
        ("changed", "a", "y"),
    ]:
        (tmp_path / folder / "deep").mkdir(parents=True)
        (tmp_path / folder / "deep" / name).write_text(content)
    hashes = {f: content_hash(tmp_path / f) for f in ("one", "same", "renamed", "changed")}
    assert hashes["one"] == hashes["same"]
    assert len(set(hashes.values())) == 3


def test_the_hash_of_several_files_knows_their_order(tmp_path):
    (tmp_path / "a").write_text("1")
    (tmp_path / "b").write_text("2")
    a, b = tmp_path / "a", tmp_path / "b"
    assert content_hash(a, b) != content_hash(b, a)
