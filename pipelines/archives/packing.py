"""How an archive is packed, and where its records begin and end. This file looks at bytes and reads no record.

The first bytes of an archive decide, never its name. An archive packed record by record can be entered at any record.
One packed as a single stream ("solid") is first unpacked to a temporary file.
"""

import re
import tempfile
import zlib
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from io import BytesIO
from pathlib import Path
from typing import IO, Any, cast

from fastwarc.stream_io import GzipReader, Lz4Reader, ZstdReader

from pipelines.archives.heads import HEAD, STEP, WARC, Grammar, loose_records, read_on
from pipelines.archives.limits import UNPACKING_ERRORS
from pipelines.archives.other_forms import ARC, ZIP, Part, archives_of_wacz, open_part
from roots.errors import InputError

LOOK = 4096  # bytes of a member that show whether it holds a record
_NIP = 4  # bytes read at once in a head, so that no byte of the next record is read
_SIP = 512  # bytes read at once where damage is likely: a failing read loses all of its bytes
_PEEK = 4 << 20  # a first record up to this size is read to see what follows it


@dataclass(frozen=True)
class _Form:
    """One way of packing. `start` matches the first bytes of a member; None if a record is no member."""

    start: re.Pattern[bytes] | None
    unpack: Callable[..., Any] | None  # opens a reader of the contents; None if not packed


_FORMS: dict[str, _Form] = {
    "plain": _Form(None, None),
    "gzip": _Form(re.compile(rb"\x1f\x8b\x08"), GzipReader),
    "zstd": _Form(re.compile(rb"\x28\xb5\x2f\xfd|[\x50-\x5f]\x2a\x4d\x18"), ZstdReader),
    "lz4": _Form(re.compile(rb"\x04\x22\x4d\x18"), Lz4Reader),
}

# first bytes -> what the file is, and what the user can do
_REFUSED: dict[bytes, str] = {
    ZIP: "is a zip without web archives in a folder archive/, so no WACZ: unpack it and name the files in it",
    b"BZh": "is packed with bzip2: unpack it, or pack it with gzip record by record (`warcio recompress`)",
    b"\xfd7zXZ": "is packed with xz: unpack it, or pack it with gzip record by record (`warcio recompress`)",
    b"PAR1": "is a Parquet file, no web archive",
    b"ARROW1": "is an Arrow file, no web archive",
}
_GRAMMARS = (WARC, ARC)
_WANTED = "Name WARC, WET or ARC files (plain, or packed with gzip, zstd or lz4), or WACZ files"


