"""Examples as tokens: `</s>`, the input, the target, `</s>`. Input and target are cut apart, as BLOOMZ's were.

Pre-training begins each document with `</s>`, so an input begins with it, too. Positions are relative (ALiBi), so an
example in a packed row is what it is alone.
"""

import hashlib
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt
from tokenizers import Tokenizer

from roots import shards
from roots.errors import InputError
from trainer.data.feed import IGNORE_INDEX
from trainer.data.order import Turns, permuted
from trainer.data.packing import best_fit
from trainer.data.token_shards import Ints
from trainer.finetune.settings import FinetuneSettings
from trainer.tokenizer.files import END_ID, PAD_ID

_WINDOW = 10_000  # examples packed together
_COLUMNS = ("id", "data_set", "template", "language", "inputs", "targets")
_NO_LANGUAGE = "unknown"

Floats = npt.NDArray[np.float32]


class TokenExample(NamedTuple):
    """One example: its tokens, and where its target begins in them."""

    tokens: Ints
    target: int
    data_set: str


@dataclass(frozen=True)
class ExampleSets:
    """Examples to train on, by language; those that are measured; and counts for the report."""

    train: Mapping[str, Sequence[TokenExample]]
    held_out: Sequence[TokenExample]
    counts: Mapping[str, int]  # examples, too_long, cut_otherwise


def target_text(inputs: str, targets: str, separator: str) -> str:
    """Return a target as it follows its input: after the separator, unless white space is there already.

    Training and evaluation must both use it: without the space a model answers in another place than it has learned.
    """
    return targets if inputs[-1:].isspace() or targets[:1].isspace() else separator + targets


def encode_pair(tokenizer: Tokenizer, inputs: str, targets: str, separator: str) -> tuple[Ints, int]:
    """Return the tokens of a pair, and where its target begins in them."""
    first = tokenizer.encode(inputs, add_special_tokens=False).ids
    second = tokenizer.encode(target_text(inputs, targets, separator), add_special_tokens=False).ids
    return np.array([END_ID, *first, *second, END_ID], np.int64), 1 + len(first)


def _draw(*parts: object) -> float:
    """Return a number from 0 to 1 that depends on the parts alone."""
    digest = hashlib.blake2b("\0".join(map(str, parts)).encode(), digest_size=8).digest()
    return int.from_bytes(digest) / 2**64


def _held_out_templates(chains: Sequence[Sequence[Path]], settings: FinetuneSettings) -> dict[str, set[str]]:
    """Return the templates of each data set that are not trained on; none of a data set with one template."""
    known: dict[str, set[str]] = defaultdict(set)
    for chain in chains:
        for batch in shards.read_kept(chain, ["data_set", "template"]):
            for name, template in zip(batch["data_set"].to_pylist(), batch["template"].to_pylist(), strict=True):
                known[name].add(template)
    found = {}
    for name, templates in known.items():
        order = sorted(templates, key=lambda template: (_draw(settings.seed, name, template), template))
        count = max(1, round(settings.held_out_prompts * len(order))) if settings.held_out_prompts else 0
        found[name] = set(order[: min(count, len(order) - 1)])
    return found


def read_examples(
    chains: Sequence[Sequence[Path]], tokenizer: Tokenizer, length: int, settings: FinetuneSettings
) -> ExampleSets:
    """Read the prompts that all stages keep. Raises InputError if no example fits in a row of `length` tokens.

    Held out are the examples of some templates; in a data set with one template, one record in twenty.
    """
    held_templates = _held_out_templates(chains, settings)
    train: dict[str, list[tuple[str, TokenExample]]] = defaultdict(list)
    held: dict[str, list[tuple[float, TokenExample]]] = defaultdict(list)
    counts = {"examples": 0, "too_long": 0, "cut_otherwise": 0}
    for row in _rows(chains):
        tokens, target = encode_pair(tokenizer, row["inputs"], row["targets"], settings.separator)
        counts["examples"] += 1
        if len(tokens) - 1 > length:
            counts["too_long"] += 1
            continue
        whole = row["inputs"] + target_text(row["inputs"], row["targets"], settings.separator)
        counts["cut_otherwise"] += tokenizer.encode(whole, add_special_tokens=False).ids != tokens[1:-1].tolist()
        example = TokenExample(tokens, target, row["data_set"])
        templates = held_templates[row["data_set"]]
        record = row["id"].partition("/")[0]
        if row["template"] in templates or (not templates and _draw(settings.seed, record) < 1 / 20):
            held[row["data_set"]].append((_draw(settings.seed, row["id"]), example))
        else:
            train[row["language"] or _NO_LANGUAGE].append((row["id"], example))
    if not train:
        raise InputError(f"no example fits in a row of {length} tokens: {counts['examples']} were read")
    measured = [
        example
        for _, some in sorted(held.items())
        for _, example in sorted(some, key=lambda item: item[0])[: settings.held_out]
    ]
    by_id = {name: [each for _, each in sorted(some, key=lambda item: item[0])] for name, some in sorted(train.items())}
    return ExampleSets(by_id, measured, counts)


