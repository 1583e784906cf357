"""Pages of a dump of a wiki in XML, as MediaWiki exports it: plain, packed, or as bzip2 in many streams.

No XML parser reads a dump. Its text is escaped, so `</page>` ends a page wherever it stands, and entities that a file
declares are never expanded. Of a page the newest revision counts.

    plain, or packed as one stream      a place is the byte of <page> in the unpacked file
    bzip2 in many streams               the byte of the stream in the file times 2^20, and the number of the page in it

Source: mediawiki.org, "Help:Export" and export-0.11.xsd.
"""

import bz2
import html
import re
from collections.abc import Callable, Iterator, Sequence
from itertools import groupby, islice, takewhile
from pathlib import Path
from typing import IO, NamedTuple
from urllib.parse import quote

from pipelines.sources.lines import DAMAGE, Stream, chosen, is_packed, unpacked
from pipelines.sources.rows import Columns, Row
from roots.errors import InputError

DUMP_COLUMNS = ("text", "id", "url", "date", "license")
_HEAD_BYTES = 1 << 20  # in which a dump says what wiki it is of
_TAIL_BYTES = 64  # of a stream, in which its end must be
_STEP = 1 << 18  # bytes read at once
_STREAM_BITS = 20  # of a place: pages in one stream of bzip2
_BEGIN, _END = b"<page>", b"</page>"
_DUMP = re.compile(rb"\s*(?:<\?xml[^>]*>\s*)?<mediawiki[\s>]")
_DECLARED = re.compile(rb"<!(?:DOCTYPE|ENTITY)")
_BZ2_STREAM = re.compile(rb"BZh[1-9]1AY&SY")  # the first bytes of a stream and of its first block
_REVISION = b"<revision>"
_FIELDS = {
    name: re.compile(rf"<{name}(?:\s[^<>]*)?>([^<]*)</{name}>".encode())
    for name in ("dbname", "base", "title", "ns", "id", "timestamp", "model", "text")
}
_ADDRESS_SIGNS = ";:@$!*(),/~"  # that MediaWiki leaves as they are in addresses
# Sites whose dumps are under this licence: those of the Wikimedia Foundation, but for Wikinews and Wikidata.
_LICENCE = "CC-BY-SA-4.0"
_LICENSED = re.compile(
    r"https?://[a-z0-9-]+\.wiki(?:pedia|books|quote|source|versity|voyage)\.org/|https?://[a-z0-9-]+\.wiktionary\.org/"
)


class _Site(NamedTuple):
    """The wiki of a dump: its name, the address that titles follow, the licence of its text."""

    name: str
    root: str
    licence: str | None


class _Page(NamedTuple):
    place: int
    data: bytes  # from <page> on; empty where there is a problem
    problem: str | None = None


def is_dump(head: bytes, path: Path) -> bool:
    """Whether a file begins as a dump does. Raises InputError for one that declares entities, as no dump does."""
    if _DECLARED.search(head[:4096]) and b"<mediawiki" in head:
        raise InputError(f"{path} declares a document type or entities, as no dump of a wiki does: fetch it again")
    return _DUMP.match(head) is not None


def dump_rows(path: Path, columns: Columns, limit: int, wanted: Sequence[int] | None = None) -> Iterator[Row]:
    """The pages of a dump, or those at `wanted` places. `limit` is the most bytes of a page, with its markup.

    The columns are some of DUMP_COLUMNS. A row's text is wikitext. The problem of a page without an article is
    "redirect" or "no_article". A dump that ends early ends in a row that is "truncated".
    """
    site = _site_of(path)
    for page in _pages_of(path, limit, wanted):
        values, problem = ({}, page.problem) if page.problem else _values_of(page, site)
        yield Row(page.place, columns.of(values), problem)


