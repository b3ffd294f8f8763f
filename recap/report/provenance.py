"""Where the numbers of a page come from, as the manifest knows it."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import Any

from recap.manifest import StageEntry
from recap.report.words import EN_DASH

EPISODES = "episodes/"
"""Recorded episodes are too many to list; the training set's fingerprint stands for them."""

SHOWN_DIGITS = 16


def provenance(
    stages: Mapping[str, StageEntry], *, worlds: Mapping[str, range]
) -> dict[str, dict[str, str]]:
    """Group what the manifest knows: what was done, with what, from what.

    Args:
        stages: Name -> entry of every stage that led to the page.
        worlds: What the worlds were for -> their seeds.
    """
    entries = stages.values()
    seeds = ", ".join(sorted({str(entry.seed) for entry in entries}))
    return {
        "Stages": {name: _work_text(entry) for name, entry in stages.items()},
        "Fingerprints": {
            name: fingerprint[:SHOWN_DIGITS]
            for entry in entries
            for name, fingerprint in {**entry.inputs, **entry.outputs}.items()
            if not name.startswith(EPISODES)
        },
        "Seeds": {
            "training": seeds,
            **{
                f"worlds to {use}": f"{seeds_of[0]}{EN_DASH}{seeds_of[-1]}"
                for use, seeds_of in worlds.items()
            },
        },
        "Settings": {
            name: text for entry in entries for name, text in _flat(entry.settings).items()
        },
        "Versions": {
            name: ", ".join(sorted({e.versions[name] for e in entries if name in e.versions}))
            for entry in entries
            for name in entry.versions
        },
    }


def _work_text(entry: StageEntry) -> str:
    said = entry.report.get("headline", "not complete")
    when = ""
    if entry.finished_at:
        when = f", {datetime.fromisoformat(entry.finished_at):%Y-%m-%d %H:%M} UTC"
    return f"{said} ({entry.seconds:,.0f} s{when})"


def _flat(settings: Mapping[str, Any], prefix: str = "") -> dict[str, str]:
    flat: dict[str, str] = {}
    for name, value in settings.items():
        if isinstance(value, Mapping):
            flat |= _flat(value, f"{prefix}{name}.")
        else:
            flat[prefix + name] = "null" if value is None else str(value)
    return flat
