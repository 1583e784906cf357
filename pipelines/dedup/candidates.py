"""The sub-steps of dedup, each a stage of its own: resume, receipts and atomicity come with that.

    sign     every document by itself: digests, band keys, its right to be kept
    urls     documents of one URL, a part of all URLs at a time: the newest stays
    exact    documents of equal digest, a part of all digests at a time
    pairs    documents of an equal band key, a part of one band at a time: candidates
    groups   candidates that hang together, packed into groups that fit in memory (pipelines.dedup_groups); where that
             is too much for one task: stars, weigh, totals (pipelines.dedup_stars)
    sets     the sets of shingles of the documents in them, once more from the text
    settle   one group at a time: exact similarity, who is removed for whom (pipelines.dedup_settle)

All but `sign` and `sets` pass numbers only, never text. What a part or a group may hold is bounded by the setting
`memory`; that a bucket or a group is cut differently changes no document's fate.
"""

import unicodedata
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from filters.near_duplicates.shingle_tables import Uint64s
from filters.near_duplicates.signatures import ALL_PAIRS, Int64s, Scheme, band_keys, bucket_pairs, mix_all, text_digests
from pipelines.dedup.keep import dates, parse_keep, url_keys
from pipelines.dedup.parts import band_parts_of, parts_of
from pipelines.dedup.released import RELEASED, read_signed
from pipelines.dedup.scratch import Scratch, columns_of, joined, rows_of
from pipelines.dedup.sources import FOUND, Sources
from roots.stage import Stage

U64 = pa.uint64()
NUMBER = pa.field("document", pa.int64(), nullable=False)


def columns_of_bands(bands: int) -> list[str]:
    """Names of the columns of band keys."""
    return [f"band_{band:03d}" for band in range(bands)]


@dataclass(frozen=True)
class Sign(Stage):
    """What is known of each document by itself."""

    name: ClassVar[str] = "dedup.sign"
    version: ClassVar[int] = 2  # 2: the source
    scheme: Scheme
    keep: str
    url: str
    sources: Sources
    within: bool  # whether documents of different sources are never copies: they share no key then
    unicode: str = unicodedata.unidata_version

    @property
    def schema(self) -> pa.Schema:
        """Columns; a band a column, so that `pairs` reads one band alone."""
        return pa.schema(
            [
                pa.field("id", pa.string(), nullable=False),
                pa.field("shingles", pa.int32()),
                *(pa.field(name, U64) for name in [*_DIGESTS, *columns_of_bands(self.scheme.bands)]),
            ]
        )

    def make(self, name: str, sources: Sequence[Path]) -> Iterator[pa.RecordBatch]:
        """Sign the documents that a chain keeps. Released ones have the best right of all: rank and age are 0."""
        released = name.startswith(RELEASED)
        policy = parse_keep("longest" if released else self.keep)
        known = {column for path in sources for column in columns_of(path)}
        of_url = ["url", "date"] if self.url != "none" and {"url", "date"} <= known else []
        wanted = {"id", "text", *policy.columns, *of_url, *self.sources.columns(known)}
        if self.sources.catalogue:
            wanted -= set(FOUND) - known
        schema = self.schema
        for read, signs in read_signed(sources, sorted(wanted), self.scheme):
            batch = self.sources.with_rights(read, policy.columns)
            zeros = np.zeros(batch.num_rows, np.uint64)
            rank = zeros if released else np.minimum(policy.rank(batch), np.uint64((1 << 64) - 2)) + np.uint64(1)
            url_high, url_low, age = self._url(batch) if of_url else (zeros, zeros, zeros)
            source = self.sources.digests(batch)
            salt = mix_all(source) if self.within else zeros
            numbers = [
                signs.content[:, 0], _salted(signs.content[:, 1], salt), signs.units, rank,
                text_digests(batch["id"]), url_high, _salted(url_low, salt), age * np.uint64(not released), source,
                *(_salted(keys, salt) for keys in band_keys(signs, self.scheme).T),
            ]  # fmt: skip
            columns = [pa.array(np.ascontiguousarray(column)) for column in numbers]
            yield pa.RecordBatch.from_arrays([batch["id"], pa.array(signs.shingles), *columns], schema=schema)

    def _url(self, batch: pa.RecordBatch) -> tuple[Uint64s, Uint64s, Uint64s]:
        """Digest of the URL in two halves, 0 for none; and its age, the newest least."""
        keys = url_keys(batch["url"], self.url)
        given = pc.not_equal(keys, "").to_numpy(zero_copy_only=False)
        high, low = (np.where(given, np.maximum(text_digests(keys, seed), 1), 0) for seed in (1, 2))
        return high, low, (np.int64(1 << 62) - dates(batch)).astype(np.uint64)


