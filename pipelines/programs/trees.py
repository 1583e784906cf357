"""Source trees as input: a folder, a Git checkout, or an archive of one (.zip, .tar, .tar.gz, .tar.bz2, .tar.xz).

Files come one by one, in an order that only the tree decides, and are read in memory within bounds. Nothing is unpacked
to disk and no link is followed, so a hostile tree can neither write nor read other files. A file that cannot be read
still comes, with a problem. An archive is recognised by its first bytes, not by its name.

Git is never run, because the settings of a foreign checkout may name programs. Its address is read from its files.
"""

import bz2
import gzip
import io
import lzma
import os
import re
import stat
import tarfile
import zipfile
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any, cast
from urllib.parse import quote, urlsplit

from pipelines.archives.limits import UNPACKING_ERRORS, Limits
from pipelines.archives.other_forms import DIRECTORY_BYTES, zip_directory
from pipelines.job.work import holds_source
from roots.errors import InputError

_SKIPPED = frozenset({".git", ".hg", ".svn", ".bzr"})  # folders of version control
_RATIO = 200  # times its size to which an archive may unpack; programs packed by xz reach 20
_FREE_BYTES = 64 << 20  # to which every archive may unpack
_HEADER_BYTES = 16 << 10  # of an extended tar header: the standard library is slow on long ones
_BLOCK_BYTES = 512  # of a tar
_STEP_BYTES = 1 << 20  # of a stream that are skipped at once
_BROKEN = (tarfile.TarError, *UNPACKING_ERRORS)
_PACKED: dict[bytes, Callable[[IO[bytes]], Any]] = {
    b"\x1f\x8b": lambda file: gzip.GzipFile(fileobj=file),
    b"BZh": bz2.BZ2File,
    b"\xfd7zXZ": lzma.LZMAFile,
}


@dataclass(frozen=True, slots=True)
class SourceFile:
    """One file of a tree.

    `problem` is None, or one of: "link", "special" (a device, a pipe, a sparse file), "bad_path" (absolute, or leading
    out of the tree), "too_large", "truncated", "broken", "encrypted", "unreadable".
    """

    path: str  # within the tree, with slashes
    place: int  # number of the file in the tree, from 0
    data: bytes
    size: int  # bytes, as the tree states them
    problem: str | None


def is_source_tree(path: Path) -> bool:
    """Whether an input is a source tree: a folder without archives of pages, a tar, or a zip other than WACZ.

    Raises InputError for a file that is not there.
    """
    if path.is_dir():
        return holds_source(path)
    try:
        with path.open("rb") as file:
            head = _unpacked(file).read(_BLOCK_BYTES)
        if head.startswith(b"PK") and zipfile.is_zipfile(path):
            return b"datapackage.json" not in zip_directory(path)  # every WACZ has it
    except FileNotFoundError:
        raise InputError(f"no file {path}") from None
    except _BROKEN:
        return False  # the reader of web archives names the fault
    return _is_tar(head)


def _is_zip(path: Path) -> bool:
    with path.open("rb") as file:
        return file.read(2) == b"PK"


def _is_tar(head: bytes) -> bool:
    try:
        tarfile.TarInfo.frombuf(head, "utf-8", "surrogateescape")
    except tarfile.HeaderError:
        return False
    return True


def read_tree(path: Path, limits: Limits) -> Iterator[SourceFile]:
    """Read every file of a tree, in order. Raises InputError for a zip whose directory is too large."""
    reader = _read_folder if path.is_dir() else _read_zip if _is_zip(path) else _read_tar
    for place, (name, data, size, problem) in enumerate(reader(path, limits)):
        clean = clean_path(name)
        yield SourceFile(
            clean or name.encode("utf-8", "replace").decode(),
            place,
            b"" if clean is None else data,
            size,
            problem or ("bad_path" if clean is None else None),
        )


_Entry = tuple[str, bytes, int, str | None]  # name, data, size, problem


def clean_path(name: str) -> str | None:
    """A path within a tree; None for one that leads out of the tree or names a drive."""
    parts = [part for part in name.encode("utf-8", "replace").decode().split("/") if part not in ("", ".")]
    if (
        not parts
        or name.startswith("/")
        or ".." in parts
        or "\0" in name
        or "\\" in name
        or re.match("[A-Za-z]:", name)
    ):
        return None
    return "/".join(parts)


