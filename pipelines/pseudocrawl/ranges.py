"""Ranges of bytes of files in a folder, on a server or in an object store: asked for politely, believed only where
they are as asked.

Polite: so many requests a second and no more, a name to complain to, and longer waits for everybody when the server
says it is busy. Believed: a part (206) of exactly the range that was asked for and of its whole length. A page that
says "SlowDown" is an answer with another status, and its bytes are never given on.
"""

import random
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import lru_cache
from importlib import import_module
from importlib.metadata import version
from pathlib import Path
from typing import Any, Protocol, TypeVar
from urllib.parse import urlsplit

from roots import storage
from roots.errors import InputError, MissingRange, SettingsError, ShardError
from roots.storage import Ranged, RangedUrl

T = TypeVar("T")

_BUSY = frozenset({408, 425, 429, 500, 502, 503, 504})  # asked again later
_MISSING = frozenset({404, 410, 416})  # there is no such file, or no such range in it
STEP = 1 << 18
CONNECTIONS = 8  # kept open to one server at most
_KEPT_OPEN = 256
LIST_BYTES = 64 << 20  # of a whole small file, such as a list of paths


@dataclass(frozen=True)
class Manners:
    """How a server is asked."""

    requests_per_second: float = 10.0  # of all threads of this process together
    attempts: int = 8  # of one range, before it is given up
    backoff_seconds: float = (
        1.0  # before the second attempt; doubled each time, and drawn by lot from half to all of it
    )
    most_seconds: float = 120.0  # longest wait before an attempt, whatever the server asks for
    timeout_seconds: float = 60.0  # without a byte; a whole range may take ten times that
    contact: str = ""  # an address or a page that the server's people can turn to; told in the User-Agent

    def __post_init__(self) -> None:
        if self.requests_per_second <= 0 or self.timeout_seconds <= 0 or self.attempts < 1:
            raise ValueError("requests_per_second and timeout_seconds must be above 0, attempts at least 1")
        if min(self.backoff_seconds, self.most_seconds) < 0 or not self.contact.isprintable():
            raise ValueError("backoff_seconds and most_seconds must not be below 0, contact must be one line")

    @property
    def user_agent(self) -> str:
        """What the server is told about us."""
        return f"roots-corpus/{version('roots-corpus')}" + (f" ({self.contact})" if self.contact else "")


class Ranges(Protocol):
    """Files below a root, read by range."""

    def read(self, name: str, start: int, length: int) -> bytes:
        """Exactly `length` bytes from `start` on. Raises MissingRange, or ShardError where it cannot be had now."""
        ...

    def size(self, name: str) -> tuple[int, str]:
        """Bytes of a file, and a mark that changes when its content does."""
        ...


@dataclass(frozen=True)
class FolderRanges:
    """Files of a folder."""

    root: Path

    def read(self, name: str, start: int, length: int) -> bytes:
        """Exactly `length` bytes from `start` on."""
        try:
            with (self.root / name).open("rb") as file:
                file.seek(start)
                data = file.read(length)
        except FileNotFoundError:
            raise MissingRange(f"no file {self.root / name}") from None
        except OSError as error:
            raise ShardError(f"cannot read {self.root / name}: {error.strerror or error}") from None
        if len(data) < length:
            raise MissingRange(f"{self.root / name} ends before byte {start + length}")
        return data

    def size(self, name: str) -> tuple[int, str]:
        """Bytes of a file, and when it was changed."""
        try:
            found = (self.root / name).stat()
        except OSError as error:
            raise InputError(f"cannot read {self.root / name}: {error.strerror or error}") from None
        return found.st_size, str(found.st_mtime_ns)


