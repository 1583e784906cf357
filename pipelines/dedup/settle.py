"""settle and mark: one group at a time, who is removed for whom, and the shards of dedup itself."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, ClassVar, NamedTuple

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from filters.near_duplicates.signatures import Int64s, Sets, jaccards, lay_out, settle
from pipelines.dedup.candidates import NUMBER, best_first
from pipelines.dedup.lines import Edits
from pipelines.dedup.parts import groups_of
from pipelines.dedup.scratch import Scratch, joined, read_between, rows_of
from roots import shards
from roots.schema import DEDUP, LINES
from roots.settings import ASIDE
from roots.stage import Stage

REASONS = ("url", "exact", "near")  # after "dedup."


class _Members(NamedTuple):
    """The documents of a group, best first; a document's place here is its right to be kept."""

    documents: Int64s  # their numbers
    by_number: Int64s  # places, by number
    ids: pa.Array
    sizes: Int64s  # of their sets
    fixed: npt.NDArray[np.bool_]  # released before: they stay

    def places(self, documents: Int64s) -> tuple[Int64s, npt.NDArray[np.bool_]]:
        """(place of each document, whether it is a member)."""
        rows, there = rows_of(self.documents[self.by_number], documents)
        return self.by_number[rows] if self.by_number.size else rows, there


class _Edges(NamedTuple):
    """Pairs of members, ordered by `worse`, then `better`."""

    better: Int64s
    worse: Int64s
    known: npt.NDArray[np.float64]  # -1 for what is to be verified
    copies: npt.NDArray[np.bool_]  # by digest


@dataclass(frozen=True)
class Settle(Stage):
    """One group: verify candidates, and decide.

    A row for every removed document, and for every kept one that stands for others.
    """

    name: ClassVar[str] = "dedup.settle"
    version: ClassVar[int] = 1
    schema: ClassVar[pa.Schema] = pa.schema(
        [
            NUMBER, pa.field("kept", pa.int64()), pa.field("kept_id", pa.string()),
            pa.field("jaccard", pa.float32()), pa.field("reason", pa.int8()), pa.field("cluster_size", pa.int32()),
        ]
    )  # fmt: skip
    jaccard: float
    verify_copies: bool  # whether copies by digest with other shingles (other digits) need the Jaccard too
    set_bytes: int = field(metadata=ASIDE)  # sets held at once
    groups: int = field(metadata=ASIDE)  # how many there are

    def make(self, name: str, sources: Sequence[Path]) -> Iterator[pa.RecordBatch]:
        """Settle one group; sources are urls, exact, pairs and sets."""
        group = groups_of(self.groups)[name]
        urls, exact, pairs, sets = (Scratch.of(source) for source in sources)
        members = _read_members(sets, group)
        edges = _read_edges(members, exact, pairs, self.verify_copies)
        loaded = Sets(np.zeros(members.documents.size + 1, np.int64), np.zeros(1, np.uint64))
        if 8 * int(members.sizes.sum()) <= self.set_bytes:
            loaded = _read_sets(sets, group, members, np.ones(members.documents.size, np.bool_))
        else:
            self._verify_all(sets, group, members, edges)
        evidence = np.empty(members.documents.size, dtype=np.int64)
        settle(loaded, edges.better, edges.worse, edges.known, self.jaccard, members.fixed, evidence)
        gone = evidence >= 0
        kept = np.arange(evidence.size)
        kept[gone] = edges.better[evidence[gone]]
        found = np.zeros(evidence.size, dtype=np.float32)
        found[gone] = edges.known[evidence[gone]]
        reason = np.full(evidence.size, REASONS.index("exact"), dtype=np.int8)
        reason[gone] = np.where(edges.copies[evidence[gone]], REASONS.index("exact"), REASONS.index("near"))
        # A twin has its head's units, so its head's shingles: the same evidence holds for it.
        twin, head = _read_copies(members, exact, same=True)
        kept[twin] = kept[head]
        found[twin] = np.where(gone[head], found[head], 1)
        reason[twin] = reason[head]
        # An older fetch of a page is that page: it goes for the newer one, or for what that one went for.
        twin, head = _read_copies(members, urls)
        kept[twin] = kept[head]
        found[twin] = np.nan
        reason[twin] = REASONS.index("url")
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

    def _verify_all(self, sets: Scratch, group: int, members: _Members, edges: _Edges) -> None:
        """Fill in all similarities of a group whose sets do not fit, two blocks of documents at a time.

        Documents that are the better one of many pairs come first, so that most pairs have one end in few blocks.
        """
        wanted = np.bincount(edges.better, minlength=members.sizes.size)
        order = best_first(-wanted, np.arange(wanted.size))
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


