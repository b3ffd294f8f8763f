import json
import shutil

import pytest
import torch
from safetensors.torch import load_file, save_file

from data.errors import CheckpointError
from value_models.checkpoint import load_checkpoint, save_checkpoint
from value_models.vlm.config import StateInput, VlmConfig, WeightType
from value_models.vlm.loading import load_backbone


@pytest.mark.parametrize("dtype", WeightType)
def test_a_checkpoint_needs_nothing_but_itself(tiny, kind, dtype, tmp_path, monkeypatch):
    model = tiny.model(kind, state=StateInput.TOKEN, dtype=dtype, lora_rank=2)
    model.encoder.begin_training()
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.add_(0.01)
    model.encoder.finish_training()
    save_checkpoint(model.eval(), tmp_path / "value")

    away = tiny.folder.with_name("away")
    tiny.folder.rename(away)
    try:
        loaded = load_checkpoint(tmp_path / "value")
    finally:
        away.rename(tiny.folder)
    assert loaded.spec == model.spec
    assert type(loaded.spec.config.vlm) is VlmConfig
    assert loaded.spec.config.vlm.dtype is dtype
    for (name, ours), (other, theirs) in zip(
        model.state_dict().items(), loaded.state_dict().items(), strict=True
    ):
        assert name == other
        assert torch.equal(ours, theirs)
    batch = tiny.batch((0, 1, 2))
    with torch.inference_mode():
        assert torch.equal(loaded(batch), model(batch))
    save_checkpoint(loaded, tmp_path / "again")
    for path in (tmp_path / "value").rglob("*.json"):
        other = tmp_path / "again" / path.relative_to(tmp_path / "value")
        assert json.loads(path.read_text()) == json.loads(other.read_text())


def test_no_two_tensors_of_a_checkpoint_share_memory(tiny, kind):
    tensors = tiny.model(kind).state_dict().values()
    assert len({tensor.data_ptr() for tensor in tensors if tensor.numel()}) == len(tensors)


def test_a_language_head_of_its_own_is_kept(tiny):
    names = tiny.model("smolvlm").state_dict().keys()
    assert "encoder.backbone.language_head.weight" in names


def broken(folder, tmp_path, change):
    copied = tmp_path / "broken"
    shutil.copytree(folder, copied)
    weights = load_file(copied / "model.safetensors")
    change(weights)
    save_file(weights, copied / "model.safetensors", metadata={"format": "pt"})
    return str(copied)


def test_a_checkpoint_without_some_weights_is_refused(tiny, tmp_path):
    folder = broken(tiny.text(), tmp_path, lambda w: w.pop("model.layers.1.mlp.up_proj.weight"))
    with pytest.raises(CheckpointError) as caught:
        load_backbone(tiny.settings(text=folder))
    assert str(caught.value) == (
        f"value.model.vlm.text={folder} lacks 1 tensor(s) of a Gemma3TextModel, first "
        f"'layers.1.mlp.up_proj.weight': it is not whole, or of another kind.\n"
        f"They would be random, so nothing is begun. Copy the folder again, or name another."
    )


def test_a_whole_model_without_some_weights_is_refused(tiny, tmp_path):
    path = tiny.settings("paligemma").path
    name = next(n for n in load_file(f"{path}/model.safetensors") if n.endswith("linear.bias"))
    folder = broken(path, tmp_path, lambda weights: weights.pop(name))
    with pytest.raises(CheckpointError, match=r"lacks 1 tensor.* of a PaliGemmaForConditional"):
        load_backbone(VlmConfig(path=folder))


def test_weights_of_another_shape_are_refused(tiny, tmp_path):
    def cut(weights):
        weights["model.norm.weight"] = weights["model.norm.weight"][:4].clone()

    folder = broken(tiny.text(), tmp_path, cut)
    with pytest.raises(CheckpointError, match=f"value.model.vlm.text={folder} is a folder without"):
        load_backbone(tiny.settings(text=folder))


@pytest.mark.parametrize("damage", ["gone", "cut"])
def test_a_folder_without_whole_weights_is_refused(tiny, tmp_path, damage):
    folder = tmp_path / "siglip"
    shutil.copytree(tiny.vision(), folder)
    weights = folder / "model.safetensors"
    weights.write_bytes(weights.read_bytes()[:100])
    if damage == "gone":
        weights.unlink()
    with pytest.raises(CheckpointError) as caught:
        load_backbone(tiny.settings(vision=str(folder)))
    first, second = str(caught.value).splitlines()
    assert first.startswith(f"value.model.vlm.vision={folder} is a folder without a whole check")
    assert second == "Copy the whole folder again, or name another."


