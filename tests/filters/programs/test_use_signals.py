import time

import pytest

from filters.programs.use_signals import USE_SIGNALS, use_signals_of
from pipelines.catalogue import Rights
from pipelines.index import Index
from tests.support.hostile import record


@pytest.mark.parametrize(
    ("headers", "signals"),
    [
        ([("X-Robots-Tag", "noindex, NoAI")], ["noai", "noindex"]),
        ([("x-robots-tag", "none")], ["noindex"]),
        ([("x-robots-tag", "googlebot: noindex")], []),
        ([("x-robots-tag", "max-snippet: 10, noarchive")], ["noarchive"]),
        ([("x-robots-tag", "all")], []),
        ([("TDM-Reservation", " 1 ")], ["tdm-reservation"]),
        ([("tdm-reservation", "0")], []),
        ([("Content-Usage", "search=y, train-ai=n")], ["no-train-ai"]),
        ([("content-usage", "train-ai=y")], []),
        ([("server", "noai")], []),
        ([("x-robots-tag", "NoImageAI NoAI")], ["noai", "noimageai"]),
        ([("x-robots-tag", "noarchive;noai ; noml")], ["noai", "noarchive", "noml"]),
        ([("x-robots-tag", "max-snippet:-1, noai")], ["noai"]),
        ([("x-robots-tag", "noindex, otherbot: noai, noml")], ["noindex"]),
        ([("x-robots-tag", "otherbot: noai noml")], []),
        ([("x-robots-tag", "noairport nonoai")], []),
        ([("Content-Signal", "ai-input=no, ai-train = no")], ["no-train-ai"]),
        ([("content-signal", "search=no,ai-train=yes,ai-input=no")], []),
        ([("x-robots-tag", "noai"), ("x-robots-tag", "noimageai")], ["noai", "noimageai"]),
        ([], []),
    ],
)
def test_signals_are_read_from_headers(headers, signals):
    assert use_signals_of(headers, b"") == signals
    assert set(signals) <= USE_SIGNALS


@pytest.mark.parametrize(
    ("page", "signals"),
    [
        (b'<meta name="robots" content="noindex,nofollow,noai">', ["noai", "noindex"]),
        (b"<META CONTENT='noai, noimageai' NAME=robots>", ["noai", "noimageai"]),
        (b"<meta name=robots content=noai/>", []),
        (b"<meta name=robots content=noai >", ["noai"]),
        (b'<meta name="tdm-reservation" content="1"/>', ["tdm-reservation"]),
        (b'<meta name="googlebot" content="noai">', []),
        (b'<meta name="description" content="robots noai">', []),
        (b"<p>robots noai</p>", []),
        (b'<meta name="robots">', []),
        (b"<meta name=robots content=noml>", ["noml"]),
        (b"<meta http-equiv='X-Robots-Tag' content='noai noimageai'>", ["noai", "noimageai"]),
        (b"<meta name=content-signal content='ai-train=no'>", ["no-train-ai"]),
        (b"<!-- <meta name=robots content=noai> -->", []),
        (b"<!--><meta name=robots content=noai>", ["noai"]),
        (b"<script>x = \"<meta name='robots' content='noai'>\"</script>", []),
        (b"<style>/* <meta name=robots content=noai> */</style><meta name=robots content=noml>", ["noml"]),
        (b"<title><meta name=robots content=noai></title>", []),
        (b"<a title='<meta name=robots content=noai>'>", []),
        ('<meta name="robots" content="нет, noai">'.encode(), ["noai"]),
        (b" " * 70_000 + b'<meta name="robots" content="noai">', []),
    ],
)
def test_signals_are_read_from_meta_elements(page, signals):
    assert use_signals_of([], page) == signals


@pytest.mark.parametrize("piece", [b"<meta ", b"<meta name=robots content=", b"<meta name='", b"<" * 9, b'content="'])
def test_no_page_makes_the_search_slow(piece):
    start = time.process_time()
    use_signals_of([], piece * 20_000)
    assert time.process_time() - start < 1


@pytest.mark.parametrize("codec", ["utf-16", "utf-16-le", "utf-16-be"])
def test_signals_are_read_in_utf16(codec, tmp_path):
    page = "<html><head><meta name=robots content='noai'></head><body><p>Une phrase en clair.</p></body></html>"
    path = tmp_path / "a.warc"
    path.write_bytes(record(page.encode(codec), head="Content-Type: text/html\r\n"))
    (batch,) = Index().make("a.parquet", [path])
    assert batch["use_signals"].to_pylist() == [["noai"]]


def test_a_release_refuses_noml_by_default():
    assert "noml" in Rights().refuse_use_signals


def test_signals_travel_from_the_archive_to_the_index(tmp_path):
    page = b"<html><head><meta name=robots content='noai'></head><body><p>Une phrase en clair.</p></body></html>"
    http = b"HTTP/1.1 200 OK\r\nContent-Type: text/html\r\nTDM-Reservation: 1\r\n\r\n" + page
    head = "WARC/1.0\r\nWARC-Type: response\r\nWARC-Record-ID: <urn:uuid:1>\r\nWARC-Target-URI: http://a.example/\r\n"
    kind = f"Content-Type: application/http; msgtype=response\r\nContent-Length: {len(http)}\r\n\r\n"
    path = tmp_path / "a.warc"
    path.write_bytes(head.encode() + kind.encode() + http + b"\r\n\r\n")
    (batch,) = Index().make("a.parquet", [path])
    assert batch["use_signals"].to_pylist() == [["noai", "tdm-reservation"]]
