"""Cross-entropy of a linear head in chunks, so that the logits of all tokens are never in memory at once.

At 64k tokens and a 64k vocabulary, all logits in float32 are 17 GB. The forward pass of each chunk also computes its
gradients, so nothing is computed twice: 6 V d operations per token, as for plain cross-entropy.
"""

from typing import Protocol

import torch
from torch import Tensor

from trainer.data.feed import IGNORE_INDEX
from trainer.model.matmul import multiply, multiply_transposed

_COLUMN = 4096  # bytes of logits per row of the vocabulary: a chunk is 1,024 tokens of float32 or 2,048 of bfloat16
_LOGITS_AT_ONCE = 1 << 19  # logits that a CPU handles at once: 2 MB stay in its cache between passes


def _to_slopes(logits: Tensor, targets: Tensor) -> Tensor:
    """Replace logits (N, V) by their gradient, in place; return the summed float32 loss of targets (N,).

    All sums are float32, for logits of any dtype.
    """
    counted = (targets != IGNORE_INDEX).unsqueeze(1)
    at = targets.clamp(min=0).unsqueeze(1)
    values = logits.float()
    # The probability of the likeliest token is at least 1 / V, so its log is exact: one exponential per logit, not two.
    top, mine = values.amax(1, keepdim=True), values.gather(1, at)
    slope = torch.softmax(values, 1, out=values)
    losses = (top - slope.amax(1, keepdim=True).log() - mine) * counted
    slope.scatter_add_(1, at, torch.full_like(at, -1.0, dtype=torch.float32))
    if not bool(counted.all()):
        slope.mul_(counted)
    if logits.dtype != torch.float32:
        logits.copy_(slope)
    return losses.sum()


class _Context(Protocol):
    """What autograd gives to forward and, once more, to backward."""

    needs_input_grad: tuple[bool, ...]
    saved_tensors: tuple[Tensor, ...]
    weight_dtype: torch.dtype

    def save_for_backward(self, *tensors: Tensor | None) -> None: ...


class _LinearCrossEntropy(torch.autograd.Function):
    """Sum over tokens of -log softmax(hidden @ weight.T)[target]."""

    @staticmethod
    def forward(ctx: _Context, hidden: Tensor, weight: Tensor, targets: Tensor) -> Tensor:
        total = torch.zeros((), dtype=torch.float32, device=hidden.device)
        wants_hidden, wants_weight = ctx.needs_input_grad[:2]
        hidden_grad = torch.empty_like(hidden) if wants_hidden else None
        weight_grad: Tensor | None = None
        chunk = _COLUMN // hidden.element_size()
        rows = max(1, _LOGITS_AT_ONCE // len(weight)) if hidden.device.type == "cpu" else chunk
        for start in range(0, len(hidden), chunk):
            part, wanted = hidden[start : start + chunk], targets[start : start + chunk]
            slope = multiply(part, weight)
            for at in range(0, len(part), rows):
                total += _to_slopes(slope[at : at + rows], wanted[at : at + rows])
            if hidden_grad is not None:
                hidden_grad[start : start + chunk] = multiply(slope, weight.t())
            if wants_weight:
                more = multiply_transposed(slope, part)
                weight_grad = more if weight_grad is None else weight_grad.float().add_(more)
        if weight_grad is not None and weight.dtype == torch.float32:
            weight_grad = weight_grad.float()  # products under autocast are bfloat16, the parameter is not
        ctx.save_for_backward(hidden_grad, weight_grad)
        ctx.weight_dtype = weight.dtype
        return total

    @staticmethod
    @torch.autograd.function.once_differentiable
    def backward(ctx: _Context, *grads: Tensor) -> tuple[Tensor | None, Tensor | None, None]:
        hidden_grad, weight_grad = ctx.saved_tensors  # scaled in place; autograd refuses a second backward pass
        (scale,) = grads
        return (
            None if hidden_grad is None else hidden_grad.mul_(scale),
            None if weight_grad is None else weight_grad.mul_(scale).to(ctx.weight_dtype),
            None,
        )


def linear_cross_entropy(hidden: Tensor, weight: Tensor, targets: Tensor) -> Tensor:
    """Summed loss, float32 scalar. hidden (N, d), weight (V, d), targets (N,); a target of -100 counts nothing."""
    out = _LinearCrossEntropy.apply(hidden, weight, targets)  # type: ignore[no-untyped-call]
    assert isinstance(out, Tensor)
    return out


@torch.no_grad()
def token_losses(hidden: Tensor, weight: Tensor, targets: Tensor) -> Tensor:
    """Loss of each token in nats, float32 (N,); 0 where the target is -100."""
    parts = []
    chunk = _COLUMN // hidden.element_size()
    for start in range(0, len(hidden), chunk):
        logits = (hidden[start : start + chunk] @ weight.t()).float()
        parts.append(torch.nn.functional.cross_entropy(logits, targets[start : start + chunk], reduction="none"))
    return torch.cat(parts) if parts else torch.zeros(0)
