"""queries, compare and losses: what dedup found and missed, measured on a sample in every run for `report.json`.

A random sample of documents is compared by brute force with a larger sample. For each pair the exact Jaccard similarity
is compared with what the run did: whether the bands found the pair, and whether one of the two was removed (it is
resolved). The intervals are Wilson's at 95 %.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import pairwise
from pathlib import Path
from typing import ClassVar, NamedTuple

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from filters.near_duplicates.brute_force import find_similar, index_sets
from filters.near_duplicates.rules import Scheme
from filters.near_duplicates.shingle_tables import Uint64s
from filters.near_duplicates.signatures import Int64s, Sets, candidate_probability, mix_all, shingle_sets
from filters.personal_data import as_shown
from filters.text.passages import cut_between_letters
from pipelines.dedup.duplicates import DUPLICATE_KINDS
from pipelines.dedup.scratch import (
    DOCUMENT_NUMBER,
    U64,
    StepShards,
    column_names,
    concat,
    find_sorted,
    read_batches,
    read_pieces,
)
from pipelines.dedup.sign import SourceRule, band_columns, digests_of
from roots import shards
from roots.intervals import wilson
from roots.settings import ASIDE
from roots.stage import Stage

_LEAST = 0.5  # Jaccard; pairs below are not reported
_EDGES = (0.5, 0.6, 0.7, 0.8, 0.9, 1.0)
_SHOWN = 0.05  # distance from the threshold up to which the texts of a pair are stored
_SAMPLE_ROWS = 128  # documents compared at once
_EXAMPLES = 10


def _sampled(ties: Uint64s, share: float, salt: int) -> npt.NDArray[np.bool_]:
    """Choose a share of documents by their ids alone; another salt chooses others."""
    return mix_all(ties ^ np.uint64(salt)) < np.uint64(min(share, 1.0) * ((1 << 64) - 1025))


@dataclass(frozen=True)
class AuditQueries(Stage):
    """The documents to look up: a random sample of those long enough to have a shingle."""

    name: ClassVar[str] = "dedup.queries"
    version: ClassVar[int] = 3  # 3: texts as they are, and their languages
    schema: ClassVar[pa.Schema] = pa.schema(
        [
            DOCUMENT_NUMBER, pa.field("text", pa.string()), pa.field("language", pa.string()), pa.field("source", U64),
            pa.field("set", pa.large_list(U64)), pa.field("bands", pa.list_(U64)),
        ]
    )  # fmt: skip
    scheme: Scheme
    share: float
    signed: Path = field(metadata=ASIDE)

    def make(self, name: str, sources: Sequence[Path]) -> Iterator[pa.RecordBatch]:
        """Sample one shard; sources are its shard of sign, and its chain."""
        start = StepShards.of(self.signed).start(name)
        chosen = _choose(sources[0], self.share, 1)
        keys = _columns(sources[0], chosen, band_columns(self.scheme.bands))
        (source,) = _columns(sources[0], chosen, ["source"]).T
        for rows, texts, languages in _texts(sources[1:], chosen, _SAMPLE_ROWS):
            sets = shingle_sets(texts, self.scheme)
            lists = pa.LargeListArray.from_arrays(pa.array(sets.offsets), pa.array(sets.values))
            place = np.searchsorted(chosen, rows)
            ends = np.arange(len(rows) + 1, dtype=np.int32) * self.scheme.bands
            band_lists = pa.ListArray.from_arrays(pa.array(ends), pa.array(keys[place].reshape(-1)))
            yield pa.RecordBatch.from_arrays(
                [pa.array(rows + start), texts, languages, pa.array(source[place]), lists, band_lists],
                schema=self.schema,
            )


def _choose(signs: Path, share: float, salt: int) -> Int64s:
    """Rows of a shard in the sample."""
    rows: list[Int64s] = []
    at = 0
    for piece in read_pieces(signs, ["tie", "shingles"]):
        rows.append(np.flatnonzero(_sampled(piece["tie"], share, salt) & (piece["shingles"] > 0)) + at)
        at += piece["tie"].size
    return concat(rows, np.int64)


def _as_shown(texts: pa.Array | pa.ChunkedArray, languages: pa.Array | pa.ChunkedArray) -> pa.Array:
    """Texts with personal data replaced. It needs whole texts: a part of a number is not recognised."""
    pairs = zip(texts.to_pylist(), languages.to_pylist(), strict=True)
    return pa.array([text if text is None else as_shown(text, language) for text, language in pairs], pa.string())


def _texts(chain: Sequence[Path], rows: Int64s, most: int) -> Iterator[tuple[Int64s, pa.Array, pa.Array]]:
    """Texts of some rows of a chain, at most `most` at a time: (rows, texts, languages or null)."""
    at = 0
    known = [name for name in ("language",) if any(name in column_names(path) for path in chain)]
    for batch in shards.read_kept(chain, ["id", "text", *known], 2 * _SAMPLE_ROWS) if rows.size else ():
        spoken = batch["language"] if known else pa.nulls(batch.num_rows, pa.string())
        low, high = np.searchsorted(rows, [at, at + batch.num_rows])
        for first in range(low, high, most):
            some = rows[first : min(high, first + most)]
            places = pa.array(some - at)
            yield some, batch["text"].take(places), spoken.take(places)
        at += batch.num_rows


@dataclass(frozen=True)
class AuditPairs(Stage):
    """The pairs of a looked-up document and another one of the sample with a Jaccard of at least _LEAST."""

    name: ClassVar[str] = "dedup.compare"
    version: ClassVar[int] = 2  # 2: texts as they may be shown
    schema: ClassVar[pa.Schema] = pa.schema(
        [
            pa.field("query", pa.int64()), DOCUMENT_NUMBER, pa.field("jaccard", pa.float64()),
            pa.field("found", pa.bool_()),  # whether a band key is equal
            pa.field("sampled", pa.bool_()),  # False if it is here because the query was removed for it
            pa.field("query_text", pa.string()), pa.field("text", pa.string()),  # only near the threshold
        ]
    )  # fmt: skip
    scheme: Scheme
    share: float
    jaccard: float
    within: bool  # whether only pairs within one source count
    alone: tuple[str, ...]  # sources whose documents are in no pair
    signed: Path = field(metadata=ASIDE)

    def make(self, name: str, sources: Sequence[Path]) -> Iterator[pa.RecordBatch]:
        """Compare one shard's sample; sources are queries, settle, its shard of sign, and its chain."""
        queries, settled = (StepShards.of(source) for source in sources[:2])
        numbers, texts, source, sets, bands = _read_queries(queries, self.scheme.bands)
        if not numbers.size:
            return
        start = StepShards.of(self.signed).start(name)
        rows = _choose(sources[2], self.share, 2)
        forced = _kept_for(settled, numbers) - start
        end = shards.open_shard(sources[2]).metadata.num_rows
        both = np.union1d(rows, forced[(forced >= 0) & (forced < end)])
        keys = _columns(sources[2], both, band_columns(self.scheme.bands))
        (other_source,) = _columns(sources[2], both, ["source"]).T
        index = index_sets(sets)
        for some, batch, languages in _texts(sources[3:], both, _SAMPLE_ROWS):
            document, query, jaccard = find_similar(index, shingle_sets(batch, self.scheme), _LEAST)
            other = some[document] + start != numbers[query]
            if self.within:
                other &= other_source[np.searchsorted(both, some[document])] == source[query]
            if self.alone:
                apart = digests_of(pa.array(self.alone, pa.string()))
                other &= ~np.isin(other_source[np.searchsorted(both, some[document])], apart)
                other &= ~np.isin(source[query], apart)
            document, query, jaccard = document[other], query[other], jaccard[other]
            mine = keys[np.searchsorted(both, some[document])]
            far = np.abs(jaccard - self.jaccard) > _SHOWN
            shown, asked = pa.array(document, mask=far), pa.array(query, mask=far)
            yield pa.RecordBatch.from_arrays(
                [
                    pa.array(numbers[query]), pa.array(some[document] + start), pa.array(jaccard),
                    pa.array((mine == bands[query]).any(axis=1)), pa.array(find_sorted(rows, some[document])[1]),
                    _as_shown(texts["text"].take(asked), texts["language"].take(asked)),
                    _as_shown(batch.take(shown), languages.take(shown)),
                ],
                schema=self.schema,
            )  # fmt: skip


