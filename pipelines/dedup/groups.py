"""groups: which documents are settled together: those that hang together by candidates and copies.

One task does it where it can hold all documents. Where it cannot, many do, and no task needs all edges or all
documents; the groups are those that one task would make.

Documents that hang together are found by stars: in turns, every document's larger neighbours, then its smaller ones and
itself, are tied to the least document among them, until nothing changes; then every document is tied to the first
of its component, and to no other. A task has the neighbours of a part of all documents. A component's first document is
tied to all the others: a task must hold one component's numbers (16 bytes each), as settling it must hold more.

Source: Kiveris, Lattanzi, Mirrokni, Rastogi, Vassilvitskii 2014, Connected Components in MapReduce and Beyond.
"""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from itertools import count
from pathlib import Path
from typing import ClassVar

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from filters.near_duplicates.signatures import Int64s, components
from pipelines.dedup.candidates import Found, unique_pairs
from pipelines.dedup.scratch import (
    NUMBER,
    Scratch,
    Steps,
    ignore,
    in_batches,
    parts_of,
    read_between,
    rows_of,
    starts_of_runs,
)
from pipelines.dedup.space import Cuts, group_parts
from roots import shards
from roots.settings import ASIDE
from roots.stage import Stage

_EDGE_WORK = 3  # passes over a document that reading and joining an edge takes as long as
PAIR_BYTES = 48  # of a candidate while it is sorted
DOCUMENT_BYTES = 160
_UNIQUE_ROWS = 1 << 20  # neighbours that are gathered before they are freed of repetitions


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


@dataclass(frozen=True)
class Stars(Stage):
    """One turn: neighbours of the documents of one part, tied to the least of them. (document, head), head is less."""

    name: ClassVar[str] = "dedup.stars"
    version: ClassVar[int] = 1
    schema: ClassVar[pa.Schema] = pa.schema([NUMBER, pa.field("head", pa.int64())])
    larger: bool  # whether the larger neighbours are tied, or the smaller ones and the document itself
    parts: int

    def make(self, name: str, sources: Sequence[Path]) -> Iterator[pa.RecordBatch]:
        """Tie one part; sources are the manifest of the turn before, or urls, exact and pairs."""
        center, other = self._neighbours(parts_of(self.parts)[name], [Scratch.of(source) for source in sources])
        fresh = starts_of_runs(center)
        least = np.minimum(center, other[fresh][np.cumsum(fresh) - 1])
        if self.larger:
            ends = other > center
            head, document = least[ends], other[ends]
        else:
            ends = other != least
            head, document = np.r_[least[ends], least[fresh]], np.r_[other[ends], center[fresh]]
        head, document = unique_pairs(head, document)
        yield from in_batches(self.schema, document, head)

    def _neighbours(self, part: int, sources: Sequence[Scratch]) -> tuple[Int64s, Int64s]:
        """(document, neighbour), each pair once, by document, then by neighbour: all of them, or the smaller."""
        found: tuple[Int64s, Int64s] = (np.zeros(0, np.int64), np.zeros(0, np.int64))
        held: list[tuple[Int64s, Int64s]] = []
        size = 0
        for one, other in _ends(sources):
            for center, neighbour in ((one, other), (other, one)):
                mine = (center % self.parts == part) & (center != neighbour)
                if not self.larger:
                    mine &= neighbour < center
                held.append((center[mine], neighbour[mine]))
                size += held[-1][0].size
            if size > max(_UNIQUE_ROWS, found[0].size):
                found, held, size = _once(found, held), [], 0
        return _once(found, held)


def _once(found: tuple[Int64s, Int64s], held: Sequence[tuple[Int64s, Int64s]]) -> tuple[Int64s, Int64s]:
    center, neighbour = (np.concatenate([found[side], *(pair[side] for pair in held)]) for side in (0, 1))
    neighbour, center = unique_pairs(neighbour, center)
    return center, neighbour


def _ends(sources: Sequence[Scratch]) -> Iterator[tuple[Int64s, Int64s]]:
    if len(sources) > 1:
        yield from ((one, other) for one, other, _ in edges_of(*sources))
        return
    for _, piece in sources[0].stream(["head", "document"]):
        yield piece["head"], piece["document"]


@dataclass(frozen=True)
class Weigh(Stage):
    """The documents of one stretch of numbers that have a candidate or a copy: the first of their component, and what
    settling them takes.
    """

    name: ClassVar[str] = "dedup.weigh"
    version: ClassVar[int] = 1
    schema: ClassVar[pa.Schema] = pa.schema(
        [NUMBER, pa.field("first", pa.int64()), pa.field("shingles", pa.int32()), pa.field("bytes", pa.int64())]
    )
    parts: int

    def make(self, name: str, sources: Sequence[Path]) -> Iterator[pa.RecordBatch]:
        """Weigh one stretch; sources are sign, urls, exact, pairs and the last stars."""
        signed, urls, exact, pairs, stars = (Scratch.of(source) for source in sources)
        low, high = stretch(parts_of(self.parts)[name], self.parts, signed.total)
        state = np.zeros(high - low, dtype=np.uint8)  # 1: has a copy or is one, 2: has a candidate
        weights = np.zeros(high - low, dtype=np.int64)
        for one, other, candidates in edges_of(urls, exact, pairs):
            for ends in (one, other):
                mine = (ends >= low) & (ends < high)
                np.bitwise_or.at(state, ends[mine] - low, 1 + 2 * candidates[mine])
            np.add.at(weights, ends[mine] - low, PAIR_BYTES)  # at one end: both are in one component
        first = np.arange(low, high)
        for path in stars.paths():
            for batch in read_between(path, "document", low, high, ["document", "head"]):
                first[batch["document"].to_numpy() - low] = batch["head"].to_numpy()
        shingles = np.concatenate(list(_between(signed, "shingles", low, high)))
        shingles = np.where(state & 2, shingles, 0).astype(np.int64)
        rows = np.flatnonzero(state)
        weights += 8 * shingles + DOCUMENT_BYTES
        yield from in_batches(self.schema, rows + low, first[rows], shingles[rows].astype(np.int32), weights[rows])


