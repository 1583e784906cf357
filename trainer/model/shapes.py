"""Sizes of models: a demo, four working sizes, and BLOOM's six. Does not import torch.

The feed-forward layer is 4 x hidden wide; input and output share one embedding. Source of BLOOM's: Workshop 2022,
table 3.
"""

from collections.abc import Mapping
from dataclasses import dataclass, replace

from roots.errors import SettingsError, unknown_name
from roots.settings import build


@dataclass(frozen=True)
class Shape:
    """All that decides the parameters of a model and their first values."""

    layers: int
    hidden: int
    heads: int
    vocabulary: int = 32_768  # rows of the embedding, padding included
    epsilon: float = 1e-5  # of every LayerNorm
    init_std: float = 0.02  # of every matrix; those that write to the residual stream have it / sqrt(2 layers)

    def __post_init__(self) -> None:
        if min(self.layers, self.hidden, self.heads, self.vocabulary) < 1:
            raise ValueError("layers, hidden, heads and vocabulary must be at least 1")
        if self.hidden % self.heads:
            raise ValueError(f"hidden {self.hidden} is not a multiple of heads {self.heads}")

    @property
    def head_dim(self) -> int:
        """Width of one head."""
        return self.hidden // self.heads

    @property
    def parameters(self) -> int:
        """Number of parameters: L (12 h^2 + 13 h) + V h + 4 h; the tied head counts once."""
        h = self.hidden
        return self.layers * (12 * h * h + 13 * h) + self.vocabulary * h + 4 * h

    def flops_per_token(self, length: int, causal: bool = False) -> float:
        """Return the floating point operations of one training token, forward and backward.

        6 per matrix parameter (the head counts, the lookup does not) and 12 L h T for attention (PaLM; Chowdhery et al.
        2022, appendix B), or 6 L h T if only causal pairs count.
        """
        matrices = self.layers * 12 * self.hidden**2 + self.vocabulary * self.hidden
        return 6.0 * matrices + (6.0 if causal else 12.0) * self.layers * self.hidden * length


_BLOOM_STD = 0.0048  # sqrt(1 / (3 x 14336)), for all of BLOOM's sizes
BLOOM_ROWS = 250_880

SHAPES: Mapping[str, Shape] = {
    "demo": Shape(4, 192, 6, 4_096),  # trains in minutes on two cores
    "small": Shape(6, 384, 6),
    "125m": Shape(12, 768, 12, 65_536),
    "350m": Shape(24, 1024, 16, 65_536),
    "1b": Shape(24, 1792, 14, 65_536),
    "bloom-560m": Shape(24, 1024, 16, BLOOM_ROWS, init_std=_BLOOM_STD),
    "bloom-1b1": Shape(24, 1536, 16, BLOOM_ROWS, init_std=_BLOOM_STD),
    "bloom-1b7": Shape(24, 2048, 16, BLOOM_ROWS, init_std=_BLOOM_STD),
    "bloom-3b": Shape(30, 2560, 32, BLOOM_ROWS, init_std=_BLOOM_STD),
    "bloom-7b1": Shape(30, 4096, 32, BLOOM_ROWS, init_std=_BLOOM_STD),
    "bloom": Shape(70, 14336, 112, BLOOM_ROWS, init_std=_BLOOM_STD),
}


def shape_of(preset: str, changes: Mapping[str, object] | None = None) -> Shape:
    """Return a preset (a key of SHAPES) with some values changed. Raises SettingsError for an unknown name or key."""
    if preset not in SHAPES:
        raise SettingsError(unknown_name("preset", preset, SHAPES))
    base = SHAPES[preset]
    return build(Shape, {**base.__dict__, **(changes or {})}, "model") if changes else replace(base)