class StoreRanges:
    """Files of an object store, or of whatever else fsspec reads. May be used by several threads.

    How often a store is asked again, and how long it is waited for, is roots.storage's.
    """

    def __init__(self, root: str) -> None:
        self._root = root.rstrip("/") + "/" if root else ""
        self._open = lru_cache(_KEPT_OPEN)(self._ask)  # how long a file is, is asked once

    def read(self, name: str, start: int, length: int) -> bytes:
        """Exactly `length` bytes from `start` on."""
        try:
            file = self._open(name)
            if start + length > file.size:
                raise MissingRange(f"{self._root}{name} ends before byte {start + length}")
            return file.range(start, start + length)
        except FileNotFoundError:
            raise MissingRange(f"no file {self._root}{name}") from None
        except InputError as error:  # access is refused: what came before it is kept, as with a server
            raise ShardError(str(error)) from None

    def read_all(self, name: str) -> bytes:
        """A whole small file. Raises InputError where it is not there or larger than LIST_BYTES."""
        size = self.size(name)[0]
        if size > LIST_BYTES:
            raise InputError(f"{self._root}{name} is larger than {LIST_BYTES >> 20} MiB")
        return self.read(name, 0, size)

    def size(self, name: str) -> tuple[int, str]:
        """Bytes of a file, and its ETag or what the store says in its place."""
        mark = storage.identity(storage.path_of(self._root + name))
        return self._open(name).size, mark

    def _ask(self, name: str) -> RangedUrl:
        return RangedUrl(storage.path_of(self._root + name))


class _Again(Exception):  # noqa: N818 - it is a state: the same request may go well later
    """An attempt that failed in a way that may pass; `seconds` is how long the server asks us to wait."""

    def __init__(self, reason: str, seconds: float = 0.0, busy: bool = False) -> None:
        super().__init__(reason)
        self.seconds = seconds
        self.busy = busy


@dataclass
class _Turns:
    """Gives each request its time. `hold` keeps everybody back for a while."""

    every: float  # seconds
    _next: float = 0.0
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def wait(self) -> None:
        with self._lock:
            turn = max(self._next, time.monotonic())
            self._next = turn + self.every
        time.sleep(max(0.0, turn - time.monotonic()))

    def hold(self, seconds: float) -> None:
        with self._lock:
            self._next = max(self._next, time.monotonic() + seconds)


class ServerRanges:
    """Files of a server, by HTTP range requests. May be used by several threads."""

    def __init__(self, root: str, manners: Manners, connections: int) -> None:
        self._root = root.rstrip("/") + "/" if root else ""
        self._manners = manners
        self._turns = _Turns(1 / manners.requests_per_second)
        self._http = _urllib3()
        timeout = self._http.Timeout(connect=manners.timeout_seconds, read=manners.timeout_seconds)
        retries = self._http.Retry(total=None, connect=0, read=0, status=0, other=0, redirect=3)
        headers = {"User-Agent": manners.user_agent, "Accept-Encoding": "identity"}
        self._pool = self._http.PoolManager(
            num_pools=4, maxsize=connections, headers=headers, timeout=timeout, retries=retries
        )
        self._chance = random.Random()  # spreads waits; decides no byte

    def read(self, name: str, start: int, length: int) -> bytes:
        """Exactly `length` bytes from `start` on."""
        return self._persist(name, lambda url: self._part(url, start, length))

    def read_all(self, name: str) -> bytes:
        """A whole small file. Raises InputError where it is not there or larger than LIST_BYTES."""
        try:
            return self._persist(name, self._whole)
        except MissingRange as error:
            raise InputError(str(error)) from None

    def size(self, name: str) -> tuple[int, str]:
        """Bytes of a file, and its ETag or date."""
        try:
            return self._persist(name, self._head)
        except MissingRange as error:
            raise InputError(str(error)) from None

    def _persist(self, name: str, ask: Callable[[str], T]) -> T:
        """Ask until it goes well, politely; give up after the attempts that the manners allow."""
        url = self._root + name
        manners = self._manners
        for attempt in range(manners.attempts):
            self._turns.wait()
            try:
                return ask(url)
            except (_Again, self._http.exceptions.HTTPError) as error:
                reason = str(error) if isinstance(error, _Again) else type(error).__name__
                if attempt + 1 == manners.attempts:
                    break
                pause = min(manners.most_seconds, manners.backoff_seconds * 2**attempt)
                pause *= self._chance.uniform(0.5, 1.0)
                if isinstance(error, _Again) and error.busy:
                    pause = min(manners.most_seconds, max(pause, error.seconds))
                    self._turns.hold(pause)  # the server is too busy for all of us
                time.sleep(pause)
        raise ShardError(f"{_shown(url)}: {reason}, {manners.attempts} times; run the same command again later")

    def _open(self, method: str, url: str, headers: dict[str, str]) -> Any:
        """Send a request and look at the status, before any byte of the body is read."""
        response = self._pool.request(method, url, headers=self._pool.headers | headers, preload_content=False)
        if response.status in (200, 206):
            return response
        response.close()  # the body of an error is never read, so nothing can take it for data
        if response.status in _BUSY:
            asked = self._http.Retry().get_retry_after(response) or 0.0
            raise _Again(f"the server answered {response.status}", asked, response.status in (429, 503))
        if response.status in _MISSING:
            raise MissingRange(f"{_shown(url)}: the server answered {response.status}")
        raise ShardError(f"{_shown(url)}: the server answered {response.status}: is this the right place?")

    def _part(self, url: str, start: int, length: int) -> bytes:
        end = start + length - 1
        response = self._open("GET", url, {"Range": f"bytes={start}-{end}"})
        try:
            told = response.headers.get("Content-Range", "")
            if response.status != 206:
                raise ShardError(f"{_shown(url)}: the server gives no ranges, only whole files")
            if told.partition("/")[0].strip().lower() != f"bytes {start}-{end}":
                if told.lower().startswith(f"bytes {start}-"):
                    raise MissingRange(f"{_shown(url)} ends before byte {end + 1}")
                raise _Again("the server gave another range than was asked for")
            return self._body(response, length)
        finally:
            response.close() if response.length_remaining else response.release_conn()

    def _whole(self, url: str) -> bytes:
        response = self._open("GET", url, {})
        try:
            declared = int(response.headers.get("Content-Length", "-1"))
            if not 0 <= declared <= LIST_BYTES:
                raise InputError(f"{_shown(url)} does not say its length, or is larger than {LIST_BYTES >> 20} MiB")
            return self._body(response, declared)
        finally:
            response.close()

    def _head(self, url: str) -> tuple[int, str]:
        response = self._open("HEAD", url, {})
        response.release_conn()
        length = response.headers.get("Content-Length", "")
        if not length.isdigit():
            raise InputError(f"{_shown(url)}: the server does not say how long the file is")
        return int(length), response.headers.get("ETag") or response.headers.get("Last-Modified") or ""

    def _body(self, response: Any, length: int) -> bytes:
        """Exactly `length` bytes; a server that drips, stops short or goes on and on is an attempt that failed."""
        limit = time.monotonic() + 10 * self._manners.timeout_seconds
        parts: list[bytes] = []
        left = length
        while left > 0:
            part = response.read1(min(left, STEP))
            if not part:
                raise _Again("the answer stopped short")
            if time.monotonic() > limit:
                raise _Again("the answer came too slowly")
            parts.append(part)
            left -= len(part)
        return b"".join(parts)


