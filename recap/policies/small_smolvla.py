"""LeRobot's SmolVLA at a small size, built without a network: the rival of `recap_flow`.

SmolVLA reads its vision-language model's configuration and tokenizer from a folder. Here the
project writes that folder itself: a tokenizer of whole words and a model of random weights.
"""

from __future__ import annotations

import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final

import numpy as np
import torch
from lerobot.configs import FeatureType, PolicyFeature
from lerobot.policies.smolvla.configuration_smolvla import SmolVLAConfig
from lerobot.policies.smolvla.modeling_smolvla import SmolVLAPolicy
from lerobot.policies.smolvla.processor_smolvla import make_smolvla_pre_post_processors
from lerobot.processor import NewLineTaskProcessorStep, PolicyProcessorPipeline
from lerobot.utils.constants import ACTION, OBS_STATE

from data.files import whole_folder
from data.schema import IMAGE_PREFIX
from recap.policies.batches import Rows, TrainingFrames, chunk_rows
from recap.policies.config import PolicyTrainingConfig
from recap.policies.flow.modeling_recap_flow import ACTION_PAD_KEY
from recap.policies.flow.processor_recap_flow import guarded_statistics, vocabulary_of
from recap.policies.indicator import IndicatorStep
from recap.policies.prepared import Statistics, as_pictures
from recap.policies.training import PolicyTrainingReport, Progress, learning_rate_at

IMAGE_SIZE: Final = 64
PATCH_SIZE: Final = 8
IMAGE_TOKEN: Final = "<image>"  # noqa: S105 - a word of the vocabulary, not a secret
SPECIAL_WORDS: Final = ("<pad>", "<unk>", "<s>", "</s>", IMAGE_TOKEN)
SMOLVLM_WORDS: Final = {
    "image_token": IMAGE_TOKEN,
    "fake_image_token": "<fake_token_around_image>",
    "global_image_token": "<global-img>",
    "end_of_utterance_token": "<end_of_utterance>",
}
INDICATOR_WORDS: Final = ("\n", "advantage:", "positive", "negative")


def write_small_smolvlm(folder: Path, *, tasks: list[str], width: int, layers: int) -> None:
    """Write the folder of a small vision-language model: configuration, tokenizer, image sizes.

    Args:
        folder: The folder to make.
        tasks: Tasks whose words the tokenizer must know.
        width: Width of both transformers, a multiple of 4.
        layers: Depth of both transformers.
    """
    from transformers import SmolVLMConfig, SmolVLMImageProcessor

    special = [*SPECIAL_WORDS, *list(SMOLVLM_WORDS.values())[1:]]
    words = [*special, *INDICATOR_WORDS, *vocabulary_of(tasks)]
    heads = {"num_attention_heads": 4, "num_hidden_layers": layers, "hidden_size": width}
    sizes: dict[str, Any] = {
        "text_config": {
            **heads,
            "model_type": "llama",
            "vocab_size": len(words),
            "intermediate_size": 3 * width,
            "num_key_value_heads": 2,
            "head_dim": width // 4,
            "max_position_embeddings": 256,
        },
        "vision_config": {
            **heads,
            "intermediate_size": 2 * width,
            "image_size": IMAGE_SIZE,
            "patch_size": PATCH_SIZE,
        },
        "scale_factor": 2,
        "image_token_id": words.index(IMAGE_TOKEN),
        "pad_token_id": 0,
        "tie_word_embeddings": False,
    }
    edge = {"longest_edge": IMAGE_SIZE}
    images = SmolVLMImageProcessor(size=edge, max_image_size=edge, do_image_splitting=False)
    with whole_folder(folder) as partial:
        for part in (SmolVLMConfig(**sizes), _word_tokenizer(words), images):
            part.save_pretrained(partial)


def train_small_smolvla(
    frames: TrainingFrames,
    *,
    destination: Path,
    settings: PolicyTrainingConfig,
    statistics: Statistics,
    width: int = 128,
    layers: int = 4,
    progress: Progress | None = None,
) -> PolicyTrainingReport:
    """Train a small SmolVLA from nothing and write it as a ``pretrained_model`` folder.

    The vision-language model's own folder is written beside it, as ``<destination>.smolvlm``.
    Of the settings, those of image encoder, waypoint and noise samples are for `recap_flow` alone.

    Args:
        frames: What was recorded, and how good it was.
        destination: The folder to write; it appears whole or not at all.
        settings: How to train.
        statistics: The training set's ``stats.json``.
        width: Width of the transformers.
        layers: Depth of the transformers.
        progress: Called after every step with the step, all steps and the loss.
    """
    began = time.perf_counter()
    torch.set_num_threads(settings.threads)
    torch.manual_seed(settings.seed)
    backbone = destination.with_name(f"{destination.name}.smolvlm")
    write_small_smolvlm(backbone, tasks=sorted(set(frames.tasks)), width=width, layers=layers)
    policy = SmolVLAPolicy(_policy_config(frames, backbone, layers))
    preprocessor, postprocessor = _processors(policy.config, frames, statistics, settings)
    loss = _train(policy, preprocessor, frames, settings, progress)
    with whole_folder(destination) as folder:
        for part in (policy.eval(), preprocessor, postprocessor):
            part.save_pretrained(folder)
    return PolicyTrainingReport(
        destination=destination,
        metrics={"flow_loss": loss},
        parameters=sum(p.numel() for p in policy.parameters()),
        seconds=time.perf_counter() - began,
    )


