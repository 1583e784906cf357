"""dedup: older fetches of a URL, exact copies, near-duplicates, then repeated lines and passages.

A document is removed only for evidence against the document that is kept. The work has sub-steps. Each is a stage with
its own folder below the folder of dedup, so that it resumes, has receipts and writes files whole:

    sign                   each document alone: digests, band keys, rank (pipelines.dedup.sign)
    urls, exact, pairs     which documents may be copies of which (pipelines.dedup.candidates)
    groups                 connected documents, packed into groups that fit in memory (pipelines.dedup.groups)
    sets, settle           group by group: exact similarity, which documents are removed (pipelines.dedup.duplicates)
    lines, sizes, repeats, edits
                           lines that a source repeats (pipelines.dedup.lines)
    prints, places, excerpts, cuts
                           passages that stand in several documents (pipelines.dedup.passages)
    queries, compare, losses
                           what the report measures (pipelines.dedup.audit, pipelines.dedup.report)

Only `sign`, `sets`, `lines`, `edits`, `prints`, `excerpts`, `cuts`, `queries` and `compare` read text. The setting
`memory` limits what a part or a group may hold. How the work is divided never changes which documents are kept. The
shards of dedup itself have a row for each document that was read (pipelines.dedup.run).
"""

import hashlib
import shutil
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import ClassVar

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from filters.near_duplicates.signatures import Int64s
from pipelines.dedup.candidates import find_candidates
from pipelines.dedup.duplicates import DUPLICATE_KINDS, Duplicates, find_duplicates
from pipelines.dedup.groups import group_documents
from pipelines.dedup.lines import LINE_STEPS, LineEdits, remove_lines
from pipelines.dedup.passages import PASSAGE_STEPS, cut_passages
from pipelines.dedup.released import RELEASED_PREFIX, release_ranges
from pipelines.dedup.report import write_dedup_report
from pipelines.dedup.scratch import (
    Chains,
    MemoryPlan,
    Outputs,
    StepManifests,
    Steps,
    StepShards,
    WithMemory,
    column_names,
    outputs_of,
    read_batches,
    read_between,
)
from pipelines.dedup.settings import DedupSettings, keep_columns, parse_bytes
from pipelines.dedup.sign import CATALOGUE_COLUMNS, sign_documents
from roots import shards, storage
from roots.errors import SettingsError, unknown_name
from roots.executors import Executor
from roots.schema import DEDUP, LINES
from roots.settings import ASIDE
from roots.stage import ALONE, Manifest, Progress, Share, Stage, run


def run_dedup(
    chains: Chains,
    target: Path,
    settings: DedupSettings,
    executor: Executor,
    progress: Progress | None = None,
    against: Chains | None = None,
    share: Share = ALONE,
) -> Manifest:
    """Make the shards of dedup for all chains in `target`, and their manifest.

    `against` names released documents: chains, or single files with `id` and `text` (Parquet, or our final Arrow). New
    documents are also removed as copies of these; released documents stay, and no shards are made of them. With several
    ranks, each makes its share of every sub-step and waits for the others where the next sub-step needs all shards.

    Raises SettingsError where memory or disk cannot be enough, StageFailed if shards could not be made, NotReady if the
    shards of other ranks do not appear in time.
    """
    steps = Steps(target, executor, progress, share)
    return run_together({target: chains}, steps, settings, against)[target]


def run_together(
    corpora: Mapping[Path, Chains], steps: Steps, settings: DedupSettings, against: Chains | None = None
) -> dict[Path, Manifest]:
    """Make the shards of several folders, {folder: its chains}, as one corpus; otherwise like `run_dedup`.

    Scratch files and the report go to the folder of `steps`. Returns the manifest of each folder.
    """
    outputs = outputs_of(corpora)
    documents: Chains = {name: output.chain for name, output in outputs.items()}
    _check_columns(documents, settings)
    released = {RELEASED_PREFIX + name + ".parquet": chain for name, chain in (against or {}).items()}
    documents = dict(sorted({**documents, **released}.items()))
    # Ranks and machines must divide the work alike, so there `memory` is that of one task.
    workers = steps.executor.tasks_sharing_memory if steps.share.of == 1 else 1
    memory = parse_bytes(settings.memory)
    plan_memory(0, 0, memory, workers)  # refuses before any work
    if steps.share.rank == 0:
        _check_space(documents, steps.target, settings)
    steps = replace(steps, executor=WithMemory(steps.executor, memory))

    sign = sign_documents(steps, documents, settings)
    plan = _plan(StepShards.of(sign), memory, workers)
    grouped = group_documents(steps, find_candidates(steps, sign, settings, plan), plan)
    found = StepManifests(sign, find_duplicates(steps, documents, settings, plan, grouped))
    if settings.lines:
        found = remove_lines(steps, outputs, settings, plan, found)
    else:
        for step in LINE_STEPS:
            steps.clear(step)  # of an earlier run that removed lines
    if settings.passages:
        found = cut_passages(steps, outputs, settings, plan, found)
    else:
        for step in PASSAGE_STEPS:
            steps.clear(step)
    manifests = {folder: _write_outcomes(steps, folder, outputs, settings, found) for folder in corpora}
    for folder in corpora:
        if folder != steps.target:  # left by an earlier run with another scope
            storage.remove(folder / "report.json")
    if settings.audit:
        write_dedup_report(steps, outputs, settings, list(manifests.values()), found)
    return manifests


