"""Make ``assets/base`` of the project in which ``recap pretrain`` made a base.

Weights, configurations, processors and the statistics that they normalise by go along, and nothing
else: no optimizer, no data, no marks of frames that stay behind, and no path of the machine it was
made on.
"""

import argparse
import os
import shutil
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

from draccus import cfgparsing

from data.errors import CheckpointError, RecapError
from data.files import read_json, whole_folder, write_json_atomically
from recap.project import SETTINGS_FILE, Project
from recap.trainsets import STATISTICS_OF_BASE

LARGEST_BYTES: Final = 10_000_000
PREPROCESSOR: Final = "policy_preprocessor.json"
READABLE: Final = (".json", ".md", ".txt", ".yaml")
WEIGHTS: Final = "model.safetensors"
FORGOTTEN: Final = frozenset({"table", "pretrained_path"})
"""Entries of a checkpoint's JSON that name places on the machine it was made on."""

CARD: Final = """\
---
license: apache-2.0
library_name: lerobot
tags: [robotics, recap]
---
# A base for the tabletop

What `configs/demo.yaml` starts from: a value model and a policy, pre-trained on demonstrations
alone. Neither has seen a world of any evaluation or any later collection.

    make base      # makes this folder again

| | |
|---|---|
| demonstrations | {episodes} attempts, {frames} frames, {successes:.0%} of them successes |
| worlds | seeds {first_seed} to {last_seed}; other projects may not use them |
| who demonstrated | a scripted arm operator: {skill:.0%} of the attempts practised, the others \
with a novice's habits (slow, closing or opening the hand in the wrong place, hesitating, \
wandering, reaching for the wrong cube first) |
| value model | {value_parameters:,} weights, {value_steps} steps; {value_said} |
| policy | `recap_flow`, {policy_parameters:,} weights, batches of {batch_size}; {policy_said} |
| indicator | in training from the value model's advantages, dropped for {dropout:.0%} of the \
samples; `positive` at run time |
| seed | {seed} |
| size | {megabytes:.1f} MB |

`statistics.json` holds the normalisation that both were trained with and that every project on
this base keeps.
Licence: Apache-2.0. The data is made by this repository's own simulation.
"""


def main() -> int:
    """Export the base; the exit code is 2 where it cannot be done."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--project", type=Path, default=Path("runs/base"), help="where it was made")
    parser.add_argument("--destination", type=Path, default=Path("assets/base"), help="where to")
    parser.add_argument(
        "--half", action="store_true", help="keep the policy's weights in 16 bits: half the size"
    )
    arguments = parser.parse_args()
    try:
        size = export(Project(arguments.project), arguments.destination, is_half=arguments.half)
    except RecapError as error:
        sys.stderr.write(f"{error}\n")
        return 2
    sys.stdout.write(f"{arguments.destination}: {size / 1e6:.1f} MB\n")
    return 0


def export(project: Project, destination: Path, *, is_half: bool = False) -> int:
    """Copy the base, write its card, and return its size in bytes.

    Args:
        project: Where the base was made.
        destination: The folder to make; what is there is replaced.
        is_half: Whether the policy's weights are kept in 16 bits. Loading makes them 32 again.

    Raises:
        CheckpointError: If there is no base, it is too large, or it names a place on this machine.
    """
    base = project.starting_point(None)
    fresh = destination.with_name(f"{destination.name}.new")
    shutil.rmtree(fresh, ignore_errors=True)
    with whole_folder(fresh) as folder:
        for part in ("value", "policy"):
            shutil.copytree(base / part, folder / part)
        if is_half:
            _halve(folder / "policy" / WEIGHTS)
        _forget_signs(folder / "policy")
        shutil.copyfile(project.statistics, folder / STATISTICS_OF_BASE)
        for path in folder.rglob("*.json"):
            write_json_atomically(path, _without_places(read_json(path)))
        for path in (path for path in folder.rglob("*") if path.is_file()):
            path.chmod(0o644)
        size = sum(path.stat().st_size for path in folder.rglob("*") if path.is_file())
        (folder / "README.md").write_text(_card(project, folder, size), encoding="utf-8")
        _check(folder, size)
    shutil.rmtree(destination, ignore_errors=True)
    fresh.rename(destination)
    return size


def _forget_signs(policy: Path) -> None:
    """Remove what the indicator's step remembers: it belongs to the frames of this project."""
    content = read_json(policy / PREPROCESSOR)
    for step in content["steps"]:
        if "runtime" in step["config"] and "state_file" in step:
            (policy / step.pop("state_file")).unlink()
    write_json_atomically(policy / PREPROCESSOR, content)


