"""The optimiser: AdamW or Muon, on float32 masters if the model computes in bfloat16."""

from collections.abc import Iterator, Sequence
from typing import Any

import torch
from torch import Tensor, nn
from torch.distributed.tensor import DTensor

from trainer.model.matmul import multiply
from trainer.training.parallel import clip_gradients, fill_tensor, gathered
from trainer.training.recipe import Recipe, learning_rate_share


def _by_mesh(parameters: Sequence[nn.Parameter], weight_decay: float) -> list[dict[str, object]]:
    """Group parameters of one weight decay by mesh, because a fused update needs all on one mesh."""
    found: dict[Any, list[nn.Parameter]] = {}
    for parameter in parameters:
        found.setdefault(parameter.device_mesh if isinstance(parameter, DTensor) else None, []).append(parameter)
    return [{"params": some, "weight_decay": weight_decay} for some in found.values()]


def _orthogonal(update: Tensor, coefficients: tuple[float, float, float], steps: int, epsilon: float) -> Tensor:
    """Bring all singular values of a matrix near 1, by Newton-Schulz iteration (Jordan et al. 2024), in float32.

    Each step multiplies by a polynomial of the Gram matrix. They commute, so their product is made of the small Gram
    matrix alone, and the wide matrix is multiplied once at the end.
    """
    a, b, c = coefficients
    wide = update if update.shape[0] <= update.shape[1] else update.T
    wide = wide / wide.norm().clamp(min=epsilon)
    gram, product = multiply(wide, wide), None
    for step in range(steps):
        factor = multiply(gram, gram).mul_(c).add_(gram, alpha=b)
        factor.diagonal().add_(a)
        product = factor if product is None else multiply(product, factor)
        if step + 1 < steps:
            gram = multiply(multiply(factor, gram), factor)
    out = wide if product is None else multiply(product, wide.T)
    return out if update.shape[0] <= update.shape[1] else out.T


class _MuonOnCPU(torch.optim.Muon):
    """torch's Muon in float32: most CPUs emulate bfloat16, and the others need as long for it at these sizes."""

    @torch.no_grad()
    def step(self) -> None:  # type: ignore[override]
        """Update all parameters that have a gradient."""
        for group in self.param_groups:
            for parameter in group["params"]:
                if parameter.grad is None:
                    continue
                state = self.state[parameter]
                mean = state.setdefault("momentum_buffer", torch.zeros_like(parameter))
                mean.lerp_(parameter.grad, 1 - group["momentum"])
                ahead = parameter.grad.lerp(mean, group["momentum"])
                change = _orthogonal(ahead, group["ns_coefficients"], group["ns_steps"], group["eps"])
                parameter.mul_(1 - group["lr"] * group["weight_decay"])
                rows, columns = parameter.shape
                parameter.add_(change, alpha=-group["lr"] * max(1.0, rows / columns) ** 0.5)


