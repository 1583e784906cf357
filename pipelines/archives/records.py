"""Read web archives record by record, whatever is broken in them.

Records come in file order. Each has its byte offset in the stored file, so that `read_at` can seek to the few that are
wanted. A break (a cut member, a wrong length, garbage) gives a Record with a problem, and reading continues at the next
record that can be found. If an archive is packed as one stream, offsets count unpacked bytes (see packing.py).

Source: WARC 1.0 and 1.1 (ISO 28500).
"""

import hashlib
import re
from collections.abc import Callable, Generator, Iterator, Sequence
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any, NamedTuple

from fastwarc.warc import ArchiveIterator, WarcRecordType

from filters.text.charset import has_xhtml_root
from pipelines.archives.heads import (
    STEP,
    WARC,
    Response,
    begins_as_http,
    is_misread,
    loose_records,
    parse_response,
    split_content_type,
)
from pipelines.archives.limits import Limits
from pipelines.archives.packing import Archive, open_archive

_DATE = re.compile(r"\s*(\d{4})-(\d\d)-(\d\d)[Tt](\d\d):(\d\d):(\d\d)(?:\.\d+)?(?:([+-])(\d\d):?([0-5]\d))?", re.ASCII)
_SNIFF_BYTES = 1445  # as browsers do: WHATWG MIME Sniffing Standard, section 5.2
_BINARY = re.compile(rb"[\x00-\x08\x0b\x0e-\x1a\x1c-\x1f]")
_XML_TYPES = frozenset({"text/xml", "application/xml"})
_UNKNOWN_TYPES = frozenset({"unknown/unknown", "application/unknown"})  # WHATWG MIME Sniffing Standard, section 7
_WIDE = (b"\xff\xfe", b"\xfe\xff")
_MARKUP = re.compile(rb"<(?:!doctype|html|head|body|title|meta|script|div|h1|p|a|table|br|!--)[\s>/-]", re.IGNORECASE)
_TYPES = {
    int(getattr(WarcRecordType, name)): name
    for name in ("warcinfo", "response", "resource", "request", "metadata", "revisit", "conversion", "continuation")
}
HTTP = frozenset({"response", "revisit"})  # record types whose block may begin with an HTTP head
TEXTLESS = frozenset({"warcinfo", "request", "metadata"})  # record types without text of a page


class Record(NamedTuple):
    """One record that could hold text.

    `problem` is None or one of: "broken" (no record can be read here), "truncated" (the archive or the body ends
    early), "bad_length" (the record does not end where its length says), "bad_http", "too_large", "revisit",
    "not_http".
    """

    id: str  # WARC-Record-ID, or a urn of the sha1 of the file's name and the offset
    url: str | None
    date: str | None  # ISO 8601, UTC
    offset: int  # bytes
    kind: str  # WARC record type; "wet" for a conversion, "unknown" if unreadable
    status: int | None  # HTTP
    content_type: str | None  # lower case, without parameters; guessed from the body if undeclared
    header_charset: str | None  # as in the header
    body: bytes  # without HTTP head, chunking and codings
    problem: str | None
    rights: tuple[tuple[str, str], ...] = ()  # HTTP headers about the use of the page
    license: str | None = None  # as the source states it
    path: str | None = None  # of a file of a program, below its root


class _Block(NamedTuple):
    """A record as stored: its WARC head, or None, and what follows the head."""

    offset: int
    kind: str
    head: Any  # a fastwarc HeaderMap, or None
    http: bytes  # the HTTP head with its empty line, if there is one
    data: bytes
    problem: str | None


def read_records(path: Path, limits: Limits) -> Iterator[Record]:
    """Read every record that could hold text, in order. Breaks are records too.

    Raises InputError for a file that is missing or empty, for a folder, and for anything but a web archive.
    """
    with open_archive(path, limits.unpacked_bytes) as archive:
        yield from _records(archive, limits)


def read_at(path: Path, offsets: Sequence[int], limits: Limits, dense: bool = False) -> Iterator[Record]:
    """Read only the records at these offsets (ascending), which `read_records` gave without a problem.

    Set `dense` if these are most records of the archive: reading on from one to the next is then cheaper than seeking
    to each. Wrong lengths are not noticed here, because what follows a record is not read. Raises InputError as
    `read_records` does.
    """
    with open_archive(path, limits.unpacked_bytes) as archive:
        following: Iterator[_Block] = iter(())
        for position, offset in enumerate(offsets):
            block = next((block for block in following if block.offset >= offset), None) if dense else None
            if block is not None and block.offset == offset:
                yield _record(archive, block, limits)
                continue
            if not archive.begins_at(offset):
                # A record that shares its member, or a break: only reading from the beginning finds it.
                wanted = set(offsets[position:])
                yield from (record for record in _records(archive, limits) if record.offset in wanted)
                return
            following = iter(_Run(archive, offset, limits, buffer=1 << 18 if dense else 1 << 15))
            block = next(following, None) or _Block(offset, "unknown", None, b"", b"", "broken")
            yield _record(archive, block, limits)


