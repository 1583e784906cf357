"""Causal attention with ALiBi, on the fastest kernel that gives the right answer.

For one query, -m (i - j) and +m j differ by a constant, which softmax ignores. So ALiBi is a bias of the key alone, and
costs nothing on kernels that know nothing of ALiBi. The key bias must be float32: slope x j reaches 1,400 at 2,048
tokens, where bfloat16 steps by 8. One folded bfloat16 column has the same error.

Shapes: B rows, H heads, T tokens, D width of a head. Source: Press, Smith, Lewis 2022, arXiv 2108.12409.
"""

import math
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import lru_cache
from itertools import pairwise
from typing import Any, cast

import torch
import torch.nn.functional as F  # noqa: N812 - everyone's name for it
from torch import Tensor
from torch.nn.attention import SDPBackend, sdpa_kernel

from roots.errors import SettingsError, unknown_name
from trainer.model import block_attention
from trainer.model.matmul import onednn_is_right

_APART = 64.0  # subtracted from scores per document of distance; with half of it, earlier documents still leak
MASKED_UP_TO = 512  # tokens; up to this length a mask separates documents, longer rows are attended one by one
_THREADS = 2  # with more threads, `blocks` falls back to `key_bias`
_FEATURES = 8  # columns that `fold` adds to q and k


def alibi_slopes(heads: int) -> Tensor:
    """Return the rate at which the attention of each head falls with distance, float32 (heads,).

    For a power of two, slope h is 2 ** (-8 (h + 1) / heads); otherwise the slopes of the next lower power, then every
    other slope of the next higher one. Raises ValueError for heads < 1. Source: Press, Smith, Lewis 2022, section 3.
    """
    if heads < 1:
        raise ValueError("at least one head is needed")
    lower = 1 << (heads.bit_length() - 1)
    slopes = [2.0 ** (-8.0 * (h + 1) / lower) for h in range(lower)]
    slopes += [2.0 ** (-8.0 * (h + 1) / (2 * lower)) for h in range(0, 2 * (heads - lower), 2)]
    return torch.tensor(slopes, dtype=torch.float32)


@dataclass(frozen=True)
class Layout:
    """Which document each token of a batch belongs to.

    docs: int64 (B, T), equal within a document. spans: for each row, (start, stop) of its documents. masks: made once
    for all layers, by dtype; the full bias, or for bool whether two tokens are in different documents.
    """

    docs: Tensor
    spans: tuple[tuple[tuple[int, int], ...], ...]
    masks: dict[torch.dtype, Tensor] = field(default_factory=dict, compare=False)

    @property
    def whole(self) -> bool:
        """Whether every row is one document."""
        return all(len(row) == 1 for row in self.spans)


def layout_of(docs: Tensor) -> Layout:
    """Return the layout of document numbers (B, T); a document begins wherever the number changes."""
    cuts = (docs[:, 1:] != docs[:, :-1]).cpu()
    length = docs.shape[1]
    spans = []
    for row in cuts:
        edges = [0, *(torch.nonzero(row).flatten() + 1).tolist(), length]
        spans.append(tuple(pairwise(edges)))
    return Layout(docs, tuple(spans))


_Attend = Callable[[Tensor, Tensor, Tensor, Tensor, Layout | None], Tensor]


def additive(q: Tensor, k: Tensor, v: Tensor, slopes: Tensor, layout: Layout | None = None) -> Tensor:
    """Attention with a full (H, T, T) bias, for when no faster kernel is right. q, k, v (B, H, T, D); slopes (H,).

    Relative distances are small where they matter, so this form is right in bfloat16, too.
    """
    known = layout.masks if layout is not None else {}
    if q.dtype not in known:
        known[q.dtype] = _full_bias(q.shape[2], slopes, layout, q.dtype)
    return F.scaled_dot_product_attention(q, k, v, attn_mask=known[q.dtype])


def _full_bias(length: int, slopes: Tensor, layout: Layout | None, dtype: torch.dtype) -> Tensor:
    """Return -slope x distance, and -inf for later tokens and other documents: (1 or B, H, T, T)."""
    at = torch.arange(length, device=slopes.device)
    distance = at[None, :] - at[:, None]
    bias = (slopes[:, None, None] * distance).masked_fill(distance > 0, -torch.inf)[None]
    if layout is not None and not layout.whole:
        other = layout.docs[:, :, None] != layout.docs[:, None, :]
        bias = bias.masked_fill(other[:, None], -torch.inf)
    return bias.to(dtype)