_DIGESTS = ("content_high", "content_low", "units", "rank", "tie", "url_high", "url_low", "age", "source")


def _salted(keys: Uint64s, salt: Uint64s) -> Uint64s:
    """Keys that are equal only for an equal salt. 0 stands for no key and stays 0; a salt of 0 changes nothing."""
    return np.where(keys == 0, keys, np.maximum(keys ^ salt, np.uint64(1)))


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
class Urls(Stage):
    """Documents of one URL: every one but the newest, with the newest."""

    name: ClassVar[str] = "dedup.urls"
    version: ClassVar[int] = 1
    schema: ClassVar[pa.Schema] = pa.schema([NUMBER, pa.field("head", pa.int64())])
    parts: int

    def make(self, name: str, sources: Sequence[Path]) -> Iterator[pa.RecordBatch]:
        """Compare one part of all URLs; the source is sign."""
        signed = Scratch.of(sources[0])
        documents = _alike(signed, "url_low", parts_of(self.parts)[name], self.parts)
        if documents.size:
            low, high, age, rank, tie = take(signed, documents, ["url_low", "url_high", "age", "rank", "tie"])
            order = best_first(low, high, age, rank, tie, documents)
            head = heads(documents, order, low, high)
            yield from in_batches(self.schema, documents[head != documents], head[head != documents])


@dataclass(frozen=True)
class Exact(Stage):
    """Documents of equal digest: every one but the best, with the document it is a copy of.

    `same` says that both have the same units, so the same shingles: such a copy shares its head's fate. One that
    differs in digits is equal by ROOTS's rule, but has shingles of its own; it stays a candidate of its own too.
    Documents that went for their URL take no part.
    """

    name: ClassVar[str] = "dedup.exact"
    version: ClassVar[int] = 1
    schema: ClassVar[pa.Schema] = pa.schema([NUMBER, pa.field("head", pa.int64()), pa.field("same", pa.bool_())])
    parts: int

    def make(self, name: str, sources: Sequence[Path]) -> Iterator[pa.RecordBatch]:
        """Compare one part of all digests; sources are sign and urls."""
        signed, urls = (Scratch.of(source) for source in sources)
        documents = _alike(signed, "content_low", parts_of(self.parts)[name], self.parts)
        for _, piece in urls.stream(["document"]):
            documents = documents[~rows_of(np.sort(piece["document"]), documents)[1]]
        if not documents.size:
            return
        names = ["content_low", "content_high", "units", "rank", "tie"]
        low, high, units, rank, tie = take(signed, documents, names)
        head = heads(documents, best_first(low, high, rank, tie, documents), low, high)
        twin = heads(documents, best_first(low, high, units, rank, tie, documents), low, high, units)
        same = twin != documents
        copies = same | (head != documents)
        yield from in_batches(self.schema, documents[copies], np.where(same, twin, head)[copies], same[copies])


def _alike(signed: Scratch, column: str, part: int, parts: int) -> Int64s:
    """Documents that share a value of `column` other than 0, in one part of all values; their numbers ascend."""
    keys: list[Uint64s] = []
    numbers: list[Int64s] = []
    for start, piece in signed.stream([column]):
        mine = np.flatnonzero((piece[column] % np.uint64(parts) == part) & (piece[column] != 0))
        keys.append(piece[column][mine])
        numbers.append(mine + start)
    return np.sort(joined(numbers, np.int64)[repeated(joined(keys, np.uint64))])


