"""mark: the shards of dedup itself, a row for every document that was read."""

import hashlib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from filters.near_duplicates.signatures import Int64s
from pipelines.dedup.lines import Edits
from pipelines.dedup.released import spans_of_releases
from pipelines.dedup.report import Evidence
from pipelines.dedup.scratch import Places, Scratch, Steps, read_batches, read_between
from pipelines.dedup.settings import Dedup
from pipelines.dedup.settle import REASONS, Settle
from roots import shards
from roots.schema import DEDUP, LINES
from roots.settings import ASIDE
from roots.stage import Manifest, Stage, run


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


def mark(steps: Steps, folder: Path, places: Places, settings: Dedup, found: Evidence) -> Manifest:
    """Make the shards of one folder."""
    releases = spans_of_releases(Scratch.of(found.sign))
    stage = Mark(settings.as_values(), _digest_of(Scratch.of(found.settled)), releases, found.sign, found.settled)
    edits = [found.edits] if found.edits else []
    plan = {
        place.name: [path.with_name(name) for path in (found.sign, *edits)]
        for name, place in places.items()
        if place.folder == folder
    }
    return run(stage, plan, folder, steps.executor, steps.progress, steps.share)


_ODD = np.uint64(0xD1342543DE82EF95)


def _digest_of(settled: Scratch) -> str:
    """Digest of all that was settled, the same for any cut into groups."""
    total = 0
    for path in settled.paths():
        for batch in read_batches(path, ["document", "kept", "jaccard", "reason", "cluster_size"]):
            value: npt.NDArray[np.uint64] = np.zeros(batch.num_rows, dtype=np.uint64)
            for name in batch.schema.names:
                column = batch[name].cast("float64") if name == "jaccard" else batch[name].cast("int64")
                numbers = column.fill_null(-1).to_numpy(zero_copy_only=False)
                value = (value ^ numbers.view(np.uint64)) * _ODD
                value ^= value >> np.uint64(29)
            total += sum(value.tolist())
    return hashlib.sha256(str(total).encode()).hexdigest()