@dataclass(frozen=True)
class Archive:
    """A readable archive. `path` is the file itself, or the file it was unpacked to."""

    path: Path
    name: str  # of the user's file, without folders
    form: str
    dictionary: bytes = b""  # a zstd archive may begin with one
    grammar: Grammar = WARC
    parts: tuple[Part, ...] = ()  # of a WACZ: the archives in it

    def unpack(self, file: Any, buffer: int = 1 << 16) -> Any:
        """Return a reader of the contents from the current position; the file itself if it is not packed."""
        opener = _FORMS[self.form].unpack
        if opener is None:
            return file
        if self.dictionary:
            return ZstdReader(file, buffer_size=buffer, dictionary=self.dictionary)
        return opener(file, buffer_size=buffer)

    def end_at(self, position: int) -> int:
        """Where the archive ends that `position` is in: the file's end, or that of an archive in a WACZ."""
        size = self.path.stat().st_size
        return next((part.high for part in self.parts if position < part.high), size)

    def begin_after(self, position: int) -> int | None:
        """Where the next archive of a WACZ begins; any other file is one archive, which begins at 0."""
        begins = [part.low for part in self.parts] or [0]
        return next((begin for begin in begins if begin >= position), None)

    @contextmanager
    def open_at(self, position: int) -> Iterator[IO[bytes]]:
        """Open the file at a position, as if it ended where the archive there does."""
        with self.path.open("rb") as file:
            file.seek(position)
            yield cast(IO[bytes], _Window(file, self.end_at(position))) if self.parts else file

    def begins_at(self, offset: int) -> bool:
        """Return whether a record can be read at `offset` without reading what comes before."""
        with self.open_at(offset) as file:
            held = file.read(LOOK)
        return self._start.match(held) is not None and self._is_record(held, 0)

    @property
    def _start(self) -> re.Pattern[bytes]:
        return _FORMS[self.form].start or self.grammar.start

    def find(self, start: int) -> int | None:
        """Return the offset of the first record at or after `start`, or None.

        A candidate counts only if its unpacked bytes begin as a record does.
        """
        begins = [part.low for part in self.parts if part.high > start] if self.parts else [0]
        found = (self._find(max(start, low), low) for low in begins)
        return next((offset for offset in found if offset is not None), None)

    def _find(self, start: int, low: int) -> int | None:
        """The same within the archive that begins at `low`."""
        pattern = self._start
        at, held = max(low, start - 1), b""  # a plain archive's record follows a line end
        with self.open_at(at) as file:
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
        return self.form == "plain" or self.grammar.start.match(self._inside(held[at : at + LOOK])) is not None

    def _inside(self, held: bytes) -> bytes:
        """The first unpacked bytes of a member, from its first line on; none if it is damaged."""
        try:
            if self.form == "gzip":  # the reader would give nothing if damage follows
                inside = zlib.decompressobj(zlib.MAX_WBITS | 16).decompress(held, self.grammar.look)
            else:
                inside = self.unpack(BytesIO(held)).read(self.grammar.look)
        except (OSError, zlib.error):
            return b""
        return inside.lstrip(b"\r\n")

    def resume(self, position: int) -> tuple[int | None, bool]:
        """Return where reading goes on after members without bytes, or None at the end; and whether it can.

        `position` is where a reader found an end. Only a gzip archive has such an end before the file's own.
        """
        size = self.end_at(position - 1)
        if position >= size:
            return None, True
        with self.open_at(position) as file:
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
        with self.open_at(offset) as file:
            reader = self.unpack(file)
            try:
                held, end = b"", None
                while end is None and len(held) < HEAD and (part := reader.read(_NIP)):
                    held += part
                    end = self.grammar.end.search(held, max(0, len(held) - 2 * _NIP))
                length = self.grammar.length.search(held, 0, end.start() + 1) if end else None
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
        rest += reader.read(self.grammar.gap) if len(rest) < self.grammar.gap else b""
        if self.form == "plain":
            gap = len(rest[: self.grammar.gap]) - len(rest[: self.grammar.gap].lstrip(b"\r\n"))
            fine = gap > 0 or not rest
            return fine, end + gap if fine and rest else None
        if rest.strip(b"\r\n"):
            return False, None
        try:
            more = reader.read(1)
        except OSError:
            return True, int(reader.inner_tell())
        return True, int(reader.frame_start_position()) if more else None


class _Window:
    """An open file that ends at `end`, as FastWARC's readers need one."""

    def __init__(self, file: IO[bytes], end: int) -> None:
        self._file, self._end = file, end
        self.seek, self.tell, self.close = file.seek, file.tell, file.close

    def read(self, size: int = -1) -> bytes:
        left = max(0, self._end - self._file.tell())
        return self._file.read(left if size < 0 else min(size, left))


@contextmanager
def open_archive(path: Path, unpacked_bytes: int) -> Iterator[Archive]:
    """Open an archive. A solid one is unpacked while it is open.

    Raises InputError for a file that is missing or empty, for a folder, and for anything but a web archive.
    """
    archive = recognise(path)
    if is_one_stream(archive):
        with tempfile.NamedTemporaryFile(prefix="roots-", suffix=".warc") as spool:
            _unpack(archive, spool, unpacked_bytes)
            yield Archive(Path(spool.name), archive.name, "plain", grammar=archive.grammar)
    else:
        yield archive


def is_one_stream(archive: Archive) -> bool:
    """Return whether an archive must be unpacked as a whole. Its offsets then count unpacked bytes."""
    if archive.form in ("lz4", "zip"):
        return True
    begins = [part.low for part in archive.parts] or [0]
    return archive.form != "plain" and any(_is_solid(archive, begin) for begin in begins)


