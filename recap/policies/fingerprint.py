"""Which policy a checkpoint holds. Imports nothing heavy."""

from pathlib import Path
from typing import Final

from data.files import content_hash

FINGERPRINT_DIGITS: Final = 16


def policy_fingerprint(folder: Path) -> str:
    """Return the first digits of the content hash of everything in the checkpoint."""
    return content_hash(folder)[:FINGERPRINT_DIGITS]
