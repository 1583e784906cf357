"""HTTP responses that are not as their heads say."""

import gzip
import zlib
from pathlib import Path

import brotli
import pytest

from pipelines.archives.heads import Response, parse_response
from pipelines.archives.limits import Limits
from pipelines.archives.records import read_at, read_records
from pipelines.index import Index
from tests.pipelines.archives.test_records import write
from tests.support.hostile import HTML, PAGE, record

LIMITS = Limits()
NOISE = bytes(range(256)) * 9
BODY = PAGE + b"<!--" + NOISE + b"-->"
GZ = gzip.compress(BODY)
DEFLATED = zlib.compress(BODY)


def answer(body: bytes, *fields: str, mime: str = "text/html", bound: int = 1 << 20) -> Response:
    head = "\r\n".join(["HTTP/1.1 200 OK", f"Content-Type: {mime}", *fields, "", ""])
    return parse_response(head.encode(), body, bound)


def chunks(body: bytes, form: str = "{:x}", last: bytes = b"0\r\n\r\n", step: int = 400) -> bytes:
    parts = (body[at : at + step] for at in range(0, len(body), step))
    return b"".join(form.format(len(part)).encode() + b"\r\n" + part + b"\r\n" for part in parts) + last


@pytest.mark.parametrize("behind", [b"\r\n", b"\0", b"<!-- cached -->", b"0\r\n\r\n", b"\x1f"])
@pytest.mark.parametrize(("coding", "body"), [("gzip", GZ), ("x-gzip", GZ), ("deflate", DEFLATED),
                                              ("deflate", DEFLATED[2:-4]), ("gzip", GZ + GZ)])  # fmt: skip
def test_bytes_behind_a_whole_stream_are_left_out(coding: str, body: bytes, behind: bytes) -> None:
    response = answer(body + behind, f"Content-Encoding: {coding}")
    assert (response.body[: len(BODY)], response.problem) == (BODY, None)


@pytest.mark.parametrize("body", [GZ[:60] + b"xxxxxxxx" + GZ[68:], GZ[:-8] + bytes(8), GZ + GZ[:-8] + bytes(8)])
def test_a_damaged_stream_is_still_truncated(body: bytes) -> None:
    assert answer(body, "Content-Encoding: gzip").problem == "truncated"


def test_what_is_behind_a_bomb_does_not_matter() -> None:
    response = answer(gzip.compress(bytes(9 << 20)) + b"behind", "Content-Encoding: gzip")
    assert (len(response.body), response.problem) == (1 << 20, "too_large")


@pytest.mark.parametrize("last", [b"", b"0", b"0\r", b"0\r\n", b"000\r\n\r\n", b"\r\n"])
def test_whole_chunks_without_the_last_one_are_a_page(last: bytes) -> None:
    response = answer(chunks(PAGE, last=last), "Transfer-Encoding: chunked")
    assert (response.body, response.problem) == (PAGE, None)


@pytest.mark.parametrize(("last", "problem"), [(b"ff\r\nab", "truncated"), (b"zz\r\nab", "bad_http")])
def test_a_chunk_that_is_cut_or_nonsense_is_a_problem(last: bytes, problem: str) -> None:
    assert answer(chunks(PAGE, last=last), "Transfer-Encoding: chunked").problem == problem


@pytest.mark.parametrize("form", ["{:016x}", "{:040x}", "0x{:x}", "0X{:X}", "{:x} ", "{:08X};name=value"])
def test_every_way_to_write_a_chunk_size(form: str) -> None:
    assert answer(chunks(PAGE, form), "Transfer-Encoding: chunked").body == PAGE


@pytest.mark.parametrize("size", ["ffffffffffffffff", "7fffffff"])
def test_a_chunk_of_any_size_costs_no_memory(size: str) -> None:
    response = answer(f"{size}\r\n".encode() + PAGE, "Transfer-Encoding: chunked")
    assert (response.body, response.problem) == (PAGE, "truncated")


@pytest.mark.parametrize(
    ("body", "fields"),
    [
        (chunks(GZ), ["Transfer-Encoding: gzip, chunked"]),
        (chunks(GZ), ["Transfer-Encoding: gzip", "Transfer-Encoding: chunked"]),
        (chunks(DEFLATED), ["Transfer-Encoding: deflate, chunked"]),
        (chunks(gzip.compress(DEFLATED)), ["Content-Encoding: deflate", "Transfer-Encoding: gzip, chunked"]),
        (GZ, ["Transfer-Encoding: gzip"]),
        (GZ, ["Content-Encoding: br"]),
        (GZ, ["Content-Encoding: deflate"]),
        (GZ, ["Content-Encoding: gzip;q=1"]),
        (GZ, ["Content-Encoding: GZIP ; q=0.5, identity"]),
        (GZ, ["Content-Encoding: UTF-8"]),
        (GZ, []),
        (gzip.compress(GZ), ["Content-Encoding: gzip"]),
        (gzip.compress(GZ), []),
        (brotli.compress(GZ), ["Content-Encoding: br"]),
        (brotli.compress(BODY), ["Content-Encoding: br"]),
    ],
)
@pytest.mark.parametrize("mime", ["text/html", "text/plain", "application/xhtml+xml"])
def test_codings_that_the_head_names_wrongly_are_undone(body: bytes, fields: list[str], mime: str) -> None:
    response = answer(body, *fields, mime=mime)
    assert (response.body, response.problem) == (BODY, None)


