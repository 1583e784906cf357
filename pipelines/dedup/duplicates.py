"""sets and settle: group by group, exact similarity, and which documents are removed for which kept ones.

`sets` reads the text of the documents in groups again, to make their sets of shingles.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, ClassVar, NamedTuple

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from filters.near_duplicates.rules import Scheme
from filters.near_duplicates.shingle_tables import Uint64s
from filters.near_duplicates.signatures import Int64s, Sets, copy_sets, decide_removals, jaccards, shingle_sets
from pipelines.dedup.groups import GroupedCandidates
from pipelines.dedup.scratch import (
    DOCUMENT_NUMBER,
    U64,
    Chains,
    MemoryPlan,
    Steps,
    StepShards,
    concat,
    find_sorted,
    numbered_groups,
    order_by,
    read_batches,
    read_between,
    read_documents,
    read_pieces,
)
from pipelines.dedup.settings import DedupSettings
from roots import shards
from roots.settings import ASIDE
from roots.stage import Stage

DUPLICATE_KINDS = ("url", "exact", "near")  # the drop reasons, after "dedup."
_URL, _EXACT, _NEAR = range(3)
_SET_ROWS = 256  # documents whose sets are made at once: making them takes four times the bytes of the text


def find_duplicates(
    steps: Steps, documents: Chains, settings: DedupSettings, plan: MemoryPlan, grouped: GroupedCandidates
) -> Path:
    """Run `sets` and `settle` on the groups; returns the manifest of settle."""
    sign, urls, exact, pairs, manifest = grouped
    groups = StepShards.of(manifest).paths()
    sets = steps.run(
        ShingleSets(settings.scheme, sign, plan.block_bytes, len(groups)),
        {name: [*groups, sign.with_name(name), *documents[name]] for name in documents},
        "sets",
    )
    count = _count_groups(groups)
    stage = Duplicates(settings.jaccard, settings.exact != "roots", plan.set_bytes, count)
    return steps.run(stage, {group: [urls, exact, pairs, sets] for group in numbered_groups(count)}, "settle")


@dataclass(frozen=True)
class ShingleSets(Stage):
    """The documents of one shard that are in a group, with the sets of shingles of those that have candidates.

    Rows are sorted by group within blocks of about `block_bytes`, so that `settle` reads little else than its group.
    """

    name: ClassVar[str] = "dedup.sets"
    version: ClassVar[int] = 1
    schema: ClassVar[pa.Schema] = pa.schema(
        [
            DOCUMENT_NUMBER, pa.field("group", pa.int32()), pa.field("id", pa.string()), pa.field("rank", U64),
            pa.field("tie", U64), pa.field("size", pa.int32()), pa.field("set", pa.large_list(U64)),
        ]
    )  # fmt: skip
    scheme: Scheme
    signed: Path = field(metadata=ASIDE)  # manifest of sign; its shard is among the sources
    block_bytes: int = field(metadata=ASIDE)
    parts: int = field(default=1, metadata=ASIDE)  # shards of groups
    row_group_bytes: ClassVar[int] = 1 << 20  # the least that `settle` reads for a group

    def make(self, name: str, sources: Sequence[Path]) -> Iterator[pa.RecordBatch]:
        """Make the sets of one shard; sources are the shards of groups, the shard of sign, and the chain."""
        grouped, (signs, *chain) = sources[: self.parts], sources[self.parts :]
        start = StepShards.of(self.signed).start(name)
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
            if size >= self.block_bytes:
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
            wanted = wanted.append_column(name, pa.array(concat(column, np.uint64)))
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
    """The rows of some batches sorted by group, in new batches; empties `held`."""
    if held:
        together = pa.concat_batches(held)
        held.clear()
        order = np.argsort(together["group"].to_numpy(), kind="stable")
        for low in range(0, order.size, _SET_ROWS):
            yield together.take(pa.array(order[low : low + _SET_ROWS]))


class _Members(NamedTuple):
    """The documents of a group, best first: a lower index is a better right to be kept."""

    documents: Int64s  # numbers
    by_number: Int64s  # indices, sorted by number
    ids: pa.Array
    sizes: Int64s  # of the sets of shingles
    fixed: npt.NDArray[np.bool_]  # released documents, which are never removed

    def find(self, documents: Int64s) -> tuple[Int64s, npt.NDArray[np.bool_]]:
        """(index of each document, whether it is a member)."""
        rows, there = find_sorted(self.documents[self.by_number], documents)
        return self.by_number[rows] if self.by_number.size else rows, there


class _Edges(NamedTuple):
    """Pairs of members by index, sorted by `worse`, then `better`."""

    better: Int64s
    worse: Int64s
    known: npt.NDArray[np.float64]  # Jaccard similarity; -1 if it is still to compute
    copies: npt.NDArray[np.bool_]  # whether their digests are equal


@dataclass(frozen=True)
class Duplicates(Stage):
    """The removed documents of one group, and the kept ones that stand for others."""

    name: ClassVar[str] = "dedup.settle"
    version: ClassVar[int] = 1
    schema: ClassVar[pa.Schema] = pa.schema(
        [
            DOCUMENT_NUMBER, pa.field("kept", pa.int64()), pa.field("kept_id", pa.string()),
            pa.field("jaccard", pa.float32()), pa.field("reason", pa.int8()), pa.field("cluster_size", pa.int32()),
        ]
    )  # fmt: skip
    jaccard: float
    verify_copies: bool  # whether documents of equal digest but other shingles need the Jaccard too
    set_bytes: int = field(metadata=ASIDE)  # sets of shingles in memory at once
    groups: int = field(metadata=ASIDE)  # of all documents

    def make(self, name: str, sources: Sequence[Path]) -> Iterator[pa.RecordBatch]:
        """Verify the candidates of one group and decide; sources are urls, exact, pairs and sets."""
        group = numbered_groups(self.groups)[name]
        urls, exact, pairs, sets = (StepShards.of(source) for source in sources)
        members = _read_members(sets, group)
        edges = _read_edges(members, exact, pairs, self.verify_copies)
        loaded = Sets(np.zeros(members.documents.size + 1, np.int64), np.zeros(1, np.uint64))
        if 8 * int(members.sizes.sum()) <= self.set_bytes:
            loaded = _read_sets(sets, group, members, np.ones(members.documents.size, np.bool_))
        else:
            self._verify_all(sets, group, members, edges)
        evidence = np.empty(members.documents.size, dtype=np.int64)
        decide_removals(loaded, edges.better, edges.worse, edges.known, self.jaccard, members.fixed, evidence)
        gone = evidence >= 0
        kept = np.arange(evidence.size)
        kept[gone] = edges.better[evidence[gone]]
        found = np.zeros(evidence.size, dtype=np.float32)
        found[gone] = edges.known[evidence[gone]]
        reason = np.full(evidence.size, _EXACT, dtype=np.int8)
        reason[gone] = np.where(edges.copies[evidence[gone]], _EXACT, _NEAR)
        # A twin has the same shingles as its head, so the same evidence holds for it.
        twin, head = _read_copies(members, exact, same=True)
        kept[twin] = kept[head]
        found[twin] = np.where(gone[head], found[head], 1)
        reason[twin] = reason[head]
        # An older fetch is dropped in favour of the newer fetch, or of the document that one was dropped for.
        twin, head = _read_copies(members, urls)
        kept[twin] = kept[head]
        found[twin] = np.nan
        reason[twin] = _URL
        yield from self._rows(members, kept, found, reason)

    def _rows(
        self, members: _Members, kept: Int64s, found: npt.NDArray[np.float32], reason: npt.NDArray[np.int8]
    ) -> Iterator[pa.RecordBatch]:
        cluster = np.bincount(kept, minlength=kept.size)
        removed = kept != np.arange(kept.size)
        rows = members.by_number[(removed | (cluster > 1))[members.by_number]]
        for low in range(0, rows.size, 1 << 16):
            some = rows[low : low + (1 << 16)]
            mask = ~removed[some]
            ids = members.ids.take(pa.array(kept[some], mask=mask))
            yield pa.RecordBatch.from_arrays(
                [
                    pa.array(members.documents[some]), pa.array(members.documents[kept[some]], mask=mask), ids,
                    pa.array(found[some], mask=mask | np.isnan(found[some])), pa.array(reason[some], mask=mask),
                    pa.array(cluster[some].astype(np.int32), mask=removed[some]),
                ],
                schema=self.schema,
            )  # fmt: skip

    def _verify_all(self, sets: StepShards, group: int, members: _Members, edges: _Edges) -> None:
        """Fill in the similarities of a group whose sets do not fit in memory, two blocks of documents at a time.

        The documents that are the better one of most pairs come first, so that most pairs are in few blocks.
        """
        wanted = np.bincount(edges.better, minlength=members.sizes.size)
        order = order_by(-wanted, np.arange(wanted.size))
        bytes_before = np.cumsum(8 * members.sizes[order]) - 8 * members.sizes[order]
        block = np.empty(wanted.size, dtype=np.int64)
        block[order] = bytes_before // max(1, self.set_bytes // 2)
        one, other = block[edges.better], block[edges.worse]
        low, high = np.minimum(one, other), np.maximum(one, other)
        cell = np.where(edges.known < 0, low * (block.max() + 1) + high, -1)
        for wanted_cell in np.unique(cell[cell >= 0]):
            first, second = divmod(int(wanted_cell), int(block.max()) + 1)
            mine = np.flatnonzero(cell == wanted_cell)
            needed = np.zeros(wanted.size, dtype=np.bool_)
            needed[edges.better[mine]] = needed[edges.worse[mine]] = True
            loaded = _read_sets(sets, group, members, needed & ((block == first) | (block == second)))
            edges.known[mine] = jaccards(*loaded, edges.better[mine], edges.worse[mine])


def _read_members(sets: StepShards, group: int) -> _Members:
    """The documents of one group."""
    names = ["document", "rank", "tie", "size"]
    columns: dict[str, list[npt.NDArray[Any]]] = {name: [] for name in names}
    ids: list[pa.Array] = []
    for path in sets.paths():
        for batch in read_between(path, "group", group, group + 1, [*names, "id", "group"]):
            ids.append(batch["id"])
            for name in names:
                columns[name].append(batch[name].to_numpy())
    documents, rank, tie, size = (concat(columns[name], np.int64) for name in names)
    order = order_by(rank, tie, documents)
    held = pa.chunked_array(ids, pa.string()).take(pa.array(order)).combine_chunks()
    documents = documents[order].astype(np.int64)
    return _Members(documents, np.argsort(documents), held, size[order].astype(np.int64), rank[order] == 0)


def _read_copies(members: _Members, copies: StepShards, same: bool | None = None) -> tuple[Int64s, Int64s]:
    """The copies in a group and their heads, by index; of exact copies only those with that value of `same`."""
    columns = ["document", "head"] if same is None else ["document", "head", "same"]
    found: tuple[list[Int64s], list[Int64s]] = ([], [])
    for _, piece in copies.stream(columns):
        index, mine = members.find(piece["document"])
        head, _ = members.find(piece["head"])
        if same is not None:
            mine = mine & (piece["same"] == same)
        found[0].append(index[mine])
        found[1].append(head[mine])
    copy, head = concat(found[0], np.int64), concat(found[1], np.int64)
    removable = ~members.fixed[copy]
    return copy[removable], head[removable]


def _read_edges(members: _Members, exact: StepShards, pairs: StepShards, verify_copies: bool) -> _Edges:
    """The pairs of a group, each once: candidates, and documents of equal digest whose shingles differ."""
    width = max(1, members.documents.size)
    copy, head = _read_copies(members, exact, same=False)
    copies = np.unique(copy * width + head)
    found = np.zeros(0, dtype=np.int64)
    held: list[Int64s] = []
    size = 0
    for _, piece in pairs.stream(["better", "worse"]):
        worse, mine = members.find(piece["worse"])
        better, _ = members.find(piece["better"][mine])
        held.append(worse[mine] * width + better)
        size += held[-1].size
        if size > max(1 << 20, found.size):  # many bands give the same pair
            found, held, size = np.unique(np.concatenate([found, *held])), [], 0
    found = np.unique(np.concatenate([found, *held, copies]))
    by_digest = np.isin(found, copies, assume_unique=True)
    worse, better = np.divmod(found, width)
    known = np.full(found.size, -1.0) if verify_copies else np.where(by_digest, 1.0, -1.0)
    return _Edges(better, worse, known, by_digest)


def _read_sets(sets: StepShards, group: int, members: _Members, needed: npt.NDArray[np.bool_]) -> Sets:
    """The sets of the members that are needed, by index; the other sets are empty."""
    offsets = np.zeros(needed.size + 1, dtype=np.int64)
    np.cumsum(np.where(needed, members.sizes, 0), out=offsets[1:])
    loaded = Sets(offsets, np.zeros(max(1, int(offsets[-1])), dtype=np.uint64))
    for path in sets.paths():
        for batch in read_between(path, "group", group, group + 1, ["document", "group", "set"], rows=256):
            index, _ = members.find(batch["document"].to_numpy())
            mine = needed[index]
            held = batch["set"] if mine.all() else batch["set"].filter(pa.array(mine))
            flat, index = held.flatten().to_numpy(), index[mine]
            copy_sets(loaded, index, np.cumsum(members.sizes[index]), flat)
    return loaded


def _count_groups(groups: Sequence[Path]) -> int:
    """How many groups there are."""
    batches = (batch for path in groups for batch in read_batches(path, ["group"]))
    most = [pc.max(batch["group"]).as_py() for batch in batches if batch.num_rows]
    return max(most, default=-1) + 1
