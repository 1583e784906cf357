"""Labelled records and ready pairs, read of tables: JSONL, JSON arrays, Parquet, Arrow, CSV and TSV.

A record is all columns of a row. Its id is a digest of them, so it does not depend on where the row stands.
"""

import csv
import hashlib
import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import pyarrow as pa
import pyarrow.parquet as pq

from pipelines.prompts.settings import RecordForm
from pipelines.sources.layouts import table_files
from pipelines.sources.lines import DAMAGE, lines_of, read_up_to, unpacked
from pipelines.sources.rows import array_items
from roots.errors import InputError

_ROW_BYTES = 16 << 20  # of a line
_BATCH_ROWS = 256
_BOM = b"\xef\xbb\xbf"


class LabelledRecord(NamedTuple):
    """One row of a table: its place, the id of its content, and its columns; no columns for one that is broken."""

    place: int  # number of the row, from 0
    id: str  # 16 hexadecimal digits
    fields: dict[str, Any] | None


def files_of(data: Sequence[Path]) -> list[Path]:
    """Return the tables that are meant by files and folders. Raises InputError for a path without one."""
    found: list[Path] = []
    for path in data:
        tables = table_files(path) if path.is_dir() else [path]
        if not tables or not path.exists():
            raise InputError(f"{path} is no table of records, and no folder of tables")
        found += tables
    names = [path.name for path in found]
    twice = next((name for name in names if names.count(name) > 1), None)
    if twice:
        raise InputError(f"two files have the name {twice}: give each its own command, with --name")
    return found


def read_labelled(path: Path, form: RecordForm) -> Iterator[LabelledRecord]:
    """Yield every row of a table; one that cannot be read has no fields. Raises InputError for no table."""
    for place, fields in enumerate(_rows(path, form.columns)):
        clean = _plain(fields) if fields is not None else None
        if isinstance(clean, dict):
            clean = {key: _label(value, form.labels.get(key)) for key, value in clean.items()}
            yield LabelledRecord(place, _digest(clean), clean)
        else:
            yield LabelledRecord(place, _digest([path.name, place]), None)


def _digest(value: object) -> str:
    text = json.dumps(value, sort_keys=True, ensure_ascii=True)
    return hashlib.blake2b(text.encode(), digest_size=8).hexdigest()


def _label(value: object, names: Sequence[str] | None) -> object:
    """Return the number of a label's name; another value as it is."""
    return names.index(value) if names and isinstance(value, str) and value in names else value


