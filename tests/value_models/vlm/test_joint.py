"""The paper's arrangement attends jointly: words see patches, and patches see words."""

import pytest
import torch

from data.errors import CheckpointError
from value_models.vlm.config import StateInput
from value_models.vlm.loading import load_backbone
from value_models.vlm.prompt import write_prompt

PATCHES = 2 * 16
"""Two cameras of 4 x 4 patches."""


@pytest.fixture(scope="module")
def backbone(tiny):
    return load_backbone(tiny.settings()).eval()


@pytest.fixture(scope="module")
def images():
    generator = torch.Generator().manual_seed(0)
    return [
        [torch.randint(0, 256, (3, 16, 16), generator=generator, dtype=torch.uint8) for _ in "ab"]
    ]


def attend(backbone, images, *texts):
    with torch.inference_mode():
        rows = backbone.rows(texts, images * len(texts))
        return backbone.attend(backbone.pixels(images * len(texts)), rows)


def test_the_sequence_is_bos_then_patches_then_words(backbone, images):
    rows = backbone.rows(["lift"], images)
    beginning = backbone.tokenizer.bos_token_id
    assert rows.ids[0, 0] == beginning
    assert (rows.ids == beginning).sum() == 1
    assert backbone.tokenizer.decode(rows.ids[0, 1:]) == "lift"
    assert attend(backbone, images, "lift").shape[1] == rows.ids.shape[1] + PATCHES


def test_one_patch_changes_the_words(backbone, images):
    other = [[image.clone() for image in images[0]]]
    other[0][1][:, 12:, 12:] = 255 - other[0][1][:, 12:, 12:]  # the last of the second camera
    changed = attend(backbone, images, "lift") - attend(backbone, other, "lift")
    assert changed[0, 1 + PATCHES :].abs().amax(dim=1).min() > 1e-4


def test_one_word_changes_the_patches(backbone, images):
    changed = attend(backbone, images, "lift it") - attend(backbone, images, "lift at")
    assert changed[0, 1 : 1 + PATCHES].abs().amax(dim=1).min() > 1e-4


def test_answers_are_read_from_left_to_right_and_unseen_by_the_prompt(backbone, images):
    with torch.inference_mode():
        pixels = backbone.pixels(images)
        one, other = (backbone.rows(["what"], images, [text]) for text in ("a ba", "a bc"))
        same = one.ids[0] == other.ids[0]
        first = int((~same).nonzero()[0])
        assert one.is_answer[0, first]
        changed = backbone.attend(pixels, one) - backbone.attend(pixels, other)
    assert changed[0, : PATCHES + first].abs().max() == 0.0
    assert changed[0, PATCHES + first].abs().max() > 1e-4


def test_a_sliding_window_is_kept_in_both_directions(tiny, images, tmp_path, make):
    # One layer, so that nothing travels further than its window of 4 tokens.
    folder = make.gemma(
        tmp_path / "gemma",
        num_hidden_layers=1,
        layer_types=["sliding_attention"],
        sliding_window=4,
    )
    backbone = load_backbone(tiny.settings(text=str(folder))).eval()
    other = [[image.clone() for image in images[0]]]
    other[0][1][:, 12:, 12:] = 0
    # The tower mixes the patches of one camera; those of the first stay as they were.
    changed = (attend(backbone, images, "lift it") - attend(backbone, other, "lift it")).abs()
    moved = changed[0].amax(dim=1) > 0.0
    assert moved.nonzero()[:, 0].tolist() == list(range(1 + 16 - 3, 1 + PATCHES + 3))


def test_the_pooling_head_and_the_text_tower_of_siglip_are_left_behind(backbone):
    names = [name for name, _ in backbone.named_parameters()]
    assert not [name for name in names if ".head." in name or "lm_head" in name]
    assert not [name for name in names if name.startswith("vision_model.text")]


def test_weights_are_those_of_the_folders(backbone, tiny):
    from transformers import AutoModel, Gemma3ForCausalLM

    siglip = AutoModel.from_pretrained(tiny.vision()).vision_model.state_dict()
    for name, tensor in backbone.vision_model.vision_model.state_dict().items():
        assert torch.equal(tensor, siglip[name])
    gemma = Gemma3ForCausalLM.from_pretrained(tiny.text()).model.state_dict()
    for name, tensor in backbone.text_model.state_dict().items():
        assert torch.equal(tensor, gemma[name])


def test_without_images_words_and_window_gemma_reads_as_gemma_does(backbone, images):
    # What the answer's mask leaves is plain causal attention, so Gemma itself is the judge.
    rows = backbone.rows([""], images, ["lift the cube"])
    with torch.inference_mode():
        words = backbone.text_model.get_input_embeddings()(rows.ids)
        masks = backbone._masks(rows.valid, rows.is_answer)
        ours = backbone.text_model(inputs_embeds=words, attention_mask=masks).last_hidden_state
        theirs = backbone.text_model(input_ids=rows.ids).last_hidden_state
    torch.testing.assert_close(ours, theirs)


def test_patches_begin_as_large_as_what_gemma_expects_of_words(backbone):
    # Gemma scales its embeddings to about one a number.
    patches = backbone.projection(torch.randn(500, 16, generator=torch.Generator().manual_seed(0)))
    assert 0.5 < patches.std() < 2.0


def test_siglip_2_with_images_of_any_shape_sees_too(tiny, make):
    folder = tiny.named("naflex", lambda folder: make.siglip(folder, naflex=True))
    model = tiny.model(vision=folder, state=StateInput.NONE)
    batch = tiny.batch((0, 1))
    with torch.inference_mode():
        features = model.encoder(batch)
        batch.images["front"][0, 3:6, 3:6] = 255
        changed = (model.encoder(batch) - features).abs().amax(dim=1)
    assert changed[0] > 1e-4
    assert changed[1] < 1e-5


def test_a_tokenizer_without_bos_is_refused(tiny, make, tmp_path):
    folder = make.gemma(tmp_path / "gemma")
    tokenizer = make.tokenizer()
    tokenizer.bos_token = None
    tokenizer.save_pretrained(folder)
    with pytest.raises(CheckpointError, match="has no token for the beginning"):
        load_backbone(tiny.settings(text=str(folder)))


def test_the_image_processor_is_the_checkpoints_own(backbone, tiny):
    from PIL import Image
    from transformers import SiglipImageProcessor

    pixels = tiny.batch((0,)).images["front"][0]
    theirs = SiglipImageProcessor.from_pretrained(tiny.vision())(
        Image.fromarray(pixels.numpy()), return_tensors="pt"
    )["pixel_values"]
    ours = backbone.pixels([[pixels.permute(2, 0, 1)]])["pixel_values"]
    assert torch.equal(ours, theirs)
    # What augmentation gives is not rounded on the way: it may differ by two levels in 255.
    floats = backbone.pixels([[pixels.permute(2, 0, 1).float()]])["pixel_values"]
    torch.testing.assert_close(floats, theirs, atol=2.0 / 127.5, rtol=0.0)


def test_prompts_of_other_lengths_change_nothing(backbone, images):
    texts = [write_prompt("lift"), write_prompt("walk to the left and to the right")]
    together = attend(backbone, images, *texts)
    for place, text in enumerate(texts):
        alone = attend(backbone, images, text)
        torch.testing.assert_close(together[place, : alone.shape[1]], alone[0])
