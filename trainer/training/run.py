"""One training run: its model, optimiser and data, and one update of them.

The learning rate, the batch size and the data depend on the tokens read alone, so a run resumes from its newest
checkpoint bit for bit. An update whose loss is not finite changes nothing.
"""

import fcntl
import hashlib
import json
import math
from collections.abc import Iterator, Mapping
from contextlib import AbstractContextManager, ExitStack, contextmanager, nullcontext
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import IO, Any

import torch

from roots.errors import InputError, SettingsError
from roots.process import keep_freed_memory
from roots.settings import as_values
from roots.storage import make_folder
from trainer.data.feed import IGNORE_INDEX, Feed, RowBatch
from trainer.data.token_shards import TokenShards
from trainer.model import checkpoint
from trainer.model.attention import choose_kernel, layout_of
from trainer.model.checkpoint import Checkpoint, Start
from trainer.model.decoder import AlibiLM, empty_model
from trainer.model.shapes import Shape, shape_of
from trainer.tokenizer.files import load_tokenizer, tokenizer_digest
from trainer.training import parallel
from trainer.training.optimiser import Optimiser
from trainer.training.parallel import World
from trainer.training.recipe import Recipe
from trainer.training.state import RunState

_ROLLBACKS = 3  # most rollbacks in one run; after that, spikes are ignored


@dataclass(frozen=True)
class _Data:
    """What a run reads: rows to train on, held-out text of each language, and the digests of tokenizer and rows."""

    feed: Feed
    held_out: Mapping[str, TokenShards]
    vocabulary: int  # rows of the embedding
    identities: Mapping[str, str]


def _open_data(recipe: Recipe, sources: Mapping[str, Path], tokenizer: Path) -> _Data:
    """Open the token shards (`sources`: language -> folder). Raises InputError if there are none of this tokenizer."""
    digest = tokenizer_digest(load_tokenizer(tokenizer))
    train = [TokenShards(folder, "train", digest) for _, folder in sorted(sources.items())]
    if not train:
        raise InputError("no tokens named: run `roots tokens` first")
    held_out = {k: TokenShards(folder, "validation", digest) for k, folder in sorted(sources.items())}
    feed = Feed(train, recipe.length, recipe.packing, recipe.weights, recipe.seed, recipe.alpha)
    return _Data(feed, held_out, train[0].rows, {"tokenizer": digest, "data": feed.fingerprint})


def _open_start(name: str, data: _Data) -> Start:
    """Open the model that a run begins with. Raises InputError for one that the tokens are not made for."""
    start = checkpoint.read_start(Path(name))
    if start.tokenizer != data.identities["tokenizer"] or start.shape.vocabulary < data.vocabulary:
        raise InputError(f"{name} has another tokenizer: make the tokens with it (roots tokens --tokenizer)")
    return start


def _start_world(recipe: Recipe) -> World:
    """Join the other processes, and set up this one's threads and memory."""
    if recipe.threads:
        torch.set_num_threads(recipe.threads)
    world = parallel.start(recipe)
    if world.device.type == "cpu":
        keep_freed_memory()
    return world


def _first_model(recipe: Recipe, shape: Shape, device: torch.device, bf16: bool) -> tuple[AlibiLM, str]:
    """Make the model with its first weights; also return the name of its attention kernel."""
    dtype = torch.bfloat16 if bf16 else torch.float32
    kernel = choose_kernel(recipe.attention, device, dtype, shape.heads, shape.head_dim)
    model = empty_model(shape, kernel, device, recipe.recompute, recipe.dropout)
    model.init_weights(recipe.seed)
    return model, kernel


def _seed_of(seed: int, position: int) -> int:
    """Mix the seed of a run and a position of its data into a seed of torch, 0 to 2^63 - 1."""
    digest = hashlib.blake2b(f"{seed} {position}".encode(), digest_size=8).digest()
    return int.from_bytes(digest, "little") >> 1


def _open_lock(path: Path) -> IO[str]:
    """Open a file to lock it. Raises InputError if it cannot be written."""
    try:
        return path.open("a", encoding="utf-8")
    except OSError as error:
        raise InputError(f"cannot write {path}: {error.strerror}") from None


def _try_lock(file: IO[str]) -> bool:
    """Lock a file until it is closed; return whether no other process holds it."""
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    except OSError:  # a file system without locks
        return True
    return True


