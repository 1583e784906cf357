"""Files in folders of this machine, or at URLs (s3://, gs://, hf://; http(s):// to read) through fsspec.

A URL becomes a universal_pathlib.UPath, which has the methods of a Path, so that other modules use paths and need not
know the difference. fsspec and its libraries are extras; they are imported when a URL is named.

In an object store an object appears whole or not at all, without a rename. So a file is made on this machine and sent
in one piece. Files are read in ranges. Both are tried again if a server is overloaded or a connection breaks. An
answer counts only if it has the length that was asked for, so that the body of an error is never taken for data.

Credentials come only from the environment, where each store's library looks for them. A URL that holds any is refused,
since URLs are written to logs and manifests.
"""

import hashlib
import io
import os
import re
from abc import abstractmethod
from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from pathlib import Path, PurePath
from typing import IO, TYPE_CHECKING, Any, TypeVar, cast
from urllib.parse import urlsplit

from roots.errors import InputError, SettingsError, ShardError
from roots.retry import patiently

if TYPE_CHECKING:
    from _typeshed import WriteableBuffer

T = TypeVar("T")

_BUFFER_BYTES = 1 << 20  # of one request when a file is read in small pieces
_BLOCK_BYTES = 16 << 20  # of one request when a file is fetched whole
_REQUESTS_AT_ONCE = 32
_READ_ONLY = ("http", "https")
# Names under which stores give a value that changes with an object's contents, the most reliable first.
_MARKS = (
    "ETag", "etag", "md5Hash", "blob_id", "Content-MD5", "Digest",
    "LastModified", "Last-Modified", "last_modified", "mtime",
)  # fmt: skip


def is_url(text: str) -> bool:
    """Whether a text is a URL and not a path."""
    return "://" in text


def path_of(text: str) -> Path:
    """The path, or the URL as a path, that the user named.

    Raises SettingsError for a URL that holds credentials, or that no installed library can read.
    """
    if not is_url(text):
        return Path(text)
    parts = urlsplit(text)
    if parts.scheme == "file":
        return Path(parts.path)
    if "@" in parts.netloc and parts.scheme != "hf":
        raise SettingsError(f"{parts.scheme}://...@{parts.hostname}: no credentials in a URL, only in the environment")
    if parts.scheme in _READ_ONLY and parts.query:
        raise SettingsError(
            f"{parts.scheme}://{parts.netloc}{parts.path}?...: what follows the ? may be a secret, and URLs are "
            "written to manifests. Name the file without it"
        )
    try:
        import fsspec
        from upath import UPath

        if fsspec.get_filesystem_class(parts.scheme).__module__.startswith("s3fs"):
            from s3fs.core import set_custom_error_handler

            set_custom_error_handler(_is_overloaded)
    except (ImportError, ValueError) as error:
        raise SettingsError(f"{text}: {error}. pip install 'roots-corpus[cloud]', for gs:// [cloud,gs]") from None
    return cast(Path, UPath(text, use_listings_cache=False))  # others write there too, so listings go stale


def _is_overloaded(error: Exception) -> bool:
    """Whether s3fs should ask again. It looks for the text SlowDown, which the answer to a HEAD does not have."""
    said = getattr(error, "response", None) or {}
    return said.get("ResponseMetadata", {}).get("HTTPStatusCode") in (429, 500, 502, 503, 504)


def is_remote(path: Path) -> bool:
    """Whether a path is a URL."""
    return not isinstance(path, PurePath)


def find_files(pattern: str) -> list[Path]:
    """The files that a URL, with or without wildcards, names; unordered, and empty if there are none.

    Wildcards mean what they mean on disk: ** stands for folders only if it stands alone between slashes. Folders do not
    count, nor the empty objects that stand for one. A file is found by a name with brackets as it stands. Raises
    InputError for a URL that names nothing its store could have.
    """
    try:
        return _find_files(pattern)
    except ValueError as error:  # of a store's library, for what is no name there
        raise InputError(f"{pattern}: {error}") from None


def _find_files(pattern: str) -> list[Path]:
    path: Any = path_of(pattern)
    scheme = pattern.partition("://")[0]
    wild = scheme not in _READ_ONLY and any(mark in pattern for mark in "*?[")
    if not wild or not ("*" in pattern or "?" in pattern):
        if _kind(path) == "file":
            return [path]
        if not wild:
            return []
    parts = (part if part == "**" else re.sub(r"\*\*+", "*", part) for part in path.path.split("/"))
    wanted = "/".join(parts)
    try:
        found = patiently(pattern, lambda: path.fs.glob(wanted, detail=True))
    except FileNotFoundError:  # the Hub's, for a folder that is not there
        return []
    files = (name for name, info in found.items() if info["type"] == "file" and not name.endswith("/"))
    return [path_of(f"{scheme}://{name}") for name in files]


