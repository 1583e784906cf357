"""groups and sets: which documents are settled together, and their sets of shingles, once more from the text."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import ClassVar

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from filters.near_duplicates.shingle_tables import Uint64s
from filters.near_duplicates.signatures import Int64s, Scheme, components, shingle_sets
from pipelines.dedup.candidates import NUMBER, U64, in_batches
from pipelines.dedup.scratch import Scratch, joined, read_between, read_documents, read_pieces
from pipelines.dedup.steps import ignore
from roots import shards
from roots.settings import ASIDE
from roots.stage import Stage


@dataclass(frozen=True)
class Groups(Stage):
    """Which documents hang together by candidates and copies, and in which group they are settled.

    A whole component is always in one group. Groups are filled, in the order of the components' first documents,
    up to `group_bytes` of what settling them takes. One task, of 41 bytes a document: pipelines.dedup_stars spreads it.
    """

    name: ClassVar[str] = "dedup.groups"
    version: ClassVar[int] = 2  # 2: no two documents share a node
    schema: ClassVar[pa.Schema] = pa.schema(
        [NUMBER, pa.field("group", pa.int32()), pa.field("shingles", pa.int32())]  # shingles: 0 without a candidate
    )
    group_bytes: int
    advance: Callable[[float], None] = field(default=ignore, metadata=ASIDE)  # told what share is done

    def make(self, name: str, sources: Sequence[Path]) -> Iterator[pa.RecordBatch]:
        """Join, weigh and pack."""
        signed, urls, exact, pairs = (Scratch.of(source) for source in sources)
        parents = np.arange(signed.total, dtype=np.int64)
        state = np.zeros(signed.total, dtype=np.uint8)  # 1: has a copy or is one, 2: has a candidate
        weights = np.zeros(signed.total, dtype=np.int64)
        edges = urls.total + exact.total + pairs.total
        work, done = _EDGE_WORK * edges + 2 * signed.total, 0
        for one, other, candidates in edges_of(urls, exact, pairs):
            for ends in (one, other):
                np.bitwise_or.at(state, ends, 1 + 2 * candidates)
            done += _EDGE_WORK * len(one)
            self.advance(done / work)
            components(parents, one, other)
            np.add.at(weights, one, PAIR_BYTES)
        yield from self._pack(signed, parents, state, weights, work)

    def _pack(
        self,
        signed: Scratch,
        parents: Int64s,
        state: npt.NDArray[np.uint8],
        weights: Int64s,
        work: int,
    ) -> Iterator[pa.RecordBatch]:
        while not np.array_equal(parents, higher := parents[parents]):
            parents = higher
        del higher
        for start, piece in signed.stream(["shingles"]):
            rows = np.flatnonzero(state[start : start + piece["shingles"].size])
            shingles = np.where(state[rows + start] & 2, piece["shingles"][rows], 0)
            np.add.at(weights, rows + start, 8 * shingles.astype(np.int64) + DOCUMENT_BYTES)
            self.advance(1 - (2 * signed.total - start) / work)
        total = np.zeros(signed.total, dtype=np.int64)
        np.add.at(total, parents, weights)
        before = np.cumsum(total, out=weights)  # in place: a number of a billion documents is 8 GB
        before -= total
        before //= self.group_bytes
        for start, piece in signed.stream(["shingles"]):
            rows = np.flatnonzero(state[start : start + piece["shingles"].size])
            shingles = np.where(state[rows + start] & 2, piece["shingles"][rows], 0).astype(np.int32)
            documents = rows + start
            yield from in_batches(self.schema, documents, before[parents[documents]].astype(np.int32), shingles)
            self.advance(1 - (signed.total - start) / work)


def edges_of(urls: Scratch, exact: Scratch, pairs: Scratch) -> Iterator[tuple[Int64s, Int64s, npt.NDArray[np.uint8]]]:
    """All that documents hang together by: (one, other, whether their sets of shingles are needed)."""
    for _, piece in urls.stream(["head", "document"]):
        yield piece["head"], piece["document"], np.zeros(len(piece["head"]), dtype=np.uint8)
    for _, piece in exact.stream(["head", "document", "same"]):
        yield piece["head"], piece["document"], (~piece["same"]).astype(np.uint8)
    for _, piece in pairs.stream(["better", "worse"]):
        yield piece["better"], piece["worse"], np.ones(len(piece["worse"]), dtype=np.uint8)


_EDGE_WORK = 3  # passes over a document that reading and joining an edge takes as long as
PAIR_BYTES = 48  # of a candidate while it is sorted
DOCUMENT_BYTES = 160
_SET_ROWS = 256  # cut at once: room for sets is made for four times the bytes of the text


@dataclass(frozen=True)
class ShingleSets(Stage):
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
    parts: int = field(default=1, metadata=ASIDE)  # shards of groups
    row_group_bytes: ClassVar[int] = 1 << 20  # the least that settling a group has to read

    def make(self, name: str, sources: Sequence[Path]) -> Iterator[pa.RecordBatch]:
        """Cut the texts of one chain again; sources are the shards of groups, the shard of sign, and the chain."""
        grouped, (signs, *chain) = sources[: self.parts], sources[self.parts :]
        start = Scratch.of(self.signed).start(name)
        end = start + shards.open_shard(signs).metadata.num_rows
        parts = [part for path in grouped for part in read_between(path, "document", start, end, self._grouped_columns)]
        if not parts:
            return
        wanted = self._with_ranks(pa.Table.from_batches(parts), signs, start)
        documents = wanted["document"].to_numpy()
        held: list[pa.RecordBatch] = []
        size, at = 0, start
        for texts in read_documents(chain, ["id", "text"], _SET_ROWS):
            low, high = np.searchsorted(documents, [at, at + texts.num_rows])
            for some in range(low, high, _SET_ROWS):
                rows = slice(some, min(high, some + _SET_ROWS))
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
    """Some batches' rows by group, in batches of about a megabyte; `held` is emptied."""
    if held:
        together = pa.concat_batches(held)
        held.clear()
        order = np.argsort(together["group"].to_numpy(), kind="stable")
        for low in range(0, order.size, _SET_ROWS):
            yield together.take(pa.array(order[low : low + _SET_ROWS]))
