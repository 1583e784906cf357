"""How a model is fine-tuned, and what on. Does not import torch."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from roots.errors import unknown_name

_NORMALISE = ("target", "token", "sqrt")


@dataclass(frozen=True)
class FinetuneSettings:
    """The settings of a fine-tuning run. Sources: BLOOMZ (Muennighoff et al. 2022) unless another is named."""

    length: int = 0  # tokens of a row; 0 is that of pre-training
    tokens: int = 400_000  # places in the rows of prompts that are read at most, padding included
    batch_rows: int = 16  # of an update
    micro_rows: int = 8  # computed at once
    lr: float = 0.0  # constant; 0 is twice the lowest rate of pre-training, 2e-5 if that is not known
    weight_decay: float = 1e-4  # of weights that are matrices
    clip: float = 1.0  # largest norm of the gradient
    normalise: str = "target"  # what weighs the same: each target, each token, or the root of a target's length
    separator: str = " "  # between input and target, unless white space is there
    replay: float = 0.0  # share of rows from pre-training, against forgetting
    held_out_prompts: float = 0.1  # share of a data set's templates that is not trained on, at least one of several
    held_out: int = 200  # examples of each data set that are measured
    evaluate_every: int = 25  # updates
    patience: int = 3  # measurements in a row without a better loss, after which the run stops
    evaluate_bytes: int = 100_000  # of pre-training's held-out text per language, measured before and after
    lora: int = 0  # rank of the change of each matrix (LoRA, Hu et al. 2021); 0 changes all weights
    lora_alpha: float = 16.0  # the change is multiplied by lora_alpha / lora
    seed: int = 42  # of the order and of LoRA's first values
    threads: int = 0  # of the CPU; 0 is torch's choice
    attention: str = "auto"  # a key of trainer.model.attention.KERNELS

    def __post_init__(self) -> None:
        if self.normalise not in _NORMALISE:
            raise ValueError(unknown_name("normalise", self.normalise, _NORMALISE))
        counts = ("tokens", "batch_rows", "micro_rows", "held_out", "evaluate_every", "patience", "evaluate_bytes")
        if wrong := [name for name in counts if getattr(self, name) < 1]:
            raise ValueError(f"{wrong[0]} must be at least 1, not {getattr(self, wrong[0])}")
        if min(self.length, self.lora, self.seed, self.threads) < 0:
            raise ValueError("length, lora, seed and threads must be at least 0")
        if not (0 <= self.replay < 1 and 0 <= self.held_out_prompts < 1):
            raise ValueError("replay and held_out_prompts must be at least 0 and below 1")
        if not all(0 <= value < math.inf for value in (self.lr, self.weight_decay)):
            raise ValueError("lr and weight_decay must be at least 0 and finite")
        if not all(0 < value < math.inf for value in (self.clip, self.lora_alpha)):
            raise ValueError("clip and lora_alpha must be above 0 and finite")


@dataclass(frozen=True)
class FinetuneRequest:
    """Which model is fine-tuned on what."""

    model: Path  # run, checkpoint, or model folder of `roots export` or transformers
    prompts: Sequence[Sequence[Path]]  # shards of each file of prompts, from the first stage to the last
    weights: Mapping[str, float]  # share of examples of each language
    target: Path  # run folder
    tokenizer: Path | None = None  # None: that in the model folder, or beside the run
    tokens: Sequence[Path] = ()  # token shards of pre-training, for replay; by default those beside the run
    settings: FinetuneSettings = field(default_factory=FinetuneSettings)
