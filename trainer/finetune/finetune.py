"""Fine-tune a model on prompts: only targets count, the learning rate is constant, the best checkpoint stays.

The run folder holds checkpoints/ with the best model, tokenizer/ and finetune.json, the report. `roots evaluate` and
`roots export` take it as any run.
"""

import json
import shutil
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import nullcontext
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor
from torch.utils.checkpoint import checkpoint as recomputed

from roots.atomic import write_text
from roots.errors import InputError, TrainingFailed
from roots.settings import as_values
from roots.storage import make_folder
from trainer.data.feed import IGNORE_INDEX, Feed
from trainer.data.token_shards import TokenShards
from trainer.evaluation import held_out
from trainer.finetune.examples import ExampleSets, PackedRows, TargetBatch, TokenExample, fill_rows, read_examples
from trainer.finetune.lora import add_lora, merged_weights
from trainer.finetune.settings import FinetuneRequest, FinetuneSettings
from trainer.model.attention import choose_kernel, layout_of
from trainer.model.checkpoint import Checkpoint, Start, find_checkpoint, read_start, read_state, save_checkpoint
from trainer.model.decoder import AlibiLM, empty_model
from trainer.tokenizer.files import load_tokenizer, tokenizer_digest, tokenizer_file
from trainer.training.parallel import clip_gradients

_CHUNK = 512  # targets whose logits are in memory at once
_USUAL_LR = 2e-5  # BLOOMZ's, for a model whose pre-training is not known
_SAY_SECONDS = 5.0


def target_loss(model: AlibiLM, batch: TargetBatch) -> Tensor:
    """Return the weighted sum of the losses of a batch's targets, float32. No other place has a gradient of its own."""
    device = model.head.device
    tokens, targets, docs = (torch.from_numpy(each).to(device) for each in (batch.tokens, batch.targets, batch.docs))
    hidden = model.hidden(tokens, layout_of(docs)).flatten(0, 1)
    counted = (targets.flatten() != IGNORE_INDEX).nonzero().flatten()
    weights = torch.from_numpy(batch.weights).to(device).flatten()[counted]
    total = torch.zeros((), device=device)
    for at in range(0, len(counted), _CHUNK):
        part = slice(at, at + _CHUNK)
        some = hidden[counted[part]], model.head, targets.flatten()[counted[part]], weights[part]
        total = total + recomputed(_weighted_loss, *some, use_reentrant=False)
    return total


def _weighted_loss(hidden: Tensor, head: Tensor, targets: Tensor, weights: Tensor) -> Tensor:
    logits = torch.nn.functional.linear(hidden, head).float()
    return (torch.nn.functional.cross_entropy(logits, targets, reduction="none") * weights).sum()


@torch.no_grad()
def _measure(model: AlibiLM, examples: Sequence[TokenExample], length: int, rows: int) -> tuple[float, float]:
    """Return the mean loss of a target's tokens, in nats, and the share of targets that greedy decoding gives whole."""
    model.eval()
    order = sorted(examples, key=lambda example: len(example.tokens))
    loss, right = 0.0, 0
    for at in range(0, len(order), rows):
        some = order[at : at + rows]
        batch = fill_rows([[example] for example in some], min(length, len(some[-1].tokens) - 1), "target")
        targets = torch.from_numpy(batch.targets).to(model.head.device)
        hidden = model.hidden(torch.from_numpy(batch.tokens).to(model.head.device))
        for states, wanted in zip(hidden, targets, strict=True):
            counted = wanted != IGNORE_INDEX
            logits = torch.nn.functional.linear(states[counted], model.head).float()
            loss += float(torch.nn.functional.cross_entropy(logits, wanted[counted]))
            right += bool((logits.argmax(1) == wanted[counted]).all())
    model.train()
    return loss / max(1, len(order)), right / max(1, len(order))


def _find_tokenizer(request: FinetuneRequest, start: Start) -> Path:
    """Return the tokenizer of the model. Raises InputError if it is nowhere."""
    model = request.model
    places = [model, model / "tokenizer", model.parent / "tokenizer", model.parent.parent.parent / "tokenizer"]
    for place in [request.tokenizer] if request.tokenizer else places:
        if tokenizer_file(place).is_file() and tokenizer_digest(load_tokenizer(place)) == start.tokenizer:
            return tokenizer_file(place)
    raise InputError(f"the tokenizer of {model} is not beside it: name it with --tokenizer")


def _find_tokens(request: FinetuneRequest, digest: str) -> dict[str, Path]:
    """Return the token shards of pre-training, by language: those named, or those beside the run."""
    beside = sorted(path.parent for path in (request.model.parent / "tokens").glob("*/tokens.json"))
    found = {}
    for folder in request.tokens or beside:
        shards = TokenShards(folder, "train", digest)
        found[shards.language] = folder
    return found


