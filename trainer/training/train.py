"""Training: rows in, a model out, and nothing lost when it is stopped.

A run folder holds run.json (what decides the run), log.jsonl (a line an update), checkpoints/, loss.svg, report.json.
The same command goes on from the newest checkpoint, bit for bit: learning rate, batch size and data are functions of
the tokens read. SIGTERM and SIGINT save first. A loss that is no number is never learned from. A spike rolls back to
the checkpoint before it and passes over the rows since.
"""

import json
import math
import signal
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import closing, contextmanager, nullcontext
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from types import FrameType
from typing import Any

import torch
from torch import nn

from roots.errors import InputError, SettingsError, TrainingFailed
from roots.process import keep_all
from roots.settings import as_values
from trainer.data.feed import IGNORED, Batch, Feed, Place, ahead
from trainer.data.tokens import TokenShards
from trainer.evaluation import evaluate
from trainer.model import attention, checkpoint
from trainer.model.checkpoint import Checkpoint
from trainer.model.decoder import AlibiLM, empty
from trainer.model.presets import Shape, shape_of
from trainer.tokenizer import byte_level_bpe as tok
from trainer.training import parallel
from trainer.training.guard import Guard
from trainer.training.journal import Journal
from trainer.training.optim import Optimiser
from trainer.training.recipe import Recipe, updates

_ROLLBACKS = 3  # in one run; then a spike is only written down
_PASSED_OVER = 20  # batches without a finite loss in a row: then the run ends with an error
_PEAKS = {"H100": 989e12, "H200": 989e12, "A100": 312e12, "B200": 2250e12}  # dense bfloat16 operations a second


@dataclass
class Progress:
    """How far a run is: all of its state besides weights and optimiser."""

    step: int = 0
    tokens: int = 0
    place: Place = field(default_factory=Place)
    guard: Guard = field(default_factory=Guard)
    rollbacks: int = 0

    def as_values(self) -> dict[str, Any]:
        """For a checkpoint."""
        return {
            "step": self.step, "tokens": self.tokens, "place": self.place.as_values(), "guard": asdict(self.guard),
            "rollbacks": self.rollbacks,
        }  # fmt: skip

    @staticmethod
    def of(values: Mapping[str, Any]) -> "Progress":
        """What `as_values` gave."""
        place = Place(values["place"]["position"], tuple((a, b) for a, b in values["place"]["skipped"]))
        return Progress(values["step"], values["tokens"], place, Guard(**values["guard"]), values["rollbacks"])


@dataclass(frozen=True)
class Result:
    """How a run ended."""

    step: int
    tokens: int
    finished: bool  # false: it was asked to stop, and the same command goes on
    bits_per_byte: Mapping[str, float]
    seconds: float  # by the clock
    cpu_seconds: float  # of this process, all threads


