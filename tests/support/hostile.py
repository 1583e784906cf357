"""Broken archives and hostile pages, each with what must come of it.

`CASES` is the table: a name, a function that writes the file into a folder, and the rows (or the error) that the index
must give. A case adds a function and a line. Big ones are made when a test asks for them and are never committed.
"""

import gzip
import io
import zlib
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from fastwarc.stream_io import ZstdWriter

TEXT = "Le chat dort sur la table et la maison est calme pendant que les enfants jouent dans le jardin. " * 3
PAGE = f"<html><head><title>Titre</title></head><body><p>{TEXT}</p></body></html>".encode()
HTML = "Content-Type: text/html; charset=utf-8\r\n"
OK = None


@dataclass(frozen=True)
class Case:
    """One file. `rows` are the `drop` of each row in order, None for a kept one; or `error` is part of the message."""

    write: Callable[[Path], Path]
    rows: tuple[str | None, ...] = ()
    error: str = ""
    seconds: float = 5.0
    texts: bool = True  # whether kept rows must be in French


def record(
    body: bytes = PAGE,
    *,
    number: int = 1,
    head: str = HTML,
    status: str = "HTTP/1.1 200 OK",
    kind: str = "response",
    length: int | None = None,
    warc: str = "",
    content_type: str = "application/http; msgtype=response",
) -> bytes:
    """One WARC record, plain. `length` is a Content-Length that lies; `warc` are more WARC headers."""
    block = f"{status}\r\n{head}\r\n".encode() + body if content_type.startswith("application/http") else body
    size = len(block) if length is None else length
    named = (
        f"WARC/1.0\r\nWARC-Type: {kind}\r\nWARC-Record-ID: <urn:uuid:{number:032d}>\r\n"
        f"WARC-Target-URI: http://page.test/{number}\r\nWARC-Date: 2024-05-06T07:08:09Z\r\n{warc}"
        f"Content-Type: {content_type}\r\nContent-Length: {size}\r\n\r\n"
    )
    return named.encode() + block + b"\r\n\r\n"


def packed(*records: bytes) -> bytes:
    """Records packed with gzip, one member each."""
    return b"".join(gzip.compress(item, mtime=0) for item in records)


def archive(name: str, data: Callable[[], bytes]) -> Callable[[Path], Path]:
    """A function that writes `data()` to a file called `name` in a folder."""

    def write(folder: Path) -> Path:
        path = folder / name
        path.write_bytes(data())
        return path

    return write


def page(body: Callable[[], bytes], **options: str) -> Callable[[Path], Path]:
    """A function that writes an archive of one page between two good ones."""

    def data() -> bytes:
        return packed(record(number=1), record(body(), number=2, **options), record(number=3))

    return archive("page.warc.gz", data)


def _three(middle: bytes) -> bytes:
    return gzip.compress(record(number=1), mtime=0) + middle + gzip.compress(record(number=3), mtime=0)


