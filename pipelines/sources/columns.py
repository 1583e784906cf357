"""Rows of Parquet and Arrow files, by row group or batch, with only the columns that are read.

Arrow is imported here, so this file is imported where such a table is read.
"""

from collections.abc import Iterator, Sequence
from contextlib import suppress
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq

from pipelines.sources.lines import any_between
from pipelines.sources.rows import Batch, Columns, Row
from roots.errors import InputError

_BATCH_ROWS = 512  # rows of text in memory at once
_BYTES_OF = {pa.string(): pa.binary(), pa.large_string(): pa.large_binary()}


def parquet_columns(path: Path) -> list[str]:
    """The top columns of a Parquet file. Raises InputError for a damaged one."""
    try:
        return list(pq.ParquetFile(path).schema_arrow.names)
    except (pa.ArrowException, OSError) as error:
        raise InputError(f"{path} is a damaged Parquet file: {error}") from None


def parquet_rows(path: Path, columns: Columns, wanted: Sequence[int] | None = None) -> Iterator[Row | Batch]:
    """The rows of a Parquet file. A place counts rows from 0.

    A part that cannot be read is one row that is "truncated".
    """
    file = pq.ParquetFile(path, pre_buffer=False)
    leaves = [file.metadata.schema.column(number).path for number in range(file.metadata.num_columns)]
    read = [leaf for leaf in leaves if any(leaf == part or leaf.startswith(part + ".") for part in columns.parts)]
    start = 0
    for number in range(file.metadata.num_row_groups):
        rows = file.metadata.row_group(number).num_rows
        if wanted is None or any_between(wanted, start, start + rows):
            batches = file.iter_batches(_BATCH_ROWS, row_groups=[number], columns=read)
            yield from _rows(batches, columns, start, wanted)
        start += rows


def parquet_groups(path: Path) -> list[int]:
    """How many rows each row group of a Parquet file has. Raises InputError for a damaged one."""
    try:
        found = pq.read_metadata(path)
    except (pa.ArrowException, OSError) as error:
        raise InputError(f"{path} is a damaged Parquet file: {error}") from None
    return [found.row_group(number).num_rows for number in range(found.num_row_groups)]


def arrow_columns(path: Path) -> list[str]:
    """The columns of an Arrow IPC file or stream. Raises InputError for a damaged one."""
    with pa.memory_map(str(path)) as source:
        try:
            return list(_open(source).schema.names)
        except (pa.ArrowException, OSError) as error:
            raise InputError(f"{path} is a damaged Arrow file: {error}") from None


def arrow_groups(path: Path) -> list[int]:
    """How many rows each record batch of an Arrow file has, up to where it is damaged."""
    sizes: list[int] = []
    with pa.memory_map(str(path)) as source, suppress(pa.ArrowException, OSError):
        sizes.extend(batch.num_rows for batch in _batches(_open(source)))
    return sizes


def arrow_rows(path: Path, columns: Columns, wanted: Sequence[int] | None = None) -> Iterator[Row | Batch]:
    """The rows of an Arrow IPC file or stream, as `parquet_rows` gives them."""
    with pa.memory_map(str(path)) as source:
        yield from _rows(_batches(_open(source)), columns, 0, wanted)


def _batches(reader: pa.RecordBatchFileReader | pa.RecordBatchStreamReader) -> Iterator[pa.RecordBatch]:
    if isinstance(reader, pa.RecordBatchFileReader):
        return (reader.get_batch(number) for number in range(reader.num_record_batches))
    return iter(reader)


def _open(source: pa.NativeFile) -> pa.RecordBatchFileReader | pa.RecordBatchStreamReader:
    head = source.read(6)
    source.seek(0)
    return pa.ipc.open_file(source) if head == b"ARROW1" else pa.ipc.open_stream(source)


def _rows(
    batches: Iterator[pa.RecordBatch], columns: Columns, start: int, wanted: Sequence[int] | None
) -> Iterator[Row | Batch]:
    part = wanted if isinstance(wanted, range) else None
    chosen = wanted if wanted is None or part else set(wanted)
    at = start
    while part is None or at < part.stop:
        try:
            batch = next(batches, None)
        except (pa.ArrowException, OSError):
            if part is None or at in part:
                yield Row(at, None, "truncated")
            return
        if batch is None:
            return
        for first in range(0, batch.num_rows, _BATCH_ROWS):
            some = batch.slice(first, _BATCH_ROWS)
            end = at + some.num_rows
            if chosen is None or (part and part.start <= at and end <= part.stop):
                yield Batch(range(at, end), _values_of(some, columns))
            elif any_between(wanted or (), at, end):
                rows = enumerate(zip(*_values_of(some, columns), strict=True), at)
                yield from (Row(number, values) for number, values in rows if number in chosen)
            at = end


def _values_of(batch: pa.RecordBatch, columns: Columns) -> list[list[object]]:
    """The values of each column, in the order of the names."""
    there = set(batch.schema.names)
    found = [batch[name] if name in there else pa.nulls(batch.num_rows) for name in columns.names]
    if columns.whole and found[0].type in _BYTES_OF:
        found[0] = found[0].view(_BYTES_OF[found[0].type])  # bytes are read without a look at the letters
    return [*map(_values, found)]


def _values(column: pa.Array) -> list[object]:
    """The values of a column; bytes that are no UTF-8 in a column of strings are replaced."""
    try:
        return list(column.to_pylist())
    except (UnicodeDecodeError, pa.ArrowException):
        if column.type not in _BYTES_OF:
            return [None] * len(column)
        raw = column.view(_BYTES_OF[column.type])
        return [None if value is None else value.decode("utf-8", "replace") for value in raw.to_pylist()]
