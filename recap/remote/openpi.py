"""The messages of an openpi server: enough to be driven by a policy that it serves.

The server sends a map of its own choice first. A question is one flat map of arrays and text, an
answer a map with ``actions`` ``(h, A)``; what goes wrong comes as text. Arrays are
``{b"__ndarray__": True, b"data", b"dtype", b"shape"}``. Such a server tells neither what its policy
sees nor how long its chunks are, knows no seed, and takes no prefix.
"""

import hashlib
from collections.abc import Mapping
from typing import Any, Final

import msgpack
import numpy as np
from numpy.typing import NDArray

from data.errors import ConfigError, PolicyUnreachableError
from data.schema import Layout
from recap.remote.arrays import WIRE_TYPES, array_from_bytes
from recap.remote.card import PolicyCard
from recap.remote.config import OpenpiConfig
from recap.remote.errors import MessageError, PolicyRefusedError
from recap.remote.fields import unpack_map
from recap.remote.messages import Question
from recap.rollout.chunks import Chunk

FINGERPRINT_DIGITS: Final = 12
MOST_WORDS: Final = 200

_WIRE_TYPES: Final = {wire_type.str: wire_type for wire_type in WIRE_TYPES.values()}


class OpenpiDialect:
    """Asks an openpi server in its own words."""

    def __init__(self, layout: Layout, config: OpenpiConfig) -> None:
        """Speak for a robot of this layout.

        Raises:
            ConfigError: If a camera is given a key that the robot does not have.
        """
        for camera in config.cameras:
            if camera not in layout.cameras:
                message = (
                    f"policy.openpi.cameras names '{camera}', but the robot has only "
                    f"{', '.join(layout.cameras)}."
                )
                raise ConfigError(message)
        self._layout = layout
        self._config = config

    def headers(self, token: str) -> Mapping[str, str]:
        """Show the token as openpi's own client does."""
        return {"Authorization": f"Api-Key {token}"} if token else {}

    def read_greeting(self, data: bytes | str) -> PolicyCard:
        """Take the server's first message as it is: it only has to be a map."""
        try:
            content = unpack_map(data)
        except MessageError as error:
            message = f"The openpi server cannot be understood: {error}"
            raise PolicyRefusedError(message) from error
        if {"version", "kind", "policy_id"} <= set(content):
            message = (
                "This is `recap serve-policy`, not an openpi server. Leave --policy.protocol out."
            )
            raise PolicyRefusedError(message)
        told = data if isinstance(data, bytes) else b""
        return PolicyCard(
            policy_id=f"openpi-{hashlib.sha256(told).hexdigest()[:FINGERPRINT_DIGITS]}",
            chunk_steps=self._config.chunk_steps,
            executed_steps=self._config.executed_steps,
            follows_prefix=False,
            sizes=None,
        )

    def write_question(self, question: Question) -> bytes:
        """Return the observation under the keys that the server's policy was trained with."""
        seen = question.observation
        content: dict[str, object] = {
            self._config.cameras.get(name, f"observation/{name}"): _pack(picture)
            for name, picture in seen.images.items()
        }
        content[self._config.state_key] = _pack(seen.state)
        content[self._config.task_key] = seen.task
        packed: bytes = msgpack.packb(content)
        return packed

    def read_answer(self, data: bytes | str, *, question: Question, card: PolicyCard) -> Chunk:  # noqa: ARG002 - the protocol of a dialect; openpi numbers nothing
        """Read the actions; text instead of them is what went wrong over there."""
        if isinstance(data, str):
            last_line = data.strip().rpartition("\n")[2][:MOST_WORDS]
            message = f"The openpi server failed: {last_line}"
            raise PolicyUnreachableError(message)
        try:
            actions = _unpack(unpack_map(data).get("actions"))
        except MessageError as error:
            message = f"The openpi server answered what cannot be understood: {error}"
            raise PolicyRefusedError(message) from error
        wanted = (card.chunk_steps, len(self._layout.action_names))
        if actions.shape != wanted:
            message = (
                f"The openpi server answered actions of shape {actions.shape}, not {wanted}. If "
                f"its chunks are of that length, type --policy.openpi.chunk_steps={len(actions)}."
            )
            raise PolicyRefusedError(message)
        floats = actions.astype(np.float32)
        return Chunk(actions=floats, normalised=floats)


def _pack(array: NDArray[Any]) -> dict[bytes, object]:
    wire_type = WIRE_TYPES[array.dtype.name]
    return {
        b"__ndarray__": True,
        b"data": np.ascontiguousarray(array, dtype=wire_type).tobytes(),
        b"dtype": wire_type.str,
        b"shape": list(array.shape),
    }


def _unpack(content: object) -> NDArray[Any]:
    if not isinstance(content, Mapping) or b"__ndarray__" not in content:
        message = "There is no array of actions in it."
        raise MessageError(message)
    code = content.get(b"dtype")
    wire_type = _WIRE_TYPES.get(code) if isinstance(code, str) else None
    if wire_type is None:
        message = "Its actions are no numbers of a known type."
        raise MessageError(message)
    array = array_from_bytes(content.get(b"data"), wire_type=wire_type, shape=content.get(b"shape"))
    if array.ndim == 0 or not np.isfinite(array).all():
        message = "Its actions are not all finite numbers."
        raise MessageError(message)
    return array