@lru_cache(maxsize=8)
def _positions(length: int, device: torch.device) -> Tensor:
    return torch.arange(length, dtype=torch.float32, device=device)


def key_bias(q: Tensor, k: Tensor, v: Tensor, slopes: Tensor, layout: Layout | None = None) -> Tensor:
    """Attention on the causal kernel, with ALiBi as a float32 bias of the key: as fast as without ALiBi on a CPU.

    Long rows are attended document by document, which is faster than a mask; in short rows a mask is faster than many
    small calls.
    """
    if layout is not None and not layout.whole:
        if q.shape[2] <= MASKED_UP_TO:
            return additive(q, k, v, slopes, layout)
        return _by_document(key_bias, q, k, v, slopes, layout)
    bias = (slopes.float()[:, None] * _positions(q.shape[2], q.device))[None, :, None, :]
    return F.scaled_dot_product_attention(q, k, v, attn_mask=bias, is_causal=True)


def blockwise(q: Tensor, k: Tensor, v: Tensor, slopes: Tensor, layout: Layout | None = None) -> Tensor:
    """Attention in large matrix products, a block of queries at a time (`block_attention.py`).

    Falls back to `key_bias` where that is faster: for short rows, with many threads (torch divides heads among them,
    this kernel divides one product), and without the products of oneDNN.
    """
    length, threads = q.shape[2], torch.get_num_threads()
    if threads > _THREADS or length <= block_attention.BLOCK_QUERIES * threads or not onednn_is_right():
        return key_bias(q, k, v, slopes, layout)
    if layout is None or layout.whole:
        return block_attention.attend_in_blocks(q, k, v, slopes)
    if length > MASKED_UP_TO:
        return _by_document(blockwise, q, k, v, slopes, layout)
    if torch.bool not in layout.masks:
        layout.masks[torch.bool] = layout.docs[:, :, None] != layout.docs[:, None, :]
    return block_attention.attend_in_blocks(q, k, v, slopes, layout.masks[torch.bool])


def _by_document(attend: _Attend, q: Tensor, k: Tensor, v: Tensor, slopes: Tensor, layout: Layout) -> Tensor:
    rows = []
    for row, spans in enumerate(layout.spans):
        at = slice(row, row + 1)
        parts = [attend(q[at, :, a:b], k[at, :, a:b], v[at, :, a:b], slopes, None) for a, b in spans]
        rows.append(torch.cat(parts, dim=2))
    return torch.cat(rows)


def fold_alibi(
    q: Tensor, k: Tensor, v: Tensor, slopes: Tensor, layout: Layout | None = None, pad_value: bool = True
) -> Tensor:
    """Attention with ALiBi folded into eight more columns of q and k, for any plain causal kernel.

    Position j is 256 a + b, both exact in bfloat16 up to 65,536; slope x sqrt(D) is the sum of two bfloat16 numbers.
    Their four products are exact in the float32 sums of the kernel, so there is no error besides its own. A fifth
    column lowers the scores of earlier documents by 64 each; it is exact for up to 256 documents per row.
    """
    width = q.shape[-1]
    queries, keys = _features(q.shape[2], width, slopes, q.device)
    if layout is not None and not layout.whole:
        number = (layout.docs[:, 1:] != layout.docs[:, :-1]).cumsum(1)
        keys = keys.expand(q.shape[0], -1, -1).clone()
        keys[:, 1:, 4] = number.float()
    rows, heads, length, _ = q.shape
    wide_q = torch.cat([q, queries[None, :, None, :].expand(rows, heads, length, -1).to(q.dtype)], dim=-1)
    wide_k = torch.cat([k, keys[:, None].expand(rows, heads, length, -1).to(k.dtype)], dim=-1)
    wide_v = F.pad(v, (0, _FEATURES)) if pad_value else v
    out = F.scaled_dot_product_attention(wide_q, wide_k, wide_v, is_causal=True, scale=1 / math.sqrt(width))
    return out[..., :width] if pad_value else out