class Run:
    """One training run: model, optimiser, data and folder."""

    def __init__(self, recipe: Recipe, sources: Mapping[str, Path], tokenizer: Path, target: Path) -> None:
        self.recipe, self.target = recipe, target
        if recipe.threads:
            torch.set_num_threads(recipe.threads)
        identity = tok.identity(tok.load(tokenizer))
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
        self.kernel = attention.choose(recipe.attention, device, dtype, heads, self.shape.head_dim)
        self.identities = {"tokenizer": identity, "data": self.feed.fingerprint}
        self.model: AlibiLM = empty(self.shape, self.kernel, device, recipe.recompute, recipe.dropout)
        self.model.init_weights(recipe.seed)
        alone = self.world.data_size == 1 and recipe.tensor == 1
        self.called: nn.Module = parallel.spread(self.model, self.world, recipe, self.bf16)
        self.optimiser = Optimiser(self.model, recipe, masters=self.bf16 and alone)
        self.progress = Progress()

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
            checkpoint.save(self.target / "checkpoints", self.progress.step, held, self.recipe.keep)
        self.world.barrier()

    def resume(self) -> bool:
        """Take up the newest checkpoint. Raises SettingsError where it belongs to another run."""
        folder = self.target / "checkpoints"
        step = self.world.agreed(max(checkpoint.steps(folder), default=-1))
        if step < 0:
            return False
        held = checkpoint.load(checkpoint.named(folder, step))
        wanted = json.loads(json.dumps(self.decisive()))
        different = sorted(key for key, value in wanted.items() if held.state.get(key) != value)
        if different:
            raise SettingsError(
                f"{self.target} holds a run with another {', '.join(different)}: name another folder or remove this"
            )
        self.optimiser.load(held.weights, held.optimiser)
        torch.set_rng_state(torch.tensor(held.state["rng"], dtype=torch.uint8))
        self.progress = Progress.of(held.state)
        if self.recipe.attention == "auto":  # the kernel is part of the numbers: go on with the same one
            self.kernel = held.state["attention"]
            self.model.set_kernel(self.kernel)
        return True

    def update(self, batch: Batch) -> dict[str, Any]:
        """One update; what the log says of it. A loss that is no number changes nothing: loss and norm are None."""
        tokens = self.progress.tokens + batch.tokens.size
        line: dict[str, Any] = {"step": self.progress.step + 1, "tokens": tokens, "loss": None, "norm": None}
        loss = self.gradients(batch)
        norm = self.optimiser.clip() if math.isfinite(loss) else math.nan
        if not math.isfinite(norm):
            self.optimiser.clear()
            return {**line, "rows": [int(batch.positions[0]), int(batch.positions[-1]) + 1]}
        return {**line, "loss": loss, "norm": norm, "lr": self.optimiser.step(tokens)}

    def spiked(self, line: Mapping[str, Any], batch: Batch) -> bool:
        """Whether this update is the second in a row far above what was usual, and may still be undone."""
        if line["loss"] is None:
            return False
        values = [line["loss"], line["norm"]]
        high = self.progress.guard.spiked(values, self.recipe.spike, int(batch.positions[0]))
        return high and self.progress.rollbacks < _ROLLBACKS

    def gradients(self, batch: Batch) -> float:
        """Forward and backward of one whole batch; the mean loss of its counted tokens, in nats.

        The mean is over the batch's tokens on all ranks, so that micro-batches and ranks change nothing.
        """
        world, recipe = self.world, self.recipe
        counted = max(1, int((batch.targets != IGNORED).sum()))
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


def train(
    recipe: Recipe, sources: Mapping[str, Path], tokenizer: Path, target: Path, say: Callable[[str], None] = print
) -> Result:
    """Train on token shards (`sources`: language -> folder), or go on with what `target` holds.

    Raises SettingsError for a foreign folder, InputError for missing tokens, TrainingFailed where no loss is finite.
    """
    start, used = time.monotonic(), time.process_time()
    run = Run(recipe, sources, tokenizer, target)
    try:
        resumed = run.resume()
        journal = Journal(target, run.world.first, recipe.tensorboard, say)
        journal.open(run.progress.step, {**run.decisive(), "attention": run.kernel})
        journal.say(
            f"{run.shape.parameters:,} parameters, {recipe.tokens:,} tokens, attention {run.kernel}, "
            f"{'bf16' if run.bf16 else 'fp32'}, from step {run.progress.step}"
        )
        if not resumed:
            run.save()
        with closing(journal), _signals() as asked:
            finished = _updates(run, asked, journal)
            bits = _held_out_bits(run, recipe.evaluate_bytes) if finished else {}
            if finished:
                last = {"step": run.progress.step, "tokens": run.progress.tokens, "bits_per_byte": bits}
                journal.event({**last, "event": "finished"})
            journal.picture()
        took = time.monotonic() - start, time.process_time() - used
        return Result(run.progress.step, run.progress.tokens, finished, bits, *took)
    finally:
        parallel.stop(run.world)


def _updates(run: Run, asked: Mapping[str, bool], journal: Journal) -> bool:
    """All updates that are left; False when the run was asked to stop. Rolls back and starts over after a spike."""
    while run.progress.tokens < run.recipe.tokens:
        with closing(ahead(run.feed, run.progress.place, updates(run.recipe, run.progress.tokens))) as batches:
            outcome = _follow(run, batches, asked, journal)
        if outcome != "rolled back":
            return outcome == "finished"
    return True


