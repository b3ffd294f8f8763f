"""What the benchmarks share: how much memory something takes."""

import gc
import os
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path


@contextmanager
def memory_growth() -> Iterator[Callable[[], float]]:
    """Watch the memory of this process and its workers; give its growth at the peak, in MB."""
    gc.collect()
    before, peak, is_over = _resident(), [0.0], threading.Event()

    def watch() -> None:
        while not is_over.wait(0.05):
            peak[0] = max(peak[0], _resident())

    watcher = threading.Thread(target=watch, daemon=True)
    watcher.start()
    try:
        yield lambda: max(0.0, peak[0] - before)
    finally:
        is_over.set()
        watcher.join()


def _resident() -> float:
    """Memory of this process and its children that is not shared with others, in MB."""
    children = Path(f"/proc/self/task/{os.getpid()}/children").read_text().split()
    total = 0
    for process in ("self", *children):
        try:
            words = Path(f"/proc/{process}/statm").read_text().split()
        except (FileNotFoundError, ProcessLookupError):
            continue
        total += int(words[1]) - int(words[2])
    return total * os.sysconf("SC_PAGE_SIZE") / 1e6
