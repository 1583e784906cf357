"""Shards: how they are written, read and checked. No other file opens one.

A shard is a Parquet file between stages, or an Arrow IPC stream (`.arrow`) at the end. It ends in its receipt, which
says which stage made it from what, and how many rows were kept, and dropped for which reason. A shard is written under
a temporary name and renamed, so data and receipt appear together, whole or not at all. Parquet has a place for the
receipt in its footer; in an IPC stream it follows the end-of-stream mark, where readers stop.

A stage's shard holds one row for every row that the stage before kept, in the same order, with only the columns that
the stage adds. The shards of one archive through all stages are its *chain*. `read_kept` reads a chain as one table.
"""

import hashlib
import io
import json
import os
import re
import struct
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import IO, TYPE_CHECKING

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.parquet as pq

from roots import storage
from roots.atomic import making
from roots.errors import ShardError

if TYPE_CHECKING:
    from _typeshed import ReadableBuffer

SUFFIXES = (".parquet", ".arrow")  # between stages; final shards
_RECEIPT = b"roots.receipt"
_BLANK_SEAL = "0" * 16
_SEAL = re.compile(rb'"seal": "([0-9a-f]{16})"')
_TRAILER = struct.Struct("<q8s")  # length of the receipt before it, and a mark
_MARK = b"ROOTSRCP"
_PARQUET_END = struct.Struct("<I4s")  # length of the footer before it, and PAR1
GROUP_BYTES = 16 << 20  # a row group ends when it passes this; a reader holds one row group
BATCH_ROWS = 1024
_READ_BYTES = 1 << 18  # read from a column at a time; otherwise Arrow holds the column of a whole row group


@dataclass(frozen=True)
class Receipt:
    """What a shard says about itself."""

    stage: str
    version: int
    fingerprint: str  # of the stage, its settings by value, and its sources: see roots.stage
    rows: int
    kept: int
    drops: dict[str, int] = field(default_factory=dict)  # reason -> rows
    text_bytes: int = 0  # UTF-8 bytes of `text` in kept rows, where the shard has text
    digest: str = ""  # sha256 of the file's first `body_bytes` bytes, which are its row groups
    body_bytes: int = 0
    engines: dict[str, int] = field(default_factory=dict)  # kept rows by `extractor`, where the shard has that column

    def as_values(self) -> dict[str, object]:
        """The receipt as it is in a manifest: without engines if there are none."""
        values = asdict(self)
        return values if self.engines else {key: values[key] for key in values if key != "engines"}

    def to_json(self) -> str:
        """The receipt as it is in the footer, with a blank seal."""
        return json.dumps(self.as_values() | {"seal": _BLANK_SEAL}, sort_keys=True, ensure_ascii=False)

    @classmethod
    def from_json(cls, text: bytes) -> "Receipt":
        """The receipt from a footer. Raises ValueError, TypeError or KeyError for text that is no receipt."""
        values = dict(json.loads(text))
        del values["seal"]
        return cls(**values)


def _sealed(tail: bytes) -> bytes:
    """The tail of a shard with its seal filled in: a digest of the tail, taken with zeros in the seal's place.

    No other checksum covers a Parquet footer, and some damage to a footer crashes the process that reads it. The last
    match is the receipt's own seal: least and greatest texts, which come from strangers, stand before it.
    """
    *_, found = _SEAL.finditer(tail)
    start, end = found.span(1)
    digest = hashlib.sha256(tail[:start] + _BLANK_SEAL.encode() + tail[end:]).hexdigest()[: len(_BLANK_SEAL)]
    return tail[:start] + digest.encode() + tail[end:]


class _HashingFile(io.RawIOBase):
    """A file that digests what is written to it, and seals what is written after `begin_tail`.

    An abandoned file accepts data and writes nothing.
    """

    def __init__(self, file: IO[bytes]) -> None:
        self._file = file
        self.sha256 = hashlib.sha256()
        self.length = 0
        self.abandoned = False
        self._tail: list[bytes] | None = None

    def writable(self) -> bool:
        return True

    def write(self, data: "ReadableBuffer") -> int:
        length = memoryview(data).nbytes
        if self.abandoned:
            return length
        self.length += length
        if self._tail is not None:
            self._tail.append(bytes(data))
            return length
        self.sha256.update(data)
        return self._file.write(data)

    def tell(self) -> int:
        return self.length

    def begin_tail(self) -> None:
        """Hold back everything written from now on."""
        self._tail = []

    def end_tail(self) -> None:
        """Seal and write what was held back."""
        self._file.write(_sealed(b"".join(self._tail or [])))


