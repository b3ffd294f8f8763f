"""Which moments of an episode deserve a picture."""

from __future__ import annotations

import numpy as np

from recap.report.content import Floats, Integers


def steepest_fall(values: Floats, *, window: int) -> tuple[int, int] | None:
    """Find the stretch of ``window`` frames over which the value falls the most.

    Args:
        values: ``(T,)`` predicted returns of one episode.
        window: Length of the stretch in frames; a shorter episode is one stretch.

    Returns:
        First and last frame of the stretch, or None when the value never falls over one.
    """
    span = min(window, len(values) - 1)
    if span < 1:
        return None
    change = values[span:] - values[:-span]
    start = int(np.argmin(change))
    if change[start] >= 0:
        return None
    return start, start + span


def filmstrip_frames(values: Floats, *, count: int = 8, window: int = 10) -> Integers:
    """Choose the frames of a filmstrip: evenly spread, yet never missing the steepest fall.

    The two ends of the steepest fall replace the evenly spaced frames nearest to them, so that the
    reader sees what happened where the value dropped. First and last frame always stay.

    Args:
        values: ``(T,)`` predicted returns of one episode.
        count: Number of pictures wanted; an episode shorter than that gives one for each frame.
        window: Length of the fall to look for, in frames.

    Returns:
        At most ``count`` frame indices, ascending and distinct.

    Raises:
        ValueError: If ``count`` is below two, or there are no values.
    """
    if count < 2 or len(values) == 0:  # a strip has a beginning and an end
        message = f"A filmstrip needs 2 pictures and a value, got {count} and {len(values)}."
        raise ValueError(message)
    frames = np.unique(np.linspace(0, len(values) - 1, count).round().astype(np.int64))
    fall = steepest_fall(values, window=window)
    if fall is None or len(frames) < 4:  # two ends and the two of the fall
        return frames
    inner = list(frames[1:-1])
    for frame in fall:
        free = [kept for kept in inner if kept not in fall]
        if frame in frames or not free:
            continue
        inner.remove(min(free, key=lambda kept: abs(int(kept) - frame)))
        inner.append(np.int64(frame))
    return np.unique(np.concatenate([frames[:1], inner, frames[-1:]]).astype(np.int64))
