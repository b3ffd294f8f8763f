"""Make a vision-language model from a folder, from the Hub, or from a value model's own folder."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from textwrap import shorten
from typing import TYPE_CHECKING, Any, Final

import torch
from safetensors import SafetensorError

from data.errors import CheckpointError

if TYPE_CHECKING:
    from value_models.vlm.backbone import Backbone
    from value_models.vlm.config import VlmConfig

ASSETS_FOLDER: Final = "vlm"
"""Folder inside a value model's checkpoint that holds configurations, tokenizer, processor."""

TEXT_MODEL: Final = "gemma3_text"
VISION_MODELS: Final = {
    "siglip": "SiglipVisionModel",
    "siglip_vision_model": "SiglipVisionModel",
    "siglip2": "Siglip2VisionModel",
    "siglip2_vision_model": "Siglip2VisionModel",
}
"""Kind of a configuration to the class of the vision tower in it."""


_MOST_CHARACTERS: Final = 200
"""Of what transformers says, in a message."""


def load_backbone(config: VlmConfig, *, assets: Path | None = None) -> Backbone:
    """Make the backbone that the settings name.

    Args:
        config: Settings.
        assets: Folder of a value model's checkpoint: the same architecture is made from it, and
            its weights are left to be loaded. None loads the weights that the settings name.

    Raises:
        CheckpointError: If what is named is not there, is not whole, or does not belong together.
    """
    folder = None if assets is None else assets / ASSETS_FOLDER
    return _image_text(config, folder) if config.path else _joint(config, folder)


def _joint(config: VlmConfig, folder: Path | None) -> Backbone:
    import transformers

    from value_models.vlm.joint import TEXT_FOLDER, VISION_FOLDER, JointBackbone

    sees = config.vision if folder is None else str(folder / VISION_FOLDER)
    reads = config.text if folder is None else str(folder / TEXT_FOLDER)
    processors: Any = transformers.AutoImageProcessor
    with _readable(sees, "vision"):
        vision_config = transformers.AutoConfig.from_pretrained(sees)
    _require_kind(vision_config, VISION_MODELS, "vision", "a SigLIP or SigLIP 2")
    with _readable(sees, "vision"):
        image_processor = processors.from_pretrained(sees)
    with _readable(reads, "text"):
        text_config = transformers.AutoConfig.from_pretrained(reads)
    _require_kind(text_config, {TEXT_MODEL}, "text", "a Gemma 3 text model")
    with _readable(reads, "text"):
        tokenizer = transformers.AutoTokenizer.from_pretrained(reads)
    tower = getattr(transformers, VISION_MODELS[vision_config.model_type])
    vision_config = getattr(vision_config, "vision_config", vision_config)
    vision_config.vision_use_head = False  # it pools all patches into one, and nothing reads it
    vision = _model(tower, vision_config, sees, config, "vision", from_weights=folder is None)
    text = _model(
        transformers.Gemma3TextModel,
        text_config,
        reads,
        config,
        "text",
        from_weights=folder is None,
    )
    return JointBackbone(vision, text, tokenizer, image_processor)


def _image_text(config: VlmConfig, folder: Path | None) -> Backbone:
    import transformers

    from value_models.vlm.image_text import ImageTextBackbone

    name = config.path if folder is None else str(folder)
    processors: Any = transformers.AutoProcessor
    with _readable(name, "path"):
        model_config = transformers.AutoConfig.from_pretrained(name)
        processor = processors.from_pretrained(name)
    known = transformers.AutoModelForImageTextToText._model_mapping
    if type(model_config) not in known or not hasattr(model_config, "image_token_id"):
        message = (
            f"value.model.vlm.path={name} is a {model_config.model_type!r} model, which does not "
            f"take images among its text.\nName an image-text-to-text model, such as a PaliGemma."
        )
        raise CheckpointError(message)
    _leave_whole(processor.image_processor, config)
    model = _model(
        transformers.AutoModelForImageTextToText,
        *(model_config, name, config, "path"),
        from_weights=folder is None,
    )
    return ImageTextBackbone(model, processor)


def _leave_whole(image_processor: Any, config: VlmConfig) -> None:  # noqa: ANN401 - of transformers
    """Keep SmolVLM's processor from cutting images into tiles, unless it is asked to."""
    if getattr(image_processor, "do_image_splitting", None) and not config.image_splitting:
        image_processor.do_image_splitting = False
        # Without tiles the finer size is only a detour to the size of one.
        image_processor.size = image_processor.max_image_size


