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
from typing import IO, Any, NamedTuple, Protocol, TypeVar

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
    """One line, or the problem it has."""

    place: int  # byte at which it begins
    data: bytes  # without the line feed; empty where there is a problem
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


def lines_of(path: Path, limit: int, wanted: Sequence[int] | None) -> Iterator[Line]:
    """The lines of a file, or those that begin at `wanted` places."""
    if wanted is None:
        yield from until_damage(all_lines(path, limit))
        return
    if is_packed(path):
        lines = ((line.place, line) for line in until_damage(all_lines(path, limit)))
        yield from (line for _, line in chosen(lines, wanted))
        return
    with path.open("rb") as file:
        if isinstance(wanted, range):
            yield from _lines_between(file, limit, wanted)
            return
        for place in wanted:
            file.seek(place)
            yield Line(place, file.readline(limit + 1).rstrip(b"\n"))


def _lines_between(file: IO[bytes], limit: int, part: range) -> Iterator[Line]:
    """The lines that begin in a part of an open file; the last may end after it."""
    start = max(0, part.start - 1)  # the line feed before the part may be the last byte of another line
    file.seek(start)
    lines = split(file, limit, start)
    if part.start:
        next(lines, None)
    yield from takewhile(lambda line: line.place < part.stop, lines)


def all_lines(path: Path, limit: int) -> Iterator[Line]:
    """The lines of a file. Raises what damaged packing raises."""
    with unpacked(path) as file:
        yield from split(file, limit)


def split(file: Stream, limit: int, place: int = 0) -> Iterator[Line]:
    """The lines of a stream from `place` on; one above `limit` bytes is "too_large" and not held in memory."""
    held, dropped = b"", 0
    while part := file.read(_PART):
        block = held + part if held else part
        at = 0
        while (end := block.find(b"\n", at)) >= 0:
            size = dropped + end - at
            yield Line(place, b"", "too_large") if size > limit else Line(place, block[at:end])
            place += size + 1
            at, dropped = end + 1, 0
        held = block[at:]
        if dropped + len(held) > limit:
            dropped, held = dropped + len(held), b""
    if dropped or held:
        yield Line(place, b"", "too_large") if dropped else Line(place, held)


def until_damage(lines: Iterator[Line]) -> Iterator[Line]:
    """The lines up to where the packing is damaged, and one with the problem "truncated" for what follows."""
    line = None
    try:
        for line in lines:
            yield line
    except (*DAMAGE, tarfile.TarError):
        yield Line(line.place + len(line.data) + 1 if line else 0, b"", "truncated")


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
