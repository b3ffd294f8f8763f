"""A received map, read field by field: what is missing or of another kind is refused in words."""

from collections.abc import Mapping
from typing import Any, Final

import msgpack
import numpy as np
from numpy.typing import NDArray

from recap.remote.arrays import MOST_MESSAGE_BYTES, unpack_array
from recap.remote.errors import MessageError

MOST_TEXT_BYTES: Final = 4096
MOST_ENTRIES: Final = 64

Floats = NDArray[np.float32]


def unpack_map(data: object, **options: Any) -> dict[Any, Any]:  # noqa: ANN401 - msgpack's own
    """Return the map that a message is.

    Raises:
        MessageError: If it is too large, text, or no map in MessagePack.
    """
    if not isinstance(data, bytes):
        message = "A message must be binary, not text."
        raise MessageError(message)
    if len(data) > MOST_MESSAGE_BYTES:
        message = f"A message may have {MOST_MESSAGE_BYTES} bytes, not {len(data)}."
        raise MessageError(message)
    try:
        # Without these limits, a few bytes that announce long lists inside one another make the
        # reader set aside memory for all of them.
        content = msgpack.unpackb(
            data,
            max_str_len=MOST_TEXT_BYTES,
            max_array_len=MOST_ENTRIES,
            max_map_len=MOST_ENTRIES,
            max_ext_len=0,
            **options,
        )
    # RecursionError: deep nesting where the pure Python reader stands in.
    except (ValueError, TypeError, RecursionError) as error:
        message = "The message is not MessagePack, or longer in some part than it may be."
        raise MessageError(message) from error
    if not isinstance(content, dict):
        message = "A message must be a map."
        raise MessageError(message)
    return content


class Fields:
    """A map that arrived, and the words for what is wrong with it."""

    def __init__(self, content: object, *, name: str) -> None:
        """Take the map; ``name`` says in messages what it is."""
        if not isinstance(content, Mapping):
            message = f"{name} must be a map."
            raise MessageError(message)
        self._content = content
        self._name = name

    def has(self, key: str) -> bool:
        """Whether the field is there and not null."""
        return self._content.get(key) is not None

    def text(self, key: str) -> str:
        """Return a field of text."""
        value = self._content.get(key)
        if not isinstance(value, str):
            raise self._fault(key, "text")
        return value

    def count(self, key: str) -> int:
        """Return a whole number from 0 on."""
        value = self._content.get(key)
        # `type`, since True is an int and no count.
        if type(value) is not int or value < 0:
            raise self._fault(key, "a whole number from 0 on")
        return value

    def flag(self, key: str) -> bool:
        """Return a yes or no."""
        value = self._content.get(key)
        if not isinstance(value, bool):
            raise self._fault(key, "true or false")
        return value

    def map(self, key: str) -> Mapping[Any, Any]:
        """Return a map inside."""
        value = self._content.get(key)
        if not isinstance(value, Mapping):
            raise self._fault(key, "a map")
        return value

    def fields(self, key: str) -> "Fields":
        """Return a map inside, to be read in the same way."""
        return Fields(self.map(key), name=f"{self._name}.{key}")

    def floats(self, key: str, shape: tuple[int | None, ...]) -> Floats:
        """Return an array of finite float32; None in the shape stands for any size."""
        array = unpack_array(self._content.get(key))
        fits = len(shape) == array.ndim and all(
            want in (None, size) for want, size in zip(shape, array.shape, strict=True)
        )
        if array.dtype != np.float32 or not fits:
            wanted = ", ".join("any" if want is None else str(want) for want in shape)
            raise self._fault(key, f"float32 of shape ({wanted})")
        if not np.isfinite(array).all():
            raise self._fault(key, "finite")
        return array

    def _fault(self, key: str, kind: str) -> MessageError:
        message = f"{self._name}.{key} must be {kind}."
        return MessageError(message)
