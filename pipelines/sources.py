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

from pipelines.archives import STEP, Archive, open_archive
from pipelines.http import Response, parse_response, split_content_type

DATE = re.compile(r"(\d{4}-\d\d-\d\d)T(\d\d:\d\d:\d\d)(?:\.\d+)?Z?")
SNIFF_BYTES = 1445  # as many as browsers look at: WHATWG MIME Sniffing Standard, section 5.2
BINARY = re.compile(rb"[\x00-\x08\x0b\x0e-\x1a\x1c-\x1f]")
WIDE = (b"\xff\xfe", b"\xfe\xff")
MARKUP = re.compile(rb"<(?:!doctype|html|head|body|title|meta|script|div|h1|p|a|table|br|!--)[\s>/-]", re.IGNORECASE)
TYPES = {
    int(getattr(WarcRecordType, name)): name
    for name in ("warcinfo", "response", "resource", "request", "metadata", "revisit", "conversion", "continuation")
}
TEXTLESS = frozenset({"warcinfo", "request", "metadata"})  # record types that hold no text of a page


@dataclass(frozen=True)
class Limits:
    """How much of an archive is believed."""

    body_bytes: int = 16 << 20  # of one page, decompressed; more is cut, with problem "too_large"
    head_bytes: int = 64 << 10  # of an HTTP head
    unpacked_bytes: int = 64 << 30  # of a whole archive packed as one stream


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


class Block(NamedTuple):
    """A record as it lies in the archive: its WARC head (None where there is none), and what follows it."""

    offset: int
    kind: str
    head: Any  # a fastwarc HeaderMap, or None
    data: bytes
    problem: str | None


def read_records(path: Path, limits: Limits) -> Iterator[Record]:
    """Read every record that could hold text, in order; breaks are records too.

    Raises InputError for a file that is missing, a folder, empty or no web archive.
    """
    with open_archive(path, limits.unpacked_bytes) as archive:
        for block in _blocks(archive, limits):
            if block.kind not in TEXTLESS or block.problem:
                yield _record(archive, block, limits)


def read_at(path: Path, offsets: Sequence[int], limits: Limits) -> Iterator[Record]:
    """Read only the records at these offsets (ascending), which `read_records` gave without a problem.

    A record with a wrong length is known by what follows it, which is not read here. Raises InputError as
    `read_records` does.
    """
    with open_archive(path, limits.unpacked_bytes) as archive:
        for position, offset in enumerate(offsets):
            if not archive.begins_at(offset):
                # A record that shares its member, or a break: found only by reading on from the beginning.
                wanted = set(offsets[position:])
                yield from (
                    _record(archive, block, limits) for block in _blocks(archive, limits) if block.offset in wanted
                )
                return
            run = _Run(archive, offset, limits)
            block = next(iter(run), None) or Block(offset, "unknown", None, b"", "broken")
            yield _record(archive, block, limits)


class _Run:
    """Records one after the other from `position`, until the archive ends or breaks; `broken` tells which."""

    def __init__(self, archive: Archive, position: int, limits: Limits) -> None:
        self._archive = archive
        self._position = position
        self._bound = limits.body_bytes + limits.head_bytes
        self.broken = False

    def __iter__(self) -> Iterator[Block]:
        with self._archive.path.open("rb") as file:
            file.seek(self._position)
            reader = self._archive.unpack(file)
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
                    kind = TYPES.get(int(record.record_type), "unknown")
                    data, problem = self._read(record, kind)
                    if packed and reader.frame_start_position() != member:
                        problem = "bad_length"
                    yield Block(offset, kind, record.headers, data, problem)
                    if problem is not None:
                        self.broken = True
                        return
            except OSError:
                self.broken = True

    def _read(self, record: Any, kind: str) -> tuple[bytes, str | None]:
        """Read a record's block, at most the bound of it, in steps: a false length must not cost much."""
        length = record.content_length
        if kind in TEXTLESS:
            return b"", None if record.reader.consume(length) == length else "truncated"
        try:
            data = record.reader.read(min(length, STEP))
            while len(data) < min(length, self._bound) and (part := record.reader.read(STEP)):
                data += part
        except OSError:
            return b"", "truncated"
        if len(data) < min(length, self._bound):
            return data, "truncated"
        return data[: self._bound], "too_large" if length > self._bound else None


def _blocks(archive: Archive, limits: Limits) -> Iterator[Block]:
    """Read all records, over every break. Each break is one block with a problem, where it lies."""
    position: int | None = 0
    while position is not None:
        last: Block | None = None
        run = _Run(archive, position, limits)
        for block in run:
            # A wrong length shows only in what follows: a block is given on when the next one stands.
            if last is not None:
                yield last
            last = block
        if last is None:
            if run.broken:
                yield Block(position, "unknown", None, b"", "broken")
            position = archive.find(position + 1) if run.broken else None
            continue
        following = None
        if run.broken and last.problem is None:
            fine, following = archive.end_of(last.offset)
            last = last if fine else last._replace(problem="bad_length")
        yield last
        if not run.broken:
            return
        position = archive.find(last.offset + 1) if following is None else following


def _record(archive: Archive, block: Block, limits: Limits) -> Record:
    """Read what a block says of itself and, by its type, what it holds."""
    head = block.head
    if head is None:
        return Record(
            _urn(archive, block.offset), None, None, block.offset, block.kind, None, None, None, b"", block.problem
        )
    declared = head.get("Content-Type") or ""
    held = SOURCES.get(block.kind, _foreign)(block.data, declared, limits)
    date = DATE.match(head.get("WARC-Date") or "")
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
    )


def _sniff(body: bytes) -> str | None:
    """What a body without a declared type is: HTML or plain text; None where it is neither."""
    head = body[:SNIFF_BYTES]
    if not head.strip() or (BINARY.search(head) and not head.startswith(WIDE)):
        return None
    return "text/html" if MARKUP.search(head) else "text/plain"


def _urn(archive: Archive, offset: int) -> str:
    return f"<urn:sha1:{hashlib.sha1(f'{archive.name}:{offset}'.encode()).hexdigest()}>"


def _response(data: bytes, declared: str, limits: Limits) -> Response:
    """What an HTTP server answered; an answer by another protocol (dns, ftp) is "not_http"."""
    if not declared.lower().startswith("application/http"):
        return _foreign(data, declared, limits)
    return parse_response(data, limits.head_bytes, limits.body_bytes)


def _resource(data: bytes, declared: str, limits: Limits) -> Response:
    """A page or a text without an HTTP head: the record's own Content-Type tells what it is."""
    content_type, charset = split_content_type(declared)
    problem = "too_large" if len(data) > limits.body_bytes else None
    return Response(None, content_type, charset, data[: limits.body_bytes], problem)


def _revisit(data: bytes, declared: str, limits: Limits) -> Response:
    """A page that was the same as one fetched before, and is not stored again."""
    head = parse_response(data, limits.head_bytes, limits.body_bytes)
    return Response(head.status, head.content_type, head.charset, b"", "revisit")


def _foreign(data: bytes, declared: str, limits: Limits) -> Response:
    """What is neither HTTP nor text: a DNS answer, a segment of a record, a type that is not known."""
    return Response(None, split_content_type(declared)[0], None, b"", "not_http")


# WARC record type -> what its block holds. A conversion is the plain text of a page: what a WET file is made of.
SOURCES: dict[str, Callable[[bytes, str, Limits], Response]] = {
    "response": _response,
    "resource": _resource,
    "conversion": _resource,
    "revisit": _revisit,
}
