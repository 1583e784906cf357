"""Scratch shards of dedup's sub-steps: how they are named, made, checked and read.

Each sub-step is a stage in a folder of its own below the stage's. A document's number is its place in all shards of
`sign`, in the order of their names. Numbers live only in scratch files of one run; what leaves the stage names
documents by id.
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

_Column = npt.NDArray[Any]
_READ_ROWS = 65_536


@dataclass(frozen=True)
class Scratch:
    """The finished shards of one sub-step, in the order of their names."""

    folder: Path
    rows: Mapping[str, int]

    @classmethod
    def of(cls, manifest: Path) -> "Scratch":
        """Read a sub-step's manifest. Raises ShardError for one that cannot be read."""
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
        """Its shards."""
        return [self.folder / name for name in self.rows]

    def stream(self, columns: Sequence[str]) -> Iterator[tuple[int, dict[str, _Column]]]:
        """Columns of all shards in pieces: (number of the first row, {column: values})."""
        at = 0
        for path in self.paths():
            for piece in read_pieces(path, columns):
                yield at, piece
                at += len(piece[columns[0]])


def read_pieces(path: Path, columns: Sequence[str]) -> Iterator[dict[str, _Column]]:
    """Columns of numbers of one shard, as NumPy arrays, piece by piece."""
    for batch in read_batches(path, columns):
        yield {name: batch[name].to_numpy(zero_copy_only=False) for name in columns}


def read_batches(path: Path, columns: Sequence[str]) -> Iterator[pa.RecordBatch]:
    """Columns of one shard in larger batches than documents are read in."""
    shard = shards.open_shard(path)
    try:
        yield from shard.iter_batches(_READ_ROWS, columns=list(columns), use_threads=False)
    except (pa.ArrowException, OSError) as error:
        raise ShardError(f"{path} is damaged: {error}. Delete it and run dedup again") from error


def columns_of(path: Path) -> list[str]:
    """Names of a shard's columns, of either kind."""
    if path.suffix == ".arrow":
        return next((list(batch.schema.names) for batch in shards.read_stream(path)), ["id", "text"])
    return list(shards.open_shard(path).schema_arrow.names)


def is_signatures(path: Path) -> bool:
    """Whether a file holds signatures of a release (pipelines.dedup.released): it has no text."""
    receipt = shards.read_receipt(path)
    return receipt is not None and receipt.stage == "signatures"


def read_documents(
    chain: Sequence[Path], columns: Sequence[str], rows: int = shards.BATCH_ROWS
) -> Iterator[pa.RecordBatch]:
    """Rows that a chain keeps; a single file without `drop`, such as a released shard, is kept whole."""
    if len(chain) > 1 and is_signatures(chain[-1]):
        chain = chain[:-1]
    if len(chain) == 1 and chain[0].suffix == ".arrow":
        for batch in shards.read_stream(chain[0]):
            for low in range(0, batch.num_rows, rows):
                yield batch.select(list(columns)).slice(low, rows)
    elif len(chain) == 1 and "drop" not in columns_of(chain[0]):
        yield from shards.read(chain[0], list(columns), rows)
    else:
        yield from shards.read_kept(chain, columns, rows)


def read_between(
    path: Path, column: str, low: int, high: int, columns: Sequence[str], rows: int = _READ_ROWS
) -> Iterator[pa.RecordBatch]:
    """Rows of one shard with low <= `column` < high, at most `rows` at once; row groups without any are not read."""
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


def joined(pieces: Sequence[_Column], dtype: npt.DTypeLike) -> npt.NDArray[Any]:
    """Several arrays as one; an empty one of that type where there are none."""
    return np.concatenate(pieces) if pieces else np.zeros(0, dtype=dtype)


def rows_of(column: npt.NDArray[np.int64], wanted: npt.NDArray[np.int64]) -> tuple[_Column, npt.NDArray[np.bool_]]:
    """Where the sorted array `column` holds each number `wanted`: (places, whether it is there)."""
    places = np.searchsorted(column, wanted)
    places[places == column.size] = 0
    there = column[places] == wanted if column.size else np.zeros(wanted.size, dtype=np.bool_)
    return places, there


Chains = Mapping[str, Sequence[Path]]  # shard name -> its shards of the stages before, first to last


