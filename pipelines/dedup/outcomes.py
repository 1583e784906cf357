"""The shards of dedup itself: a row for each document that was read, with its outcome and the evidence."""

import hashlib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import ClassVar

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from filters.near_duplicates.signatures import Int64s
from pipelines.dedup.duplicates import DUPLICATE_KINDS, Duplicates
from pipelines.dedup.lines import LineEdits
from pipelines.dedup.released import release_ranges
from pipelines.dedup.scratch import Outputs, StepManifests, Steps, StepShards, read_batches, read_between
from pipelines.dedup.settings import DedupSettings
from roots import shards
from roots.schema import DEDUP, LINES
from roots.settings import ASIDE
from roots.stage import Manifest, Stage, run

_ODD = np.uint64(0xD1342543DE82EF95)


def write_outcomes(
    steps: Steps, folder: Path, outputs: Outputs, settings: DedupSettings, found: StepManifests
) -> Manifest:
    """Make the shards of dedup of one folder."""
    settled = StepShards.of(found.settled)
    releases = release_ranges(StepShards.of(found.sign))
    stage = Outcomes(settings.as_values(), _sum_of_rows(settled), releases, found.sign, found.settled)
    edits = [found.edits] if found.edits else []
    plan = {
        output.name: [path.with_name(name) for path in (found.sign, *edits)]
        for name, output in outputs.items()
        if output.folder == folder
    }
    return run(stage, plan, folder, steps.executor, steps.progress, steps.share)


@dataclass(frozen=True)
class Outcomes(Stage):
    """A row for each document: what it is a copy of, how similar, which lines are removed, why it is dropped."""

    name: ClassVar[str] = "dedup"
    version: ClassVar[int] = 2  # 2: lines
    schema: ClassVar[pa.Schema] = DEDUP
    settings: Mapping[str, object]  # of all of dedup, for the manifest
    evidence: str  # digest of all rows of settle
    releases: tuple[tuple[str, int, int], ...]  # name, number of its first document, number after its last
    signed: Path = field(metadata=ASIDE)
    settled: Path = field(metadata=ASIDE)

    def make(self, name: str, sources: Sequence[Path]) -> Iterator[pa.RecordBatch]:
        """Make one shard; sources are its shard of sign, and its shard of edits where lines are removed."""
        start = StepShards.of(self.signed).start(sources[0].name)
        edits = [pa.Table.from_batches(shards.read(path), LineEdits.schema) for path in sources[1:]]
        rows = shards.open_shard(sources[0]).metadata.num_rows
        parts = [
            batch
            for path in StepShards.of(self.settled).paths()
            for batch in read_between(path, "document", start, start + rows, Duplicates.schema.names)
        ]
        table = pa.Table.from_batches(parts, Duplicates.schema).sort_by("document").combine_chunks()
        documents = table["document"].to_numpy()
        row = 0
        for batch in shards.read(sources[0], ["id"]):
            low, high = np.searchsorted(documents, [start, start + batch.num_rows])
            outcome = self._outcomes(batch["id"], documents[low:high] - start, table.slice(low, high - low))
            yield _with_lines(outcome, edits[0], row) if edits else outcome
            start += batch.num_rows
            row += batch.num_rows

    def _outcomes(self, ids: pa.Array, rows: Int64s, settled: pa.Table) -> pa.RecordBatch:
        """The outcomes of some documents; the rows `rows` are in `settled`."""
        index = np.full(len(ids), -1, dtype=np.int64)
        index[rows] = np.arange(rows.size)
        where = pa.array(index, mask=index < 0)
        kept, kept_id, jaccard, number, size = (
            settled[name].combine_chunks().take(where)
            for name in ("kept", "kept_id", "jaccard", "reason", "cluster_size")
        )
        release = self._releases(kept)
        reason = pa.array([f"dedup.{name}" for name in DUPLICATE_KINDS]).take(number)
        if self.settings["released"] == "mark":
            reason = pc.if_else(release.is_null(), reason, pa.scalar(None, pa.string()))
        size = pc.if_else(reason.is_null(), size.fill_null(1), pa.scalar(None, pa.int32()))
        lines = pa.nulls(len(ids), LINES)
        return pa.RecordBatch.from_arrays([ids, kept_id, release, jaccard, size, lines, reason], schema=DEDUP)

    def _releases(self, kept: pa.Array) -> pa.Array:
        """The release of each kept document; null for documents of this corpus."""
        numbers = kept.fill_null(-1).to_numpy()
        index = np.full(numbers.size, -1, dtype=np.int64)
        for each, (_, first, end) in enumerate(self.releases):
            index[(numbers >= first) & (numbers < end)] = each
        return pa.array([label for label, _, _ in self.releases], pa.string()).take(pa.array(index, mask=index < 0))


def _with_lines(outcomes: pa.RecordBatch, edits: pa.Table, row: int) -> pa.RecordBatch:
    """The outcomes with the lines that are removed; a document of which nothing is left is dropped.

    `row` is the row of the first document in its shard.
    """
    rows = edits["row"].to_numpy()
    low, high = np.searchsorted(rows, [row, row + outcomes.num_rows])
    index = np.full(outcomes.num_rows, -1, dtype=np.int64)
    index[rows[low:high] - row] = np.arange(low, high)
    where = pa.array(index, mask=index < 0)
    lines, empty = (edits[name].combine_chunks().take(where) for name in ("lines", "empty"))
    none = pa.ListArray.from_arrays(pa.array([0, 0], pa.int32()), pa.array([], LINES.value_type), type=LINES)
    lines = pc.coalesce(lines, none[0])
    gone = pc.and_(empty.fill_null(False), outcomes["drop"].is_null())
    size = pc.if_else(gone, pa.scalar(None, pa.int32()), outcomes["minhash_cluster_size"])
    drop = pc.if_else(gone, "dedup.lines", outcomes["drop"])
    columns = [outcomes[name] for name in ("id", "duplicate_of", "release", "jaccard")] + [size, lines, drop]
    return pa.RecordBatch.from_arrays(columns, schema=DEDUP)


def _sum_of_rows(settled: StepShards) -> str:
    """Digest of all rows of settle, whatever their order: the sum of the hashes of rows, then sha256."""
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