def _features(length: int, width: int, slopes: Tensor, device: torch.device) -> tuple[Tensor, Tensor]:
    """Return the columns for q (H, 8) and for k (1, T, 8): float32 values that bfloat16 holds exactly."""
    wanted = slopes.float() * math.sqrt(width)
    high = wanted.bfloat16().float()
    low = (wanted - high).bfloat16().float()
    queries = torch.zeros(len(slopes), _FEATURES, device=device)
    queries[:, :4] = torch.stack([256 * high, 256 * low, high, low], dim=-1)
    queries[:, 4] = _APART * math.sqrt(width)
    at = torch.arange(length, device=device)
    keys = torch.zeros(1, length, _FEATURES, device=device)
    keys[0, :, 0] = keys[0, :, 1] = at // 256
    keys[0, :, 2] = keys[0, :, 3] = at % 256
    return queries, keys


def _fold_cudnn(q: Tensor, k: Tensor, v: Tensor, slopes: Tensor, layout: Layout | None = None) -> Tensor:
    """Run `fold_alibi` on cuDNN's kernel, which takes a v narrower than q."""
    with sdpa_kernel([SDPBackend.CUDNN_ATTENTION]):
        return fold_alibi(q, k, v, slopes, layout, pad_value=False)


def _fold_flash(q: Tensor, k: Tensor, v: Tensor, slopes: Tensor, layout: Layout | None = None) -> Tensor:
    """Run `fold_alibi` on the Flash kernel, which needs a v as wide as q."""
    with sdpa_kernel([SDPBackend.FLASH_ATTENTION]):
        return fold_alibi(q, k, v, slopes, layout)


def flex(q: Tensor, k: Tensor, v: Tensor, slopes: Tensor, layout: Layout | None = None) -> Tensor:
    """Flex attention: the bias is code, blocks of other documents are skipped. No backward on a CPU (torch 2.13)."""
    from torch.nn.attention.flex_attention import create_block_mask

    docs = None if layout is None or layout.whole else layout.docs

    def visible(b: Tensor, h: Tensor, i: Tensor, j: Tensor) -> Tensor:
        return i >= j if docs is None else (i >= j) & (docs[b, i] == docs[b, j])

    def biased(score: Tensor, b: Tensor, h: Tensor, i: Tensor, j: Tensor) -> Tensor:
        return score + slopes[h] * (j - i)

    rows = None if docs is None else q.shape[0]
    mask = create_block_mask(visible, rows, None, q.shape[2], k.shape[2], device=str(q.device))
    out = _flex(q.is_cuda)(q, k, v, score_mod=biased, block_mask=mask)
    assert isinstance(out, Tensor)
    return out


@lru_cache(maxsize=2)
def _flex(compiled: bool) -> Callable[..., object]:
    from torch.nn.attention.flex_attention import flex_attention

    return cast(Callable[..., Any], torch.compile(flex_attention) if compiled else flex_attention)


KERNELS: Mapping[str, _Attend] = {
    "blocks": blockwise,
    "key_bias": key_bias,
    "additive": additive,
    "fold": fold_alibi,
    "fold_cudnn": _fold_cudnn,
    "fold_flash": _fold_flash,
    "flex": flex,
}
CANDIDATES = {
    "cpu": ("blocks", "key_bias", "additive"),
    "cuda": ("fold_cudnn", "fold_flash", "flex", "fold", "additive"),
}
_TOLERANCE = {torch.float32: 1e-4, torch.bfloat16: 3e-2, torch.float16: 1e-2}  # relative, against float64


def reference(q: Tensor, k: Tensor, v: Tensor, slopes: Tensor, layout: Layout | None = None) -> Tensor:
    """Compute attention in float64, written out; every kernel is compared with it."""
    q, k, v = q.double(), k.double(), v.double()
    scores = q @ k.transpose(-1, -2) / math.sqrt(q.shape[-1])
    return (scores + _full_bias(q.shape[2], slopes.double(), layout, torch.float64)).softmax(-1) @ v


def error_of(attend: _Attend, q: Tensor, k: Tensor, v: Tensor, slopes: Tensor, layout: Layout | None = None) -> float:
    """Return the largest relative error against float64: max over output, dq, dk, dv of |x - y| / |y|."""
    mine = _with_gradients(attend, q, k, v, slopes, layout)
    true = _with_gradients(reference, q.double(), k.double(), v.double(), slopes, layout)
    return max(float((a.double() - b).norm() / b.norm()) for a, b in zip(mine, true, strict=True))