def _read_members(sets: Scratch, group: int) -> _Members:
    """The documents of one group."""
    names = ["document", "rank", "tie", "size"]
    columns: dict[str, list[npt.NDArray[Any]]] = {name: [] for name in names}
    ids: list[pa.Array] = []
    for path in sets.paths():
        for batch in read_between(path, "group", group, group + 1, [*names, "id", "group"]):
            ids.append(batch["id"])
            for name in names:
                columns[name].append(batch[name].to_numpy())
    documents, rank, tie, size = (joined(columns[name], np.int64) for name in names)
    order = best_first(rank, tie, documents)
    held = pa.chunked_array(ids, pa.string()).take(pa.array(order)).combine_chunks()
    documents = documents[order].astype(np.int64)
    return _Members(documents, np.argsort(documents), held, size[order].astype(np.int64), rank[order] == 0)


def _read_copies(members: _Members, copies: Scratch, same: bool | None = None) -> tuple[Int64s, Int64s]:
    """The copies in a group and their heads, as places; of those by digest, only the ones with that `same`."""
    columns = ["document", "head"] if same is None else ["document", "head", "same"]
    found: tuple[list[Int64s], list[Int64s]] = ([], [])
    for _, piece in copies.stream(columns):
        place, mine = members.places(piece["document"])
        head, _ = members.places(piece["head"])
        if same is not None:
            mine = mine & (piece["same"] == same)
        found[0].append(place[mine])
        found[1].append(head[mine])
    copy, head = joined(found[0], np.int64), joined(found[1], np.int64)
    loose = ~members.fixed[copy]
    return copy[loose], head[loose]


def _read_edges(members: _Members, exact: Scratch, pairs: Scratch, verify_copies: bool) -> _Edges:
    """The pairs of a group, each once: candidates, and copies by digest whose shingles differ."""
    width = max(1, members.documents.size)
    copy, head = _read_copies(members, exact, same=False)
    copies = np.unique(copy * width + head)
    found = np.zeros(0, dtype=np.int64)
    held: list[Int64s] = []
    size = 0
    for _, piece in pairs.stream(["better", "worse"]):
        worse, mine = members.places(piece["worse"])
        better, _ = members.places(piece["better"][mine])
        held.append(worse[mine] * width + better)
        size += held[-1].size
        if size > max(1 << 20, found.size):  # the same pair comes from many bands: it is stored once
            found, held, size = np.unique(np.concatenate([found, *held])), [], 0
    found = np.unique(np.concatenate([found, *held, copies]))
    by_digest = np.isin(found, copies, assume_unique=True)
    worse, better = np.divmod(found, width)
    known = np.full(found.size, -1.0) if verify_copies else np.where(by_digest, 1.0, -1.0)
    return _Edges(better, worse, known, by_digest)


def _read_sets(sets: Scratch, group: int, members: _Members, needed: npt.NDArray[np.bool_]) -> Sets:
    """The sets of the members that are needed, by place; the others' are empty."""
    offsets = np.zeros(needed.size + 1, dtype=np.int64)
    np.cumsum(np.where(needed, members.sizes, 0), out=offsets[1:])
    loaded = Sets(offsets, np.zeros(max(1, int(offsets[-1])), dtype=np.uint64))
    for path in sets.paths():
        for batch in read_between(path, "group", group, group + 1, ["document", "group", "set"], rows=256):
            place, _ = members.places(batch["document"].to_numpy())
            mine = needed[place]
            held = batch["set"] if mine.all() else batch["set"].filter(pa.array(mine))
            flat, place = held.flatten().to_numpy(), place[mine]
            lay_out(loaded, place, np.cumsum(members.sizes[place]), flat)
    return loaded


