"""The rows that a run reads, as a function of seed and position.

Rows of each language are visited in a keyed pseudo-random permutation, a new one each epoch. Languages take turns, so
that every prefix holds their shares. Position p of a run is the same row for any number of ranks and micro-batches, so
one number is enough to resume a run exactly.
"""

import hashlib
import json
import math
import queue
import threading
from collections.abc import Generator, Iterator, Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from roots.errors import InputError, SettingsError, unknown_name
from trainer.data.order import Turns, permuted
from trainer.data.packing import PACKINGS
from trainer.data.token_shards import Ints, TokenShards
from trainer.tokenizer.files import END_ID

_ORDER = "tree of turns"  # the name of the order of languages: a run never goes on in another order
IGNORE_INDEX = -100  # target of a position that does not count, as in torch.nn.functional.cross_entropy


@dataclass(frozen=True)
class RowBatch:
    """Rows for the model: tokens, targets and document numbers, int64 (rows, T); positions (rows,)."""

    tokens: Ints
    targets: Ints
    docs: Ints
    positions: Ints

    def part(self, start: int, stop: int) -> "RowBatch":
        """Return the rows from `start` to before `stop`."""
        return RowBatch(
            self.tokens[start:stop], self.targets[start:stop], self.docs[start:stop], self.positions[start:stop]
        )


def _check_weights(weights: Mapping[str, float], languages: Sequence[str]) -> None:
    """Raise SettingsError unless there is one weight for each language, at least 0 and finite, and one is above 0."""
    for language, weight in weights.items():
        if language not in languages:
            raise SettingsError(f"train.weights: {unknown_name('language', language, languages)}")
        if not (math.isfinite(weight) and weight >= 0):
            raise SettingsError(f"train.weights: {language} = {weight:g} is no weight: use a number of at least 0")
    missing = sorted(set(languages) - set(weights))
    if missing:
        raise SettingsError(
            f"train.weights: no weight for {', '.join(missing)}; {missing[0]} = 0 leaves a language out of training"
        )
    if not any(weights.values()):
        raise SettingsError(f"train.weights: all weights are 0, so no row of {', '.join(languages)} would be read")


