"""How a model is trained: the settings, and the learning rate and batch size as functions of the tokens read.

Does not import torch. Everything here depends on the tokens read alone, so a resumed run continues exactly.
"""

import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field

from roots.errors import unknown_name
from roots.settings import build
from trainer.model.shapes import SHAPES

_SCHEDULES = ("cosine", "wsd", "constant")
_OPTIMISERS = ("adamw", "muon")
_PRECISIONS = ("auto", "fp32", "bf16")


@dataclass(frozen=True)
class Recipe:
    """All settings of a training run; the tokens decide the rest. The values of each preset are in _RECIPES."""

    preset: str = "demo"  # a key of trainer.model.shapes.SHAPES; the vocabulary comes from the tokenizer
    length: int = 256  # tokens per row
    tokens: int = 1_500_000  # to train on
    batch_tokens: int = 4_096  # per update
    micro_rows: int = 16  # rows computed at once on a rank
    packing: str = "concat"  # a key of trainer.data.feed.PACKINGS
    mask_documents: bool = True  # a token sees its own document only (BLOOM: false)
    weights: Mapping[str, float] = field(default_factory=dict)  # of languages: {fr = 0.7, sw = 0.3}; empty: by size
    alpha: float = 1.0  # without weights, a language weighs (its rows) ** alpha: 0 is equal shares
    start: str = ""  # run or model folder whose weights it begins with; the model has its shape, not the preset's
    optimiser: str = "adamw"  # or muon, which updates the matrices of the blocks
    lr: float = 2e-3  # highest learning rate
    muon_lr: float = 0.02  # the same for what muon updates
    min_lr: float = 0.1  # share of the peak that is left at the end
    schedule: str = "cosine"  # of the learning rate: cosine, wsd or constant
    warmup: float = 0.05  # share of all tokens
    decay: float = 0.2  # share of all tokens, for the decay of wsd
    beta1: float = 0.9  # of AdamW
    beta2: float = 0.95  # of AdamW
    epsilon: float = 1e-8  # of AdamW
    weight_decay: float = 0.1  # of matrices other than the embedding
    dropout: float = 0.0  # of embeddings and of what a block adds; for text that is read many times (BLOOM: 0)
    clip: float = 1.0  # largest norm of the gradient
    ramp_rows: int = 0  # rows of the first update, growing to the full batch (BLOOM: 192); 0 is no ramp
    ramp_by: int = 16  # rows added at each step of the ramp (BLOOM: 16)
    ramp_tokens: int = 0  # tokens over which the batch grows (BLOOM: 20e9)
    precision: str = "auto"  # bf16 with float32 masters on a GPU, fp32 on a CPU
    attention: str = "auto"  # a key of trainer.model.attention.KERNELS
    recompute: bool = False  # compute activations again in the backward pass: less memory, a third more work
    compile: bool = False  # torch.compile for each block (GPU)
    seed: int = 42  # of weights, order and dropout
    save_every: int = 100  # updates
    keep: int = 2  # checkpoints
    average: int = 0  # last checkpoints whose mean is written to average/ at the end; at most keep
    evaluate_every: int = 100  # updates; 0 evaluates only at the end
    evaluate_bytes: int = 200_000  # of held-out text per language
    spike: float = 6.0  # standard deviations of loss or gradient norm; twice in a row is a spike; 0 turns this off
    threads: int = 0  # of the CPU; 0 is torch's choice
    tensorboard: bool = False  # write events for TensorBoard, too
    replicate: int = 0  # data-parallel copies; 0 is all ranks / (shard x tensor)
    shard: int = 1  # ranks that divide the parameters (FSDP2)
    tensor: int = 1  # ranks that divide the heads and the feed-forward width

    def __post_init__(self) -> None:
        choices = (
            ("preset", SHAPES),
            ("schedule", _SCHEDULES),
            ("optimiser", _OPTIMISERS),
            ("precision", _PRECISIONS),
        )
        for name, known in choices:
            if getattr(self, name) not in known:
                raise ValueError(unknown_name(name, getattr(self, name), known))
        if self.batch_tokens % self.length:
            raise ValueError(f"batch_tokens {self.batch_tokens} is not a multiple of length {self.length}")
        if min(self.length, self.tokens, self.batch_tokens, self.micro_rows, self.keep, self.save_every) < 1:
            raise ValueError("length, tokens, batch_tokens, micro_rows, keep and save_every must be at least 1")
        if not (0 <= self.warmup < 1 and 0 < self.decay <= 1 and 0 <= self.min_lr <= 1):
            raise ValueError("warmup, decay and min_lr are shares between 0 and 1")
        if not 0 <= self.seed < 1 << 63:
            raise ValueError(f"seed must lie between 0 and 2^63 - 1, not {self.seed}")
        if not 0 <= self.dropout < 1:
            raise ValueError("dropout must be at least 0 and below 1")
        if not 0 <= self.alpha <= 1:
            raise ValueError("alpha must lie between 0 and 1")
        if self.average > self.keep:
            raise ValueError(f"average {self.average} needs as many checkpoints: set keep={self.average}")
        self._check_optimiser()
        counts = ("evaluate_every", "threads", "replicate", "ramp_rows", "ramp_tokens", "average")
        if wrong := [name for name in counts if getattr(self, name) < 0]:
            raise ValueError(f"{wrong[0]} must be at least 0, not {getattr(self, wrong[0])}")
        if wrong := [name for name in ("evaluate_bytes", "shard", "tensor", "ramp_by") if getattr(self, name) < 1]:
            raise ValueError(f"{wrong[0]} must be at least 1, not {getattr(self, wrong[0])}")
        if self.optimiser == "muon" and self.shard * self.tensor > 1:
            raise ValueError("muon needs whole matrices: use shard=1 and tensor=1, or optimiser=adamw")

    def _check_optimiser(self) -> None:
        """Raise ValueError for a number that no update can use, such as nan."""
        for name in ("lr", "muon_lr", "epsilon", "clip"):
            if not 0 < getattr(self, name) < math.inf:
                raise ValueError(f"{name} must be above 0 and finite, not {getattr(self, name):g}")
        for name in ("weight_decay", "spike"):
            if not 0 <= getattr(self, name) < math.inf:
                raise ValueError(f"{name} must be at least 0 and finite, not {getattr(self, name):g}")
        if not (0 <= self.beta1 < 1 and 0 <= self.beta2 < 1):
            raise ValueError("beta1 and beta2 must be at least 0 and below 1")

    @property
    def rows(self) -> int:
        """Rows of a full batch."""
        return self.batch_tokens // self.length