@pytest.mark.parametrize("setting", ["vision", "text", "path"])
def test_a_name_that_is_nowhere_is_refused(tiny, setting, monkeypatch):
    import huggingface_hub.constants

    monkeypatch.setattr(huggingface_hub.constants, "HF_HUB_OFFLINE", True)
    with pytest.raises(CheckpointError) as caught:
        load_backbone(tiny.settings(**{setting: "nobody/nothing"}))
    first, second = str(caught.value).splitlines()
    assert first.startswith(
        f"value.model.vlm.{setting}=nobody/nothing is neither a folder nor a model that the Hub"
    )
    assert second == (
        "Name the folder of a download, or let the Hub be asked with HF_HUB_OFFLINE=0 in front of "
        "the command."
    )


@pytest.mark.parametrize("setting", ["vision", "text", "path"])
@pytest.mark.parametrize("path", ["/no/where", "./no/where", "../nowhere", "~/nowhere"])
def test_a_path_that_is_nowhere_is_refused_without_asking_the_hub(tiny, setting, path, monkeypatch):
    import huggingface_hub.constants

    monkeypatch.setattr(huggingface_hub.constants, "HF_HUB_OFFLINE", False)
    with pytest.raises(CheckpointError) as caught:
        load_backbone(tiny.settings(**{setting: path}))
    assert str(caught.value) == (
        f"value.model.vlm.{setting}={path}: there is no folder {path}.\n"
        f"Name the folder of a download, or a model on the Hub, such as "
        f"google/siglip2-base-patch16-224."
    )


def refused(error, cause, monkeypatch):
    """Ask the Hub, which says no in this way."""
    import huggingface_hub.constants
    import transformers

    def from_pretrained(name):
        raise error from cause

    monkeypatch.setattr(huggingface_hub.constants, "HF_HUB_OFFLINE", False)
    monkeypatch.setattr(transformers.AutoConfig, "from_pretrained", from_pretrained)
    with pytest.raises(CheckpointError) as caught:
        load_backbone(VlmConfig(path="some/model"))
    return str(caught.value)


def test_a_hub_that_does_not_answer_is_said_to(monkeypatch):
    import httpx
    from huggingface_hub.errors import LocalEntryNotFoundError

    said = (
        "value.model.vlm.path=some/model is not a folder, and the Hub did not answer.\n"
        "Check the network and try again, or download it elsewhere and name its folder."
    )
    unreachable = httpx.ConnectError("Name or service not known")
    assert refused(unreachable, None, monkeypatch) == said
    not_there = LocalEntryNotFoundError("not in the cache")
    assert refused(OSError("We couldn't connect to it"), not_there, monkeypatch) == said


def test_what_the_hub_refuses_or_has_not_whole_is_said_without_half_an_address(monkeypatch):
    import httpx
    from huggingface_hub.errors import RepositoryNotFoundError

    response = httpx.Response(404, request=httpx.Request("HEAD", "http://localhost/some/model"))
    address = "http://localhost/" + 60 * "a"
    words = OSError(f"It is {30 * 'very '}\n private {address}")
    told = refused(words, RepositoryNotFoundError("no", response=response), monkeypatch)
    assert told == (
        f"value.model.vlm.path=some/model is not a folder, and the Hub refuses it (It is "
        f"{30 * 'very '}private ...).\n"
        f"Check the name, and whether the model asks for a licence to be accepted; or name the "
        f"folder of a download."
    )
    assert refused(OSError("It has no file config.json"), None, monkeypatch) == (
        "value.model.vlm.path=some/model is not a folder, and what the Hub has of that name is no "
        "whole checkpoint (It has no file config.json).\n"
        "Check the name, or name the folder of a download."
    )


def test_models_of_another_kind_are_refused(tiny):
    with pytest.raises(CheckpointError, match="names a 'siglip' model, and the joint arrangement"):
        load_backbone(tiny.settings(text=tiny.vision()))
    with pytest.raises(CheckpointError, match="'gemma3_text' model, and the joint arrangement tak"):
        load_backbone(tiny.settings(vision=tiny.text()))
    with pytest.raises(CheckpointError, match="which does not take images among its text"):
        load_backbone(VlmConfig(path=tiny.text()))


def test_a_tokenizer_without_the_image_token_is_refused(tiny, tmp_path):
    folder = tmp_path / "paligemma"
    shutil.copytree(tiny.settings("paligemma").path, folder)
    config = json.loads((folder / "config.json").read_text())
    config["image_token_index"] = config["image_token_id"] = 300
    (folder / "config.json").write_text(json.dumps(config))
    backbone = load_backbone(VlmConfig(path=str(folder)))
    with pytest.raises(CheckpointError) as caught:
        backbone.rows(["a"], [[torch.zeros(3, 8, 8, dtype=torch.uint8)]])
    assert str(caught.value) == (
        "the tokenizer of value.model.vlm.path lacks the image token: the model expects token 300 "
        "where an image goes, and no prompt has it.\n"
        "Take the tokenizer and processor that belong to the model."
    )


def test_nothing_heavy_is_imported_by_the_settings():
    import subprocess
    import sys

    script = (
        "import sys, value_models.config; "
        "print([m for m in ('torch', 'transformers', 'peft', 'PIL') if m in sys.modules])"
    )
    answer = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, text=True, check=True
    )
    assert answer.stdout.strip() == "[]"
