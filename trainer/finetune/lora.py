"""LoRA: each matrix of the blocks changes by a product of two narrow ones. Source: Hu et al. 2021, arXiv 2106.09685."""

import math

import torch
from torch import Tensor, nn
from torch.nn.utils import parametrize

from trainer.model.decoder import AlibiLM


class _Change(nn.Module):
    """Adds scale x up @ down to a matrix (out, in); up is 0 at first, so nothing changes."""

    def __init__(self, weight: Tensor, rank: int, scale: float, generator: torch.Generator) -> None:
        super().__init__()
        rows, columns = weight.shape
        down = (torch.rand(rank, columns, generator=generator) * 2 - 1) / math.sqrt(columns)
        self.down = nn.Parameter(down.to(weight.device))
        self.up = nn.Parameter(torch.zeros(rows, rank, device=weight.device))
        self.scale = scale

    def forward(self, weight: Tensor) -> Tensor:
        """Return the changed matrix."""
        return weight + self.scale * (self.up @ self.down)


def _matrices(model: AlibiLM) -> list[nn.Module]:
    return [module for block in model.blocks for module in block.modules() if isinstance(module, nn.Linear)]


def add_lora(model: AlibiLM, rank: int, alpha: float, seed: int) -> None:
    """Let only a change of this rank of each matrix of the blocks be trained."""
    generator = torch.Generator().manual_seed(seed)
    for parameter in model.parameters():
        parameter.requires_grad_(False)
    for matrix in _matrices(model):
        weight = matrix.weight
        assert isinstance(weight, Tensor)
        parametrize.register_parametrization(matrix, "weight", _Change(weight, rank, alpha / rank, generator))


def merged_weights(model: AlibiLM) -> dict[str, Tensor]:
    """Return the weights with their changes added, float32 on the CPU, under the names of a model without LoRA."""
    found = {}
    for name, value in model.state_dict().items():
        if name.endswith((".down", ".up")):
            continue
        plain = name.replace(".parametrizations.weight.original", ".weight")
        if plain != name:
            matrix = model.get_submodule(plain.removesuffix(".weight"))
            assert isinstance(matrix.weight, Tensor)
            value = matrix.weight
        found[plain] = value.detach().float().cpu().contiguous().clone()
    return found
