"""Settings of a policy that runs on another machine. Imports nothing heavy."""

from dataclasses import dataclass, field
from pathlib import Path
from typing import Final
from urllib.parse import urlsplit

from data.errors import ConfigError
from recap.listening import is_this_machine_only, require_address, require_strong

TOKEN_VARIABLE: Final = "RECAP_POLICY_TOKEN"  # noqa: S105 - the name of a variable, not a token
DEFAULT_PORT: Final = 8765
BEST_JPEG_QUALITY: Final = 100

RECAP: Final = "recap"
OPENPI: Final = "openpi"
PROTOCOLS: Final = (RECAP, OPENPI)


@dataclass(frozen=True, slots=True, kw_only=True)
class ServeConfig:
    """Settings of ``recap serve-policy``."""

    path: Path | None = None
    """Folder of the checkpoint, a LeRobot `pretrained_model`."""

    host: str = "127.0.0.1"
    """Address to listen on; any but this machine's own demands a token."""

    port: int = DEFAULT_PORT
    """Port to listen on; 0 for any that is free."""

    token: str = field(default="", repr=False)
    """What a client must show; better given as RECAP_POLICY_TOKEN. Made up if needed and empty."""

    indicator: str | None = None
    """What the policy is told: positive, none or negative; null for what the checkpoint says."""

    guidance: float | None = None
    """Strength of guidance; null for what the checkpoint says."""

    max_robots: int = 4
    """Connections at the same time; they take turns on the model."""

    threads: int = 1
    """Processor threads for a policy that runs on the processor."""

    def __post_init__(self) -> None:
        """Refuse what cannot be listened on."""
        require_address(self.host, self.port, group="serve")
        for name in ("max_robots", "threads"):
            value = getattr(self, name)
            if value < 1:
                message = f"serve.{name} must be at least 1, got {value}."
                raise ConfigError(message)
        require_strong(self.token, name="serve.token")

    @property
    def is_for_this_machine_only(self) -> bool:
        """Whether nobody from outside can connect."""
        return is_this_machine_only(self.host)


@dataclass(frozen=True, slots=True, kw_only=True)
class OpenpiConfig:
    """How an openpi server wants to be asked; it does not say so itself."""

    cameras: dict[str, str] = field(default_factory=dict)
    """Camera name to key of the request; a camera that is not named is ``observation/<camera>``."""

    state_key: str = "observation/state"
    """Key of the robot's joints."""

    task_key: str = "prompt"
    """Key of the instruction."""

    chunk_steps: int = 50
    """Actions in an answer; an answer of another length is refused."""

    executed_steps: int = 25
    """Actions of a chunk that are carried out before the next one."""

    def __post_init__(self) -> None:
        """Refuse chunks that cannot be executed."""
        if not 1 <= self.executed_steps <= self.chunk_steps:
            message = (
                f"policy.openpi.executed_steps must lie between 1 and policy.openpi.chunk_steps "
                f"({self.chunk_steps}), got {self.executed_steps}."
            )
            raise ConfigError(message)


@dataclass(frozen=True, slots=True, kw_only=True)
class RemotePolicyConfig:
    """Where the policy runs, if not here."""

    address: str = ""
    """``host:port`` of `recap serve-policy`, or ``wss://host:port`` behind TLS; empty for none."""

    token: str = field(default="", repr=False)
    """What the server asks for; better given as RECAP_POLICY_TOKEN, which it is read from if empty.
    """

    deadline_s: float = 2.0
    """Seconds that an answer may take, there and back; after them the robot holds."""

    jpeg_quality: int = 0
    """Quality of pictures on the way, 1 to 100; 0 sends them as they are."""

    protocol: str = RECAP
    """What the server speaks: recap or openpi."""

    openpi: OpenpiConfig = field(default_factory=OpenpiConfig)
    """How to ask an openpi server."""

    def __post_init__(self) -> None:
        """Refuse an address that is none, and a deadline that leaves no time."""
        if self.address:
            address_to_uri(self.address)
        if not self.deadline_s > 0:
            message = f"policy.deadline_s must be above 0 seconds, got {self.deadline_s}."
            raise ConfigError(message)
        if not 0 <= self.jpeg_quality <= BEST_JPEG_QUALITY:
            message = f"policy.jpeg_quality must lie between 0 and 100, got {self.jpeg_quality}."
            raise ConfigError(message)
        if self.protocol not in PROTOCOLS:
            message = f"policy.protocol must be one of {', '.join(PROTOCOLS)}, got {self.protocol}."
            raise ConfigError(message)
        if self.jpeg_quality and self.protocol == OPENPI:
            message = (
                "policy.jpeg_quality: an openpi server takes pictures only as they are. "
                "Leave it at 0."
            )
            raise ConfigError(message)

    @property
    def uri(self) -> str:
        """The address as the library for WebSockets takes it."""
        return address_to_uri(self.address)


def address_to_uri(address: str) -> str:
    """Return ``ws://host:port`` of ``host:port``; an address that begins so already stays.

    Raises:
        ConfigError: If it names no host or no port.
    """
    uri = address if "://" in address else f"ws://{address}"
    try:
        parts = urlsplit(uri)
        is_whole = bool(parts.hostname) and parts.port is not None
    except ValueError:  # the port is no number
        is_whole = False
    if not is_whole or parts.scheme not in {"ws", "wss"} or parts.query or parts.username:
        message = (
            f"policy.address must be host:port, got '{address}'. "
            f"Type for example --policy.address=192.168.1.20:{DEFAULT_PORT}"
        )
        raise ConfigError(message)
    return uri
