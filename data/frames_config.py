"""Settings of the decoded frames. Imports nothing heavy, so the command line can show them."""

import math
from dataclasses import dataclass

from data.errors import ConfigError

GIB = 1024**3


@dataclass(frozen=True, slots=True, kw_only=True)
class FramesConfig:
    """Settings of the decoded frames."""

    cache_gib: float = 20.0
    """Decoded frames to keep on disk, in GiB; those not used for longest make room. A set that is
    larger is learned from in windows of half of it, decoded once for every time it is gone through.
    """

    memory_gib: float = 4.0
    """Largest set, in GiB of decoded frames, that is held in memory; a larger one is read from
    disk."""

    decoders: int = 2
    """Threads that decode videos."""

    def __post_init__(self) -> None:
        """Refuse sizes that hold nothing."""
        if self.cache_gib <= 0.0:
            message = f"frames.cache_gib must be above 0, got {self.cache_gib}."
            raise ConfigError(message)
        if self.memory_gib < 0.0:
            message = f"frames.memory_gib must not be negative, got {self.memory_gib}."
            raise ConfigError(message)
        if self.decoders < 1:
            message = f"frames.decoders must be at least 1, got {self.decoders}."
            raise ConfigError(message)

    @property
    def cache_bytes(self) -> int:
        """What the folder of decoded frames may hold."""
        return int(self.cache_gib * GIB)

    @property
    def memory_bytes(self) -> int:
        """The largest set that is held in memory."""
        return int(self.memory_gib * GIB)


def in_words(size: int) -> str:
    """Say a number of bytes in the unit that shows it: KiB, MiB or GiB."""
    for unit, bytes_of_unit in (("GiB", GIB), ("MiB", 1024**2)):
        if size >= 0.1 * bytes_of_unit:
            return f"{size / bytes_of_unit:.2f} {unit}"
    return f"{size / 1024:.2f} KiB"


def enough_gib(size: int) -> str:
    """Give the GiB that hold so many bytes, as they are typed: two digits, rounded up."""
    exact = size / GIB
    step = 10.0 ** (math.floor(math.log10(exact)) - 1)
    return f"{math.ceil(exact / step) * step:.2g}"