def write(
    path: Path,
    schema: pa.Schema,
    batches: Iterable[pa.RecordBatch],
    stage: str,
    version: int,
    fingerprint: str,
    group_bytes: int = GROUP_BYTES,
) -> Receipt:
    """Write a shard whole or not at all, and return its receipt. A row group ends when it passes `group_bytes`.

    Raises ShardError if a batch does not fit `schema` or the disk is full. Nothing is left behind then.
    """
    with making(path) as place, place.open("wb") as raw:
        write_as = _write_stream if path.suffix == ".arrow" else _write_parquet
        tables = _groups(batches, schema, path, group_bytes)
        return write_as(_HashingFile(raw), schema, tables, Receipt(stage, version, fingerprint, 0, 0))


def _write_parquet(file: _HashingFile, schema: pa.Schema, tables: Iterable[pa.Table], blank: Receipt) -> Receipt:
    """Write row groups, then a footer with the filled-in receipt."""
    plain = [name for name in schema.names if name not in ("text", "id", "url")]
    writer = pq.ParquetWriter(
        pa.PythonFile(file, mode="w"), schema, compression="zstd", use_dictionary=plain, write_page_checksum=True
    )
    tally = _Tally()
    receipt = None
    try:
        for table in tables:
            tally.add(table)
            writer.write_table(table, row_group_size=max(1, table.num_rows))
        receipt = tally.fill(blank, file)
        writer.add_key_value_metadata({_RECEIPT: receipt.to_json()})
        file.begin_tail()
    finally:
        file.abandoned = receipt is None  # after an error close() still writes a footer, which the disk may not hold
        writer.close()
    file.end_tail()
    return receipt


def _write_stream(file: _HashingFile, schema: pa.Schema, tables: Iterable[pa.Table], blank: Receipt) -> Receipt:
    """Write an Arrow IPC stream, then its receipt after the end-of-stream mark."""
    tally = _Tally()
    with pa.ipc.new_stream(file, schema, options=pa.ipc.IpcWriteOptions(compression="zstd")) as writer:
        for table in tables:
            tally.add(table)
            writer.write_table(table, max_chunksize=BATCH_ROWS)
        if not tally.rows:  # `datasets` cannot load a stream without a batch
            writer.write_batch(pa.RecordBatch.from_pylist([], schema))
    receipt = tally.fill(blank, file)
    text = receipt.to_json().encode()
    file.begin_tail()
    file.write(text + _TRAILER.pack(len(text), _MARK))
    file.end_tail()
    return receipt


class _Tally:
    """Counts rows as they pass."""

    def __init__(self) -> None:
        self.rows = self.kept = self.text_bytes = 0
        self.drops: Counter[str] = Counter()
        self.engines: Counter[str] = Counter()

    def add(self, table: pa.Table) -> None:
        import pyarrow.compute as pc  # here: who only reads receipts need not wait for it

        def kept(name: str) -> pa.ChunkedArray:
            return table[name].filter(pc.is_null(table["drop"])) if len(drops) else table[name]

        def count(values: pa.ChunkedArray) -> dict[str, int]:
            return {item["values"].as_py(): item["counts"].as_py() for item in pc.value_counts(values.drop_null())}

        self.rows += table.num_rows
        drops = table["drop"].drop_null() if "drop" in table.column_names else ()
        self.kept += table.num_rows - len(drops)
        if len(drops):
            self.drops.update(count(drops))
        if "extractor" in table.column_names:
            self.engines.update(count(kept("extractor")))
        if "text" in table.column_names:
            self.text_bytes += pc.sum(pc.binary_length(kept("text"))).as_py() or 0

    def fill(self, blank: Receipt, file: _HashingFile) -> Receipt:
        return replace(
            blank,
            rows=self.rows,
            kept=self.kept,
            drops=dict(sorted(self.drops.items())),
            text_bytes=self.text_bytes,
            digest=file.sha256.hexdigest(),
            body_bytes=file.length,
            engines=dict(sorted(self.engines.items())),
        )


def _groups(batches: Iterable[pa.RecordBatch], schema: pa.Schema, path: Path, group_bytes: int) -> Iterator[pa.Table]:
    """Gather batches into row groups of about `group_bytes`."""
    held: list[pa.RecordBatch] = []
    size = 0
    for batch in batches:
        if not batch.schema.equals(schema, check_metadata=False):
            raise ShardError(f"{path}: a batch has columns {batch.schema.names}, declared are {schema.names}")
        held.append(batch)
        size += batch.nbytes
        if size >= group_bytes:
            yield pa.Table.from_batches(held, schema)
            held, size = [], 0
    if held:
        yield pa.Table.from_batches(held, schema)


