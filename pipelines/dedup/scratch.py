"""Scratch shards of dedup's sub-steps: how they are named, made, checked and read.

Each sub-step is a stage with a folder of its own below the folder of dedup. Documents have numbers there: a document's
number is its row in all shards of `sign`, in the order of their names. Numbers stay in the scratch files of one run;
the shards of dedup name documents by id.
"""

import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cache
from pathlib import Path
from typing import Any, NamedTuple, TypeVar

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from roots import shards, storage
from roots.errors import ShardError
from roots.executors import Executor, Needs
from roots.stage import ALONE, Plan, Progress, Share, Stage, run

Chains = Mapping[str, Sequence[Path]]  # shard name -> its shards of the stages before, first to last
U64 = pa.uint64()
DOCUMENT_NUMBER = pa.field("document", pa.int64(), nullable=False)
_Column = npt.NDArray[Any]
_READ_ROWS = 65_536
_WRITE_ROWS = 1 << 18
T = TypeVar("T")
R = TypeVar("R")


class _OutputShard(NamedTuple):
    """A shard that dedup makes: its folder, its name there, and the shards of the stages before."""

    folder: Path
    name: str
    chain: Sequence[Path]

    @property
    def path(self) -> Path:
        """The file."""
        return self.folder / self.name


Outputs = Mapping[str, _OutputShard]  # by the name that its scratch files have


def outputs_of(corpora: Mapping[Path, Chains]) -> dict[str, _OutputShard]:
    """Return the shards to make for {folder: its chains}. With several folders, names begin with the language."""
    outputs: dict[str, _OutputShard] = {}
    for folder, chains in corpora.items():
        prefix = f"{folder.parent.name}--" if len(corpora) > 1 else ""
        outputs |= {prefix + name: _OutputShard(folder, name, chain) for name, chain in chains.items()}
    return dict(sorted(outputs.items()))


class StepManifests(NamedTuple):
    """The manifests of the sub-steps that the shards and the report of dedup are made from."""

    sign: Path
    settled: Path
    repeats: Path | None = None  # of the removal of lines
    edits: Path | None = None  # of lines, and of passages where these are cut out


@dataclass(frozen=True)
class WithMemory(Executor):
    """Wraps an executor and requests `memory` bytes for each task."""

    executor: Executor
    memory: int

    @property
    def in_process(self) -> bool:
        """As the executor inside."""
        return self.executor.in_process

    @property
    def tasks_sharing_memory(self) -> int:
        """As the executor inside."""
        return self.executor.tasks_sharing_memory

    def map(
        self, work: Callable[[T], R], tasks: Sequence[T], needs: Needs | None = None
    ) -> Iterator[tuple[T, R | Exception]]:
        """Run the tasks."""
        yield from self.executor.map(work, tasks, replace(needs or Needs(), memory=self.memory))


@dataclass(frozen=True)
class Steps:
    """Runs sub-steps in folders below `target`."""

    target: Path
    executor: Executor
    progress: Progress | None
    share: Share = ALONE

    def run(self, stage: Stage, plan: Plan, folder: str) -> Path:
        """Run one sub-step and return the path of its manifest.

        Shards of an earlier run that are damaged are made again; those that this run does not use are removed. A rank
        checks only its own shards: another rank may be writing the others.
        """
        target = self.target / folder
        mine = self.share.mine(plan)
        for path in storage.files_in(target, "*.parquet"):
            unused = path.name not in plan and self.share.rank == 0
            if unused or (path.name in mine and not is_intact(path, stage)):
                storage.remove(path)
        run(stage, plan, target, self.executor, self.progress, self.share)
        return target / "manifest.json"

    def progress_of(self, name: str) -> Callable[[float], None]:
        """Callback that reports the fraction done of a sub-step of one task; a no-op in another process."""
        progress = self.progress
        if progress is None or not self.executor.in_process:
            return no_progress
        return lambda fraction: progress(name, fraction, 1, None)

    def clear(self, folder: str) -> None:
        """Remove the shards of a sub-step that this run does not need."""
        if self.share.rank == 0:
            for path in storage.files_in(self.target / folder, "*.parquet"):
                storage.remove(path)


def no_progress(fraction: float) -> None:
    """Do nothing."""


def is_intact(path: Path, stage: Stage) -> bool:
    """Whether a scratch shard is undamaged, read through, and has the stage's columns."""
    try:
        shards.check(path)
        with shards.open_shard(path) as shard:
            return bool(shard.schema_arrow.equals(stage.schema, check_metadata=False))
    except (ShardError, pa.ArrowException, OSError):
        return False


