"""Documents by number: how the sub-steps of dedup name a document while they regroup.

A document's number is its place in all shards of `sign`, in the order of their names. Numbers live only in scratch
files of one run; what leaves the stage names documents by id.
"""

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from roots import shards, storage
from roots.errors import ShardError

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
