"""groups: connected documents, packed into groups that are worked on together.

Candidates and copies are the edges between documents. A component, all documents that edges connect, is always in one
group. One task groups all documents where memory allows it. Where it does not, many tasks find the same groups:

    stars     the components, in rounds of Large-Star and Small-Star
    weigh     the component of each document, and what the document costs (bytes of memory in settle)
    totals    what each component costs
    groups    the group of each document

In a round, Large-Star connects each document's larger neighbours, and Small-Star its smaller neighbours and itself, to
the least of them. After the last round each document is connected to the first document of its component and to no
other. A task reads the neighbours of one part of all documents. It must hold the numbers of one component (16 bytes
each); `settle` needs more than that for it anyway.

Source: Kiveris, Lattanzi, Mirrokni, Rastogi, Vassilvitskii 2014, Connected Components in MapReduce and Beyond.
"""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from itertools import count
from pathlib import Path
from typing import ClassVar, NamedTuple

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from filters.near_duplicates.signatures import Int64s, join_components
from pipelines.dedup.candidates import Candidates, unique_pairs
from pipelines.dedup.scratch import (
    DOCUMENT_NUMBER,
    MemoryPlan,
    Steps,
    StepShards,
    find_sorted,
    group_parts,
    no_progress,
    numbered_parts,
    read_between,
    run_starts,
    to_batches,
)
from roots import shards, storage
from roots.settings import ASIDE
from roots.stage import Stage

_EDGE_WORK = 3  # reading and joining an edge takes as long as this many passes over a document
_PAIR_BYTES = 48  # what a candidate costs while it is sorted
_DOCUMENT_BYTES = 160  # what a document costs, besides its set of shingles
_UNIQUE_ROWS = 1 << 20  # neighbours that are collected before repeated ones are removed


class GroupedCandidates(NamedTuple):
    """Manifests of the sub-steps that find candidates and group them."""

    sign: Path
    urls: Path
    exact: Path
    pairs: Path
    groups: Path


def group_documents(steps: Steps, found: Candidates, plan: MemoryPlan) -> GroupedCandidates:
    """Group the documents, by one task or by many."""
    sign, urls, exact, pairs = found
    edges = sum(StepShards.of(each).total for each in (urls, exact, pairs))
    parts = group_parts(StepShards.of(sign).total, edges, plan)
    if parts > 1:
        return GroupedCandidates(*found, group_by_many_tasks(steps, found, plan.group_bytes, parts))
    for folder in ("weigh", "totals", *(name for name in storage.names_in(steps.target) if name.startswith("stars-"))):
        steps.clear(folder)
    stage = DocumentGroups(plan.group_bytes, steps.progress_of(DocumentGroups.name))
    return GroupedCandidates(*found, steps.run(stage, {"groups.parquet": [*found]}, "groups"))


def group_by_many_tasks(steps: Steps, found: Sequence[Path], group_bytes: int, parts: int) -> Path:
    """Group the documents by `parts` tasks; `found` are the manifests of sign, urls, exact and pairs.

    Returns the manifest of groups.
    """
    names = numbered_parts(parts)
    edges, before = list(found[1:]), None
    for number in count():
        for larger in (True, False):
            folder = f"stars-{number:02d}-{'larger' if larger else 'smaller'}"
            edges = [steps.run(StarRound(larger, parts), dict.fromkeys(names, edges), folder)]
        now = _digests(edges[0])
        if now == before:
            break
        before = now
    weigh = steps.run(DocumentCosts(parts), {name: [*found, *edges] for name in names}, "weigh")
    documents = StepShards.of(found[0]).total
    totals = steps.run(ComponentCosts(parts, documents), {name: [weigh] for name in names}, "totals")
    plan = {name: [weigh.with_name(name), totals] for name in names}
    return steps.run(PartOfGroups(group_bytes), plan, "groups")


