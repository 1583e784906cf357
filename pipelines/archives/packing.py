"""How an archive is packed, and where its records begin and end. This file looks at bytes and reads no record.

The first bytes of an archive decide, never its name. An archive packed record by record can be entered at any record.
One packed as a single stream ("solid") is first unpacked to a temporary file.
"""

import re
import tempfile
import zlib
from bisect import bisect
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from io import BytesIO
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import IO, Any

from fastwarc.stream_io import GzipReader, Lz4Reader, ZstdReader

from pipelines.archives.heads import HEAD, STEP, loose_records, read_on
from roots import storage
from roots.errors import InputError

LOOK = 4096  # bytes of a member that show whether it holds a record
_NIP = 4  # bytes read at once in a head, so that no byte of the next record is read
_SIP = 512  # bytes read at once where damage is likely: a failing read loses all of its bytes
_PEEK = 4 << 20  # a first record up to this size is read to see what follows it
_VERSION = re.compile(rb"(?:\A|(?<=\n))WARC/\d\.\d+[ \t\r]*\n")
_HEAD_END = re.compile(rb"\r?\n\r?\n")
_LENGTH = re.compile(rb"^content-length[ \t]*:[ \t]*(\d{1,18})[ \t]*\r?$", re.IGNORECASE | re.MULTILINE)


@dataclass(frozen=True)
class _Form:
    """One way of packing. `start` matches the first bytes of a record or a member."""

    start: re.Pattern[bytes]
    unpack: Callable[..., Any] | None  # opens a reader of the contents; None if not packed


_FORMS: dict[str, _Form] = {
    "plain": _Form(_VERSION, None),
    "gzip": _Form(re.compile(rb"\x1f\x8b\x08"), GzipReader),
    "zstd": _Form(re.compile(rb"\x28\xb5\x2f\xfd|[\x50-\x5f]\x2a\x4d\x18"), ZstdReader),
    "lz4": _Form(re.compile(rb"\x04\x22\x4d\x18"), Lz4Reader),
}

# first bytes -> what the file is, and what the user can do
_REFUSED: dict[bytes, str] = {
    b"filedesc://": "is an ARC file, the form before WARC: convert it with `warcio recompress IN.arc.gz OUT.warc.gz`",
    b"PK\x03\x04": "is a zip or WACZ: unpack it and name the WARC files in it (a WACZ has them in archive/)",
    b"BZh": "is packed with bzip2: unpack it, or pack it with gzip record by record (`warcio recompress`)",
    b"\xfd7zXZ": "is packed with xz: unpack it, or pack it with gzip record by record (`warcio recompress`)",
    b"PAR1": "is a Parquet file, no web archive",
    b"ARROW1": "is an Arrow file, no web archive",
}
_WANTED = "Name WARC or WET files: plain, or packed with gzip, zstd or lz4"


