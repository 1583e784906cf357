"""Read WARC heads that FastWARC cannot: lines that end in LF, field names in lower case, a field given twice.

FastWARC takes heads only as ISO 28500 writes them, and is quick. Where it misreads one (`is_misread`), the archive is
read from there on by `loose_records`, which is slower and has the same interface.

Source: ISO 28500, section 4 (names have no case; a line may be folded).
"""

import io
import re
from collections.abc import Iterator
from typing import Any, NamedTuple

from fastwarc.warc import WarcRecordType

HEAD = 64 << 10  # most bytes of a WARC head
_STEP = 1 << 20  # bytes read at once
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

    def __init__(self, reader: Any, length: int, size: int) -> None:
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
        while left and (part := self.read(min(left, _STEP))):
            left -= len(part)
        return size - left


class _Fields(dict[str, str]):
    """Fields by their names in lower case; `get` takes a name in any case."""

    def get(self, name: str, default: Any = None) -> Any:
        return super().get(name.lower(), default)


class LooseRecord(NamedTuple):
    """A record as FastWARC's: fields, type, length of its block, a reader of the block, and its place in the stream."""

    headers: _Fields
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


def loose_records(reader: Any, position: int, size: int) -> Iterator[LooseRecord]:
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
        head = _read_head(reader, first, size)
        fields = _parse_head(head)
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


def _read_head(reader: Any, head: bytes, size: int) -> bytes:
    """Read a head up to its empty line, byte by byte, so that no byte of the block is read."""
    held = bytearray(head)
    while not held.endswith((b"\n\r\n", b"\n\n")):
        byte = read_on(reader, 1, size)
        if not byte or len(held) >= HEAD:
            raise OSError("a WARC head without an end")
        held += byte
    return bytes(held)


def _parse_head(head: bytes) -> _Fields:
    """The fields of a head. Of a field given twice the first counts. Raises OSError if it is no WARC head."""
    version = _VERSION.match(head)
    if version is None or _VERSION.search(head, version.end()):
        raise OSError("no WARC head, or one without an end and the next one")
    fields = _Fields()
    for line in _FOLDED.sub(b" ", head[version.end() :]).splitlines():
        name, colon, value = line.partition(b":")
        if colon:
            fields.setdefault(name.strip().lower().decode("utf-8", "replace"), value.strip().decode("utf-8", "replace"))
    return fields