@dataclass(frozen=True)
class DocumentGroups(Stage):
    """The group of each document that has a candidate or a copy, found by one task (41 bytes of memory a document).

    Groups are filled with components in the order of their first documents, until they cost `group_bytes`.
    """

    name: ClassVar[str] = "dedup.groups"
    version: ClassVar[int] = 2  # 2: no two documents share a node
    schema: ClassVar[pa.Schema] = pa.schema(
        [DOCUMENT_NUMBER, pa.field("group", pa.int32()), pa.field("shingles", pa.int32())]
    )  # shingles: 0 without a candidate
    group_bytes: int
    progress: Callable[[float], None] = field(default=no_progress, metadata=ASIDE)  # called with the fraction done

    def make(self, name: str, sources: Sequence[Path]) -> Iterator[pa.RecordBatch]:
        """Find the components; sources are the manifests of sign, urls, exact and pairs."""
        signed, urls, exact, pairs = (StepShards.of(source) for source in sources)
        parents = np.arange(signed.total, dtype=np.int64)
        state = np.zeros(signed.total, dtype=np.uint8)  # 1: has a copy or is one, 2: has a candidate
        costs = np.zeros(signed.total, dtype=np.int64)
        edges = urls.total + exact.total + pairs.total
        work, done = _EDGE_WORK * edges + 2 * signed.total, 0
        for one, other, candidates in _stream_edges(urls, exact, pairs):
            for ends in (one, other):
                np.bitwise_or.at(state, ends, 1 + 2 * candidates)
            done += _EDGE_WORK * len(one)
            self.progress(done / work)
            join_components(parents, one, other)
            np.add.at(costs, one, _PAIR_BYTES)
        yield from self._pack(signed, parents, state, costs, work)

    def _pack(
        self, signed: StepShards, parents: Int64s, state: npt.NDArray[np.uint8], costs: Int64s, work: int
    ) -> Iterator[pa.RecordBatch]:
        """Assign the groups."""
        while not np.array_equal(parents, higher := parents[parents]):
            parents = higher
        del higher
        for start, piece in signed.stream(["shingles"]):
            rows = np.flatnonzero(state[start : start + piece["shingles"].size])
            shingles = np.where(state[rows + start] & 2, piece["shingles"][rows], 0)
            np.add.at(costs, rows + start, 8 * shingles.astype(np.int64) + _DOCUMENT_BYTES)
            self.progress(1 - (2 * signed.total - start) / work)
        total = np.zeros(signed.total, dtype=np.int64)
        np.add.at(total, parents, costs)
        before = np.cumsum(total, out=costs)  # in place, to save 8 bytes a document
        before -= total
        before //= self.group_bytes
        for start, piece in signed.stream(["shingles"]):
            rows = np.flatnonzero(state[start : start + piece["shingles"].size])
            shingles = np.where(state[rows + start] & 2, piece["shingles"][rows], 0).astype(np.int32)
            documents = rows + start
            yield from to_batches(self.schema, documents, before[parents[documents]].astype(np.int32), shingles)
            self.progress(1 - (signed.total - start) / work)


@dataclass(frozen=True)
class StarRound(Stage):
    """Large-Star or Small-Star for one part of all documents: edges (document, head), where head is the smaller."""

    name: ClassVar[str] = "dedup.stars"
    version: ClassVar[int] = 1
    schema: ClassVar[pa.Schema] = pa.schema([DOCUMENT_NUMBER, pa.field("head", pa.int64())])
    larger: bool  # Large-Star
    parts: int

    def make(self, name: str, sources: Sequence[Path]) -> Iterator[pa.RecordBatch]:
        """Connect one part; sources are the manifest of the round before, or those of urls, exact and pairs."""
        part = numbered_parts(self.parts)[name]
        center, other = self._neighbours(part, [StepShards.of(source) for source in sources])
        first = run_starts(center)
        least = np.minimum(center, other[first][np.cumsum(first) - 1])
        if self.larger:
            ends = other > center
            head, document = least[ends], other[ends]
        else:
            ends = other != least
            head, document = np.r_[least[ends], least[first]], np.r_[other[ends], center[first]]
        head, document = unique_pairs(head, document)
        yield from to_batches(self.schema, document, head)

    def _neighbours(self, part: int, sources: Sequence[StepShards]) -> tuple[Int64s, Int64s]:
        """(document, neighbour), each pair once and in order: all neighbours, or for Small-Star the smaller ones."""
        found: tuple[Int64s, Int64s] = (np.zeros(0, np.int64), np.zeros(0, np.int64))
        held: list[tuple[Int64s, Int64s]] = []
        size = 0
        for one, other in _stream_ends(sources):
            for center, neighbour in ((one, other), (other, one)):
                mine = (center % self.parts == part) & (center != neighbour)
                if not self.larger:
                    mine &= neighbour < center
                held.append((center[mine], neighbour[mine]))
                size += held[-1][0].size
            if size > max(_UNIQUE_ROWS, found[0].size):
                found, held, size = _merge_unique(found, held), [], 0
        return _merge_unique(found, held)


def _merge_unique(found: tuple[Int64s, Int64s], held: Sequence[tuple[Int64s, Int64s]]) -> tuple[Int64s, Int64s]:
    center, neighbour = (np.concatenate([found[side], *(pair[side] for pair in held)]) for side in (0, 1))
    neighbour, center = unique_pairs(neighbour, center)
    return center, neighbour


def _stream_ends(sources: Sequence[StepShards]) -> Iterator[tuple[Int64s, Int64s]]:
    if len(sources) > 1:
        yield from ((one, other) for one, other, _ in _stream_edges(*sources))
        return
    for _, piece in sources[0].stream(["head", "document"]):
        yield piece["head"], piece["document"]


def _stream_edges(
    urls: StepShards, exact: StepShards, pairs: StepShards
) -> Iterator[tuple[Int64s, Int64s, npt.NDArray[np.uint8]]]:
    """All edges: (one end, the other, whether the sets of shingles are needed)."""
    for _, piece in urls.stream(["head", "document"]):
        yield piece["head"], piece["document"], np.zeros(len(piece["head"]), dtype=np.uint8)
    for _, piece in exact.stream(["head", "document", "same"]):
        yield piece["head"], piece["document"], (~piece["same"]).astype(np.uint8)
    for _, piece in pairs.stream(["better", "worse"]):
        yield piece["better"], piece["worse"], np.ones(len(piece["worse"]), dtype=np.uint8)


