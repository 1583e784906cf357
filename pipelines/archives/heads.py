"""Heads of records: WARC heads that FastWARC misreads, and the HTTP response that a crawler stored.

FastWARC takes heads only as ISO 28500 writes them, and is quick. Where it misreads one (`is_misread`: lines that end
in LF, field names in lower case, a field given twice), the archive is read from there on by `loose_records`, which is
slower and has the same interface. It also reads ARC, by another grammar.

The body of a response is given without chunking and content codings. All sizes are bounded, and no length is trusted.
Crawlers often store a body without the chunking or coding that its head claims; such a body is taken as it is. A page
that begins as gzip does is unpacked, whatever the head says.

Source: ISO 28500, section 4 (names have no case; a line may be folded); RFC 9112 (messages), RFC 9110 section 8.4
(codings).
"""

import io
import re
import zlib
from collections.abc import Callable, Iterator
from functools import lru_cache
from typing import Any, NamedTuple

from fastwarc.stream_io import BrotliReader, GzipReader, ZstdReader
from fastwarc.warc import WarcRecordType

from filters.programs.use_signals import HEADERS

HEAD = 64 << 10  # most bytes of a WARC head
STEP = 1 << 20  # bytes read, or asked of a decompressor, at once
_BUFFER = 64 << 10  # bytes read at once where a head is expected
_VERSION = re.compile(rb"WARC/\d+\.\d+[ \t]*\r?\n")
_FOLDED = re.compile(rb"\r?\n[ \t]+")
_NEWLINES = (b"\r", b"\n")
_TYPES = {
    name: int(getattr(WarcRecordType, name))
    for name in ("warcinfo", "response", "resource", "request", "metadata", "revisit", "conversion", "continuation")
}
_KNOWN = frozenset(_TYPES.values())
_UNKNOWN = int(WarcRecordType.unknown)


class _Block(io.RawIOBase):
    """The block of a record: the next `length` bytes of a reader, and no byte after them."""

    def __init__(self, reader: object, length: int, size: int) -> None:
        self._reader = reader
        self._left = length
        self._size = size

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int:
        part = read_on(self._reader, min(len(buffer), self._left), self._size) if self._left else b""
        self._left -= len(part)
        buffer[: len(part)] = part
        return len(part)


class _BlockReader(io.BufferedReader):
    """A block with FastWARC's `consume`."""

    def consume(self, size: int) -> int:
        """Skip up to `size` bytes; returns how many there were."""
        left = size
        while left and (part := self.read(min(left, STEP))):
            left -= len(part)
        return size - left


class Fields(dict[str, str]):
    """Fields by their names in lower case; `get` takes a name in any case."""

    def get(self, name: str, default: Any = None) -> Any:
        """The value of a field, or `default`."""
        return super().get(name.lower(), default)


class LooseRecord(NamedTuple):
    """A record as FastWARC's: fields, type, length of its block, a reader of the block, and its place in the stream."""

    headers: Fields
    record_type: int
    content_length: int
    reader: _BlockReader
    stream_pos: int


def is_misread(record: Any) -> bool:
    """Whether FastWARC misread a record's head: it joins lines that end in LF, and misses a type and a length."""
    fields = record.headers
    if b"\n" in b"".join(fields.values_bytes()):
        return True
    if int(record.record_type) not in _KNOWN and (fields.get("WARC-Type") or "").strip().lower() in _TYPES:
        return True
    return not record.content_length and (fields.get("Content-Length") or "").strip("0 \t").isdecimal()


class Grammar(NamedTuple):
    """How the heads of a kind of archive are written."""

    start: re.Pattern[bytes]  # a head's beginning, at the beginning of the bytes or after a line end
    look: int  # bytes of a head in which the beginning shows
    end: re.Pattern[bytes]  # what ends a head
    length: re.Pattern[bytes]  # the length of a block, within a head
    ends: tuple[bytes, ...]  # the same as `end`, as bytes
    gap: int  # bytes between a block and the next record
    parse: Callable[[bytes], "Fields"]  # raises OSError for what is no head