class _Run:
    """Records from `position` on, until the archive ends or breaks. `broken` says which.

    `stopped` is where a packed archive has nothing more to read: at its end, or at a member without bytes.
    """

    def __init__(self, archive: Archive, position: int, limits: Limits, buffer: int = 1 << 18) -> None:
        self._archive = archive
        self._buffer = buffer
        self._position = position
        self._limits = limits
        self.broken = False
        self.stopped: int | None = None

    def __iter__(self) -> Iterator[_Block]:
        misread = yield from self._blocks(self._position, -1, loose=self._archive.grammar is not WARC)
        if misread is not None:
            yield from self._blocks(*misread, loose=True)

    def _blocks(self, position: int, after: int, loose: bool) -> Generator[_Block, None, tuple[int, int] | None]:
        """Read blocks from `position` on, without those at offsets up to `after`.

        If the quick reader misreads a head, it stops and returns these two for the reader that does not. They are those
        of the record before, because a head without an end runs on into the next member.
        """
        with self._archive.open_at(position) as file:
            reader = self._archive.unpack(file, self._buffer)
            packed = reader is not file
            member, shared = -1, 0
            last = (position, -1)
            records = self._open(reader, position, loose)
            try:
                for record in records:
                    if not loose and is_misread(record):
                        return last
                    offset = record.stream_pos
                    if packed:
                        start = reader.frame_start_position()
                        shared = shared + 1 if start == member else 0
                        member, offset = start, start + shared
                    if offset <= after:
                        continue
                    last = (member if packed else offset, offset)
                    block = self._block(record, offset)
                    if packed and reader.frame_start_position() != member:
                        block = block._replace(problem="bad_length")
                    yield block
                    if block.problem is not None:
                        self.broken = True
                        return None
                self.stopped = reader.inner_tell() if packed else None
            except OSError:
                self.broken = True
        return None

    def _open(self, reader: Any, position: int, loose: bool) -> Iterator[Any]:
        if loose:
            return loose_records(reader, position, self._archive.end_at(position), self._archive.grammar)
        return iter(ArchiveIterator(reader, parse_http=False))

    def _block(self, record: Any, offset: int) -> _Block:
        kind = _TYPES.get(int(record.record_type), "unknown")
        return _Block(offset, kind, record.headers, *self._read(record, kind))

    def _read(self, record: Any, kind: str) -> tuple[bytes, bytes, str | None]:
        """Read a record's HTTP head and its body, each up to its limit.

        Bytes are read in steps, so that a false length costs little. The head is read apart, which avoids a copy of
        the page.
        """
        length = record.content_length
        if kind in TEXTLESS:
            return b"", b"", None if record.reader.consume(length) == length else "truncated"
        try:
            http = self._read_head(record) if kind in HTTP else b""
            left = length - len(http)
            wanted = min(left, self._limits.body_bytes + 1)
            data = record.reader.read(min(wanted, STEP))
            while len(data) < wanted and (part := record.reader.read(min(wanted - len(data), STEP))):
                data += part
        except OSError:
            return b"", b"", "truncated"
        if len(data) < wanted:
            return http, data, "truncated"
        return http, data, "too_large" if left > self._limits.body_bytes else None

    def _read_head(self, record: Any) -> bytes:
        """Return the stored head. It lacks its empty line if the limit comes first."""
        head, left = b"", min(record.content_length, self._limits.head_bytes)
        while left > 0 and (line := record.reader.readline(left)):
            head += line
            left -= len(line)
            if line in (b"\r\n", b"\n") and head.strip():  # empty lines may stand before a head
                break
        return head


def _records(archive: Archive, limits: Limits) -> Iterator[Record]:
    """Read all records that could hold text, past every break: each break is one record with a problem."""
    position = archive.begin_after(0)
    while position is not None:
        last: _Block | None = None
        held: Record | None = None
        run = _Run(archive, position, limits)
        for block in run:
            # A wrong length shows only in what follows, so a record waits until the next one is read.
            if held is not None:
                yield held
            last = block
            held = _record(archive, block, limits) if block.kind not in TEXTLESS or block.problem else None
        if not run.broken:
            if held is not None:
                yield held
            end = archive.end_at(position)
            position, fine = archive.resume(run.stopped) if run.stopped is not None else (None, True)
            if position is None:
                position = archive.begin_after(end)
            elif not fine:
                yield _broken(archive, position, limits)
                position = archive.find(position + 1)
            continue
        if last is None:
            yield _broken(archive, position, limits)
            position = archive.find(position + 1)
            continue
        following = None
        if last.problem is None:
            fine, following = archive.end_of(last.offset)
            held = held if fine else _record(archive, last._replace(problem="bad_length"), limits)
        if held is not None:
            yield held
        if following is not None and following <= last.offset:  # the rest of this member cannot be read
            yield _broken(archive, last.offset + 1, limits)
            following = None
        position = archive.find(last.offset + 1) if following is None else following