def _differences(held: Mapping[str, object], wanted: Mapping[str, object]) -> list[str]:
    """Name every setting of a run that differs from a checkpoint's, with both values; the tokens are free."""
    found = []
    for group, values in sorted(wanted.items()):
        old = held.get(group)
        if isinstance(values, dict) and isinstance(old, dict):
            if group == "recipe":  # settings that are younger than the run
                old = {key: value for key, value in as_values(Recipe()).items() if key in values} | old
            name = "train" if group == "recipe" else group
            keys = sorted({*old, *values} - ({"tokens"} if group == "recipe" else set()))
            found += [
                f"{name}.{key} is {old.get(key)} there and {values.get(key)} here"
                for key in keys
                if old.get(key) != values.get(key)
            ]
        elif old != values:
            digest = isinstance(values, str)
            found.append(f"another {group}" if digest else f"{group} is {old} there and {values} here")
    return found


class Run:
    """One training run: model, optimiser, data and folder."""

    def __init__(self, recipe: Recipe, sources: Mapping[str, Path], tokenizer: Path, target: Path) -> None:
        self.recipe, self.target = recipe, target
        self.data = _open_data(recipe, sources, tokenizer)
        self.world = _start_world(recipe)
        device = self.world.device
        self.bf16 = recipe.precision == "bf16" or (recipe.precision == "auto" and device.type == "cuda")
        start = _open_start(recipe.start, self.data) if recipe.start else None
        self.start = start.digest if start else ""
        self.shape = start.shape if start else shape_of(recipe.preset, {"vocabulary": self.data.vocabulary})
        self.model, self.kernel = _first_model(recipe, self.shape, device, self.bf16)
        self.called = parallel.spread(self.model, self.world, recipe, self.bf16)
        one_process = self.world.data_size == 1 and recipe.tensor == 1
        self.optimiser = Optimiser(self.model, recipe, masters=self.bf16 and one_process)
        if start:
            self.optimiser.load(start.weights, {})
        self.progress = RunState()

    def autocast(self) -> AbstractContextManager[object]:
        """Return torch's autocast if bfloat16 is needed and neither copies nor FSDP provide it; else do nothing."""
        plain = not self.optimiser.copied and not hasattr(self.called, "set_requires_gradient_sync")
        return torch.autocast(self.world.device.type, torch.bfloat16) if self.bf16 and plain else nullcontext()

    def decisive(self) -> dict[str, object]:
        """Return what must be equal for a run to resume: settings that change the numbers, data, tokenizer, shape."""
        free = {
            "start", "micro_rows", "keep", "average", "save_every", "evaluate_every", "evaluate_bytes", "threads",
            "tensorboard", "replicate", "shard", "tensor", "recompute", "compile", "attention", "precision",
        }  # fmt: skip
        settings = {key: value for key, value in as_values(self.recipe).items() if key not in free}
        # checkpoints hold the weights as text
        settings["weights"] = [f"{language}={weight}" for language, weight in self.recipe.weights.items()]
        start = {"start": self.start} if self.start else {}
        return {"recipe": settings, "shape": asdict(self.shape), "bf16": self.bf16, **self.data.identities, **start}

    @contextmanager
    def locked(self) -> Iterator[None]:
        """Hold the run folder, so that no other command trains in it. Raises SettingsError if one does.

        The system frees the lock when the process ends, however it ends.
        """
        with ExitStack() as held:
            free = True
            if self.world.first:
                make_folder(self.target)
                free = _try_lock(held.enter_context(_open_lock(self.target / ".lock")))
            if not self.world.agreed(int(free)):
                raise SettingsError(f"another command trains in {self.target}: wait, or name another folder (--to)")
            yield

    def save(self) -> None:
        """Write a checkpoint. All ranks must call it; the first one writes."""
        weights, state = self.optimiser.weights(), self.optimiser.state()
        if self.world.first:
            values = {
                **self.progress.as_values(), **self.decisive(), "attention": self.kernel,
                "languages": sorted(self.data.held_out), "length": self.recipe.length,
                "torch": torch.__version__, "rng": torch.get_rng_state().tolist(),
            }  # fmt: skip
            held = Checkpoint(weights, state, values)
            checkpoint.save_checkpoint(self.target / "checkpoints", self.progress.step, held, self.recipe.keep)
        self.world.barrier()

    def save_average(self) -> Path | None:
        """Write the mean of the last checkpoints as the run average/, and load it into the model; return its folder.

        None if `train.average` is 0. All ranks must call it. Source: Kaddour 2022, arXiv 2209.14981.
        """
        steps = checkpoint.checkpoint_steps(self.target / "checkpoints")[-self.recipe.average :]
        if not self.recipe.average:
            return None
        held = [checkpoint.load_checkpoint(checkpoint.checkpoint_path(self.target / "checkpoints", x)) for x in steps]
        mean = {name: torch.stack([each.weights[name] for each in held]).mean(0) for name in held[-1].weights}
        if self.world.first:
            target = self.target / "average" / "checkpoints"
            checkpoint.save_checkpoint(target, steps[-1], Checkpoint(mean, {}, {**held[-1].state, "mean": steps}), 1)
        self.optimiser.load(mean, {})
        return self.target / "average"

    def resume(self) -> bool:
        """Load the newest checkpoint; return whether there is one.

        The tokens to train on may have changed. Raises SettingsError if the checkpoint is of another run, or has read
        as many already.
        """
        folder = self.target / "checkpoints"
        step = self.world.agreed(max(checkpoint.checkpoint_steps(folder), default=-1))
        if step < 0:
            return False
        held = checkpoint.load_checkpoint(checkpoint.checkpoint_path(folder, step))
        wanted = json.loads(json.dumps(self.decisive()))
        if different := _differences(held.state, wanted):
            raise SettingsError(f"{self.target} holds another run: {', '.join(different)}. Name another folder (--to)")
        before, after = held.state["recipe"]["tokens"], self.recipe.tokens
        if after != before and after <= held.state["tokens"]:
            raise SettingsError(
                f"train.tokens = {after}: {self.target} has read {held.state['tokens']} already. Name more, or another "
                "folder (--to)"
            )
        self.optimiser.load(held.weights, held.optimiser)
        torch.set_rng_state(torch.tensor(held.state["rng"], dtype=torch.uint8))
        self.progress = RunState.of(held.state)
        if after != before:
            change = (self.progress.step, before, after)
            self.progress = replace(self.progress, lengths=(*self.progress.lengths, change))
        if self.recipe.attention == "auto":  # kernels differ in rounding, so the run keeps its kernel
            self.kernel = held.state["attention"]
            self.model.set_kernel(self.kernel)
        return True

    def update(self, batch: RowBatch) -> dict[str, Any]:
        """Make one update; return its line of the log. If the loss is not finite nothing changes, and it is None."""
        tokens = self.progress.tokens + batch.tokens.size
        line: dict[str, Any] = {"step": self.progress.step + 1, "tokens": tokens, "loss": None, "norm": None}
        loss = self.gradients(batch)
        norm = self.optimiser.clip() if math.isfinite(loss) else math.nan
        if not math.isfinite(norm):
            self.optimiser.clear()
            return {**line, "rows": [int(batch.positions[0]), int(batch.positions[-1]) + 1]}
        return {**line, "loss": loss, "norm": norm, "lr": self.optimiser.step(tokens)}

    def spiked(self, line: Mapping[str, Any], batch: RowBatch) -> bool:
        """Whether this update is the second in a row far above normal, and may still be rolled back."""
        if line["loss"] is None:
            return False
        values = [line["loss"], line["norm"]]
        high = self.progress.guard.spiked(values, self.recipe.spike, int(batch.positions[0]))
        return high and self.progress.rollbacks < _ROLLBACKS

    def gradients(self, batch: RowBatch) -> float:
        """Run forward and backward on a whole batch; return the mean loss of its counted tokens, in nats.

        The mean is over all tokens of the batch on all ranks, so that the number of micro-batches and ranks is free.
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
            layout = layout_of(docs) if recipe.mask_documents else None
            if recipe.dropout:  # seeded by the rows, so that a resumed run drops the same
                torch.manual_seed(_seed_of(recipe.seed, int(part.positions[0])))
            with parallel.gathering(self.called, last=start == starts[-1]), self.autocast():
                loss = self.called(tokens, targets, layout)
                (loss * (world.data_size / counted)).backward()
            self.optimiser.collect()
            total += float(loss.detach())
        return world.total([total])[0] / counted
