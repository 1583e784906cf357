"""Rows of line formats: JSONL, CSV and TSV, plain text, OSCAR 21.09. Each row has its place in the file.

A bad row is a row with a problem, and never ends a file: "broken" (no JSON object, another number of cells),
"too_large" (more than the limit), "truncated" (the file ends in it), "bad_length" (metadata do not fit the text).

In line formats a place counts bytes of the unpacked file; elsewhere it counts rows. `wanted` places are a list of them,
ascending, or a `range`, which stands for all rows in it.
"""

import csv
import io
import json
import re
import tarfile
from codecs import escape_decode
from collections import deque
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from itertools import count, groupby, islice
from pathlib import Path
from typing import Any, NamedTuple, TypeAlias

import msgspec

from pipelines.sources.lines import (
    DAMAGE,
    Line,
    Stream,
    blocks_of,
    can_be_cut,
    chosen,
    lines_in,
    lines_of,
    read_up_to,
    split,
    unpacked,
    until_damage,
)
from roots.errors import InputError

_Decoder: TypeAlias = msgspec.json.Decoder[Any]  # of rows: objects whose fields are the wanted columns
_ARRAY_BYTES = 1 << 30  # of a JSON array, which is read as a whole
_SURROGATES = re.compile("[\ud800-\udfff]")
_LINES = 1 << 62  # more than a file can have
_BYTE_ORDER = b"\xef\xbb\xbf"
_QUOTE = ord('"')
_LONG_ESCAPE = re.compile(rb"\\[u/]")  # that Python's bytes do not have


class Row(NamedTuple):
    """One row of a table: its place in the file, and the values of its columns, or the problem it has."""

    place: int
    values: tuple[object, ...] | None
    problem: str | None = None


class Batch(NamedTuple):
    """Several rows of a table: their places, and the values of each column."""

    places: Sequence[int]
    values: Sequence[Sequence[object]]


class Columns(NamedTuple):
    """The columns that are read of a table. The first has the text, as bytes where that is faster."""

    names: tuple[str, ...]
    whole: bool = True  # the text is all of the first column, no part of it
    parts: tuple[str, ...] = ()  # the columns within others that are needed, and all others: "meta.url", "text"

    def of(self, values: Mapping[str, object]) -> tuple[object, ...]:
        """The values of a row in the order of the names."""
        return tuple(map(values.get, self.names))


def json_rows(path: Path, columns: Columns, limit: int, wanted: Sequence[int] | None = None) -> Iterator[Row | Batch]:
    """The rows of a JSONL file, with only these columns.

    `limit` is the most bytes of a row. Blank lines are no rows.
    """
    decoder = _decoder(columns)
    if not can_be_cut(wanted, path):
        yield from _json_rows(lines_of(path, limit, wanted), decoder, columns)
        return
    for block in blocks_of(path, limit, wanted):
        batch = _json_batch(block, decoder, columns) if block.data and len(block.data) <= limit else None
        yield from (batch,) if batch else _json_rows(lines_in(block, limit), decoder, columns)


def _json_batch(block: Line, decoder: _Decoder, columns: Columns) -> Batch | None:
    """The rows of a block, if all are good."""
    data, view = block.data, memoryview(block.data)
    places, rows, at = [], [], 0
    try:
        while at < len(data):
            end = data.find(b"\n", at) + 1 or len(data)
            rows.append(msgspec.structs.astuple(decoder.decode(view[at:end])))
            places.append(block.place + at)
            at = end
        text, *others = zip(*rows, strict=True)
        return Batch(places, [[*map(_text_of, text)] if columns.whole else text, *others])
    except (msgspec.DecodeError, RecursionError):
        return None


def _json_rows(lines: Iterator[Line], decoder: _Decoder, columns: Columns) -> Iterator[Row]:
    for line in lines:
        if line.problem or line.data.strip():
            yield _json_row(line, decoder, columns)


def _decoder(columns: Columns) -> _Decoder:
    """A decoder that makes objects of these columns alone, and passes over all others. The text is not decoded yet."""
    names = {f"column_{number}": column for number, column in enumerate(columns.names)}
    kinds: list[tuple[str, Any, None]] = [(name, Any, None) for name in names]
    if columns.whole:
        kinds[0] = ("column_0", msgspec.Raw, None)
    return msgspec.json.Decoder(msgspec.defstruct("Values", kinds, rename=names, dict=False))


def _json_row(line: Line, decoder: _Decoder, columns: Columns) -> Row:
    if line.problem:
        return Row(line.place, None, line.problem)
    try:
        values = msgspec.structs.astuple(decoder.decode(line.data))
        if columns.whole:
            values = (_text_of(values[0]), *values[1:])
    except msgspec.DecodeError:
        return _loose_json_row(line, columns)
    except RecursionError:
        return Row(line.place, None, "broken")
    return Row(line.place, values)


