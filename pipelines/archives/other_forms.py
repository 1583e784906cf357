"""The other forms of web archives: ARC, the form before WARC, and WACZ, a zip with WARC files in its folder archive/.

The standard of WACZ wants these files stored and not compressed, so that records are read where they lie, and nothing
is unpacked. No name in a zip is ever used as a path.

Sources: Internet Archive, "Arc File Format", 1996; Webrecorder, "Web Archive Collection Zipped" 1.1.1; PKWARE, APPNOTE.
"""

import os
import re
import struct
import zipfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO, NamedTuple

from pipelines.archives.heads import Fields, Grammar
from pipelines.archives.limits import UNPACKING_ERRORS
from roots.errors import InputError

DIRECTORY_BYTES = 128 << 20  # of a zip's directory, which is read at once: some million files
ZIP = b"PK\x03\x04"  # first bytes of a zip
_END = struct.Struct("<4s4H2LH")  # of a zip: APPNOTE 4.3.16
_END64 = b"PK\x06\x06"
_LOCAL = struct.Struct("<4s5H3L2H")  # before the bytes of a file: APPNOTE 4.3.7
_ARCHIVES = re.compile(r"(?:.*/)?archive/[^/]+\.warc(?:\.gz|\.zst)?", re.IGNORECASE)
# URL, IP address, time, type, perhaps five more fields, length. Some URLs hold spaces.
_ARC_LINE = re.compile(
    rb"([a-z][a-z0-9+.-]{0,30}:[^\r\n]{0,8192}?) "
    rb"(?:(?:\d{1,3}\.){3}\d{1,3}|[0-9a-f.]{0,15}(?::[0-9a-f.]{0,15}){2,8}|-) "
    rb"(\d{12,17}) ([^\r\n]{0,1024}?) ?(\d{1,18})[ \t]*\r?\n",
    re.IGNORECASE,
)
# Scheme of an address in ARC -> type of such a record in WARC, and of its block.
_ARC_KINDS = {
    "http": ("response", "application/http"),
    "https": ("response", "application/http"),
    "dns": ("response", "text/dns"),
    "filedesc": ("warcinfo", ""),
    "metadata": ("metadata", ""),
}


def _parse_arc(line: bytes) -> Fields:
    """The line before a block of an ARC file, as fields of WARC. Raises OSError if it is none."""
    found = _ARC_LINE.fullmatch(line)
    if found is None:
        raise OSError("no line of an ARC file")
    url, date, declared, length = (part.decode("utf-8", "replace") for part in found.groups())
    scheme = url.partition(":")[0].lower()
    kind, declared = _ARC_KINDS.get(scheme, ("resource", declared.partition(" ")[0]))
    fields = Fields({"warc-type": kind, "warc-target-uri": url, "content-type": declared, "content-length": length})
    day, time = f"{date[:4]}-{date[4:6]}-{date[6:8]}", f"{date[8:10]}:{date[10:12]}:{date[12:14] or '00'}"
    fields["warc-date"] = f"{day}T{time}Z"
    return fields


ARC = Grammar(
    start=re.compile(rb"(?:\A|(?<=\n))(?:filedesc://|" + _ARC_LINE.pattern + rb")", re.IGNORECASE),
    look=4096,
    end=re.compile(rb"\r?\n"),
    length=re.compile(rb" (\d{1,18})[ \t]*\r?$", re.MULTILINE),
    ends=(b"\n",),
    gap=1,
    parse=_parse_arc,
)


class Part(NamedTuple):
    """A web archive in a WACZ: where its bytes are in the zip, and whether they are as they were before packing."""

    member: zipfile.ZipInfo
    low: int
    high: int
    stored: bool


def archives_of_wacz(path: Path) -> list[Part]:
    """The web archives in a WACZ, in the order of their bytes; none for any other zip.

    Raises InputError for a zip that is damaged, encrypted, or whose files lie over each other.
    """
    if len(zip_directory(path)) > DIRECTORY_BYTES:
        raise InputError(f"{path} has a directory of more than {DIRECTORY_BYTES >> 20} MB: unpack it")
    try:
        with zipfile.ZipFile(path) as archive, path.open("rb") as file:
            found = sorted(archive.infolist(), key=lambda member: member.header_offset)
            parts, end = [], 0
            for member in found:
                if not _ARCHIVES.fullmatch(member.filename) or member.is_dir():
                    continue
                if member.flag_bits & 1:
                    raise InputError(f"{path} is encrypted: make it again without a password")
                low = _begin_of(file, member)
                if member.header_offset < end or low + member.compress_size > path.stat().st_size:
                    raise InputError(f"{path} is damaged: the files in it lie over each other, or end behind it")
                end = low + member.compress_size
                parts.append(Part(member, low, end, member.compress_type == zipfile.ZIP_STORED))
    except UNPACKING_ERRORS as error:
        raise InputError(f"{path} is a damaged zip ({error})") from None
    return parts


def _begin_of(file: IO[bytes], member: zipfile.ZipInfo) -> int:
    """Where the bytes of a file in a zip begin."""
    file.seek(member.header_offset)
    local = _LOCAL.unpack(file.read(_LOCAL.size))
    if local[0] != ZIP:
        raise zipfile.BadZipFile(f"no file where {member.filename!r} should be")
    return member.header_offset + _LOCAL.size + int(local[9]) + int(local[10])


@contextmanager
def open_part(path: Path, part: Part) -> Iterator[IO[bytes]]:
    """Open a web archive in a WACZ as it was before packing. Raises UNPACKING_ERRORS where it is damaged."""
    with zipfile.ZipFile(path) as archive, archive.open(part.member) as file:
        yield file


def zip_directory(path: Path) -> bytes:
    """The bytes of a zip's directory, at most one more than DIRECTORY_BYTES."""
    with path.open("rb") as file:
        size = file.seek(0, os.SEEK_END)
        file.seek(max(0, size - _END.size - (1 << 16)))
        tail = file.read()
        at = tail.rfind(b"PK\x05\x06")
        if at < 0 or len(tail) - at < _END.size:
            return b""
        length = _END.unpack_from(tail, at)[5]
        if tail.rfind(_END64, 0, at) >= 0 and length == 0xFFFFFFFF:
            length = int.from_bytes(tail[(found := tail.rfind(_END64, 0, at)) + 40 : found + 48], "little")
        end = size - len(tail) + at
        file.seek(max(0, end - length))
        return file.read(min(length, DIRECTORY_BYTES + 1))
