"""urls, exact and pairs: which documents may be copies of which.

urls     documents of one URL, a part of all URLs at a time: the newest stays
exact    documents of equal digest, a part of all digests at a time
pairs    documents of an equal band key, a part of one band at a time: candidates
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar, NamedTuple

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from filters.near_duplicates.shingle_tables import Uint64s
from filters.near_duplicates.signatures import ALL_PAIRS, Int64s, bucket_pairs
from pipelines.dedup.scratch import (
    NUMBER,
    Scratch,
    Steps,
    band_parts_of,
    best_first,
    in_batches,
    joined,
    parts_of,
    rows_of,
    starts_of_runs,
)
from pipelines.dedup.settings import Dedup
from pipelines.dedup.sign import columns_of_bands
from pipelines.dedup.space import Cuts
from roots.stage import Stage


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


class Found(NamedTuple):
    """Manifests of the sub-steps that find copies."""

    sign: Path
    urls: Path
    exact: Path
    pairs: Path


def find_candidates(steps: Steps, sign: Path, settings: Dedup, cuts: Cuts) -> Found:
    """Find what may be a copy: the manifests of sign, urls, exact and pairs."""
    parts = parts_of(cuts.exact_parts)
    urls = steps.run(Urls(cuts.exact_parts), {part: [sign] for part in parts}, "urls")
    exact = steps.run(Exact(cuts.exact_parts), {part: [sign, urls] for part in parts}, "exact")
    pairing = Pairs(settings.bands, cuts.pair_parts)
    names = band_parts_of(settings.bands, cuts.pair_parts)
    return Found(sign, urls, exact, steps.run(pairing, {name: [sign, urls, exact] for name in names}, "pairs"))