class Feed:
    """The endless, mixed, shuffled sequence of rows of one or more languages."""

    def __init__(
        self,
        sources: Sequence[TokenShards],
        length: int,
        packing: str = "concat",
        weights: Mapping[str, float] | None = None,
        seed: int = 0,
        alpha: float = 1.0,
    ) -> None:
        if packing not in PACKINGS:
            raise SettingsError(unknown_name("packing", packing, PACKINGS))
        self.length, self.seed = length, seed
        self.packed = [PACKINGS[packing](source, length) for source in sources]
        short = [s.language for s, p in zip(sources, self.packed, strict=True) if not p.rows]
        if short or not sources:
            raise InputError(f"{', '.join(short) or 'no language'}: fewer tokens than one row of {length + 1}")
        if weights:
            _check_weights(weights, [s.language for s in sources])
        rows = [float(p.rows) if alpha == 1 else p.rows**alpha for p in self.packed]
        shares = [float(weights[s.language]) for s in sources] if weights else rows
        self._turns = Turns(shares)
        self._shares = [share / sum(shares) for share in shares]
        parts = [_ORDER, packing, length, seed, shares, [s.fingerprint for s in sources]]
        self.fingerprint = hashlib.sha256(json.dumps(parts).encode()).hexdigest()

    @property
    def rows(self) -> int:
        """Rows of all languages together: one epoch if languages are weighed by size."""
        return sum(packed.rows for packed in self.packed)

    def plan(self, rows: int) -> str:
        """Say what a run of `rows` rows reads of each language, a line a language."""
        return "\n".join(
            f"{source.shards.language}: {source.rows:,} rows, {100 * share:.3g} % of the run, read "
            f"{share * rows / source.rows:.3g} times"
            for source, share in zip(self.packed, self._shares, strict=True)
        )

    def rows_at(self, positions: Ints) -> list[tuple[int, int]]:
        """Return the (language, row) at each position of the run."""
        source, turn = self._turns.at(positions)
        found = np.zeros(len(positions), dtype=np.int64)
        for at in range(len(self.packed)):
            size = self.packed[at].rows
            mine = np.flatnonzero(source == at)
            for epoch in np.unique(turn[mine] // size):
                these = mine[turn[mine] // size == epoch]
                found[these] = permuted(turn[these] % size, size, (self.seed << 40) ^ (at << 32) ^ int(epoch))
        return list(zip(source.tolist(), found.tolist(), strict=True))

    def batch(self, positions: Ints) -> RowBatch:
        """Return the rows at these positions."""
        tokens = np.empty((len(positions), self.length + 1), dtype=np.int64)
        docs = np.empty((len(positions), self.length + 1), dtype=np.int16)
        for at, (source, row) in enumerate(self.rows_at(positions)):
            self.packed[source].fill(row, tokens[at], docs[at])
        targets = tokens[:, 1:].copy()
        wide = docs.astype(np.int64)
        # A target counts if it continues the document of its input, or is the `</s>` that ends it.
        targets[(wide[:, :-1] < 0) | ((wide[:, 1:] != wide[:, :-1]) & (targets != END_ID))] = IGNORE_INDEX
        return RowBatch(tokens[:, :-1], targets, wide[:, :-1], positions)


@dataclass(frozen=True)
class DataPosition:
    """How far a run has read: the next position, and ranges to skip because their rows spoiled the loss."""

    position: int = 0
    skipped: tuple[tuple[int, int], ...] = ()

    def take(self, rows: int) -> tuple[Ints, "DataPosition"]:
        """Return the next `rows` positions, and the place after them."""
        found: list[Ints] = []
        position, left = self.position, rows
        while left:
            ahead = [(a, b) for a, b in self.skipped if b > position]
            inside = [b for a, b in ahead if a <= position]
            if inside:
                position = max(inside)
                continue
            stop = min([position + left, *(a for a, _ in ahead)])
            found.append(np.arange(position, stop))
            left -= stop - position
            position = stop
        return np.concatenate(found), DataPosition(position, self.skipped)

    def skipping(self, start: int, stop: int) -> "DataPosition":
        """Return this place with the positions from `start` to before `stop` skipped."""
        return DataPosition(self.position, tuple(sorted({*self.skipped, (start, stop)})))

    def as_values(self) -> dict[str, object]:
        """Return plain values for a checkpoint."""
        return {"position": self.position, "skipped": [list(pair) for pair in self.skipped]}


def prefetch(
    feed: Feed, place: DataPosition, sizes: Iterator[int], depth: int = 2
) -> Generator[tuple[RowBatch, DataPosition], None, None]:
    """Yield batches of `sizes` rows from `place` on, with the place after each; one thread makes them in advance.

    At most `depth` batches are ready. The place counts what was used, not what was prepared.
    """
    ready: queue.Queue[tuple[RowBatch, DataPosition] | BaseException | None] = queue.Queue(depth)
    stop = threading.Event()

    def put(item: tuple[RowBatch, DataPosition] | BaseException | None) -> None:
        while not stop.is_set():
            try:
                ready.put(item, timeout=0.1)
                return
            except queue.Full:
                continue

    def work() -> None:
        here = place
        try:
            for rows in sizes:
                if stop.is_set():
                    return
                positions, here = here.take(rows)
                put((feed.batch(positions), here))
            put(None)
        except (InputError, ValueError, OSError, IndexError, MemoryError) as error:
            put(error)

    thread = threading.Thread(target=work, daemon=True)
    thread.start()
    try:
        while (item := ready.get()) is not None:
            if isinstance(item, BaseException):
                raise item
            yield item
    finally:
        stop.set()
        thread.join()