def heads(documents: Int64s, order: Int64s, *keys: npt.NDArray[Any]) -> Int64s:
    """For every document the first, by `order`, of those with equal keys; `order` goes by the keys first."""
    fresh = starts_of_runs(*(key[order] for key in keys))
    head = np.empty_like(documents)
    head[order] = documents[order][fresh][np.cumsum(fresh) - 1]
    return head


def take(signed: Scratch, documents: Int64s, columns: Sequence[str]) -> list[npt.NDArray[Any]]:
    """Columns of some documents, whose numbers ascend."""
    found: list[list[npt.NDArray[Any]]] = [[] for _ in columns]
    for start, piece in signed.stream(columns):
        low, high = np.searchsorted(documents, [start, start + len(piece[columns[0]])])
        for column, name in zip(found, columns, strict=True):
            column.append(piece[name][documents[low:high] - start])
    return [joined(column, np.uint64) for column in found]


def in_batches(schema: pa.Schema, *columns: npt.NDArray[Any]) -> Iterator[pa.RecordBatch]:
    """Arrays as batches that are cut where a row group should be."""
    for low in range(0, len(columns[0]), 1 << 18):
        yield pa.RecordBatch.from_arrays([pa.array(column[low : low + (1 << 18)]) for column in columns], schema=schema)


@dataclass(frozen=True)
class Pairs(Stage):
    """Candidates: documents with an equal band key, (better, worse)."""

    name: ClassVar[str] = "dedup.pairs"
    version: ClassVar[int] = 1
    schema: ClassVar[pa.Schema] = pa.schema([pa.field("better", pa.int64()), pa.field("worse", pa.int64())])
    bands: int
    parts: int

    def make(self, name: str, sources: Sequence[Path]) -> Iterator[pa.RecordBatch]:
        """Pair one part of one band; sources are sign, urls and exact."""
        band, part = band_parts_of(self.bands, self.parts)[name]
        column = columns_of_bands(self.bands)[band]
        signed = Scratch.of(sources[0])
        copy = _settled_already(Scratch.of(sources[1]), Scratch.of(sources[2]), signed.total)
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
            yield from in_batches(self.schema, *self._pairs(signed, key, documents, (band + 1) % self.bands))

    def _pairs(self, signed: Scratch, key: Uint64s, documents: Int64s, following: int) -> tuple[Int64s, Int64s]:
        """All candidates of one band, each once.

        Buckets too large to pair each with each are also cut by the following band's key: documents alike beyond
        what the whole bucket shares meet there.
        """
        second = columns_of_bands(self.bands)[following]
        rank, tie, other = take(signed, documents, ["rank", "tie", second])
        order = best_first(key, rank, tie, documents)
        bucket = np.cumsum(starts_of_runs(key[order]), dtype=np.int64)
        pairs = [bucket_pairs(bucket, documents[order])]
        sizes = np.bincount(bucket)
        hot = order[sizes[bucket] > ALL_PAIRS]
        if hot.size and self.bands > 1:
            inner = hot[best_first(key[hot], other[hot], rank[hot], tie[hot], documents[hot])]
            pairs.append(
                bucket_pairs(np.cumsum(starts_of_runs(key[inner], other[inner]), dtype=np.int64), documents[inner])
            )
        return unique_pairs(*(np.concatenate(side) for side in zip(*pairs, strict=True)))


def unique_pairs(better: Int64s, worse: Int64s) -> tuple[Int64s, Int64s]:
    """Each pair once, ordered by `worse`, then `better`."""
    order = best_first(worse, better)
    better, worse = better[order], worse[order]
    fresh = starts_of_runs(worse, better)
    return better[fresh], worse[fresh]


def _settled_already(urls: Scratch, exact: Scratch, total: int) -> npt.NDArray[np.bool_]:
    """Which documents share another's fate, by URL or by the same units: bool (total,). They are never candidates."""
    copy = np.zeros(total, dtype=np.bool_)
    for _, piece in urls.stream(["document"]):
        copy[piece["document"]] = True
    for _, piece in exact.stream(["document", "same"]):
        copy[piece["document"][piece["same"]]] = True
    return copy
