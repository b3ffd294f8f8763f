import pytest
import torch

from value_models.vlm.config import StateInput, WeightType


def trained(model):
    return {name for name, parameter in model.named_parameters() if parameter.requires_grad}


def shape(model):
    return {name: tensor.shape for name, tensor in model.state_dict().items()}


def learn(model, batch):
    """Take a few large steps."""
    parameters = [p for p in model.parameters() if p.requires_grad]
    optimizer = torch.optim.SGD(parameters, lr=0.3)
    for _ in range(3):
        loss = model(batch).logsumexp(dim=1).mean()
        optimizer.zero_grad()
        loss.backward()
        torch.nn.utils.clip_grad_norm_(parameters, 1.0)
        optimizer.step()


@pytest.mark.parametrize("freeze_vision", [False, True])
def test_only_adapters_the_projection_and_the_head_are_trained(tiny, kind, freeze_vision):
    model = tiny.model(kind, lora_rank=2, freeze_vision=freeze_vision, state=StateInput.TOKEN)
    model.encoder.begin_training()
    names = trained(model)
    adapters = {name for name in names if "lora_" in name}
    others = names - adapters
    joining = ("projection", "projector", "connector", "encoder.state.", "head.")
    assert others == {
        name
        for name, _ in model.named_parameters()
        if name.startswith(("head.", "encoder.state."))
        or any(f".{part}" in name for part in ("projection.", "multi_modal_proj", "connector"))
    }
    assert all(any(part in name for part in joining) for name in others)
    seeing = {name for name in adapters if "vision" in name}
    assert bool(seeing) == (not freeze_vision)
    # 3 layers of 7 projections read, 2 layers of 6 see; each adapter has two matrices.
    assert len(adapters - seeing) == 3 * 7 * 2
    assert len(seeing) == (0 if freeze_vision else 2 * 6 * 2)


def test_all_weights_are_trained_without_adapters(tiny, kind):
    model = tiny.model(kind, freeze_vision=True)
    model.encoder.begin_training()
    untrained = {name for name, _ in model.named_parameters()} - trained(model)
    assert untrained
    assert all("vision" in name or "language_head" in name for name in untrained)
    model.encoder.finish_training()
    assert trained(model) == {name for name, _ in model.named_parameters()}


@pytest.mark.parametrize("dtype", WeightType)
def test_merging_gives_the_plain_shape_and_the_same_predictions(tiny, kind, dtype):
    model = tiny.model(kind, lora_rank=2, dtype=dtype)
    batch = tiny.batch((0, 1))
    plain = shape(model)
    with torch.no_grad():
        before = model(batch)
        model.encoder.begin_training()
        torch.testing.assert_close(model(batch), before, rtol=0.0, atol=0.0)  # begins as nothing
    assert shape(model) != plain
    learn(model, batch)
    with torch.no_grad():
        learnt = model(batch)
        model.encoder.finish_training()
        assert shape(model) == plain
        merged = model(batch)
    assert (learnt - before).abs().max() > 0.1
    exact = dtype is WeightType.FLOAT32
    torch.testing.assert_close(merged, learnt, **({} if exact else {"rtol": 0.1, "atol": 0.1}))


def test_the_next_lap_adds_fresh_adapters(tiny):
    model = tiny.model(lora_rank=2)
    batch = tiny.batch((0, 1))
    for _ in range(2):
        model.encoder.begin_training()
        with torch.no_grad():
            before = model(batch)
        assert all(p.abs().max() == 0.0 for n, p in model.named_parameters() if "lora_B" in n)
        learn(model, batch)
        model.encoder.finish_training()
        assert (model(batch) - before).abs().max() > 0.01


def test_adapters_keep_float32_where_the_weights_do_not(tiny):
    model = tiny.model(lora_rank=2, dtype=WeightType.BFLOAT16)
    model.encoder.begin_training()
    assert {p.dtype for name, p in model.named_parameters() if "lora_" in name} == {torch.float32}


def test_weights_under_adapters_do_not_move(tiny):
    model = tiny.model(lora_rank=2)
    model.encoder.begin_training()
    before = {n: p.clone() for n, p in model.named_parameters() if not p.requires_grad}
    learn(model, tiny.batch((0, 1)))
    assert before
    assert all(torch.equal(p, before[n]) for n, p in model.named_parameters() if n in before)
