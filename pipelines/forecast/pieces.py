"""Draw pieces of a crawl: whole records cut out of the archives, so that every byte has the same chance.

All archives together are a line of bytes. It is cut into equal stretches, one for each piece, and one piece is drawn in
each stretch. So the pieces cover the whole crawl and never overlap.
"""

import random
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from pipelines.archives.heads import STEP
from pipelines.archives.packing import Archive, open_archive
from roots.errors import InputError

_UNPACKED_BYTES = 8 << 30  # limit for an archive packed as one stream, which must be unpacked before it can be cut
_LONGEST = 16  # times the wanted bytes: limit of a piece, which may be longer by one record
_LONGEST_RECORD = 32 << 20  # bytes: limit of a piece of one record


@dataclass(frozen=True)
class Piece:
    """A part of an archive, as an archive of its own."""

    path: Path
    size: float  # bytes of the archive it came from, as stored


def draw_pieces(archives: Sequence[Path], target: Path, count: int, size: int, seed: int) -> list[Piece]:
    """Write `count` pieces of about `size` bytes each to the folder `target`; fewer if the crawl has too few records.

    The same archives, sizes and seed give the same pieces. Raises InputError if no piece can be drawn.
    """
    sizes = [path.stat().st_size for path in archives]
    total = sum(sizes)
    chance = random.Random(seed)
    stretch = total / count
    target.mkdir(parents=True, exist_ok=True)
    pieces: list[Piece] = []
    ends: dict[Path, int] = {}  # where the last piece of an archive ended
    for number in range(count):
        at = int(stretch * number + chance.random() * max(0.0, stretch - size))
        place = 0
        while place < len(sizes) - 1 and at >= sizes[place]:
            at -= sizes[place]
            place += 1
        piece = _cut(archives[place], at, size, ends, target / f"piece-{number:04d}{_ending(archives[place])}")
        if piece is not None:
            pieces.append(piece)
    if not pieces:
        raise InputError("these archives hold no record, so no piece could be drawn")
    return pieces


def _ending(path: Path) -> str:
    return ".warc.zst" if path.name.endswith(".zst") else ".warc.gz" if path.name.endswith(".gz") else ".warc"


def _cut(path: Path, at: int, size: int, ends: dict[Path, int], target: Path) -> Piece | None:
    """Cut the records that start at `at` out of an archive; None if there are none, or an earlier piece has them."""
    with open_archive(path, _UNPACKED_BYTES) as archive:
        stored, readable = path.stat().st_size, archive.path.stat().st_size
        scale = stored / readable  # not 1 for archives packed as one stream, which are read unpacked
        start = archive.find(max(ends.get(path, 0), int(at / scale)))
        if start is None and path not in ends:
            start = archive.find(0)
        if start is None:
            return None
        end = archive.find(start + int(size / scale))
        end = min(readable if end is None else end, start + max(_LONGEST_RECORD, _LONGEST * int(size / scale)))
        ends[path] = end
        _copy(archive, start, end, target)
    return Piece(target, (end - start) * scale)


def _copy(archive: Archive, start: int, end: int, target: Path) -> None:
    with archive.path.open("rb") as source, target.open("wb") as file:
        if archive.dictionary and start > 0:  # a zstd archive begins with the dictionary of all its records
            head = source.read(8)
            file.write(head + source.read(int.from_bytes(head[4:8], "little")))
        source.seek(start)
        left = end - start
        while left > 0 and (part := source.read(min(left, STEP))):
            file.write(part)
            left -= len(part)
