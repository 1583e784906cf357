"""Documents (PDF, EPUB, DOCX, PPTX, ODT, HTML, plain text) as records: a file, or the files of a folder or zip.

Nothing is unpacked to disk, no link is followed, and each file has a bound. No document is opened here.
"""

import hashlib
import os
import re
import stat
import zipfile
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from urllib.parse import quote

from pipelines.archives.limits import UNPACKING_ERRORS, Limits
from pipelines.archives.records import Record
from pipelines.documents.forms import form_of
from pipelines.sources.tables import cut
from roots.errors import InputError

_DOCUMENT_KIND = "document"  # value of the column `kind`
_DOCUMENT_BYTES = 100 << 20  # of one document in a folder or zip
_HEAD_BYTES, _TAIL_BYTES = 1024, 1 << 20  # in which the form shows; a zip has its directory at its end
_LOOKED = 200  # files of a folder or zip that decide what it is
_PAGES = (".html", ".htm", ".xhtml")
_HTML = re.compile(rb"(?:\xef\xbb\xbf)?\s*<(?:!doctype html|html)\b", re.IGNORECASE)  # whatever the name of a file
_ZIPPED = (".docx", ".epub", ".odt", ".pptx")
_ASIDE = (
    ".bmp", ".css", ".eot", ".gif", ".ico", ".jpeg", ".jpg", ".mp3", ".mp4", ".otf", ".png", ".svg", ".tif", ".tiff",
    ".ttf", ".webp", ".woff", ".woff2",
)  # fmt: skip  # names of files that lie beside documents and do not say what a folder is


@dataclass(frozen=True, slots=True)
class _File:
    """A file of a source: the size that it states, and a function that reads its first bytes."""

    name: str
    size: int
    read: Callable[[int], bytes]
    problem: str | None = None


def holds_documents(path: Path) -> bool:
    """Whether an input is a document, or a folder or zip of which at least half of the first files are documents.

    Pictures, fonts and styles do not count: a saved web page has more of them than pages.
    """
    try:
        if path.is_file():
            with path.open("rb") as opened:
                head = opened.read(_HEAD_BYTES)
                opened.seek(max(0, path.stat().st_size - _TAIL_BYTES))
                if _form_of(path.name, head, opened.read()):
                    return True
            if not head.startswith(b"PK\x03\x04"):
                return False
        seen = documents = 0
        for file in islice(_files_in(path), _LOOKED):
            if file.name == "datapackage.json":  # a WACZ has it
                return False
            if not file.name.lower().endswith(_ASIDE):
                seen, documents = seen + 1, documents + _is_document(file)
        return 0 < seen <= 2 * documents
    except UNPACKING_ERRORS:
        return False


def read_documents(path: Path, limits: Limits, offsets: Sequence[int] | None = None) -> Iterator[Record]:
    """Every file of a source as a record, or those at these offsets (ascending); an offset is a file's number, from 0.

    Files of a folder come by path, those of a zip in its order. Raises InputError for a zip that cannot be opened.
    """
    most = max(limits.body_bytes, _DOCUMENT_BYTES)
    wanted = offsets if offsets is None or isinstance(offsets, range) else set(offsets)
    last = offsets[-1] if offsets else None  # no file behind it is looked at
    left = limits.unpacked_bytes
    try:
        for place, file in enumerate(islice(_files_in(path), None if last is None else last + 1)):
            if wanted is not None and place not in wanted:
                continue
            record = _record(path, place, file, min(most, left))
            left -= len(record.body)
            yield record
    except zipfile.BadZipFile as error:
        raise InputError(f"cannot read {path}: {error}") from None


def parts_of_documents(path: Path, part_bytes: int) -> list[range]:
    """Cut a folder or zip of documents into parts of about `part_bytes` each: ranges of offsets, together all of it."""
    try:
        sizes = [file.size for file in _files_in(path)]
    except UNPACKING_ERRORS:
        return []
    return cut(sizes, -(-sum(sizes) // part_bytes))


def _record(path: Path, place: int, file: _File, most: int) -> Record:
    body, problem = b"", file.problem or ("too_large" if file.size > most else None)
    if problem is None:
        try:
            body = file.read(most + 1)
        except UNPACKING_ERRORS:
            problem = "broken"
        if len(body) > most:
            body, problem = b"", "too_large"
    address = (
        quote(file.name, errors="replace")
        if file.name == path.name
        else quote(f"{path.name}/{file.name}", errors="replace")
    )
    return Record(
        id=f"<urn:sha1:{hashlib.sha1(f'{address}:{hashlib.sha1(body).hexdigest()}'.encode()).hexdigest()}>",
        url=address,
        date=None,
        offset=place,
        kind=_DOCUMENT_KIND,
        status=None,
        content_type=_form_of(file.name, body[:_HEAD_BYTES], body),
        header_charset=None,
        body=body,
        problem=problem,
    )


def _form_of(name: str, head: bytes, directory: bytes) -> str | None:
    if form := form_of(head, directory):
        return form
    lower = name.lower()
    if _HTML.match(head) or (lower.endswith(_PAGES) and b"<" in head):
        return "text/html"
    return "text/plain" if lower.endswith(".txt") else None


def _is_document(file: _File) -> bool:
    """Whether a file is a document, by its first bytes, and a zip by its directory unless its name tells."""
    if file.problem:
        return False
    try:
        head = file.read(_HEAD_BYTES)
        if not head.startswith(b"PK\x03\x04"):
            return _form_of(file.name, head, head) is not None
        whole = b"" if file.name.lower().endswith(_ZIPPED) else file.read(_DOCUMENT_BYTES)
    except UNPACKING_ERRORS:
        return False
    return not whole or _form_of(file.name, head, whole) is not None


def _files_in(path: Path) -> Iterator[_File]:
    """The files of a source, in order."""
    if path.is_dir():
        for folder, folders, names in os.walk(path):
            folders.sort()
            for name in sorted(names):
                place = Path(folder) / name
                yield _file_of(place, place.relative_to(path).as_posix())
        return
    with path.open("rb") as file:
        head = file.read(_HEAD_BYTES)
        file.seek(max(0, path.stat().st_size - _TAIL_BYTES))
        single = _form_of(path.name, head, file.read())
    if single:
        yield _file_of(path, path.name)
        return
    with zipfile.ZipFile(path) as archive:
        for member in archive.infolist():
            if not member.is_dir():
                link = stat.S_ISLNK(member.external_attr >> 16)
                problem = "link" if link else "encrypted" if member.flag_bits & 1 else None
                yield _File(member.filename, member.file_size, _reader_of(archive, member), problem)


def _reader_of(archive: zipfile.ZipFile, member: zipfile.ZipInfo) -> Callable[[int], bytes]:
    def read(most: int) -> bytes:
        with archive.open(member) as file:
            return file.read(most)

    return read


def _file_of(path: Path, name: str) -> _File:
    """A file on disk, opened in a way that a link or pipe in its place does no harm."""
    found = path.lstat()
    regular = stat.S_ISREG(found.st_mode)

    def read(most: int) -> bytes:
        with os.fdopen(os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK), "rb") as file:
            return file.read(most)

    problem = None if regular else "link" if stat.S_ISLNK(found.st_mode) else "special"
    return _File(name, found.st_size, read, problem)
