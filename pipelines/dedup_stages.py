"""The sub-steps of dedup, each a stage of its own: resume, receipts and atomicity come with that.

    sign     every document by itself: digests, band keys, its right to be kept
    exact    documents of equal digest, a part of all digests at a time
    pairs    documents of an equal band key, a part of one band at a time: candidates
    groups   candidates that hang together, packed into groups that fit in memory
    sets     the sets of shingles of the documents in them, once more from the text
    settle   one group at a time: exact similarity, who is removed for whom (pipelines.dedup_settle)

All but `sign` and `sets` pass numbers only, never text. What a part or a group may hold is bounded by the setting
`memory`; that a bucket or a group is cut differently changes no document's fate.
"""

import unicodedata
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from filters.near_duplicates import (
    ALL_PAIRS,
    Int64s,
    Scheme,
    band_keys,
    bucket_pairs,
    components,
    shingle_sets,
    sign,
    text_digests,
)
from filters.shingles import Uint64s
from pipelines.dedup_columns import Scratch, joined, read_between, read_pieces
from pipelines.dedup_keep import KEEP
from roots import shards
from roots.stage import ASIDE

U64 = pa.uint64()
NUMBER = pa.field("document", pa.int64(), nullable=False)


def columns_of_bands(bands: int) -> list[str]:
    """Names of the columns of band keys."""
    return [f"band_{band:03d}" for band in range(bands)]


@dataclass(frozen=True)
class Sign:
    """What is known of each document by itself."""

    name: ClassVar[str] = "dedup.sign"
    version: ClassVar[int] = 1
    scheme: Scheme
    keep: str
    unicode: str = unicodedata.unidata_version

    @property
    def schema(self) -> pa.Schema:
        """Columns; a band a column, so that `pairs` reads one band alone."""
        numbers = ["content_high", "content_low", "units", "rank", "tie"]
        return pa.schema(
            [
                pa.field("id", pa.string(), nullable=False),
                pa.field("shingles", pa.int32()),
                *(pa.field(name, U64) for name in [*numbers, *columns_of_bands(self.scheme.bands)]),
            ]
        )

    def make(self, name: str, sources: Sequence[Path]) -> Iterator[pa.RecordBatch]:
        """Sign the documents that a chain keeps."""
        policy = KEEP[self.keep]
        schema = self.schema
        for batch in shards.read_kept(sources, ["id", "text", *policy.columns]):
            signs = sign(batch["text"], self.scheme)
            numbers = [*signs.content.T, signs.units, policy.rank(batch), text_digests(batch["id"])]
            numbers += list(band_keys(signs, self.scheme).T)
            columns = [pa.array(np.ascontiguousarray(column)) for column in numbers]
            yield pa.RecordBatch.from_arrays([batch["id"], pa.array(signs.shingles), *columns], schema=schema)


def best_first(*keys: npt.NDArray[Any]) -> Int64s:
    """The order of rows by `keys`, the first key weighing most."""
    return np.lexsort(keys[::-1])


def starts_of_runs(*columns: npt.NDArray[Any]) -> npt.NDArray[np.bool_]:
    """Where a row differs from the one before it in any of the columns."""
    fresh = np.ones(columns[0].size, dtype=np.bool_)
    if fresh.size:
        fresh[1:] = np.logical_or.reduce([column[1:] != column[:-1] for column in columns])
    return fresh


def repeated(keys: Uint64s) -> Int64s:
    """The rows whose key stands more than once; their order is by key."""
    order = np.argsort(keys)
    ordered = keys[order]
    same = ordered[1:] == ordered[:-1]
    twice = np.zeros(keys.size, dtype=np.bool_)
    twice[1:] |= same
    twice[:-1] |= same
    return order[twice]


