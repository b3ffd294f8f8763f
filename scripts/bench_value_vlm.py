"""How many frames a second the paper's value model trains on and judges: full, and with LoRA.

SigLIP 2 base and Gemma 3 270M at their real size, with random weights: nothing is downloaded, and
speed and memory do not depend on what the weights are. Training all weights keeps them in float32
and multiplies in bfloat16; LoRA has its frozen weights in bfloat16. Without a GPU the sizes are
tiny, and the figures say only that everything runs.
"""

import argparse
import json
import os
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, Final

os.environ.setdefault("OMP_NUM_THREADS", "1")
os.environ.setdefault("HF_HUB_OFFLINE", "1")
os.environ.setdefault("TOKENIZERS_PARALLELISM", "false")

import torch

from value_models.bins import cross_entropy
from value_models.config import EncoderKind, ValueModelConfig
from value_models.encoder import ObservationBatch
from value_models.model import DistributionalValueModel
from value_models.spec import ValueSpec
from value_models.vlm.config import VlmConfig, WeightType

CAMERAS: Final = {"front": (240, 320), "wrist": (240, 320)}
JOINTS: Final = 10
TASK: Final = "put the red cube on the green pad"
LAYERS: Final = ["sliding_attention"] * 5 + ["full_attention"]
REAL: Final[dict[str, dict[str, Any]]] = {
    "vision": {
        "hidden_size": 768,
        "intermediate_size": 3072,
        "num_hidden_layers": 12,
        "num_attention_heads": 12,
        "image_size": 224,
        "patch_size": 16,
    },
    "text": {
        "vocab_size": 262144,
        "hidden_size": 640,
        "intermediate_size": 2048,
        "num_hidden_layers": 18,
        "num_attention_heads": 4,
        "num_key_value_heads": 1,
        "head_dim": 256,
        "sliding_window": 512,
        "layer_types": LAYERS * 3,
    },
}
TINY: Final[dict[str, dict[str, Any]]] = {
    "vision": REAL["vision"]
    | {"hidden_size": 32, "intermediate_size": 64, "num_hidden_layers": 2}
    | {"num_attention_heads": 2, "image_size": 64},
    "text": REAL["text"]
    | {"vocab_size": 512, "hidden_size": 32, "intermediate_size": 64, "num_hidden_layers": 6}
    | {"num_attention_heads": 2, "head_dim": 16, "layer_types": LAYERS},
}
ARRANGEMENTS: Final = {
    "full": VlmConfig(dtype=WeightType.FLOAT32),
    "full_checkpointing": VlmConfig(dtype=WeightType.FLOAT32, gradient_checkpointing=True),
    "lora": VlmConfig(dtype=WeightType.BFLOAT16, lora_rank=16),
    "lora_frozen_vision": VlmConfig(dtype=WeightType.BFLOAT16, lora_rank=16, freeze_vision=True),
}