def _text_of(raw: msgspec.Raw | None) -> object:
    """The bytes of a JSON string, which need not be UTF-8; any other value as it is. Raises DecodeError."""
    if raw is None:
        return None
    view = memoryview(raw)
    if view[0] != _QUOTE:
        return msgspec.json.decode(raw)
    text = view[1:-1].tobytes()
    if b"\\" not in text:
        return text
    if _LONG_ESCAPE.search(text):
        return msgspec.json.decode(raw, type=str).encode()
    return escape_decode(text)[0]  # the other escapes mean the same in Python


def _loose_json_row(line: Line, columns: Columns) -> Row:
    """A row that strict JSON refuses: with lone surrogates, NaN, or a byte order mark; "broken" for no object."""
    try:
        values = json.loads(line.data.removeprefix(_BYTE_ORDER).decode("utf-8", "replace"))
    except (ValueError, RecursionError):
        return Row(line.place, None, "broken")
    if not isinstance(values, dict):
        return Row(line.place, None, "broken")
    return Row(line.place, tuple(map(_without_surrogates, columns.of(values))))


def _without_surrogates(value: object) -> object:
    """A text with pairs of surrogates joined, and lone ones as U+FFFD; other values as they are."""
    if isinstance(value, str) and _SURROGATES.search(value):
        return value.encode("utf-16", "surrogatepass").decode("utf-16", "replace")
    if isinstance(value, dict):
        return {key: _without_surrogates(each) for key, each in value.items()}
    return value


def array_rows(path: Path, columns: Columns, wanted: Sequence[int] | None = None) -> Iterator[Row]:
    """The rows of a file that is one JSON array of objects. Raises InputError as `array_items` does."""
    for place, item in chosen(enumerate(array_items(path)), wanted):
        if isinstance(item, dict):
            yield Row(place, tuple(map(_without_surrogates, columns.of(item))))
        else:
            yield Row(place, None, "broken")


def array_items(path: Path) -> list[object]:
    """What a file holds that is one JSON array. Raises InputError for a broken or too large array."""
    with unpacked(path) as file:
        data = read_up_to(file, _ARRAY_BYTES + 1)
    if len(data) > _ARRAY_BYTES:
        raise InputError(f"{path} is a JSON array above {_ARRAY_BYTES >> 30} GB: write one object a line (JSONL)")
    try:
        items: list[object] = json.loads(data.removeprefix(_BYTE_ORDER).decode("utf-8", "replace"))
    except (ValueError, RecursionError) as error:
        raise InputError(f"{path} is a damaged JSON array ({error})") from None
    return items


def tar_rows(path: Path, columns: Columns, limit: int, wanted: Sequence[int] | None = None) -> Iterator[Row]:
    """The rows of the NDJSON files in a tar, one after another; a place counts bytes over all of them."""
    decoder = _decoder(columns)

    def lines() -> Iterator[Line]:
        start = 0
        with unpacked(path) as packed:
            for file, size in ndjson_files(packed):
                yield from (line._replace(place=start + line.place) for line in split(file, limit))
                start += size

    placed = ((line.place, line) for line in until_damage(lines()))
    yield from _json_rows((line for _, line in chosen(placed, wanted)), decoder, columns)


def ndjson_files(packed: Any) -> Iterator[tuple[Stream, int]]:
    """The NDJSON files of an unpacked tar, each with its size in bytes."""
    with tarfile.open(fileobj=packed, mode="r|") as tar:
        for member in tar:
            file = tar.extractfile(member) if member.isfile() and member.name.endswith(".ndjson") else None
            if file is not None:
                yield file, member.size


def csv_rows(
    path: Path, columns: Columns, tabs: bool, limit: int, wanted: Sequence[int] | None = None
) -> Iterator[Row]:
    """The rows of a CSV or TSV file, after the row of names. A place counts rows.

    A cell of CSV may be quoted and hold line feeds (RFC 4180); in TSV there are no quotes (IANA).
    """
    with _cells(path, tabs, limit) as cells:
        for _, row in chosen(_csv_rows(cells, next(cells, []), columns), wanted):
            yield row


def csv_names(path: Path, tabs: bool, limit: int) -> list[str]:
    """The names of the columns of a CSV or TSV file; none if its first row cannot be read."""
    with _cells(path, tabs, limit) as cells:
        names = next(cells, [])
        _, first = next(_csv_rows(cells, names, Columns(())), (0, None))
        return names if first and not first.problem else []


@contextmanager
def _cells(path: Path, tabs: bool, limit: int) -> Iterator[Iterator[list[str]]]:
    csv.field_size_limit(limit)
    with unpacked(path) as file:
        text = io.TextIOWrapper(io.BufferedReader(_Raw(file)), encoding="utf-8-sig", errors="replace", newline="")
        yield csv.reader(text, delimiter="\t" if tabs else ",", quoting=csv.QUOTE_NONE if tabs else csv.QUOTE_MINIMAL)


