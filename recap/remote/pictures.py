"""Pictures on the wire: as they are, or as JPEG where the network is narrow."""

import io
from collections.abc import Mapping
from typing import Final

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from recap.remote.arrays import pack_array, unpack_array
from recap.remote.errors import MessageError

Picture = NDArray[np.uint8]

COLOURS: Final = 3

_BOMBS: Final = (Image.DecompressionBombError, Image.DecompressionBombWarning)
"""Raised for a header that claims too many pixels; the warning only where warnings are errors."""


def pack_picture(picture: Picture, *, jpeg_quality: int) -> dict[str, object]:
    """Return a ``(H, W, 3)`` picture as a map: an array, or a JPEG with the shape it decodes to.

    Args:
        picture: What a camera saw.
        jpeg_quality: 1 to 100; 0 for the picture as it is.
    """
    if jpeg_quality == 0:
        return pack_array(picture)
    stream = io.BytesIO()
    # Colour at full resolution: objects in these pictures are told apart by it.
    Image.fromarray(picture).save(stream, format="JPEG", quality=jpeg_quality, subsampling=0)
    return {"jpeg": stream.getvalue(), "shape": list(picture.shape)}


def unpack_picture(content: object, *, height: int, width: int) -> Picture:
    """Return the ``(height, width, 3)`` picture that `pack_picture` packed.

    Raises:
        MessageError: If it is none, or one of another size.
    """
    shape = (height, width, COLOURS)
    if isinstance(content, Mapping) and set(content) == {"jpeg", "shape"}:
        if content["shape"] != list(shape):
            message = f"A picture has another shape than {list(shape)}."
            raise MessageError(message)
        return _decode(content["jpeg"], height=height, width=width)
    picture = unpack_array(content)
    if picture.dtype != np.uint8 or picture.shape != shape:
        message = (
            f"A picture must be {list(shape)} uint8, not {list(picture.shape)} {picture.dtype}."
        )
        raise MessageError(message)
    return picture


def _decode(data: object, *, height: int, width: int) -> Picture:
    message = "A picture is not the JPEG that it says it is."
    if not isinstance(data, bytes):
        raise MessageError(message)
    try:
        # The size stands in the header, and is compared before anything is decoded.
        with Image.open(io.BytesIO(data), formats=["JPEG"]) as image:
            if image.size != (width, height) or image.mode != "RGB":
                raise MessageError(message)
            return np.array(image, dtype=np.uint8)
    except (OSError, SyntaxError, *_BOMBS) as error:
        raise MessageError(message) from error
