"""Where a server of ours listens, and the token that whoever connects must show."""

import ipaddress
import os
from collections.abc import Mapping
from typing import Final

from data.errors import ConfigError

LEAST_TOKEN_CHARACTERS: Final = 16
MOST_PORT: Final = 65535


def require_address(host: str, port: int, *, group: str) -> None:
    """Refuse an address that cannot be listened on.

    Args:
        host: A name or address.
        port: The port; 0 for any that is free.
        group: The settings they belong to, such as ``serve``.

    Raises:
        ConfigError: If it cannot.
    """
    if not host:
        message = f"{group}.host must not be empty. For every address, type --{group}.host=0.0.0.0."
        raise ConfigError(message)
    if not 0 <= port <= MOST_PORT:
        message = f"{group}.port must lie between 0 and {MOST_PORT}, got {port}."
        raise ConfigError(message)


def is_this_machine_only(host: str) -> bool:
    """Say whether nobody from outside can connect."""
    if host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:  # a name: where it leads is not known here
        return False


def require_strong(token: str, *, name: str) -> None:
    """Refuse a token that is easily guessed, or that an address cannot hold. An empty one is none.

    Raises:
        ConfigError: If it is.
    """
    if not token:
        return
    is_plain = token.isascii() and token.isprintable() and " " not in token
    if len(token) < LEAST_TOKEN_CHARACTERS or not is_plain:
        message = (
            f"{name} must be at least {LEAST_TOKEN_CHARACTERS} letters, digits or signs without "
            f"spaces. Leave it out where the server starts, and one is made up."
        )
        raise ConfigError(message)


def token_or_environment(
    token: str, *, variable: str, environment: Mapping[str, str] = os.environ
) -> str:
    """Return the token that was given, else the one in the environment, else nothing.

    Raises:
        ConfigError: If the one in the environment is easily guessed.
    """
    if token:
        return token
    found = environment.get(variable, "")
    require_strong(found, name=variable)
    return found
