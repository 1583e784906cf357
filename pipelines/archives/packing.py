"""How an archive is packed, where records begin in it, and where one ends: bytes only, no record is read here.

An archive is known by its first bytes, never by its name. Packed record by record it can be entered at any record;
packed as one stream ("solid") it is first unpacked to a temporary file.
"""

import re
import tempfile
import zlib
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from io import BytesIO
from pathlib import Path
from typing import IO, Any

from fastwarc.stream_io import GzipReader, Lz4Reader, ZstdReader
from fastwarc.warc import ArchiveIterator

from roots.errors import InputError

STEP = 1 << 20  # bytes read at once
LOOK = 4096  # bytes that must do to see that a member holds a record
_NIP = 4  # bytes read at once in a head: no record is shorter than its head and the empty lines behind it
_SIP = 512  # bytes read at once where damage may come: what a failing read would have given is lost
_PEEK = 4 << 20  # bytes of a first record read to see what follows it
HEAD = 64 << 10  # bytes that a WARC head may have
_VERSION = re.compile(rb"(?:\A|(?<=\n))WARC/\d\.\d+[ \t\r]*\n")
_HEAD_END = re.compile(rb"\r?\n\r?\n")
_LENGTH = re.compile(rb"^content-length[ \t]*:[ \t]*(\d{1,18})[ \t]*\r?$", re.IGNORECASE | re.MULTILINE)


@dataclass(frozen=True)
class _Form:
    """One way of packing. `start` finds what may be the first bytes of a record or a member."""

    start: re.Pattern[bytes]
    unpack: Callable[..., Any] | None  # a file -> a reader of what it holds; None for an archive that is not packed


_FORMS: dict[str, _Form] = {
    "plain": _Form(_VERSION, None),
    "gzip": _Form(re.compile(rb"\x1f\x8b\x08"), GzipReader),
    "zstd": _Form(re.compile(rb"\x28\xb5\x2f\xfd|[\x50-\x5f]\x2a\x4d\x18"), ZstdReader),
    "lz4": _Form(re.compile(rb"\x04\x22\x4d\x18"), Lz4Reader),
}

# first bytes -> what the file is and what to do with it
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
    """An archive as it can be read: `path` is the file itself, or what it was unpacked to."""

    path: Path
    name: str  # of the file the user named, without folders
    form: str
    dictionary: bytes = b""  # a zstd archive may begin with one

    def unpack(self, file: Any, buffer: int = 1 << 16) -> Any:
        """A reader of what `file` holds from where it stands; the file itself where it is not packed."""
        opener = _FORMS[self.form].unpack
        if opener is None:
            return file
        if self.dictionary:
            return ZstdReader(file, buffer_size=buffer, dictionary=self.dictionary)
        return opener(file, buffer_size=buffer)

    def begins_at(self, offset: int) -> bool:
        """Whether a record can be read from `offset` on, without what lies before it."""
        with self.path.open("rb") as file:
            file.seek(offset)
            held = file.read(LOOK)
        return _FORMS[self.form].start.match(held) is not None and self._is_record(held, 0)

    def find(self, start: int) -> int | None:
        """Offset of the first record at or after `start`; None where there is none.

        A candidate counts only when what it unpacks to begins as a WARC record does.
        """
        pattern = _FORMS[self.form].start
        with self.path.open("rb") as file:
            at, held = max(0, start - 1), b""  # a record of a plain archive is known by the line end before it
            file.seek(at)
            while True:
                block = file.read(STEP)
                held += block
                edge = len(held) - LOOK if block else len(held)  # later ones are looked at with what follows them
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
        if self.form == "gzip":  # not by the reader, which gives nothing where damage is near
            try:
                return zlib.decompressobj(zlib.MAX_WBITS | 16).decompress(held[at : at + LOOK], 5) == b"WARC/"
            except zlib.error:
                return False
        try:
            return bool(self.unpack(BytesIO(held[at : at + LOOK])).read(5) == b"WARC/")
        except OSError:
            return False

    def end_of(self, offset: int) -> tuple[bool, int | None]:
        """Whether the record at `offset` ends where its length says, and where the next one should begin.

        The second is None where that is not known: the archive ends there, or the record shares its member.
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
        """Look at what follows a record's block: an empty line or two, then the next record."""
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
    """Say how an archive is packed; where it is solid, unpack it for as long as it is open.

    Raises InputError for what is missing, a folder, empty or no web archive.
    """
    archive = recognise(path)
    if is_one_stream(archive):
        with tempfile.NamedTemporaryFile(prefix="roots-", suffix=".warc") as spool:
            _unpack(archive, spool, unpacked_bytes)
            yield Archive(Path(spool.name), archive.name, "plain")
    else:
        yield archive


def is_one_stream(archive: Archive) -> bool:
    """Whether an archive must be unpacked from its beginning: its offsets are then those of the unpacked bytes."""
    return archive.form == "lz4" or (archive.form != "plain" and _is_solid(archive))


def recognise(path: Path) -> Archive:
    """Tell the form of an archive by its first bytes. Raises InputError."""
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
        return archive  # packed, whole and empty: an archive of no records
    if not _VERSION.search(inside) and archive.find(0) is None:
        raise InputError(f"{path} holds no WARC record. {_WANTED}")
    return archive


def _dictionary(path: Path, head: bytes) -> bytes:
    """The dictionary in the first frame of a zstd archive, if there is one.

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
    """The first MiB that an archive unpacks to, and whether no damage was met."""
    inside = b""
    with archive.path.open("rb") as file:
        reader = archive.unpack(file)
        try:
            while len(inside) < STEP and (part := reader.read(STEP - len(inside))):
                inside += part
        except OSError:
            return inside, False  # reading will find the break and report it
    return inside, True


def _ends(head: bytes) -> bool:
    """Whether a gzip member is there to its end: the reader takes a cut one for an empty one."""
    member = zlib.decompressobj(zlib.MAX_WBITS | 16)
    try:
        member.decompress(head, 1)
    except zlib.error:
        return False
    return member.eof


def _is_solid(archive: Archive) -> bool:
    """Whether the second record does not begin a member of its own."""
    with archive.path.open("rb") as file:
        reader = archive.unpack(file)
        records = ArchiveIterator(reader, parse_http=False)
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
    """Unpack a solid archive as far as it is whole, and at most `bound` bytes of it."""
    left = bound
    with archive.path.open("rb") as file:
        reader = archive.unpack(file)
        try:
            while left > 0 and (part := reader.read(min(_SIP, left))):
                spool.write(part)
                left -= len(part)
            broken = left <= 0 and bool(reader.read(1))
        except OSError:
            broken = True
    if broken:
        spool.write(b"\r\n\r\nthe archive is damaged or too large from here on")  # garbage: reported as a break
    spool.flush()