def _numbered(kind: str, digits: int, count: int) -> dict[str, int]:
    digits = max(digits, len(str(count - 1)))
    return {f"{kind}-{number:0{digits}d}.parquet": number for number in range(count)}


@cache
def numbered_parts(count: int) -> Mapping[str, int]:
    """Shards for parts of all documents, keys or sources: {"part-0003.parquet": 3}, in the order of names."""
    return _numbered("part", 4, count)


@cache
def numbered_groups(count: int) -> Mapping[str, int]:
    """Shards for groups of documents: {"group-000007.parquet": 7}, in the order of names."""
    return _numbered("group", 6, count)


@cache
def numbered_band_parts(bands: int, count: int) -> Mapping[str, tuple[int, int]]:
    """Shards for parts of the keys of each band: {"band-003-part-0001.parquet": (3, 1)}, in the order of names."""
    parts = _numbered("part", 4, count)
    return {f"band-{band:03d}-{name}": (band, part) for band in range(bands) for name, part in parts.items()}


@dataclass(frozen=True)
class StepShards:
    """The finished shards of one sub-step, in the order of their names, and how many rows each has."""

    folder: Path
    rows: Mapping[str, int]

    @classmethod
    def of(cls, manifest: Path) -> "StepShards":
        """Read a sub-step's manifest. Raises ShardError if it cannot be read."""
        try:
            made = json.loads(storage.read_text(manifest))["shards"]
            return cls(manifest.parent, {name: int(made[name]["rows"]) for name in sorted(made)})
        except (OSError, ValueError, KeyError) as error:
            raise ShardError(f"{manifest} cannot be read ({error}): delete it and run dedup again") from error

    @property
    def total(self) -> int:
        """Rows of all shards."""
        return sum(self.rows.values())

    def start(self, name: str) -> int:
        """Rows of the shards before `name`."""
        return sum(rows for other, rows in self.rows.items() if other < name)

    def paths(self) -> list[Path]:
        """The shards."""
        return [self.folder / name for name in self.rows]

    def stream(self, columns: Sequence[str]) -> Iterator[tuple[int, dict[str, _Column]]]:
        """Columns of all shards in pieces: (number of the first row, {column: values})."""
        at = 0
        for path in self.paths():
            for piece in read_pieces(path, columns):
                yield at, piece
                at += len(piece[columns[0]])


def read_pieces(path: Path, columns: Sequence[str]) -> Iterator[dict[str, _Column]]:
    """Columns of numbers of one shard as NumPy arrays, in pieces."""
    for batch in read_batches(path, columns):
        yield {name: batch[name].to_numpy(zero_copy_only=False) for name in columns}


def read_batches(path: Path, columns: Sequence[str]) -> Iterator[pa.RecordBatch]:
    """Columns of one shard, in batches of _READ_ROWS rows. Raises ShardError if it is damaged."""
    shard = shards.open_shard(path)
    try:
        yield from shard.iter_batches(_READ_ROWS, columns=list(columns), use_threads=False)
    except (pa.ArrowException, OSError) as error:
        raise ShardError(f"{path} is damaged: {error}. Delete it and run dedup again") from error


def column_names(path: Path) -> list[str]:
    """Names of the columns of a Parquet or Arrow shard."""
    if path.suffix == ".arrow":
        return next((list(batch.schema.names) for batch in shards.read_stream(path)), ["id", "text"])
    return list(shards.open_shard(path).schema_arrow.names)


def holds_signatures(path: Path) -> bool:
    """Whether a file holds the signatures of released documents (pipelines.dedup.released) instead of their text."""
    receipt = shards.read_receipt(path)
    return receipt is not None and receipt.stage == "signatures"


def read_documents(
    chain: Sequence[Path], columns: Sequence[str], rows: int = shards.BATCH_ROWS
) -> Iterator[pa.RecordBatch]:
    """Rows that a chain keeps. A single file without the column `drop`, such as a released one, is kept whole."""
    if len(chain) > 1 and holds_signatures(chain[-1]):
        chain = chain[:-1]
    if len(chain) == 1 and chain[0].suffix == ".arrow":
        for batch in shards.read_stream(chain[0]):
            for low in range(0, batch.num_rows, rows):
                yield batch.select(list(columns)).slice(low, rows)
    elif len(chain) == 1 and "drop" not in column_names(chain[0]):
        yield from shards.read(chain[0], list(columns), rows)
    else:
        yield from shards.read_kept(chain, columns, rows)