def begins_with_record(head: bytes) -> bool:
    """Whether the first LOOK bytes of a file show a record of WARC or ARC, plain or packed. It takes microseconds."""
    form = _form_of(head)
    if form == "plain":
        return any(grammar.start.match(head) for grammar in _GRAMMARS)
    return any(Archive(Path(), "", form, grammar=grammar)._is_record(head, 0) for grammar in _GRAMMARS)


def is_wacz(path: Path, head: bytes) -> bool:
    """Whether a file with these first bytes is a zip of web archives."""
    try:
        return head.startswith(ZIP) and bool(archives_of_wacz(path))
    except InputError:
        return False  # `recognise` says why


def _form_of(head: bytes) -> str:
    return next((name for name, form in _FORMS.items() if form.start and form.start.match(head)), "plain")


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
    if head.startswith(ZIP):
        return _recognise_wacz(path)
    form = _form_of(head)
    archive = Archive(path, path.name, form, _dictionary(path, head) if form == "zstd" else b"")
    inside, whole = _peek(archive)
    for first, advice in _REFUSED.items():
        if head.startswith(first) or inside.startswith(first):
            raise InputError(f"{path} {advice}")
    if whole and not inside and (form != "gzip" or _ends(head)):
        return archive  # packed, complete and empty: an archive without records
    for grammar in _GRAMMARS:
        if grammar.start.search(inside):
            return replace(archive, grammar=grammar)
    if archive.find(0) is None:
        raise InputError(f"{path} holds no WARC record. {_WANTED}")
    return archive


def _recognise_wacz(path: Path) -> Archive:
    """The archives of a WACZ as one. Those that are stored as they are, and packed alike, are read where they lie.

    Of a damaged one the records are found by their beginnings. Raises InputError where there are none.
    """
    try:
        parts = tuple(archives_of_wacz(path))
    except InputError:
        if (archive := Archive(path, path.name, "gzip")).find(0) is None:
            raise
        return archive
    if not parts:
        raise InputError(f"{path} {_REFUSED[ZIP]}")
    archive = Archive(path, path.name, "zip", parts=parts)
    heads = [_head_of(archive, part) for part in parts]
    forms = {_form_of(head) for head in heads}
    in_place = all(part.stored for part in parts) and forms in ({"plain"}, {"gzip"})
    return replace(archive, form=forms.pop()) if in_place else archive


def _head_of(archive: Archive, part: Part) -> bytes:
    with archive.open_at(part.low) as file:
        return file.read(LOOK)


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


def _is_solid(archive: Archive, begin: int) -> bool:
    """Return whether the second record of the archive that begins there shares a member with the first."""
    with archive.open_at(begin) as file:
        reader = archive.unpack(file)
        records = loose_records(reader, begin, archive.end_at(begin), archive.grammar)
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
    """Unpack the undamaged part of a solid archive, or of each archive in a WACZ, at most `bound` bytes."""
    size = archive.path.stat().st_size
    if not archive.parts:
        with archive.path.open("rb") as file:
            _copy(archive.unpack(file), spool, bound, size)
    for part in archive.parts:
        with open_part(archive.path, part) as file:
            form = _form_of(file.read(LOOK))
            file.seek(0)
            _copy(Archive(archive.path, "", form).unpack(file), spool, bound, size)
        spool.write(b"\r\n\r\n")  # a damaged end must not hide the beginning of the next one
    spool.flush()


def _copy(reader: object, spool: IO[bytes], bound: int, size: int) -> None:
    """Copy the undamaged part of a stream to `spool`, which grows to `bound` bytes at most."""
    try:
        while (left := bound - spool.tell()) > 0 and (part := read_on(reader, min(_SIP, left), size)):
            spool.write(part)
        broken = left <= 0 and bool(read_on(reader, 1, size))
    except UNPACKING_ERRORS:
        broken = True
    if broken:
        spool.write(b"\r\n\r\nthe archive is damaged or too large from here on\r\n")  # reading reports a break
