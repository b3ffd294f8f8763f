"""Make things ready in a thread while others are being used."""

from __future__ import annotations

import queue
import threading
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Generator, Iterator

_SECONDS_BETWEEN_LOOKS = 0.05
_END = object()


def ahead[T](items: Iterator[T], *, depth: int) -> Generator[T]:
    """Give what ``items`` gives, made in a thread, up to ``depth`` of them before they are asked.

    An error in the thread is raised here, in its place. Whoever stops early closes the iterator,
    and the thread ends.
    """
    made: queue.Queue[Any] = queue.Queue(depth)
    is_over = threading.Event()
    failure: list[BaseException] = []

    def put(item: object) -> bool:
        while not is_over.is_set():
            try:
                made.put(item, timeout=_SECONDS_BETWEEN_LOOKS)
            except queue.Full:
                continue
            return True
        return False

    def work() -> None:
        try:
            for item in items:
                if not put(item):
                    break
        except BaseException as error:  # noqa: BLE001 - raised where the items are used
            failure.append(error)
        put(_END)

    worker = threading.Thread(target=work, name="ahead", daemon=True)
    worker.start()
    try:
        while (item := made.get()) is not _END:
            yield item
        if failure:
            raise failure[0]
    finally:
        is_over.set()
        worker.join()
