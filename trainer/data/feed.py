"""Rows for the model: packing, mixing, order. All of it is a function of (seed, position): nothing else is remembered.

A row holds T + 1 tokens: T inputs and the T targets one to the right. Rows of each language are visited in a keyed
pseudo-random permutation, a fresh one an epoch; languages take turns so that their shares hold in every prefix.
Position p of a run is the same row on any number of ranks, workers and micro-batches, so that a run resumes exactly
from one number.
"""

import hashlib
import json
import queue
import threading
from bisect import bisect_left, insort
from collections.abc import Generator, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from roots.errors import InputError, SettingsError, unknown_name
from trainer.data.tokens import Ints, TokenShards
from trainer.tokenizer.byte_level_bpe import END

IGNORED = -100  # a target that is not counted
BLOCK = 65_536  # documents packed together
_PERIOD = 4_096  # positions after which the languages' turns repeat

_Unsigned = npt.NDArray[np.uint64]


def permuted(index: Ints, size: int, key: int) -> Ints:
    """A pseudo-random permutation of 0..size-1, applied to `index`: four Feistel rounds, cycle walking, no table.

    Raises ValueError for an index out of range. Source: Luby and Rackoff 1988; Black and Rogaway 2002.
    """
    if size < 1 or (len(index) and (index.min() < 0 or index.max() >= size)):
        raise ValueError(f"an index lies outside 0..{size - 1}")
    half = np.uint64(max(1, -(-(size - 1).bit_length() // 2)))
    mask = np.uint64((1 << int(half)) - 1)
    digest = hashlib.blake2b(key.to_bytes(16, "little", signed=True), digest_size=32).digest()
    keys = np.frombuffer(digest, dtype="<u8")
    value = index.astype(np.uint64)
    todo = np.ones(len(value), dtype=np.bool_)
    while todo.any():
        left, right = value[todo] >> half, value[todo] & mask
        for round_key in keys:
            left, right = right, left ^ (_mixed(right + round_key) & mask)
        value[todo] = (left << half) | right
        todo = value >= np.uint64(size)
    return value.astype(np.int64)


def _mixed(value: _Unsigned) -> _Unsigned:
    """Every output bit depends on every input bit (the finaliser of SplitMix64; Steele et al. 2014)."""
    value = (value ^ (value >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    value = (value ^ (value >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return value ^ (value >> np.uint64(31))


def turns(weights: Sequence[float], period: int = _PERIOD) -> npt.NDArray[np.int16]:
    """Whose turn it is at each position of a period: every prefix holds each share within one row.

    Source: Tijdeman 1980, the chairman assignment problem.
    """
    shares = np.asarray(weights, dtype=np.float64)
    shares = shares / shares.sum()
    counts = np.zeros(len(shares))
    slack = 1 / (2 * len(shares) - 2) if len(shares) > 1 else 1.0
    order = np.zeros(period, dtype=np.int16)
    for position in range(1, period + 1):
        owed = shares * position - counts
        deadline = np.where((owed >= slack) & (shares > 0), (1 - slack - owed) / np.maximum(shares, 1e-300), np.inf)
        chosen = int(np.argmin(deadline)) if np.isfinite(deadline).any() else int(np.argmax(owed))
        order[position - 1] = chosen
        counts[chosen] += 1
    return order


class _Concatenated:
    """Rows cut from the stream of documents, T tokens each; a document may begin in one row and end in the next."""

    def __init__(self, shards: TokenShards, length: int) -> None:
        self.shards, self.length = shards, length
        self.rows = max(0, (shards.tokens - 1) // length)

    def fill(self, row: int, tokens: Ints, docs: npt.NDArray[np.int16]) -> None:
        """Write T + 1 tokens and the T + 1 document numbers (from 0) of a row."""
        start = row * self.length
        tokens[:] = self.shards.read(start, self.length + 1)
        first = int(np.searchsorted(self.shards.starts, start, side="right"))
        last = int(np.searchsorted(self.shards.starts, start + self.length, side="right"))
        docs[:] = 0
        docs[self.shards.starts[first:last] - start] = 1
        np.cumsum(docs, out=docs)


class BestFit:
    """Rows of whole documents, packed by best fit decreasing; only documents longer than a row are cut.

    Planned in blocks of 65,536 documents. Measured: 99.99 % of the places filled, where plain concatenation cuts 22 %
    of the documents although only 3 % are longer than a row.
    """

    def __init__(self, shards: TokenShards, length: int) -> None:
        self.shards, self.length = shards, length
        starts: list[Ints] = []
        sizes: list[Ints] = []
        rows: list[Ints] = []
        count = 0
        for begin in range(0, len(shards.starts) - 1, BLOCK):
            block = shards.starts[begin : begin + BLOCK + 1]
            start, size = _cut(block, length + 1)
            row = best_fit(size, length + 1)
            starts.append(start)
            sizes.append(size)
            rows.append(row + count)
            count = int(rows[-1].max(initial=count - 1)) + 1
        all_rows = np.concatenate(rows) if rows else np.zeros(0, np.int64)
        order = np.argsort(all_rows, kind="stable")
        self._start = (np.concatenate(starts) if starts else all_rows)[order]
        self._size = (np.concatenate(sizes) if sizes else all_rows)[order]
        self._first = np.searchsorted(all_rows[order], np.arange(count + 1))
        self.rows = count

    def fill(self, row: int, tokens: Ints, docs: npt.NDArray[np.int16]) -> None:
        """Write T + 1 tokens and document numbers; what is left over is `</s>` with document number -1."""
        at = 0
        tokens[:] = END
        docs[:] = -1
        for number, piece in enumerate(range(int(self._first[row]), int(self._first[row + 1]))):
            size = int(self._size[piece])
            tokens[at : at + size] = self.shards.read(int(self._start[piece]), size)
            docs[at : at + size] = number
            at += size


def _cut(starts: Ints, longest: int) -> tuple[Ints, Ints]:
    """(start, size) of every piece of the documents that begin at `starts`; none is longer than `longest`."""
    sizes = np.diff(starts)
    pieces = np.maximum(1, -(-sizes // longest))
    which = np.repeat(np.arange(len(sizes)), pieces)
    within = np.arange(len(which)) - np.repeat(np.cumsum(pieces) - pieces, pieces)
    start = starts[:-1][which] + within * longest
    return start, np.minimum(longest, starts[1:][which] - start)


def best_fit(sizes: Ints, capacity: int) -> Ints:
    """The bin of each size, by best fit decreasing: the fullest bin that still has room. Bins number from 0.

    Ties keep the order of the sizes, so equal input gives equal bins.
    """
    bins = np.zeros(len(sizes), dtype=np.int64)
    room: dict[int, list[int]] = {}  # room left -> bins
    rooms: list[int] = []  # the keys, sorted
    count = 0
    for item in np.argsort(-sizes, kind="stable"):
        size = int(sizes[item])
        at = bisect_left(rooms, size)
        if at < len(rooms):
            left = rooms[at]
            chosen = room[left].pop()
            if not room[left]:
                del room[left]
                rooms.pop(at)
        else:
            left, chosen, count = capacity, count, count + 1
        bins[item] = chosen
        if left > size:
            if left - size not in room:
                insort(rooms, left - size)
                room[left - size] = []
            room[left - size].append(chosen)
    return bins


PACKINGS: Mapping[str, type[_Concatenated] | type[BestFit]] = {"concat": _Concatenated, "bestfit": BestFit}


@dataclass(frozen=True)
class Batch:
    """Rows ready for the model: tokens, targets and document numbers, int64 (rows, T); positions (rows,)."""

    tokens: Ints
    targets: Ints
    docs: Ints
    positions: Ints

    def part(self, start: int, stop: int) -> "Batch":
        """Some of the rows."""
        return Batch(
            self.tokens[start:stop], self.targets[start:stop], self.docs[start:stop], self.positions[start:stop]
        )


class Feed:
    """The endless, mixed, shuffled sequence of rows of one or more languages."""

    def __init__(
        self,
        sources: Sequence[TokenShards],
        length: int,
        packing: str = "concat",
        weights: Mapping[str, float] | None = None,
        seed: int = 0,
    ) -> None:
        if packing not in PACKINGS:
            raise SettingsError(unknown_name("packing", packing, PACKINGS))
        self.length, self.seed = length, seed
        self.packed = [PACKINGS[packing](source, length) for source in sources]
        short = [s.language for s, p in zip(sources, self.packed, strict=True) if not p.rows]
        if short or not sources:
            raise InputError(f"{', '.join(short) or 'no language'}: fewer tokens than one row of {length + 1}")
        shares = [
            float((weights or {}).get(s.language, 0 if weights else p.rows))
            for s, p in zip(sources, self.packed, strict=True)
        ]
        if not sum(shares) or min(shares) < 0:
            raise SettingsError(f"weights: none above 0 for {', '.join(s.language for s in sources)}")
        self._order = turns(shares)
        hits = self._order[:, None] == np.arange(len(sources))
        self._before = np.concatenate([np.zeros((1, len(sources)), np.int64), np.cumsum(hits, axis=0)])
        parts = [packing, length, seed, shares, [s.fingerprint for s in sources]]
        self.fingerprint = hashlib.sha256(json.dumps(parts).encode()).hexdigest()

    @property
    def rows(self) -> int:
        """Rows of all languages together: one epoch where the weights are the natural ones."""
        return sum(packed.rows for packed in self.packed)

    def rows_at(self, positions: Ints) -> list[tuple[int, int]]:
        """(language, row) at each position of the run."""
        source = self._order[positions % _PERIOD].astype(np.int64)
        turn = (positions // _PERIOD) * self._before[-1][source] + self._before[positions % _PERIOD, source]
        found = np.zeros(len(positions), dtype=np.int64)
        for at in range(len(self.packed)):
            size = self.packed[at].rows
            mine = np.flatnonzero(source == at)
            for epoch in np.unique(turn[mine] // size):
                these = mine[turn[mine] // size == epoch]
                found[these] = permuted(turn[these] % size, size, (self.seed << 40) ^ (at << 32) ^ int(epoch))
        return list(zip(source.tolist(), found.tolist(), strict=True))

    def batch(self, positions: Ints) -> Batch:
        """The rows at these positions."""
        tokens = np.empty((len(positions), self.length + 1), dtype=np.int64)
        docs = np.empty((len(positions), self.length + 1), dtype=np.int16)
        for at, (source, row) in enumerate(self.rows_at(positions)):
            self.packed[source].fill(row, tokens[at], docs[at])
        targets = tokens[:, 1:].copy()
        wide = docs.astype(np.int64)
        # A next token counts where it goes on with the document, or is the `</s>` that ends it.
        targets[(wide[:, :-1] < 0) | ((wide[:, 1:] != wide[:, :-1]) & (targets != END))] = IGNORED
        return Batch(tokens[:, :-1], targets, wide[:, :-1], positions)


@dataclass(frozen=True)
class Place:
    """How far a run has read: the next position, and ranges that it passes over (rows that spoiled the loss)."""

    position: int = 0
    skipped: tuple[tuple[int, int], ...] = ()

    def take(self, rows: int) -> tuple[Ints, "Place"]:
        """The next positions, and the place after them."""
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
        return np.concatenate(found), Place(position, self.skipped)

    def skipping(self, start: int, stop: int) -> "Place":
        """This place, passing over start to stop."""
        return Place(self.position, tuple(sorted({*self.skipped, (start, stop)})))

    def as_values(self) -> dict[str, Any]:
        """For a checkpoint."""
        return {"position": self.position, "skipped": [list(pair) for pair in self.skipped]}


def ahead(feed: Feed, place: Place, sizes: Iterator[int], depth: int = 2) -> Generator[tuple[Batch, Place], None, None]:
    """Batches of `sizes` rows from `place` on, made by one thread `depth` batches ahead of their use.

    The place that comes with a batch is the one after it: it depends on what was used, never on what was prepared.
    """
    ready: queue.Queue[tuple[Batch, Place] | BaseException | None] = queue.Queue(depth)
    stop = threading.Event()

    def put(item: tuple[Batch, Place] | BaseException | None) -> None:
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