def dump_parts(path: Path, count: int) -> list[int]:
    """The ends of `count` parts of a dump, from 0; none if nobody can go to its middle."""
    size = path.stat().st_size
    cuts = [size * number // count for number in range(count)]
    if _has_streams(path):
        return [*(at << _STREAM_BITS for at in cuts), size + 1 << _STREAM_BITS]
    return [] if is_packed(path) else [*cuts, size + 1]


def _site_of(path: Path) -> _Site:
    with unpacked(path) as file:
        buffer = _Buffer(file, 0)
        buffer.find(b"</siteinfo>", _HEAD_BYTES)
    base = _text(_FIELDS["base"], buffer.held) or ""
    licence = _LICENCE if _LICENSED.match(base) else None
    return _Site(_text(_FIELDS["dbname"], buffer.held) or path.name, base.rpartition("/")[0], licence)


class _Buffer:
    """What is held of a stream. `place` is that of its first byte; `more` says whether the stream goes on."""

    def __init__(self, file: Stream, place: int) -> None:
        self._file = file
        self.place = place
        self.held = b""
        self.more = True
        self.damaged = False

    def _read(self) -> None:
        try:
            part = self._file.read(_STEP)
        except DAMAGE:
            part, self.damaged = b"", True
        self.held, self.more = self.held + part, bool(part)

    def find(self, mark: bytes, most: int) -> int:
        """Where a mark is in what is held, after reading on up to `most` bytes; -1 if it is not there."""
        at, looked = self.held.find(mark), 0
        while at < 0 and self.more and len(self.held) <= most:
            looked = max(0, len(self.held) - len(mark))
            self._read()
            at = self.held.find(mark, looked)
        return at

    def drop(self, size: int) -> None:
        """Forget the first bytes."""
        self.held, self.place = self.held[size:], self.place + size

    def skip_to(self, mark: bytes) -> bool:
        """Forget all before a mark, or, where there is none, all but the last bytes."""
        while (at := self.held.find(mark)) < 0:
            self.drop(max(0, len(self.held) - _TAIL_BYTES))
            if not self.more:
                return False
            self._read()
        self.drop(at)
        return True


def _text(pattern: re.Pattern[bytes], data: bytes, start: int = 0) -> str | None:
    """The text of an element; None without one."""
    found = pattern.search(data, start)
    return html.unescape(found[1].decode("utf-8", "replace")) if found else None


def _values_of(page: _Page, site: _Site) -> tuple[dict[str, object], str | None]:
    """The columns of a page, and the problem it has."""
    data = page.data
    newest = max(0, data.rfind(_REVISION))
    title, number, revision = (
        _text(_FIELDS["title"], data) or "", _text(_FIELDS["id"], data) or "", _text(_FIELDS["id"], data, newest) or "",
    )  # fmt: skip
    values: dict[str, object] = {
        "id": f"urn:mediawiki:{site.name}:{number}:{revision}" if number and revision else None,
        "url": f"{site.root}/{quote(title.replace(' ', '_'), safe=_ADDRESS_SIGNS)}" if site.root and title else None,
        "date": _text(_FIELDS["timestamp"], data, newest),
        "license": site.licence,
    }
    if b"<redirect" in data[: newest or len(data)]:
        return values, "redirect"
    model = _text(_FIELDS["model"], data, newest) or "wikitext"
    if (_text(_FIELDS["ns"], data) or "0").strip() != "0" or model != "wikitext":
        return values, "no_article"
    return values | {"text": _text(_FIELDS["text"], data, newest)}, None


def _pages_of(path: Path, limit: int, wanted: Sequence[int] | None) -> Iterator[_Page]:
    if _has_streams(path):
        yield from _pages_of_streams(path, limit, wanted)
    elif wanted is None or is_packed(path):
        with unpacked(path) as file:
            placed = ((page.place, page) for page in _pages(_Buffer(file, 0), limit))
            yield from (page for _, page in chosen(placed, wanted))
    else:
        with path.open("rb") as file:
            if isinstance(wanted, range):
                file.seek(wanted.start)
                pages = _pages(_Buffer(file, wanted.start), limit)
                yield from takewhile(lambda page: page.place < wanted.stop, pages)
                return
            for start in wanted:
                file.seek(start)
                yield from islice(_pages(_Buffer(file, start), limit), 1)


def _pages(buffer: _Buffer, limit: int, is_last: Callable[[], bool] = lambda: True) -> Iterator[_Page]:
    """The pages of a stream. If it is the last one of a dump, it must end as a dump does."""
    while buffer.skip_to(_BEGIN):
        end = buffer.find(_END, limit)
        if 0 <= end <= limit:
            yield _Page(buffer.place, buffer.held[:end])
            buffer.drop(end + len(_END))
        elif end >= 0 or buffer.more:
            yield _Page(buffer.place, b"", "too_large")
            # without an end in all that is held, only its last beginning can be that of a page
            buffer.drop(end + len(_END) if end >= 0 else max(len(_BEGIN), buffer.held.rfind(_BEGIN)))
        else:
            yield _Page(buffer.place, b"", "truncated")
            return
    if buffer.damaged or (is_last() and b"</mediawiki>" not in buffer.held):
        yield _Page(buffer.place + len(buffer.held), b"", "truncated")


def _has_streams(path: Path) -> bool:
    """Whether a dump is bzip2 in many streams, of which the first holds no page."""
    with path.open("rb") as file:
        if not _BZ2_STREAM.match(file.read(10)):
            return False
        first = _Bz2Stream(file, 0)
        buffer = _Buffer(first, 0)
        return buffer.find(_BEGIN, _HEAD_BYTES) < 0 and not buffer.more and not buffer.damaged and not first.is_last()


def _pages_of_streams(path: Path, limit: int, wanted: Sequence[int] | None) -> Iterator[_Page]:
    size = path.stat().st_size
    with path.open("rb") as file:
        if wanted is None or isinstance(wanted, range):
            part = range(size) if wanted is None else range(wanted.start >> _STREAM_BITS, wanted.stop >> _STREAM_BITS)
            offset = _next_stream(file, part.start)
            while offset is not None and offset < part.stop:
                stream = _Bz2Stream(file, offset)
                yield from _pages_of_stream(stream, limit)
                offset = _next_stream(file, stream.end or offset + 1)
            return
        for offset, places in groupby(wanted, lambda place: place >> _STREAM_BITS):
            pages = ((page.place, page) for page in _pages_of_stream(_Bz2Stream(file, offset), limit))
            yield from (page for _, page in chosen(pages, list(places)))


def _pages_of_stream(stream: "_Bz2Stream", limit: int) -> Iterator[_Page]:
    """The pages of one stream of bzip2, by their numbers; what follows the last number that fits is left out."""
    pages = islice(_pages(_Buffer(stream, 0), limit, stream.is_last), 1 << _STREAM_BITS)
    yield from (page._replace(place=(stream.offset << _STREAM_BITS) + number) for number, page in enumerate(pages))


class _Bz2Stream:
    """One stream of bzip2 in a file, unpacked in steps. `end` is where it ends in the file, once it is read."""

    def __init__(self, file: IO[bytes], offset: int) -> None:
        file.seek(offset)
        self._file = file
        self._unpacker = bz2.BZ2Decompressor()
        self.offset = offset
        self.end: int | None = None

    def read(self, size: int = -1, /) -> bytes:
        """Unpack up to `size` bytes; none at the end. Raises EOFError or OSError for a stream that is damaged."""
        while not self._unpacker.eof:
            packed = self._file.read(_STEP) if self._unpacker.needs_input else b""
            if self._unpacker.needs_input and not packed:
                raise EOFError("the stream is cut")
            if part := self._unpacker.decompress(packed, size):
                return part
        if self.end is None:
            self.end = self._file.tell() - len(self._unpacker.unused_data)
        return b""

    def is_last(self) -> bool:
        """Whether nothing follows."""
        place = self._file.tell()
        size = self._file.seek(0, 2)
        self._file.seek(place)
        return self.end == size


def _next_stream(file: IO[bytes], start: int) -> int | None:
    """Where the first stream of bzip2 at or after a place begins."""
    file.seek(start)
    held, at = file.read(_STEP), start
    while held:
        if found := _BZ2_STREAM.search(held):
            return at + found.start()
        at, held = at + max(0, len(held) - 9), held[-9:]
        part = file.read(_STEP)
        if not part:
            return None
        held += part
    return None