@dataclass(frozen=True)
class Archive:
    """A readable archive. `path` is the file itself, or the file it was unpacked to."""

    path: Path
    name: str  # of the user's file, without folders
    form: str
    dictionary: bytes = b""  # a zstd archive may begin with one

    def unpack(self, file: Any, buffer: int = 1 << 16) -> Any:
        """Return a reader of the contents from the current position; the file itself if it is not packed."""
        opener = _FORMS[self.form].unpack
        if opener is None:
            return file
        if self.dictionary:
            return ZstdReader(file, buffer_size=buffer, dictionary=self.dictionary)
        return opener(file, buffer_size=buffer)

    def begins_at(self, offset: int) -> bool:
        """Return whether a record can be read at `offset` without reading what comes before."""
        with self.path.open("rb") as file:
            file.seek(offset)
            held = file.read(LOOK)
        return _FORMS[self.form].start.match(held) is not None and self._is_record(held, 0)

    def find(self, start: int) -> int | None:
        """Return the offset of the first record at or after `start`, or None.

        A candidate counts only if its unpacked bytes begin as a WARC record does.
        """
        pattern = _FORMS[self.form].start
        with self.path.open("rb") as file:
            at, held = max(0, start - 1), b""  # a plain archive's record follows a line end
            file.seek(at)
            while True:
                block = file.read(STEP)
                held += block
                edge = len(held) - LOOK if block else len(held)  # later ones wait for the bytes that follow
                for match in pattern.finditer(held):
                    if match.start() >= edge:
                        break
                    if at + match.start() >= start and self._is_record(held, match.start()):
                        return at + match.start()
                if not block:
                    return None
                at, held = at + max(0, edge), held[max(0, edge) :]

    def _is_record(self, held: bytes, at: int) -> bool:
        if self.form == "plain":
            return True
        if self.form == "gzip":  # the reader would give nothing if damage follows
            try:
                return zlib.decompressobj(zlib.MAX_WBITS | 16).decompress(held[at : at + LOOK], 5) == b"WARC/"
            except zlib.error:
                return False
        try:
            return bool(self.unpack(BytesIO(held[at : at + LOOK])).read(5) == b"WARC/")
        except OSError:
            return False

    def resume(self, position: int) -> tuple[int | None, bool]:
        """Return where reading goes on after members without bytes, or None at the end; and whether it can.

        `position` is where a reader found an end. Only a gzip archive has such an end before the file's own.
        """
        size = self.path.stat().st_size
        if position >= size:
            return None, True
        with self.path.open("rb") as file:
            file.seek(position)
            reader = self.unpack(file)
            try:
                if read_on(reader, 1, size):
                    return int(reader.frame_start_position()), True
            except OSError:
                return position, False
            return (None, True) if reader.inner_tell() >= size else (position, False)

    def end_of(self, offset: int) -> tuple[bool, int | None]:
        """Return whether the record at `offset` ends where its length says, and where the next one should begin.

        The second is None if unknown: the archive ends there, or the record shares its member.
        """
        with self.path.open("rb") as file:
            file.seek(offset)
            reader = self.unpack(file)
            try:
                held, end = b"", None
                while end is None and len(held) < HEAD and (part := reader.read(_NIP)):
                    held += part
                    end = _HEAD_END.search(held, max(0, len(held) - 2 * _NIP))
                length = _LENGTH.search(held, 0, end.start() + 1) if end else None
                if end is None or length is None:
                    return False, None
                rest = held[end.end() :]
                left = int(length[1]) - len(rest)
                while left > 0 and (part := reader.read(min(STEP, left))):
                    left -= len(part)
                if left > 0:
                    return False, None
                rest = rest[int(length[1]) :] if left < 0 else b""
                return self._separated(reader, rest, offset + end.end() + int(length[1]))
            except OSError:
                return False, None

    def _separated(self, reader: Any, rest: bytes, end: int) -> tuple[bool, int | None]:
        """Check what follows a record's block: one or two empty lines, then the next record."""
        rest += reader.read(4) if len(rest) < 4 else b""
        if self.form == "plain":
            gap = len(rest[:4]) - len(rest[:4].lstrip(b"\r\n"))
            fine = gap > 0 or not rest
            return fine, end + gap if fine and rest else None
        if rest.strip(b"\r\n"):
            return False, None
        try:
            more = reader.read(1)
        except OSError:
            return True, int(reader.inner_tell())
        return True, int(reader.frame_start_position()) if more else None


@contextmanager
def open_archive(path: Path, unpacked_bytes: int) -> Iterator[Archive]:
    """Open an archive. A solid one is unpacked while it is open.

    Raises InputError for a file that is missing or empty, for a folder, and for anything but a web archive.
    """
    archive = recognise(path)
    if _is_one_stream(archive):
        with tempfile.NamedTemporaryFile(prefix="roots-", suffix=".warc") as spool:
            _unpack(archive, spool, unpacked_bytes)
            yield Archive(Path(spool.name), archive.name, "plain")
    else:
        yield archive


