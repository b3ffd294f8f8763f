"""Tiny vision-language models of the real classes, with random weights, as folders."""

import json
from types import SimpleNamespace

import numpy as np
import pytest
import torch

from value_models.config import EncoderKind, Projection, ValueModelConfig
from value_models.encoder import ObservationBatch
from value_models.model import DistributionalValueModel
from value_models.spec import ValueSpec
from value_models.vlm.config import VlmConfig

TASKS = (
    "put the red cube on the green pad",
    "put the blue cube on the white pad, gently",
    "walk to the left",
    "walk to the right",
)
CAMERAS = {"front": (24, 32), "wrist": (16, 16)}
VISION = {
    "hidden_size": 16,
    "intermediate_size": 32,
    "num_hidden_layers": 2,
    "num_attention_heads": 2,
    "patch_size": 4,
}
TEXT = {
    "hidden_size": 16,
    "intermediate_size": 32,
    "num_hidden_layers": 3,
    "num_attention_heads": 2,
    "num_key_value_heads": 1,
    "head_dim": 8,
    "pad_token_id": 0,
    "eos_token_id": 1,
    "bos_token_id": 2,
}
SPECIAL = (
    *("<pad>", "<eos>", "<bos>", "<unk>", "<image>", "<fake_token_around_image>", "<global-img>"),
    *("<end_of_utterance>", "<start_of_image>", "<end_of_image>"),
    *(f"<row_{row}_col_{column}>" for row in (1, 2) for column in (1, 2)),
)


def make_tokenizer(**more):
    """Train a byte-level BPE on a few sentences; it puts <bos> first, as Gemma's does."""
    from tokenizers import Tokenizer, decoders, models, pre_tokenizers, processors, trainers
    from transformers import PreTrainedTokenizerFast

    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=340,
        special_tokens=list(SPECIAL),
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
        show_progress=False,
    )
    tokenizer.train_from_iterator([f"Task: {task};\nValue:" for task in TASKS], trainer)
    tokenizer.post_processor = processors.TemplateProcessing(
        single="<bos> $A", pair="<bos> $A $B:1", special_tokens=[("<bos>", 2)]
    )
    names = {f"{name}_token": f"<{name}>" for name in ("pad", "eos", "bos", "unk")}
    return PreTrainedTokenizerFast(tokenizer_object=tokenizer, **names, **more)


def siglip(folder, *, naflex=False):
    """Save a whole SigLIP, text tower and pooling head included, as the Hub has it."""
    import transformers

    kind = "Siglip2" if naflex else "Siglip"
    size = {"num_patches": 16} if naflex else {"image_size": 16}
    config = getattr(transformers, f"{kind}Config")(
        vision_config={**VISION, **size},
        text_config={
            "hidden_size": 16,
            "intermediate_size": 32,
            "num_hidden_layers": 1,
            "num_attention_heads": 2,
            "vocab_size": 40,
        },
    )
    torch.manual_seed(1)
    getattr(transformers, f"{kind}Model")(config).save_pretrained(folder)
    processor = getattr(transformers, f"{kind}ImageProcessor")
    sizes = {"patch_size": 4, "max_num_patches": 16} if naflex else {"size": side(16)}
    processor(**sizes).save_pretrained(folder)
    return folder


def gemma(folder, **changes):
    """Save a Gemma 3 text model, two of whose three layers have a sliding window."""
    from transformers import Gemma3ForCausalLM, Gemma3TextConfig

    layers = ["sliding_attention", "full_attention", "sliding_attention"]
    config = Gemma3TextConfig(
        **{**TEXT, "vocab_size": 360, "sliding_window": 64, "layer_types": layers, **changes}
    )
    torch.manual_seed(2)
    model = Gemma3ForCausalLM(config)
    for parameter in model.parameters():  # large enough for differences to be seen
        if parameter.ndim == 2:
            torch.nn.init.normal_(parameter, std=0.2)
    model.save_pretrained(folder)
    make_tokenizer().save_pretrained(folder)
    return folder


def paligemma(folder):
    from transformers import (
        PaliGemmaConfig,
        PaliGemmaForConditionalGeneration,
        PaliGemmaProcessor,
        SiglipImageProcessor,
    )

    image_processor = SiglipImageProcessor(size=side(16))
    image_processor.image_seq_length = 16
    processor = PaliGemmaProcessor(image_processor, make_tokenizer())
    config = PaliGemmaConfig(
        vision_config={**VISION, "image_size": 16, "model_type": "siglip_vision_model"},
        text_config={**TEXT, "vocab_size": 360, "model_type": "gemma"},
        image_token_id=processor.image_token_id,
        projection_dim=16,
    )
    return save(folder, PaliGemmaForConditionalGeneration, config, processor)


