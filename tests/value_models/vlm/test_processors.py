"""What an image-text model is given equals what its own processor gives."""

import pytest
import torch
from PIL import Image

from value_models.vlm.config import VlmConfig
from value_models.vlm.image_text import prompt_with_images
from value_models.vlm.loading import load_backbone

TEMPLATE = (
    "{% for message in messages %}User:{% for line in message['content'] %}"
    "{% if line['type'] == 'image' %}<image>{% else %}{{ line['text'] }}{% endif %}{% endfor %}"
    "<end_of_utterance>\n{% endfor %}{% if add_generation_prompt %}Assistant:{% endif %}"
)
PROMPTS = ["Task: lift;\nValue:", "Task: walk to the left, State: 1 255;\nValue:"]


def idefics(tiny, make):
    return tiny.named("idefics", lambda folder: make.smolvlm(folder, kind="Idefics3"))


def chatty(tiny, make):
    return tiny.named("chatty", lambda folder: make.smolvlm(folder, template=TEMPLATE))


@pytest.mark.parametrize("name", ["paligemma", "smolvlm", "gemma3", "idefics", "chatty", "tiles"])
def test_inputs_equal_those_of_the_real_processor(name, tiny, make):
    folder = {
        "idefics": lambda: idefics(tiny, make),
        "chatty": lambda: chatty(tiny, make),
        "tiles": lambda: tiny.settings("smolvlm").path,
    }.get(name, lambda: tiny.settings(name).path)()
    backbone = load_backbone(VlmConfig(path=folder, image_splitting=name == "tiles"))
    batch = tiny.batch((0, 1))
    seen = [[batch.images[camera][place] for camera in batch.images] for place in range(2)]
    images = [[pixels.permute(2, 0, 1) for pixels in sample] for sample in seen]

    processor = backbone.processor
    texts = [prompt_with_images(processor, prompt, images=2) for prompt in PROMPTS]
    theirs = processor(
        images=[[Image.fromarray(pixels.numpy()) for pixels in sample] for sample in seen],
        text=texts,
        padding=True,
        padding_side="right",
        return_tensors="pt",
    )
    theirs = {key: value for key, value in theirs.items() if key not in ("labels", "num_crops")}
    rows = backbone.rows(PROMPTS, images)
    ours = {"input_ids": rows.ids, "attention_mask": rows.valid.long(), **backbone.pixels(images)}
    ours |= backbone._token_types(rows)
    theirs = {key: value for key, value in theirs.items() if key in ours or key != "token_type_ids"}
    assert ours.keys() == theirs.keys()
    for key, value in ours.items():
        torch.testing.assert_close(value, theirs[key].to(value.dtype), msg=lambda m, k=key: k + m)
    if name == "chatty":
        assert texts[0].startswith("User:<image><image>Task: lift")
        assert texts[0].endswith("<end_of_utterance>\nAssistant:")
    tokens_per_image = (rows.ids == backbone.config.image_token_id).sum() / 4
    assert tokens_per_image == {"paligemma": 16, "tiles": 5 * 4}.get(name, 4)


def test_features_equal_those_of_the_real_model(tiny):
    from transformers import AutoModelForImageTextToText

    for kind in ("paligemma", "smolvlm", "gemma3"):
        backbone = load_backbone(tiny.settings(kind)).eval()
        real = AutoModelForImageTextToText.from_pretrained(tiny.settings(kind).path).eval()
        batch = tiny.batch((0,))
        images = [[pixels[0].permute(2, 0, 1) for pixels in batch.images.values()]]
        texts = [prompt_with_images(backbone.processor, PROMPTS[0], images=2)]
        inputs = backbone.processor(
            images=images, text=texts, return_tensors="pt", input_data_format="channels_first"
        )
        inputs.pop("labels", None)
        with torch.inference_mode():
            theirs = real(**inputs).logits
            rows = backbone.rows(PROMPTS[:1], images)
            ours = backbone.logits(backbone.hidden(backbone.pixels(images), rows))
        torch.testing.assert_close(ours, theirs, msg=lambda m, k=kind: k + m)


def test_tiles_cost_tokens_only_where_they_are_asked_for(tiny):
    whole = load_backbone(tiny.settings("smolvlm"))
    tiled = load_backbone(tiny.settings("smolvlm", image_splitting=True))
    image = [[torch.zeros(3, 24, 32, dtype=torch.uint8)]]
    assert whole.rows(["a"], image).ids.shape[1] < tiled.rows(["a"], image).ids.shape[1] / 2