def loose_records(reader: object, position: int, size: int, grammar: Grammar) -> Iterator[LooseRecord]:
    """Read records one after another, as FastWARC's ArchiveIterator does.

    `position` is where the reader stands, and `size` the length of the file. Raises OSError where no record begins.
    """
    while True:
        first = read_on(reader, 1, size)
        while first in _NEWLINES:
            position += 1
            first = read_on(reader, 1, size)
        if not first:
            return
        head = _read_head(reader, first, size, grammar.ends)
        fields = grammar.parse(head)
        declared = fields.get("Content-Length", "").strip()
        length = int(declared) if declared.isdecimal() else 0
        block = _BlockReader(_Block(reader, length, size), _BUFFER)
        kind = _TYPES.get(fields.get("WARC-Type", "").strip().lower(), _UNKNOWN)
        yield LooseRecord(fields, kind, length, block, position)
        block.consume(length)
        position += len(head) + length


def read_on(reader: Any, count: int, size: int) -> bytes:
    """Read up to `count` bytes, past members that hold none: a gzip reader gives b"" for an empty member.

    `size` is the length of the file. Returns b"" only at its end, or where the reader does not move on.
    """
    part: bytes = reader.read(count)
    if part or not hasattr(reader, "inner_tell"):
        return part
    at = -1
    while not part and at < reader.inner_tell() < size:
        at = reader.inner_tell()
        part = reader.read(count)
    return part


def _read_head(reader: object, head: bytes, size: int, ends: tuple[bytes, ...]) -> bytes:
    """Read a head up to its end, byte by byte, so that no byte of the block is read."""
    held = bytearray(head)
    while not held.endswith(ends):
        byte = read_on(reader, 1, size)
        if not byte or len(held) >= HEAD:
            raise OSError("a head without an end")
        held += byte
    return bytes(held)


def _parse_head(head: bytes) -> Fields:
    """The fields of a head. Of a field given twice the first counts. Raises OSError if it is no WARC head."""
    version = _VERSION.match(head)
    if version is None or _VERSION.search(head, version.end()):
        raise OSError("no WARC head, or one without an end and the next one")
    fields = Fields()
    for line in _FOLDED.sub(b" ", head[version.end() :]).splitlines():
        name, colon, value = line.partition(b":")
        if colon:
            fields.setdefault(name.strip().lower().decode("utf-8", "replace"), value.strip().decode("utf-8", "replace"))
    return fields


WARC = Grammar(
    start=re.compile(rb"(?:\A|(?<=\n))WARC/\d\.\d+[ \t\r]*\n"),
    look=64,
    end=re.compile(rb"\r?\n\r?\n"),
    length=re.compile(rb"^content-length[ \t]*:[ \t]*(\d{1,18})[ \t]*\r?$", re.IGNORECASE | re.MULTILINE),
    ends=(b"\n\r\n", b"\n\n"),
    gap=4,
    parse=_parse_head,
)

_STATUS = re.compile(rb"HTTP/\d(?:\.\d)?[ \t]+(\d{3})(?!\d)")
_FIELDS = "|".join(("content-type", "content-encoding", "transfer-encoding", *HEADERS))
_FIELD = re.compile(rf"^({_FIELDS})[ \t]*:[ \t]*([^\r\n]*)".encode(), re.IGNORECASE | re.MULTILINE)
_CHARSET = re.compile(r"charset\s*=\s*[\"']?\s*([^\s\"';,]+)", re.IGNORECASE)
_MIME = re.compile(r"[a-z0-9!#$&^_.+-]+/[a-z0-9!#$&^_.+-]+")
_BINARY = re.compile(rb"[\x00-\x08\x0e-\x1a]")
_CHUNK_SIZE = re.compile(rb"[ \t]*(?:0[xX])?0*([0-9A-Fa-f]{1,16})[ \t]*(?:;[^\r\n]*)?\r?\n")
_LAST_CHUNK = re.compile(rb"[ \t]*0*\s*\Z")  # a last chunk that is cut, or none
_GZIP = b"\x1f\x8b\x08"
_NESTED = 4  # most times that a page is unpacked without a header that says so
_PAGES = frozenset({"text/html", "application/xhtml+xml", "text/plain"})
_RAW, _ZLIB, _GZIP_FORM = -zlib.MAX_WBITS, zlib.MAX_WBITS, zlib.MAX_WBITS | 16  # what zlib calls its three forms