def read_between(
    path: Path, column: str, low: int, high: int, columns: Sequence[str], rows: int = _READ_ROWS
) -> Iterator[pa.RecordBatch]:
    """Rows of one shard with low <= `column` < high, at most `rows` at once.

    Row groups whose statistics exclude such rows are not read. Raises ShardError if the shard is damaged.
    """
    shard = shards.open_shard(path)
    try:
        for group in range(shard.num_row_groups):
            described = shard.metadata.row_group(group)
            place = shard.schema_arrow.names.index(column)
            statistics = described.column(place).statistics
            bounded = statistics is not None and statistics.has_min_max
            if bounded and not (statistics.max >= low and statistics.min < high):
                continue
            whole = bounded and statistics.min >= low and statistics.max < high and statistics.null_count == 0
            for batch in shard.iter_batches(rows, row_groups=[group], columns=list(columns), use_threads=False):
                if not whole:
                    batch = batch.filter(pc.and_(pc.greater_equal(batch[column], low), pc.less(batch[column], high)))
                if batch.num_rows:
                    yield batch
    except (pa.ArrowException, OSError) as error:
        raise ShardError(f"{path} is damaged: {error}. Delete it and run dedup again") from error


def to_batches(schema: pa.Schema, *columns: _Column) -> Iterator[pa.RecordBatch]:
    """Arrays as batches of _WRITE_ROWS rows, so that a shard gets several row groups."""
    for low in range(0, len(columns[0]), _WRITE_ROWS):
        arrays = [pa.array(column[low : low + _WRITE_ROWS]) for column in columns]
        yield pa.RecordBatch.from_arrays(arrays, schema=schema)


def concat(pieces: Sequence[_Column], dtype: npt.DTypeLike) -> _Column:
    """Concatenate arrays; no arrays give an empty one of type `dtype`."""
    return np.concatenate(pieces) if pieces else np.zeros(0, dtype=dtype)


def find_sorted(
    column: npt.NDArray[np.int64], wanted: npt.NDArray[np.int64]
) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.bool_]]:
    """Find numbers in the sorted array `column`: (index of each number, whether it is there)."""
    rows = np.searchsorted(column, wanted)
    rows[rows == column.size] = 0
    there = column[rows] == wanted if column.size else np.zeros(wanted.size, dtype=np.bool_)
    return rows, there


def order_by(*keys: _Column) -> npt.NDArray[np.int64]:
    """The order that sorts rows by the first key, then the second, and so on."""
    return np.lexsort(keys[::-1])


def run_starts(*columns: _Column) -> npt.NDArray[np.bool_]:
    """Whether a row differs from the row before it in any of the columns."""
    starts = np.ones(columns[0].size, dtype=np.bool_)
    if starts.size:
        starts[1:] = np.logical_or.reduce([column[1:] != column[:-1] for column in columns])
    return starts


# Bytes of memory
_COST_BYTES = 64  # of a document in a part of weigh
_END_BYTES = 64  # of one end of an edge while a part of stars sorts it
_LINE_BYTES = 130  # of a line while a part of repeats sorts it
_PRINT_BYTES = 300  # of a print while a part of places pairs it


@dataclass(frozen=True)
class MemoryPlan:
    """How the work is divided so that it stays within the memory. It never changes which documents are kept."""

    exact_parts: int
    pair_parts: int
    nodes: int  # documents that one task can group
    group_bytes: int  # what the work on one group may take
    set_bytes: int  # sets of shingles in memory at once
    block_bytes: int  # sets of shingles that are ordered by group before they are written


def group_parts(documents: int, edges: int, plan: MemoryPlan) -> int:
    """How many tasks group the documents, which `edges` connect: one, where it can hold all of them."""
    if documents <= plan.nodes:
        return 1
    return max(2, -(-(documents * _COST_BYTES + 2 * edges * _END_BYTES) // (2 * plan.set_bytes)))


def line_parts(lines: int, plan: MemoryPlan) -> int:
    """Into how many parts the lines are divided."""
    return max(1, -(-lines * _LINE_BYTES // (2 * plan.set_bytes)))  # no sets are in memory then


def print_parts(prints: int, plan: MemoryPlan) -> int:
    """Into how many parts the prints of passages are divided."""
    return max(1, -(-prints * _PRINT_BYTES // (2 * plan.set_bytes)))
