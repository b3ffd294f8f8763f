"""How many processes were started, and which this is. Imports nothing heavy.

``torchrun`` and ``accelerate launch`` say so in the environment.
"""

from __future__ import annotations

import os
import sys
from typing import NoReturn

from data.errors import ConfigError


def process_count() -> int:
    """Say how many processes the launcher started."""
    return int(os.environ.get("WORLD_SIZE", "1"))


def is_main_process() -> bool:
    """Say whether this is the one process that writes, measures and reports."""
    return os.environ.get("RANK", "0") == "0"


def require_as_asked() -> None:
    """Refuse to be the only one of several processes that ``accelerate launch --cpu`` promised.

    It then names a meeting place, but starts one process and says nothing.

    Raises:
        ConfigError: If it did so.
    """
    promised = "ACCELERATE_MIXED_PRECISION" in os.environ and "MASTER_PORT" in os.environ
    if promised and "WORLD_SIZE" not in os.environ:
        message = (
            "`accelerate launch` was asked for several processes and started one, as it does with "
            "--cpu. Use `torchrun --nproc_per_node=2 -m recap.cli train-value ...` instead."
        )
        raise ConfigError(message)


def end_process(code: int) -> NoReturn:
    """End one of several processes with an exit code, all of its files being written.

    Threads of torch's gloo outlive the interpreter now and then, and then end a process that has
    done all of its work as if it had crashed ("terminate called without an active exception"); the
    launcher would stop the others half way. So the interpreter is not taken down piece by piece.
    """
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(code)
