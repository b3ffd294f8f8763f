import json

import pytest
import torch
from PIL import Image

from data.errors import ConfigError
from value_models.cotraining import CoTraining, read_pairs
from value_models.small import SmallEncoder
from value_models.vlm.config import CoTrainingConfig


def co_training(folder, *, seed=0, **changes):
    return CoTraining(CoTrainingConfig(path=str(folder), **{"batch_size": 2, **changes}), seed=seed)


def test_the_batch_depends_on_seed_and_step_alone(tiny, tmp_path):
    folder = tiny.pairs(tmp_path / "pairs", count=9)
    encoder = tiny.model().encoder
    once, again = co_training(folder), co_training(folder)
    with torch.no_grad():
        losses = [once.loss(encoder, step).item() for step in (1, 2, 3)]
        assert [again.loss(encoder, step).item() for step in (3, 2, 1)] == losses[::-1]
        assert len(set(losses)) == 3
        assert co_training(folder, seed=1).loss(encoder, 1).item() != losses[0]
        heavier = co_training(folder, weight=0.2).loss(encoder, 1).item()
    assert heavier == pytest.approx(2 * losses[0])


def test_every_pair_has_its_turn_before_one_comes_again(tiny, tmp_path):
    pairs = co_training(tiny.pairs(tmp_path / "pairs", count=3), batch_size=2)
    turns = [place for step in (1, 2, 3) for place in pairs._places(step).tolist()]
    assert sorted(turns[:3]) == sorted(turns[3:]) == [0, 1, 2]


def test_answers_are_learnt(tiny, tmp_path, kind):
    pairs = co_training(tiny.pairs(tmp_path / "pairs"), weight=1.0, batch_size=6)
    encoder = tiny.model(kind).encoder.train()
    encoder.begin_training()
    parameters = [p for p in encoder.parameters() if p.requires_grad]
    optimizer = torch.optim.Adam(parameters, lr=1e-2)
    losses = []
    for step in range(1, 16):
        loss = pairs.loss(encoder, step)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        losses.append(loss.item())
    assert losses[-1] < 0.6 * losses[0]


def test_the_loss_is_that_of_paligemma_itself(tiny, tmp_path):
    from transformers import AutoModelForImageTextToText

    folder = tiny.pairs(tmp_path / "pairs", count=2)
    encoder = tiny.model("paligemma").encoder
    real = AutoModelForImageTextToText.from_pretrained(tiny.settings("paligemma").path)
    pairs = read_pairs(folder)
    inputs = encoder.backbone.processor(
        text=[f"<image>{pair.prompt}" for pair in pairs],
        images=[Image.open(pair.path) for pair in pairs],
        suffix=[pair.text for pair in pairs],
        padding=True,
        padding_side="right",
        return_tensors="pt",
    )
    # Padding counts as an answer there, and the model leaves it out by its mask.
    images = [[torch.from_numpy(_pixels(pair.path))] for pair in pairs]
    with torch.no_grad():
        theirs = real(**inputs).loss
        ours = encoder.language_loss(
            images, [pair.prompt for pair in pairs], [pair.text for pair in pairs]
        )
    torch.testing.assert_close(ours, theirs)


def _pixels(path):
    import numpy as np

    with Image.open(path) as image:
        return np.array(image.convert("RGB")).transpose(2, 0, 1)


def test_the_loss_counts_answers_alone_worked_by_hand(tiny, kind):
    encoder = tiny.model(kind).encoder
    image = [[torch.zeros(3, 16, 16, dtype=torch.uint8)]]
    backbone = encoder.backbone
    with torch.no_grad():
        rows = backbone.rows(["what is it"], image, ["a cube"])
        logits = backbone.logits(backbone.hidden(backbone.pixels(image), rows))[0]
        places = rows.is_answer[0].nonzero()[:, 0].tolist()
        expected = [
            -logits[place - 1].log_softmax(dim=0)[rows.ids[0, place]].item() for place in places
        ]
        loss = encoder.language_loss(image, ["what is it"], ["a cube"])
    assert rows.ids[0, -1] == 1  # the end is learnt too
    assert places == list(range(places[0], rows.ids.shape[1]))
    assert loss.item() == pytest.approx(sum(expected) / len(expected), rel=1e-5)


