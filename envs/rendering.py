"""Check that this machine can draw without a screen: ``python -m envs.rendering``."""

import sys
from typing import TYPE_CHECKING

from data.errors import RecapError
from envs.renderer import choose_renderer

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

DEBIAN_PACKAGES = "libegl1 libgl1-mesa-dri libopengl0"


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
        picture = _picture()
    except (ImportError, AttributeError, RuntimeError) as error:
        # What a missing GL library raises depends on which one is missing.
        detail = f"{message}\n({type(error).__name__}: {error})"
        raise RecapError(detail) from error
    if picture.std() == 0:
        raise RecapError(message)
    return chosen


def _picture() -> "NDArray[np.uint8]":
    import mujoco

    from envs.tabletop import Tabletop

    try:
        return Tabletop().reset(seed=0).images["front"]
    except mujoco.FatalError as error:
        raise RuntimeError(str(error)) from error


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
