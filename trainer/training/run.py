"""One run."""

import json
import math
from collections.abc import Mapping
from contextlib import nullcontext
from dataclasses import asdict
from pathlib import Path
from typing import Any

import torch
from torch import nn

from roots.errors import InputError, SettingsError
from roots.process import keep_all
from roots.settings import as_values
from trainer.data.feed import IGNORE_INDEX, Feed, RowBatch
from trainer.data.token_shards import TokenShards
from trainer.model import attention, checkpoint
from trainer.model.checkpoint import Checkpoint
from trainer.model.decoder import AlibiLM, empty_model
from trainer.model.shapes import Shape, shape_of
from trainer.tokenizer.files import load_tokenizer, tokenizer_digest
from trainer.training import parallel
from trainer.training.optimiser import Optimiser
from trainer.training.recipe import Recipe
from trainer.training.state import RunState

_ROLLBACKS = 3  # in one run; then a spike is only written down


class Run:
    """One training run: model, optimiser, data and folder."""

    def __init__(self, recipe: Recipe, sources: Mapping[str, Path], tokenizer: Path, target: Path) -> None:
        self.recipe, self.target = recipe, target
        if recipe.threads:
            torch.set_num_threads(recipe.threads)
        identity = tokenizer_digest(load_tokenizer(tokenizer))
        shards = [TokenShards(folder, "train", identity) for _, folder in sorted(sources.items())]
        if not shards:
            raise InputError("no tokens named: run `roots tokens` first")
        self.held_out = {k: TokenShards(folder, "validation", identity) for k, folder in sorted(sources.items())}
        try:
            mixture = recipe.mixture()
        except ValueError as error:
            raise SettingsError(f"train: {error}") from None
        self.feed = Feed(shards, recipe.length, recipe.packing, mixture, recipe.seed)
        self.world = parallel.start(recipe)
        device = self.world.device
        if device.type == "cpu":
            keep_all()
        self.bf16 = recipe.precision == "bf16" or (recipe.precision == "auto" and device.type == "cuda")
        self.shape: Shape = shape_of(recipe.preset, {"vocabulary": shards[0].rows})
        dtype = torch.bfloat16 if self.bf16 else torch.float32
        heads = self.shape.heads
        self.kernel = attention.choose_kernel(recipe.attention, device, dtype, heads, self.shape.head_dim)
        self.identities = {"tokenizer": identity, "data": self.feed.fingerprint}
        self.model: AlibiLM = empty_model(self.shape, self.kernel, device, recipe.recompute, recipe.dropout)
        self.model.init_weights(recipe.seed)
        alone = self.world.data_size == 1 and recipe.tensor == 1
        self.called: nn.Module = parallel.spread(self.model, self.world, recipe, self.bf16)
        self.optimiser = Optimiser(self.model, recipe, masters=self.bf16 and alone)
        self.progress = RunState()

    def autocast(self) -> Any:
        """Where bfloat16 is neither copied nor FSDP's business: DDP."""
        plain = not self.optimiser.copied and not hasattr(self.called, "set_requires_gradient_sync")
        return torch.autocast(self.world.device.type, torch.bfloat16) if self.bf16 and plain else nullcontext()

    def decisive(self) -> dict[str, Any]:
        """What must be equal for a run to go on: settings that change the numbers, data, tokenizer, shape."""
        free = {"micro_rows", "keep", "save_every", "evaluate_every", "evaluate_bytes", "threads", "tensorboard",
                "replicate", "shard", "tensor", "recompute", "compile", "attention", "precision"}  # fmt: skip
        settings = {key: value for key, value in as_values(self.recipe).items() if key not in free}
        return {"recipe": settings, "shape": asdict(self.shape), "bf16": self.bf16, **self.identities}

    def save(self) -> None:
        """Write a checkpoint; all ranks call it, the first one writes."""
        weights, state = self.optimiser.weights(), self.optimiser.state()
        if self.world.first:
            values = {
                **self.progress.as_values(), **self.decisive(), "attention": self.kernel,
                "length": self.recipe.length, "torch": torch.__version__, "rng": torch.get_rng_state().tolist(),
            }  # fmt: skip
            held = Checkpoint(weights, state, values)
            checkpoint.save_checkpoint(self.target / "checkpoints", self.progress.step, held, self.recipe.keep)
        self.world.barrier()

    def resume(self) -> bool:
        """Take up the newest checkpoint. Raises SettingsError where it belongs to another run."""
        folder = self.target / "checkpoints"
        step = self.world.agreed(max(checkpoint.checkpoint_steps(folder), default=-1))
        if step < 0:
            return False
        held = checkpoint.load_checkpoint(checkpoint.checkpoint_path(folder, step))
        wanted = json.loads(json.dumps(self.decisive()))
        different = sorted(key for key, value in wanted.items() if held.state.get(key) != value)
        if different:
            raise SettingsError(
                f"{self.target} holds a run with another {', '.join(different)}: name another folder or remove this"
            )
        self.optimiser.load(held.weights, held.optimiser)
        torch.set_rng_state(torch.tensor(held.state["rng"], dtype=torch.uint8))
        self.progress = RunState.of(held.state)
        if self.recipe.attention == "auto":  # the kernel is part of the numbers: go on with the same one
            self.kernel = held.state["attention"]
            self.model.set_kernel(self.kernel)
        return True

    def update(self, batch: RowBatch) -> dict[str, Any]:
        """One update; what the log says of it. A loss that is no number changes nothing: loss and norm are None."""
        tokens = self.progress.tokens + batch.tokens.size
        line: dict[str, Any] = {"step": self.progress.step + 1, "tokens": tokens, "loss": None, "norm": None}
        loss = self.gradients(batch)
        norm = self.optimiser.clip() if math.isfinite(loss) else math.nan
        if not math.isfinite(norm):
            self.optimiser.clear()
            return {**line, "rows": [int(batch.positions[0]), int(batch.positions[-1]) + 1]}
        return {**line, "loss": loss, "norm": norm, "lr": self.optimiser.step(tokens)}

    def spiked(self, line: Mapping[str, Any], batch: RowBatch) -> bool:
        """Whether this update is the second in a row far above what was usual, and may still be undone."""
        if line["loss"] is None:
            return False
        values = [line["loss"], line["norm"]]
        high = self.progress.guard.spiked(values, self.recipe.spike, int(batch.positions[0]))
        return high and self.progress.rollbacks < _ROLLBACKS

    def gradients(self, batch: RowBatch) -> float:
        """Forward and backward of one whole batch; the mean loss of its counted tokens, in nats.

        The mean is over the batch's tokens on all ranks, so that micro-batches and ranks change nothing.
        """
        world, recipe = self.world, self.recipe
        counted = max(1, int((batch.targets != IGNORE_INDEX).sum()))
        share = len(batch.tokens) // world.data_size
        mine = batch.part(world.data_rank * share, (world.data_rank + 1) * share)
        starts = range(0, share, recipe.micro_rows)
        total = 0.0
        for start in starts:
            part = mine.part(start, min(share, start + recipe.micro_rows))
            tokens, targets, docs = (
                torch.from_numpy(x).to(world.device, non_blocking=True) for x in (part.tokens, part.targets, part.docs)
            )
            layout = attention.layout_of(docs) if recipe.mask_documents else None
            if recipe.dropout:  # a function of the rows, so that a resumed run drops what the undisturbed one does
                torch.manual_seed((recipe.seed << 40) ^ int(part.positions[0]))
            with parallel.gathering(self.called, last=start == starts[-1]), self.autocast():
                loss = self.called(tokens, targets, layout)
                (loss * (world.data_size / counted)).backward()
            self.optimiser.collect()
            total += float(loss.detach())
        return world.total([total])[0] / counted
