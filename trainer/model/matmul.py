"""Products of float32 matrices on a CPU by oneDNN.

torch uses MKL for float32 and oneDNN for bfloat16. On AMD processors oneDNN is about twice as fast as MKL for float32,
too. It is used wherever torch has it and a check of its results passes. The choice depends on no timing, so that a
resumed run computes the same bits.
"""

from functools import lru_cache
from typing import Protocol, cast

import torch
import torch.nn.functional as F  # noqa: N812 - everyone's name for it
from torch import Tensor, nn

_RIGHT = 1e-5  # largest relative error against float64


def _onednn(x: Tensor, weight: Tensor, bias: Tensor | None = None) -> Tensor:
    """Return x @ weight.T + bias by oneDNN; x and weight may be transposed views."""
    return cast(Tensor, torch.ops.mkldnn._linear_pointwise(x, weight, bias, "none", [], ""))


@lru_cache(maxsize=1)
def _right() -> bool:
    """Whether torch has oneDNN's product on this machine and it is right, also for transposed matrices."""
    generator = torch.Generator().manual_seed(0)
    a, b = (torch.randn(48, 48, generator=generator) for _ in range(2))
    try:
        for left, right in ((a, b), (a.t(), b), (a, b.t()), (a.t(), b.t())):
            true = left.double() @ right.double().t()
            if float((_onednn(left, right).double() - true).norm() / true.norm()) > _RIGHT:
                return False
    except (AttributeError, RuntimeError):
        return False
    return True


def onednn_is_right() -> bool:
    """Whether oneDNN's products exist on this machine, are right, and are not turned off."""
    return bool(torch.backends.mkldnn.enabled) and _right()


def onednn_takes(*tensors: Tensor) -> bool:
    """Whether oneDNN multiplies these: whole float32 matrices on a CPU, outside autocast and torch.compile.

    `torch.backends.mkldnn.enabled = False` turns it off.
    """
    plain = all(
        type(x) in (Tensor, nn.Parameter) and x.device.type == "cpu" and x.dtype == torch.float32 and x.numel()
        for x in tensors
    )
    return plain and not torch.is_autocast_enabled("cpu") and not torch.compiler.is_compiling() and onednn_is_right()


def multiply(x: Tensor, weight: Tensor, bias: Tensor | None = None) -> Tensor:
    """Return x (N, d) times weight (V, d) transposed, plus bias (V,): (N, V), without gradients."""
    return _onednn(x, weight, bias) if onednn_takes(x, weight) else F.linear(x, weight, bias)


def multiply_transposed(x: Tensor, y: Tensor) -> Tensor:
    """Return x (N, V) transposed times y (N, d): (V, d), without gradients."""
    if not onednn_takes(x, y):
        return x.t() @ y
    if x.shape[1] <= y.shape[1]:
        return _onednn(x.t(), y.t())
    return _onednn(y.t(), x.t()).t().contiguous()  # oneDNN copies a transposed first factor: the narrow one


class _Context(Protocol):
    """What autograd gives to forward and, once more, to backward."""

    needs_input_grad: tuple[bool, ...]
    saved_tensors: tuple[Tensor, ...]

    def save_for_backward(self, *tensors: Tensor | None) -> None: ...


class _Linear(torch.autograd.Function):
    """x @ weight.T + bias; forward and both gradients by oneDNN."""

    @staticmethod
    def forward(ctx: _Context, x: Tensor, weight: Tensor, bias: Tensor) -> Tensor:
        ctx.save_for_backward(x, weight)
        return _onednn(x, weight, bias)

    @staticmethod
    @torch.autograd.function.once_differentiable
    def backward(ctx: _Context, *grads: Tensor) -> tuple[Tensor | None, Tensor | None, Tensor | None]:
        x, weight = ctx.saved_tensors
        grad = grads[0].reshape(-1, weight.shape[0])
        for_x = _onednn(grad, weight.t()).view(x.shape) if ctx.needs_input_grad[0] else None
        for_weight = multiply_transposed(grad, x.reshape(-1, weight.shape[1])) if ctx.needs_input_grad[1] else None
        return for_x, for_weight, grad.sum(0) if ctx.needs_input_grad[2] else None


class Linear(nn.Linear):
    """A linear layer with bias that uses oneDNN where possible."""

    def forward(self, x: Tensor) -> Tensor:
        """x (..., in) -> (..., out)."""
        if not onednn_takes(x, self.weight):
            return F.linear(x, self.weight, self.bias)
        if not torch.is_grad_enabled():
            return _onednn(x, self.weight, self.bias)
        return cast(Tensor, _Linear.apply(x, self.weight, self.bias))  # type: ignore[no-untyped-call]