def _plan(signed: StepShards, memory: int, workers: int) -> MemoryPlan:
    shingles = sum(int(piece["shingles"].sum()) for _, piece in signed.stream(["shingles"]))
    return plan_memory(signed.total, shingles, memory, workers)


def _check_columns(chains: Chains, settings: DedupSettings) -> None:
    """Raise SettingsError if the setting `keep` names a column that no earlier stage has made."""
    for chain in list(chains.values())[:1]:
        known = {column for path in chain for column in column_names(path)}
        known |= set(CATALOGUE_COLUMNS) if settings.catalogue else set()
        for column in keep_columns(settings.keep):
            if column not in known:
                hint = "; a catalogue has it: dedup.catalogue=PATH" if column in CATALOGUE_COLUMNS else ""
                raise SettingsError(f"dedup.keep: {unknown_name('column', column, known)}{hint}")


_ODD = np.uint64(0xD1342543DE82EF95)


def _write_outcomes(
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


_PROCESS_BYTES = 130 << 20  # of a Python process with Arrow and Numba loaded
_LEAST_BYTES = 48 << 20  # a worker needs this for batches of text and for writing

# Bytes of memory
_EXACT_BYTES = 100  # of a document in a part of urls or exact, where all digests are equal
_BAND_BYTES = 72  # of a document in a part of pairs
_GROUP_NODE_BYTES = 40  # of a document while one task groups all
GROUPING_BYTES = _GROUP_NODE_BYTES + 1  # of a document, at most, where one task groups all

# Bytes of disk
_SIGN_BYTES = 10 * 8 + 60  # of a document in sign, and 8 more for each band
_LINE_SCRATCH = 1.0  # of a byte of text, in the sub-steps of lines
_PASSAGE_SCRATCH = 3.0  # of a byte of text, in the sub-steps of passages
_PAIR_SCRATCH = 24  # of a document and band, in pairs


def plan_memory(documents: int, shingles: int, memory: int, workers: int) -> MemoryPlan:
    """Divide the work on `documents` with `shingles` in all among `workers`, within `memory` bytes.

    Raises SettingsError where memory cannot hold the processes themselves.
    """
    budget = (memory - _PROCESS_BYTES) // workers - _PROCESS_BYTES
    alone = memory - 2 * _PROCESS_BYTES - documents
    if min(budget, alone) < _LEAST_BYTES:
        least = max(
            (_PROCESS_BYTES + _LEAST_BYTES) * workers + _PROCESS_BYTES, 2 * _PROCESS_BYTES + documents + _LEAST_BYTES
        )
        raise SettingsError(
            f"dedup.memory is too little for {workers} workers and {documents} documents: "
            f"at least {-(-least >> 20)}M is needed, or fewer workers"
        )
    held = budget - _LEAST_BYTES // 2 - documents
    held = max(held, _LEAST_BYTES // 2)
    return MemoryPlan(
        exact_parts=max(1, -(-documents * _EXACT_BYTES // held)),
        pair_parts=max(1, -(-documents * _BAND_BYTES // held)),
        nodes=max(1, alone // _GROUP_NODE_BYTES),
        group_bytes=max(4 << 20, min(held // 3, shingles // workers)),
        set_bytes=held // 2,
        block_bytes=min(32 << 20, max(8 << 20, shingles // (2 * workers)), held // 4),
    )


def estimate_scratch(chains: Mapping[str, Sequence[Path]], settings: DedupSettings) -> int:
    """Upper bound of the bytes of disk that the sub-steps take, from the receipts of the chains' shards.

    A shingle is 8 bytes in `sets` and stands for about 8 bytes of text or more. Only documents with candidates are
    written there, so this is a bound and no forecast.
    """
    documents = text = 0
    for chain in chains.values():
        receipts = [receipt for path in chain if (receipt := shards.read_receipt(path))]
        rows, size = released_size(chain[0])
        documents += receipts[-1].kept if receipts else rows
        text += max(size, *(receipt.text_bytes for receipt in receipts), 0)
    edits = _LINE_SCRATCH * bool(settings.lines) + _PASSAGE_SCRATCH * bool(settings.passages)
    return documents * (_SIGN_BYTES + settings.bands * (8 + _PAIR_SCRATCH)) + text + int(text * edits)


def released_size(path: Path) -> tuple[int, int]:
    """Documents and bytes of text of a released Parquet file, from its footer; (0, 0) for a shard with a receipt."""
    if path.suffix != ".parquet" or not path.is_file() or shards.read_receipt(path):
        return 0, 0
    metadata = shards.open_shard(path).metadata
    groups = (metadata.row_group(number) for number in range(metadata.num_row_groups))
    leaves = (group.column(number) for group in groups for number in range(group.num_columns))
    return metadata.num_rows, sum(leaf.total_uncompressed_size for leaf in leaves if leaf.path_in_schema == "text")


def _check_space(chains: Mapping[str, Sequence[Path]], target: Path, settings: DedupSettings) -> None:
    """Raise SettingsError if the scratch files may not fit on the disk, with what is needed and what is free."""
    if storage.is_remote(target):
        return
    existing = target
    while not existing.exists():
        existing = existing.parent
    there = sum(path.stat().st_size for path in target.rglob("*.parquet")) if target.exists() else 0
    needed = estimate_scratch(chains, settings)
    free = shutil.disk_usage(existing).free + there
    if needed > free:
        raise SettingsError(
            f"dedup may need {needed / 1e9:.1f} GB of scratch space in {target}, and {free / 1e9:.1f} GB are free: "
            "free some, or put the work folder on a larger disk"
        )