class Response(NamedTuple):
    """A stored response. `problem` is None, "bad_http", "truncated" or "too_large"."""

    status: int | None
    content_type: str | None
    charset: str | None
    body: bytes
    problem: str | None
    rights: tuple[
        tuple[str, str], ...
    ] = ()  # headers that say how the page may be used: see filters.programs.use_signals


# coding -> (first bytes of such a body, if it has typical ones; how to open it)
_CODINGS: dict[str, tuple[tuple[bytes, ...], Callable[[io.BytesIO], Any]]] = {
    "gzip": ((b"\x1f\x8b",), GzipReader),
    "x-gzip": ((b"\x1f\x8b",), GzipReader),
    "deflate": ((), lambda stream: GzipReader(stream, zlib=True)),
    "br": ((), BrotliReader),
    "zstd": ((b"\x28\xb5\x2f\xfd",), ZstdReader),
}


# coding -> the forms of zlib's streams that such a body may be
_FORMS = {"gzip": (_GZIP_FORM,), "x-gzip": (_GZIP_FORM,), "deflate": (_ZLIB, _RAW)}


def parse_response(head: bytes, body: bytes, body_bytes: int) -> Response:
    """Parse a stored response from its head, with the empty line, and its body.

    A body over `body_bytes` is cut and its problem is "too_large". Empty lines before the status line are left out, and
    folded lines are one (RFC 9112, sections 2.2 and 5.2).
    """
    head = head.lstrip(b"\r\n")
    if b"\n " in head or b"\n\t" in head:
        head = _FOLDED.sub(b" ", head)
    status = _STATUS.match(head)
    if status is None or not head.endswith((b"\n\r\n", b"\n\n")):
        return Response(None, None, None, b"", "bad_http")
    content_type = charset = None
    encoding = transfer = ""
    rights: list[tuple[str, str]] = []
    for name, value in _FIELD.findall(head):
        text = value.decode("latin-1")
        match name.lower():
            case b"content-type":
                content_type, charset = split_content_type(text)
            case b"content-encoding":
                encoding = f"{encoding},{text}"
            case b"transfer-encoding":
                transfer = f"{transfer},{text}"
            case _:
                rights.append((name.decode("latin-1").lower(), text))
    response = Response(int(status[1]), content_type, charset, body, None, tuple(rights))
    codings = [*_codings_in(encoding), *_codings_in(transfer)]
    if "chunked" in codings:
        response = _unchunk(response)
    for coding in reversed(codings):
        if coding in _CODINGS and response.body:
            response = _undo(response, coding, body_bytes)
    if response.body.startswith(_GZIP) and content_type in _PAGES:
        response = _unpack_page(response, body_bytes)
    if len(response.body) > body_bytes:
        return response._replace(body=response.body[:body_bytes], problem="too_large")
    return response


def begins_as_http(block: bytes) -> bool:
    """Whether a block begins with an HTTP status line, perhaps after empty lines."""
    return _STATUS.match(block.lstrip(b"\r\n")) is not None


@lru_cache(256)
def split_content_type(value: str) -> tuple[str | None, str | None]:
    """Split "Text/HTML; charset=X" into ("text/html", "X"); None for a missing part."""
    mime = _MIME.match(value.strip().lower())
    charset = _CHARSET.search(value)
    return (mime[0] if mime else None), (charset[1] if charset else None)


