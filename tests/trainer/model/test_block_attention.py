import pytest

pytest.importorskip("torch", reason="torch is not installed: pip install 'roots-corpus[train]'")

import torch

from trainer.model import attention, block_attention, matmul
from trainer.model.attention import alibi_slopes, error_of, layout_of


@pytest.fixture(autouse=True)
def _one_thread():
    torch.set_num_threads(1)


here = pytest.mark.skipif(not matmul.onednn_is_right(), reason="torch has no right product of oneDNN on this machine")


@pytest.fixture
def small(monkeypatch):
    """Blocks of 64 queries, so that short rows have several."""
    monkeypatch.setattr(block_attention, "BLOCK_QUERIES", 64)


def qkv(heads, length, width=32, rows=2, dtype=torch.float32):
    """Views of one tensor, as the model cuts them."""
    generator = torch.Generator().manual_seed(0)
    mixed = torch.randn(rows, length, heads, 3, width, generator=generator).to(dtype)
    return [each.transpose(1, 2) for each in mixed.unbind(3)]


def documents(length, *starts):
    docs = torch.zeros(2, length, dtype=torch.long)
    for start in starts:
        docs[1, start:] += 1
    docs[0, length // 2 :] = 1
    return layout_of(docs)


LIMITS = [(torch.float32, 3e-6), (torch.bfloat16, 5e-3)]


@pytest.mark.parametrize(("dtype", "limit"), LIMITS)
@pytest.mark.parametrize("length", [65, 200, 256], ids=["one more", "a part of a block", "whole blocks"])
@pytest.mark.parametrize("split", [False, True])
def test_output_and_gradients_agree_with_float64(small, dtype, limit, length, split):
    layout = documents(length, 3, 64, length - 1) if split else None
    assert error_of(attention.blockwise, *qkv(6, length, dtype=dtype), alibi_slopes(6), layout) < limit


@pytest.mark.parametrize(("dtype", "limit"), LIMITS)
def test_large_scores_at_full_size_agree_with_float64(dtype, limit):
    q, k, v = qkv(2, 600, 64, 1)
    q, k, v = (x.to(dtype) for x in (3 * q, 3 * k, v + 5))  # scores of nine standard deviations, values all alike
    slopes = alibi_slopes(2)
    true = attention.reference(q, k, v, slopes)
    found = attention.blockwise(q, k, v, slopes).double()
    assert (found - true).norm() / true.norm() < limit
    assert (found - true).norm() <= 1.5 * (attention.key_bias(q, k, v, slopes).double() - true).norm()


@here
@pytest.mark.parametrize("kept", [0, 2048], ids=["made again", "kept"])
def test_recomputed_weights_give_the_same_gradients(small, kept, monkeypatch):
    monkeypatch.setattr(block_attention, "KEPT_UP_TO", kept)
    saved = []

    def pack(tensor):
        saved.append(tensor)
        return tensor

    with torch.autograd.graph.saved_tensors_hooks(pack, lambda tensor: tensor):
        assert error_of(attention.blockwise, *qkv(4, 200, dtype=torch.bfloat16), alibi_slopes(4)) < 5e-3
    weights = sum(x.numel() for x in saved if x.dim() == 2 and x.dtype == torch.bfloat16)
    assert weights == (8 * (64 * 64 + 64 * 128 + 64 * 192 + 8 * 200) if kept else 0)


def test_other_documents_and_later_tokens_change_nothing_at_all(small, monkeypatch):
    q, k, v = qkv(6, 160)
    docs = torch.zeros(2, 160, dtype=torch.long)
    docs[:, 70:] = 1
    for short in (0, 512):
        monkeypatch.setattr(attention, "MASKED_UP_TO", short)
        layout = layout_of(docs)
        before = attention.blockwise(q, k, v, alibi_slopes(6), layout)
        poisoned, later = v.clone(), v.clone()
        poisoned[:, :, :70] = 1e30
        later[:, :, 120:] = -1e30
        after = attention.blockwise(q, k, poisoned, alibi_slopes(6), layout)
        assert torch.equal(before[:, :, 70:], after[:, :, 70:])
        after = attention.blockwise(q, k, later, alibi_slopes(6), layout)
        assert torch.equal(before[:, :, :120], after[:, :, :120])


def test_autocast_changes_no_bit(small):
    found = []
    for enabled in (False, True):
        leaves = [x.clone().requires_grad_() for x in qkv(4, 130)]
        with torch.autocast("cpu", torch.bfloat16, enabled=enabled):
            out = attention.blockwise(*leaves, alibi_slopes(4))
            found.append([out.detach(), *torch.autograd.grad(out.square().sum(), leaves)])
    assert all(torch.equal(a, b) for a, b in zip(*found, strict=True))


@here
def test_short_rows_and_many_threads_use_the_kernel_of_torch(small, monkeypatch):
    used = []
    monkeypatch.setattr(block_attention, "attend_in_blocks", lambda q, *rest: used.append(q.shape[2]) or q)
    for threads in (1, 2, 3):
        monkeypatch.setattr(torch, "get_num_threads", lambda threads=threads: threads)
        for length in (64, 65, 128, 129, 500):
            attention.blockwise(*qkv(2, length), alibi_slopes(2))
    assert used == [65, 128, 129, 500, 129, 500]
    monkeypatch.setattr(torch, "get_num_threads", lambda: 1)
    monkeypatch.setattr(torch.backends.mkldnn, "enabled", False)
    attention.blockwise(*qkv(2, 500), alibi_slopes(2))
    assert len(used) == 6
