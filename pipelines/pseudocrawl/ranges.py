"""Byte ranges of files in a folder, in an object store or on a web server.

A web server is asked politely: at a limited rate, with a name in the User-Agent, and with longer waits for all threads
when it says that it is busy. An answer counts only as a part (206) of exactly the range that was asked for, in its
whole length. The body of an error is never read.
"""

import time
from collections.abc import Callable
from dataclasses import dataclass
from functools import lru_cache
from importlib import import_module
from importlib.metadata import version
from types import ModuleType
from typing import TYPE_CHECKING, TypeVar
from urllib.parse import urlsplit

from roots import storage
from roots.errors import InputError, MissingRange, SettingsError, ShardError
from roots.retry import BusyError, Pace, Patience, patiently
from roots.storage import Ranged, open_ranged

if TYPE_CHECKING:
    from urllib3 import HTTPResponse

T = TypeVar("T")

CONNECTIONS = 8  # kept open to one server at most
LIST_BYTES = 64 << 20  # the longest file that is read whole, such as a list of paths
_AGAIN = frozenset({408, 425, 429, 500, 502, 503, 504})  # the same request may succeed later
_BUSY = frozenset({429, 503})  # of these: a wait is for all threads
_MISSING = frozenset({404, 410, 416})  # there is no such file, or no such range in it
_STEP_BYTES = 1 << 18
_FILES_OPEN = 256


@dataclass(frozen=True)
class Manners:
    """How a server is asked."""

    requests_per_second: float = 10.0  # of all threads of this process together
    attempts: int = 8  # at one range
    backoff_seconds: float = 1.0  # before the second attempt; doubled each time, and cut by lot to half or more of it
    most_seconds: float = 120.0  # the longest wait before an attempt, whatever the server asks for
    timeout_seconds: float = 60.0  # without a byte; a whole range may take ten times as long
    contact: str = ""  # an address or a page where the server's operators can reach you; part of the User-Agent

    def __post_init__(self) -> None:
        if self.requests_per_second <= 0 or self.timeout_seconds <= 0 or self.attempts < 1:
            raise ValueError("requests_per_second and timeout_seconds must be above 0, attempts at least 1")
        if min(self.backoff_seconds, self.most_seconds) < 0 or not self.contact.isprintable():
            raise ValueError("backoff_seconds and most_seconds must not be below 0, contact must be one line")

    @property
    def user_agent(self) -> str:
        """The User-Agent header."""
        return f"roots-corpus/{version('roots-corpus')}" + (f" ({self.contact})" if self.contact else "")

    @property
    def patience(self) -> Patience:
        """How often a range is asked for."""
        return Patience(self.attempts, self.backoff_seconds, self.most_seconds)


class PathRanges:
    """Files of a folder or of an object store, below a root. Several threads may use it.

    How often a store is asked again is up to roots.retry.
    """

    def __init__(self, root: str) -> None:
        self._root = root.rstrip("/") + "/" if root else ""
        self._open = lru_cache(_FILES_OPEN)(lambda name: open_ranged(storage.path_of(self._root + name)))

    def read(self, name: str, start: int, length: int) -> bytes:
        """Exactly `length` bytes from `start` on. Raises MissingRange, or ShardError if they cannot be had now."""
        try:
            file = self._open(name)
            data = file.range(start, start + length) if start + length <= file.size else b""
        except FileNotFoundError:
            raise MissingRange(f"no file {self._root}{name}") from None
        except InputError as error:  # access is refused; what was fetched before is kept
            raise ShardError(str(error)) from None
        except OSError as error:
            raise ShardError(f"cannot read {self._root}{name}: {error.strerror or error}") from None
        if len(data) < length:
            raise MissingRange(f"{self._root}{name} ends before byte {start + length}")
        return data

    def size(self, name: str) -> tuple[int, str]:
        """Bytes of a file at a URL, and its ETag or what the store has in its place. Raises InputError."""
        mark = storage.identity(storage.path_of(self._root + name))
        return self._open(name).size, mark