@pytest.mark.parametrize(("kind", "text"), [("smolvlm", " a cube"), ("paligemma", "a cube")])
def test_an_answer_stands_apart_from_what_was_asked(tiny, kind, text):
    backbone = tiny.model(kind).encoder.backbone
    image = [[torch.zeros(3, 16, 16, dtype=torch.uint8)]]
    rows = backbone.rows(["what is it"], image, [" a cube "])
    tokenizer = backbone.processor.tokenizer
    # PaliGemma's processor ends what is asked with a line of its own.
    assert tokenizer.decode(rows.ids[rows.is_answer]) == f"{text}<eos>"


def test_images_that_are_not_rgb_are_read_as_if_they_were(tiny, tmp_path):
    folder = tiny.pairs(tmp_path / "pairs")
    Image.new("P", (8, 8)).save(folder / "0.png")
    Image.new("LA", (8, 8)).save(folder / "1.png")
    with torch.no_grad():
        assert co_training(folder, batch_size=8).loss(tiny.model().encoder, 1).isfinite()


def test_an_encoder_without_a_language_head_is_refused(tiny, tmp_path):
    pairs = co_training(tiny.pairs(tmp_path / "pairs"))
    with pytest.raises(ConfigError) as caught:
        pairs.loss(SmallEncoder(tiny.spec()), 1)
    assert str(caught.value) == (
        "value.cotraining.path is set, and a SmallEncoder has no language head to train on "
        "texts.\nUse value.model.encoder=vlm, or leave value.cotraining.path empty."
    )


def test_a_folder_without_a_list_is_refused(tmp_path):
    with pytest.raises(ConfigError) as caught:
        co_training(tmp_path)
    assert str(caught.value) == (
        f"value.cotraining.path={tmp_path} holds no metadata.jsonl, the list of its images and "
        f"texts.\nName a folder of images with one; each line is a JSON object with file_name, "
        f"text and perhaps prompt."
    )


@pytest.mark.parametrize(
    ("line", "reason"),
    [
        ("", "lists no image."),
        ("[]", "line 1: it is not a JSON object."),
        ("{", "line 1: it is not JSON"),
        ('{"text": "a"}', "line 1: it has no file_name."),
        ('{"file_name": "0.png"}', "line 1: it has no text."),
        ('{"file_name": "0.png", "text": " "}', "line 1: it has no text."),
        ('{"file_name": "0.png", "text": "a", "prompt": 3}', "line 1: its prompt is not text."),
        ('{"file_name": "9.png", "text": "a"}', "line 1: there is no image 9.png."),
    ],
)
def test_a_damaged_list_is_refused(tiny, tmp_path, line, reason):
    folder = tiny.pairs(tmp_path / "pairs")
    (folder / "metadata.jsonl").write_text(line)
    with pytest.raises(ConfigError) as caught:
        co_training(folder)
    assert reason in str(caught.value).splitlines()[0]
    assert len(str(caught.value).splitlines()) == 2


def test_a_damaged_image_is_refused_when_its_turn_comes(tiny, tmp_path):
    folder = tiny.pairs(tmp_path / "pairs", count=1)
    (folder / "0.png").write_bytes(b"no picture")
    with pytest.raises(ConfigError, match=r"0\.png cannot be read as an image"):
        co_training(folder).loss(tiny.model().encoder, 1)


def test_a_list_is_read_in_its_order(tiny, tmp_path):
    folder = tiny.pairs(tmp_path / "pairs")
    pairs = read_pairs(folder)
    lines = [json.loads(line) for line in (folder / "metadata.jsonl").read_text().splitlines()]
    assert [pair.path.name for pair in pairs] == [line["file_name"] for line in lines]
    assert [pair.prompt for pair in pairs] == ["Describe it.", "", ""]