def _train(
    policy: SmolVLAPolicy,
    preprocessor: PolicyProcessorPipeline,
    frames: TrainingFrames,
    settings: PolicyTrainingConfig,
    progress: Progress | None,
) -> float:
    trained = [p for p in policy.parameters() if p.requires_grad]
    average = [p.detach().clone() for p in trained]
    optimizer = torch.optim.AdamW(
        trained, lr=settings.learning_rate, weight_decay=settings.weight_decay, fused=True
    )
    policy.train()
    latest = 0.0
    for step, batch in enumerate(_batches(policy.config.chunk_size, frames, settings), start=1):
        for group in optimizer.param_groups:
            group["lr"] = learning_rate_at(step, settings)
        with torch.autocast("cpu", dtype=torch.bfloat16, enabled=settings.use_bfloat16):
            loss, _ = policy(preprocessor(batch))
        optimizer.zero_grad()
        loss.backward()
        torch.nn.utils.clip_grad_norm_(trained, settings.gradient_clip, foreach=True)
        optimizer.step()
        decay = min(settings.ema_decay, (1.0 + step) / (10.0 + step))
        torch._foreach_lerp_(average, [p.detach() for p in trained], 1.0 - decay)
        latest = float(loss.detach())
        if progress is not None:
            progress(step, settings.steps, {"flow_loss": latest})
    with torch.no_grad():
        torch._foreach_copy_(trained, average)
    return latest


def _batches(
    chunk: int, frames: TrainingFrames, settings: PolicyTrainingConfig
) -> Iterator[dict[str, Any]]:
    """Draw batches as a LeRobot data loader gives them: not normalised, tasks in words."""
    generator = np.random.default_rng(settings.seed)
    chunks, is_pad = chunk_rows(frames.bounds, chunk=chunk)
    tasks, numbers = frames.task_rows()
    for _ in range(settings.steps):
        rows: Rows = generator.integers(0, len(frames.state), settings.batch_size)
        yield {
            **{
                IMAGE_PREFIX + camera: as_pictures(images[rows])
                for camera, images in frames.images.items()
            },
            OBS_STATE: torch.from_numpy(frames.state[rows]),
            ACTION: torch.from_numpy(frames.action[chunks[rows]]),
            ACTION_PAD_KEY: torch.from_numpy(is_pad[rows]),
            "task": [tasks[number] for number in numbers[rows]],
            "index": torch.from_numpy(rows),
        }


def _policy_config(frames: TrainingFrames, backbone: Path, layers: int) -> SmolVLAConfig:
    state_size, action_size = frames.state.shape[1], frames.action.shape[1]
    cameras = {
        IMAGE_PREFIX + camera: PolicyFeature(type=FeatureType.VISUAL, shape=(3, *images.shape[1:3]))
        for camera, images in frames.images.items()
    }
    state = PolicyFeature(type=FeatureType.STATE, shape=(state_size,))
    return SmolVLAConfig(
        input_features={**cameras, OBS_STATE: state},
        output_features={ACTION: PolicyFeature(type=FeatureType.ACTION, shape=(action_size,))},
        device="cpu",
        push_to_hub=False,
        chunk_size=8,
        n_action_steps=4,
        num_steps=5,
        max_state_dim=state_size,
        max_action_dim=action_size,
        resize_imgs_with_padding=(IMAGE_SIZE, IMAGE_SIZE),
        freeze_vision_encoder=False,
        train_expert_only=False,
        vlm_model_name=str(backbone),
        load_vlm_weights=False,
        num_vlm_layers=layers,
        pad_language_to="max_length",
        tokenizer_max_length=24,
    )


def _processors(
    config: SmolVLAConfig,
    frames: TrainingFrames,
    statistics: Statistics,
    settings: PolicyTrainingConfig,
) -> tuple[PolicyProcessorPipeline, PolicyProcessorPipeline]:
    """Build LeRobot's own pipelines with the indicator before the line that ends the prompt."""
    kept = {key: dict(statistics[key]) for key in (OBS_STATE, ACTION)}
    preprocessor, postprocessor = make_smolvla_pre_post_processors(config, guarded_statistics(kept))
    steps = list(preprocessor.steps)
    place = next(i for i, step in enumerate(steps) if isinstance(step, NewLineTaskProcessorStep))
    indicator = IndicatorStep(
        indicators=frames.indicator, dropout=settings.indicator_dropout, seed=settings.seed
    )
    preprocessor.steps = [*steps[:place], indicator, *steps[place:]]
    return preprocessor, postprocessor


def _word_tokenizer(words: list[str]) -> Any:  # noqa: ANN401 - transformers is untyped here
    from tokenizers import Regex, Tokenizer, models, normalizers, pre_tokenizers  # type: ignore[import-untyped]  # it carries no types
    from transformers import PreTrainedTokenizerFast

    numbers = {word: number for number, word in enumerate(words)}
    tokenizer = Tokenizer(models.WordLevel(numbers, unk_token="<unk>"))  # noqa: S106
    tokenizer.normalizer = normalizers.Lowercase()
    tokenizer.pre_tokenizer = pre_tokenizers.Split(
        Regex(r"\n|\S+"), behavior="removed", invert=True
    )
    return PreTrainedTokenizerFast(  # type: ignore[no-untyped-call]  # nor does this
        tokenizer_object=tokenizer,
        pad_token="<pad>",  # noqa: S106
        unk_token="<unk>",  # noqa: S106
        bos_token="<s>",  # noqa: S106
        eos_token="</s>",  # noqa: S106
        extra_special_tokens=SMOLVLM_WORDS,
    )