def _read_folder(root: Path, limits: Limits) -> Iterator[_Entry]:
    """Files of a folder: its files by name, then its folders. No link is followed."""
    waiting = [root]
    while waiting:
        folder = waiting.pop()
        within = "" if folder == root else folder.relative_to(root).as_posix() + "/"
        try:
            with os.scandir(folder) as found:
                entries = sorted(found, key=lambda entry: entry.name)
        except OSError:
            yield within.rstrip("/") or ".", b"", 0, "unreadable"
            continue
        for entry in entries:
            if not entry.is_dir(follow_symlinks=False):
                yield _read_file(Path(entry.path), within + entry.name, limits)
        waiting += [
            folder / entry.name
            for entry in reversed(entries)
            if entry.is_dir(follow_symlinks=False) and entry.name not in _SKIPPED
        ]


def _read_file(path: Path, name: str, limits: Limits) -> _Entry:
    """One file of a folder, opened in a way that a link or pipe in its place does no harm."""
    try:
        found = os.lstat(path)
        if not stat.S_ISREG(found.st_mode):
            return name, b"", 0, "link" if stat.S_ISLNK(found.st_mode) else "special"
        if found.st_size > limits.body_bytes:
            return name, b"", found.st_size, "too_large"
        with os.fdopen(os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK), "rb") as file:
            if not stat.S_ISREG(os.fstat(file.fileno()).st_mode):
                return name, b"", 0, "special"
            return name, file.read(limits.body_bytes), found.st_size, None
    except OSError:
        return name, b"", 0, "unreadable"


def _read_zip(path: Path, limits: Limits) -> Iterator[_Entry]:
    """Files of a zip in the order of its directory, until the bound on unpacked bytes."""
    if len(zip_directory(path)) > DIRECTORY_BYTES:
        raise InputError(
            f"{path} has a directory of more than {DIRECTORY_BYTES >> 20} MB: unpack it and name the folder"
        )
    left = _allowance(path, limits)
    try:
        with zipfile.ZipFile(path) as archive:
            for member in archive.infolist():
                if member.is_dir() or _is_skipped(member.filename):
                    continue
                data, problem = _read_member(archive, member, limits)
                left -= len(data)
                yield member.filename, data, member.file_size, problem
                if left < 0:
                    yield path.name, b"", 0, "too_large"
                    return
    except _BROKEN:
        yield path.name, b"", 0, "broken"


def _read_member(archive: zipfile.ZipFile, member: zipfile.ZipInfo, limits: Limits) -> tuple[bytes, str | None]:
    mode = member.external_attr >> 16
    if stat.S_ISLNK(mode):
        return b"", "link"
    if member.flag_bits & 1:
        return b"", "encrypted"
    if member.file_size > limits.body_bytes:
        return b"", "too_large"
    try:
        with archive.open(member) as file:
            return file.read(limits.body_bytes), None
    except _BROKEN:
        return b"", "broken"


def _read_tar(path: Path, limits: Limits) -> Iterator[_Entry]:
    """Files of a tar, packed or not, in order, until the bound on unpacked bytes."""
    with path.open("rb") as packed:
        stream = _Forward(_unpacked(packed), _allowance(path, limits))
        try:
            with tarfile.TarFile(fileobj=cast(IO[bytes], stream), mode="r", errorlevel=0) as archive:
                while (member := archive.next()) is not None:
                    vars(archive)["members"] = []  # else the library keeps all members in memory
                    if not member.isdir() and not _is_skipped(member.name):
                        yield _read_tar_member(archive, member, stream, limits)
        except _BROKEN:
            yield path.name, b"", 0, "too_large" if stream.is_spent else "broken"


def _read_tar_member(archive: tarfile.TarFile, member: tarfile.TarInfo, stream: "_Forward", limits: Limits) -> _Entry:
    if member.issym() or member.islnk():
        return member.name, b"", 0, "link"
    if not member.isreg() or member.issparse():
        return member.name, b"", member.size, "special"
    if member.size > limits.body_bytes:
        return member.name, b"", member.size, "too_large"
    file = archive.extractfile(member)
    with stream.allowing(member.size):
        data = file.read() if file else b""
    return member.name, data, member.size, None if len(data) == member.size else "truncated"


def _is_skipped(name: str) -> bool:
    return any(part in _SKIPPED for part in name.split("/")[:-1])


def _allowance(path: Path, limits: Limits) -> int:
    return min(limits.unpacked_bytes, max(_FREE_BYTES, _RATIO * path.stat().st_size))