@dataclass(frozen=True)
class Exact:
    """Documents of equal digest: every one but the best, with the document it is a copy of.

    `same` says that both have the same units, so the same shingles: such a copy shares its head's fate. One that
    differs in digits is equal by ROOTS's rule, but has shingles of its own; it stays a candidate of its own too.
    """

    name: ClassVar[str] = "dedup.exact"
    version: ClassVar[int] = 1
    schema: ClassVar[pa.Schema] = pa.schema([NUMBER, pa.field("head", pa.int64()), pa.field("same", pa.bool_())])
    parts: int

    def make(self, name: str, sources: Sequence[Path]) -> Iterator[pa.RecordBatch]:
        """Compare one part of all digests; `name` is "part-0003.parquet"."""
        part = int(name[5:9])
        signed = Scratch.of(sources[0])
        keys: list[Uint64s] = []
        numbers: list[Int64s] = []
        for start, piece in signed.stream(["content_low"]):
            mine = np.flatnonzero(piece["content_low"] % np.uint64(self.parts) == part)
            keys.append(piece["content_low"][mine])
            numbers.append(mine + start)
        low = joined(keys, np.uint64)
        documents = joined(numbers, np.int64)
        del keys, numbers
        documents = np.sort(documents[repeated(low)])
        del low
        if documents.size:
            yield from _batches(self.schema, *self._copies(signed, documents))

    @staticmethod
    def _copies(signed: Scratch, documents: Int64s) -> tuple[npt.NDArray[Any], ...]:
        """(document, head, same) of all copies among some documents."""
        names = ["content_low", "content_high", "units", "rank", "tie"]
        low, high, units, rank, tie = (take(signed, documents, names)[name] for name in names)
        order = best_first(low, high, rank, tie, documents)
        fresh = starts_of_runs(low[order], high[order])
        head = np.empty_like(documents)
        head[order] = documents[order][fresh][np.cumsum(fresh) - 1]
        order = best_first(low, high, units, rank, tie, documents)
        fresh = starts_of_runs(low[order], high[order], units[order])
        twin = np.empty_like(documents)
        twin[order] = documents[order][fresh][np.cumsum(fresh) - 1]
        same = twin != documents
        copies = same | (head != documents)
        return documents[copies], np.where(same, twin, head)[copies], same[copies]


def take(signed: Scratch, documents: Int64s, columns: Sequence[str]) -> dict[str, npt.NDArray[Any]]:
    """Columns of some documents, whose numbers ascend."""
    found: dict[str, list[npt.NDArray[Any]]] = {name: [] for name in columns}
    for start, piece in signed.stream(columns):
        low, high = np.searchsorted(documents, [start, start + len(piece[columns[0]])])
        for name in columns:
            found[name].append(piece[name][documents[low:high] - start])
    return {name: joined(found[name], np.uint64) for name in columns}


def _batches(schema: pa.Schema, *columns: npt.NDArray[Any]) -> Iterator[pa.RecordBatch]:
    """Arrays as batches that are cut where a row group should be."""
    for low in range(0, len(columns[0]), 1 << 18):
        yield pa.RecordBatch.from_arrays([pa.array(column[low : low + (1 << 18)]) for column in columns], schema=schema)


@dataclass(frozen=True)
class Pairs:
    """Candidates: documents with an equal band key, (better, worse)."""

    name: ClassVar[str] = "dedup.pairs"
    version: ClassVar[int] = 1
    schema: ClassVar[pa.Schema] = pa.schema([pa.field("better", pa.int64()), pa.field("worse", pa.int64())])
    bands: int
    parts: int

    def make(self, name: str, sources: Sequence[Path]) -> Iterator[pa.RecordBatch]:
        """Pair one part of one band; `name` is "band-003-part-0001.parquet"."""
        band, part = int(name[5:8]), int(name[14:18])
        column = columns_of_bands(self.bands)[band]
        signed = Scratch.of(sources[0])
        copy = twins(Scratch.of(sources[1]), signed.total)
        keys: list[Uint64s] = []
        numbers: list[Int64s] = []
        for start, piece in signed.stream([column]):
            key = piece[column]
            mine = key != 0
            if self.parts > 1:
                mine &= key % np.uint64(self.parts) == part
            mine &= ~copy[start : start + key.size]
            keys.append(key[mine])
            numbers.append(np.flatnonzero(mine) + start)
        key = joined(keys, np.uint64)
        documents = joined(numbers, np.int64)
        del keys, numbers, copy
        chosen = np.sort(repeated(key))
        key, documents = key[chosen], documents[chosen]
        if documents.size:
            yield from _batches(self.schema, *self._pairs(signed, key, documents, (band + 1) % self.bands))

    def _pairs(self, signed: Scratch, key: Uint64s, documents: Int64s, following: int) -> tuple[Int64s, Int64s]:
        """All candidates of one band, each once.

        Buckets too large to pair each with each are also cut by the following band's key: documents alike beyond
        what the whole bucket shares meet there.
        """
        second = columns_of_bands(self.bands)[following]
        known = take(signed, documents, ["rank", "tie", second])
        order = best_first(key, known["rank"], known["tie"], documents)
        bucket = np.cumsum(starts_of_runs(key[order]), dtype=np.int64)
        pairs = [bucket_pairs(bucket, documents[order])]
        sizes = np.bincount(bucket)
        hot = order[sizes[bucket] > ALL_PAIRS]
        if hot.size and self.bands > 1:
            inner = hot[best_first(key[hot], known[second][hot], known["rank"][hot], known["tie"][hot], documents[hot])]
            pairs.append(
                bucket_pairs(
                    np.cumsum(starts_of_runs(key[inner], known[second][inner]), dtype=np.int64), documents[inner]
                )
            )
        return unique_pairs(*(np.concatenate(side) for side in zip(*pairs, strict=True)))


