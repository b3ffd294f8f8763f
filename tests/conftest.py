"""What holds for every test: one that draws is skipped where nothing can be drawn."""

import pytest

from data.errors import RecapError


def pytest_runtest_setup(item):
    if item.get_closest_marker("render") is None:
        return
    # Only here: tests that draw nothing do not wait for MuJoCo.
    from envs.rendering import check_rendering

    try:
        check_rendering()
    except RecapError as error:
        pytest.skip(str(error))
