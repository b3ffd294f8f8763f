"""What the scripts about the form share: many episodes made fast, and the form as a process."""

import hashlib
import json
import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from http.client import HTTPConnection
from itertools import islice
from pathlib import Path
from typing import Final
from urllib.parse import urlsplit

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from numpy.typing import NDArray

from data.episodes import EpisodeStore
from data.files import PARTIAL_FOLDER, read_json
from data.lerobot_format import TABLE_PATH
from data.schema import (
    EPISODE_KEY,
    RECAP_PATH,
    Ending,
    EpisodeInfo,
    EpisodeRecord,
    Layout,
    Pilot,
    Source,
)
from recap.project import Project

LINK: Final = re.compile(r"https?://\S+")
LONGEST_START_S: Final = 60.0
LONGEST_STOP_S: Final = 10.0
JSON_HEADERS: Final = {"Content-Type": "application/json"}


@dataclass(frozen=True, slots=True, kw_only=True)
class Form:
    """A running ``recap label``."""

    link: str
    """What it printed for a browser."""

    process: int
    """Its process id."""

    start_s: float
    """Seconds from the command to the first answer."""

    @property
    def address(self) -> str:
        """Scheme, host and port."""
        parts = urlsplit(self.link)
        return f"{parts.scheme}://{parts.netloc}"

    def connect(self) -> HTTPConnection:
        """Open a connection that stays open from one request to the next."""
        return HTTPConnection(urlsplit(self.link).netloc, timeout=60)

    def resident_mb(self) -> float:
        """Memory that the process holds, in megabytes."""
        text = Path(f"/proc/{self.process}/status").read_text(encoding="utf-8")
        return int(re.findall(r"VmRSS:\s+(\d+) kB", text)[0]) / 1024


@contextmanager
def form_of(project: Path, *flags: str) -> Iterator[Form]:
    """Start ``recap label`` on any free port, and stop it as Ctrl-C does."""
    words = [sys.executable, "-m", "recap.cli", "label", f"--project={project}", "--port=0"]
    words += ["--form.open_browser=false", *flags]
    began = time.perf_counter()
    with subprocess.Popen(  # noqa: S603 - this project's own command
        words, stdout=subprocess.PIPE, text=True, env={**os.environ, "OMP_NUM_THREADS": "1"}
    ) as process:
        try:
            link = _first_link(process)
            form = Form(link=link, process=process.pid, start_s=0.0)
            ask(form.connect(), "GET", "/api/project")
            taken = time.perf_counter() - began
            yield Form(link=link, process=process.pid, start_s=taken)
        finally:
            process.send_signal(signal.SIGINT)
            try:
                process.wait(LONGEST_STOP_S)
            except subprocess.TimeoutExpired:
                process.kill()


def _first_link(process: "subprocess.Popen[str]") -> str:
    if process.stdout is None:
        message = "the form was started without a place for what it says"
        raise RuntimeError(message)
    said = ""
    for line in process.stdout:
        said += line
        if found := LINK.search(line):
            return found[0].rstrip(".,")
    message = f"`recap label` ended before it printed a link:\n{said}"
    raise RuntimeError(message)


def ask(
    connection: HTTPConnection, method: str, path: str, content: object = None
) -> tuple[int, bytes]:
    """Send one request over a connection that stays open; return the status and the answer."""
    body = None if content is None else json.dumps(content)
    connection.request(method, path, body, {} if body is None else JSON_HEADERS)
    answer = connection.getresponse()
    return answer.status, answer.read()


def wait_until_indexed(form: Form, *, episodes: int) -> float:
    """Wait until the form knows so many episodes, and return the seconds that took."""
    connection, began = form.connect(), time.perf_counter()
    while True:
        _, answer = ask(connection, "GET", "/api/progress")
        progress = json.loads(answer)
        if progress["episodes"] >= episodes and not progress["indexing"]:
            return time.perf_counter() - began
        time.sleep(0.02)