def _unpacked(file: IO[bytes]) -> IO[bytes]:
    """The unpacked content of a file that is packed as one stream; else the file itself."""
    head = file.read(6)
    file.seek(0)
    return next((cast(IO[bytes], unpack(file)) for start, unpack in _PACKED.items() if head.startswith(start)), file)


class _Forward(io.RawIOBase):
    """A stream that reads forward only, except for one byte, and raises OSError at the end of its allowance.

    The reader of tar goes back one byte to see whether a member ended; a packed stream would start over for that.
    """

    def __init__(self, stream: IO[bytes], allowance: int) -> None:
        self._stream = stream
        self._left = allowance
        self._at = 0
        self._last = b""
        self._again = b""
        self._longest = _HEADER_BYTES
        self.is_spent = False

    def allowing(self, size: int) -> "_Allowing":
        """A context in which `size` bytes may be read at once."""
        return _Allowing(self, size)

    def tell(self) -> int:
        return self._at

    def seekable(self) -> bool:
        return True

    def seek(self, to: int, whence: int = os.SEEK_SET) -> int:
        if whence != os.SEEK_SET or to < self._at - len(self._last) or (to < self._at and self._again):
            raise OSError("a packed stream is read forward")
        if to < self._at:
            self._at, self._again = to, self._last
        while self._at < to and self._take(min(_STEP_BYTES, to - self._at)):
            pass
        return self._at

    def read(self, size: int = -1) -> bytes:
        if not 0 <= size <= self._longest:
            raise OSError(f"{size} bytes at once: a header is too long")
        parts = []
        while size > 0 and (part := self._take(size)):
            parts.append(part)
            size -= len(part)
        return b"".join(parts)

    def _take(self, size: int) -> bytes:
        if self._again:
            part, self._again = self._again, b""
        else:
            part = self._stream.read(size)
            self._left -= len(part)
            self._last = part[-1:] or self._last
        self._at += len(part)
        if self._left < 0:
            self.is_spent = True
            raise OSError("the archive unpacks to more than is allowed")
        return part


class _Allowing:
    """See `_Forward.allowing`."""

    def __init__(self, stream: _Forward, size: int) -> None:
        self._stream = stream
        self._size = max(size, _HEADER_BYTES)

    def __enter__(self) -> None:
        self._stream._longest = self._size

    def __exit__(self, *error: object) -> None:
        self._stream._longest = _HEADER_BYTES


def origin(root: Path) -> str | None:
    """The address of the files of a Git checkout, with its commit: "https://host/owner/name/blob/1f2e..".

    None for a folder that is no checkout, has no commit or has no remote host. User names and passwords are left out.
    """
    folder = root / ".git"
    if not root.is_dir() or not folder.is_dir() or folder.is_symlink():
        return None
    remote = re.search(r'^\[remote "origin"\][^\[]*?^\s*url\s*=\s*(\S+)', _small(folder / "config"), re.MULTILINE)
    commit = _commit(folder)
    if not remote or not commit:
        return None
    address = re.sub(r"^(?:\w[\w.-]*@)?([\w.-]+):(?!//)", r"ssh://\1/", remote[1])  # git@host:owner/name.git
    try:
        found = urlsplit(address)
        port = f":{found.port}" if found.port and found.scheme != "ssh" else ""
    except ValueError:
        return None
    if found.scheme not in ("http", "https", "ssh", "git") or not found.hostname:
        return None
    return f"https://{found.hostname}{port}{found.path.removesuffix('/').removesuffix('.git')}/blob/{commit}"


def _commit(folder: Path) -> str | None:
    head = _small(folder / "HEAD").strip()
    if head.startswith("ref: ") and clean_path(head[5:]):
        name = head[5:]
        packed = re.search(rf"^([0-9a-f]{{40,64}}) {re.escape(name)}$", _small(folder / "packed-refs"), re.MULTILINE)
        head = _small(folder / name).strip() or (packed[1] if packed else "")
    return head if re.fullmatch("[0-9a-f]{40}|[0-9a-f]{64}", head) else None


def _small(path: Path) -> str:
    """The text of a small file; "" if it cannot be read."""
    _, data, _, problem = _read_file(path, path.name, Limits(body_bytes=_STEP_BYTES))
    return "" if problem else data.decode("utf-8", "replace")


def url_of(tree: str, address: str | None, path: str) -> str:
    """The address of a file of a tree: that of its checkout, else the tree's name and the path."""
    return f"{address or quote(tree)}/{quote(path)}"
