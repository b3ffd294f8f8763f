"""The rules of the house that no tool checks: names, places and sizes."""

import importlib
from importlib.metadata import packages_distributions
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
PACKAGES = ("recap", "envs", "value_models", "data")
MOST_LINES = 400


def python_files(*folders: str) -> list[Path]:
    return sorted(path for folder in folders for path in (ROOT / folder).rglob("*.py"))


@pytest.mark.parametrize("name", PACKAGES)
def test_a_package_resolves_inside_the_repository(name):
    module = importlib.import_module(name)
    assert Path(module.__file__).parent == ROOT / name


def test_no_other_distribution_owns_a_package_of_ours():
    owners = packages_distributions()
    assert {owner for name in PACKAGES for owner in owners.get(name, [])} <= {"recap"}


def test_tests_are_no_package():
    assert sorted((ROOT / "tests").rglob("__init__.py")) == []


def test_git_ignores_no_package():
    ignored = (ROOT / ".gitignore").read_text(encoding="utf-8").split()
    assert not {f"{name}{slash}" for name in PACKAGES for slash in ("", "/")} & set(ignored)


def test_no_script_is_named_like_a_package():
    assert not {path.stem for path in python_files("scripts")} & set(PACKAGES)


@pytest.mark.parametrize("banned", ["utils.py", "helpers.py", "common.py", "misc.py"])
def test_no_module_is_named_after_nobodys_job(banned):
    assert [path for path in python_files(*PACKAGES) if path.name == banned] == []


@pytest.mark.parametrize(
    "path", python_files(*PACKAGES, "scripts", "tests"), ids=lambda p: str(p.relative_to(ROOT))
)
def test_a_file_fits_into_a_reader(path):
    assert len(path.read_text(encoding="utf-8").splitlines()) < MOST_LINES


def test_the_constraints_are_versions_without_addresses():
    lines = (ROOT / "constraints.txt").read_text(encoding="utf-8").splitlines()
    assert lines
    assert [line for line in lines if line.count("==") != 1 or "/" in line or "@" in line] == []