def _plain(value: object) -> object:
    """Return a value as JSON has it: bytes become null, and what else JSON lacks becomes text."""
    if isinstance(value, dict):
        return {str(key): _plain(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(item) for item in value]
    if isinstance(value, str):
        return value.encode("utf-8", "replace").decode("utf-8") if not value.isascii() else value
    if isinstance(value, bytes):
        return None
    return value if value is None or isinstance(value, bool | int | float) else str(value)


def _rows(path: Path, columns: Sequence[str]) -> Iterator[Mapping[str, object] | None]:
    """Yield the columns of each row; None for one that cannot be read."""
    try:
        with path.open("rb") as file:
            start = file.read(8)
    except OSError as error:
        raise InputError(f"{path} cannot be read: {error.strerror}") from None
    name = path.name.lower()
    for ending in (".gz", ".zst", ".bz2", ".xz"):
        name = name.removesuffix(ending)
    if start.startswith((b"PAR1", b"ARROW1", b"\xff\xff\xff\xff")):
        return _arrow_rows(path, parquet=start.startswith(b"PAR1"))
    if name.endswith((".csv", ".tsv")):
        return _cell_rows(path, columns, tabs=name.endswith(".tsv"))
    try:
        with unpacked(path) as packed:
            head = read_up_to(packed, 4096).removeprefix(_BOM).lstrip()
    except DAMAGE as error:
        raise InputError(f"{path} is damaged: {error}") from None
    if head.startswith(b"["):
        return (item if isinstance(item, dict) else None for item in array_items(path))
    if head.startswith(b"{"):
        return _json_rows(path)
    raise InputError(f"{path} is no table of records: JSONL, a JSON array, Parquet, Arrow, .csv or .tsv")


def _json_rows(path: Path) -> Iterator[Mapping[str, object] | None]:
    for line in lines_of(path, _ROW_BYTES, None):
        if not line.problem and not line.data.strip():
            continue
        try:
            found = None if line.problem else json.loads(line.data.removeprefix(_BOM))
        except (ValueError, RecursionError):
            found = None
        yield found if isinstance(found, dict) else None


def _cell_rows(path: Path, columns: Sequence[str], tabs: bool) -> Iterator[Mapping[str, object] | None]:
    """Yield the rows of CSV, or of TSV, where quotes are text. Without `columns`, the first row has their names."""
    csv.field_size_limit(_ROW_BYTES)
    read = lines_of(path, _ROW_BYTES, None)
    lines = (line.data.removeprefix(_BOM).removesuffix(b"\r").decode("utf-8", "replace") + "\n" for line in read)
    rows = csv.reader(lines, delimiter="\t" if tabs else ",", quoting=csv.QUOTE_NONE if tabs else csv.QUOTE_MINIMAL)
    names = list(columns) or next(rows, [])
    for row in rows:
        if row:
            yield dict(zip(names, row, strict=True)) if len(row) == len(names) else None


def _arrow_rows(path: Path, parquet: bool) -> Iterator[Mapping[str, object] | None]:
    """Yield the rows of a Parquet or Arrow file; damage is one row that is broken."""
    try:
        if parquet:
            for batch in pq.ParquetFile(path, pre_buffer=False).iter_batches(_BATCH_ROWS):
                yield from batch.to_pylist()
            return
        with pa.memory_map(str(path)) as file:
            for batch in _batches(file):
                yield from batch.to_pylist()
    except (pa.ArrowException, OSError):
        yield None


def _batches(file: pa.NativeFile) -> Iterator[pa.RecordBatch]:
    if file.read(6) == b"ARROW1":
        reader = pa.ipc.open_file(file)
        yield from (reader.get_batch(number) for number in range(reader.num_record_batches))
        return
    file.seek(0)
    yield from pa.ipc.open_stream(file)


Pair = tuple[str, str]  # input and target


def _chat(messages: object) -> list[Pair] | None:
    """Make a pair of each reply of the assistant: all turns before it are its input."""
    if not isinstance(messages, list):
        return None
    pairs: list[Pair] = []
    turns: list[tuple[str, str]] = []
    for message in messages:
        if not isinstance(message, dict) or not isinstance(message.get("content"), str):
            return None
        role, content = str(message.get("role", "")), message["content"]
        if role == "assistant" and turns:
            pairs.append((_input_of(turns), content))
        turns.append((role, content))
    return pairs


def _input_of(turns: Sequence[tuple[str, str]]) -> str:
    """Join the turns before a reply: one turn of the user stands alone, more are named by their roles."""
    if sum(role != "system" for role, _ in turns) == 1:
        return "\n\n".join(content for _, content in turns)
    return "\n".join([*(f"{role}: {content}" for role, content in turns), "assistant:"])


def _two(first: str, second: str) -> Callable[[Mapping[str, object]], list[Pair] | None]:
    def pair(fields: Mapping[str, Any]) -> list[Pair] | None:
        one, other = fields[first], fields[second]
        return [(one, other)] if isinstance(one, str) and isinstance(other, str) else None

    return pair


def _alpaca(fields: Mapping[str, Any]) -> list[Pair] | None:
    texts = [fields.get(name) or "" for name in ("instruction", "input", "output")]
    if not all(isinstance(text, str) for text in texts):
        return None
    return [("\n\n".join(text for text in texts[:2] if text), texts[2])]


_PAIRS: Mapping[str, tuple[tuple[str, ...], Callable[[Mapping[str, Any]], list[Pair] | None]]] = {
    "xP3": (("inputs", "targets"), _two("inputs", "targets")),
    "prompt and completion": (("prompt", "completion"), _two("prompt", "completion")),
    "Alpaca": (("instruction", "output"), _alpaca),
    "messages": (("messages",), lambda fields: _chat(fields["messages"])),
}


def pair_form(columns: Sequence[str]) -> str | None:
    """Return the form of pairs that has these columns: xP3, prompt and completion, Alpaca or messages; or None."""
    return next((name for name, (needed, _) in _PAIRS.items() if set(needed) <= set(columns)), None)


def pairs_of(fields: Mapping[str, object]) -> list[Pair] | None:
    """Return the pairs of a record; None if it holds none."""
    form = pair_form(list(fields))
    return _PAIRS[form][1](fields) if form else None
