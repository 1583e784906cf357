import pytest

pytest.importorskip("torch", reason="torch is not installed: pip install 'roots-corpus[train]'")

import torch
import torch.nn.functional as F  # noqa: N812

from trainer.model import matmul
from trainer.model.loss import linear_cross_entropy
from trainer.model.matmul import Linear

here = pytest.mark.skipif(
    not matmul.onednn_takes(torch.ones(2, 2)), reason="torch has no right product of oneDNN on this machine"
)


def random(*shape, seed=0):
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed))


def relative(a, b):
    return float((a.detach().double() - b.detach()).norm() / b.detach().norm())


@here
@pytest.mark.parametrize(("wide", "narrow"), [(40, 24), (24, 40), (33, 1)])
def test_a_layer_and_its_gradients_agree_with_float64(wide, narrow):
    layer = Linear(narrow, wide)
    x = random(3, 7, narrow).requires_grad_()
    weight = random(3, 7, wide, seed=1)
    out = layer(x)
    found = (out, *torch.autograd.grad((out * weight).sum(), (x, layer.weight, layer.bias)))
    leaves = [t.detach().double().requires_grad_() for t in (x, layer.weight, layer.bias)]
    true = F.linear(*leaves)
    wanted = (true, *torch.autograd.grad((true * weight.double()).sum(), leaves))
    assert [t.shape for t in found] == [t.shape for t in wanted]
    assert max(relative(a, b) for a, b in zip(found, wanted, strict=True)) < 1e-6


@here
def test_products_of_views_are_right_and_contiguous():
    x, y = random(20, 50), random(20, 6, seed=1)
    assert relative(matmul.multiply(x.t(), y.t()), x.t().double() @ y.double()) < 1e-6
    assert relative(matmul.multiply_transposed(x, y), x.t().double() @ y.double()) < 1e-6
    assert relative(matmul.multiply_transposed(y, x), y.t().double() @ x.double()) < 1e-6
    assert matmul.multiply_transposed(x, y).is_contiguous()
    assert matmul.multiply_transposed(y, x).is_contiguous()


@here
def test_with_onednn_off_the_bits_are_those_of_torch(monkeypatch):
    layer, x = Linear(64, 48), random(100, 64)
    assert "_Linear" in type(layer(x).grad_fn).__name__
    monkeypatch.setattr(torch.backends.mkldnn, "enabled", False)
    off = layer(x)
    assert "Addmm" in type(off.grad_fn).__name__
    assert torch.equal(off, F.linear(x, layer.weight, layer.bias))


def test_what_is_not_float32_on_a_cpu_is_left_to_torch():
    x = random(4, 4)
    assert not matmul.onednn_takes(x.bfloat16(), x.bfloat16())
    assert not matmul.onednn_takes(x, x.to("meta"))
    assert not matmul.onednn_takes(x[:0], x)
    with torch.autocast("cpu", torch.bfloat16):
        assert not matmul.onednn_takes(x, x)
        assert Linear(4, 4)(x).dtype == torch.bfloat16
    assert matmul.multiply(x.double(), x.double()).dtype == torch.float64


def test_wrong_products_are_noticed_and_not_used(monkeypatch):
    true = matmul._onednn
    monkeypatch.setattr(matmul, "_onednn", lambda x, weight, bias=None: true(x, weight, bias) * 1.001)
    matmul._right.cache_clear()
    try:
        assert not matmul.onednn_takes(torch.ones(2, 2))
    finally:
        matmul._right.cache_clear()


@pytest.mark.parametrize("scale", [1.0, 40.0], ids=["flat", "sure"])
def test_the_loss_agrees_with_float64_even_for_an_almost_certain_token(scale):
    hidden, head = random(50, 16) * scale, random(300, 16, seed=1)
    targets = (hidden @ head.t()).argmax(1)
    targets[::3] = torch.arange(len(targets[::3]))
    targets[5] = -100
    hidden.requires_grad_()
    head.requires_grad_()
    found = linear_cross_entropy(hidden, head, targets)
    logits = hidden.detach().double() @ head.detach().double().t()
    wanted = F.cross_entropy(logits, targets, reduction="sum")
    assert relative(found, wanted) < 1e-6
    slope = logits.softmax(1)
    slope[torch.arange(50), targets.clamp(min=0)] -= 1
    slope[5] = 0
    gradients = torch.autograd.grad(found, (hidden, head))
    assert relative(gradients[0], slope @ head.detach().double()) < 1e-5
    assert relative(gradients[1], slope.t() @ hidden.detach().double()) < 1e-5