def _is_one_stream(archive: Archive) -> bool:
    """Return whether an archive must be unpacked as a whole. Its offsets then count unpacked bytes."""
    return archive.form == "lz4" or (archive.form != "plain" and _is_solid(archive))


def begins_with_record(head: bytes) -> bool:
    """Whether the first LOOK bytes of a file show a WARC record, plain or packed. It takes microseconds."""
    forms = (name for name, form in _FORMS.items() if form.start.match(head))
    return any(Archive(Path(), "", name)._is_record(head, 0) for name in forms)


def recognise(path: Path) -> Archive:
    """Recognise the form of an archive by its first bytes. Raises InputError."""
    try:
        with path.open("rb") as file:
            head = file.read(STEP)
    except FileNotFoundError:
        raise InputError(f"no file {path}. {_WANTED}") from None
    except IsADirectoryError:
        raise InputError(f"{path} is a folder: name files, or quote a pattern such as '{path}/*.warc.gz'") from None
    except OSError as error:
        raise InputError(f"cannot read {path}: {error.strerror or error}") from None
    if not head:
        raise InputError(f"{path} is empty: fetch it again, or leave it out")
    form = next((name for name, form in _FORMS.items() if form.unpack and form.start.match(head)), "plain")
    archive = Archive(path, path.name, form, _dictionary(path, head) if form == "zstd" else b"")
    inside, whole = _peek(archive)
    for first, advice in _REFUSED.items():
        if head.startswith(first) or inside.startswith(first):
            raise InputError(f"{path} {advice}")
    if whole and not inside and (form != "gzip" or _ends(head)):
        return archive  # packed, complete and empty: an archive without records
    if not _VERSION.search(inside) and archive.find(0) is None:
        raise InputError(f"{path} holds no WARC record. {_WANTED}")
    return archive


def _dictionary(path: Path, head: bytes) -> bytes:
    """Return the dictionary in the first frame of a zstd archive, if there is one.

    Source: IIPC, "Use of Zstandard compression in WARC files" 1.0: a skippable frame of type 0x184D2A5D.
    """
    if not head.startswith(b"\x5d\x2a\x4d\x18"):
        return b""
    length = int.from_bytes(head[4:8], "little")
    if length > len(head) - 8:
        raise InputError(f"{path} begins with a zstd dictionary of {length} bytes, which is cut or above 1 MiB")
    raw = head[8 : 8 + length]
    if not raw.startswith(b"\x28\xb5\x2f\xfd"):
        return raw
    try:
        return bytes(ZstdReader(BytesIO(raw)).read(8 * STEP))
    except OSError as error:
        raise InputError(f"{path} begins with a damaged zstd dictionary: {error}") from None


def _peek(archive: Archive) -> tuple[bytes, bool]:
    """Return the first unpacked MiB, and whether it was read without damage."""
    inside = b""
    size = archive.path.stat().st_size
    with archive.path.open("rb") as file:
        reader = archive.unpack(file)
        try:
            while len(inside) < STEP and (part := read_on(reader, STEP - len(inside), size)):
                inside += part
        except OSError:
            return inside, False  # reading the records will report it
    return inside, True


def _ends(head: bytes) -> bool:
    """Return whether a gzip member is complete: the reader takes a cut one for an empty one."""
    member = zlib.decompressobj(zlib.MAX_WBITS | 16)
    try:
        member.decompress(head, 1)
    except zlib.error:
        return False
    return member.eof


def _is_solid(archive: Archive) -> bool:
    """Return whether the second record shares a member with the first."""
    size = archive.path.stat().st_size
    with archive.path.open("rb") as file:
        reader = archive.unpack(file)
        records = loose_records(reader, 0, size)
        try:
            first = next(records, None)
            start = reader.frame_start_position()
            if first is None or first.content_length > _PEEK:
                return False
            first.reader.consume(first.content_length)
            crossed = reader.frame_start_position() != start
            second = next(records, None)
        except OSError:
            return False
        return second is not None and (crossed or reader.frame_start_position() == start)