def _read_queries(queries: StepShards, bands: int) -> tuple[Int64s, pa.Table, Uint64s, Sets, Uint64s]:
    batches = [batch for path in queries.paths() for batch in read_batches(path, AuditQueries.schema.names)]
    table = pa.Table.from_batches(batches, AuditQueries.schema).combine_chunks()
    numbers = table["document"].to_numpy()
    lists = pc.list_value_length(table["set"]).to_numpy()
    values = pc.list_flatten(table["set"]).to_numpy()
    keys = pc.list_flatten(table["bands"]).to_numpy().reshape(-1, bands)
    sets = Sets(np.r_[0, np.cumsum(lists)].astype(np.int64), values)
    return numbers, table.select(["text", "language"]), table["source"].to_numpy(), sets, keys


def _kept_for(settled: StepShards, numbers: Int64s) -> Int64s:
    """The documents for which some of `numbers` were removed as near-duplicates."""
    found = [np.zeros(0, dtype=np.int64)]
    for path in settled.paths():
        for batch in read_batches(path, ["document", "kept", "reason"]):
            near = pc.equal(batch["reason"], DUPLICATE_KINDS.index("near")).fill_null(False)
            some = batch.filter(near)
            mine = find_sorted(np.sort(numbers), some["document"].to_numpy())[1]
            found.append(some["kept"].to_numpy()[mine])
    return np.unique(np.concatenate(found))


