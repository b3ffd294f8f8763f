"""Co-training on image-text pairs, the paper's guard against over-fitting."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Final

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from data.errors import ConfigError

if TYPE_CHECKING:
    from value_models.encoder import Encoder
    from value_models.vlm.config import CoTrainingConfig
    from value_models.vlm.encoder import VlmEncoder

METADATA_FILE: Final = "metadata.jsonl"
"""One JSON object a line, as the `datasets` library's image folders have it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Pair:
    """An image and what is to be said of it."""

    path: Path
    """The image."""

    prompt: str
    """What is asked; may be empty."""

    text: str
    """The answer to be learnt."""


class CoTraining:
    """A second loss beside the value's: answers about images that have nothing to do with it.

    The vision-language model keeps what it knew, and so cannot simply learn frames by heart.
    """

    def __init__(self, config: CoTrainingConfig, *, seed: int = 0) -> None:
        """Read the folder's list of pairs; the images are read when their turn comes.

        Raises:
            ConfigError: If the folder, its list or an image that it names is missing or damaged.
        """
        self.config = config
        self.seed = seed
        self.pairs = read_pairs(Path(config.path))

    def loss(self, encoder: Encoder, step: int) -> Tensor:
        """Give the weighted next-token cross-entropy of one batch of answers.

        The batch depends on the seed and the step alone: a training run that was interrupted goes
        on with the pairs it would have had.

        Args:
            encoder: The value model's encoder.
            step: Gradient step, counted from one.

        Returns:
            ``weight`` times the mean over the answers' tokens, in nats; to be added to the loss.

        Raises:
            ConfigError: If the encoder does not speak, or an image is damaged.
        """
        speaker = require_language(encoder)
        batch = [self.pairs[place] for place in self._places(step).tolist()]
        images = [[read_image(pair.path)] for pair in batch]
        prompts, answers = [pair.prompt for pair in batch], [pair.text for pair in batch]
        return self.config.weight * speaker.language_loss(images, prompts, answers)

    def _places(self, step: int) -> NDArray[np.int64]:
        """Go through all pairs in random order, and again in another one."""
        size, count = self.config.batch_size, len(self.pairs)
        turns = np.arange((step - 1) * size, step * size)
        orders = {
            lap: np.random.default_rng([self.seed, lap]).permutation(count)
            for lap in np.unique(turns // count).tolist()
        }
        return np.array([orders[turn // count][turn % count] for turn in turns.tolist()])


def require_language(encoder: Encoder) -> VlmEncoder:
    """Give the encoder back, if it can answer in words.

    Raises:
        ConfigError: If it has no language head.
    """
    from value_models.vlm.encoder import VlmEncoder

    if not isinstance(encoder, VlmEncoder):
        message = (
            f"value.cotraining.path is set, and a {type(encoder).__name__} has no language head to "
            f"train on texts.\nUse value.model.encoder=vlm, or leave value.cotraining.path empty."
        )
        raise ConfigError(message)
    return encoder


def read_pairs(folder: Path) -> list[Pair]:
    """Read the image-text pairs of a folder in the form that `datasets` calls imagefolder.

    Raises:
        ConfigError: If there is no folder, no list, no pair, or a pair that is not one.
    """
    path = folder / METADATA_FILE
    if not path.is_file():
        message = (
            f"value.cotraining.path={folder} holds no {METADATA_FILE}, the list of its images and "
            f"texts.\nName a folder of images with one; each line is a JSON object with file_name, "
            f"text and perhaps prompt."
        )
        raise ConfigError(message)
    lines = path.read_text(encoding="utf-8", errors="replace").splitlines()
    pairs = [
        _pair(path, number, line) for number, line in enumerate(lines, start=1) if line.strip()
    ]
    if not pairs:
        message = f"{path} lists no image.\nName a folder with image-text pairs."
        raise ConfigError(message)
    return pairs


def read_image(path: Path) -> Tensor:
    """Read an image as a ``(3, H, W)`` uint8 tensor.

    Raises:
        ConfigError: If it cannot be read.
    """
    from PIL import Image

    try:
        with Image.open(path) as image:
            pixels = np.array(image.convert("RGB"))
    except (OSError, ValueError, SyntaxError) as error:  # what Pillow raises about damage
        message = (
            f"{path} cannot be read as an image ({error}).\nCopy it again, or take its line out of "
            f"{METADATA_FILE}."
        )
        raise ConfigError(message) from error
    return torch.from_numpy(pixels).permute(2, 0, 1)


def _pair(path: Path, number: int, line: str) -> Pair:
    try:
        entry = json.loads(line)
    except json.JSONDecodeError as error:
        raise _damaged(path, number, f"it is not JSON ({error})") from error
    if not isinstance(entry, Mapping):
        raise _damaged(path, number, "it is not a JSON object")
    prompt = entry.get("prompt") or ""
    for name, value in (("file_name", entry.get("file_name")), ("text", entry.get("text"))):
        if not isinstance(value, str) or not value.strip():
            raise _damaged(path, number, f"it has no {name}")
    if not isinstance(prompt, str):
        raise _damaged(path, number, "its prompt is not text")
    image = path.parent / entry["file_name"]
    if not image.is_file():
        raise _damaged(path, number, f"there is no image {entry['file_name']}")
    return Pair(path=image, prompt=prompt, text=entry["text"])


def _damaged(path: Path, number: int, reason: str) -> ConfigError:
    return ConfigError(
        f"{path}, line {number}: {reason}.\nEvery line must be a JSON object with the file_name of "
        f"an image beside it and a text."
    )