def open_shard(path: Path) -> pq.ParquetFile:
    """Open a shard. Raises ShardError for a file that is missing, damaged or not Parquet."""
    with _readable(path, "its stage"):
        if storage.is_remote(path):
            return pq.ParquetFile(storage.open_binary(path), page_checksum_verification=True, pre_buffer=True)
        if _RECEIPT in (tail := _tail(path)) and not _is_sealed(tail):  # files of other programs have no receipt
            raise ShardError(f"{path} is damaged: its footer was changed. Delete it and run its stage again")
        return pq.ParquetFile(path, page_checksum_verification=True, buffer_size=_READ_BYTES, pre_buffer=False)


@contextmanager
def _readable(path: Path, stage: str) -> Iterator[None]:
    """Raises ShardError, which says to run `stage`, where a shard is missing or cannot be read."""
    try:
        yield
    except FileNotFoundError:
        raise ShardError(f"no shard {path}: run {stage}") from None
    except (pa.ArrowException, OSError) as error:
        raise ShardError(f"{path} is damaged: {error}. Delete it and run {stage} again") from error


def _is_sealed(tail: bytes) -> bool:
    return _SEAL.search(tail) is not None and _sealed(tail) == tail


def read_receipt(path: Path) -> Receipt | None:
    """The receipt of a shard; None if there is no file, no whole shard, or a file of another program."""
    try:
        tail = _tail(path)
        if not _is_sealed(tail):
            return None
        if path.suffix == ".arrow":
            return Receipt.from_json(tail[: -_TRAILER.size])
        found = (pq.read_metadata(pa.BufferReader(b"PAR1" + tail)).metadata or {}).get(_RECEIPT)
        return Receipt.from_json(found) if found else None
    except (pa.ArrowException, OSError, ValueError, TypeError, KeyError):
        return None


def _tail(path: Path) -> bytes:
    """What follows the body of a shard: a Parquet footer, or a receipt and its length. b"" if there is neither."""
    last, mark = (_TRAILER, _MARK) if path.suffix == ".arrow" else (_PARQUET_END, b"PAR1")
    with storage.open_binary(path) as file:
        end = file.seek(0, os.SEEK_END)
        file.seek(max(0, end - last.size))
        read = file.read(last.size)
        length, found = last.unpack(read) if len(read) == last.size else (0, b"")
        if found != mark or not 0 < length <= end - last.size:
            return b""
        file.seek(end - last.size - length)
        return bytes(file.read(length)) + read


def check(path: Path) -> Receipt:
    """Compare a shard's bytes and rows with its receipt, and return the receipt. Raises ShardError if they differ."""
    is_stream = path.suffix == ".arrow"
    rows = sum(batch.num_rows for batch in read_stream(path)) if is_stream else open_shard(path).metadata.num_rows
    receipt = read_receipt(path)
    if receipt is None:
        raise ShardError(f"{path} has no receipt: it is cut short or damaged, or was not made by this project")
    digest = hashlib.sha256()
    left = receipt.body_bytes
    with storage.open_binary(path) as file:
        while left > 0 and (block := file.read(min(left, 1 << 20))):
            digest.update(block)
            left -= len(block)
    if left or digest.hexdigest() != receipt.digest:
        raise ShardError(f"{path} was changed after it was written: its checksum differs from its receipt")
    if rows != receipt.rows:
        raise ShardError(f"{path} holds {rows} rows, but its receipt says {receipt.rows}")
    lost = receipt.rows - receipt.kept - sum(receipt.drops.values())
    if lost:
        raise ShardError(f"{path}: {lost} of {receipt.rows} rows are neither kept nor dropped")
    return receipt


def read_stream(path: Path) -> Iterator[pa.RecordBatch]:
    """All rows of a final shard (an Arrow IPC stream), in order. Raises ShardError for a missing or damaged one."""
    with _readable(path, "`roots shard`"):
        opened = storage.open_binary(path) if storage.is_remote(path) else pa.memory_map(str(path))
        with opened as file, pa.ipc.open_stream(file) as reader:
            yield from reader