def _rows(chains: Sequence[Sequence[Path]]) -> Iterator[dict[str, Any]]:
    for chain in chains:
        for batch in shards.read_kept(chain, _COLUMNS):
            yield from batch.to_pylist()


@dataclass(frozen=True)
class TargetBatch:
    """Rows for the model: tokens, targets and document numbers, int64 (rows, T); the weight of each target."""

    tokens: Ints
    targets: Ints
    docs: Ints
    weights: Floats

    @property
    def whole_weight(self) -> float:
        """The sum of all weights, by which the loss of a batch is divided."""
        return float(self.weights.sum(dtype=np.float64))

    def part(self, start: int, stop: int) -> "TargetBatch":
        """Return the rows from `start` to before `stop`."""
        rows = slice(start, stop)
        return TargetBatch(self.tokens[rows], self.targets[rows], self.docs[rows], self.weights[rows])


def _weight(length: int, normalise: str) -> float:
    """Return the weight of each token of a target of `length` tokens."""
    return float({"target": 1 / length, "token": 1.0, "sqrt": length**-0.5}[normalise])


def fill_rows(rows: Sequence[Sequence[TokenExample]], length: int, normalise: str) -> TargetBatch:
    """Put the examples of each row one after another. Only targets and their `</s>` count; padding is a document."""
    tokens, targets = np.full((len(rows), length), PAD_ID), np.full((len(rows), length), IGNORE_INDEX)
    docs, weights = np.full((len(rows), length), -1), np.zeros((len(rows), length), np.float32)
    for row, examples in enumerate(rows):
        at = 0
        for number, example in enumerate(examples):
            stop, first = at + len(example.tokens) - 1, at + example.target - 1
            tokens[row, at:stop] = example.tokens[:-1]
            targets[row, first:stop] = example.tokens[example.target :]
            weights[row, first:stop] = _weight(stop - first, normalise)
            docs[row, at:stop] = number
            at = stop
    return TargetBatch(tokens, targets, docs, weights)


class PackedRows:
    """The endless sequence of rows: examples packed by best fit, languages in turns by their weights.

    A language's rows are read in a keyed order, another one each epoch. The examples of a row stay together.
    """

    def __init__(
        self, sets: Mapping[str, Sequence[TokenExample]], length: int, weights: Mapping[str, float], seed: int
    ) -> None:
        self._seed = seed
        self._rows = [_packed(some, length, seed) for some in sets.values()]
        shares = [
            weights.get(name, 0.0) * len(rows) / len(some)  # a weight is of examples, a turn is a row
            for (name, some), rows in zip(sets.items(), self._rows, strict=True)
        ]
        self._turns = Turns(shares if any(shares) else [float(len(rows)) for rows in self._rows])
        used = sum(len(example.tokens) - 1 for some in sets.values() for example in some)
        self.count = sum(map(len, self._rows))
        self.padding = 1 - used / (self.count * length)

    def at(self, positions: Ints) -> list[list[TokenExample]]:
        """Return the examples of the rows at these positions."""
        found: list[list[TokenExample]] = []
        for source, turn in zip(*(each.tolist() for each in self._turns.at(positions)), strict=True):
            rows = self._rows[source]
            epoch, number = divmod(turn, len(rows))
            key = (self._seed << 40) ^ (source << 32) ^ epoch
            found.append(rows[int(permuted(np.array([number]), len(rows), key)[0])])
        return found


def _packed(examples: Sequence[TokenExample], length: int, seed: int) -> list[list[TokenExample]]:
    """Pack examples in a keyed order into rows of `length` places, a window of them at a time."""
    order = permuted(np.arange(len(examples)), len(examples), seed)
    rows: list[list[TokenExample]] = []
    for begin in range(0, len(order), _WINDOW):
        some = [examples[number] for number in order[begin : begin + _WINDOW]]
        bins = best_fit(np.array([len(example.tokens) - 1 for example in some]), length)
        made: list[list[TokenExample]] = [[] for _ in range(int(bins.max()) + 1)]
        for example, place in zip(some, bins.tolist(), strict=True):
            made[place].append(example)
        rows += made
    return rows
