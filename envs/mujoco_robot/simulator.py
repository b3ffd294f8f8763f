"""Our end of the simulated arm: starts its process, shares a board with it, and ends it."""

import json
import os
import select
import subprocess
import sys
import time
import weakref
from pathlib import Path
from typing import Any, Final

from lerobot.utils.errors import DeviceNotConnectedError

from envs.board import Board, nameless_file
from envs.live_arm import LiveSettings
from envs.tabletop import CAMERAS

STARTING_SECONDS: Final = 60.0
"""Longest time from starting the process until it has drawn its first scene."""
ENDING_SECONDS: Final = 5.0
_ROOT: Final = Path(__file__).parents[2]


class Simulator:
    """A tabletop that lives in another process, in real time."""

    def __init__(self, settings: LiveSettings) -> None:
        """Start the process; it does nothing until a scene begins."""
        descriptor = nameless_file()
        try:
            self.board = Board.open(
                descriptor, cameras=len(CAMERAS), height=settings.height, width=settings.width
            )
            self._process = _start(descriptor, settings)
        finally:
            os.close(descriptor)
        # Whoever forgets to disconnect leaves no process behind all the same.
        self._end = weakref.finalize(self, _end, self._process)

    @property
    def is_running(self) -> bool:
        """Whether the process is there."""
        return self._process.poll() is None

    @property
    def process_id(self) -> int:
        """The process, for those who look whether it is gone."""
        return self._process.pid

    def begin_scene(self, seed: int) -> tuple[str, list[float]]:
        """Have a scene drawn, and wait until it stands.

        Returns:
            The instruction in words, and the six positions that the servos were told.

        Raises:
            DeviceNotConnectedError: If the process ends or does not answer; what it printed says
                why.
        """
        answer = self._ask({"seed": seed})
        return answer["task"], answer["target"]

    def stop(self) -> None:
        """End the process and wait until it is gone."""
        self._end()

    def _ask(self, command: dict[str, int]) -> dict[str, Any]:
        commands, answers = self._process.stdin, self._process.stdout
        line = b""
        if commands is not None and answers is not None:
            try:
                commands.write(json.dumps(command).encode() + b"\n")
                commands.flush()
                line = _read_line(answers.fileno(), until=time.monotonic() + STARTING_SECONDS)
            except BrokenPipeError:
                pass
        if not line:
            message = (
                "The simulated arm's process gave no answer; what it printed says why. "
                "`python -m envs.rendering` says whether this machine can draw."
            )
            raise DeviceNotConnectedError(message)
        answer: dict[str, Any] = json.loads(line)
        return answer


def _start(descriptor: int, settings: LiveSettings) -> "subprocess.Popen[bytes]":
    arguments = [str(descriptor), str(os.getpid()), settings.to_json()]
    path = os.pathsep.join(filter(None, [str(_ROOT), os.environ.get("PYTHONPATH")]))
    # One drawing thread: software rendering would take every core from the control loop.
    environment = {"LP_NUM_THREADS": "1", **os.environ, "PYTHONPATH": path}
    return subprocess.Popen(  # noqa: S603 - this project's own module
        [sys.executable, "-P", "-m", "envs.live_arm", *arguments],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        pass_fds=[descriptor],
        env=environment,
        # Ctrl-C is for whoever drives the arm; they end this process afterwards.
        start_new_session=True,
    )


def _end(process: "subprocess.Popen[bytes]") -> None:
    if process.stdin is not None:
        process.stdin.close()
    try:
        process.wait(timeout=ENDING_SECONDS)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()
    if process.stdout is not None:
        process.stdout.close()


def _read_line(descriptor: int, *, until: float) -> bytes:
    """Read up to a line's end; empty when the other side ends or takes too long."""
    line = b""
    while not line.endswith(b"\n"):
        ready, _, _ = select.select([descriptor], [], [], max(0.0, until - time.monotonic()))
        part = os.read(descriptor, 4096) if ready else b""
        if not part:
            return b""
        line += part
    return line
