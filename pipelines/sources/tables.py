"""Tables of text as archives: each row is a `Record`, so all stages see it as they see a page of plain text.

    JSONL, a JSON array, NDJSON in a tar      by `{`, `[`, and names in the tar; gzip, zstd, bzip2 and xz are undone
    Parquet, Arrow                            by their first bytes
    CSV, TSV, plain text                      by the name: .csv, .tsv, .txt
    XML dumps of a wiki                       by `<mediawiki`

A record has the place of its row as its offset. Its id is the row's own, where it is long enough to be one of its kind
in the world; a short one gets the name of the file before it.
"""

import ast
import hashlib
import json
import re
import tarfile
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, date, datetime
from itertools import accumulate, pairwise, repeat
from pathlib import Path

from pipelines.archives.limits import Limits
from pipelines.archives.records import Record
from pipelines.sources.layouts import Layout, TableSettings, find_layout
from pipelines.sources.lines import Stream, is_packed, unpacked
from pipelines.sources.rows import (
    Batch,
    Columns,
    Row,
    array_items,
    array_rows,
    csv_names,
    csv_rows,
    json_rows,
    ndjson_files,
    oscar_metadata,
    oscar_rows,
    tar_rows,
    text_rows,
)
from pipelines.sources.wikipedia import DUMP_COLUMNS, dump_parts, dump_rows, is_dump
from roots.errors import InputError

_ROW_KIND = "row"  # value of the column `kind`
_PEEK = 64 << 10  # unpacked bytes that tell the form of a table
_SEEN = 20  # rows whose columns are looked at
_MOST_PARTS = 32  # of a table: for its ids, each part reads all rows before it
_LONG_ID = 16  # characters of an id that is unique by itself
_PACKING = (".gz", ".zst", ".bz2", ".xz")
_LONGEST_META = 20_000  # characters of a Python dict in a column of text
_MADLAD = re.compile(r"_(clean|noisy)_\d{4}\.|^(clean|noisy)_docs_v2-")  # names of its files, with \n as two characters
_LATEST = 10_000_000_000  # seconds since 1970; a larger number counts milliseconds
_ISO_DATE = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ", re.ASCII)
_DATE = re.compile(r"\s*(?P<day>\d{4}[-/]\d\d[-/]\d\d)(?:[Tt ](?P<time>\d\d:\d\d:\d\d))?", re.ASCII)


@dataclass(frozen=True)
class Table:
    """A table of text: the form of its file, and what its columns are."""

    path: Path
    form: str
    layout: Layout
    settings: TableSettings

    @property
    def columns(self) -> Columns:
        """The columns to read, that of the text first."""
        parts = tuple(sorted(set(self.layout.columns.values())))
        text = self.layout.columns.get("text", "")
        first = text.partition(".")[0]
        others = {part.partition(".")[0] for part in parts} - {first}
        return Columns((first, *sorted(others)), whole=first == text, parts=parts)

    def rows(self, limit: int, wanted: Sequence[int] | None = None) -> Iterator[Row | Batch]:
        """The rows, or those at `wanted` places, ascending; one by one, or several at once."""
        columns = self.columns
        if self.form == "jsonl":
            return json_rows(self.path, columns, limit, wanted)
        if self.form == "array":
            return array_rows(self.path, columns, wanted)
        if self.form == "tar":
            return tar_rows(self.path, columns, limit, wanted)
        if self.form in ("csv", "tsv"):
            return csv_rows(self.path, columns, self.form == "tsv", limit, wanted)
        if self.form == "text":
            return text_rows(self.path, self.settings.ends_at_blank, limit, wanted)
        if self.form == "dump":
            return dump_rows(self.path, columns, limit, wanted)
        if self.form == "oscar":
            metadata = oscar_metadata(self.path)
            assert metadata is not None
            return oscar_rows(self.path, columns, metadata, limit, wanted)
        from pipelines.sources.columns import arrow_rows, parquet_rows

        return (parquet_rows if self.form == "parquet" else arrow_rows)(self.path, columns, wanted)


