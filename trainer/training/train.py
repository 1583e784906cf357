"""Train a decoder on token shards, and lose nothing when the run is stopped.

A run folder holds run.json (what decides the run), log.jsonl (one line per update), checkpoints/ and loss.svg. The same
command resumes from the newest checkpoint, bit for bit. SIGTERM and SIGINT save first. A spike of the loss rolls back
to the checkpoint before it and skips the rows since.
"""

import signal
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import closing, contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from types import FrameType

import torch

from roots.errors import TrainingFailed
from trainer.data.feed import DataPosition, RowBatch, prefetch
from trainer.evaluation import held_out
from trainer.model.decoder import empty_model
from trainer.training import parallel
from trainer.training.journal import Journal, finished_bits
from trainer.training.recipe import Recipe, rows_of_updates
from trainer.training.run import Run

_PASSED_OVER = 20  # batches in a row without a finite loss, after which the run ends with an error
_PEAKS = {"H100": 989e12, "H200": 989e12, "A100": 312e12, "B200": 2250e12}  # dense bfloat16 operations a second


@dataclass(frozen=True)
class TrainingResult:
    """How a run ended."""

    step: int
    tokens: int
    finished: bool  # false if it was asked to stop; the same command resumes it
    bits_per_byte: Mapping[str, float]
    wanted: int  # tokens of a whole run
    seconds: float  # by the clock
    cpu_seconds: float  # of this process, all threads
    first: bool = True  # of the run's processes: the one that prints

    def summary(self) -> str:
        """Describe it in one line."""
        used = f"{self.seconds:.0f} s, {self.cpu_seconds:.0f} s of CPU"
        if self.finished:
            return f"finished at step {self.step}, {self.tokens:,} tokens, {used}"
        return (
            f"stopped at step {self.step}, {self.tokens:,} of {self.wanted:,} tokens, {used}; "
            "the same command goes on from there"
        )


def train_decoder(
    recipe: Recipe, sources: Mapping[str, Path], tokenizer: Path, target: Path, say: Callable[[str], None] = print
) -> TrainingResult:
    """Train on token shards (`sources`: language -> folder), or resume the run in `target`.

    Raises SettingsError if `target` holds another run, InputError if there are no tokens, TrainingFailed if no loss is
    finite.
    """
    start, used = time.monotonic(), time.process_time()
    run = Run(recipe, sources, tokenizer, target)
    try:
        with run.locked():
            finished, bits = _train(run, Journal(target, run.world.first, recipe.tensorboard, say))
        took = time.monotonic() - start, time.process_time() - used
        return TrainingResult(
            run.progress.step, run.progress.tokens, finished, bits, recipe.tokens, *took, run.world.first
        )
    finally:
        parallel.stop(run.world)


def _train(run: Run, journal: Journal) -> tuple[bool, dict[str, float]]:
    """Make the updates of a run that are left; return whether it finished, and its bits per byte then."""
    resumed, progress = run.resume(), run.progress
    bits = finished_bits(run.target, progress.step) if run.world.first and resumed else None
    if run.world.agreed(int(bits is not None and progress.tokens >= run.recipe.tokens)):
        journal.say(f"{run.target} is finished, so nothing is done; a larger train.tokens makes it longer")
        return True, bits or {}
    with closing(journal), _signals() as asked:
        _open_journal(run, journal)
        if not resumed:
            run.save()
        finished = _updates(run, asked, journal)
        bits = _held_out_bits(run, run.recipe.evaluate_bytes) if finished else {}
        if finished:
            last = {"step": run.progress.step, "tokens": run.progress.tokens, "bits_per_byte": bits}
            journal.event({**last, "event": "finished"})
            _report_average(run, journal)
        journal.picture()
    return finished, bits


def _report_average(run: Run, journal: Journal) -> None:
    """Write the mean of the last checkpoints if it is wanted, and say how good it is."""
    if (folder := run.save_average()) is not None:
        bits = _held_out_bits(run, run.recipe.evaluate_bytes)
        said = ", ".join(f"{language} {value:.3f}" for language, value in bits.items())
        journal.event({"step": run.progress.step, "event": "averaged", "average": bits})
        journal.say(f"{folder}: mean of the last {run.recipe.average} checkpoints, bits per byte {said}")