class Optimiser:
    """Updates all parameters of a model, and keeps the state of the update rule by parameter name.

    With `masters`, the model computes on bfloat16 copies. Gradients of all micro-batches are summed in float32, the
    float32 masters are updated, and the copies are refreshed once per update.
    """

    def __init__(self, model: nn.Module, recipe: Recipe, masters: bool) -> None:
        self.recipe = recipe
        self.compute = dict(model.named_parameters())
        self.masters: dict[str, nn.Parameter] = self.compute
        if masters:
            self.masters = {name: nn.Parameter(p.detach().clone().float()) for name, p in self.compute.items()}
            for parameter in self.compute.values():
                parameter.data = parameter.data.bfloat16()
        self._rules = list(self._make())
        self._peaks = [[float(group["lr"]) for group in rule.param_groups] for rule in self._rules]

    @property
    def copied(self) -> bool:
        """Whether the model computes on bfloat16 copies of the masters."""
        return self.masters is not self.compute

    def _make(self) -> Iterator[torch.optim.Optimizer]:
        recipe = self.recipe
        matrices = [p for name, p in self.masters.items() if p.dim() == 2 and "embeddings" not in name]
        others = [p for name, p in self.masters.items() if p.dim() != 2 or "embeddings" in name]
        groups = _by_mesh(others, 0.0)
        if recipe.optimiser == "muon":
            rule = _MuonOnCPU if matrices[0].device.type == "cpu" else torch.optim.Muon
            yield rule(matrices, lr=recipe.muon_lr, weight_decay=recipe.weight_decay)
        else:
            groups += _by_mesh(matrices, recipe.weight_decay)
        betas = (recipe.beta1, recipe.beta2)
        yield torch.optim.AdamW(groups, lr=recipe.lr, betas=betas, eps=recipe.epsilon, fused=True)

    def collect(self) -> None:
        """After a backward pass: add the gradients of the copies to those of the masters."""
        if not self.copied:
            return
        for name, parameter in self.compute.items():
            if parameter.grad is not None:
                master = self.masters[name]
                if master.grad is None:
                    master.grad = parameter.grad.float()
                else:
                    master.grad += parameter.grad
                parameter.grad = None

    def clip(self) -> float:
        """Clip the gradients; return their norm before."""
        return clip_gradients(self.masters.values(), self.recipe.clip)

    def step(self, tokens: int) -> float:
        """Update the parameters at the learning rate of `tokens`; return that rate."""
        share = learning_rate_share(self.recipe, tokens)
        for rule, peaks in zip(self._rules, self._peaks, strict=True):
            for group, peak in zip(rule.param_groups, peaks, strict=True):
                group["lr"] = peak * share
            rule.step()
        self.renew()
        self.clear()
        return self.recipe.lr * share

    def renew(self) -> None:
        """Copy the masters to the bfloat16 copies of the model."""
        if self.copied:
            with torch.no_grad():
                torch._foreach_copy_(list(self.compute.values()), list(self.masters.values()))

    def clear(self) -> None:
        """Clear all gradients."""
        for parameter in (*self.masters.values(), *self.compute.values()):
            parameter.grad = None

    def weights(self) -> dict[str, Tensor]:
        """Return all parameters, whole, float32, on the CPU. All ranks must call it."""
        return {name: gathered(p.detach()).float().cpu().contiguous() for name, p in self.masters.items()}

    def state(self) -> dict[str, Tensor]:
        """Return the state of the update rule, whole, on the CPU, by `parameter/quantity`. All ranks must call it."""
        found = {}
        for name, parameter in self.masters.items():
            for rule in self._rules:
                for key, value in rule.state.get(parameter, {}).items():
                    found[f"{name}/{key}"] = gathered(torch.as_tensor(value)).detach().cpu().contiguous().clone()
        return found

    def load(self, weights: dict[str, Tensor], state: dict[str, Tensor]) -> None:
        """Load parameters and state as `weights` and `state` returned them."""
        for name, parameter in self.masters.items():
            fill_tensor(parameter, weights[name].to(parameter.device))
        self.renew()
        self.clear()
        if not state:
            for rule in self._rules:
                rule.state.clear()
            return
        for rule in self._rules:
            for group in rule.param_groups:
                for parameter in group["params"]:
                    self._restore(rule, parameter, state)

    def _restore(self, rule: torch.optim.Optimizer, parameter: nn.Parameter, state: dict[str, Tensor]) -> None:
        name = next(known for known, p in self.masters.items() if p is parameter)
        for full, value in state.items():
            if full.rpartition("/")[0] == name:
                key = full.rpartition("/")[2]
                if value.shape == parameter.shape:
                    rule.state[parameter][key] = torch.zeros_like(parameter, memory_format=torch.contiguous_format)
                    fill_tensor(rule.state[parameter][key], value.to(parameter.device))
                else:
                    rule.state[parameter][key] = value.clone().to(parameter.device)