class ServerRanges:
    """Files of a web server, below a root. Several threads may use it."""

    def __init__(self, root: str, manners: Manners, connections: int) -> None:
        self._root = root.rstrip("/") + "/" if root else ""
        self._manners = manners
        self._pace = Pace(manners.requests_per_second)
        self._http = _urllib3()
        self._pool = self._http.PoolManager(
            num_pools=4,
            maxsize=connections,
            headers={"User-Agent": manners.user_agent, "Accept-Encoding": "identity"},
            timeout=self._http.Timeout(connect=manners.timeout_seconds, read=manners.timeout_seconds),
            retries=self._http.Retry(total=None, connect=0, read=0, status=0, other=0, redirect=3),
        )

    def read(self, name: str, start: int, length: int) -> bytes:
        """Exactly `length` bytes from `start` on. Raises MissingRange, or ShardError if they cannot be had now."""
        return self._ask(name, lambda url: self._part(url, start, length))

    def size(self, name: str) -> tuple[int, str]:
        """Bytes of a file, and its ETag or date. Raises InputError."""
        return self._ask(name, self._head)

    def _ask(self, name: str, request: Callable[[str], T]) -> T:
        url = self._root + name

        def call() -> T:
            try:
                return request(url)
            except self._http.exceptions.HTTPError as error:
                raise OSError(type(error).__name__) from None  # its text holds the whole URL

        return patiently(_shown(url), call, self._manners.patience, self._pace)

    def _open(self, method: str, url: str, headers: dict[str, str]) -> "HTTPResponse":
        """Send a request and check the status, before any byte of the body is read."""
        every = self._pool.headers | headers
        response: HTTPResponse = self._pool.request(method, url, headers=every, preload_content=False)
        if response.status in (200, 206):
            return response
        response.close()
        said = f"the server answered {response.status}"
        if response.status in _BUSY:
            raise BusyError(said, self._http.Retry().get_retry_after(response) or 0.0)
        if response.status in _AGAIN:
            raise OSError(said)
        if response.status in _MISSING:
            raise MissingRange(f"{_shown(url)}: {said}")
        raise ShardError(f"{_shown(url)}: {said}: is this the right place?")

    def _part(self, url: str, start: int, length: int) -> bytes:
        end = start + length - 1
        response = self._open("GET", url, {"Range": f"bytes={start}-{end}"})
        try:
            if response.status != 206:
                raise ShardError(f"{_shown(url)}: the server gives no ranges, only whole files")
            sent = response.headers.get("Content-Range", "").partition("/")[0].strip().lower()
            if sent != f"bytes {start}-{end}":
                if sent.startswith(f"bytes {start}-"):
                    raise MissingRange(f"{_shown(url)} ends before byte {end + 1}")
                raise OSError("the server sent another range than it was asked for")
            return self._body(response, length)
        finally:
            response.close() if response.length_remaining else response.release_conn()

    def _head(self, url: str) -> tuple[int, str]:
        response = self._open("HEAD", url, {})
        response.release_conn()
        length = response.headers.get("Content-Length", "")
        if not length.isdigit():
            raise InputError(f"{_shown(url)}: the server does not say how long the file is")
        return int(length), response.headers.get("ETag") or response.headers.get("Last-Modified") or ""

    def _body(self, response: "HTTPResponse", length: int) -> bytes:
        """Exactly `length` bytes. A server that stops short, drips or never ends has failed."""
        limit = time.monotonic() + 10 * self._manners.timeout_seconds
        parts: list[bytes] = []
        left = length
        while left > 0:
            part = response.read1(min(left, _STEP_BYTES))
            if not part:
                raise OSError("the answer stopped short")
            if time.monotonic() > limit:
                raise OSError("the answer came too slowly")
            parts.append(part)
            left -= len(part)
        return b"".join(parts)


Ranges = PathRanges | ServerRanges


def _urllib3() -> ModuleType:
    try:
        return import_module("urllib3")
    except ImportError:
        raise SettingsError("reading from a server needs urllib3: pip install 'roots-corpus[pseudocrawl]'") from None


def _shown(url: str) -> str:
    """A URL without what may be secret in it: user, password and query."""
    parts = urlsplit(url)
    return f"{parts.scheme}://{parts.hostname}{f':{parts.port}' if parts.port else ''}{parts.path}"


def is_http(place: str) -> bool:
    """Whether a place is on a web server."""
    return place.startswith(("http://", "https://"))


# One client of a server for the whole process, so that all threads share its pace.
_open_server = lru_cache(16)(ServerRanges)


def open_ranges(root: str, manners: Manners, connections: int = CONNECTIONS) -> Ranges:
    """The files below a root, which is a folder or a URL.

    Raises SettingsError for a URL that nothing installed can read.
    """
    return _open_server(root, manners, connections) if is_http(root) else PathRanges(root)


def open_url(url: str, manners: Manners) -> Ranges:
    """The reader for which the whole URL is the name of the file."""
    return _open_server("", manners, CONNECTIONS) if is_http(url) else PathRanges("")


def read_all(ranges: Ranges, name: str) -> bytes:
    """A whole small file at a URL. Raises InputError if it is not there or larger than LIST_BYTES."""
    size = ranges.size(name)[0]
    if size > LIST_BYTES:
        raise InputError(f"{_shown(name)} is larger than {LIST_BYTES >> 20} MiB")
    return ranges.read(name, 0, size) if size else b""


class RangedFile(Ranged):
    """A file that Parquet can be read from."""

    def __init__(self, ranges: Ranges, name: str, size: int) -> None:
        self._ranges = ranges
        self._name = name
        self.size = size

    def range(self, start: int, end: int) -> bytes:
        """The bytes from `start` up to `end`."""
        return self._ranges.read(self._name, start, end - start)