def _open_journal(run: Run, journal: Journal) -> None:
    """Open the journal, and say what will be trained, from where, and on how much of each language."""
    recipe, step = run.recipe, run.progress.step
    journal.open(step, {**run.decisive(), "attention": run.kernel})
    journal.say(
        f"{run.shape.parameters:,} parameters, {recipe.tokens:,} tokens, attention {run.kernel}, "
        f"{'bf16' if run.bf16 else 'fp32'}, from step {step}"
    )
    able = torch.cpu.get_capabilities().items()
    if run.bf16 and run.world.device.type == "cpu" and not any(has for name, has in able if "bf16" in name):
        journal.say(
            "this processor has no bfloat16, so torch emulates it: train.precision=fp32 is several times as fast"
        )
    for at, before, after in run.progress.lengths:
        if at == step:
            event = "lengthened" if after > before else "shortened"
            journal.event({"step": step, "event": event, "from": before, "to": after})
            journal.say(
                f"the run is {event} at step {step} from {before:,} to {after:,} tokens: "
                "the learning rate follows the new schedule from here"
            )
    for language, shards in run.data.held_out.items():
        if not len(shards.n_bytes):
            journal.say(f"{language}: no held-out text, so it is not measured")
    journal.say(run.data.feed.plan(-(-recipe.tokens // recipe.length)))


def _updates(run: Run, asked: Mapping[str, bool], journal: Journal) -> bool:
    """Make all updates that are left, with rollbacks after spikes. Return False if the run was asked to stop."""
    while run.progress.tokens < run.recipe.tokens:
        with closing(
            prefetch(run.data.feed, run.progress.place, rows_of_updates(run.recipe, run.progress.tokens))
        ) as batches:
            outcome = _follow(run, batches, asked, journal)
        if outcome != "rolled back":
            return outcome == "finished"
    return True


def _follow(
    run: Run, batches: Iterator[tuple[RowBatch, DataPosition]], asked: Mapping[str, bool], journal: Journal
) -> str:
    """Make updates until the run is "finished", "stopped" or "rolled back"."""
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
        stop = run.world.any(asked["stop"])
        if last or stop or run.progress.step % recipe.save_every == 0:
            run.save()
        if stop and not last:
            return "stopped"
        if recipe.evaluate_every and run.progress.step % recipe.evaluate_every == 0 and not last:
            _report(run, journal, seconds)
        else:
            journal.progress(_progress(run, seconds, f"loss {line['loss']:.3f}" if line["loss"] else "no finite loss"))
        began = time.perf_counter()
    return "finished"


def _roll_back(run: Run, until: int, journal: Journal) -> None:
    """Go back to the last checkpoint, and skip the rows since the spike began."""
    before = run.progress
    since = before.guard.since
    run.resume()
    place = replace(run.progress.place, skipped=before.place.skipped).skipping(since, until)
    run.progress = replace(run.progress, place=place, rollbacks=before.rollbacks + 1)
    journal.rewind(run.progress.step)
    journal.event({"step": run.progress.step, "event": "rolled back", "skipped": [since, until]})


def _speed(run: Run, tokens_per_second: float) -> dict[str, float]:
    """Return tokens per second, and the shares of the device's peak (PaLM's count, and causal) if that is known."""
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
    """Return the bits per byte of each language, measured on the first rank while the others wait."""
    run.model.eval()
    model, world = run.model, run.world
    if world.size > 1:  # parameters may be divided, so the first rank measures a whole copy
        weights = run.optimiser.weights()
        model = empty_model(run.shape, "additive", world.device)
        model.load_state_dict(weights)
        model.eval()
    found = {}
    if world.first:
        found = {
            language: held_out.bits_per_byte(model, shards, run.recipe.length, budget).bits_per_byte
            for language, shards in run.data.held_out.items()
            if len(shards.n_bytes)
        }
    run.model.train()
    world.barrier()
    return found


def _report(run: Run, journal: Journal, seconds: float) -> None:
    """Measure the model on held-out text, and report progress."""
    bits = _held_out_bits(run, run.recipe.evaluate_bytes)
    journal.event({"step": run.progress.step, "tokens": run.progress.tokens, "bits_per_byte": bits})
    said = ", ".join(f"{language} {value:.3f}" for language, value in bits.items())
    journal.say(_progress(run, seconds, f"bits per byte {said}"))
    journal.picture()


def _progress(run: Run, seconds: float, measured: str) -> str:
    """Say how far a run is, and how long the rest takes if each update takes `seconds`."""
    progress, each = run.progress, run.recipe.batch_tokens / seconds
    left = (run.recipe.tokens - progress.tokens) / each
    mfu = _speed(run, each).get("mfu")
    share = f" ({100 * mfu:.0f} % MFU)" if mfu else ""
    return (
        f"step {progress.step}: {progress.tokens:,} tokens, {measured}, {each:,.0f} tokens/s{share}, {left:.0f} s left"
    )


@contextmanager
def _signals() -> Iterator[dict[str, bool]]:
    """Turn SIGTERM and SIGINT into a request to stop after this update; a second signal stops at once."""
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
