import math
from dataclasses import replace

import pytest

pytest.importorskip("torch", reason="torch is not installed: pip install 'roots-corpus[train]'")

import torch
import torch.nn.functional as F  # noqa: N812

from roots.errors import SettingsError
from trainer.model import block_attention, loss
from trainer.model.attention import layout_of
from trainer.model.decoder import AlibiLM, Sampling, empty_model
from trainer.model.shapes import BLOOM_ROWS, SHAPES, Shape, shape_of

SMALL = Shape(layers=3, hidden=96, heads=8, vocabulary=512)
ODD = Shape(layers=2, hidden=96, heads=12, vocabulary=384)


def random_model(shape=SMALL, seed=0, **kwargs):
    """A model with random biases and LayerNorms."""
    model = empty_model(shape, **kwargs)
    model.init_weights(seed)
    generator = torch.Generator().manual_seed(seed + 1)
    with torch.no_grad():
        for parameter in model.parameters():
            parameter += 0.05 * torch.randn(parameter.shape, generator=generator)
    return model


def bloom(shape):
    transformers = pytest.importorskip("transformers", reason="transformers is not installed (the dev extra has it)")
    config = transformers.BloomConfig(
        vocab_size=shape.vocabulary, hidden_size=shape.hidden, n_layer=shape.layers, n_head=shape.heads
    )
    return transformers.BloomForCausalLM(config).eval()


@pytest.mark.parametrize(
    ("name", "parameters"),
    [
        ("bloom-560m", 559_214_592),
        ("bloom-1b1", 1_065_314_304),
        ("bloom-1b7", 1_722_408_960),
        ("bloom-3b", 3_002_557_440),
        ("bloom-7b1", 7_069_016_064),
        ("bloom", 176_247_271_424),
    ],
)
def test_the_sizes_of_bloom_are_exact(name, parameters):
    shape = SHAPES[name]
    with torch.device("meta"):
        model = AlibiLM(shape)
    assert sum(p.numel() for p in model.parameters()) == shape.parameters == parameters
    assert shape.vocabulary == BLOOM_ROWS


def test_presets_can_be_changed_and_unknown_ones_are_named():
    assert shape_of("demo", {"vocabulary": 512}).vocabulary == 512
    assert 2e6 < SHAPES["demo"].parameters < 4e6
    with pytest.raises(SettingsError, match="Did you mean 'demo'"):
        shape_of("dmo")
    with pytest.raises(SettingsError, match="multiple of heads"):
        shape_of("demo", {"heads": 7})


@pytest.mark.parametrize(
    ("shape", "heads", "length"), [(SMALL, 8, 512), (ODD, 12, 512), (SMALL, 2, 1024), (ODD, 3, 1024)]
)  # long rows take few heads: transformers holds all scores at once
def test_logits_are_those_of_transformers(shape, heads, length):
    shape = replace(shape, heads=heads)
    theirs = bloom(shape)
    ours = random_model(shape)
    result = theirs.load_state_dict(ours.state_dict(), strict=False)
    assert result.missing_keys == ["lm_head.weight"]
    assert result.unexpected_keys == []
    theirs.tie_weights()
    tokens = torch.randint(4, shape.vocabulary, (1, length), generator=torch.Generator().manual_seed(3))
    with torch.no_grad():
        a, b = ours(tokens), theirs(tokens).logits
    assert (a - b).abs().max() <= 1e-4
    assert torch.equal(a.argmax(-1), b.argmax(-1))
    back = empty_model(shape)
    state = {k: v for k, v in theirs.state_dict().items() if k != "lm_head.weight"}
    back.load_state_dict(state, strict=True)
    with torch.no_grad():
        assert torch.equal(back(tokens), a)


@pytest.mark.parametrize("kernel", ["blocks", "key_bias"])
def test_the_hidden_states_of_every_layer_are_those_of_transformers(kernel, monkeypatch):
    monkeypatch.setattr(block_attention, "BLOCK_QUERIES", 64)
    theirs, ours = bloom(ODD), random_model(ODD, kernel=kernel)
    theirs.load_state_dict(ours.state_dict(), strict=False)
    tokens = torch.randint(4, ODD.vocabulary, (2, 150), generator=torch.Generator().manual_seed(3))
    seen = []
    body = ours.transformer
    for module in (body.word_embeddings_layernorm, *body.h[:-1], body.ln_f):
        module.register_forward_hook(lambda module, inputs, out: seen.append(out))
    with torch.no_grad():
        ours.hidden(tokens)
        wanted = theirs.transformer(tokens, output_hidden_states=True).hidden_states
    assert len(seen) == len(wanted) == ODD.layers + 1
    for mine, other in zip(seen, wanted, strict=True):
        assert (mine - other).abs().max() <= 1e-4


