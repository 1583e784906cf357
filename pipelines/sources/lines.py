"""Lines and bytes of files that may be packed with gzip, zstd, bzip2 or xz, which their first bytes tell.

A line has its place: the byte at which it begins in the unpacked file. Places that are wanted are given as a list of
them, ascending, or as a `range`, which stands for all that lie in it.
"""

import bz2
import lzma
import tarfile
import zlib
from bisect import bisect_left
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from itertools import takewhile
from pathlib import Path
from typing import Any, NamedTuple, Protocol, TypeGuard, TypeVar

from fastwarc.stream_io import ZstdReader
from isal import igzip

_T = TypeVar("_T")
_PART = 256 << 10  # bytes read at once, few enough for the cache of a core
DAMAGE = (EOFError, OSError, lzma.LZMAError, zlib.error)  # what damaged packing raises


class Stream(Protocol):
    """What is needed of an open file."""

    def read(self, size: int = -1, /) -> bytes:
        """Read at most `size` bytes; none at the end."""
        ...


# First bytes of a packed file -> what unpacks it.
_PACKINGS: dict[bytes, Callable[[Any], Stream]] = {
    b"\x1f\x8b": lambda file: igzip.IGzipFile(fileobj=file),  # type: ignore[no-untyped-call]
    b"\x28\xb5\x2f\xfd": ZstdReader,
    b"BZh": bz2.BZ2File,
    b"\xfd7zXZ\0": lzma.LZMAFile,
}


class Line(NamedTuple):
    """One line, or a block of lines, or the problem it has."""

    place: int  # byte at which it begins
    data: bytes  # of one line without the line feed; empty where there is a problem
    problem: str | None = None


@contextmanager
def unpacked(path: Path) -> Iterator["Stream"]:
    """Open a file, packed or not, for reading its unpacked bytes."""
    with path.open("rb") as file:
        head = file.read(6)
        file.seek(0)
        unpack = next((unpack for magic, unpack in _PACKINGS.items() if head.startswith(magic)), None)
        yield unpack(file) if unpack else file


def is_packed(path: Path) -> bool:
    """Whether a file is packed, so that nobody can go to a place in it."""
    with path.open("rb") as file:
        return file.read(6).startswith(tuple(_PACKINGS))


def read_up_to(file: Stream, size: int) -> bytes:
    """Up to `size` bytes, however few a read gives."""
    parts, left = [], size
    while left > 0 and (part := file.read(min(_PART, left))):
        parts.append(part)
        left -= len(part)
    return b"".join(parts)


def lines_of(path: Path, limit: int, wanted: Sequence[int] | None = None) -> Iterator[Line]:
    """The lines of a file, or those that begin at `wanted` places."""
    if can_be_cut(wanted, path):
        for block in blocks_of(path, limit, wanted):
            yield from lines_in(block, limit)
    elif is_packed(path):
        lines = ((line.place, line) for line in lines_of(path, limit))
        yield from (line for _, line in chosen(lines, wanted))
    else:
        with path.open("rb") as file:
            for place in wanted or ():
                file.seek(place)
                yield Line(place, file.readline(limit + 1).rstrip(b"\n"))


def can_be_cut(wanted: Sequence[int] | None, path: Path) -> TypeGuard[range | None]:
    """Whether all of a file is wanted, or a part of one that is not packed."""
    return wanted is None or (isinstance(wanted, range) and not is_packed(path))


def blocks_of(path: Path, limit: int, part: range | None) -> Iterator[Line]:
    """The lines of a file, or those that begin in a part of a plain one, many at once: a block ends with a line feed.

    A line above `limit` bytes is a block of its own, and "too_large".
    """
    if part is None:
        with unpacked(path) as file:
            yield from until_damage(_blocks(file, limit, 0))
        return
    with path.open("rb") as file:
        start = max(0, part.start - 1)  # the line feed before the part may be the last byte of another line
        file.seek(start)
        begun = part.start == 0
        for place, data, problem in _blocks(file, limit, start):
            cut = 0 if begun else data.find(b"\n") + 1 or len(data)
            end = data.find(b"\n", max(0, part.stop - place - 1)) + 1 or len(data)
            if place + cut < part.stop and (cut < end or (problem and begun)):
                yield Line(place + cut, data[cut:end], problem)
            if place + len(data) >= part.stop:
                return
            begun = True


def _blocks(file: Stream, limit: int, place: int) -> Iterator[Line]:
    """Blocks of whole lines; a line above `limit` bytes is not held in memory."""
    held, dropped = b"", 0
    while part := file.read(_PART):
        if dropped:
            end = part.find(b"\n") + 1
            dropped += end or len(part)
            if not end:
                continue
            yield Line(place, b"", "too_large")
            place, dropped, part = place + dropped, 0, part[end:]
        end = part.rfind(b"\n") + 1
        if end:
            block = held + part[:end]
            yield Line(place, block)
            place, held, part = place + len(block), b"", part[end:]
        held += part
        if len(held) > limit:
            dropped, held = len(held), b""
    if dropped or held:
        yield Line(place, b"", "too_large") if dropped else Line(place, held)


def split(file: Stream, limit: int) -> Iterator[Line]:
    """The lines of a stream; one above `limit` bytes is "too_large"."""
    for block in _blocks(file, limit, 0):
        yield from lines_in(block, limit)


def lines_in(block: Line, limit: int) -> Iterator[Line]:
    """The lines of a block."""
    place, data, problem = block
    if problem:
        yield block
    at = 0
    while at < len(data):
        end = data.find(b"\n", at)
        end = len(data) if end < 0 else end
        yield Line(place + at, b"", "too_large") if end - at > limit else Line(place + at, data[at:end])
        at = end + 1


def until_damage(lines: Iterator[Line]) -> Iterator[Line]:
    """The lines up to where the packing is damaged, and one with the problem "truncated" for what follows."""
    line = None
    try:
        for line in lines:
            yield line
    except (*DAMAGE, tarfile.TarError):
        end = line.place + len(line.data) + (not line.data.endswith(b"\n")) if line else 0
        yield Line(end, b"", "truncated")


def chosen(rows: Iterable[tuple[int, _T]], wanted: Sequence[int] | None) -> Iterator[tuple[int, _T]]:
    """The rows at `wanted` places, ascending, or all."""
    if wanted is None:
        yield from rows
    elif isinstance(wanted, range):
        yield from (row for row in takewhile(lambda row: row[0] < wanted.stop, rows) if row[0] >= wanted.start)
    else:
        left = iter(wanted)
        place = next(left, None)
        for at, row in rows:
            if place is None:
                return
            if at == place:
                yield at, row
                place = next(left, None)


def any_between(wanted: Sequence[int], low: int, high: int) -> bool:
    """Whether any of the `wanted` places is at least `low` and below `high`."""
    at = bisect_left(wanted, low)
    return at < len(wanted) and wanted[at] < high
