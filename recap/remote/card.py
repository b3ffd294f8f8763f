"""What a server says about its policy before anything moves, and whether a robot fits it."""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from data.errors import CheckpointError
from data.schema import ACTION_KEY, IMAGE_PREFIX, STATE_KEY, Layout
from recap.remote.errors import PolicyRefusedError
from recap.rollout.chunks import ChunkSource


@dataclass(frozen=True, slots=True, kw_only=True)
class Sizes:
    """What a policy sees and what it commands."""

    cameras: Mapping[str, tuple[int, int]]
    """Camera name to (height, width) in pixels."""

    state_size: int
    """Components of the state, ``S``."""

    action_size: int
    """Components of an action, ``A``."""


@dataclass(frozen=True, slots=True, kw_only=True)
class PolicyCard:
    """What a robot has to know about a policy that it does not hold itself."""

    policy_id: str
    """Which policy it is: the fingerprint of its checkpoint."""

    chunk_steps: int
    """Actions in a chunk, ``h``."""

    executed_steps: int
    """Actions of a chunk to execute before looking again."""

    follows_prefix: bool
    """Whether it can be told what will be done anyway."""

    sizes: Sizes | None
    """What it sees and commands; None where the server does not say so."""


def describe(source: ChunkSource, sizes: Sizes) -> PolicyCard:
    """Return the card of a policy in this process."""
    return PolicyCard(
        policy_id=source.policy_id,
        chunk_steps=source.chunk_steps,
        executed_steps=source.executed_steps,
        follows_prefix=source.follows_prefix,
        sizes=sizes,
    )


def read_sizes(folder: Path) -> Sizes:
    """Read from a checkpoint what its policy sees and commands, without loading the policy.

    Raises:
        CheckpointError: If the folder is no checkpoint, or does not say.
    """
    path = folder / "config.json"
    try:
        config: Any = json.loads(path.read_text(encoding="utf-8"))
        seen: Mapping[str, Any] = config["input_features"]
        pictures = {name: seen[name]["shape"] for name in seen if name.startswith(IMAGE_PREFIX)}
        return Sizes(
            cameras={
                name.removeprefix(IMAGE_PREFIX): (int(height), int(width))
                for name, (_, height, width) in pictures.items()
            },
            state_size=int(seen[STATE_KEY]["shape"][0]),
            action_size=int(config["output_features"][ACTION_KEY]["shape"][0]),
        )
    except OSError as error:
        message = f"{folder} is not a policy checkpoint: it has no config.json."
        raise CheckpointError(message) from error
    except (LookupError, TypeError, ValueError) as error:
        message = f"{path} does not say what the policy sees and commands, so it cannot be served."
        raise CheckpointError(message) from error


def require_fit(card: PolicyCard, layout: Layout) -> None:
    """Refuse a policy that sees or commands something else than this robot.

    Raises:
        PolicyRefusedError: If cameras, state or action differ; the message says all of it.
    """
    if card.sizes is None:
        return
    ours = Sizes(
        cameras={name: (height, width) for name, (height, width) in layout.cameras.items()},
        state_size=len(layout.state_names),
        action_size=len(layout.action_names),
    )
    faults = [
        *_camera_faults(card.sizes.cameras, ours.cameras),
        *_size_fault("state", card.sizes.state_size, ours.state_size),
        *_size_fault("action", card.sizes.action_size, ours.action_size),
    ]
    if faults:
        message = (
            f"Policy {card.policy_id} does not fit this robot: {'; '.join(faults)}. Serve a policy "
            f"that was trained on this robot, or name and size its cameras as in training."
        )
        raise PolicyRefusedError(message)


def _camera_faults(
    theirs: Mapping[str, tuple[int, int]], ours: Mapping[str, tuple[int, int]]
) -> list[str]:
    missing = [f"it needs a camera '{name}'" for name in theirs if name not in ours]
    resized = [
        f"camera '{name}' is {ours[name][0]}x{ours[name][1]} here and "
        f"{height}x{width} there (height x width)"
        for name, (height, width) in theirs.items()
        if name in ours and ours[name] != (height, width)
    ]
    return missing + resized


def _size_fault(what: str, theirs: int, ours: int) -> list[str]:
    return [f"its {what} has {theirs} components, not {ours}"] if theirs != ours else []