def test_left_padding_and_cache_agree_with_transformers():
    theirs = bloom(ODD)
    ours = random_model(ODD)
    theirs.load_state_dict(ours.state_dict(), strict=False)
    theirs.tie_weights()
    tokens = torch.randint(4, 384, (2, 20), generator=torch.Generator().manual_seed(4))
    tokens[0, :5] = 3
    mask = torch.ones_like(tokens)
    mask[0, :5] = 0
    with torch.no_grad():
        wanted = theirs(tokens, attention_mask=mask).logits[:, -1]
    got = ours.step(tokens, ours.new_cache(padding=[5, 0]))
    assert (got - wanted).abs().max() < 1e-4


def test_a_cached_step_is_the_full_forward():
    model = random_model()
    tokens = torch.randint(0, 512, (2, 40), generator=torch.Generator().manual_seed(5))
    full = model(tokens)
    cache = model.new_cache()
    steps = [model.step(tokens[:, :25], cache)] + [model.step(tokens[:, i : i + 1], cache) for i in range(25, 40)]
    assert (torch.stack(steps, 1) - full[:, 24:]).abs().max() < 1e-4
    greedy = model.generate(tokens[:, :10], 6, Sampling(temperature=0))
    grown = tokens[:, :10]
    for _ in range(6):
        grown = torch.cat([grown, model(grown)[:, -1].argmax(-1, keepdim=True)], 1)
    assert torch.equal(greedy, grown[:, 10:])


def test_sampling_is_seeded_and_never_draws_what_is_banned():
    model = random_model()
    prompt = torch.zeros(1, 4, dtype=torch.long)
    drawn = [model.generate(prompt, 30, Sampling(1.0, 20, (1, 2, 3)), seed=s) for s in (1, 1, 2)]
    assert torch.equal(drawn[0], drawn[1])
    assert not torch.equal(drawn[0], drawn[2])
    assert not torch.isin(drawn[0], torch.tensor([1, 2, 3])).any()


def test_no_token_sees_a_later_one():
    model = random_model()
    tokens = torch.randint(0, 512, (1, 64), generator=torch.Generator().manual_seed(6))
    other = tokens.clone()
    other[0, 40] = (tokens[0, 40] + 1) % 512
    a, b = model(tokens), model(other)
    assert torch.equal(a[:, :40], b[:, :40])
    assert not torch.equal(a[:, 40:], b[:, 40:])


@pytest.mark.parametrize("kernel", ["blocks", "key_bias", "additive", "fold"])
def test_packed_documents_do_not_see_each_other(kernel, monkeypatch):
    monkeypatch.setattr(block_attention, "BLOCK_QUERIES", 32)
    model = random_model(kernel=kernel)
    lengths = [30, 1, 50, 47]
    tokens = torch.randint(0, 512, (1, 128), generator=torch.Generator().manual_seed(7))
    docs = torch.repeat_interleave(torch.arange(4), torch.tensor(lengths))[None]
    packed = model(tokens, layout=layout_of(docs))
    start = 0
    for length in lengths:
        alone = model(tokens[:, start : start + length])
        assert (packed[:, start : start + length] - alone).abs().max() < 2e-4
        start += length
    poisoned = tokens.clone()
    poisoned[:, :30] = 9
    assert torch.equal(model(poisoned, layout=layout_of(docs))[:, 30:], packed[:, 30:])


def test_first_weights_have_the_stated_spread_and_depend_on_the_seed_alone():
    shape = Shape(4, 128, 4, 1024)
    a, b, c = empty_model(shape), empty_model(shape), empty_model(shape)
    for model, seed in ((a, 1), (b, 1), (c, 2)):
        model.init_weights(seed)
    for name, parameter in a.named_parameters():
        assert torch.equal(parameter, b.get_parameter(name))
        if parameter.dim() == 2:
            narrow = name.endswith(("self_attention.dense.weight", "4h_to_h.weight"))
            assert parameter.std().item() == pytest.approx(0.02 / math.sqrt(8) if narrow else 0.02, rel=0.05)
            assert not torch.equal(parameter, c.get_parameter(name))
    tokens = torch.randint(0, 1024, (4, 64))
    assert a(tokens, tokens.roll(-1, 1)).item() / 256 == pytest.approx(math.log(1024), rel=0.05)


def test_recomputing_changes_no_gradient():
    tokens = torch.randint(0, 512, (2, 32), generator=torch.Generator().manual_seed(8))
    grads = []
    for recompute in (False, True):
        model = random_model(recompute=recompute).train()
        model(tokens, tokens.roll(-1, 1)).backward()
        grads.append([p.grad for p in model.parameters()])
    assert all(torch.equal(a, b) for a, b in zip(*grads, strict=True))