def _broken(archive: Archive, offset: int, limits: Limits) -> Record:
    """A break: no record can be read at `offset`."""
    return _record(archive, _Block(offset, "unknown", None, b"", b"", "broken"), limits)


def _record(archive: Archive, block: _Block, limits: Limits) -> Record:
    """Turn a block into a Record, by its WARC head and its type."""
    head = block.head
    if head is None:
        return Record(
            _urn(archive, block.offset), None, None, block.offset, block.kind, None, None, None, b"", block.problem
        )
    declared = head.get("Content-Type") or ""
    held = _SOURCES.get(block.kind, _foreign)(block, declared, limits)
    url = (head.get("WARC-Target-URI") or "").strip().removeprefix("<").removesuffix(">")
    return Record(
        id=(head.get("WARC-Record-ID") or "").strip() or _urn(archive, block.offset),
        url=url or None,
        date=_date_of(head.get("WARC-Date") or ""),
        offset=block.offset,
        kind="wet" if block.kind == "conversion" else block.kind,
        status=held.status,
        content_type=_type_of(held),
        header_charset=held.charset,
        body=held.body,
        problem=block.problem or held.problem,
        rights=held.rights,
    )


def _date_of(stated: str) -> str | None:
    """A date in UTC, to the second; None if there is no such time. Without an offset it is UTC."""
    found = _DATE.match(stated)
    if found is None:
        return None
    year, month, day, hour, minute, second = map(int, found.groups()[:6])
    try:
        date = datetime(year, month, day, hour, minute, 59 if second == 60 else second)  # a leap second
        if found[7]:
            offset = timedelta(hours=int(found[8]), minutes=int(found[9]))
            if offset >= timedelta(days=1):
                return None
            date += -offset if found[7] == "+" else offset
    except (ValueError, OverflowError):
        return None
    return f"{date.isoformat()}Z"


def _type_of(held: Response) -> str | None:
    """The declared type, or one by the first bytes where a browser looks at them, and for XHTML called XML."""
    declared = held.content_type
    if declared is None or declared in _UNKNOWN_TYPES:
        return _sniff(held.body)
    return "application/xhtml+xml" if declared in _XML_TYPES and has_xhtml_root(held.body) else declared


def _sniff(body: bytes) -> str | None:
    """Guess the type of a body without a declared one: HTML, plain text, or None."""
    head = body[:_SNIFF_BYTES]
    if not head.strip() or (_BINARY.search(head) and not head.startswith(_WIDE)):
        return None
    return "text/html" if _MARKUP.search(head) else "text/plain"


def _urn(archive: Archive, offset: int) -> str:
    return f"<urn:sha1:{hashlib.sha1(f'{archive.name}:{offset}'.encode()).hexdigest()}>"


def _response(block: _Block, declared: str, limits: Limits) -> Response:
    """A response: an HTTP server's answer. Other protocols (dns, ftp) are "not_http".

    Some crawlers leave the record's type out or give that of the page, so a status line and a web address also tell.
    """
    if not declared.lower().startswith("application/http"):
        web = (block.head.get("WARC-Target-URI") or "").lstrip(" <").lower().startswith(("http:", "https:"))
        if not web or not begins_as_http(block.http):
            return _foreign(block, declared, limits)
    return parse_response(block.http, block.data, limits.body_bytes)


def _resource(block: _Block, declared: str, limits: Limits) -> Response:
    """A resource or conversion: it has no HTTP head, so the record's own Content-Type counts."""
    content_type, charset = split_content_type(declared)
    return Response(None, content_type, charset, block.data[: limits.body_bytes], None)


def _revisit(block: _Block, declared: str, limits: Limits) -> Response:
    """A revisit: the page was the same as at an earlier fetch and is not stored again."""
    head = parse_response(block.http, b"", limits.body_bytes)
    return Response(head.status, head.content_type, head.charset, b"", "revisit")


def _foreign(block: _Block, declared: str, limits: Limits) -> Response:
    """Anything else: a DNS answer, a segment of a record, an unknown type."""
    return Response(None, split_content_type(declared)[0], None, b"", "not_http")


# WARC record type -> how its block is read. A conversion is the plain text of a page, as in WET files.
_SOURCES: dict[str, Callable[[_Block, str, Limits], Response]] = {
    "response": _response,
    "resource": _resource,
    "conversion": _resource,
    "revisit": _revisit,
}
