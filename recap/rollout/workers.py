"""Run jobs on several processes that each load the policy once."""

import multiprocessing
import os
import signal
import threading
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor, as_completed
from contextlib import contextmanager
from multiprocessing import forkserver
from types import FrameType
from typing import Any

PRELOADED_MODULES = ["recap.rollout.manager"]
"""Imported once by the server that workers are forked from: LeRobot alone takes seconds."""


def run_jobs[Job, Result](
    work: Callable[[Job], Result],
    jobs: Sequence[Job],
    *,
    workers: int,
    prepare: Callable[..., None],
    prepare_with: tuple[Any, ...],
) -> Iterator[tuple[Job, Result]]:
    """Yield each job with its result, in the order in which they finish.

    Args:
        work: What to do with a job; importable by name, as processes need.
        jobs: The jobs.
        workers: Processes; 1 runs everything in this process.
        prepare: Called once in every process before its first job.
        prepare_with: Its arguments.
    """
    if workers == 1 or len(jobs) <= 1:
        if jobs:
            prepare(*prepare_with)
        for job in jobs:
            yield job, work(job)
        return
    with _executor(workers, prepare, prepare_with) as executor:
        try:
            with _interrupted_later():  # half made, a worker would complain about its parent's end
                _start_server()
                waiting = {executor.submit(work, job): job for job in jobs}
            for future in as_completed(waiting):
                yield waiting[future], future.result()
        except BaseException:
            executor.shutdown(wait=False, cancel_futures=True)
            for worker in multiprocessing.active_children():
                worker.terminate()  # whatever is unfinished is made again as a whole
            raise


@contextmanager
def _interrupted_later() -> Iterator[None]:
    """Put off a Ctrl-C that comes inside until the end."""
    if threading.current_thread() is not threading.main_thread():
        yield  # Ctrl-C reaches the main thread alone
        return
    came: list[int] = []

    def note(number: int, frame: FrameType | None) -> None:  # noqa: ARG001 - a handler's signature
        came.append(number)

    before = signal.signal(signal.SIGINT, note)
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, before)
    if came:
        signal.raise_signal(signal.SIGINT)


def _start_server() -> None:
    """Start what workers are forked from, deaf to Ctrl-C as they will be.

    A terminal sends it to every process; the main one alone answers, and ends the others.
    """
    if threading.current_thread() is not threading.main_thread():
        return  # executors start it themselves
    before = signal.signal(signal.SIGINT, signal.SIG_IGN)
    try:
        forkserver.ensure_running()
    finally:
        signal.signal(signal.SIGINT, before)


def _executor(
    workers: int, prepare: Callable[..., None], prepare_with: tuple[Any, ...]
) -> ProcessPoolExecutor:
    # A fork of this process would inherit its threads and its renderer; the server has neither.
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload(PRELOADED_MODULES)
    return ProcessPoolExecutor(
        workers, mp_context=context, initializer=_begin, initargs=(prepare, prepare_with)
    )


def _begin(prepare: Callable[..., None], prepare_with: tuple[Any, ...]) -> None:
    threading.Thread(target=_end_with_parent, daemon=True).start()
    prepare(*prepare_with)


def _end_with_parent() -> None:
    """Leave when the main process is gone, also when it was killed and could not say so."""
    parent = multiprocessing.parent_process()
    if parent is not None:
        parent.join()
        os._exit(1)
