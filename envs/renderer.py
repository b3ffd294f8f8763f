"""Choose an off-screen renderer for MuJoCo, so that users never have to."""

import ctypes.util
import os


def choose_renderer() -> str:
    """Set ``MUJOCO_GL`` to a renderer this machine has, unless the user chose one.

    MuJoCo reads it once, when it is first imported: call this before.

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