def _follow(run: Run, batches: Iterator[tuple[Batch, Place]], asked: Mapping[str, bool], journal: Journal) -> str:
    """Update with batch after batch: until "finished", "stopped" or "rolled back"."""
    recipe = run.recipe
    passed = 0
    began = time.perf_counter()
    while (item := next(batches, None)) is not None:
        batch, place = item
        waited = time.perf_counter() - began
        line = run.update(batch)
        passed = 0 if line["loss"] is not None else passed + 1
        if passed >= _PASSED_OVER:
            raise TrainingFailed(f"no finite loss in {passed} batches: lower train.lr, or look at rows {line['rows']}")
        if run.spiked(line, batch):
            _roll_back(run, place.position, journal)
            return "rolled back"
        run.progress = replace(run.progress, step=line["step"], tokens=line["tokens"], place=place)
        seconds = time.perf_counter() - began
        journal.update(line, {"seconds": seconds, "waited": waited, **_speed(run, batch.tokens.size / seconds)})
        last = run.progress.tokens >= recipe.tokens
        stop = bool(run.world.total([float(asked["stop"])])[0])
        if last or stop or run.progress.step % recipe.save_every == 0:
            run.save()
        if stop and not last:
            return "stopped"
        if recipe.evaluate_every and run.progress.step % recipe.evaluate_every == 0 and not last:
            _report(run, journal, seconds)
        began = time.perf_counter()
    return "finished"


def _roll_back(run: Run, until: int, journal: Journal) -> None:
    """Back to the last checkpoint, and pass over the rows from where the spike began to here."""
    since, rollbacks = run.progress.guard.since, run.progress.rollbacks + 1
    run.resume()
    run.progress = replace(run.progress, place=run.progress.place.skipping(since, until), rollbacks=rollbacks)
    journal.event({"step": run.progress.step, "event": "rolled back", "skipped": [since, until]})


def _speed(run: Run, tokens_per_second: float) -> dict[str, float]:
    """Tokens a second, and the share of the device's peak (model operations; PaLM's way and causal) if it is known."""
    found = {"tokens_per_second": tokens_per_second}
    if run.world.device.type == "cuda":
        name = torch.cuda.get_device_name(run.world.device)
        peak = next((value for key, value in _PEAKS.items() if key in name), None)
        if peak:
            each = tokens_per_second / run.world.size
            found["mfu"] = each * run.shape.flops_per_token(run.recipe.length) / peak
            found["mfu_causal"] = each * run.shape.flops_per_token(run.recipe.length, causal=True) / peak
    return found


def _held_out_bits(run: Run, budget: int) -> dict[str, float]:
    """Bits per byte of each language, on the first rank's model; other ranks wait for it."""
    run.model.eval()
    model, world = run.model, run.world
    if world.size > 1:  # parameters may lie in parts: the first rank judges a whole copy
        weights = run.optimiser.weights()
        model = empty(run.shape, "additive", world.device)
        model.load_state_dict(weights)
        model.eval()
    found = {}
    if world.first:
        found = {
            language: evaluate.bits_per_byte(model, shards, run.recipe.length, budget).bits_per_byte
            for language, shards in run.held_out.items()
            if len(shards.n_bytes)
        }
    run.model.train()
    world.barrier()
    return found


def _report(run: Run, journal: Journal, seconds: float) -> None:
    """Judge the model on held-out text, and say how far the run is."""
    bits = _held_out_bits(run, run.recipe.evaluate_bytes)
    progress, each = run.progress, run.recipe.batch_tokens / seconds
    journal.event({"step": progress.step, "tokens": progress.tokens, "bits_per_byte": bits})
    said = ", ".join(f"{language} {value:.3f}" for language, value in bits.items())
    left = (run.recipe.tokens - progress.tokens) / each
    mfu = _speed(run, each).get("mfu")
    share = f" ({100 * mfu:.0f} % MFU)" if mfu else ""
    journal.say(
        f"step {progress.step}: {progress.tokens:,} tokens, bits per byte {said}, "
        f"{each:,.0f} tokens/s{share}, {left:.0f} s left"
    )
    journal.picture()


@contextmanager
def _signals() -> Iterator[dict[str, bool]]:
    """Turn SIGTERM and SIGINT into a wish to stop after the update; the second one stops at once."""
    asked = {"stop": False}

    def ask(number: int, frame: FrameType | None) -> None:
        if asked["stop"]:
            raise KeyboardInterrupt
        asked["stop"] = True

    before = {number: signal.signal(number, ask) for number in (signal.SIGTERM, signal.SIGINT)}
    try:
        yield asked
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