def _codings_in(value: str) -> list[str]:
    """The codings that a header names, without parameters such as ";q=1"."""
    return [part.partition(";")[0].strip() for part in value.lower().split(",")] if value else []


def _unchunk(response: Response) -> Response:
    """Undo chunking. A body that does not begin with a chunk was stored without chunking and stays as it is.

    The last chunk, which holds nothing, may be missing.
    """
    body = response.body
    parts: list[bytes] = []
    at = 0
    while True:
        size = _CHUNK_SIZE.match(body, at)
        if size is None:
            if not parts:
                return response
            problem = None if _LAST_CHUNK.match(body, at) else "bad_http"
            return response._replace(body=b"".join(parts), problem=problem)
        length = int(size[1], 16)
        if length == 0:
            return response._replace(body=b"".join(parts))
        part = body[size.end() : size.end() + length]
        parts.append(part)
        if len(part) < length:
            return response._replace(body=b"".join(parts), problem="truncated")
        at = size.end() + length
        at += 2 if body.startswith(b"\r\n", at) else body.startswith(b"\n", at)


def _undo(response: Response, coding: str, bound: int) -> Response:
    """Undo one content coding, up to `bound` + 1 bytes.

    A body without that coding stays as it is: crawlers that decode often keep the header. A gzip body that ends early
    gives what there is, as in a browser; a damaged one is "truncated". Bytes behind a whole gzip or deflate stream are
    left out.
    """
    magics, opener = _CODINGS[coding]
    if magics and not response.body.startswith(magics):
        return response
    if response.body.startswith(_GZIP) and coding in ("br", "deflate"):
        return _undo(response, "gzip", bound)
    body, whole = inflate(opener(io.BytesIO(response.body)), bound)
    if not body and not whole and coding == "deflate":  # some servers send raw deflate: add gzip's head
        body, _ = inflate(GzipReader(io.BytesIO(b"\x1f\x8b\x08" + bytes(6) + b"\xff" + response.body)), bound)
        whole = bool(body)  # there is no trailer to check
    if not whole and coding in _FORMS:
        alone = _first_streams(response.body, _FORMS[coding], bound)
        body, whole = (alone, True) if alone is not None else (body, whole)
    if not body and not whole and not magics and not _BINARY.search(response.body, 0, 512):
        return response
    return response._replace(body=body, problem=response.problem if whole else "truncated")


def _first_streams(body: bytes, forms: tuple[int, ...], bound: int) -> bytes | None:
    """Return up to `bound` + 1 bytes of the whole streams that `body` begins with; None if there is none."""
    for form in forms:
        found, rest = b"", body
        try:
            while len(found) <= bound:
                stream = zlib.decompressobj(form)
                found += stream.decompress(rest, bound + 1 - len(found))
                rest = stream.unused_data
                if stream.eof and not rest.startswith(_GZIP):
                    return found
                if not stream.eof and len(found) <= bound:
                    break
            else:
                return found
        except zlib.error:
            continue
    return None


def _unpack_page(response: Response, bound: int) -> Response:
    """Unpack a page that begins as gzip does. One that cannot be unpacked stays as it is."""
    for _ in range(_NESTED):
        found = _undo(response, "gzip", bound)
        if found.problem != response.problem or not found.body:
            break
        response = found
        if not response.body.startswith(_GZIP):
            break
    return response


def inflate(stream: Any, bound: int) -> tuple[bytes, bool]:
    """Return up to `bound` + 1 decompressed bytes, and whether no error came before the end or the bound."""
    parts = []
    left = bound + 1
    try:
        while left and (part := stream.read(min(STEP, left))):
            parts.append(part)
            left -= len(part)
    except OSError:
        return b"".join(parts), False
    return b"".join(parts), True