@pytest.mark.parametrize("mime", ["application/gzip", "application/octet-stream", "image/png"])
def test_a_file_that_is_no_page_stays_packed(mime: str) -> None:
    assert answer(GZ, mime=mime).body == GZ


def test_unpacking_without_a_header_is_bounded() -> None:
    response = answer(gzip.compress(gzip.compress(bytes(9 << 20))))
    assert (len(response.body), response.problem) == (1 << 20, "too_large")
    damaged = b"\x1f\x8b\x08" + NOISE
    assert answer(damaged).body == damaged


@pytest.mark.parametrize("before", [b"\r\n", b"\n", b"\r\n\r\n\r\n"])
def test_empty_lines_before_the_status_line(before: bytes, tmp_path: Path) -> None:
    items = [record(number=1, status=before.decode() + "HTTP/1.1 200 OK"), record(number=2)]
    records = list(read_records(write(tmp_path, b"".join(items)), LIMITS))
    assert [(item.body, item.problem, item.status) for item in records] == [(PAGE, None, 200)] * 2
    assert list(read_at(tmp_path / "a.warc.gz", [item.offset for item in records], LIMITS)) == records


def test_folded_lines_are_one() -> None:
    response = answer(GZ, "Content-Encoding:\r\n\tgzip", "X-Robots-Tag: noindex,\r\n  noarchive")
    assert (response.body, response.rights) == (BODY, (("x-robots-tag", "noindex, noarchive"),))


HTTP_BLOCK = f"HTTP/1.1 200 OK\r\n{HTML}\r\n".encode() + PAGE


@pytest.mark.parametrize("declared", [b"", b"Content-Type: text/html\r\n", b"Content-Type: message/http\r\n"])
@pytest.mark.parametrize(
    ("block", "url", "problem"),
    [
        (HTTP_BLOCK, b"http://page.test/1", None),
        (HTTP_BLOCK, b"<https://page.test/1>", None),
        (b"\r\n" + HTTP_BLOCK, b"HTTPS://page.test/1", None),
        (HTTP_BLOCK, b"ftp://page.test/1", "not_http"),
        (PAGE, b"http://page.test/1", "not_http"),
        (b"20240101\npage.test. 60 IN A 192.0.2.1\n", b"dns:page.test", "not_http"),
    ],
)
def test_a_response_without_its_type_is_known_by_its_status_line(
    declared: bytes, block: bytes, url: bytes, problem: str | None, tmp_path: Path
) -> None:
    item = record(block, content_type="x/y").replace(b"Content-Type: x/y\r\n", declared)
    item = item.replace(b"http://page.test/1", url, 1)
    found = list(read_records(write(tmp_path, item), LIMITS))
    assert [(one.problem, one.body == PAGE) for one in found] == [(problem, problem is None)]


XHTML = b"<?xml version='1.0'?><!DOCTYPE html><html xmlns='http://www.w3.org/1999/xhtml'><body/></html>"
RSS = b"<?xml version='1.0'?><rss><item>&lt;html xmlns='http://www.w3.org/1999/xhtml'&gt;</item></rss>"


@pytest.mark.parametrize(
    ("declared", "body", "content_type"),
    [
        ("text/xml", XHTML, "application/xhtml+xml"),
        ("Application/XML; charset=utf-8", XHTML, "application/xhtml+xml"),
        ("text/xml", RSS, "text/xml"),
        ("application/rss+xml", XHTML, "application/rss+xml"),
        ("unknown/unknown", PAGE, "text/html"),
        ("application/unknown", PAGE, "text/html"),
        ("*/*", PAGE, "text/html"),
        ("unknown/unknown", b"Une phrase.", "text/plain"),
        ("unknown/unknown", NOISE, None),
        ("application/octet-stream", PAGE, "application/octet-stream"),
    ],
)
def test_the_bytes_tell_the_type_where_the_head_does_not(
    declared: str, body: bytes, content_type: str | None, tmp_path: Path
) -> None:
    item = record(body, head=f"Content-Type: {declared}\r\n")
    assert [one.content_type for one in read_records(write(tmp_path, item), LIMITS)] == [content_type]


def test_utf16_without_zero_bytes_is_no_noise(tmp_path: Path) -> None:
    text = "猫はテーブルの上で眠り、子どもたちは庭で遊んでいます。" * 9
    item = record(text.encode("utf-16-le"), head="Content-Type: text/plain; charset=utf-16le\r\n")
    (batch,) = Index().make("a.parquet", [write(tmp_path, item)])
    assert batch.select(["charset", "drop", "quick_chars"]).to_pylist() == [
        {"charset": "utf-16le", "drop": None, "quick_chars": len(text)}
    ]
