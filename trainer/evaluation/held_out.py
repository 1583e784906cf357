"""How well a model predicts held-out text: bits per byte, which compare models with different tokenizers.

bits per byte = sum of -ln p over the tokens of the text / (ln 2 x UTF-8 bytes of the text). The cost of `</s>`, which
ends a document and has no bytes, is reported apart. Documents are read one by one, in windows that overlap by half.
"""

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from tokenizers import Tokenizer
from torch import Tensor

from roots.errors import InputError
from trainer.data.feed import IGNORE_INDEX
from trainer.data.token_shards import TokenShards
from trainer.model.decoder import AlibiLM, Sampling
from trainer.model.loss import token_losses
from trainer.settings import EvaluateSettings
from trainer.tokenizer.files import END_ID, PAD_ID

_Window = tuple[list[int], list[int]]  # inputs and targets of one row


@dataclass(frozen=True)
class _Bits:
    """What the held-out text of one language costs."""

    bits_per_byte: float
    nats_per_token: float
    end_nats: float  # mean cost of the end of a document
    bytes: int
    tokens: int
    documents: int


def judged_windows(document: Sequence[int], length: int) -> Iterator[_Window]:
    """Cut one document (`</s>` first) into rows of at most `length` inputs that count each target exactly once.

    Targets after the first row have at least half a row of context. The last target is the `</s>` after the document.
    """
    tokens = [*document, END_ID]
    stride = max(1, length // 2)
    done = 0
    while done < len(tokens) - 1:
        stop = min(len(tokens) - 1, length if not done else done + stride)
        start = max(0, stop - length)
        targets = [IGNORE_INDEX] * (done - start) + tokens[done + 1 : stop + 1]
        yield tokens[start:stop], targets
        done = stop


def _documents_within(shards: TokenShards, budget: int) -> list[int]:
    """Return the first documents that together hold about `budget` bytes, at least one.

    Raises InputError if there is none.
    """
    if not len(shards.n_bytes):
        raise InputError(f"no held-out text of {shards.language!r}: make shards with a larger validation share")
    ends = np.cumsum(shards.n_bytes)
    return list(range(min(len(ends), int(np.searchsorted(ends, budget)) + 1)))


@torch.no_grad()
def bits_per_byte(model: AlibiLM, shards: TokenShards, length: int, budget: int, rows: int = 16) -> _Bits:
    """Measure a model on about `budget` bytes of held-out token shards of one language."""
    device = model.head.device
    wanted = _documents_within(shards, budget)
    text = ends = 0.0
    text_tokens = 0
    pending: list[_Window] = []

    def flush() -> tuple[float, float, int]:
        inputs, targets = _padded_rows(pending, device)
        hidden = model.hidden(inputs)
        losses = token_losses(hidden.flatten(0, 1), model.head, targets.flatten()).double()
        flat = targets.flatten()
        end = flat == END_ID
        counted = (flat != IGNORE_INDEX) & ~end
        pending.clear()
        return float(losses[counted].sum()), float(losses[end].sum()), int(counted.sum())

    queue = sorted(
        (w for i in wanted for w in judged_windows(shards.document(i).tolist(), length)), key=lambda w: len(w[0])
    )
    for window in queue:
        pending.append(window)
        if len(pending) == rows or window is queue[-1]:
            some, end, count = flush()
            text, ends, text_tokens = text + some, ends + end, text_tokens + count
    size = int(shards.n_bytes[wanted].sum())
    return _Bits(
        text / (math.log(2) * max(1, size)),
        text / max(1, text_tokens),
        ends / len(wanted),
        size,
        text_tokens,
        len(wanted),
    )


def _padded_rows(rows: Sequence[_Window], device: torch.device) -> tuple[Tensor, Tensor]:
    """Put rows of different lengths in one batch; the padding is on the right, where no token sees it."""
    longest = max(len(inputs) for inputs, _ in rows)
    inputs = torch.full((len(rows), longest), PAD_ID)
    targets = torch.full((len(rows), longest), IGNORE_INDEX)
    for at, (left, right) in enumerate(rows):
        inputs[at, : len(left)] = torch.tensor(left)
        targets[at, : len(right)] = torch.tensor(right)
    return inputs.to(device), targets.to(device)


@torch.no_grad()
def extrapolation(model: AlibiLM, shards: TokenShards, lengths: Sequence[int], budget: int) -> dict[int, float]:
    """Measure held-out text in windows of each length: length -> bits per byte.

    The same tokens count at every length. With ALiBi, windows longer than in training should help (Press et al. 2022,
    figure 1). Lengths beyond the text are left out.
    """
    wanted = _documents_within(shards, budget)
    stop = int(shards.starts[wanted[-1] + 1])
    lengths = [length for length in lengths if length < stop]
    if not lengths:
        return {}
    count = (stop - 1) // max(lengths) * max(lengths)
    stream = torch.from_numpy(shards.read(0, count + 1).astype(np.int64)).to(model.head.device)
    share = float(shards.n_bytes[wanted].sum()) / (stop - len(wanted)) * float((stream[1:] != END_ID).sum())
    found = {}
    for length in lengths:
        total = 0.0
        for row in range(0, count, length):
            targets = stream[row + 1 : row + length + 1].masked_fill(
                stream[row + 1 : row + length + 1] == END_ID, IGNORE_INDEX
            )
            hidden = model.hidden(stream[None, row : row + length])
            total += float(token_losses(hidden[0], model.head, targets).double().sum())
        found[length] = total / (math.log(2) * share)
    return found


def _continue_prompt(
    model: AlibiLM, tokenizer: Tokenizer, prompt: str, count: int, sampling: Sampling, seed: int = 0
) -> str:
    """Return the prompt and its continuation, until the model ends the document or `count` tokens are drawn."""
    ids = [END_ID, *tokenizer.encode(prompt, add_special_tokens=False).ids]
    tokens = torch.tensor([ids], device=model.head.device)
    made = model.generate(tokens, count, sampling, seed, lambda newest: int(newest[0]) == END_ID)
    return prompt + tokenizer.decode([i for i in made[0].tolist() if i != END_ID], skip_special_tokens=True)


def _prompts(shards: TokenShards, tokenizer: Tokenizer, count: int, length: int = 12) -> list[str]:
    """Return the first tokens of `count` held-out documents that are long enough, spread over all."""
    long = [i for i, size in enumerate(np.diff(shards.starts)) if size > 2 * length] or list(range(len(shards.n_bytes)))
    picked = [long[int(at)] for at in np.linspace(0, len(long) - 1, count)]
    return [tokenizer.decode(shards.document(i)[1 : length + 1].tolist()) for i in picked]


def _reserved_tokens(tokenizer: Tokenizer, rows: int) -> tuple[int, ...]:
    """Return ids that must not be drawn: special ones except `</s>`, reserved ones, and padding of the embedding."""
    special = {at for at, token in tokenizer.get_added_tokens_decoder().items() if token.special}
    plain = set(tokenizer.get_vocab(with_added_tokens=True).values()) - special
    return tuple(i for i in range(rows) if i != END_ID and i not in plain)


def evaluate_model(
    model: AlibiLM,
    tokenizer: Tokenizer,
    held_out: Mapping[str, TokenShards],
    trained_length: int,
    settings: EvaluateSettings,
) -> dict[str, Any]:
    """Return bits per byte, extrapolation and samples of each language, and the mean of all, as plain values."""
    length = settings.length or trained_length
    drawn = Sampling(settings.temperature, settings.top_k, _reserved_tokens(tokenizer, model.shape.vocabulary))
    found: dict[str, Any] = {}
    for language, shards in sorted(held_out.items()):
        bits = bits_per_byte(model, shards, length, settings.bytes)
        lengths = [length * times for times in settings.curve]
        starts = _prompts(shards, tokenizer, settings.samples) if settings.samples else []
        found[language] = {
            **bits.__dict__,
            "extrapolation": {str(k): v for k, v in extrapolation(model, shards, lengths, settings.bytes).items()},
            "samples": [
                _continue_prompt(model, tokenizer, text, settings.sample_tokens, drawn, settings.seed + i)
                for i, text in enumerate(starts)
            ],
        }
    values = [entry["bits_per_byte"] for entry in found.values()]
    return {"length": length, "mean_bits_per_byte": float(np.mean(values)), "languages": found}