def _urllib3() -> Any:
    try:
        return import_module("urllib3")
    except ImportError:
        raise SettingsError("reading from a server needs urllib3: pip install 'roots-corpus[pseudocrawl]'") from None


def _shown(url: str) -> str:
    """An address without what may be secret in it: the user, the password, the query."""
    parts = urlsplit(url)
    return f"{parts.scheme}://{parts.hostname}{f':{parts.port}' if parts.port else ''}{parts.path}"


def is_http(place: str) -> bool:
    """Whether a place is on a web server."""
    return place.startswith(("http://", "https://"))


@lru_cache(16)
def _open_server(root: str, manners: Manners, connections: int = CONNECTIONS) -> ServerRanges:
    """The files below an address, or anywhere where that is empty; one for the whole process, so that all keep pace."""
    return ServerRanges(root, manners, connections)


def open_ranges(root: str, manners: Manners, connections: int = CONNECTIONS) -> Ranges:
    """The files below a root: a folder, or a URL. Raises SettingsError for a URL that nothing installed can read."""
    if is_http(root):
        return _open_server(root, manners, connections)
    place = storage.path_of(root)
    return StoreRanges(root) if storage.is_remote(place) else FolderRanges(place)


def open_url(url: str, manners: Manners) -> ServerRanges | StoreRanges:
    """What reads a file of a whole URL as its name."""
    return _open_server("", manners) if is_http(url) else StoreRanges("")


class RangedFile(Ranged):
    """A file read by range, as far as Parquet needs it."""

    def __init__(self, ranges: Ranges, name: str, size: int) -> None:
        self._ranges = ranges
        self._name = name
        self.size = size

    def range(self, start: int, end: int) -> bytes:
        """The bytes from `start` up to `end`."""
        return self._ranges.read(self._name, start, end - start)
