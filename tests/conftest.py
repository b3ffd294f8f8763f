"""What holds for every test: one that draws, or browses, is skipped where that is not possible."""

import shutil

import pytest

from data.errors import RecapError

CHROMIUMS = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable")


def find_chromium():
    return next(filter(None, map(shutil.which, CHROMIUMS)), None)


@pytest.fixture(scope="session")
def chromium_path():
    """The program of the browser; tests that use it are skipped where there is none."""
    return find_chromium()


def pytest_runtest_setup(item):
    if item.get_closest_marker("browser") and find_chromium() is None:
        pytest.skip("no Chromium is installed")
    if item.get_closest_marker("render") is None:
        return
    # Only here: tests that draw nothing do not wait for MuJoCo.
    from envs.rendering import check_rendering

    try:
        check_rendering()
    except RecapError as error:
        pytest.skip(str(error))
