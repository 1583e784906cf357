"""The same texts as tables of every form, and tables of the known layouts."""

import bz2
import csv
import gzip
import io
import json
import lzma
import tarfile
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

Rows = Sequence[Mapping[str, Any]]


def rows_of(texts: Sequence[str]) -> Rows:
    """A row for each text, with an id, an address and a date."""
    return [
        {
            "text": text,
            "id": f"<urn:uuid:00000000-0000-0000-0000-{number:012d}>",
            "url": f"https://{number % 3}.example/{number}",
            "date": "2026-01-01T00:00:00Z",
        }
        for number, text in enumerate(texts)
    ]


def jsonl(rows: Rows) -> bytes:
    return b"".join(json.dumps(row, ensure_ascii=False).encode() + b"\n" for row in rows)


def _zstd(data: bytes) -> bytes:
    return pa.compress(data, codec="zstd", asbytes=True)


def _cells(rows: Rows, delimiter: str) -> bytes:
    out = io.StringIO(newline="")
    quoting = csv.QUOTE_NONE if delimiter == "\t" else csv.QUOTE_MINIMAL
    writer = csv.DictWriter(
        out, list(rows[0]), delimiter=delimiter, quoting=quoting, escapechar=None, lineterminator="\n"
    )
    writer.writeheader()
    writer.writerows(rows)
    return out.getvalue().encode()


def _parquet(rows: Rows) -> bytes:
    out = io.BytesIO()
    pq.write_table(pa.Table.from_pylist(list(rows)), out, row_group_size=3)
    return out.getvalue()


def _arrow(rows: Rows, stream: bool) -> bytes:
    table, out = pa.Table.from_pylist(list(rows)), io.BytesIO()
    with (pa.ipc.new_stream if stream else pa.ipc.new_file)(out, table.schema) as writer:
        writer.write_table(table, max_chunksize=4)
    return out.getvalue()


def tar_of(files: Mapping[str, bytes]) -> bytes:
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w:gz") as tar:
        for name, data in files.items():
            entry = tarfile.TarInfo(name)
            entry.size = len(data)
            tar.addfile(entry, io.BytesIO(data))
    return out.getvalue()


# Name of a file -> its bytes from rows.
FORMS: dict[str, Callable[[Rows], bytes]] = {
    "a.jsonl": jsonl,
    "a.jsonl.gz": lambda rows: gzip.compress(jsonl(rows)),
    "a.jsonl.zst": lambda rows: _zstd(jsonl(rows[:4])) + _zstd(jsonl(rows[4:])),
    "a.jsonl.bz2": lambda rows: bz2.compress(jsonl(rows)),
    "a.jsonl.xz": lambda rows: lzma.compress(jsonl(rows)),
    "a.json": lambda rows: json.dumps(list(rows)).encode(),
    "a.csv": lambda rows: _cells(rows, ","),
    "a.csv.gz": lambda rows: gzip.compress(_cells(rows, ",")),
    "a.parquet": _parquet,
    "a.arrow": lambda rows: _arrow(rows, stream=False),
    "b.arrow": lambda rows: _arrow(rows, stream=True),
    "a.json.tar.gz": lambda rows: tar_of({"x_0.ndjson": jsonl(rows[:4]), "x_1.ndjson": jsonl(rows[4:])}),
}
