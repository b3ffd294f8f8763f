"""Any image-text-to-text checkpoint of transformers: PaliGemma, SmolVLM, Gemma 3 and their kind."""

from __future__ import annotations

import copy
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Final

import torch
from torch import Tensor, nn
from torch.nn import functional

from data.errors import CheckpointError
from value_models.vlm.backbone import Backbone, Images, in_place_of_last
from value_models.vlm.tokens import PromptTokens, TokenRows, make_rows

MARKER: Final = "0prompt0"
"""Stands for the prompt in the text that a processor is watched writing."""

NOT_FOR_THE_MODEL: Final = {"rows", "cols", "num_crops"}
"""What image processors tell their text processor alone."""


class ImageTextBackbone(Backbone):
    """Read images and prompt as the checkpoint's own processor and model do.

    The processor is watched once for every set of image sizes: what text it hands its tokenizer,
    image placeholders included, and how it calls its image processor. Frames then go the same way
    with other prompts, without pictures being processed one by one to count their tokens.
    """

    def __init__(self, model: Any, processor: Any) -> None:  # noqa: ANN401 - classes of transformers
        super().__init__()
        self.model = model.model
        embedding = model.get_input_embeddings().weight
        head = model.get_output_embeddings()
        # A head that is the embedding is left out: files of weights hold no tensor twice.
        self.language_head = None if head.weight is embedding else head
        self.config = model.config
        self.processor = processor
        self._watched: dict[tuple[tuple[int, int], ...], _Watched] = {}
        self._tokens = PromptTokens(self._encode, vocabulary_size=_highest(model.config) + 1)
        self._answer_tokens = PromptTokens(
            self._encode_answers, vocabulary_size=self._text_config.vocab_size
        )

    @property
    def width(self) -> int:
        """Width of a token's features."""
        return int(self._text_config.hidden_size)

    @property
    def vision(self) -> nn.Module:
        """The vision tower."""
        tower: nn.Module = self.model.get_encoder(modality="image")
        return tower

    @property
    def language(self) -> nn.Module:
        """The text model."""
        model: nn.Module = self.model.get_decoder()
        return model

    @property
    def idle(self) -> Sequence[nn.Module]:
        """A language head of its own, and the pooling head of the vision tower."""
        heads = [module for name, module in self.vision.named_modules() if _is_pooling(name)]
        return heads if self.language_head is None else [self.language_head, *heads]

    def rows(
        self, prompts: Sequence[str], images: Images, answers: Sequence[str] | None = None
    ) -> TokenRows:
        """Write the prompts with a placeholder for every patch of their images."""
        texts = [
            self._watch(sample).text.replace(MARKER, prompt)
            for prompt, sample in zip(prompts, images, strict=True)
        ]
        tokenizer = self.processor.tokenizer
        padding = tokenizer.pad_token_id
        return make_rows(
            self._tokens(texts),
            None if answers is None else self._answer_tokens(_spaced(answers, after=texts)),
            padding=0 if padding is None else padding,
        )

    def pixels(self, images: Images) -> dict[str, Tensor]:
        """Resize and normalise images where they lie, as the processor would."""
        options = {**self._watch(images[0]).image_options, "return_tensors": "pt"}
        processed = self.processor.image_processor(
            [list(sample) for sample in images], input_data_format="channels_first", **options
        )
        return {name: value for name, value in processed.items() if name not in NOT_FOR_THE_MODEL}

    def hidden(
        self, pixels: Mapping[str, Tensor], rows: TokenRows, state: Tensor | None = None
    ) -> Tensor:
        """Give the ``(B, L, width)`` features of the rows' tokens."""
        with self._state_in_place(rows, state):
            features: Tensor = self.model(
                input_ids=rows.ids,
                attention_mask=rows.valid.to(torch.int64),
                use_cache=False,
                **self._token_types(rows),
                **pixels,
            ).last_hidden_state
        return features

    def logits(self, hidden: Tensor) -> Tensor:
        """Give the log-probabilities of the next token."""
        head = self.language_head or self.model.get_input_embeddings()
        return functional.linear(hidden.to(head.weight.dtype), head.weight)

    def save(self, folder: Path) -> None:
        """Write configuration, tokenizer and processor."""
        self.config.save_pretrained(folder)
        self.processor.save_pretrained(folder)

    @property
    def _text_config(self) -> Any:  # noqa: ANN401 - a class of transformers
        return self.config.get_text_config()

    def _token_types(self, rows: TokenRows) -> dict[str, Tensor]:
        """Say which tokens are images (Gemma 3) or answers (PaliGemma), where a model asks."""
        match self.config.model_type:
            case "gemma3":
                return {"token_type_ids": (rows.ids == self.config.image_token_id).long()}
            case "paligemma":
                return {"token_type_ids": rows.is_answer.long()}
            case _:
                return {}

    @contextmanager
    def _state_in_place(self, rows: TokenRows, state: Tensor | None) -> Iterator[None]:
        """Let the embedding of the last token be the state's, whatever the model looks up."""
        if state is None:
            yield
            return

        def replaced(_module: nn.Module, _inputs: object, embedded: Tensor) -> Tensor:
            return in_place_of_last(embedded, rows, state)

        handle = self.model.get_input_embeddings().register_forward_hook(replaced)
        try:
            yield
        finally:
            handle.remove()

    def _watch(self, images: Sequence[Tensor]) -> _Watched:
        sizes = tuple((int(image.shape[-2]), int(image.shape[-1])) for image in images)
        if sizes not in self._watched:
            self._watched[sizes] = self._require_images(_watch(self.processor, sizes))
        return self._watched[sizes]

    def _require_images(self, watched: _Watched) -> _Watched:
        ids = self._encode([watched.text], watched.text_options)[0]
        if self.config.image_token_id not in ids:
            message = (
                f"the tokenizer of value.model.vlm.path lacks the image token: the model expects "
                f"token {self.config.image_token_id} where an image goes, and no prompt has it.\n"
                f"Take the tokenizer and processor that belong to the model."
            )
            raise CheckpointError(message)
        return watched

    def _encode(
        self, texts: list[str], options: Mapping[str, Any] | None = None
    ) -> list[list[int]]:
        if options is None:
            options = next(iter(self._watched.values())).text_options
        ids: list[list[int]] = self.processor.tokenizer(texts, **options)["input_ids"]
        return ids

    def _encode_answers(self, answers: list[str]) -> list[list[int]]:
        tokenizer = self.processor.tokenizer
        ended = [answer + (tokenizer.eos_token or "") for answer in answers]
        ids: list[list[int]] = tokenizer(ended, add_special_tokens=False)["input_ids"]
        return ids