_BLOOM = {
    "length": 2048, "tokens": 341_000_000_000, "mask_documents": False, "beta2": 0.95, "weight_decay": 0.1, "clip": 1.0,
    "warmup": 375 / 410_000, "precision": "bf16", "micro_rows": 1, "save_every": 1000, "evaluate_every": 1000,
}  # fmt: skip
_WORKING = {
    "length": 2048,
    "batch_tokens": 524_288,
    "precision": "bf16",
    "compile": True,
    "warmup": 0.02,
    "save_every": 500,
}


def _bloom(lr: float, rows: int, floor: float = 1e-5, **more: object) -> dict[str, object]:
    return {**_BLOOM, "lr": lr, "batch_tokens": 2048 * rows, "min_lr": floor / lr, **more}


# What each preset is trained with unless the user says otherwise. BLOOM's: Workshop 2022, table 3 and section 3.4.
_RECIPES: Mapping[str, Mapping[str, object]] = {
    "demo": {
        "tokens": 800_000,
        "batch_tokens": 2_048,
        "micro_rows": 8,
        "optimiser": "muon",
        "lr": 4e-3,
        "min_lr": 0.0,
        "evaluate_every": 50,
    },
    "small": {"length": 512, "tokens": 20_000_000, "batch_tokens": 16_384, "micro_rows": 8},
    "125m": {**_WORKING, "tokens": 2_500_000_000, "lr": 6e-4, "micro_rows": 32},
    "350m": {**_WORKING, "tokens": 7_000_000_000, "lr": 4e-4, "micro_rows": 16},
    "1b": {**_WORKING, "tokens": 20_000_000_000, "lr": 2.5e-4, "micro_rows": 8},
    "bloom-560m": _bloom(3.0e-4, 256),
    "bloom-1b1": _bloom(2.5e-4, 256),
    "bloom-1b7": _bloom(2.0e-4, 512),
    "bloom-3b": _bloom(1.6e-4, 512),
    "bloom-7b1": _bloom(1.2e-4, 512),
    "bloom": _bloom(6.0e-5, 2048, 6e-6, ramp_rows=192, ramp_by=16, ramp_tokens=20_000_000_000, recompute=True),
}


def recipe_for(values: Mapping[str, object]) -> Recipe:
    """Return the recipe of the preset in `values` (by default the demo), changed by the other values.

    Raises SettingsError for an unknown name or an invalid value.
    """
    usual = _RECIPES.get(str(values.get("preset", "demo")), {})
    return build(Recipe, {**usual, **values}, "train")


def learning_rate_share(recipe: Recipe, tokens: int) -> float:
    """Return the learning rate after `tokens` tokens, as a share of the peak.

    Linear warm-up; then cosine to `min_lr`, or constant with a linear decay at the end (wsd: warm-up, stable, decay; Hu
    et al. 2024).
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
    """Return the rows of the next update after `tokens` tokens: BLOOM's ramp, in equal steps from `ramp_rows`."""
    if not recipe.ramp_rows or tokens >= recipe.ramp_tokens or recipe.ramp_rows >= recipe.rows:
        return recipe.rows
    rises = (recipe.rows - recipe.ramp_rows) // recipe.ramp_by
    return recipe.ramp_rows + recipe.ramp_by * int((rises + 1) * tokens / recipe.ramp_tokens)


def rows_of_updates(recipe: Recipe, tokens: int = 0) -> Iterator[int]:
    """Yield the rows of every update that is left after `tokens` tokens."""
    while tokens < recipe.tokens:
        rows = batch_rows(recipe, tokens)
        yield rows
        tokens += rows * recipe.length