@dataclass(frozen=True)
class Mark(Stage):
    """The stage's own shards: a row for every document that was read, with its fate and the evidence."""

    name: ClassVar[str] = "dedup"
    version: ClassVar[int] = 2  # 2: lines
    schema: ClassVar[pa.Schema] = DEDUP
    settings: Mapping[str, Any]  # of the whole of dedup: for the manifest
    evidence: str  # digest of all that was settled, whatever groups it was settled in
    releases: tuple[tuple[str, int, int], ...]  # name of each, its first document's number, the number after its last
    signed: Path = field(metadata=ASIDE)
    settled: Path = field(metadata=ASIDE)

    def make(self, name: str, sources: Sequence[Path]) -> Iterator[pa.RecordBatch]:
        """Mark one shard; its sources are its shard of sign, and that of edits where lines are removed."""
        start = Scratch.of(self.signed).start(sources[0].name)
        edits = [pa.Table.from_batches(shards.read(path), Edits.schema) for path in sources[1:]]
        rows = shards.open_shard(sources[0]).metadata.num_rows
        parts = [
            batch
            for path in Scratch.of(self.settled).paths()
            for batch in read_between(path, "document", start, start + rows, Settle.schema.names)
        ]
        table = pa.Table.from_batches(parts, Settle.schema).sort_by("document").combine_chunks()
        documents = table["document"].to_numpy()
        row = 0
        for batch in shards.read(sources[0], ["id"]):
            low, high = np.searchsorted(documents, [start, start + batch.num_rows])
            marked = self._marked(batch["id"], documents[low:high] - start, table.slice(low, high - low))
            yield _with_lines(marked, edits[0], row) if edits else marked
            start += batch.num_rows
            row += batch.num_rows

    def _marked(self, ids: pa.Array, rows: Int64s, settled: pa.Table) -> pa.RecordBatch:
        """Rows of dedup for some documents, of which `rows` were settled."""
        place = np.full(len(ids), -1, dtype=np.int64)
        place[rows] = np.arange(rows.size)
        where = pa.array(place, mask=place < 0)
        kept, kept_id, jaccard, number, size = (
            settled[name].combine_chunks().take(where)
            for name in ("kept", "kept_id", "jaccard", "reason", "cluster_size")
        )
        release = self._releases(kept)
        reason = pa.array([f"dedup.{name}" for name in REASONS]).take(number)
        if self.settings["released"] == "mark":
            reason = pc.if_else(release.is_null(), reason, pa.scalar(None, pa.string()))
        size = pc.if_else(reason.is_null(), size.fill_null(1), pa.scalar(None, pa.int32()))
        lines = pa.nulls(len(ids), LINES)
        return pa.RecordBatch.from_arrays([ids, kept_id, release, jaccard, size, lines, reason], schema=DEDUP)

    def _releases(self, kept: pa.Array) -> pa.Array:
        """The release that each kept document is in; null for documents of this corpus."""
        numbers = kept.fill_null(-1).to_numpy()
        place = np.full(numbers.size, -1, dtype=np.int64)
        for each, (_, first, end) in enumerate(self.releases):
            place[(numbers >= first) & (numbers < end)] = each
        return pa.array([label for label, _, _ in self.releases], pa.string()).take(pa.array(place, mask=place < 0))


def _with_lines(marked: pa.RecordBatch, edits: pa.Table, row: int) -> pa.RecordBatch:
    """The rows with what line removal takes of each; a document of which nothing is left is dropped.

    `row` is the first one's in its shard.
    """
    rows = edits["row"].to_numpy()
    low, high = np.searchsorted(rows, [row, row + marked.num_rows])
    place = np.full(marked.num_rows, -1, dtype=np.int64)
    place[rows[low:high] - row] = np.arange(low, high)
    where = pa.array(place, mask=place < 0)
    lines, empty = (edits[name].combine_chunks().take(where) for name in ("lines", "empty"))
    none = pa.ListArray.from_arrays(pa.array([0, 0], pa.int32()), pa.array([], LINES.value_type), type=LINES)
    lines = pc.coalesce(lines, none[0])
    gone = pc.and_(empty.fill_null(False), marked["drop"].is_null())
    size = pc.if_else(gone, pa.scalar(None, pa.int32()), marked["minhash_cluster_size"])
    drop = pc.if_else(gone, "dedup.lines", marked["drop"])
    columns = [marked[name] for name in ("id", "duplicate_of", "release", "jaccard")] + [size, lines, drop]
    return pa.RecordBatch.from_arrays(columns, schema=DEDUP)
