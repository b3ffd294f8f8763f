"""Arrays on the wire: a type from a short list, a shape, and exactly the bytes these two demand.

Nothing that arrives is believed. Bytes become an array only when its shape accounts for every one
of them, so no message makes its receiver allocate more than it sent itself.
"""

import math
from collections.abc import Mapping
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from recap.remote.errors import MessageError

MOST_MESSAGE_BYTES: Final = 32 * 2**20
"""Largest message: ten cameras of 720 x 1280 fit uncompressed."""

MOST_DIMENSIONS: Final = 8

WIRE_TYPES: Final[Mapping[str, np.dtype[Any]]] = {
    "bool": np.dtype("?"),
    "uint8": np.dtype("u1"),
    "int32": np.dtype("<i4"),
    "int64": np.dtype("<i8"),
    "float16": np.dtype("<f2"),
    "float32": np.dtype("<f4"),
    "float64": np.dtype("<f8"),
}
"""What an array may hold, little-endian whatever the machine; objects are not among it."""


def pack_array(array: NDArray[Any]) -> dict[str, object]:
    """Return an array as a map of type, shape and bytes.

    Raises:
        MessageError: If it holds what cannot be sent.
    """
    wire_type = WIRE_TYPES.get(array.dtype.name)
    if wire_type is None:
        message = f"An array of {array.dtype} cannot be sent; only {', '.join(WIRE_TYPES)} can."
        raise MessageError(message)
    data = np.ascontiguousarray(array, dtype=wire_type).tobytes()
    return {"dtype": array.dtype.name, "shape": list(array.shape), "data": data}


def unpack_array(content: object) -> NDArray[Any]:
    """Return the array that `pack_array` packed.

    Raises:
        MessageError: If the map is not whole, or type, shape and bytes contradict one another.
    """
    if not isinstance(content, Mapping) or set(content) != {"dtype", "shape", "data"}:
        message = "An array must be a map of dtype, shape and data."
        raise MessageError(message)
    name = content["dtype"]
    wire_type = WIRE_TYPES.get(name) if isinstance(name, str) else None
    if wire_type is None:
        message = f"An array may hold {', '.join(WIRE_TYPES)}, nothing else."
        raise MessageError(message)
    return array_from_bytes(content["data"], wire_type=wire_type, shape=content["shape"])


def array_from_bytes(data: object, *, wire_type: np.dtype[Any], shape: object) -> NDArray[Any]:
    """Return received bytes as an array of its own, once its shape accounts for all of them.

    Raises:
        MessageError: If it does not.
    """
    dimensions = checked_shape(shape)
    if not isinstance(data, bytes) or math.prod(dimensions) * wire_type.itemsize != len(data):
        message = f"An array of shape {list(dimensions)} does not have the bytes it should have."
        raise MessageError(message)
    native = wire_type.newbyteorder("=")
    return np.frombuffer(data, dtype=wire_type).reshape(dimensions).astype(native)


def checked_shape(shape: object) -> tuple[int, ...]:
    """Return a received shape, if an array that small and that flat can exist.

    Raises:
        MessageError: If it is no list of sizes, or would not fit into a message.
    """
    if not isinstance(shape, list | tuple) or len(shape) > MOST_DIMENSIONS:
        message = f"The shape of an array must be a list of at most {MOST_DIMENSIONS} sizes."
        raise MessageError(message)
    # `type`, since True is an int and no size.
    if any(type(size) is not int or size < 0 for size in shape):
        message = "The sizes of an array must be whole numbers from 0 on."
        raise MessageError(message)
    # A zero would hide its neighbours from the product, and NumPy multiplies without it.
    if math.prod(max(size, 1) for size in shape) > MOST_MESSAGE_BYTES:
        message = "The shape of an array does not fit into a message."
        raise MessageError(message)
    return tuple(shape)
