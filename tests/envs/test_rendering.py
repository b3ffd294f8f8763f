import os
import subprocess
import sys
from pathlib import Path

import pytest

from envs.renderer import choose_renderer
from envs.rendering import DEBIAN_PACKAGES, main

ROOT = Path(__file__).parents[2]


@pytest.fixture
def unset(monkeypatch):
    for name in ("MUJOCO_GL", "PYOPENGL_PLATFORM"):
        monkeypatch.setenv(name, "")  # restored afterwards
        monkeypatch.delenv(name)


@pytest.mark.parametrize(
    ("libraries", "chosen"),
    [({"EGL", "OSMesa"}, "egl"), ({"EGL"}, "egl"), ({"OSMesa"}, "osmesa"), (set(), "egl")],
)
@pytest.mark.usefixtures("unset")
def test_the_renderer_is_one_that_the_machine_has(monkeypatch, libraries, chosen):
    monkeypatch.setattr(
        "ctypes.util.find_library", lambda name: name if name in libraries else None
    )
    assert choose_renderer() == chosen
    assert os.environ["MUJOCO_GL"] == os.environ["PYOPENGL_PLATFORM"] == chosen


@pytest.mark.usefixtures("unset")
def test_what_the_user_chose_stays(monkeypatch):
    monkeypatch.setenv("MUJOCO_GL", "osmesa")
    assert choose_renderer() == "osmesa"


@pytest.mark.render
def test_a_machine_that_can_render_is_told_so(capsys):
    assert main() == 0
    assert capsys.readouterr().out.startswith("off-screen rendering works (MUJOCO_GL=")


@pytest.mark.parametrize("renderer", ["nonsense", "glfw"])
def test_a_machine_that_cannot_render_is_told_which_packages_to_install(renderer):
    environment = {**os.environ, "MUJOCO_GL": renderer}
    environment.pop("PYOPENGL_PLATFORM", None)
    environment.pop("DISPLAY", None)
    done = subprocess.run(
        [sys.executable, "-m", "envs.rendering"],
        cwd=ROOT,
        env=environment,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 2
    assert (
        f"MuJoCo cannot render off-screen here (MUJOCO_GL={renderer}). On Debian or Ubuntu: "
        f"sudo apt-get install {DEBIAN_PACKAGES}"
    ) in done.stderr.splitlines()
    assert "Traceback" not in done.stderr
    assert done.stdout == ""
