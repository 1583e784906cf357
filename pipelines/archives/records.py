"""The doors into the pipeline: archives read record by record, whatever is broken in them.

Records come in the order they lie, each with its byte offset in the file as stored, so that `read_at` can seek to the
few that are wanted. A break (a cut member, a wrong length, garbage) is a Record with a problem; reading goes on at the
next record that can be found. In an archive packed as one stream (pipelines.archives) offsets are those of the unpacked
bytes.

Source: WARC 1.0 and 1.1 (ISO 28500).
"""

import hashlib
import re
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

from fastwarc.warc import ArchiveIterator, WarcRecordType

from pipelines.archives.http import Response, parse_response, split_content_type
from pipelines.archives.limits import Limits
from pipelines.archives.packing import STEP, Archive, open_archive

_DATE = re.compile(r"(\d{4}-\d\d-\d\d)T(\d\d:\d\d:\d\d)(?:\.\d+)?Z?")
_SNIFF_BYTES = 1445  # as many as browsers look at: WHATWG MIME Sniffing Standard, section 5.2
_BINARY = re.compile(rb"[\x00-\x08\x0b\x0e-\x1a\x1c-\x1f]")
_WIDE = (b"\xff\xfe", b"\xfe\xff")
_MARKUP = re.compile(rb"<(?:!doctype|html|head|body|title|meta|script|div|h1|p|a|table|br|!--)[\s>/-]", re.IGNORECASE)
_TYPES = {
    int(getattr(WarcRecordType, name)): name
    for name in ("warcinfo", "response", "resource", "request", "metadata", "revisit", "conversion", "continuation")
}
HTTP = frozenset({"response", "revisit"})  # record types that begin with an HTTP head, if they are of HTTP
TEXTLESS = frozenset({"warcinfo", "request", "metadata"})  # record types that hold no text of a page


@dataclass(frozen=True, slots=True)
class Record:
    """One record that could hold text.

    `problem` is None, or one of: "broken" (no record can be read here), "truncated" (the archive or the body ends
    early), "bad_length" (it does not end where its length says), "bad_http", "too_large", "revisit", "not_http".
    """

    id: str  # WARC-Record-ID, or a urn of the sha1 of the file's name and the offset
    url: str | None
    date: str | None  # ISO 8601, UTC
    offset: int  # bytes
    kind: str  # WARC record type; "wet" for a conversion, "unknown" for what cannot be read
    status: int | None  # HTTP
    content_type: str | None  # lower case, without parameters; told from the body where none is declared
    header_charset: str | None  # as the header has it
    body: bytes  # without HTTP head, chunking and codings
    problem: str | None
    rights: tuple[tuple[str, str], ...] = ()  # HTTP headers that say how the page may be used


class _Block(NamedTuple):
    """A record as it lies in the archive: its WARC head (None where there is none), and what follows it."""

    offset: int
    kind: str
    head: Any  # a fastwarc HeaderMap, or None
    http: bytes  # the HTTP head with its empty line, where there is one
    data: bytes
    problem: str | None


def read_records(path: Path, limits: Limits) -> Iterator[Record]:
    """Read every record that could hold text, in order; breaks are records too.

    Raises InputError for a file that is missing, a folder, empty or no web archive.
    """
    with open_archive(path, limits.unpacked_bytes) as archive:
        yield from _records(archive, limits)


def read_at(path: Path, offsets: Sequence[int], limits: Limits, dense: bool = False) -> Iterator[Record]:
    """Read only the records at these offsets (ascending), which `read_records` gave without a problem.

    `dense` says that these are most records of the archive: then it is read on from one to the next, which costs a
    fifth less than to enter it anew for each. A record with a wrong length is known by what follows it, which is not
    read here. Raises InputError as `read_records` does.
    """
    with open_archive(path, limits.unpacked_bytes) as archive:
        following: Iterator[_Block] = iter(())
        for position, offset in enumerate(offsets):
            block = next((block for block in following if block.offset >= offset), None) if dense else None
            if block is not None and block.offset == offset:
                yield _record(archive, block, limits)
                continue
            if not archive.begins_at(offset):
                # A record that shares its member, or a break: found only by reading on from the beginning.
                wanted = set(offsets[position:])
                yield from (record for record in _records(archive, limits) if record.offset in wanted)
                return
            following = iter(_Run(archive, offset, limits, buffer=1 << 18 if dense else 1 << 15))
            block = next(following, None) or _Block(offset, "unknown", None, b"", b"", "broken")
            yield _record(archive, block, limits)