def main() -> int:
    """Measure every arrangement, and print a table and a line for machines."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--quick", action="store_true", help="a few steps of each")
    parser.add_argument("--batch-size", type=int, default=32, help="frames in a batch")
    parser.add_argument("--steps", type=int, default=20, help="steps that are timed")
    options = parser.parse_args()
    device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
    if device.type == "cpu":
        say("No GPU here: a tiny model instead of the real one. The figures say only that it runs.")
    sizes = REAL if device.type == "cuda" else TINY
    batch_size = min(4, options.batch_size) if device.type == "cpu" else options.batch_size
    steps = 3 if options.quick else options.steps
    answer: dict[str, Any] = {
        "device": torch.cuda.get_device_name() if device.type == "cuda" else "cpu",
        "is_real_size": sizes is REAL,
        "batch_size": batch_size,
        "cameras": len(CAMERAS),
    }
    with tempfile.TemporaryDirectory() as folder:
        write_assets(Path(folder), sizes)
        for name, config in ARRANGEMENTS.items():
            model = make_model(config, Path(folder), device)
            answer["parameters"] = sum(parameter.numel() for parameter in model.parameters())
            answer[name] = measure(model, make_batch(batch_size, device), steps)
            say(f"{name:20} " + "  ".join(f"{key} {value}" for key, value in answer[name].items()))
            del model
    say(json.dumps(answer))
    return 0


def measure(model: DistributionalValueModel, batch: ObservationBatch, steps: int) -> dict[str, Any]:
    """Time prediction, then training, after a step that is not timed."""
    size, device = len(batch.state), batch.device
    targets = model.support.project(torch.linspace(-1.0, 0.0, size, device=device))

    def in_bfloat16() -> torch.autocast:
        return torch.autocast(device.type, dtype=torch.bfloat16, enabled=device.type == "cuda")

    def predict() -> None:
        with torch.inference_mode(), in_bfloat16():
            model(batch)

    model.eval()
    predicted = steps * size / seconds(predict, steps, device)
    model.train()
    model.encoder.begin_training()
    trained = [parameter for parameter in model.parameters() if parameter.requires_grad]
    optimizer = torch.optim.AdamW(trained, lr=1e-5)

    def learn() -> None:
        with in_bfloat16():
            logits = model(batch)
        optimizer.zero_grad()
        torch.autograd.backward(cross_entropy(logits.float(), targets).mean())
        optimizer.step()

    if device.type == "cuda":
        torch.cuda.reset_peak_memory_stats()
    learnt = steps * size / seconds(learn, steps, device)
    figures = {
        "training_frames_per_s": round(learnt, 1),
        "prediction_frames_per_s": round(predicted, 1),
        "trained_parameters": sum(parameter.numel() for parameter in trained),
    }
    if device.type == "cuda":
        figures["training_peak_gib"] = round(torch.cuda.max_memory_allocated() / 2**30, 2)
    return figures


def seconds(step: Callable[[], None], steps: int, device: torch.device) -> float:
    """Time so many steps, after one that warms up."""
    step()
    wait(device)
    start = time.perf_counter()
    for _ in range(steps):
        step()
    wait(device)
    return time.perf_counter() - start


def wait(device: torch.device) -> None:
    """Let the GPU finish what it was given."""
    if device.type == "cuda":
        torch.cuda.synchronize()


def make_model(config: VlmConfig, folder: Path, device: torch.device) -> DistributionalValueModel:
    """Make a value model as from a checkpoint, with random weights instead of the checkpoint's."""
    spec = ValueSpec(
        config=ValueModelConfig(encoder=EncoderKind.VLM, vlm=config),
        tasks=(TASK,),
        vocabulary=(),
        cameras=CAMERAS,
        state_mean=(0.0,) * JOINTS,
        state_std=(1.0,) * JOINTS,
        normalisers={TASK: 100.0},
    )
    model = DistributionalValueModel(spec, assets=folder).to(device)
    for parameter in model.parameters():
        torch.nn.init.normal_(parameter, std=0.02)
    return model


def make_batch(size: int, device: torch.device) -> ObservationBatch:
    """Make frames of noise; every frame has a prompt of its own, as real ones do."""
    generator = torch.Generator().manual_seed(0)
    return ObservationBatch(
        images={
            name: torch.randint(
                0, 256, (size, *camera, 3), generator=generator, dtype=torch.uint8
            ).to(device)
            for name, camera in CAMERAS.items()
        },
        state=torch.randn(size, JOINTS, generator=generator).to(device),
        task_index=torch.zeros(size, dtype=torch.int64),
        tasks=(TASK,),
    )


def write_assets(folder: Path, sizes: dict[str, dict[str, Any]]) -> None:
    """Write configurations, an image processor and a tokenizer where a checkpoint has them."""
    from transformers import Gemma3TextConfig, SiglipImageProcessor, SiglipVisionConfig

    side = sizes["vision"]["image_size"]
    vision = SiglipVisionConfig(**sizes["vision"])
    vision.save_pretrained(folder / "vlm" / "vision")
    processor = SiglipImageProcessor(size={"height": side, "width": side})
    processor.save_pretrained(folder / "vlm" / "vision")
    text = Gemma3TextConfig(**sizes["text"])
    text.save_pretrained(folder / "vlm" / "text")
    make_tokenizer().save_pretrained(folder / "vlm" / "text")


def make_tokenizer() -> Any:  # noqa: ANN401 - a class of transformers
    """Make a tokenizer that knows the task's words and single digits, as Gemma's does."""
    from tokenizers import Tokenizer, models, pre_tokenizers, trainers
    from transformers import PreTrainedTokenizerFast

    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.Sequence(
        [pre_tokenizers.Digits(individual_digits=True), pre_tokenizers.ByteLevel()]
    )
    trainer = trainers.BpeTrainer(
        vocab_size=500,
        special_tokens=["<pad>", "<eos>", "<bos>"],
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
        show_progress=False,
    )
    tokenizer.train_from_iterator([f"Task: {TASK}, State: ;\nValue:"] * 2, trainer)
    names = {f"{name}_token": f"<{name}>" for name in ("pad", "eos", "bos")}
    return PreTrainedTokenizerFast(tokenizer_object=tokenizer, **names)


def say(line: str) -> None:
    """Print a line at once."""
    sys.stdout.write(line + "\n")
    sys.stdout.flush()


if __name__ == "__main__":
    sys.exit(main())
