"""Keep the numbers of training: JSON lines always, Weights & Biases when asked."""

import json
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final, Literal, Protocol, TextIO, cast

from data.errors import ConfigError
from recap.project import Project

WANDB_MODES: Final = ("disabled", "offline", "online")


@dataclass(frozen=True, slots=True, kw_only=True)
class WandbConfig:
    """Settings of Weights & Biases."""

    mode: str = "disabled"
    """Whether to keep the metrics there too: disabled, offline (on disk, sent later) or online."""

    project: str = "recap"
    """Name of the Weights & Biases project that the runs are filed under."""

    def __post_init__(self) -> None:
        """Refuse a mode that does not exist."""
        if self.mode not in WANDB_MODES:
            message = f"wandb.mode must be one of {', '.join(WANDB_MODES)}, got {self.mode}."
            raise ConfigError(message)


class _Run(Protocol):
    def log(self, data: dict[str, Any], step: int | None = None) -> None: ...


class Metrics:
    """The learning curves of one stage in one lap."""

    def __init__(
        self, stream: TextIO, *, stage: str, iteration: int | None, run: _Run | None
    ) -> None:
        self._stream = stream
        self._place = {"stage": stage, "iteration": iteration}
        self._run = run

    def record(self, step: int, numbers: Mapping[str, float]) -> None:
        """Keep what was measured at one training step."""
        line = json.dumps({**self._place, "step": step, **numbers})
        self._stream.write(line + "\n")
        self._stream.flush()
        if self._run is not None:
            self._run.log(dict(numbers), step=step)


@contextmanager
def open_metrics(
    project: Project,
    *,
    stage: str,
    iteration: int | None,
    wandb: WandbConfig,
) -> Iterator[Metrics]:
    """Open the metrics of one stage; a stage that runs again adds to them.

    A line that a crash tore apart is closed first, so that it spoils nothing but itself.
    """
    path = project.metrics
    is_torn = path.exists() and path.stat().st_size > 0 and path.read_bytes()[-1:] != b"\n"
    with (
        path.open("a", encoding="utf-8") as stream,
        _tracking(project, stage=stage, iteration=iteration, wandb=wandb) as run,
    ):
        if is_torn:
            stream.write("\n")
        yield Metrics(stream, stage=stage, iteration=iteration, run=run)


@contextmanager
def _tracking(
    project: Project, *, stage: str, iteration: int | None, wandb: WandbConfig
) -> Iterator[_Run | None]:
    if wandb.mode == "disabled":
        yield None
        return
    import wandb as service

    lap = "pretraining" if iteration is None else f"iteration-{iteration}"
    name = f"{project.name}-{lap}-{stage}"
    run = service.init(
        project=wandb.project,
        mode=cast("Literal['offline', 'online']", wandb.mode),
        group=project.name,
        job_type=stage,
        name=name,
        id=name if wandb.mode == "online" else None,
        resume="allow" if wandb.mode == "online" else None,
        dir=project.folder,
    )
    try:
        yield run
    finally:
        run.finish()


def read_metrics(path: Path) -> list[dict[str, Any]]:
    """Read every whole record; a line that a crash tore apart is passed over."""
    if not path.exists():
        return []
    records = []
    for line in path.read_text(encoding="utf-8").splitlines():
        try:
            record = json.loads(line)
        except json.JSONDecodeError:
            continue
        if isinstance(record, dict):
            records.append(record)
    return records