def write_template(project: Project, layout: Layout, *, frames: int) -> Path:
    """Record one attempt with the real store: smooth shapes that move, under a camera's noise."""
    rng = np.random.default_rng(0)
    corrected = frames // 4
    info = EpisodeInfo(
        uid="rollout-01-00000000",
        task="put the red cube on the green pad",
        seed=0,
        source=Source.ROLLOUT,
        iteration=1,
        policy_id="policy-a",
        ending=Ending.TERMINATED,
        frames=frames,
        corrected_frames=corrected,
        measured_success=None,
    )
    record = EpisodeRecord(
        info=info,
        images={
            camera: _moving_shapes(rng, frames=frames, height=height, width=width)
            for camera, (height, width) in layout.cameras.items()
        },
        state=rng.normal(size=(frames, len(layout.state_names))).astype(np.float32),
        action=rng.normal(size=(frames, len(layout.action_names))).astype(np.float32),
        pilot=[Pilot.POLICY] * (frames - corrected) + [Pilot.TELEOPERATOR] * corrected,
    )
    return EpisodeStore(project.episodes, layout).write(record)


def _moving_shapes(
    rng: np.random.Generator, *, frames: int, height: int, width: int
) -> NDArray[np.uint8]:
    down, across = np.mgrid[0:height, 0:width] / 60
    noise = rng.normal(0, 3, (height, width, 3))
    still = np.stack([np.sin(down + k) * np.cos(across * k) for k in (1, 2, 3)], axis=-1)
    seen = np.empty((frames, height, width, 3), np.uint8)
    for frame in range(frames):
        moved = np.roll(still, 2 * frame, axis=1)
        seen[frame] = np.clip(128 + 80 * moved + np.roll(noise, frame, axis=0), 0, 255)
    return seen


def clone(template: Path, episodes: Path, uids: Iterable[str], **about: object) -> Iterator[str]:
    """Put copies of one episode beside it under other names, and yield each name once it is there.

    The videos are the same files (hard links); the description and the table are written anew, so
    that a copy is a whole episode with a name of its own. Nothing is flushed to the disk: this is
    for benchmarks.

    Args:
        template: The folder of the episode to copy.
        episodes: Where the copies go.
        uids: Their names.
        about: Fields of `EpisodeInfo` that differ from the template's.
    """
    sidecar = read_json(template / RECAP_PATH)
    table = pq.ParquetFile(template / TABLE_PATH).read()
    linked = [
        path.relative_to(template)
        for path in template.rglob("*.*")
        if path.is_file() and path.relative_to(template).as_posix() not in {RECAP_PATH, TABLE_PATH}
    ]
    (episodes / PARTIAL_FOLDER).mkdir(parents=True, exist_ok=True)
    for uid in uids:
        partial = episodes / PARTIAL_FOLDER / f"clone-{uid}"
        for path in linked:
            (partial / path).parent.mkdir(parents=True, exist_ok=True)
            (partial / path).hardlink_to(template / path)
        _rewrite(partial, uid, sidecar, table, about)
        partial.rename(episodes / uid)
        yield uid


def _rewrite(
    folder: Path, uid: str, sidecar: Mapping[str, object], table: pa.Table, about: object
) -> None:
    info = {**sidecar["info"], "uid": uid, **about}  # type: ignore[dict-item]
    content = {**sidecar, "info": info, "content_hash": hashlib.sha256(uid.encode()).hexdigest()}
    (folder / RECAP_PATH).parent.mkdir(parents=True, exist_ok=True)
    (folder / RECAP_PATH).write_text(json.dumps(content), encoding="utf-8")
    (folder / TABLE_PATH).parent.mkdir(parents=True, exist_ok=True)
    names = pa.array([uid] * len(table), pa.string())
    column = table.schema.get_field_index(EPISODE_KEY)
    pq.write_table(
        table.set_column(column, table.schema.field(EPISODE_KEY), names), folder / TABLE_PATH
    )


def percentile(values: Iterable[float], share: float) -> float:
    """Return the value below which that share of the values lies, the larger of two neighbours."""
    ordered = sorted(values)
    return ordered[min(int(len(ordered) * share), len(ordered) - 1)]


def uids_from(first: int, *, iteration: int) -> Iterator[str]:
    """Names of rollouts of one lap, without end."""
    number = first
    while True:
        yield f"rollout-{iteration:02d}-{number:08d}"
        number += 1


def some_uids(first: int, count: int, *, iteration: int) -> list[str]:
    """Names of so many rollouts of one lap."""
    return list(islice(uids_from(first, iteration=iteration), count))
