"""How a model is trained: the settings, and the learning rate and batch size as functions of what was read.

Loads no torch. Everything here depends on tokens read alone, so a resumed run goes on exactly.
"""

import math
from collections.abc import Iterator
from dataclasses import dataclass

from roots.errors import unknown_name
from trainer.presets import PRESETS

SCHEDULES = ("cosine", "wsd", "constant")
OPTIMISERS = ("adamw", "muon")
PRECISIONS = ("auto", "fp32", "bf16")


@dataclass(frozen=True)
class Recipe:
    """All that decides a training run, besides the tokens. The defaults are the demo's: minutes on two cores."""

    preset: str = "demo"  # a key of trainer.presets.PRESETS; its vocabulary is the tokenizer's
    length: int = 256  # tokens a row
    tokens: int = 1_500_000  # to train on
    batch_tokens: int = 4_096  # an update
    micro_rows: int = 16  # rows computed at once, a rank
    packing: str = "concat"  # a key of trainer.feed.PACKINGS
    mask_documents: bool = True  # a token sees its own document only (BLOOM: false)
    weights: tuple[str, ...] = ()  # "fr=0.7", "sw=0.3"; none: by size
    optimiser: str = "adamw"  # or muon, for the matrices of the blocks
    lr: float = 2e-3
    muon_lr: float = 0.02
    min_lr: float = 0.1  # of the peak, at the end
    schedule: str = "cosine"
    warmup: float = 0.05  # share of all tokens
    decay: float = 0.2  # share of all tokens; of wsd: the way down
    beta1: float = 0.9
    beta2: float = 0.95
    epsilon: float = 1e-8
    weight_decay: float = 0.1  # of matrices that are no embedding
    clip: float = 1.0  # of the gradient's norm
    ramp_rows: int = 0  # rows of the first update, growing to the full batch (BLOOM: 192); 0 is no ramp
    ramp_by: int = 16  # rows a rise (BLOOM: 16)
    ramp_tokens: int = 0  # over which the batch grows (BLOOM: 20e9)
    precision: str = "auto"  # bf16 with float32 masters on a GPU, fp32 on a CPU
    attention: str = "auto"  # a key of trainer.attention.KERNELS
    recompute: bool = False  # activations in the backward pass: less memory, a third more work
    compile: bool = False  # torch.compile, a block at a time (GPU)
    seed: int = 42
    save_every: int = 100  # updates
    keep: int = 2  # checkpoints
    evaluate_every: int = 100  # updates; 0 is only at the end
    evaluate_bytes: int = 200_000  # of held-out text, a language
    spike: float = 6.0  # standard deviations of loss or gradient norm; twice in a row is a spike; 0 is no guard
    threads: int = 0  # of the CPU; 0 is torch's choice
    tensorboard: bool = False
    replicate: int = 0  # data-parallel copies; 0 is what the other two leave
    shard: int = 1  # ranks that share parameters (FSDP2)
    tensor: int = 1  # ranks that share heads and feed-forward width

    def __post_init__(self) -> None:
        choices = (("preset", PRESETS), ("schedule", SCHEDULES), ("optimiser", OPTIMISERS), ("precision", PRECISIONS))
        for name, known in choices:
            if getattr(self, name) not in known:
                raise ValueError(unknown_name(name, getattr(self, name), known))
        if self.batch_tokens % self.length:
            raise ValueError(f"batch_tokens {self.batch_tokens} is no multiple of length {self.length}")
        if min(self.length, self.tokens, self.batch_tokens, self.micro_rows, self.keep, self.save_every) < 1:
            raise ValueError("length, tokens, batch_tokens, micro_rows, keep and save_every must be at least 1")
        if not (0 <= self.warmup < 1 and 0 < self.decay <= 1 and 0 <= self.min_lr <= 1):
            raise ValueError("warmup, decay and min_lr are shares between 0 and 1")
        if self.optimiser == "muon" and self.shard * self.tensor > 1:
            raise ValueError("muon needs whole matrices: use shard=1 and tensor=1")

    @property
    def rows(self) -> int:
        """Rows of a full batch."""
        return self.batch_tokens // self.length

    def mixture(self) -> dict[str, float] | None:
        """The weights as numbers; None for the natural ones. Raises ValueError for what is no language=weight."""
        found: dict[str, float] = {}
        for pair in self.weights:
            language, _, weight = pair.partition("=")
            try:
                found[language] = float(weight)
            except ValueError:
                raise ValueError(f"weights: {pair!r} is not language=weight, as fr=0.7") from None
        return found or None


def rate(recipe: Recipe, tokens: int) -> float:
    """The learning rate after so many tokens, as a share of the peak.

    Linear warm-up; then cosine to `min_lr`, or constant and a linear way down (warm-up, stable, decay; Hu et al. 2024).
    """
    done = tokens / recipe.tokens
    if done < recipe.warmup:
        return done / recipe.warmup
    if recipe.schedule == "cosine":
        along = min(1.0, (done - recipe.warmup) / (1 - recipe.warmup))
        return recipe.min_lr + (1 - recipe.min_lr) * 0.5 * (1 + math.cos(math.pi * along))
    if recipe.schedule == "wsd" and done > 1 - recipe.decay:
        return recipe.min_lr + (1 - recipe.min_lr) * max(0.0, (1 - done) / recipe.decay)
    return 1.0


def batch_rows(recipe: Recipe, tokens: int) -> int:
    """Rows of the next update after so many tokens: BLOOM's ramp, from `ramp_rows` up in equal steps."""
    if not recipe.ramp_rows or tokens >= recipe.ramp_tokens or recipe.ramp_rows >= recipe.rows:
        return recipe.rows
    rises = (recipe.rows - recipe.ramp_rows) // recipe.ramp_by
    return recipe.ramp_rows + recipe.ramp_by * int((rises + 1) * tokens / recipe.ramp_tokens)


def updates(recipe: Recipe, tokens: int = 0) -> Iterator[int]:
    """Rows of every update that is left after so many tokens."""
    while tokens < recipe.tokens:
        rows = batch_rows(recipe, tokens)
        yield rows
        tokens += rows * recipe.length