def find_table(path: Path, settings: TableSettings) -> Table | None:
    """The table in a file; None for an archive of pages, a source tree, or anything else.

    Raises InputError for a table without a column of text, or without a row.
    """
    form = (settings.table_form if path.is_file() else "") or _form_of(path)
    if form is None:
        return None
    return Table(path, form, find_layout(_columns(path, form), settings, str(path)), settings)


def _form_of(path: Path) -> str | None:
    """The form of a table, by its first bytes; of CSV, TSV and text by its name."""
    if not path.is_file():
        return None
    with path.open("rb") as file:
        start = file.read(8)
    if start.startswith(b"PAR1"):
        return "parquet"
    if start.startswith((b"ARROW1", b"\xff\xff\xff\xff")):
        return "arrow"
    name = path.name.lower()
    for ending in _PACKING:
        name = name.removesuffix(ending)
    if name.endswith((".csv", ".tsv")):
        return name[-3:]
    if name.endswith(".txt"):
        return "oscar" if oscar_metadata(path) else "text"
    return _form_inside(path, name)


def _form_inside(path: Path, name: str) -> str | None:
    """The form of a table by its first unpacked bytes."""
    try:
        with unpacked(path) as file:
            head = file.read(_PEEK).removeprefix(b"\xef\xbb\xbf").lstrip()
    except (OSError, EOFError, ValueError):
        return None
    if is_dump(head, path):
        return "dump"
    if head.startswith(b"{") or (not head and name.endswith((".jsonl", ".ndjson", ".json"))):
        return "jsonl"
    if head.startswith(b"[") and name.endswith(".json"):
        return "array"
    return "tar" if _holds_ndjson(path, head) else None


def _holds_ndjson(path: Path, head: bytes) -> bool:
    """Whether a file is a tar whose first file is NDJSON."""
    try:
        first = tarfile.TarInfo.frombuf(head[:512], "utf-8", "surrogateescape")
    except tarfile.HeaderError:
        return False
    return first.name.endswith(".ndjson")


def _columns(path: Path, form: str) -> list[str]:
    """The columns of a table. Raises InputError where it has no row."""
    if form in ("text", "oscar"):
        return ["text", "id", "url", "date"] if form == "oscar" else ["text"]
    if form == "dump":
        return [*DUMP_COLUMNS, "wikitext"]
    if form in ("parquet", "arrow"):
        from pipelines.sources.columns import arrow_columns, parquet_columns

        return (parquet_columns if form == "parquet" else arrow_columns)(path)
    if form in ("csv", "tsv"):
        if names := csv_names(path, form == "tsv", _PEEK * 256):
            return names
        raise InputError(f"{path} has no row that can be read")
    columns: dict[str, None] = {}
    seen = 0
    for values in _first_objects(path, form):
        columns |= dict.fromkeys(values)
        seen += 1
    if not seen:
        raise InputError(f"{path} holds no JSON object: it is empty or damaged; fetch it again, or leave it out")
    return list(columns)


def _first_objects(path: Path, form: str) -> Iterator[Mapping[str, object]]:
    """The first rows of JSON, whole."""
    lines: Iterable[bytes]
    if form == "array":
        yield from (item for item in array_items(path)[:_SEEN] if isinstance(item, dict))
        return
    with unpacked(path) as file:
        inner = next((inner for inner, _ in ndjson_files(file)), None) if form == "tar" else file
        lines = _first_lines(inner) if inner else []
    for line in lines:
        try:
            values = json.loads(line.decode("utf-8", "replace"))
        except (ValueError, RecursionError):
            continue
        if isinstance(values, dict):
            yield values


def _first_lines(file: Stream) -> list[bytes]:
    """Some lines from the beginning of a stream, at most 64 MB of them; what follows damage is left out."""
    data = b""
    try:
        while data.count(b"\n") < _SEEN and len(data) < 64 << 20 and (part := file.read(_PEEK)):
            data += part
    except (OSError, EOFError):
        pass  # reading the rows reports it
    return [line.removeprefix(b"\xef\xbb\xbf") for line in data.split(b"\n")[:_SEEN]]


