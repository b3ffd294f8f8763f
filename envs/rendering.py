"""Choose an off-screen renderer for MuJoCo, so that users never have to.

MuJoCo reads ``MUJOCO_GL`` once, when it is first imported: :func:`choose_renderer` must run before
that. ``python -m envs.rendering`` checks the machine and says what is missing.
"""

import ctypes.util
import os
import sys

from data.errors import RecapError

DEBIAN_PACKAGES = "libegl1 libgl1-mesa-dri libopengl0"


def choose_renderer() -> str:
    """Set ``MUJOCO_GL`` to a renderer this machine has, unless the user chose one.

    Returns:
        The renderer's name: ``egl``, ``osmesa``, or what the user had set.
    """
    chosen = os.environ.get("MUJOCO_GL")
    if not chosen:
        has_only_osmesa = not ctypes.util.find_library("EGL") and ctypes.util.find_library("OSMesa")
        chosen = "osmesa" if has_only_osmesa else "egl"
        os.environ["MUJOCO_GL"] = chosen
    os.environ.setdefault("PYOPENGL_PLATFORM", chosen)
    return chosen


def check_rendering() -> str:
    """Render one picture of the tabletop and return the renderer's name.

    Raises:
        RecapError: If no off-screen renderer works here; the message names the Debian packages.
    """
    chosen = choose_renderer()
    message = (
        f"MuJoCo cannot render off-screen here (MUJOCO_GL={chosen}). On Debian or Ubuntu: "
        f"sudo apt-get install {DEBIAN_PACKAGES}"
    )
    try:
        from envs.tabletop import Tabletop

        picture = Tabletop().reset(seed=0).images["front"]
    except (ImportError, AttributeError, RuntimeError) as error:
        # What a missing GL library raises depends on which one is missing.
        detail = f"{message}\n({type(error).__name__}: {error})"
        raise RecapError(detail) from error
    if picture.std() == 0:
        raise RecapError(message)
    return chosen


def main() -> int:
    """Report whether off-screen rendering works; the exit code says so too."""
    try:
        sys.stdout.write(f"off-screen rendering works (MUJOCO_GL={check_rendering()})\n")
    except RecapError as error:
        sys.stderr.write(f"{error}\n")
        return 2
    return 0


if __name__ == "__main__":
    sys.exit(main())