@dataclass(frozen=True)
class DocumentCosts(Stage):
    """The documents of one range that have an edge: the first document of their component, and their cost in bytes."""

    name: ClassVar[str] = "dedup.weigh"
    version: ClassVar[int] = 1
    schema: ClassVar[pa.Schema] = pa.schema(
        [
            DOCUMENT_NUMBER,
            pa.field("first", pa.int64()),
            pa.field("shingles", pa.int32()),
            pa.field("bytes", pa.int64()),
        ]
    )  # fmt: skip
    parts: int

    def make(self, name: str, sources: Sequence[Path]) -> Iterator[pa.RecordBatch]:
        """Cost one range of documents; sources are sign, urls, exact, pairs and the last stars."""
        signed, urls, exact, pairs, stars = (StepShards.of(source) for source in sources)
        low, high = _range_of(numbered_parts(self.parts)[name], self.parts, signed.total)
        state = np.zeros(high - low, dtype=np.uint8)  # 1: has a copy or is one, 2: has a candidate
        costs = np.zeros(high - low, dtype=np.int64)
        for one, other, candidates in _stream_edges(urls, exact, pairs):
            for ends in (one, other):
                mine = (ends >= low) & (ends < high)
                np.bitwise_or.at(state, ends[mine] - low, 1 + 2 * candidates[mine])
            np.add.at(costs, ends[mine] - low, _PAIR_BYTES)  # one end pays: both are in one component
        first = np.arange(low, high)
        for path in stars.paths():
            for batch in read_between(path, "document", low, high, ["document", "head"]):
                first[batch["document"].to_numpy() - low] = batch["head"].to_numpy()
        shingles = np.concatenate(list(_read_range(signed, "shingles", low, high)))
        shingles = np.where(state & 2, shingles, 0).astype(np.int64)
        rows = np.flatnonzero(state)
        costs += 8 * shingles + _DOCUMENT_BYTES
        yield from to_batches(self.schema, rows + low, first[rows], shingles[rows].astype(np.int32), costs[rows])


def _range_of(part: int, parts: int, total: int) -> tuple[int, int]:
    """The document numbers of one of `parts` equal ranges: (first, after the last)."""
    return part * total // parts, (part + 1) * total // parts


def _read_range(signed: StepShards, column: str, low: int, high: int) -> Iterator[Int64s]:
    """A column of the documents from `low` up to `high`."""
    yield np.zeros(0, dtype=np.int64)
    for start, piece in signed.stream([column]):
        yield piece[column][max(0, low - start) : max(0, high - start)].astype(np.int64)


@dataclass(frozen=True)
class ComponentCosts(Stage):
    """The components whose first document is in one range, and what each costs in bytes."""

    name: ClassVar[str] = "dedup.totals"
    version: ClassVar[int] = 1
    schema: ClassVar[pa.Schema] = pa.schema([pa.field("first", pa.int64()), pa.field("bytes", pa.int64())])
    parts: int
    documents: int

    def make(self, name: str, sources: Sequence[Path]) -> Iterator[pa.RecordBatch]:
        """Add up the costs of one range; the source is weigh."""
        low, high = _range_of(numbered_parts(self.parts)[name], self.parts, self.documents)
        total = np.zeros(high - low, dtype=np.int64)
        for path in StepShards.of(sources[0]).paths():
            for batch in read_between(path, "first", low, high, ["first", "bytes"]):
                np.add.at(total, batch["first"].to_numpy() - low, batch["bytes"].to_numpy())
        rows = np.flatnonzero(total)
        yield from to_batches(self.schema, rows + low, total[rows])


@dataclass(frozen=True)
class PartOfGroups(Stage):
    """The groups of one range of documents: a part of what DocumentGroups makes."""

    name: ClassVar[str] = DocumentGroups.name
    version: ClassVar[int] = 1
    schema: ClassVar[pa.Schema] = DocumentGroups.schema
    group_bytes: int

    def make(self, name: str, sources: Sequence[Path]) -> Iterator[pa.RecordBatch]:
        """Assign the groups; sources are a shard of weigh, and the manifest of totals."""
        mine = pa.Table.from_batches(shards.read(sources[0]), DocumentCosts.schema)
        first, component = np.unique(mine["first"].to_numpy(), return_inverse=True)
        before = np.zeros(first.size, dtype=np.int64)
        sum_so_far = 0
        for _, piece in StepShards.of(sources[1]).stream(["first", "bytes"]):
            rows, there = find_sorted(piece["first"], first)
            ends = sum_so_far + np.cumsum(piece["bytes"])
            before[there] = (ends - piece["bytes"])[rows[there]]
            sum_so_far = int(ends[-1]) if ends.size else sum_so_far
        group = (before // self.group_bytes).astype(np.int32)
        yield from to_batches(self.schema, mine["document"].to_numpy(), group[component], mine["shingles"].to_numpy())


def _digests(manifest: Path) -> list[str]:
    """Digests of the contents of a sub-step's shards."""
    return [receipt.digest for path in StepShards.of(manifest).paths() if (receipt := shards.read_receipt(path))]