def read_stream_at(path: Path, numbers: frozenset[int] | None) -> Iterator[tuple[int, pa.RecordBatch]]:
    """The batches of a final shard with these numbers, None for all: (number, batch).

    Other batches are stepped over without unpacking them. Raises ShardError as `read_stream` does.
    """
    with _readable(path, "`roots shard`"):
        opened = storage.open_binary(path) if storage.is_remote(path) else pa.memory_map(str(path))
        with opened as file:
            messages = pa.ipc.MessageReader.open_stream(file)
            schema = pa.ipc.read_schema(messages.read_next_message())
            for number, message in enumerate(messages):
                if numbers is None or number in numbers:
                    yield number, pa.ipc.read_record_batch(message, schema)


def read(path: Path, columns: Sequence[str] | None = None, rows: int = BATCH_ROWS) -> Iterator[pa.RecordBatch]:
    """All rows of one shard, kept or dropped, in order, in batches of at most `rows`."""
    shard = open_shard(path)
    with _readable(path, "its stage"):
        yield from shard.iter_batches(rows, columns=columns, use_threads=False)


def kept_rows(chain: Sequence[Path]) -> list[npt.NDArray[np.bool_]]:
    """For each shard of a chain, which of its rows are kept by it and by all later shards.

    Returns one bool array (rows,) for each shard. Raises ShardError if a shard does not continue the one before.
    """
    masks: list[npt.NDArray[np.bool_]] = []
    for path in chain:
        drops = [batch["drop"].is_null().to_numpy(zero_copy_only=False) for batch in read(path, ["drop"])]
        masks.append(np.concatenate(drops) if drops else np.zeros(0, dtype=np.bool_))
    for position in range(len(chain) - 2, -1, -1):
        kept, following = masks[position], masks[position + 1]
        if int(kept.sum()) != len(following):
            raise ShardError(
                f"{chain[position + 1]} has {len(following)} rows, but {chain[position]} keeps {int(kept.sum())}: "
                "they come from different runs. Run the stage again"
            )
        kept[kept] = following
    return masks


def read_kept(chain: Sequence[Path], columns: Sequence[str], rows: int = BATCH_ROWS) -> Iterator[pa.RecordBatch]:
    """The rows that a whole chain keeps, in order, with columns from any of its shards.

    `chain` goes from the first stage to the last. A column that several shards have (text, redacted) is taken from the
    last of them. Batches have at most `rows` rows. Raises ShardError if the shards' ids differ.
    """
    masks = kept_rows(chain)
    home = {column: place for place, path in enumerate(chain) for column in open_shard(path).schema_arrow.names}
    if unknown := [column for column in columns if column not in home]:
        raise ShardError(f"no shard of {chain[-1].name} has a column {unknown[0]!r}")
    places = {home[column] for column in ("id", *columns)}
    wanted = {place: ["id", *(c for c in columns if home[c] == place and c != "id")] for place in places}
    streams = [_stream(chain[place], masks[place], wanted[place], rows) for place in sorted(wanted)]
    for parts in align(streams):
        ids = parts[0]["id"]
        if any(not part["id"].equals(ids) for part in parts[1:]):
            raise ShardError(f"the shards of {chain[-1].name} hold different documents: run their stages again")
        merged = {name: part[name] for part in parts for name in part.schema.names}
        yield pa.RecordBatch.from_pydict({column: merged[column] for column in columns})


def _stream(path: Path, mask: npt.NDArray[np.bool_], columns: Sequence[str], rows: int) -> Iterator[pa.RecordBatch]:
    """The rows of one shard that `mask` keeps."""
    start = 0
    for batch in read(path, columns, rows):
        keep = mask[start : start + batch.num_rows]
        start += batch.num_rows
        if keep.all():
            yield batch
        elif keep.any():
            # pa.array(keep) would import pandas, if it is installed.
            bits = pa.py_buffer(np.packbits(keep, bitorder="little"))
            yield batch.filter(pa.Array.from_buffers(pa.bool_(), keep.size, [None, bits]))


def align(streams: Sequence[Iterator[pa.RecordBatch]]) -> Iterator[list[pa.RecordBatch]]:
    """Cut streams of equal total length into pieces of equal length."""
    held: list[pa.RecordBatch | None] = [next(stream, None) for stream in streams]
    while all(part is not None for part in held):
        parts = [part for part in held if part is not None]
        rows = min(part.num_rows for part in parts)
        yield [part.slice(0, rows) for part in parts]
        held = [
            part.slice(rows) if part.num_rows > rows else next(stream, None)
            for part, stream in zip(parts, streams, strict=True)
        ]