def _model(
    model_class: Any,  # noqa: ANN401 - a class of transformers
    model_config: Any,  # noqa: ANN401 - a class of transformers
    name: str,
    config: VlmConfig,
    setting: str,
    *,
    from_weights: bool,
) -> Any:  # noqa: ANN401 - a class of transformers
    """Load a model with all of its weights, or make one whose weights follow."""
    options = {"dtype": getattr(torch, config.dtype.value), "attn_implementation": "sdpa"}
    if not from_weights:
        return _without_weights(model_class, model_config, options)
    with _readable(name, setting):
        model, told = model_class.from_pretrained(
            name, config=model_config, use_safetensors=True, output_loading_info=True, **options
        )
    missing = sorted(told["missing_keys"]) + sorted(str(key[0]) for key in told["mismatched_keys"])
    if missing:
        message = (
            f"value.model.vlm.{setting}={name} lacks {len(missing)} tensor(s) of a "
            f"{type(model).__name__}, first {missing[0]!r}: it is not whole, or of another kind.\n"
            f"They would be random, so nothing is begun. Copy the folder again, or name another."
        )
        raise CheckpointError(message)
    return model


def _without_weights(model_class: Any, model_config: Any, options: dict[str, Any]) -> Any:  # noqa: ANN401 - of transformers
    from transformers.initialization import no_init_weights

    # The "auto" classes have it in public; the others do the same under another name.
    make = getattr(model_class, "from_config", None) or model_class._from_config
    with no_init_weights():
        model = make(model_config, **options)
    model.tie_weights()
    return model


def _require_kind(model_config: Any, kinds: Any, setting: str, wanted: str) -> None:  # noqa: ANN401 - of transformers
    if model_config.model_type not in kinds:
        message = (
            f"value.model.vlm.{setting} names a {model_config.model_type!r} model, and the joint "
            f"arrangement takes {wanted}.\nName one, or a whole image-text model with "
            f"value.model.vlm.path."
        )
        raise CheckpointError(message)


@contextmanager
def _readable(name: str, setting: str) -> Iterator[None]:
    """Turn what transformers raises about a checkpoint into a mistake that a user can mend."""
    _require_folder(name, setting)
    try:
        with _quiet():
            yield
    except _refusals() as error:
        # Cut between words, so that no address is cut in two.
        reason = shorten(str(error), _MOST_CHARACTERS, placeholder=" ...") or type(error).__name__
        if Path(name).is_dir():
            message = (
                f"value.model.vlm.{setting}={name} is a folder without a whole checkpoint "
                f"({reason}).\nCopy the whole folder again, or name another."
            )
        elif _may_ask_the_hub():
            message = _no_answer(name, setting, error, reason)
        else:
            message = (
                f"value.model.vlm.{setting}={name} is neither a folder nor a model that the Hub "
                f"gives ({reason}).\nName the folder of a download, or let the Hub be asked with "
                f"HF_HUB_OFFLINE=0 in front of the command."
            )
        raise CheckpointError(message) from error


def _require_folder(name: str, setting: str) -> None:
    """Refuse what can only be a folder and is none: the Hub is not asked for it."""
    is_path = name.startswith(("/", "./", "../", "~")) or name in (".", "..")
    if is_path and not Path(name).is_dir():
        message = (
            f"value.model.vlm.{setting}={name}: there is no folder {name}.\nName the folder of a "
            f"download, or a model on the Hub, such as google/siglip2-base-patch16-224."
        )
        raise CheckpointError(message)


def _may_ask_the_hub() -> bool:
    import huggingface_hub.constants

    return not huggingface_hub.constants.HF_HUB_OFFLINE


def _refusals() -> tuple[type[Exception], ...]:
    """Give what is raised where a checkpoint cannot be read, or the Hub not be asked."""
    about_files = (OSError, ValueError, KeyError, AttributeError, RuntimeError, SafetensorError)
    return (*about_files, *_lost_connections())


def _lost_connections() -> tuple[type[Exception], ...]:
    """Give what is raised where there is no network and nothing catches it."""
    import httpx

    return (httpx.TransportError,)


def _no_answer(name: str, setting: str, error: BaseException, reason: str) -> str:
    """Say why the Hub, which was asked, did not give a model."""
    from huggingface_hub.errors import HfHubHTTPError, LocalEntryNotFoundError

    cause: BaseException | None = error
    while cause is not None:
        if isinstance(cause, HfHubHTTPError):
            return (
                f"value.model.vlm.{setting}={name} is not a folder, and the Hub refuses it "
                f"({reason}).\nCheck the name, and whether the model asks for a licence to be "
                f"accepted; or name the folder of a download."
            )
        if isinstance(cause, (*_lost_connections(), LocalEntryNotFoundError)):
            return (
                f"value.model.vlm.{setting}={name} is not a folder, and the Hub did not answer.\n"
                f"Check the network and try again, or download it elsewhere and name its folder."
            )
        cause = cause.__cause__ or cause.__context__
    return (
        f"value.model.vlm.{setting}={name} is not a folder, and what the Hub has of that name is "
        f"no whole checkpoint ({reason}).\nCheck the name, or name the folder of a download."
    )


@contextmanager
def _quiet() -> Iterator[None]:
    """Keep transformers from printing bars, and reports of tensors that are not needed."""
    from transformers.utils import logging as library

    logging: Any = library
    level, shows_bars = logging.get_verbosity(), logging.is_progress_bar_enabled()
    logging.set_verbosity_error()
    logging.disable_progress_bar()
    try:
        yield
    finally:
        logging.set_verbosity(level)
        if shows_bars:
            logging.enable_progress_bar()