def with_commit(url: str) -> str | None:
    """The URL of a repository of the Hub with the commit that its revision stands for now; None if there is none."""
    path: Any = path_of(url)
    kind, _, name = url.removeprefix("hf://").partition("/")
    name, _, revision = name.partition("@")

    def ask() -> str:
        from huggingface_hub import HfApi
        from huggingface_hub.errors import GatedRepoError, RepositoryNotFoundError, RevisionNotFoundError

        api = HfApi(endpoint=path.fs.endpoint, token=path.fs.token)
        try:
            return str(api.repo_info(name, revision=revision or None, repo_type=kind.removesuffix("s")).sha)
        except (RepositoryNotFoundError, RevisionNotFoundError) as error:
            if isinstance(error, GatedRepoError):
                raise
            raise FileNotFoundError(url) from None

    try:
        return f"hf://{kind}/{name}@{patiently(url, ask)}"
    except FileNotFoundError:
        return None
    except ValueError as error:
        raise InputError(f"{url}: {error}") from None


def files_in(folder: Path, pattern: str) -> list[Path]:
    """The files of a folder whose names match a pattern, sorted; empty if there is no such folder."""
    found = find_files(f"{folder}/{pattern}") if is_remote(folder) else folder.glob(pattern)
    return sorted(found, key=str)


def names_in(folder: Path) -> list[str]:
    """Names of the files and folders in a folder, sorted; empty if there is no such folder."""
    there: Any = folder
    try:
        if not is_remote(folder):
            return sorted(path.name for path in folder.iterdir())
        found = patiently(str(folder), lambda: there.fs.ls(there.path, detail=False))
    except (FileNotFoundError, NotADirectoryError):
        return []
    own = there.path.strip("/")  # some stores list the folder itself
    return sorted({name.strip("/").rpartition("/")[2] for name in found if name.strip("/") != own})


def is_file(path: Path) -> bool:
    """Whether there is a file. Raises ShardError if a server does not answer, where fsspec would say no."""
    return path.is_file() if not is_remote(path) else _kind(path) == "file"


def is_folder(path: Path) -> bool:
    """Whether there is a folder; at a URL, whether there is anything below it."""
    return path.is_dir() if not is_remote(path) else _kind(path) == "directory"


def _kind(path: Path) -> str:
    there: Any = path
    try:
        return str(patiently(str(path), lambda: there.fs.info(there.path))["type"])
    except FileNotFoundError:
        return ""


def make_folder(path: Path) -> None:
    """Make a folder and its parents; a URL needs none.

    Raises InputError for a folder that cannot be made, SettingsError for a URL that cannot be written to.
    """
    if not is_remote(path):
        try:
            path.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise InputError(f"cannot make the folder {path}: {error.strerror}") from None
    elif cast(Any, path).protocol in _READ_ONLY:
        raise SettingsError(f"{path}: nothing can be written there. Name a folder, or a URL of an object store")


def open_binary(path: Path) -> IO[bytes]:
    """Open a file to read. Raises FileNotFoundError, or ShardError if a server does not answer."""
    if not is_remote(path):
        return path.open("rb")
    file = _RangedUrl(path)
    small = file.size <= _BUFFER_BYTES  # one request is enough
    return io.BytesIO(file.range(0, file.size)) if small else io.BufferedReader(file, _BUFFER_BYTES)


def read_text(path: Path) -> str:
    """The text of a small file. Raises FileNotFoundError."""
    if not is_remote(path):
        return path.read_text(encoding="utf-8")
    with open_binary(path) as file:
        return file.read().decode("utf-8")


def send(local: Path, path: Path) -> None:
    """Copy a finished file of this machine to a URL, whole or not at all. Raises ShardError."""
    there: Any = path
    size = local.stat().st_size

    def put() -> None:
        there.fs.put_file(str(local), there.path)
        if (arrived := there.fs.info(there.path)["size"]) != size:
            raise OSError(f"{arrived} of {size} bytes arrived")

    patiently(str(path), put)


def remove(path: Path) -> None:
    """Remove a file if it is there."""
    there: Any = path
    if not is_remote(path):
        path.unlink(missing_ok=True)
    elif is_file(path):
        with suppress(FileNotFoundError):  # an earlier attempt removed it, and its answer was lost
            patiently(str(path), lambda: there.fs.rm_file(there.path))


def move(source: Path, target: Path) -> None:
    """Rename a finished file; from this machine to a URL it is sent, and stays here. Raises ShardError."""
    there: Any = target
    if not is_remote(target):
        source.replace(target)
    elif not is_remote(source):
        send(source, target)
    else:
        patiently(str(target), lambda: there.fs.cp_file(cast(Any, source).path, there.path))
        remove(source)


