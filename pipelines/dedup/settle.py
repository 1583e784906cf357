"""sets and settle: one group at a time, exact similarity, and who is removed for whom.

Sets of shingles are cut once more from the text, for the documents in groups only.
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
from filters.near_duplicates.signatures import Int64s, Sets, jaccards, lay_out, settle, shingle_sets
from pipelines.dedup.candidates import Found
from pipelines.dedup.scratch import (
    NUMBER,
    U64,
    Chains,
    Scratch,
    Steps,
    best_first,
    groups_of,
    joined,
    read_batches,
    read_between,
    read_documents,
    read_pieces,
    rows_of,
)
from pipelines.dedup.settings import Dedup
from pipelines.dedup.space import Cuts
from roots import shards
from roots.settings import ASIDE
from roots.stage import Stage

REASONS = ("url", "exact", "near")  # after "dedup."  # after "dedup."
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


def settle_groups(
    steps: Steps, everything: Chains, settings: Dedup, cuts: Cuts, found: Found, grouped: tuple[Path, int]
) -> Path:
    """Verify candidates group by group, and decide. Gives back the manifest of settle."""
    sign, urls, exact, pairs = found
    manifest, parts = grouped
    groups = Scratch.of(manifest).paths()
    sets = steps.run(
        ShingleSets(settings.scheme, sign, cuts.stretch_bytes, parts),
        {name: [*groups, sign.with_name(name), *everything[name]] for name in everything},
        "sets",
    )
    count = _count_groups(groups)
    settling = Settle(settings.jaccard, settings.exact != "roots", cuts.set_bytes, count)
    return steps.run(settling, {group: [urls, exact, pairs, sets] for group in groups_of(count)}, "settle")


def _count_groups(groups: Sequence[Path]) -> int:
    """How many groups there are."""
    batches = (batch for path in groups for batch in read_batches(path, ["group"]))
    most = [pc.max(batch["group"]).as_py() for batch in batches if batch.num_rows]
    return max(most, default=-1) + 1
