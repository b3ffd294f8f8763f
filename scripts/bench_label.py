"""What judging in the browser costs: eight raters at once, ten thousand episodes, the first frame.

The form runs as it does for people, as a process of its own on a project with many episodes. Raters
are connections that judge as fast as they are answered, while another process adds episodes; every
verdict that the form acknowledged is then looked for in the database. The clients share the
machine with the form, so the times hold what they cost too.
"""

import argparse
import multiprocessing
import os
import random
import sys
import tempfile
import threading
import time
import uuid
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.client import HTTPConnection, HTTPException
from multiprocessing.synchronize import Event
from pathlib import Path
from statistics import median
from typing import Final

from small_browser import browser, first_frames_ms
from small_form import (
    Form,
    ask,
    clone,
    form_of,
    percentile,
    some_uids,
    uids_from,
    wait_until_indexed,
    write_template,
)
from small_project import say

from data.files import write_json_atomically
from data.outcomes import OutcomeStore
from data.schema import Layout
from recap.project import Project

RATERS: Final = 8
LAPS: Final = 4
ADDED_LAP: Final = 5
REQUESTS: Final = 50
TASKS: Final = ("put the red cube on the green pad", "put the blue cube on the white pad")
SECONDS_BETWEEN_EPISODES: Final = 0.1
VERDICTS_PER_QUEUE: Final = 10
LOOK_S: Final = 1.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """How much is measured."""

    verdicts: int
    """Verdicts of each rater."""

    episodes: int
    """Episodes in the project."""

    queues: int
    """Queue requests between two looks at the memory."""

    details: int
    """Requests for one episode between two looks at the memory."""

    steps: int
    """Episodes judged in the browser."""

    frames: int
    """Frames of an episode."""

    size: tuple[int, int]
    """Height and width of both cameras in pixels."""


FULL: Final = Plan(
    verdicts=500,
    episodes=10_000,
    queues=2_000,
    details=500,
    steps=20,
    frames=300,
    size=(480, 640),
)
QUICK: Final = Plan(
    verdicts=40, episodes=1_000, queues=200, details=50, steps=5, frames=90, size=(240, 320)
)


@dataclass(slots=True)
class Tally:
    """What one rater saw."""

    acknowledged: dict[str, str] = field(default_factory=dict)
    """Request id to the uid that was judged."""

    verdicts_ms: list[float] = field(default_factory=list)
    errors: list[str] = field(default_factory=list)


def main() -> int:
    """Measure and print; the last line is JSON."""
    arguments = _arguments()
    plan = QUICK if arguments.quick else FULL
    arguments.folder.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=arguments.folder, prefix="bench-label-") as name:
        project, template = _make_project(Path(name) / "project", plan)
        _tell(f"{plan.episodes} episodes are there")
        with form_of(project.folder) as form:
            figures = _measure(form, project, template, plan)
    rows = [("figure", "value"), *figures.items()]
    about = {"quick": arguments.quick, "load_average": round(os.getloadavg()[0], 1)}
    say(rows, {**figures, **about})
    return 0


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument(
        "--quick", action="store_true", help="under 45 s: fewer verdicts, episodes and pixels"
    )
    parser.add_argument("--folder", type=Path, default=Path("runs"), help="on the disk to measure")
    return parser.parse_args()