@pytest.mark.parametrize("share", [0.001, 0.25, 0.999])
def test_dropout_clears_its_share_of_values_and_scales_the_rest(share):
    seen = []
    models = random_model(), random_model(dropout=share).train()
    for model in models:
        model.blocks[0].register_forward_pre_hook(lambda module, inputs: seen.append(inputs[0].detach()))
        model(torch.arange(7 * 33).view(7, 33) % 512)  # 22,176 values
    plain, dropped = seen
    kept, dropping = dropped != 0, min(255, max(1, round(256 * share))) / 256
    assert float((~kept).float().mean()) == pytest.approx(dropping, abs=0.012)
    factor = dropped[kept] / plain[kept]
    assert float(factor.min()) == pytest.approx(1 / (1 - dropping), rel=1e-5)
    assert float(factor.max()) == pytest.approx(1 / (1 - dropping), rel=1e-5)


def test_dropout_acts_in_training_only():
    tokens = torch.randint(0, 512, (2, 32), generator=torch.Generator().manual_seed(8))
    plain, dropping = random_model().train(), random_model(dropout=0.3).train()
    torch.manual_seed(1)
    first = dropping(tokens)
    assert not torch.equal(first, plain(tokens))
    assert not torch.equal(first, dropping(tokens))
    torch.manual_seed(1)
    assert torch.equal(first, dropping(tokens))
    assert torch.equal(dropping.eval()(tokens), plain(tokens))


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
@pytest.mark.parametrize("tokens", [1, 100, 1024, 2500])
def test_chunked_loss_is_plain_cross_entropy(dtype, tokens):
    generator = torch.Generator().manual_seed(9)
    hidden = torch.randn(tokens, 48, generator=generator).to(dtype).requires_grad_()
    weight = (0.3 * torch.randn(700, 48, generator=generator)).to(dtype).requires_grad_()
    targets = torch.randint(0, 700, (tokens,), generator=generator)
    targets[::7] = -100
    targets[-(tokens // 2) :] = -100 if tokens > 2000 else targets[-(tokens // 2) :]
    mine = loss.linear_cross_entropy(hidden, weight, targets)
    (mine * 0.5).backward()
    got = [hidden.grad.float(), weight.grad.float()]
    hidden.grad = weight.grad = None
    plain = F.cross_entropy((hidden.float() @ weight.float().t()), targets, reduction="sum")
    (plain * 0.5).backward()
    exact = dtype == torch.float32
    assert mine.item() == pytest.approx(plain.item(), rel=1e-5 if exact else 1e-2)
    for a, b in zip(got, (hidden.grad.float(), weight.grad.float()), strict=True):
        assert (a - b).abs().max() <= (2e-5 if exact else 0.05) * max(1.0, b.abs().max().item())
    each = loss.token_losses(hidden, weight, targets)
    assert each.sum().item() == pytest.approx(mine.item(), rel=1e-5 if exact else 1e-2)
    assert (each[targets == -100] == 0).all()


def test_a_chunk_without_targets_counts_nothing():
    hidden, weight = torch.randn(8, 4, requires_grad=True), torch.randn(16, 4, requires_grad=True)
    total = loss.linear_cross_entropy(hidden, weight, torch.full((8,), -100))
    total.backward()
    assert total.item() == 0
    assert hidden.grad.abs().sum() == weight.grad.abs().sum() == 0


def test_a_second_backward_pass_of_one_loss_is_refused():
    hidden, weight = torch.randn(8, 4, requires_grad=True), torch.randn(16, 4, requires_grad=True)
    total = loss.linear_cross_entropy(hidden, weight, torch.arange(8))
    total.backward(retain_graph=True)
    with pytest.raises(RuntimeError, match="modified by an inplace operation"):
        total.backward()


def test_under_autocast_only_products_are_rounded():
    generator = torch.Generator().manual_seed(9)
    hidden, weight = (torch.randn(n, 48, generator=generator).requires_grad_() for n in (100, 700))
    targets = torch.randint(0, 700, (100,), generator=generator)
    found = []
    for enabled in (False, True):
        with torch.autocast("cpu", torch.bfloat16, enabled=enabled):
            total = loss.linear_cross_entropy(hidden, weight, targets)
            found.append((total, *torch.autograd.grad(total / 3, (hidden, weight))))
    for exact, rounded in zip(*found, strict=True):
        assert rounded.dtype == torch.float32
        assert (exact - rounded).norm() < 1e-2 * exact.norm()
    rounded = found[1][2]  # a third of bfloat16 values, which bfloat16 does not hold
    assert not torch.equal(rounded, rounded.bfloat16().float())