def smolvlm(folder, *, kind="SmolVLM", template=None):
    import transformers

    image_processor = getattr(transformers, f"{kind}ImageProcessor")(
        size={"longest_edge": 32}, max_image_size={"longest_edge": 16}, do_image_splitting=True
    )
    more = {"fake_image_token": "<fake_token_around_image>", "image_token": "<image>"}
    tokenizer = make_tokenizer(
        extra_special_tokens={
            **more,
            "global_image_token": "<global-img>",
            "end_of_utterance_token": "<end_of_utterance>",
        }
    )
    video = {} if kind == "Idefics3" else {"video_processor": transformers.SmolVLMVideoProcessor()}
    processor = getattr(transformers, f"{kind}Processor")(
        image_processor=image_processor,
        tokenizer=tokenizer,
        image_seq_len=4,
        chat_template=template,
        **video,
    )
    config = getattr(transformers, f"{kind}Config")(
        vision_config={**VISION, "image_size": 16},
        text_config={**TEXT, "vocab_size": 360, "model_type": "llama"},
        image_token_id=tokenizer.convert_tokens_to_ids("<image>"),
        scale_factor=2,
        pad_token_id=0,
        tie_word_embeddings=False,
    )
    model = getattr(transformers, f"{kind}ForConditionalGeneration")
    return save(folder, model, config, processor)


def gemma3(folder):
    from transformers import (
        Gemma3Config,
        Gemma3ForConditionalGeneration,
        Gemma3ImageProcessor,
        Gemma3Processor,
    )

    tokenizer = make_tokenizer(
        extra_special_tokens={
            "image_token": "<image>",
            "boi_token": "<start_of_image>",
            "eoi_token": "<end_of_image>",
        }
    )
    processor = Gemma3Processor(Gemma3ImageProcessor(size=side(16)), tokenizer, image_seq_length=4)
    config = Gemma3Config(
        vision_config={**VISION, "image_size": 16},
        text_config={**TEXT, "vocab_size": 360, "sliding_window": 64},
        image_token_id=tokenizer.convert_tokens_to_ids("<image>"),
        mm_tokens_per_image=4,
    )
    return save(folder, Gemma3ForConditionalGeneration, config, processor)


def save(folder, model_class, config, processor):
    torch.manual_seed(3)
    model = model_class(config)
    for parameter in model.parameters():
        if parameter.ndim == 2:
            torch.nn.init.normal_(parameter, std=0.2)
    model.save_pretrained(folder)
    processor.save_pretrained(folder)
    return folder


def side(pixels):
    return {"height": pixels, "width": pixels}


MAKERS = {"paligemma": paligemma, "smolvlm": smolvlm, "gemma3": gemma3}
KINDS = ("joint", "paligemma", "smolvlm")


class Tiny:
    """Makes value models with a tiny vision-language model, and frames to show them."""

    def __init__(self, folder):
        self.folder = folder
        self.tasks = TASKS
        self.made = set()

    def named(self, name, make):
        folder = self.folder / name
        if name not in self.made:
            make(folder)
            self.made.add(name)
        return str(folder)

    def vision(self):
        return self.named("siglip", siglip)

    def text(self):
        return self.named("gemma", gemma)

    def settings(self, kind="joint", **changes):
        """Give the settings that name a tiny model of a kind."""
        if kind == "joint":
            return VlmConfig(**{"vision": self.vision(), "text": self.text(), **changes})
        return VlmConfig(path=self.named(kind, MAKERS[kind]), **changes)

    def spec(self, kind="joint", **changes):
        return ValueSpec(
            config=ValueModelConfig(
                bins=11,
                projection=Projection.TWO_HOT,
                hidden_size=32,
                encoder=EncoderKind.VLM,
                vlm=self.settings(kind, **changes),
            ),
            tasks=TASKS,
            vocabulary=(),
            cameras=CAMERAS,
            state_mean=(0.0, 1.0),
            state_std=(1.0, 2.0),
            normalisers=dict.fromkeys(TASKS, 60.0),
        )

    def model(self, kind="joint", **changes):
        torch.manual_seed(4)
        return DistributionalValueModel(self.spec(kind, **changes)).eval()

    def batch(self, tasks=(0, 1), *, seed=0):
        rng = np.random.default_rng(seed)
        count = len(tasks)
        return ObservationBatch(
            images={
                name: torch.from_numpy(rng.integers(0, 256, (count, *size, 3), dtype=np.uint8))
                for name, size in CAMERAS.items()
            },
            state=torch.from_numpy(rng.normal(size=(count, 2)).astype(np.float32)),
            task_index=torch.tensor(tasks),
            tasks=TASKS,
        )

    def pairs(self, folder, count=3):
        """Write a folder of image-text pairs."""
        from PIL import Image

        folder.mkdir()
        rng = np.random.default_rng(5)
        lines = []
        for place in range(count):
            pixels = rng.integers(0, 256, (12 + place, 20, 3), dtype=np.uint8)
            Image.fromarray(pixels).save(folder / f"{place}.png")
            lines.append({"file_name": f"{place}.png", "text": TASKS[place % len(TASKS)]})
        lines[0]["prompt"] = "Describe it."
        text = "\n".join(map(json.dumps, lines))
        (folder / "metadata.jsonl").write_text(text, encoding="utf-8")
        return folder


@pytest.fixture(scope="session")
def tiny(tmp_path_factory):
    return Tiny(tmp_path_factory.mktemp("tiny"))


@pytest.fixture(scope="session")
def make():
    """The makers themselves, for tests that want something unusual."""
    return SimpleNamespace(
        siglip=siglip,
        gemma=gemma,
        smolvlm=smolvlm,
        paligemma=paligemma,
        tokenizer=make_tokenizer,
    )


@pytest.fixture(params=KINDS)
def kind(request):
    return request.param
