import math

import pytest

pytest.importorskip("torch", reason="torch is not installed: pip install 'roots-corpus[train]'")

import torch

from roots.errors import SettingsError
from trainer.model import attention
from trainer.model.attention import KERNELS, alibi_slopes, error_of, layout_of

CPU = torch.device("cpu")
TRAINABLE = [
    "blocks",
    "key_bias",
    "additive",
    "fold",
]  # flex has no backward on a CPU; cuDNN and Flash folds need a GPU


@pytest.fixture(autouse=True)
def _threads():
    torch.set_num_threads(1)


def qkv(heads, length, width=32, rows=2, dtype=torch.float32, seed=0):
    generator = torch.Generator().manual_seed(seed)
    return [torch.randn(rows, heads, length, width, generator=generator).to(dtype) for _ in range(3)]


def documents(rows, length, seed=0):
    generator = torch.Generator().manual_seed(seed)
    return layout_of((torch.rand(rows, length, generator=generator) < 6 / length).long().cumsum(1))


def test_slopes_are_those_of_the_paper():
    assert alibi_slopes(8).tolist() == [2.0**-k for k in range(1, 9)]
    of_12 = alibi_slopes(12).tolist()
    assert of_12[:8] == alibi_slopes(8).tolist()
    assert of_12[8:] == pytest.approx([2 ** (-8 * (h + 1) / 16) for h in (0, 2, 4, 6)])
    of_112 = alibi_slopes(112)
    assert of_112[63] == pytest.approx(0.00390625)
    assert of_112[64] == pytest.approx(0.9576, abs=1e-4)
    with pytest.raises(ValueError, match="one head"):
        alibi_slopes(0)


@pytest.mark.parametrize("heads", [8, 12])
@pytest.mark.parametrize("kernel", TRAINABLE)
@pytest.mark.parametrize("split", [False, True])
@pytest.mark.parametrize(("dtype", "limit"), [(torch.float32, 2e-5), (torch.bfloat16, 1.2e-2)])
def test_kernels_and_their_gradients_match_float64(heads, kernel, split, dtype, limit, monkeypatch):
    monkeypatch.setattr(attention, "MASKED_UP_TO", 0)  # documents one by one
    layout = documents(2, 256) if split else None
    assert error_of(KERNELS[kernel], *qkv(heads, 256, dtype=dtype), alibi_slopes(heads), layout) < limit


@pytest.mark.filterwarnings("ignore:flex_attention called")
def test_flex_attention_agrees_with_float64():
    q, k, v = qkv(4, 128)
    layout = documents(2, 128)
    for shape in (None, layout):
        true = attention.reference(q, k, v, alibi_slopes(4), shape)
        assert (attention.flex(q, k, v, alibi_slopes(4), shape) - true).abs().max() < 1e-4


def test_a_bfloat16_key_bias_is_wrong_and_ours_is_right():
    q, k, v = qkv(8, 1024, 64, 1, torch.bfloat16)
    slopes = alibi_slopes(8)
    heads = [slice(head, head + 1) for head in range(8)]  # one by one: all scores take 200 MB
    true = torch.cat([attention.reference(q[:, at], k[:, at], v[:, at], slopes[at]) for at in heads], dim=1)
    rough = (slopes[:, None] * torch.arange(1024.0))[None, :, None, :].bfloat16()
    wrong = torch.nn.functional.scaled_dot_product_attention(q, k, v, attn_mask=rough, is_causal=True)
    assert (wrong.double() - true).norm() / true.norm() > 0.1
    assert (attention.key_bias(q, k, v, slopes).double() - true).norm() / true.norm() < 5e-3
    assert (attention.fold_alibi(q, k, v, slopes).double() - true).norm() / true.norm() < 5e-3


@pytest.mark.filterwarnings("ignore:flex_attention called")
@pytest.mark.parametrize("kernel", [*TRAINABLE, "flex"])
@pytest.mark.parametrize("short", [0, 512])
def test_other_documents_and_later_tokens_change_nothing_at_all(kernel, short, monkeypatch):
    monkeypatch.setattr(attention, "MASKED_UP_TO", short)
    q, k, v = qkv(6, 160)
    docs = torch.zeros(2, 160, dtype=torch.long)
    docs[:, 50:] = 1
    docs[1, 90:] = 2
    layout = layout_of(docs)
    before = KERNELS[kernel](q, k, v, alibi_slopes(6), layout)
    poisoned = v.clone()
    poisoned[:, :, :50] += 1e4
    after = KERNELS[kernel](q, k, poisoned, alibi_slopes(6), layout)
    assert torch.equal(before[:, :, 50:], after[:, :, 50:])
    later = v.clone()
    later[:, :, 120:] -= 1e4
    assert torch.equal(before[:, :, :120], KERNELS[kernel](q, k, later, alibi_slopes(6), layout)[:, :, :120])


def test_documents_of_a_layout_begin_where_the_number_changes():
    layout = layout_of(torch.tensor([[0, 0, 1, 1, 1], [3, 3, 3, 3, 3], [0, 1, 2, -1, -1]]))
    assert layout.spans == (((0, 2), (2, 5)), ((0, 5),), ((0, 1), (1, 2), (2, 3), (3, 5)))
    assert not layout.whole
    assert layout_of(torch.zeros(2, 4)).whole


def test_the_probe_chooses_a_kernel_that_is_right(monkeypatch):
    found = dict(attention.probe(CPU, torch.float32, 2, 16))
    assert found["blocks"][0] <= found["key_bias"][0] < 1e-3
    assert attention.choose_kernel("auto", CPU, torch.float32, 2, 16) == "blocks"
    assert attention.choose_kernel("fold", CPU, torch.float32, 4, 16) == "fold"
    with pytest.raises(SettingsError, match="Did you mean 'fold'"):
        attention.choose_kernel("flod", CPU, torch.float32, 4, 16)

    def wrong(q, k, v, slopes, layout=None):
        return attention.additive(q, k, v, 2 * slopes, layout)

    def refused(q, k, v, slopes, layout=None):
        raise RuntimeError("explicit attn_mask with is_causal")

    monkeypatch.setattr(attention, "KERNELS", {**KERNELS, "blocks": wrong})
    assert attention.choose_kernel("auto", CPU, torch.float32, 2, 16) == "key_bias"
    monkeypatch.setattr(attention, "KERNELS", {**KERNELS, "blocks": wrong, "key_bias": refused})
    assert attention.choose_kernel("auto", CPU, torch.float32, 2, 16) == "additive"
    assert dict(attention.probe(CPU, torch.float32, 2, 16, 64))["key_bias"] == (math.inf, math.inf)
