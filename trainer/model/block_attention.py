"""Causal attention with ALiBi on a CPU as large matrix products: one head and one block of queries at a time.

torch's CPU kernel multiplies small tiles with code of its own, at a fraction of the speed of oneDNN. Here the scores of
a block are one product of oneDNN. ALiBi is its bias: a bias of the key, counted from the first query of the block so
that it is small where it matters. Nothing is computed for later blocks. Scores, softmax and sums are float32.

Shapes: B rows, H heads, T tokens, D width of a head.
"""

import math
from collections.abc import Iterator, Sequence
from typing import Any, Protocol

import torch
from torch import Tensor

from trainer.model.matmul import multiply, multiply_transposed

BLOCK_QUERIES = 256  # queries in a block; faster than 128 and 512
KEPT_UP_TO = 2048  # tokens; up to here bfloat16 weights are kept for the backward pass; float32 weights are too large
_BASE = math.log2(math.e)  # scores are exponents of two, because exp2 is many times faster than exp


def _by_head(x: Tensor, dtype: torch.dtype, scale: float = 1.0) -> Tensor:
    """Return x (B, H, T, D), of any strides, as contiguous (B x H, T, D)."""
    rows, heads, length, width = x.shape
    out = torch.empty(rows, heads, length, width, dtype=dtype).copy_(x)
    return (out if scale == 1.0 else out.mul_(scale)).view(rows * heads, length, width)


def _spans(length: int) -> Iterator[tuple[int, int]]:
    """Yield (first query, query after the last) of each block, from the last block to the first."""
    for start in range((length - 1) // BLOCK_QUERIES * BLOCK_QUERIES, -1, -BLOCK_QUERIES):
        yield start, min(length, start + BLOCK_QUERIES)


class _Scores:
    """Scores of a head and a block, times log2(e); later tokens and other documents have -inf."""

    def __init__(self, q: Tensor, k: Tensor, slopes: Tensor, other: Tensor | None) -> None:
        self.heads, self.length, self.other = q.shape[1], q.shape[2], other
        self.q = _by_head(q, torch.float32, _BASE / math.sqrt(q.shape[3]))
        self.k = _by_head(k, torch.float32)
        self.bias = _BASE * slopes.float()[:, None] * torch.arange(-self.length, BLOCK_QUERIES, dtype=torch.float32)
        self.future = torch.full((BLOCK_QUERIES, BLOCK_QUERIES), -torch.inf).triu_(1)

    def of(self, head: int, start: int, stop: int) -> Tensor:
        """Return the scores of one block, float32 (stop - start, stop)."""
        bias = self.bias[head % self.heads, self.length - start : self.length - start + stop]
        scores = multiply(self.q[head, start:stop], self.k[head, :stop], bias)
        scores[:, start:] += self.future[: stop - start, : stop - start]
        if self.other is not None:
            scores.masked_fill_(self.other[head // self.heads, start:stop, :stop], -torch.inf)
        return scores


class _Context(Protocol):
    """What autograd gives to forward and, once more, to backward."""

    needs_input_grad: tuple[bool, ...]
    saved_tensors: tuple[Tensor, ...]

    def save_for_backward(self, *tensors: Tensor | None) -> None: ...


class _Blocks(torch.autograd.Function):
    """softmax(q k / sqrt(D) + ALiBi) v, causal."""

    @staticmethod
    def forward(ctx: _Context, q: Tensor, k: Tensor, v: Tensor, slopes: Tensor, other: Tensor | None) -> Tensor:
        rows, heads, length, width = q.shape
        scores, values = _Scores(q, k, slopes, other), _by_head(v, v.dtype)
        out = torch.empty_like(values)
        size = torch.empty(rows * heads, length, 1)  # log2 of the sum that softmax divides by
        keeps = any(ctx.needs_input_grad) and v.dtype != torch.float32 and length <= KEPT_UP_TO
        kept = []
        for head in range(rows * heads):
            for start, stop in _spans(length):
                weights = scores.of(head, start, stop)
                top = weights.amax(1, keepdim=True)
                total = weights.sub_(top).exp2_().sum(1, keepdim=True)
                torch.add(top, total.log2(), out=size[head, start:stop])
                given = weights.div_(total).to(v.dtype)
                if keeps:
                    kept.append(given)
                out[head, start:stop] = multiply(given, values[head, :stop].t())
        attended = out.view(rows, heads, length, width)
        ctx.save_for_backward(q, k, v, slopes, other, attended, size, *kept)
        return attended

    @staticmethod
    @torch.autograd.function.once_differentiable
    def backward(ctx: _Context, *grads: Tensor) -> tuple[Tensor | None, ...]:
        with torch.autocast("cpu", enabled=False):
            return (*_gradients(ctx.saved_tensors, grads[0]), None, None)


def _gradients(saved: Sequence[Tensor], out_grad: Tensor) -> list[Tensor]:
    """Return the gradients of q, k and v from what forward saved and the gradient of its output."""
    q, k, v, slopes, other, attended, size, *kept = saved
    scale = 1 / math.sqrt(q.shape[3])
    scores = None if kept else _Scores(q, k, slopes, other)
    queries, keys, grad = (_by_head(x, q.dtype) for x in (q, k, out_grad))
    values, scaled = _by_head(v, torch.float32), _by_head(out_grad, torch.float32, scale)
    for_q, for_k, for_v = (torch.empty_like(queries) for _ in range(3))
    weights_kept = iter(kept)
    for head in range(len(queries)):
        mean = (scaled[head] * attended.view_as(queries)[head]).sum(1, keepdim=True)
        sums = torch.zeros(2, *queries.shape[1:])  # of keys and values
        for start, stop in _spans(queries.shape[1]):
            at = slice(start, stop)
            if scores is None:
                given = next(weights_kept)
                weights = given.float()
            else:
                weights = scores.of(head, start, stop).sub_(size[head, at]).exp2_()
                given = weights.to(q.dtype)
            slope = multiply(scaled[head, at], values[head, :stop]).sub_(mean[at]).mul_(weights).to(q.dtype)
            for_q[head, at] = multiply(slope, keys[head, :stop].t())
            sums[0, :stop] += multiply_transposed(slope, queries[head, at])
            sums[1, :stop] += multiply_transposed(given, grad[head, at])
        for_k[head], for_v[head] = sums
    return [x.view(q.shape) for x in (for_q, for_k, for_v)]


# torch.compile would unroll every block of every head.
_apply: Any = torch.compiler.disable(_Blocks.apply)  # type: ignore[no-untyped-call]


def attend_in_blocks(q: Tensor, k: Tensor, v: Tensor, slopes: Tensor, other: Tensor | None = None) -> Tensor:
    """Attend with q, k, v (B, H, T, D) and slopes (H,); `other` (B, T, T) is true for tokens of different documents.

    `other` must be false on the diagonal. In bfloat16, rows of up to KEPT_UP_TO tokens keep their weights for the
    backward pass: about B H T^2 bytes.
    """
    with torch.autocast("cpu", enabled=False):
        out = _apply(q, k, v, slopes, other)
    assert isinstance(out, Tensor)
    return out
