"""Frames into pictures and films that a page can carry inside itself."""

from __future__ import annotations

import io
from base64 import b64encode
from collections.abc import Mapping

import numpy as np

from data.schema import Outcome
from recap.report.content import Bools, Pixels, Video

SMALLEST_HEIGHT = 256
"""Films are enlarged to at least this many pixels: players blur small films when they stretch."""

LARGEST_HEIGHT = 480
"""Films are reduced to at most this many pixels, so that a page stays light enough to send."""

THUMBNAIL_HEIGHT = 160
"""Filmstrip pictures are reduced to at most this many pixels."""

SMALL_HEIGHT = 96
"""Pictures up to this many pixels are kept exactly."""

GAP = 4
"""Dark pixels between two cameras."""


def stack_side_by_side(cameras: Mapping[str, Pixels]) -> Pixels:
    """Put the cameras of one episode next to each other, enlarged to be worth watching.

    Every camera is enlarged by a whole factor (nearest neighbour: a pixel stays a pixel) until it
    is at least ``SMALLEST_HEIGHT`` tall, or reduced by a whole factor to ``LARGEST_HEIGHT``;
    shorter cameras are then centred on black.

    Args:
        cameras: Camera name -> ``(T, H, W, 3)`` pictures; all of the same length.

    Returns:
        ``(T, H', W', 3)`` pictures with even height and width, as the film format demands.

    Raises:
        ValueError: If there is no camera, no frame, or the cameras differ in length.
    """
    lengths = {name: len(pictures) for name, pictures in cameras.items()}
    if len(set(lengths.values())) != 1 or 0 in lengths.values():
        message = f"A film needs cameras with the same number of frames, got {lengths}."
        raise ValueError(message)
    scaled = [_rescaled(pictures) for pictures in cameras.values()]
    height = _next_even(max(pictures.shape[1] for pictures in scaled))
    width = _next_even(sum(p.shape[2] for p in scaled) + GAP * (len(scaled) - 1))
    stacked = np.zeros((len(scaled[0]), height, width, 3), dtype=np.uint8)
    left = 0
    for pictures in scaled:
        top = (height - pictures.shape[1]) // 2
        right = left + pictures.shape[2]
        stacked[:, top : top + pictures.shape[1], left:right] = pictures
        left = right + GAP
    return stacked


def encode_mp4(pictures: Pixels, *, control_rate_hz: int) -> bytes:
    """Encode pictures as an H.264 film in yuv420p, which every browser plays.

    Args:
        pictures: ``(T, H, W, 3)`` with even height and width.
        control_rate_hz: Pictures per second.

    Returns:
        A whole mp4 file.
    """
    import av  # here, because the page itself needs no codec

    buffer = io.BytesIO()
    with av.open(buffer, mode="w", format="mp4") as container:
        stream = container.add_stream("libx264", rate=control_rate_hz)
        stream.width, stream.height = pictures.shape[2], pictures.shape[1]
        stream.pix_fmt = "yuv420p"
        stream.options = {"crf": "23", "preset": "medium"}
        stream.thread_count = 1
        for picture in pictures:
            frame = av.VideoFrame.from_ndarray(np.ascontiguousarray(picture), format="rgb24")
            container.mux(stream.encode(frame))
        container.mux(stream.encode())
    return buffer.getvalue()


def rollout_video(
    cameras: Mapping[str, Pixels],
    *,
    control_rate_hz: int,
    title: str,
    task: str,
    outcome: Outcome,
    is_correction: Bools,
) -> Video:
    """Make the film of one episode, all cameras side by side, with its caption.

    Args:
        cameras: Camera name -> ``(T, H, W, 3)`` pictures.
        control_rate_hz: Control steps per second; the film runs in real time.
        title: Whose rollout it is.
        task: The instruction.
        outcome: How the episode was judged.
        is_correction: ``(T,)`` frames where somebody other than the policy was in control.
    """
    pictures = stack_side_by_side(cameras)
    return Video(
        mp4=encode_mp4(pictures, control_rate_hz=control_rate_hz),
        poster=pictures[0],
        title=title,
        task=task,
        outcome=outcome,
        is_correction=is_correction,
    )


def mp4_uri(mp4: bytes) -> str:
    """Write a film as an address that contains it."""
    return "data:video/mp4;base64," + b64encode(mp4).decode("ascii")


def picture_uri(picture: Pixels, *, largest_height: int = LARGEST_HEIGHT) -> str:
    """Write a picture as an address that contains it.

    Args:
        picture: ``(H, W, 3)``; it is reduced when it is taller than ``largest_height``.
        largest_height: In pixels.
    """
    from PIL import Image  # here, because a page without pictures needs no image library

    image = Image.fromarray(np.ascontiguousarray(picture))
    if image.height > largest_height:
        width = max(1, round(image.width * largest_height / image.height))
        image = image.resize((width, largest_height), Image.Resampling.LANCZOS)
    buffer = io.BytesIO()
    # Small pictures are shown enlarged, where lossy blocks would be seen.
    image.save(buffer, format="WEBP", quality=90, lossless=image.height <= SMALL_HEIGHT)
    return "data:image/webp;base64," + b64encode(buffer.getvalue()).decode("ascii")


def _rescaled(pictures: Pixels) -> Pixels:
    height = pictures.shape[1]
    if height < SMALLEST_HEIGHT:
        factor = -(-SMALLEST_HEIGHT // height)
        return pictures.repeat(factor, axis=1).repeat(factor, axis=2)
    factor = -(-height // LARGEST_HEIGHT)
    return pictures[:, ::factor, ::factor]


def _next_even(size: int) -> int:
    return size + size % 2