def unique_pairs(better: Int64s, worse: Int64s) -> tuple[Int64s, Int64s]:
    """Each pair once, ordered by `worse`, then `better`."""
    order = best_first(worse, better)
    better, worse = better[order], worse[order]
    fresh = starts_of_runs(worse, better)
    return better[fresh], worse[fresh]


def twins(exact: Scratch, total: int) -> npt.NDArray[np.bool_]:
    """Which documents have the same units as a better one: bool (total,). They are never candidates."""
    copy = np.zeros(total, dtype=np.bool_)
    for _, piece in exact.stream(["document", "same"]):
        copy[piece["document"][piece["same"]]] = True
    return copy


@dataclass(frozen=True)
class Groups:
    """Which documents hang together by candidates and copies, and in which group they are settled.

    A whole component is always in one group. Groups are filled, in the order of the components' first documents,
    up to `group_bytes` of what settling them takes.
    """

    name: ClassVar[str] = "dedup.groups"
    version: ClassVar[int] = 1
    schema: ClassVar[pa.Schema] = pa.schema(
        [NUMBER, pa.field("group", pa.int32()), pa.field("shingles", pa.int32())]  # shingles: 0 without a candidate
    )
    group_bytes: int
    nodes: int  # of the union-find: documents share a node where there are more of them

    def make(self, name: str, sources: Sequence[Path]) -> Iterator[pa.RecordBatch]:
        """Join, weigh and pack."""
        signed, exact, pairs = (Scratch.of(source) for source in sources)
        nodes = max(1, min(self.nodes, signed.total))
        parents = np.arange(nodes, dtype=np.int64)
        state = np.zeros(signed.total, dtype=np.uint8)  # 1: has a copy or is one, 2: has a candidate
        weights = np.zeros(nodes, dtype=np.int64)
        for scratch, columns, bit in ((exact, ["head", "document"], 1), (pairs, ["better", "worse"], 2)):
            for _, piece in scratch.stream(columns):
                one, other = (piece[column] for column in columns)
                state[one] |= bit
                state[other] |= bit
                components(parents, one % nodes, other % nodes)
                np.add.at(weights, one % nodes, PAIR_BYTES)
        yield from self._pack(signed, nodes, parents, state, weights)

    def _pack(
        self,
        signed: Scratch,
        nodes: int,
        parents: Int64s,
        state: npt.NDArray[np.uint8],
        weights: Int64s,
    ) -> Iterator[pa.RecordBatch]:
        while not np.array_equal(parents, higher := parents[parents]):
            parents = higher
        for start, piece in signed.stream(["shingles"]):
            rows = np.flatnonzero(state[start : start + piece["shingles"].size])
            shingles = np.where(state[rows + start] & 2, piece["shingles"][rows], 0)
            np.add.at(weights, (rows + start) % nodes, 8 * shingles.astype(np.int64) + DOCUMENT_BYTES)
        total = np.zeros(nodes, dtype=np.int64)
        np.add.at(total, parents, weights)
        group = ((np.cumsum(total) - total) // self.group_bytes).astype(np.int32)
        for start, piece in signed.stream(["shingles"]):
            rows = np.flatnonzero(state[start : start + piece["shingles"].size])
            shingles = np.where(state[rows + start] & 2, piece["shingles"][rows], 0).astype(np.int32)
            documents = rows + start
            yield from _batches(self.schema, documents, group[parents[documents % nodes]], shingles)


PAIR_BYTES = 48  # of a candidate while it is sorted
DOCUMENT_BYTES = 160
SET_ROWS = 256  # cut at once: room for sets is made for four times the bytes of the text


@dataclass(frozen=True)
class ShingleSets:
    """The sets of shingles of documents with candidates, and the ids of all that are in a group.

    Rows stand by group within stretches of `stretch_bytes`, so that settling a group reads little else.
    """

    name: ClassVar[str] = "dedup.sets"
    version: ClassVar[int] = 1
    schema: ClassVar[pa.Schema] = pa.schema(
        [
            NUMBER, pa.field("group", pa.int32()), pa.field("id", pa.string()), pa.field("rank", U64),
            pa.field("tie", U64), pa.field("size", pa.int32()), pa.field("set", pa.large_list(U64)),
        ]
    )  # fmt: skip
    scheme: Scheme
    signed: Path = field(metadata=ASIDE)  # manifest of sign; its contents are among the sources
    stretch_bytes: int = field(metadata=ASIDE)

    def make(self, name: str, sources: Sequence[Path]) -> Iterator[pa.RecordBatch]:
        """Cut the texts of one chain again; sources are groups, the shard of sign, and the chain."""
        grouped, signs, *chain = sources
        start = Scratch.of(self.signed).start(name)
        end = start + shards.open_shard(signs).metadata.num_rows
        parts = list(read_between(grouped, "document", start, end, self._grouped_columns))
        if not parts:
            return
        wanted = self._with_ranks(pa.Table.from_batches(parts), signs, start)
        documents = wanted["document"].to_numpy()
        held: list[pa.RecordBatch] = []
        size, at = 0, start
        for texts in shards.read_kept(chain, ["id", "text"]):
            low, high = np.searchsorted(documents, [at, at + texts.num_rows])
            for some in range(low, high, SET_ROWS):
                rows = slice(some, min(high, some + SET_ROWS))
                mine = wanted.slice(some, rows.stop - some)
                held.append(self._rows(mine, texts.take(pa.array(documents[rows] - at))))
                size += held[-1].nbytes
            at += texts.num_rows
            if size >= self.stretch_bytes:
                yield from _by_group(held)
                size = 0
        yield from _by_group(held)

    @staticmethod
    def _with_ranks(wanted: pa.Table, signs: Path, start: int) -> pa.Table:
        """Add `rank` and `tie` of the documents."""
        documents = wanted["document"].to_numpy()
        found: list[list[Uint64s]] = [[], []]
        for piece in read_pieces(signs, ["rank", "tie"]):
            low, high = np.searchsorted(documents, [start, start + piece["rank"].size])
            for column, name in zip(found, ["rank", "tie"], strict=True):
                column.append(piece[name][documents[low:high] - start])
            start += piece["rank"].size
        for column, name in zip(found, ["rank", "tie"], strict=True):
            wanted = wanted.append_column(name, pa.array(joined(column, np.uint64)))
        return wanted

    _grouped_columns: ClassVar[tuple[str, ...]] = ("document", "group", "shingles")

    def _rows(self, wanted: pa.Table, texts: pa.RecordBatch) -> pa.RecordBatch:
        """Rows of some documents; the set is empty for those without a candidate."""
        paired = wanted["shingles"].to_numpy() > 0
        sets = shingle_sets(texts["text"].filter(pa.array(paired)), self.scheme)
        sizes = np.zeros(paired.size, dtype=np.int64)
        sizes[paired] = np.diff(sets.offsets)
        lists = pa.LargeListArray.from_arrays(pa.array(np.r_[0, np.cumsum(sizes)]), pa.array(sets.values))
        document, group, rank, tie = (wanted[name].combine_chunks() for name in ("document", "group", "rank", "tie"))
        columns = [document, group, texts["id"], rank, tie, pa.array(sizes.astype(np.int32)), lists]
        return pa.RecordBatch.from_arrays(columns, schema=self.schema)


def _by_group(held: list[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
    """Some batches' rows by group, in batches of a few megabytes; `held` is emptied."""
    if held:
        together = pa.concat_batches(held)
        held.clear()
        order = np.argsort(together["group"].to_numpy(), kind="stable")
        for low in range(0, order.size, 1024):
            yield together.take(pa.array(order[low : low + 1024]))