def _make_project(folder: Path, plan: Plan) -> tuple[Project, Path]:
    layout = Layout(
        fps=30,
        cameras={"front": plan.size, "wrist": plan.size},
        state_names=tuple("abcdef"),
        action_names=tuple("abcdef"),
        robot_type="bench",
    )
    project = Project.create(folder, {})
    write_json_atomically(project.layout, layout.to_json())
    template = write_template(project, layout, frames=plan.frames)
    for lap in range(LAPS):
        uids = some_uids(1, plan.episodes // LAPS, iteration=1 + lap)
        about = {"iteration": 1 + lap, "task": TASKS[lap % len(TASKS)]}
        for _ in clone(template, project.episodes, uids, **about):
            pass
    return project, template


def _measure(form: Form, project: Project, template: Path, plan: Plan) -> dict[str, float | int]:
    figures: dict[str, float | int] = {"start_s": round(form.start_s, 2)}
    figures["index_s"] = round(wait_until_indexed(form, episodes=plan.episodes), 2)
    figures |= _judge_together(form, project, template, plan)
    _tell("the raters are done")
    figures |= _ask_for_pages(form)
    figures |= _grow(form, project, plan)
    _tell("the pages are measured")
    return figures | _watch(form, plan)


def _watch(form: Form, plan: Plan) -> dict[str, float | int]:
    """Judge in a browser: as somebody does who looks, and as somebody who only presses keys."""
    figures: dict[str, float | int] = {}
    with browser() as opened:
        for name, rater, look_s in (("", "Ann", LOOK_S), ("_hurried", "Ben", 0.0)):
            taken = first_frames_ms(opened, form, rater=rater, episodes=plan.steps, look_s=look_s)
            figures[f"first_frame{name}_ms"] = round(median(taken), 1)
            figures[f"first_frame{name}_worst_ms"] = round(max(taken), 1)
    return figures


def _tell(text: str) -> None:
    sys.stderr.write(f"{text}\n")


def _judge_together(
    form: Form, project: Project, template: Path, plan: Plan
) -> dict[str, float | int]:
    """Let the raters judge while episodes are added, and look for every verdict afterwards."""
    uids = some_uids(1, plan.episodes // LAPS, iteration=LAPS)
    tallies = [Tally() for _ in range(RATERS)]
    threads = [
        threading.Thread(target=_judge, args=(form, f"rater {number}", uids, plan, tally))
        for number, tally in enumerate(tallies)
    ]
    with _episodes_being_added(template, project.episodes):
        began = time.perf_counter()
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        taken = time.perf_counter() - began
    errors = [error for tally in tallies for error in tally.errors]
    for error, count in Counter(errors).most_common(5):
        _tell(f"{count} x {error}")
    latencies = [ms for tally in tallies for ms in tally.verdicts_ms]
    return {
        "lost": _lost(project, tallies),
        "errors": len(errors),
        "verdicts": len(latencies),
        "verdict_p99_ms": round(percentile(latencies, 0.99), 1),
        "verdict_median_ms": round(median(latencies), 1),
        "verdicts_per_second": round(len(latencies) / taken, 1),
        "episodes_added": len(list(project.episodes.glob(f"rollout-{ADDED_LAP:02d}-*"))),
    }


def _judge(form: Form, rater: str, uids: list[str], plan: Plan, tally: Tally) -> None:
    """Judge as one rater does, and look at the queue now and then, as their page does."""
    chance = random.Random(rater)  # noqa: S311 - nothing secret
    connection = form.connect()
    for number in range(plan.verdicts):
        uid, request_id = chance.choice(uids), str(uuid.UUID(int=chance.getrandbits(128)))
        verdict = {
            "rater": rater,
            "verdict": chance.choice(("success", "failure", "discard")),
            "request_id": request_id,
        }
        began = time.perf_counter()
        try:
            status, answer = ask(connection, "POST", f"/api/episodes/{uid}/verdicts", verdict)
        except (OSError, HTTPException) as error:
            tally.errors.append(repr(error))
            connection = form.connect()
            continue
        tally.verdicts_ms.append(1000 * (time.perf_counter() - began))
        if status == 201:
            tally.acknowledged[request_id] = uid
        else:
            tally.errors.append(f"{status} {answer[:200]!r}")
        if number % VERDICTS_PER_QUEUE == 0:
            where = f"/api/queue?rater={rater.replace(' ', '%20')}&limit=20"
            status, answer = ask(connection, "GET", where)
            if status != 200:
                tally.errors.append(f"{status} {answer[:200]!r}")


def _lost(project: Project, tallies: list[Tally]) -> int:
    """Count acknowledged verdicts that are not in the database exactly once."""
    store = OutcomeStore(project.outcomes)
    lines = Counter((line.request_id, line.episode_uid, line.rater) for line in store.since(0))
    store.close()
    return sum(
        lines[request_id, uid, f"rater {number}"] != 1
        for number, tally in enumerate(tallies)
        for request_id, uid in tally.acknowledged.items()
    )


@contextmanager
def _episodes_being_added(template: Path, episodes: Path) -> Iterator[None]:
    """Add an episode every tenth of a second, from another process."""
    context = multiprocessing.get_context("spawn")
    stop = context.Event()
    process = context.Process(target=_add, args=(template, episodes, stop))
    process.start()
    try:
        yield
    finally:
        stop.set()
        process.join()


def _add(template: Path, episodes: Path, stop: Event) -> None:
    for _ in clone(template, episodes, uids_from(1, iteration=ADDED_LAP), iteration=ADDED_LAP):
        if stop.wait(SECONDS_BETWEEN_EPISODES):
            break


def _ask_for_pages(form: Form) -> dict[str, float | int]:
    """Ask for the queue and the page a few times; the figures are 95th percentiles."""
    ways = {
        "queue_ms": "/api/queue?rater=rater%200&limit=20",
        "queue_of_everything_ms": "/api/queue?rater=rater%200&show=any&limit=100",
        "page_ms": "/label",
        "dashboard_ms": "/api/dashboard",
    }
    connection = form.connect()
    return {name: round(_p95_ms(connection, path), 1) for name, path in ways.items()}


def _p95_ms(connection: HTTPConnection, path: str) -> float:
    taken = []
    for _ in range(REQUESTS):
        began = time.perf_counter()
        status, answer = ask(connection, "GET", path)
        taken.append(1000 * (time.perf_counter() - began))
        if status != 200:
            message = f"GET {path} was answered with {status}: {answer[:200]!r}"
            raise RuntimeError(message)
    return percentile(taken, 0.95)


def _grow(form: Form, project: Project, plan: Plan) -> dict[str, float | int]:
    """Say how much more memory the form holds after many requests, once it is warm."""
    connection = form.connect()
    uids = sorted(path.name for path in project.episodes.glob("rollout-*"))

    def request(queues: int, details: int) -> None:
        for number in range(queues):
            show = ("unjudged", "any", "success", "disputed")[number % 4]
            ask(connection, "GET", f"/api/queue?rater=rater%200&show={show}&limit=20")
        for uid in uids[:: max(len(uids) // details, 1)][:details]:
            ask(connection, "GET", f"/api/episodes/{uid}?rater=rater%200")

    request(queues=plan.queues // 10, details=plan.details // 10)
    before = form.resident_mb()
    request(queues=plan.queues, details=plan.details)
    return {
        "memory_mb": round(form.resident_mb(), 1),
        "memory_growth_mb": round(form.resident_mb() - before, 1),
    }


if __name__ == "__main__":
    sys.exit(main())