def _flipped() -> bytes:
    member = bytearray(gzip.compress(record(PAGE + bytes(range(256)) * 8, number=2), mtime=0))
    member[len(member) // 2] ^= 0xFF
    return _three(bytes(member))


def _bomb(size: int) -> bytes:
    """A member of one record of `size` zeros, made without holding them."""
    head = record(b"", number=2, length=size + 61).removesuffix(b"\r\n\r\n")
    pack = zlib.compressobj(9, zlib.DEFLATED, 31)
    zeros = bytes(1 << 20)
    return pack.compress(head) + b"".join(pack.compress(zeros) for _ in range(size >> 20)) + pack.flush()


def _zstd(*records: bytes) -> bytes:
    out = io.BytesIO()
    for item in records:
        writer = ZstdWriter(out)
        writer.write(item)
        writer.finish()
        writer.flush()
    return out.getvalue()


def _missing(folder: Path) -> Path:
    return folder / "absent.warc.gz"


def _folder(folder: Path) -> Path:
    path = folder / "folder.warc.gz"
    path.mkdir()
    return path


def _deep() -> bytes:
    return b"<div>" * 100_000 + TEXT.encode() + b"</div>" * 100_000


def _without_length() -> bytes:
    return record(number=2).replace(b"Content-Length", b"Content-Lxngth")


CHUNKED = HTML + "Transfer-Encoding: chunked\r\n"
BOMB = gzip.compress(bytes(64 << 20), 9)  # 64 KB

CASES: dict[str, Case] = {
    # files that are no archives
    "empty_file": Case(archive("a.warc.gz", lambda: b""), error="is empty"),
    "missing_file": Case(_missing, error="no file"),
    "folder": Case(_folder, error="is a folder"),
    "text_file": Case(archive("a.warc.gz", lambda: b"no archive at all\n" * 99), error="holds no WARC record"),
    "zeros": Case(archive("a.warc", lambda: bytes(1 << 20)), error="holds no WARC record"),
    "gzip_of_text": Case(archive("a.warc.gz", lambda: gzip.compress(b"no archive")), error="holds no WARC record"),
    "zip": Case(archive("a.wacz", lambda: b"PK\x03\x04" + bytes(99)), error="is a damaged zip"),
    "cut_in_the_first_head": Case(archive("a.warc.gz", lambda: packed(record())[:12]), error="holds no WARC record"),
    "gzip_of_nothing": Case(archive("a.warc.gz", lambda: gzip.compress(b"")), rows=()),
    # archives with breaks
    "good": Case(archive("a.warc.gz", lambda: packed(record(), record(number=2))), (OK, OK)),
    "good_plain": Case(archive("a.warc", lambda: record() + record(number=2)), (OK, OK)),
    "good_zstd": Case(archive("a.warc.zst", lambda: _zstd(record(), record(number=2))), (OK, OK)),
    "misnamed": Case(archive("a.warc", lambda: packed(record(), record(number=2))), (OK, OK)),
    "one_member_for_all": Case(archive("a.warc.gz", lambda: gzip.compress(record() + record(number=2))), (OK, OK)),
    "cut_at_the_end": Case(
        archive("a.warc.gz", lambda: packed(record(), record(PAGE + bytes(range(256)) * 40, number=2))[:-300]),
        (OK, "index.truncated"),
    ),
    "cut_plain": Case(archive("a.warc", lambda: (record() + record(number=2))[:-99]), (OK, "index.truncated")),
    "member_cut_in_the_middle": Case(
        archive("a.warc.gz", lambda: _three(packed(record(PAGE * 9, number=2))[:90])), (OK, "index.broken", OK)
    ),
    "member_damaged": Case(archive("a.warc.gz", _flipped), (OK, "index.broken", OK)),
    "garbage_between": Case(archive("a.warc.gz", lambda: _three(b"garbage" * 99)), (OK, "index.broken", OK)),
    "garbage_before": Case(
        archive("a.warc", lambda: b"garbage\n" * 99 + record() + record(number=2)), ("index.broken", OK, OK)
    ),
    "garbage_after": Case(archive("a.warc.gz", lambda: packed(record()) + b"garbage" * 99), (OK, "index.broken")),
    "garbage_between_plain": Case(
        archive("a.warc", lambda: record() + b"garbage" * 99 + b"\r\n" + record(number=3)), (OK, "index.broken", OK)
    ),
    "length_too_long": Case(
        archive("a.warc.gz", lambda: _three(packed(record(number=2, length=600)))), (OK, "index.bad_length", OK)
    ),
    "length_too_long_plain": Case(
        archive("a.warc", lambda: record() + record(number=2, length=900) + record(number=3)),
        (OK, "index.bad_length", OK),
    ),
    "length_too_short": Case(
        archive("a.warc.gz", lambda: _three(packed(record(number=2, length=99)))), (OK, "index.bad_length", OK)
    ),
    "length_of_a_petabyte": Case(
        archive("a.warc.gz", lambda: _three(packed(record(number=2, length=10**15)))), (OK, "index.bad_length", OK)
    ),
    "length_of_a_petabyte_plain": Case(
        archive("a.warc", lambda: record() + record(number=2, length=10**15) + record(number=3)),
        (OK, "index.truncated", OK),
    ),
    "length_below_zero": Case(
        archive("a.warc.gz", lambda: _three(packed(record(number=2, length=-5)))), (OK, "index.bad_length", OK)
    ),
    "length_missing": Case(
        archive("a.warc.gz", lambda: _three(packed(_without_length()))), (OK, "index.bad_length", OK)
    ),
    "head_of_a_megabyte": Case(
        archive("a.warc.gz", lambda: _three(packed(record(number=2, warc="X-Pad: " + "x" * (1 << 20) + "\r\n")))),
        (OK, "index.broken", OK),
    ),
    "bomb_in_the_archive": Case(
        archive("a.warc.gz", lambda: _three(_bomb(256 << 20))),
        (OK, "index.too_large", OK),
        seconds=15,
    ),
    # records that hold no page
    "revisit": Case(page(lambda: b"", kind="revisit"), (OK, "index.revisit", OK)),
    "dns": Case(page(lambda: b"20240101\n", content_type="text/dns"), (OK, "index.not_http", OK)),
    "segment": Case(page(lambda: PAGE, kind="continuation"), (OK, "index.not_http", OK)),
    "unknown_type": Case(page(lambda: PAGE, kind="novelty"), (OK, "index.not_http", OK)),
    "not_found": Case(page(lambda: PAGE, status="HTTP/1.1 404 Not Found"), (OK, "index.status", OK)),
    "image": Case(page(lambda: b"\x89PNG" * 99, head="Content-Type: image/png\r\n"), (OK, "index.not_html", OK)),
    "image_called_html": Case(page(lambda: b"\x89PNG\r\n\x1a\n" * 99), (OK, "index.not_html", OK)),
    # broken HTTP
    "no_http_head": Case(page(lambda: PAGE, status="this is not HTTP"), (OK, "index.bad_http", OK)),
    "no_status_text": Case(page(lambda: PAGE, status="HTTP/1.1 200"), (OK, OK, OK)),
    "no_content_type": Case(page(lambda: PAGE, head=""), (OK, OK, OK)),
    "chunked": Case(page(lambda: b"%x\r\n%b\r\n0\r\n\r\n" % (len(PAGE), PAGE), head=CHUNKED), (OK, OK, OK)),
    "chunked_by_name_only": Case(page(lambda: PAGE, head=CHUNKED), (OK, OK, OK)),
    "chunk_cut": Case(page(lambda: b"ffff\r\n" + PAGE, head=CHUNKED), (OK, "index.truncated", OK)),
    "chunk_of_nonsense": Case(page(lambda: b"5\r\n<p>ab\r\nzz\r\ncd", head=CHUNKED), (OK, "index.bad_http", OK)),
    "gzip_by_name_only": Case(page(lambda: PAGE, head=HTML + "Content-Encoding: gzip\r\n"), (OK, OK, OK)),
    "deflate_raw": Case(
        page(lambda: zlib.compress(PAGE)[2:-4], head=HTML + "Content-Encoding: deflate\r\n"), (OK, OK, OK)
    ),
    "gzip_damaged": Case(
        page(lambda: b"\x1f\x8b\x08garbage" + PAGE, head=HTML + "Content-Encoding: gzip\r\n"),
        (OK, "index.truncated", OK),
    ),
    "bomb_in_the_page": Case(page(lambda: BOMB, head=HTML + "Content-Encoding: gzip\r\n"), (OK, "index.too_large", OK)),
    "bomb_in_a_bomb": Case(
        page(lambda: gzip.compress(BOMB), head=HTML + "Content-Encoding: gzip, gzip\r\n"),
        (OK, "index.too_large", OK),
    ),
    # pages
    "empty_body": Case(page(lambda: b""), (OK, "index.empty", OK)),
    "no_letters": Case(page(lambda: b"<html><p>1 2 3 ... 4</p></html>"), (OK, "index.empty", OK)),
    "nul_bytes": Case(page(lambda: PAGE.replace(b"chat", b"ch\0at")), (OK, OK, OK)),
    "only_nul_bytes": Case(page(lambda: bytes(9999)), (OK, "index.empty", OK)),
    "lone_surrogates": Case(page(lambda: PAGE.replace(b"chat", b"ch\xed\xa0\x80at")), (OK, OK, OK)),
    "random_bytes": Case(
        page(lambda: b"".join(zlib.crc32(b"%d" % n).to_bytes(4, "big") for n in range(9999))),
        (OK, "index.undecodable", OK),
    ),
    "unknown_charset": Case(page(lambda: PAGE, head="Content-Type: text/html; charset=klingon\r\n"), (OK, OK, OK)),
    "wrong_charset": Case(page(lambda: PAGE, head="Content-Type: text/html; charset=gb2312\r\n"), (OK, OK, OK)),
    "nested_100k": Case(page(_deep), (OK, OK, OK)),
    "paragraphs_100k": Case(page(lambda: b"<p>Le chat dort sur la table.</p>" * 100_000), (OK, OK, OK)),
    "attributes_100k": Case(page(lambda: b"<p" + b" a=b" * 100_000 + b">" + PAGE), (OK, OK, OK)),
    "script_without_end": Case(page(lambda: PAGE + b"<script>" + b"x" * 99_999), (OK, OK, OK)),
    "unfinished_tag": Case(page(lambda: PAGE + b"<p" * 99_999), (OK, OK, OK)),
    "page_of_50_mb": Case(page(lambda: PAGE * (50_000_000 // len(PAGE))), (OK, "index.too_large", OK), seconds=10),
    "url_not_utf8": Case(
        archive("a.warc", lambda: record().replace(b"http://page.test/1", b"http://page.test/\xe9\xed\xa0\x80")), (OK,)
    ),
}


def make_hostile(folder: Path) -> dict[str, tuple[Path, Case]]:
    """Write every case into a folder of its own below `folder`; gives the file and what must come of it, by name."""
    made = {}
    for name, case in CASES.items():
        (folder / name).mkdir(parents=True)
        made[name] = (case.write(folder / name), case)
    return made