def _without_places(content: Any) -> Any:  # noqa: ANN401 - JSON is any of six types
    if isinstance(content, Mapping):
        kept = {name: _without_places(value) for name, value in content.items()}
        for name in FORGOTTEN & kept.keys():
            kept[name] = "" if name == "table" else None
        return kept
    return [_without_places(value) for value in content] if isinstance(content, list) else content


def _halve(path: Path) -> None:
    import numpy as np
    from safetensors.numpy import load_file, save_file

    tensors = load_file(path)
    save_file(
        {
            name: tensor.astype(np.float16) if tensor.dtype == np.float32 else tensor
            for name, tensor in tensors.items()
        },
        path,
    )


def _check(folder: Path, size: int) -> None:
    if size > LARGEST_BYTES:
        message = (
            f"The base has {size / 1e6:.1f} MB; at most {LARGEST_BYTES / 1e6:.0f} MB may go. "
            f"--half keeps the policy's weights in 16 bits."
        )
        raise CheckpointError(message)
    places = {str(Path.cwd()), str(Path.home()), os.environ.get("TMPDIR", "/tmp")}  # noqa: S108
    for path in (path for path in folder.rglob("*") if path.suffix in READABLE):
        text = path.read_text(encoding="utf-8")
        named = sorted(place for place in places if len(place) > 1 and f"{place}/" in text)
        if named:
            message = f"{path.relative_to(folder)} names a place on this machine: {named[0]}."
            raise CheckpointError(message)


def _card(project: Project, folder: Path, size: int) -> str:
    """Fill the card from what the project was made with and what its stages said."""
    settings = cfgparsing.load_config((project.folder / SETTINGS_FILE).read_text(encoding="utf-8"))
    demonstrations, pretraining = settings["demonstrations"], settings["pretraining"]
    said = read_json(project.manifest(None))
    collected = read_json(project.manifest(0))
    reports = {name: _report(said, name) for name in ("train-value", "train-policy")}
    return CARD.format(
        episodes=demonstrations["episodes"],
        frames=f"{_report(collected, 'collect')['frames']:,}",
        successes=_report(collected, "label")["successes"] / demonstrations["episodes"],
        first_seed=demonstrations["first_seed"],
        last_seed=demonstrations["first_seed"] + demonstrations["episodes"] - 1,
        skill=demonstrations["skill"],
        value_parameters=_weights(folder / "value" / WEIGHTS),
        value_steps=pretraining["value"]["steps"],
        value_said=reports["train-value"]["headline"],
        policy_parameters=_weights(folder / "policy" / WEIGHTS),
        policy_said=reports["train-policy"]["headline"],
        batch_size=pretraining["policy"]["batch_size"],
        dropout=pretraining["policy"]["indicator_dropout"],
        seed=settings["seed"],
        megabytes=size / 1e6,
    )


def _report(manifest: Mapping[str, Any], stage: str) -> Mapping[str, Any]:
    entry = manifest.get("stages", manifest)[stage]
    report: Mapping[str, Any] = entry["report"]
    return report


def _weights(path: Path) -> int:
    """Count the numbers in a file of weights."""
    from safetensors import safe_open

    with safe_open(path, framework="numpy") as tensors:
        shapes = [tensors.get_slice(name).get_shape() for name in tensors.keys()]  # noqa: SIM118
    total = 0
    for shape in shapes:
        count = 1
        for length in shape:
            count *= length
        total += count
    return total


if __name__ == "__main__":
    sys.exit(main())