def _columns(signs: Path, rows: Int64s, names: Sequence[str]) -> Uint64s:
    """Columns of some rows of a shard of sign; uint64 (rows, columns)."""
    found = []
    at = 0
    for piece in read_pieces(signs, names):
        low, high = np.searchsorted(rows, [at, at + piece[names[0]].size])
        found.append(np.stack([piece[name][rows[low:high] - at] for name in names], axis=1))
        at += piece[names[0]].size
    return np.concatenate(found) if found else np.zeros((0, len(names)), dtype=np.uint64)


def _share(name: str, hits: int, tries: int) -> dict[str, object]:
    low, high = wilson(hits, tries)
    share = round(hits / tries, 4) if tries else None
    return {name: share, "low": round(low, 4), "high": round(high, 4), "of": tries}


def measure_sample(compared: StepShards, settled: StepShards, scheme: Scheme, threshold: float) -> dict[str, object]:
    """Recall and precision by interval of Jaccard, and the pairs nearest to the threshold."""
    batches = [batch for path in compared.paths() for batch in read_batches(path, AuditPairs.schema.names)]
    table = pa.Table.from_batches(batches, AuditPairs.schema)
    query, document, jaccard = (table[name].to_numpy() for name in ("query", "document", "jaccard"))
    found, in_sample = (table[name].to_numpy() for name in ("found", "sampled"))
    gone = _removed(settled, np.unique(np.concatenate([query, document])))
    pair = np.stack([np.minimum(query, document), np.maximum(query, document)], axis=1)
    _, first = np.unique(pair, axis=0, return_index=True) if len(pair) else (None, np.zeros(0, np.int64))
    once = np.intersect1d(first, np.flatnonzero(in_sample))
    resolved = np.array([a in gone or b in gone for a, b in pair[once].tolist()], dtype=np.bool_)
    intervals = []
    for low, high in pairwise(_EDGES):
        inside = (jaccard[once] >= low) & ((jaccard[once] < high) | (high == 1))
        expected = np.mean(
            [candidate_probability(float(each), scheme.bands, scheme.rows) for each in jaccard[once][inside]] or [0]
        )
        intervals.append(
            {
                "from": low, "to": high, "pairs": int(inside.sum()), "expected_recall": round(float(expected), 4),
                "candidates": _share("recall", int(found[once][inside].sum()), int(inside.sum())),
                "resolved": _share("share", int(resolved[inside].sum()), int(inside.sum())),
            }
        )  # fmt: skip
    above = jaccard[once] >= threshold
    # Was each removed document really similar to the one that its row names?
    removals = [
        float(score)
        for one, other, score in zip(query.tolist(), document.tolist(), jaccard.tolist(), strict=True)
        if gone.get(one) == other
    ]
    return {
        "pairs": len(once),
        "intervals": intervals,
        "recall_above_threshold": _share("recall", int(resolved[above].sum()), int(above.sum())),
        "precision_of_removals": _share("precision", sum(score >= threshold for score in removals), len(removals)),
        "nearest_to_threshold": _nearest(table, once, threshold, gone),
    }


def _removed(settled: StepShards, documents: Int64s) -> dict[int, int]:
    """The removed ones of some documents, with the documents kept for them."""
    gone: dict[int, int] = {}
    for path in settled.paths():
        for batch in read_batches(path, ["document", "kept"]):
            mine = find_sorted(documents, batch["document"].to_numpy())[1]
            some = batch.filter(pa.array(mine))
            gone.update(
                (document, kept)
                for document, kept in zip(some["document"].to_pylist(), some["kept"].to_pylist(), strict=True)
                if kept is not None
            )
    return gone


