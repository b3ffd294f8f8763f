"""The annotations beside a training set: return, value, advantage and indicator of every frame.

They live in a file of their own, bound by fingerprints to the training set and the value model
they were made from, so that no dataset is rewritten and no label meets data it was not made for.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq

from data.errors import FingerprintError, ProjectError
from data.files import whole_file
from data.schema import Indicator

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    import numpy as np
    from numpy.typing import NDArray

SCHEMA = pa.schema(
    [
        ("episode_uid", pa.string()),
        ("frame_index", pa.int64()),
        ("index", pa.int64()),
        ("return", pa.float64()),
        ("value", pa.float64()),
        ("advantage", pa.float64()),
        ("indicator", pa.string()),
        ("is_correction", pa.bool_()),
    ]
)
"""The columns: one row per frame, in the row order of the training set."""

_METADATA_KEY = b"recap"


@dataclass(frozen=True, slots=True, kw_only=True)
class AdvantageTable:
    """What is known about every frame of one training set, and what it was made from."""

    frames: pd.DataFrame
    """One row per frame with the columns of `SCHEMA`; row ``i`` has ``index == i``."""

    thresholds: Mapping[str, float]
    """Task to the advantage above which a frame is positive."""

    trainset_fingerprint: str
    """The training set that was marked."""

    value_fingerprint: str
    """The value model that predicted."""

    settings: Mapping[str, Any]
    """The settings of the stage, as JSON."""

    def __post_init__(self) -> None:
        if list(self.frames.columns) != SCHEMA.names:
            message = f"columns must be {SCHEMA.names}, got {list(self.frames.columns)}"
            raise ValueError(message)
        if not (self.frames["index"].to_numpy() == range(len(self.frames))).all():
            message = "rows must stand in the order of the training set, index 0, 1, 2, ..."
            raise ValueError(message)
        if self.frames.isna().to_numpy().any():
            message = "a missing return, value, advantage or indicator is not a negative one"
            raise ValueError(message)
        unknown = set(self.frames["indicator"]) - set(Indicator)
        if unknown:
            message = f"indicators are {list(map(str, Indicator))}, got {sorted(unknown)}"
            raise ValueError(message)

    def positive(self) -> NDArray[np.bool_]:
        """Say for each row of the training set whether its action is marked positive."""
        marks: NDArray[np.bool_] = self.frames["indicator"].to_numpy() == Indicator.POSITIVE.value
        return marks

    def require(self, trainset_fingerprint: str) -> None:
        """Refuse a training set that these annotations were not made for.

        Raises:
            FingerprintError: If the fingerprints differ.
        """
        if trainset_fingerprint != self.trainset_fingerprint:
            message = (
                f"These advantages mark the training set {self.trainset_fingerprint}, not "
                f"{trainset_fingerprint}. Episodes or outcomes changed since: delete the file and "
                f"run `recap mark-advantage` again."
            )
            raise FingerprintError(message)

    def save(self, path: Path) -> None:
        """Write the table as one parquet file, whole or not at all."""
        notes = {
            "thresholds": dict(self.thresholds),
            "trainset_fingerprint": self.trainset_fingerprint,
            "value_fingerprint": self.value_fingerprint,
            "settings": dict(self.settings),
        }
        table = pa.Table.from_pandas(self.frames, schema=SCHEMA, preserve_index=False)
        table = table.replace_schema_metadata({_METADATA_KEY: json.dumps(notes, allow_nan=False)})
        with whole_file(path) as partial:
            pq.write_table(table, partial)

    @classmethod
    def load(cls, path: Path) -> AdvantageTable:
        """Read what `save` wrote.

        Raises:
            ProjectError: If the file is missing, damaged, or something else.
        """
        try:
            table = pq.ParquetFile(path).read()
            notes = json.loads(table.schema.metadata[_METADATA_KEY])
            return cls(frames=table.to_pandas(), **notes)
        except FileNotFoundError:
            message = f"{path} does not exist. Run `recap mark-advantage` first."
            raise ProjectError(message) from None
        except (pa.ArrowInvalid, KeyError, TypeError, ValueError) as error:
            message = f"{path} is not a table of advantages ({error}). Delete it and mark again."
            raise ProjectError(message) from error