def _csv_rows(cells: Iterator[list[str]], names: Sequence[str], columns: Columns) -> Iterator[tuple[int, Row]]:
    for place in count():
        try:
            row = next(cells)
        except StopIteration:
            return
        except csv.Error:
            yield place, Row(place, None, "too_large")
            continue
        except DAMAGE:
            yield place, Row(place, None, "truncated")
            return
        if len(row) != len(names):
            if row:
                yield place, Row(place, None, "broken")
            continue
        yield place, Row(place, columns.of(dict(zip(names, row, strict=True))))


class _Raw(io.RawIOBase):
    """Bytes of an unpacked file as a raw stream, which a TextIOWrapper reads; it may lack what Python asks of files."""

    def __init__(self, file: Stream) -> None:
        self._file = file

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int:
        data = self._file.read(len(buffer))
        buffer[: len(data)] = data
        return len(data)


def text_rows(path: Path, blank: bool, limit: int, wanted: Sequence[int] | None = None) -> Iterator[Row]:
    """The documents of a plain text file: all of it, or those that blank lines end. A place counts bytes."""
    yield from (row for _, row in chosen(((row.place, row) for row in _text_rows(path, blank, limit)), wanted))


def _text_rows(path: Path, blank: bool, limit: int) -> Iterator[Row]:
    if not blank:
        with unpacked(path) as file:
            try:
                data = read_up_to(file, limit + 1)
            except DAMAGE:
                yield Row(0, None, "truncated")
                return
        yield Row(0, None, "too_large") if len(data) > limit else Row(0, (data,))
        return
    lines = lines_of(path, limit)
    for is_text, group in groupby(lines, lambda line: bool(line.data.strip() or line.problem)):
        if is_text:
            yield _document(group, limit)[0]


def _document(lines: Iterable[Line], limit: int) -> tuple[Row, int]:
    """The document in some lines, and how many they are. What is above `limit` bytes is not held."""
    held: list[bytes] = []
    place, size, number, problem = -1, -1, 0, None
    for line in lines:
        place = line.place if place < 0 else place
        size, number, problem = size + 1 + len(line.data), number + 1, problem or line.problem
        if size <= limit and not problem:
            held.append(line.data)
        else:
            held.clear()
    problem = problem or ("too_large" if size > limit else None)
    return Row(place, None, problem) if problem else Row(place, (b"\n".join(held),)), number


_OSCAR_PART = re.compile(r"^(?P<language>.+)_part_(?P<number>\d+)\.txt(\.(?:gz|zst|bz2|xz))?$")


def oscar_metadata(path: Path) -> Path | None:
    """The file of metadata of an OSCAR 21.09 part, beside it; None for any other file."""
    found = _OSCAR_PART.match(path.name)
    if not found:
        return None
    stem = f"{found['language']}_meta_part_{found['number']}.json"
    return next((place for place in sorted(path.parent.glob(stem + "*")) if place.is_file()), None)


def oscar_rows(
    path: Path, columns: Columns, metadata: Path, limit: int, wanted: Sequence[int] | None = None
) -> Iterator[Row]:
    """The documents of an OSCAR 21.09 part, by the counts of its metadata; a place is the number of the first line.

    A record of the crawl may stand in several languages, so the id gets the language and the line. A document may hold
    an empty line; "bad_length" where a document does not begin and end at one.
    """
    language = path.name.partition("_part_")[0]
    places = wanted if wanted is None or isinstance(wanted, range) else set(wanted)
    counted = Columns(("headers", "offset", "nb_sentences"), whole=False)
    with unpacked(path) as file:
        lines = until_damage(split(file, limit))
        at, last = 0, Line(0, b"")
        for meta in _json_rows(lines_of(metadata, limit), _decoder(counted), counted):
            headers, first, size = meta.values or (None, None, None)
            if not (isinstance(first, int) and isinstance(size, int) and at <= first <= _LINES and 1 <= size <= _LINES):
                yield Row(at, None, "broken")
                continue
            last = next(iter(deque(islice(lines, first - at), maxlen=1)), last)
            row, held = _document(islice(lines, size), limit)
            after = next(lines, None)
            before, at = last, first + size + 1
            last = after or Line(0, b"")
            if places is not None and first not in places:
                continue
            if held < size:
                yield Row(first, None, "truncated")
            elif before.data.strip() or (after is not None and after.data.strip()):
                yield Row(first, None, "bad_length")
            else:
                text = row.values
                values = {"text": text[0], **_oscar_values(headers, f"{language}:{first}")} if text else {}
                yield Row(first, columns.of(values) if text else None, row.problem)


def _oscar_values(headers: object, suffix: str) -> dict[str, object]:
    if not isinstance(headers, dict):
        return {}
    record = headers.get("warc-record-id")
    return {
        "id": f"{record}:{suffix}" if record else None,
        "url": headers.get("warc-target-uri"),
        "date": headers.get("warc-date"),
    }