def _unpack(archive: Archive, spool: IO[bytes], bound: int) -> None:
    """Unpack the undamaged part of a solid archive, at most `bound` bytes."""
    left = bound
    size = archive.path.stat().st_size
    with archive.path.open("rb") as file:
        reader = archive.unpack(file)
        try:
            while left > 0 and (part := read_on(reader, min(_SIP, left), size)):
                spool.write(part)
                left -= len(part)
            broken = left <= 0 and bool(read_on(reader, 1, size))
        except OSError:
            broken = True
    if broken:
        spool.write(b"\r\n\r\nthe archive is damaged or too large from here on")  # reading reports this as a break
    spool.flush()


# The guarded process that reads pages has no network and no credentials, so archives at URLs are fetched for it. The
# local file is as long as the archive, with holes where nothing is read: a language is a small part of a crawl.
GAP_BYTES = 256 << 10  # a smaller hole is fetched too, because another request would cost more
_WHOLE_SHARE = 0.6  # of an archive; if more is wanted, all of it is fetched


def numbers_of(archives: Sequence[Path], files: Sequence[str]) -> list[int]:
    """Which of a shard's archives each of its rows is from, by the column `file_path`."""
    if len(archives) == 1:
        return [0] * len(files)  # an archive keeps its shard under another name
    numbers = {archive.name: number for number, archive in enumerate(archives)}
    return [numbers[file] for file in files]


@contextmanager
def on_this_machine(archive: Path, wanted: Sequence[int] | None = None, index: Path | None = None) -> Iterator[Path]:
    """Yield a local file with the archive's name; the archive itself if it is already local.

    `wanted` are the offsets (ascending) of the records that will be read. `index` is the shard that says where all
    records begin. Raises InputError if the archive does not exist, ShardError if a server does not answer.
    """
    if not storage.is_remote(archive):
        yield archive
        return
    with TemporaryDirectory(prefix="roots-") as folder:
        local = Path(folder) / archive.name
        if wanted is None or index is None or not _fetch_records(archive, local, wanted, index):
            storage.fetch(archive, local)
        try:
            yield local
        except InputError as error:  # names the file that the user knows
            raise InputError(str(error).replace(str(local), str(archive))) from None


def _fetch_records(archive: Path, local: Path, wanted: Sequence[int], index: Path) -> bool:
    """Fetch the wanted records. Returns False if their ranges are unknown or are most of the archive."""
    from roots import shards  # the process that reads pages does without Arrow

    size = storage.size_of(archive)
    offsets = [offset for batch in shards.read(index, ["offset"]) for offset in batch["offset"].to_pylist()]
    ranges = ranges_of(wanted, offsets, size)
    if sum(high - low for low, high in ranges) > _WHOLE_SHARE * size:
        return False
    storage.fetch(archive, local, [(0, STEP)])
    try:
        found = recognise(local)
    except InputError:  # not a web archive: its offsets are not positions in the file
        return False
    if _is_one_stream(found):
        return False
    storage.fetch(archive, local, ranges)
    return all(found.begins_at(offset) for offset in wanted)


def ranges_of(wanted: Sequence[int], offsets: Sequence[int], size: int) -> list[tuple[int, int]]:
    """Return byte ranges (from, up to) of the wanted records, each with the beginning of the next record.

    `offsets` are those of all known records, in any order. `size` is the length of the archive in bytes.
    """
    known = [*sorted(set(offsets)), size]
    ends = [known[bisect(known, low, hi=len(known) - 1)] for low in wanted]
    ranges: list[tuple[int, int]] = []
    for low, end in zip(wanted, ends, strict=True):
        high = min(size, end + LOOK)  # readers check what follows a record
        if ranges and low <= ranges[-1][1] + GAP_BYTES:
            ranges[-1] = (ranges[-1][0], max(high, ranges[-1][1]))
        else:
            ranges.append((low, high))
    return ranges