@dataclass
class _Tuning:
    """One run: the model and what it reads."""

    settings: FinetuneSettings
    model: AlibiLM
    rows: PackedRows
    replay: Feed | None
    length: int
    lr: float

    def __post_init__(self) -> None:
        trained = [parameter for parameter in self.model.parameters() if parameter.requires_grad]
        matrices = [parameter for parameter in trained if parameter.dim() == 2]
        others = [parameter for parameter in trained if parameter.dim() != 2]
        groups = [
            {"params": some, "weight_decay": decay}
            for some, decay in ((matrices, self.settings.weight_decay), (others, 0.0))
            if some
        ]
        self._optimiser = torch.optim.AdamW(groups, lr=self.lr, betas=(0.9, 0.95), eps=1e-8)
        self.trained = trained

    @property
    def replayed(self) -> int:
        """Rows of an update that are from pre-training."""
        return round(self.settings.replay * self.settings.batch_rows) if self.replay else 0

    def batches(self, step: int) -> list[tuple[TargetBatch, float]]:
        """Return the batch of prompts of an update, and that of replayed rows if there is one, with their shares."""
        rows = self.settings.batch_rows - self.replayed
        found = fill_rows(self.rows.at(np.arange(step * rows, (step + 1) * rows)), self.length, self.settings.normalise)
        if not self.replay or not self.replayed:
            return [(found, 1.0)]
        old = self.replay.batch(np.arange(step * self.replayed, (step + 1) * self.replayed))
        weights = (old.targets != IGNORE_INDEX).astype(np.float32)
        share = self.replayed / self.settings.batch_rows
        return [(found, 1 - share), (TargetBatch(old.tokens, old.targets, old.docs, weights), share)]

    def gradients(self, batches: Sequence[tuple[TargetBatch, float]]) -> float:
        """Run forward and backward; return the mean loss of the prompts. Micro-batches change nothing but rounding."""
        cuda = self.model.head.device.type == "cuda"
        losses = []
        for batch, share in batches:
            total = 0.0
            for at in range(0, len(batch.tokens), self.settings.micro_rows):
                with torch.autocast("cuda", torch.bfloat16) if cuda else nullcontext():
                    loss = target_loss(self.model, batch.part(at, at + self.settings.micro_rows))
                (loss * (share / max(batch.whole_weight, 1e-9))).backward()  # type: ignore[no-untyped-call]
                total += float(loss.detach())
            losses.append(total / max(batch.whole_weight, 1e-9))
        return losses[0]

    def update(self, step: int) -> float:
        """Make one update; return the mean loss of the prompts. Raises TrainingFailed if it is not finite."""
        loss = self.gradients(self.batches(step))
        norm = clip_gradients(self.trained, self.settings.clip)
        if not np.isfinite([loss, norm]).all():
            raise TrainingFailed(f"the loss of update {step} is not finite: lower finetune.lr")
        self._optimiser.step()
        self._optimiser.zero_grad()
        return loss


def _learning_rate(settings: FinetuneSettings, recipe: Mapping[str, Any]) -> float:
    """Return the constant rate: twice the lowest of pre-training, a fifth of its peak if it ended at 0."""
    if settings.lr:
        return settings.lr
    return 2 * float(recipe["lr"]) * (float(recipe.get("min_lr", 0)) or 0.1) if "lr" in recipe else _USUAL_LR


def finetune_model(request: FinetuneRequest, say: Callable[[str], None] = print) -> dict[str, Any]:
    """Fine-tune a model on prompts into a run folder; return the report.

    Raises InputError for a model, tokenizer or prompts that cannot be used, and for a target that holds a run;
    TrainingFailed if a loss is not finite.
    """
    settings = request.settings
    if (request.target / "checkpoints").exists():
        raise InputError(f"{request.target} holds a run: name another folder")
    if settings.threads:
        torch.set_num_threads(settings.threads)
    start = read_start(request.model)
    file = _find_tokenizer(request, start)
    tokenizer = load_tokenizer(file)
    exported = (request.model / "config.json").is_file()
    state: dict[str, Any] = {} if exported else read_state(find_checkpoint(request.model))
    length = settings.length or state.get("length") or _sequence_length(request.model)
    sets = read_examples(request.prompts, tokenizer, length, settings)
    device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
    kernel = choose_kernel(settings.attention, device, torch.float32, start.shape.heads, start.shape.head_dim)
    model = empty_model(start.shape, kernel, device)
    model.load_state_dict(start.weights)
    tokens = _find_tokens(request, start.tokenizer)
    before = _bits(model, tokens, start.tokenizer, length, settings)
    if settings.lora:
        add_lora(model, settings.lora, settings.lora_alpha, settings.seed)
    if settings.replay and not tokens:
        raise InputError("no token shards of pre-training beside the model: name them with --tokens, or replay nothing")
    folders = [TokenShards(folder, "train", start.tokenizer) for folder in tokens.values()]
    replay = Feed(folders, length, "bestfit", seed=settings.seed) if settings.replay else None
    rows = PackedRows(sets.train, length, request.weights, settings.seed)
    tuning = _Tuning(settings, model, rows, replay, length, _learning_rate(settings, state.get("recipe", {})))
    values = {
        **_state_of(request, start, tuning, sets), "attention": kernel, "languages": sorted(sets.train),
    }  # fmt: skip
    make_folder(request.target / "tokenizer")
    shutil.copyfile(file, request.target / "tokenizer" / "tokenizer.json")
    report = _describe(sets, tuning, say) | _train(tuning, sets, request.target, values, say)
    model = empty_model(start.shape, kernel, device)
    model.load_state_dict(read_start(request.target).weights)
    after = _bits(model, tokens, start.tokenizer, length, settings)
    for language, bits in sorted(after.items()):
        say(f"{language}: bits per byte {before[language]:.3f} before, {bits:.3f} after")
    report |= {"bits_per_byte": {"before": before, "after": after}}
    write_text(request.target / "finetune.json", json.dumps(report, indent=1, sort_keys=True) + "\n")
    return report


