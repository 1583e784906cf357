"""urls, exact and pairs: which documents may be copies of which.

urls     documents of one URL, a part of all URLs at a time: the newest stays
exact    documents of equal digest, a part of all digests at a time: the best stays
pairs    documents of equal band key, a part of one band at a time: candidates for near-duplicates
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar, NamedTuple

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from filters.near_duplicates.shingle_tables import Uint64s
from filters.near_duplicates.signatures import ALL_PAIRS, Int64s, bucket_pairs
from pipelines.dedup.scratch import (
    DOCUMENT_NUMBER,
    MemoryPlan,
    Steps,
    StepShards,
    concat,
    find_sorted,
    numbered_band_parts,
    numbered_parts,
    order_by,
    run_starts,
    to_batches,
)
from pipelines.dedup.settings import DedupSettings
from pipelines.dedup.sign import band_columns
from roots.stage import Stage


class Candidates(NamedTuple):
    """Manifests of the sub-steps that find candidates."""

    sign: Path
    urls: Path
    exact: Path
    pairs: Path


def find_candidates(steps: Steps, sign: Path, settings: DedupSettings, plan: MemoryPlan) -> Candidates:
    """Run `urls`, `exact` and `pairs` on the signed documents."""
    parts = numbered_parts(plan.exact_parts)
    urls = steps.run(UrlCopies(plan.exact_parts), {part: [sign] for part in parts}, "urls")
    exact = steps.run(ExactCopies(plan.exact_parts), {part: [sign, urls] for part in parts}, "exact")
    stage = CandidatePairs(settings.bands, plan.pair_parts)
    names = numbered_band_parts(settings.bands, plan.pair_parts)
    pairs = steps.run(stage, {name: [sign, urls, exact] for name in names}, "pairs")
    return Candidates(sign, urls, exact, pairs)


@dataclass(frozen=True)
class UrlCopies(Stage):
    """Documents of one URL: all but the newest, each with the newest as `head`."""

    name: ClassVar[str] = "dedup.urls"
    version: ClassVar[int] = 1
    schema: ClassVar[pa.Schema] = pa.schema([DOCUMENT_NUMBER, pa.field("head", pa.int64())])
    parts: int

    def make(self, name: str, sources: Sequence[Path]) -> Iterator[pa.RecordBatch]:
        """Compare one part of all URLs; the source is sign."""
        signed = StepShards.of(sources[0])
        documents = _with_equal_key(signed, "url_low", numbered_parts(self.parts)[name], self.parts)
        if documents.size:
            low, high, age, rank, tie = _take(signed, documents, ["url_low", "url_high", "age", "rank", "tie"])
            order = order_by(low, high, age, rank, tie, documents)
            head = _first_of_equal(documents, order, low, high)
            yield from to_batches(self.schema, documents[head != documents], head[head != documents])


@dataclass(frozen=True)
class ExactCopies(Stage):
    """Documents of equal digest: all but the best, each with the document it copies as `head`.

    `same` says that both have the same units and so the same shingles: such a copy shares the fate of its head. A copy
    that differs in digits has other shingles, so it also stays a candidate. Older fetches of a URL take no part.
    """

    name: ClassVar[str] = "dedup.exact"
    version: ClassVar[int] = 1
    schema: ClassVar[pa.Schema] = pa.schema(
        [DOCUMENT_NUMBER, pa.field("head", pa.int64()), pa.field("same", pa.bool_())]
    )
    parts: int

    def make(self, name: str, sources: Sequence[Path]) -> Iterator[pa.RecordBatch]:
        """Compare one part of all digests; sources are sign and urls."""
        signed, urls = (StepShards.of(source) for source in sources)
        documents = _with_equal_key(signed, "content_low", numbered_parts(self.parts)[name], self.parts)
        for _, piece in urls.stream(["document"]):
            documents = documents[~find_sorted(np.sort(piece["document"]), documents)[1]]
        if not documents.size:
            return
        names = ["content_low", "content_high", "units", "rank", "tie"]
        low, high, units, rank, tie = _take(signed, documents, names)
        head = _first_of_equal(documents, order_by(low, high, rank, tie, documents), low, high)
        twin = _first_of_equal(documents, order_by(low, high, units, rank, tie, documents), low, high, units)
        same = twin != documents
        copies = same | (head != documents)
        yield from to_batches(self.schema, documents[copies], np.where(same, twin, head)[copies], same[copies])


@dataclass(frozen=True)
class CandidatePairs(Stage):
    """Pairs of documents with an equal band key, as (better, worse) by rank."""

    name: ClassVar[str] = "dedup.pairs"
    version: ClassVar[int] = 1
    schema: ClassVar[pa.Schema] = pa.schema([pa.field("better", pa.int64()), pa.field("worse", pa.int64())])
    bands: int
    parts: int

    def make(self, name: str, sources: Sequence[Path]) -> Iterator[pa.RecordBatch]:
        """Pair one part of one band; sources are sign, urls and exact."""
        band, part = numbered_band_parts(self.bands, self.parts)[name]
        column = band_columns(self.bands)[band]
        signed = StepShards.of(sources[0])
        decided = _decided_documents(StepShards.of(sources[1]), StepShards.of(sources[2]), signed.total)
        keys: list[Uint64s] = []
        numbers: list[Int64s] = []
        for start, piece in signed.stream([column]):
            key = piece[column]
            mine = key != 0
            if self.parts > 1:
                mine &= key % np.uint64(self.parts) == part
            mine &= ~decided[start : start + key.size]
            keys.append(key[mine])
            numbers.append(np.flatnonzero(mine) + start)
        key = concat(keys, np.uint64)
        documents = concat(numbers, np.int64)
        del keys, numbers, decided
        chosen = np.sort(_rows_of_repeated(key))
        key, documents = key[chosen], documents[chosen]
        if documents.size:
            yield from to_batches(self.schema, *self._pairs(signed, key, documents, (band + 1) % self.bands))

    def _pairs(self, signed: StepShards, key: Uint64s, documents: Int64s, next_band: int) -> tuple[Int64s, Int64s]:
        """All candidates of one band, each pair once.

        A bucket too large to pair all its members is also divided by the key of the next band: documents that are more
        alike than the whole bucket meet there.
        """
        second = band_columns(self.bands)[next_band]
        rank, tie, other = _take(signed, documents, ["rank", "tie", second])
        order = order_by(key, rank, tie, documents)
        bucket = np.cumsum(run_starts(key[order]), dtype=np.int64)
        pairs = [bucket_pairs(bucket, documents[order])]
        sizes = np.bincount(bucket)
        large = order[sizes[bucket] > ALL_PAIRS]
        if large.size and self.bands > 1:
            inner = large[order_by(key[large], other[large], rank[large], tie[large], documents[large])]
            bucket = np.cumsum(run_starts(key[inner], other[inner]), dtype=np.int64)
            pairs.append(bucket_pairs(bucket, documents[inner]))
        return unique_pairs(*(np.concatenate(side) for side in zip(*pairs, strict=True)))


def unique_pairs(better: Int64s, worse: Int64s) -> tuple[Int64s, Int64s]:
    """Each pair once, ordered by `worse`, then `better`."""
    order = order_by(worse, better)
    better, worse = better[order], worse[order]
    first = run_starts(worse, better)
    return better[first], worse[first]


def _with_equal_key(signed: StepShards, column: str, part: int, parts: int) -> Int64s:
    """Documents that share a value of `column` other than 0, in one part of all values; ascending numbers."""
    keys: list[Uint64s] = []
    numbers: list[Int64s] = []
    for start, piece in signed.stream([column]):
        mine = np.flatnonzero((piece[column] % np.uint64(parts) == part) & (piece[column] != 0))
        keys.append(piece[column][mine])
        numbers.append(mine + start)
    return np.sort(concat(numbers, np.int64)[_rows_of_repeated(concat(keys, np.uint64))])


def _rows_of_repeated(keys: Uint64s) -> Int64s:
    """Rows whose key occurs more than once, in the order of keys."""
    order = np.argsort(keys)
    ordered = keys[order]
    same = ordered[1:] == ordered[:-1]
    twice = np.zeros(keys.size, dtype=np.bool_)
    twice[1:] |= same
    twice[:-1] |= same
    return order[twice]


def _first_of_equal(documents: Int64s, order: Int64s, *keys: Uint64s) -> Int64s:
    """For each document, the first by `order` of the documents with equal keys; `order` sorts by the keys first."""
    first = run_starts(*(key[order] for key in keys))
    head = np.empty_like(documents)
    head[order] = documents[order][first][np.cumsum(first) - 1]
    return head


def _take(signed: StepShards, documents: Int64s, columns: Sequence[str]) -> list[Uint64s]:
    """Columns of some documents, given by ascending numbers."""
    found: list[list[Uint64s]] = [[] for _ in columns]
    for start, piece in signed.stream(columns):
        low, high = np.searchsorted(documents, [start, start + len(piece[columns[0]])])
        for column, name in zip(found, columns, strict=True):
            column.append(piece[name][documents[low:high] - start])
    return [concat(column, np.uint64) for column in found]


def _decided_documents(urls: StepShards, exact: StepShards, total: int) -> npt.NDArray[np.bool_]:
    """Documents that share the fate of another one, by URL or by equal units, so they are no candidates; (total,)."""
    decided = np.zeros(total, dtype=np.bool_)
    for _, piece in urls.stream(["document"]):
        decided[piece["document"]] = True
    for _, piece in exact.stream(["document", "same"]):
        decided[piece["document"][piece["same"]]] = True
    return decided
