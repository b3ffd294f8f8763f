"""The paper's arrangement: a SigLIP 2 vision tower and a Gemma 3 text model, attending jointly."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Final

import torch
from torch import Tensor, nn
from torch.nn import functional

from data.errors import CheckpointError
from value_models.vlm.backbone import Backbone, Images, in_place_of_last
from value_models.vlm.tokens import PromptTokens, TokenRows, make_rows

VISION_FOLDER: Final = "vision"
TEXT_FOLDER: Final = "text"


class JointBackbone(Backbone):
    """Read ``<bos>``, the images of every camera, and the prompt, as one sequence.

    All of them see each other in every layer, as in PaliGemma: an image's patches are looked at in
    the light of the instruction, which a causal mask would not allow for what stands before it.
    Answers, which only co-training has, are read from left to right. Layers with a sliding window
    keep it, in both directions: their positions were never trained beyond it. ``<bos>`` comes
    first because Gemma 3 has never read anything without it there.
    """

    def __init__(self, vision: Any, text: Any, tokenizer: Any, image_processor: Any) -> None:  # noqa: ANN401 - classes of transformers
        super().__init__()
        self.vision_model = vision
        self.text_model = text
        self.tokenizer = tokenizer
        self.image_processor = image_processor
        # New, so it keeps float32 whatever the rest is: bfloat16 loses small steps.
        self.projection = _projection(vision.config.hidden_size, text.config.hidden_size)
        self._beginning = _beginning(tokenizer)
        self._tokens = PromptTokens(self._encode, vocabulary_size=text.config.vocab_size)

    @property
    def width(self) -> int:
        """Width of a token's features."""
        return int(self.text_model.config.hidden_size)

    @property
    def vision(self) -> nn.Module:
        """The SigLIP vision tower, without its pooling head."""
        tower: nn.Module = self.vision_model
        return tower

    @property
    def language(self) -> nn.Module:
        """The Gemma 3 text model."""
        model: nn.Module = self.text_model
        return model

    @property
    def idle(self) -> Sequence[nn.Module]:
        """Nothing: the language head is the embedding."""
        return ()

    def rows(
        self, prompts: Sequence[str], images: Images, answers: Sequence[str] | None = None
    ) -> TokenRows:
        """Write the prompts; the images, which are not among the tokens, follow ``<bos>``."""
        del images
        padding = self.tokenizer.pad_token_id
        return make_rows(
            [[self._beginning, *ids] for ids in self._tokens(prompts)],
            None if answers is None else self._tokens(_ended(answers, self.tokenizer)),
            padding=0 if padding is None else padding,
        )

    def pixels(self, images: Images) -> dict[str, Tensor]:
        """Resize and normalise images where they lie, as SigLIP's image processor says."""
        flat = [image for sample in images for image in sample]
        processed = self.image_processor(
            flat, return_tensors="pt", input_data_format="channels_first"
        )
        return dict(processed)

    def hidden(
        self, pixels: Mapping[str, Tensor], rows: TokenRows, state: Tensor | None = None
    ) -> Tensor:
        """Give the ``(B, L, width)`` features of the rows' tokens."""
        joined = self.attend(pixels, rows, state)
        patches = joined.shape[1] - rows.ids.shape[1]
        return torch.cat([joined[:, :1], joined[:, 1 + patches :]], dim=1)

    def attend(
        self, pixels: Mapping[str, Tensor], rows: TokenRows, state: Tensor | None = None
    ) -> Tensor:
        """Give the ``(B, patches + L, width)`` features of ``<bos>``, patches and other tokens."""
        seen, seen_valid = self._see(pixels, samples=len(rows.ids))
        words = self.text_model.get_input_embeddings()(rows.ids)
        if state is not None:
            words = in_place_of_last(words, rows, state)
        joined = torch.cat([words[:, :1], seen.to(words.dtype), words[:, 1:]], dim=1)
        valid = torch.cat([rows.valid[:, :1], seen_valid, rows.valid[:, 1:]], dim=1)
        is_answer = torch.cat(
            [rows.is_answer[:, :1], torch.zeros_like(seen_valid), rows.is_answer[:, 1:]], dim=1
        )
        features: Tensor = self.text_model(
            inputs_embeds=joined, attention_mask=self._masks(valid, is_answer), use_cache=False
        ).last_hidden_state
        return features

    def logits(self, hidden: Tensor) -> Tensor:
        """Give the log-probabilities of the next token: the head is the embedding (tied)."""
        embedding = self.text_model.get_input_embeddings().weight
        answer = functional.linear(hidden.to(embedding.dtype), embedding)
        cap = self.text_model.config.final_logit_softcapping
        return answer if cap is None else cap * torch.tanh(answer / cap)

    def save(self, folder: Path) -> None:
        """Write configuration, tokenizer and image processor of both parts."""
        self.vision_model.config.save_pretrained(folder / VISION_FOLDER)
        self.image_processor.save_pretrained(folder / VISION_FOLDER)
        self.text_model.config.save_pretrained(folder / TEXT_FOLDER)
        self.tokenizer.save_pretrained(folder / TEXT_FOLDER)

    def _see(self, pixels: Mapping[str, Tensor], *, samples: int) -> tuple[Tensor, Tensor]:
        """Give the ``(B, N, width)`` projected patches of all cameras, and which are patches."""
        patches = self.vision_model(**pixels).last_hidden_state
        seen: Tensor = self.projection(patches.float()).reshape(samples, -1, self.width)
        mask = pixels.get("pixel_attention_mask")  # where images are padded to so many patches
        if mask is None:
            return seen, torch.ones(seen.shape[:2], dtype=torch.bool, device=seen.device)
        return seen, mask.bool().reshape(samples, -1)

    def _masks(self, valid: Tensor, is_answer: Tensor) -> dict[str, Tensor]:
        """Give for every kind of layer the ``(B, 1, L, L)`` bool of who may see whom."""
        place = torch.arange(valid.shape[1], device=valid.device)
        distance = place[:, None] - place[None, :]
        everything = valid[:, None, :] & (~is_answer[:, None, :] | (distance >= 0))
        everything = everything | (distance == 0)  # padding sees itself: nothing sees nobody
        masks = {"full_attention": everything[:, None]}
        if "sliding_attention" in self.text_model.config.layer_types:
            is_near = distance.abs() < self.text_model.config.sliding_window
            masks["sliding_attention"] = (everything & is_near)[:, None]
        return masks

    def _encode(self, texts: list[str]) -> list[list[int]]:
        ids: list[list[int]] = self.tokenizer(texts, add_special_tokens=False)["input_ids"]
        return ids


def _projection(seen: int, read: int) -> nn.Sequential:
    """Make the projection, such that patches begin about as large as Gemma's scaled words."""
    linear = nn.Linear(seen, read)
    nn.init.normal_(linear.weight, std=seen**-0.5)
    nn.init.zeros_(linear.bias)
    return nn.Sequential(nn.LayerNorm(seen), linear)


def _beginning(tokenizer: Any) -> int:  # noqa: ANN401 - a class of transformers
    if tokenizer.bos_token_id is None:
        message = (
            "the tokenizer of value.model.vlm.text has no token for the beginning (<bos>), without "
            "which Gemma 3 has never read anything.\nTake the tokenizer that belongs to the model."
        )
        raise CheckpointError(message)
    return int(tokenizer.bos_token_id)


def _ended(answers: Sequence[str], tokenizer: Any) -> list[str]:  # noqa: ANN401 - as above
    return [" " + answer.strip() + (tokenizer.eos_token or "") for answer in answers]