def identity(path: Path) -> str:
    """A text that changes with the contents of a file at a URL, from what the store says without reading the file.

    It is the ETag or a similar mark, and the size. If the store gives no mark, the file is read and its sha256 taken.
    Raises InputError if there is no file.
    """
    there: Any = path
    try:
        info = patiently(str(path), lambda: there.fs.info(there.path))
    except FileNotFoundError:
        raise InputError(f"no file {path}") from None
    for name in _MARKS:
        if info.get(name):
            return f"{name}:{str(info[name]).strip(chr(34))}:{info['size']}"
    held = hashlib.sha256()
    with open_binary(path) as file:
        while block := file.read(_BLOCK_BYTES):
            held.update(block)
    return held.hexdigest()


def fetch(path: Path, local: Path, ranges: Iterable[tuple[int, int]] | None = None) -> None:
    """Copy a file at a URL to this machine: all of it, or some ranges (from, up to), with holes between them.

    Raises InputError if there is no file, and ShardError if it changes meanwhile.
    """
    try:
        source = _RangedUrl(path)
    except FileNotFoundError:
        raise InputError(f"no file {path}") from None
    wanted = [(0, source.size)] if ranges is None else ranges
    with local.open("r+b" if local.exists() else "w+b") as file:
        file.truncate(source.size)
        for low, high in wanted:
            for start in range(low, min(high, source.size), _BLOCK_BYTES):
                file.seek(start)
                file.write(source.range(start, min(start + _BLOCK_BYTES, high, source.size)))
    if _RangedUrl(path).stamp != source.stamp:
        raise ShardError(f"{path} was changed while it was read: run the same command again")


def at_once(call: Callable[[Path], T], paths: Sequence[Path]) -> list[T]:
    """Call `call` for each path and return the results in order; for URLs, many calls run at a time."""
    if not any(is_remote(path) for path in paths):
        return [call(path) for path in paths]
    with ThreadPoolExecutor(_REQUESTS_AT_ONCE) as pool:
        return list(pool.map(call, paths))


def size_of(path: Path) -> int:
    """Bytes of a file. Raises FileNotFoundError."""
    return _RangedUrl(path).size if is_remote(path) else path.stat().st_size


class Ranged(io.RawIOBase):
    """Base of files that are read by ranges: gives Parquet and others the usual methods, based on `range`."""

    size: int  # bytes
    _at = 0

    @abstractmethod
    def range(self, start: int, end: int) -> bytes:
        """All bytes from `start` up to `end`."""

    def readable(self) -> bool:
        """Yes."""
        return True

    def seekable(self) -> bool:
        """Yes."""
        return True

    def tell(self) -> int:
        """Position of the next byte."""
        return self._at

    def seek(self, offset: int, whence: int = os.SEEK_SET) -> int:
        """Set the position of the next byte."""
        self._at = max(0, offset + {os.SEEK_SET: 0, os.SEEK_CUR: self._at, os.SEEK_END: self.size}[whence])
        return self._at

    def read(self, size: int | None = -1) -> bytes:
        """The next `size` bytes, in one request; without a size, all that follow."""
        left = max(0, self.size - self._at)
        wanted = left if size is None or size < 0 else min(size, left)
        data = self.range(self._at, self._at + wanted) if wanted else b""
        self._at += len(data)
        return data

    def readinto(self, buffer: "WriteableBuffer") -> int:
        """Fill the buffer with the next bytes."""
        view = memoryview(buffer)
        data = self.read(len(view))
        view[: len(data)] = data
        return len(data)


def open_ranged(path: Path) -> Ranged:
    """Open a file whose ranges any number of threads may read. Raises FileNotFoundError."""
    return _RangedUrl(path) if is_remote(path) else _RangedPath(path)


class _RangedPath(Ranged):
    """A file of this machine."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self.size = path.stat().st_size

    def range(self, start: int, end: int) -> bytes:
        with self._path.open("rb") as file:
            file.seek(start)
            return file.read(end - start)


class _RangedUrl(Ranged):
    """A file at a URL. A range is asked for until it comes whole. Several threads may call `range`.

    Raises FileNotFoundError, or ShardError if a server does not answer.
    """

    def __init__(self, path: Path) -> None:
        self._path: Any = path
        info = patiently(str(path), lambda: self._path.fs.info(self._path.path))
        if info.get("size") is None:
            raise ShardError(f"{path}: the server does not say how long the file is. Fetch it, and name the local file")
        self.size = int(info["size"])
        # The Hub's file system has no request for a range. It opens a file, which would read 5 MB ahead.
        self._how: dict[str, str] = {"cache_type": "none"} if getattr(self._path, "protocol", "") == "hf" else {}
        self.stamp = (self.size, str(info.get("ETag", info.get("etag", ""))))

    def range(self, start: int, end: int) -> bytes:
        """The bytes from `start` up to `end`."""
        if end <= start:
            return b""

        def ask() -> bytes:
            data: bytes = self._path.fs.cat_file(self._path.path, start=start, end=end, **self._how)
            if len(data) == self.size != end - start:  # a server without ranges sends the whole file
                data = data[start:end]
            if len(data) != end - start:
                raise OSError(f"the server sent {len(data)} bytes instead of {end - start}")
            return data

        return patiently(str(self._path), ask)