class _Watched:
    """What a processor did with images of some sizes."""

    def __init__(
        self, text: str, text_options: Mapping[str, Any], image_options: Mapping[str, Any]
    ) -> None:
        self.text = text
        self.text_options = text_options
        self.image_options = image_options


class _Recorder:
    """Stands in for a tokenizer or image processor, and remembers how it was called."""

    def __init__(self, original: Any) -> None:  # noqa: ANN401 - a class of transformers
        self.original = original
        self.inputs: Any = None
        self.options: dict[str, Any] = {}

    def __call__(self, *inputs: Any, **options: Any) -> Any:  # noqa: ANN401 - whatever it is given
        self.inputs = inputs[0] if inputs else options.pop("text")
        self.options = options
        return self.original(self.inputs, **options)

    def __getattr__(self, name: str) -> Any:  # noqa: ANN401 - whatever the original has
        return getattr(self.original, name)


def _watch(processor: Any, sizes: Sequence[tuple[int, int]]) -> _Watched:  # noqa: ANN401 - as above
    """See what a processor makes of black images of these sizes and a prompt."""
    watched = copy.copy(processor)
    watched.tokenizer = tokenizer = _Recorder(processor.tokenizer)
    watched.image_processor = image_processor = _Recorder(processor.image_processor)
    images = [torch.zeros(3, *size, dtype=torch.uint8) for size in sizes]
    watched(
        images=[images],
        text=[prompt_with_images(processor, MARKER, images=len(images))],
        input_data_format="channels_first",
    )
    options = {name: value for name, value in tokenizer.options.items() if value is not None}
    image_options = dict(image_processor.options)
    image_options.pop("input_data_format", None)
    return _Watched(str(tokenizer.inputs[0]), options, image_options)


def prompt_with_images(processor: Any, prompt: str, *, images: int) -> str:  # noqa: ANN401 - as above
    """Write a prompt with one placeholder for every image, as a user of the processor would.

    A chat template is followed where the checkpoint has one; else the placeholders come first.
    """
    if getattr(processor, "chat_template", None):
        content = [{"type": "image"}] * images + [{"type": "text", "text": prompt}]
        message = [{"role": "user", "content": content}]
        return str(processor.apply_chat_template(message, add_generation_prompt=True))
    placeholder = getattr(processor, "boi_token", None) or processor.image_token
    return str(placeholder) * images + prompt


def _spaced(answers: Sequence[str], *, after: Sequence[str]) -> list[str]:
    """Put a space before an answer, unless the prompt ends with one, or with a line."""
    return [
        ("" if prompt[-1].isspace() else " ") + answer.strip()
        for prompt, answer in zip(after, answers, strict=True)
    ]


def _highest(config: Any) -> int:  # noqa: ANN401 - a class of transformers
    """Give the highest token number a model takes; an image's may lie above its embeddings."""
    return max(int(config.get_text_config().vocab_size) - 1, int(config.image_token_id))


def _is_pooling(name: str) -> bool:
    return name == "head" or name.endswith(".head")