def stretch(part: int, parts: int, total: int) -> tuple[int, int]:
    """The numbers of one part: from, up to."""
    return part * total // parts, (part + 1) * total // parts


def _between(scratch: Scratch, column: str, low: int, high: int) -> Iterator[Int64s]:
    """A column of the rows from `low` up to `high`, counted over all shards."""
    yield np.zeros(0, dtype=np.int64)
    for start, piece in scratch.stream([column]):
        yield piece[column][max(0, low - start) : max(0, high - start)].astype(np.int64)


@dataclass(frozen=True)
class Totals(Stage):
    """The components whose first document is in one stretch of numbers, and what settling each takes."""

    name: ClassVar[str] = "dedup.totals"
    version: ClassVar[int] = 1
    schema: ClassVar[pa.Schema] = pa.schema([pa.field("first", pa.int64()), pa.field("bytes", pa.int64())])
    parts: int
    documents: int

    def make(self, name: str, sources: Sequence[Path]) -> Iterator[pa.RecordBatch]:
        """Add up one stretch; the source is weigh."""
        low, high = stretch(parts_of(self.parts)[name], self.parts, self.documents)
        total = np.zeros(high - low, dtype=np.int64)
        for path in Scratch.of(sources[0]).paths():
            for batch in read_between(path, "first", low, high, ["first", "bytes"]):
                np.add.at(total, batch["first"].to_numpy() - low, batch["bytes"].to_numpy())
        rows = np.flatnonzero(total)
        yield from in_batches(self.schema, rows + low, total[rows])


@dataclass(frozen=True)
class PartOfGroups(Stage):
    """The groups of the documents of one stretch of numbers: a part of what Groups makes."""

    name: ClassVar[str] = Groups.name
    version: ClassVar[int] = 1
    schema: ClassVar[pa.Schema] = Groups.schema
    group_bytes: int

    def make(self, name: str, sources: Sequence[Path]) -> Iterator[pa.RecordBatch]:
        """Pack; sources are a shard of weigh, and totals."""
        mine = pa.Table.from_batches(shards.read(sources[0]), Weigh.schema)
        first, place = np.unique(mine["first"].to_numpy(), return_inverse=True)
        before = np.zeros(first.size, dtype=np.int64)
        sum_so_far = 0
        for _, piece in Scratch.of(sources[1]).stream(["first", "bytes"]):
            rows, there = rows_of(piece["first"], first)
            ends = sum_so_far + np.cumsum(piece["bytes"])
            before[there] = (ends - piece["bytes"])[rows[there]]
            sum_so_far = int(ends[-1]) if ends.size else sum_so_far
        group = (before // self.group_bytes).astype(np.int32)
        yield from in_batches(self.schema, mine["document"].to_numpy(), group[place], mine["shingles"].to_numpy())


def spread_groups(steps: Steps, found: Sequence[Path], group_bytes: int, parts: int) -> Path:
    """Group the documents by so many tasks; `found` are the manifests of sign, urls, exact and pairs.

    Gives back the manifest of groups.
    """
    names = parts_of(parts)
    turns, before = list(found[1:]), None
    for number in count():
        for larger in (True, False):
            plan = dict.fromkeys(names, turns)
            turns = [steps.run(Stars(larger, parts), plan, f"stars-{number:02d}-{'larger' if larger else 'smaller'}")]
        now = _digests(turns[0])
        if now == before:
            break
        before = now
    weigh = steps.run(Weigh(parts), {name: [*found, *turns] for name in names}, "weigh")
    totals = steps.run(Totals(parts, Scratch.of(found[0]).total), {name: [weigh] for name in names}, "totals")
    plan = {name: [weigh.with_name(name), totals] for name in names}
    return steps.run(PartOfGroups(group_bytes), plan, "groups")


def group_documents(steps: Steps, found: Found, cuts: Cuts) -> tuple[Path, int]:
    """Group the documents by one task or by many; gives back the manifest of groups, and how many tasks there were."""
    sign, urls, exact, pairs = found
    edges = sum(Scratch.of(each).total for each in (urls, exact, pairs))
    parts = group_parts(Scratch.of(sign).total, edges, cuts)
    if parts > 1:
        return spread_groups(steps, found, cuts.group_bytes, parts), parts
    _clear_spread(steps)
    stage = Groups(cuts.group_bytes, steps.advance_of(Groups.name))
    return steps.run(stage, {"groups.parquet": [*found]}, "groups"), parts


def _clear_spread(steps: Steps) -> None:
    """Remove what an earlier run, with less memory or more documents, left of grouping by many tasks."""
    for folder in ("weigh", "totals", *sorted(path.name for path in steps.target.glob("stars-*"))):
        steps.clear(folder)


def _digests(manifest: Path) -> list[str]:
    """What a sub-step's shards hold."""
    return [receipt.digest for path in Scratch.of(manifest).paths() if (receipt := shards.read_receipt(path))]