class _Run:
    """Records one after the other from `position`, until the archive ends or breaks; `broken` tells which."""

    def __init__(self, archive: Archive, position: int, limits: Limits, buffer: int = 1 << 18) -> None:
        self._archive = archive
        self._buffer = buffer
        self._position = position
        self._limits = limits
        self.broken = False

    def __iter__(self) -> Iterator[_Block]:
        with self._archive.path.open("rb") as file:
            file.seek(self._position)
            reader = self._archive.unpack(file, self._buffer)
            packed = reader is not file
            member, shared = -1, 0
            records = ArchiveIterator(reader, parse_http=False)
            try:
                for record in records:
                    offset = record.stream_pos
                    if packed:
                        start = reader.frame_start_position()
                        shared = shared + 1 if start == member else 0
                        member, offset = start, start + shared
                    kind = _TYPES.get(int(record.record_type), "unknown")
                    http, data, problem = self._read(record, kind)
                    if packed and reader.frame_start_position() != member:
                        problem = "bad_length"
                    yield _Block(offset, kind, record.headers, http, data, problem)
                    if problem is not None:
                        self.broken = True
                        return
            except OSError:
                self.broken = True

    def _read(self, record: Any, kind: str) -> tuple[bytes, bytes, str | None]:
        """Read a record's HTTP head and the rest of it, at most the bounds of both, in steps.

        In steps, for a false length must not cost much; the head apart, for cutting it off would copy the page.
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
        """The head as it is stored; without an empty line at its end where the bound is met first."""
        head, left = b"", min(record.content_length, self._limits.head_bytes)
        while left > 0 and (line := record.reader.readline(left)):
            head += line
            left -= len(line)
            if line in (b"\r\n", b"\n"):
                break
        return head


def _records(archive: Archive, limits: Limits) -> Iterator[Record]:
    """Read all records that could hold text, over every break: one record with a problem, where it lies."""
    position: int | None = 0
    while position is not None:
        last: _Block | None = None
        held: Record | None = None
        run = _Run(archive, position, limits)
        for block in run:
            # A wrong length shows only in what follows: a record is given on when the next one stands.
            if held is not None:
                yield held
            last = block
            held = _record(archive, block, limits) if block.kind not in TEXTLESS or block.problem else None
        if last is None:
            if run.broken:
                yield _record(archive, _Block(position, "unknown", None, b"", b"", "broken"), limits)
            position = archive.find(position + 1) if run.broken else None
            continue
        following = None
        if run.broken and last.problem is None:
            fine, following = archive.end_of(last.offset)
            held = held if fine else _record(archive, last._replace(problem="bad_length"), limits)
        if held is not None:
            yield held
        if not run.broken:
            return
        if following is not None and following <= last.offset:  # more of this very member, and it cannot be read
            yield _record(archive, _Block(last.offset + 1, "unknown", None, b"", b"", "broken"), limits)
            following = None
        position = archive.find(last.offset + 1) if following is None else following


def _record(archive: Archive, block: _Block, limits: Limits) -> Record:
    """Read what a block says of itself and, by its type, what it holds."""
    head = block.head
    if head is None:
        return Record(
            _urn(archive, block.offset), None, None, block.offset, block.kind, None, None, None, b"", block.problem
        )
    declared = head.get("Content-Type") or ""
    held = _SOURCES.get(block.kind, _foreign)(block, declared, limits)
    date = _DATE.match(head.get("WARC-Date") or "")
    url = (head.get("WARC-Target-URI") or "").strip().removeprefix("<").removesuffix(">")
    return Record(
        id=(head.get("WARC-Record-ID") or "").strip() or _urn(archive, block.offset),
        url=url or None,
        date=f"{date[1]}T{date[2]}Z" if date else None,
        offset=block.offset,
        kind="wet" if block.kind == "conversion" else block.kind,
        status=held.status,
        content_type=held.content_type or _sniff(held.body),
        header_charset=held.charset,
        body=held.body,
        problem=block.problem or held.problem,
        rights=held.rights,
    )


def _sniff(body: bytes) -> str | None:
    """What a body without a declared type is: HTML or plain text; None where it is neither."""
    head = body[:_SNIFF_BYTES]
    if not head.strip() or (_BINARY.search(head) and not head.startswith(_WIDE)):
        return None
    return "text/html" if _MARKUP.search(head) else "text/plain"


def _urn(archive: Archive, offset: int) -> str:
    return f"<urn:sha1:{hashlib.sha1(f'{archive.name}:{offset}'.encode()).hexdigest()}>"


def _response(block: _Block, declared: str, limits: Limits) -> Response:
    """What an HTTP server answered; an answer by another protocol (dns, ftp) is "not_http"."""
    if not declared.lower().startswith("application/http"):
        return _foreign(block, declared, limits)
    return parse_response(block.http, block.data, limits.body_bytes)


def _resource(block: _Block, declared: str, limits: Limits) -> Response:
    """A page or a text without an HTTP head: the record's own Content-Type tells what it is."""
    content_type, charset = split_content_type(declared)
    return Response(None, content_type, charset, block.data[: limits.body_bytes], None)


def _revisit(block: _Block, declared: str, limits: Limits) -> Response:
    """A page that was the same as one fetched before, and is not stored again."""
    head = parse_response(block.http, b"", limits.body_bytes)
    return Response(head.status, head.content_type, head.charset, b"", "revisit")


def _foreign(block: _Block, declared: str, limits: Limits) -> Response:
    """What is neither HTTP nor text: a DNS answer, a segment of a record, a type that is not known."""
    return Response(None, split_content_type(declared)[0], None, b"", "not_http")


# WARC record type -> what its block holds. A conversion is the plain text of a page: what a WET file is made of.
_SOURCES: dict[str, Callable[[_Block, str, Limits], Response]] = {
    "response": _response,
    "resource": _resource,
    "conversion": _resource,
    "revisit": _revisit,
}