def _nearest(table: pa.Table, rows: Int64s, threshold: float, gone: Mapping[int, int]) -> list[dict[str, object]]:
    """The pairs nearest to the threshold, with the passages where they first differ."""
    jaccard = table["jaccard"].to_numpy()
    order = rows[np.argsort(np.abs(jaccard[rows] - threshold), kind="stable")][:_EXAMPLES]
    nearest = []
    for row in table.take(pa.array(order)).to_pylist():
        if row["text"] is None or row["query_text"] is None:
            continue
        left, right = differing_passages(row["query_text"], row["text"])
        pair = gone.get(row["query"]) == row["document"] or gone.get(row["document"]) == row["query"]
        nearest.append(
            {"jaccard": round(row["jaccard"], 4), "one_removed_for_the_other": pair, "left": left, "right": right}
        )
    return nearest


def differing_passages(one: str, other: str, width: int = 120) -> tuple[str, str]:
    """The passages where two texts first differ, `width` characters from there on, cut between graphemes."""
    part = next((at for at, (a, b) in enumerate(zip(one, other, strict=False)) if a != b), min(len(one), len(other)))
    start = max(0, part - width // 3)
    return cut_between_letters(one, start, part + width), cut_between_letters(other, start, part + width)


@dataclass(frozen=True)
class SourceLosses(Stage):
    """How many documents each source had, and how many dedup removed."""

    name: ClassVar[str] = "dedup.losses"
    version: ClassVar[int] = 3  # 3: the source by the normal form of its address
    schema: ClassVar[pa.Schema] = pa.schema(
        [pa.field("source", pa.string()), pa.field("rows", pa.int64()), pa.field("lost", pa.int64())]
    )
    sources: SourceRule

    def make(self, name: str, sources: Sequence[Path]) -> Iterator[pa.RecordBatch]:
        """Count one shard; sources are the shard of dedup, and its chain."""
        known = {column for path in sources[1:] for column in shards.open_shard(path).schema_arrow.names}
        columns = self.sources.columns(known)
        counts: list[pa.Table] = []
        marks = (batch["drop"] for batch in shards.read(sources[0], ["drop"]))
        drops = pa.chunked_array(list(marks), pa.string())
        at = 0
        for batch in shards.read_kept(sources[1:], ["id", *columns]):
            lost = drops.slice(at, batch.num_rows).is_valid().cast(pa.int64())
            at += batch.num_rows
            table = pa.table({"source": self.sources.names(batch), "lost": lost})
            counts.append(table.group_by("source").aggregate([("lost", "sum"), ("lost", "count")]))
        if counts:
            merged = pa.concat_tables(counts).group_by("source").aggregate([("lost_count", "sum"), ("lost_sum", "sum")])
            merged = merged.sort_by("source").rename_columns(["source", "rows", "lost"]).cast(self.schema)
            yield from merged.combine_chunks().to_batches()


class Loss(NamedTuple):
    """How many documents a source had, and how many it lost."""

    source: str
    rows: int
    lost: int


def losses_above(losses: StepShards, share: float, least: int) -> list[Loss]:
    """Sources of at least `least` documents that lost more than a share of them, the worst first."""
    parts = [batch for path in losses.paths() for batch in read_batches(path, SourceLosses.schema.names)]
    table = pa.Table.from_batches(parts, SourceLosses.schema)
    sums = table.group_by("source").aggregate([("rows", "sum"), ("lost", "sum")]).to_pylist()
    rows = [Loss(row["source"], row["rows_sum"], row["lost_sum"]) for row in sums]
    large = [row for row in rows if row.source and row.rows >= least and row.lost > share * row.rows]
    return sorted(large, key=lambda row: (-row.lost / row.rows, row.source))


def largest_clusters(settled: StepShards, most: int = 10) -> list[dict[str, object]]:
    """The kept documents that stand for most others: their ids, and the sizes of their clusters."""
    best: list[tuple[int, int]] = []
    for path in settled.paths():
        for batch in read_batches(path, ["document", "cluster_size"]):
            some = batch.filter(batch["cluster_size"].is_valid())
            sizes = zip(some["cluster_size"].to_pylist(), some["document"].to_pylist(), strict=True)
            best = sorted([*best, *((-size, document) for size, document in sizes)])[:most]
    wanted = np.array(sorted(document for _, document in best), dtype=np.int64)
    ids: dict[int, str] = {}
    for path in settled.paths():
        for batch in read_batches(path, ["kept", "kept_id"]):
            some = batch.filter(pa.array(find_sorted(wanted, batch["kept"].fill_null(-1).to_numpy())[1]))
            ids.update(zip(some["kept"].to_pylist(), some["kept_id"].to_pylist(), strict=True))
    return [{"id": ids[document], "size": -size} for size, document in best]