def _sequence_length(folder: Path) -> int:
    """Return the length of rows that a model folder names, BLOOM's otherwise."""
    found = json.loads((folder / "config.json").read_text(encoding="utf-8")).get("seq_length")
    return found if isinstance(found, int) and found > 0 else 2048


def _bits(
    model: AlibiLM, tokens: Mapping[str, Path], digest: str, length: int, settings: FinetuneSettings
) -> dict[str, float]:
    """Return bits per byte on the held-out text of pre-training, by language."""
    model.eval()
    shards = {language: TokenShards(folder, "validation", digest) for language, folder in tokens.items()}
    found = {
        language: held_out.bits_per_byte(model, each, length, settings.evaluate_bytes).bits_per_byte
        for language, each in shards.items()
        if len(each.n_bytes)
    }
    model.train()
    return found


def _state_of(request: FinetuneRequest, start: Start, tuning: _Tuning, sets: ExampleSets) -> dict[str, object]:
    """Return what the checkpoint says of the run, as export and evaluation read it."""
    settings = request.settings
    recipe = {**as_values(settings), "lr": tuning.lr, "length": tuning.length, "schedule": "constant"}
    return {
        "shape": asdict(start.shape), "tokenizer": start.tokenizer, "start": start.digest, "data": start.digest,
        "length": tuning.length, "recipe": recipe, "separator": settings.separator, "counts": dict(sets.counts),
    }  # fmt: skip


def _describe(sets: ExampleSets, tuning: _Tuning, say: Callable[[str], None]) -> dict[str, object]:
    """Say what is trained on what, and return it for the report."""
    trained = sum(parameter.numel() for parameter in tuning.trained)
    examples = sum(map(len, sets.train.values()))
    say(
        f"{trained:,} parameters are trained on {examples:,} examples in {tuning.rows.count:,} rows of {tuning.length} "
        f"tokens, {100 * tuning.rows.padding:.2f} % padding; learning rate {tuning.lr:g}"
    )
    say(
        f"{sets.counts['too_long']:,} examples are longer than a row and left out; the tokens of "
        f"{sets.counts['cut_otherwise']:,} differ from those of input and target as one text"
    )
    return {
        "trained_parameters": trained, "examples": examples, "held_out": len(sets.held_out), "lr": tuning.lr,
        "padding": round(tuning.rows.padding, 6), **sets.counts,
    }  # fmt: skip


def _train(
    tuning: _Tuning, sets: ExampleSets, target: Path, values: Mapping[str, Any], say: Callable[[str], None]
) -> dict[str, Any]:
    """Make updates until the tokens are read or the held-out loss stops falling; keep the best checkpoint."""
    settings = tuning.settings
    per_step = (settings.batch_rows - tuning.replayed) * tuning.length
    steps = -(-settings.tokens // per_step)
    measured = sets.held_out or [example for some in sets.train.values() for example in some][: settings.held_out]
    best, worse, step, curve = float("inf"), 0, 0, list[dict[str, float]]()
    said = time.monotonic()
    while True:
        if step % settings.evaluate_every == 0 or step == steps:
            loss, right = _measure(tuning.model, measured, tuning.length, settings.micro_rows)
            curve.append({"step": step, "loss": round(loss, 6), "exact": round(right, 6)})
            say(f"step {step} of {steps}: held-out loss {loss:.3f}, {100 * right:.1f} % of targets exact")
            if loss < best:
                best, worse = loss, 0
                read = step * per_step
                recipe = {**values["recipe"], "tokens": read}
                state = {**values, "recipe": recipe, "step": step, "tokens": read}
                save_checkpoint(target / "checkpoints", step, Checkpoint(merged_weights(tuning.model), {}, state), 1)
            else:
                worse += 1
            if step == steps or worse >= settings.patience:
                break
        train_loss = tuning.update(step)
        step += 1
        if time.monotonic() - said >= _SAY_SECONDS:
            said = time.monotonic()
            say(f"step {step} of {steps}: loss {train_loss:.3f}")
    chosen = min(curve, key=lambda point: point["loss"])
    say(f"the best model is that of step {chosen['step']}: {target}")
    return {"curve": curve, "best": chosen, "steps": step, "measured": "held-out" if sets.held_out else "training"}