class Place(NamedTuple):
    """A shard of dedup: its folder, its name there, and the shards of the stages before."""

    folder: Path
    name: str
    chain: Sequence[Path]

    @property
    def shard(self) -> Path:
        """Where it is."""
        return self.folder / self.name


Places = Mapping[str, Place]  # by the name that all its scratch files have


def places_of(corpora: Mapping[Path, Chains]) -> dict[str, Place]:
    """The shards of dedup that are made, {folder: its chains}; of several folders the names tell the language."""
    places: dict[str, Place] = {}
    for folder, chains in corpora.items():
        prefix = f"{folder.parent.name}--" if len(corpora) > 1 else ""
        places |= {prefix + name: Place(folder, name, chain) for name, chain in chains.items()}
    return dict(sorted(places.items()))


T = TypeVar("T")
R = TypeVar("R")


@dataclass(frozen=True)
class Roomy(Executor):
    """An executor whose every task is given `memory` bytes, where it is placed by what it needs."""

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
    """Runs sub-steps below one folder."""

    target: Path
    executor: Executor
    progress: Progress | None
    share: Share = ALONE

    def run(self, stage: Stage, plan: Plan, folder: str) -> Path:
        """Run one sub-step; gives back its manifest's path.

        Shards of an earlier run that are damaged are removed first, so that they are made again; so are those that
        this run has no use for. A rank looks at its own only: another's may be new.
        """
        place = self.target / folder
        mine = self.share.mine(plan)
        for path in sorted(place.glob("*.parquet")):
            useless = path.name not in plan and self.share.rank == 0
            if useless or (path.name in mine and not is_whole(path, stage)):
                path.unlink(missing_ok=True)
        run(stage, plan, place, self.executor, self.progress, self.share)
        return place / "manifest.json"

    def advance_of(self, name: str) -> Callable[[float], None]:
        """What a sub-step of one task tells its share to, so that the time left is known: where it runs in here."""
        progress = self.progress
        if progress is None or not self.executor.in_process:
            return ignore
        return lambda share: progress(name, share, 1, None)

    def clear(self, folder: str) -> None:
        """Remove what an earlier run left of a sub-step that this one has no use for."""
        if self.share.rank == 0:
            for path in sorted((self.target / folder).glob("*.parquet")):
                path.unlink(missing_ok=True)


def ignore(share: float) -> None:
    """Tell nobody."""


def is_whole(path: Path, stage: Stage) -> bool:
    """Whether a scratch shard is what its receipt says, read through, and of this stage's columns."""
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
def parts_of(count: int) -> Mapping[str, int]:
    """Parts of all documents, keys or sources: {"part-0003.parquet": 3}."""
    return _numbered("part", 4, count)


@cache
def groups_of(count: int) -> Mapping[str, int]:
    """Groups of documents that are settled together: {"group-000007.parquet": 7}."""
    return _numbered("group", 6, count)


@cache
def band_parts_of(bands: int, count: int) -> Mapping[str, tuple[int, int]]:
    """Parts of the keys of each band: {"band-003-part-0001.parquet": (3, 1)}."""
    parts = _numbered("part", 4, count)
    return {f"band-{band:03d}-{name}": (band, part) for band in range(bands) for name, part in parts.items()}


U64 = pa.uint64()
NUMBER = pa.field("document", pa.int64(), nullable=False)


def best_first(*keys: npt.NDArray[Any]) -> npt.NDArray[np.int64]:
    """The order of rows by `keys`, the first key weighing most."""
    return np.lexsort(keys[::-1])


def starts_of_runs(*columns: npt.NDArray[Any]) -> npt.NDArray[np.bool_]:
    """Where a row differs from the one before it in any of the columns."""
    fresh = np.ones(columns[0].size, dtype=np.bool_)
    if fresh.size:
        fresh[1:] = np.logical_or.reduce([column[1:] != column[:-1] for column in columns])
    return fresh


def in_batches(schema: pa.Schema, *columns: npt.NDArray[Any]) -> Iterator[pa.RecordBatch]:
    """Arrays as batches that are cut where a row group should be."""
    for low in range(0, len(columns[0]), 1 << 18):
        yield pa.RecordBatch.from_arrays([pa.array(column[low : low + (1 << 18)]) for column in columns], schema=schema)