def _with_gradients(
    attend: _Attend, q: Tensor, k: Tensor, v: Tensor, slopes: Tensor, layout: Layout | None
) -> tuple[Tensor, ...]:
    """Return the output, and the gradients of q, k and v for a weighted sum of it."""
    leaves = (q.detach().requires_grad_(), k.detach().requires_grad_(), v.detach().requires_grad_())
    out = attend(*leaves, slopes, layout)
    weight = torch.linspace(-1, 1, out.numel(), device=q.device, dtype=torch.float64).reshape(out.shape)
    return (out.detach(), *torch.autograd.grad((out.double() * weight).sum(), leaves))


def probe(
    device: torch.device, dtype: torch.dtype, heads: int, head_dim: int, length: int = 640
) -> Iterator[tuple[str, tuple[float, float]]]:
    """Try the candidates of a device: yield name, (error against float64, milliseconds of forward and backward).

    A kernel that the device refuses gets (inf, inf). Rows of several documents are tried, too.
    """
    generator = torch.Generator(device="cpu").manual_seed(0)
    q, k, v = (torch.randn(2, heads, length, head_dim, generator=generator).to(device, dtype) for _ in range(3))
    slopes = alibi_slopes(heads).to(device)
    docs = (torch.arange(length, device=device) >= length // 3).long().expand(2, -1)
    for name in CANDIDATES[device.type]:
        try:
            error = max(error_of(KERNELS[name], q, k, v, slopes, layout) for layout in (None, layout_of(docs)))
            yield name, (error, milliseconds(KERNELS[name], q, k, v, slopes))
        except RuntimeError:
            yield name, (math.inf, math.inf)


def milliseconds(attend: _Attend, q: Tensor, k: Tensor, v: Tensor, slopes: Tensor, calls: int = 3) -> float:
    """Return the shortest of a few timings of forward and backward."""
    best = math.inf
    for _ in range(calls):
        _wait(q.device)
        start = time.perf_counter()
        _with_gradients(attend, q, k, v, slopes, None)
        _wait(q.device)
        best = min(best, 1e3 * (time.perf_counter() - start))
    return best


def _wait(device: torch.device) -> None:
    if device.type == "cuda":
        torch.cuda.synchronize(device)


def choose_kernel(name: str, device: torch.device, dtype: torch.dtype, heads: int, head_dim: int) -> str:
    """Return the kernel to use: `name`, or for "auto" the best candidate that agrees with float64.

    On a CPU that is the first that agrees, the same on every machine, so that runs resume exactly; on a GPU it is the
    fastest. Raises SettingsError for an unknown name, RuntimeError if no kernel agrees.
    """
    if name != "auto":
        if name not in KERNELS:
            raise SettingsError(unknown_name("attention", name, [*KERNELS, "auto"]))
        return name
    found: dict[str, tuple[float, float]] = {}
    for kernel, tried in probe(device, dtype, heads, head_dim):
        found[kernel] = tried
        if device.type == "cpu" and tried[0] <= _TOLERANCE[dtype]:
            return kernel
    right = {kernel: ms for kernel, (error, ms) in found.items() if error <= _TOLERANCE[dtype]}
    if not right:
        raise RuntimeError(f"no attention kernel is right on {device} in {dtype}: {found}")
    return min(right, key=lambda kernel: right[kernel])


def attend_to_cache(q: Tensor, k: Tensor, v: Tensor, slopes: Tensor, seen: Sequence[int] | None = None) -> Tensor:
    """Attend from the last tokens to a cache: q (B, H, N, D) are the last N of the T tokens of k and v (B, H, T, D).

    `seen` holds, for each row, how many leading keys are padding and are ignored.
    """
    total, new = k.shape[2], q.shape[2]
    at = torch.arange(total, device=q.device)
    query = at[total - new :]
    bias = slopes.float()[:, None, None] * (at[None, :] - query[:, None]).float()
    bias = bias.masked_fill(at[None, :] > query[:, None], -torch.inf)[None]
    if seen is not None:
        padding = at[None, :] < torch.tensor(seen, device=q.device)[:, None]
        bias = bias.masked_fill(padding[:, None, None, :], -torch.inf)
    return F.scaled_dot_product_attention(q, k, v, attn_mask=bias.to(q.dtype))