def parts_of_table(path: Path, count: int) -> list[range]:
    """Cut a table into about `count` parts: ranges of places, together all of it. No parts: it is read as a whole.

    JSONL that is not packed is cut anywhere, as a line belongs to the part in which it begins; Parquet and Arrow
    between row groups or record batches. Nobody can go to the middle of other forms.
    """
    form = _form_of(path)
    count = min(count, _MOST_PARTS)
    if form == "dump":
        ends = dump_parts(path, count)
    elif form == "jsonl" and not is_packed(path):
        ends = [path.stat().st_size * number // count for number in range(count + 1)]
    elif form in ("parquet", "arrow"):
        from pipelines.sources.columns import arrow_groups, parquet_groups

        groups = (parquet_groups if form == "parquet" else arrow_groups)(path)
        places = [0, *accumulate(groups)]
        ends = [places[part.start] for part in cut(groups, count)] + [places[-1] + 1]  # damage counts as a row, too
    else:
        return []
    return [range(low, high) for low, high in pairwise(ends)]


def cut(sizes: Sequence[int], count: int) -> list[range]:
    """Cut a row of things of these sizes into at most `count` runs of about the same size: ranges of their numbers."""
    total, before, runs = max(1, sum(sizes)), 0, dict[int, int]()
    for number, size in enumerate(sizes):
        runs.setdefault(before * count // total, number)
        before += size
    return [range(low, high) for low, high in pairwise([*runs.values(), len(sizes)])]


def read_table(table: Table, limits: Limits, wanted: Sequence[int] | None = None) -> Iterator[Record]:
    """Every row of a table as a record, in order, or those at `wanted` places; a `range` stands for all rows in it.

    A row whose id another row before it has gets its place into its id, unless single places are wanted.
    """
    part = wanted if isinstance(wanted, range) else None
    seen = _ids_before(part, table, limits) if part else set()
    make = _maker(table, limits)
    for each in table.rows(limits.body_bytes, wanted):
        for record in make(each):
            if wanted is None or part is not None:
                key = _key_of(record.id)
                if key in seen:
                    record = record._replace(id=f"{record.id}#{record.offset}")
                seen.add(key)
            yield record


def _ids_before(part: range, table: Table, limits: Limits) -> set[bytes]:
    """The ids of a part that rows before it have, too, so that an id does not depend on how a table is cut."""
    column = table.layout.columns.get("id")
    if column is None or not part.start or table.form == "dump":  # a wiki numbers its pages, and reading takes long
        return set()
    only = replace(table, layout=replace(table.layout, columns={"id": column}))
    make = _maker(only, limits)

    def keys(places: range) -> Iterator[bytes]:
        return (_key_of(record.id) for each in only.rows(limits.body_bytes, places) for record in make(each))

    own = set(keys(part))
    return {key for key in keys(range(part.start)) if key in own}


def _key_of(id_: str) -> bytes:
    return hashlib.blake2b(id_.encode("utf-8", "replace"), digest_size=8).digest()


def _maker(table: Table, limits: Limits) -> Callable[[Row | Batch], Iterator[Record]]:
    """A function from rows to their records. It works column by column, which costs less than row by row."""
    names, columns, most = table.columns.names, table.layout.columns, limits.body_bytes
    charset = None if table.form == "text" else "utf-8"
    escaped = _MADLAD.search(table.path.name) is not None

    def make(rows: Row | Batch) -> Iterator[Record]:
        problem = rows.problem if isinstance(rows, Row) else None
        batch = rows if isinstance(rows, Batch) else _batch_of(rows, len(names))
        places = batch.places
        text, own, url, date_, license_, path = (
            _column(batch, columns.get(name), names) for name in ("text", "id", "url", "date", "license", "path")
        )
        bodies = [_body(each, problem, most) for each in text]
        if escaped:
            bodies = [(body if b"\n" in body else body.replace(b"\\n", b"\n"), fault) for body, fault in bodies]
        return map(
            Record,
            [_id(each, table, place) for each, place in zip(own, places, strict=True)],
            [each if isinstance(each, str) and each else None for each in url],
            [_iso_date(each) for each in date_],
            places,
            repeat(_ROW_KIND),
            repeat(None),
            repeat(table.layout.content_type),
            repeat(charset),
            [body for body, _ in bodies],
            [problem for _, problem in bodies],
            repeat(()),
            [_licence(each) for each in license_],
            [each if isinstance(each, str) else None for each in path],
        )

    return make


def _batch_of(row: Row, count: int) -> Batch:
    return Batch((row.place,), [(value,) for value in row.values or (None,) * count])


def _column(batch: Batch, column: str | None, names: Sequence[str]) -> Sequence[object]:
    """The values of a column, or of a part of one; None where there is none."""
    if column is None:
        return (None,) * len(batch.places)
    name, _, rest = column.partition(".")
    values = batch.values[names.index(name)]
    return [_within(value, rest) for value in values] if rest else values


def _within(value: object, rest: str) -> object:
    """A part of a value. A text that holds JSON is taken for the object it is."""
    while rest and value is not None:
        if isinstance(value, str):
            value = _object(value)
        name, _, rest = rest.partition(".")
        value = value.get(name) if isinstance(value, dict) else None
    return value


def _object(text: str) -> object:
    """JSON, or a Python dict as ROOTS's data sets have it; None for anything else."""
    try:
        return json.loads(text)
    except (ValueError, RecursionError):
        pass
    try:
        return ast.literal_eval(text) if len(text) <= _LONGEST_META else None
    except (ValueError, SyntaxError, MemoryError, RecursionError):
        return None


def _body(text: object, problem: str | None, most: int) -> tuple[bytes, str | None]:
    """The text of a row as UTF-8, and the problem of the row: "broken" for a text that is none."""
    if problem or text is None:
        return b"", problem
    if isinstance(text, str):
        text = text.encode("utf-8", "replace")
    if not isinstance(text, bytes):
        return b"", "broken"
    return (b"", "too_large") if len(text) > most else (text, None)


def _id(own: object, table: Table, place: int) -> str:
    """The row's own id, after the name of its file if it is short; without one, a urn of the file's name and place."""
    if isinstance(own, str) and len(own) >= _LONG_ID and own.isascii():
        return own
    if isinstance(own, bool) or not isinstance(own, str | int) or own == "":
        digest = hashlib.sha1(f"{table.path.name}:{place}".encode()).hexdigest()
        return f"<urn:sha1:{digest}>"
    text = str(own).encode("utf-8", "replace").decode()
    return text if len(text) >= _LONG_ID else f"{table.path.name}:{text}"


def _iso_date(value: object) -> str | None:
    """A date as ISO 8601 in UTC; None where there is none. A number counts seconds, or milliseconds, since 1970."""
    if value is None or (isinstance(value, str) and _ISO_DATE.fullmatch(value)):
        return value
    if isinstance(value, str) and (found := _DATE.match(value)):
        return f"{found['day'].replace('/', '-')}T{found['time'] or '00:00:00'}Z"
    if isinstance(value, datetime):
        return f"{value.astimezone(UTC) if value.tzinfo else value:%Y-%m-%dT%H:%M:%SZ}"
    if isinstance(value, date):
        return f"{value:%Y-%m-%d}T00:00:00Z"
    if isinstance(value, int | float) and not isinstance(value, bool) and 0 < value < _LATEST * 1000:
        seconds = value / 1000 if value > _LATEST else value
        return f"{datetime.fromtimestamp(seconds, UTC):%Y-%m-%dT%H:%M:%SZ}"
    return None


def _licence(value: object) -> str | None:
    """The licences of a row in one text: of a list all, of an object its identifier or name."""
    if isinstance(value, dict):
        value = value.get("identifier") or value.get("name")
    if isinstance(value, list):
        value = " AND ".join(sorted({each for each in map(_licence, value) if each})) or None
    return value if isinstance(value, str) and value else None
