"""ARC and WACZ: the same records as a WARC has, read where they lie, within bounds on hostile files."""

import gzip
import io
import json
import zipfile
from collections.abc import Callable
from pathlib import Path
from random import Random

import pytest
from fastwarc.stream_io import ZstdWriter
from warcio.archiveiterator import ArchiveIterator

from pipelines.archives.limits import Limits
from pipelines.archives.records import Record, read_at, read_records
from pipelines.index import faults_of
from pipelines.sources.doors import ranges_of
from roots.errors import InputError
from tests.support.hostile import HTML, PAGE, packed, record

LIMITS = Limits()
BLOCK = f"HTTP/1.1 200 OK\r\n{HTML}\r\n".encode() + PAGE
NUMBERS = (1, 2, 3)


def filedesc(version: int = 1) -> bytes:
    names = "URL IP-address Archive-date Content-type Archive-length"
    if version == 2:
        names = "URL IP-address Archive-date Content-type Result-code Checksum Location Offset Filename Archive-length"
    block = f"{version} 0 Crawler\n{names}\n"
    return f"filedesc://old.arc 0.0.0.0 20080430204825 text/plain {len(block)}\n{block}\n".encode()


def arc(url: str, block: bytes = BLOCK, mime: str = "text/html", length: int | None = None) -> bytes:
    size = len(block) if length is None else length
    return f"{url} 192.0.2.7 20080430204826 {mime} {size}\n".encode() + block + b"\n"


def pages(mime: str = "text/html") -> list[bytes]:
    return [arc(f"http://page.test/{number}", mime=mime) for number in NUMBERS]


def zstd(data: bytes) -> bytes:
    out = io.BytesIO()
    stream = ZstdWriter(out)
    stream.write(data)
    stream.finish()
    stream.flush()
    return out.getvalue()


PACKINGS: dict[str, Callable[[list[bytes]], bytes]] = {
    "plain": b"".join,
    "gzip": lambda parts: b"".join(map(gzip.compress, parts)),
    "gzip_solid": lambda parts: gzip.compress(b"".join(parts)),
    "zstd": lambda parts: b"".join(map(zstd, parts)),
    "line ends before records": lambda parts: b"".join(
        gzip.compress(b"\n" + part.removesuffix(b"\n")) for part in parts
    ),
}


def write(folder: Path, data: bytes, name: str = "old.arc.gz") -> Path:
    path = folder / name
    path.write_bytes(data)
    return path


def read(path: Path, limits: Limits = LIMITS) -> list[Record]:
    """The records, after checking that each is found again at its place."""
    records = list(read_records(path, limits))
    good = [each for each in records if each.problem is None]
    for dense in (False, True):
        assert list(read_at(path, [each.offset for each in good], limits, dense)) == good
        assert list(read_at(path, [each.offset for each in good[1::2]], limits, dense)) == good[1::2]
    return records


@pytest.mark.parametrize("packing", PACKINGS)
@pytest.mark.parametrize(("version", "mime"), [(1, "text/html"), (2, "text/html 200 checksum - 77 old.arc")])
def test_every_form_of_arc_gives_its_pages(packing: str, version: int, mime: str, tmp_path: Path) -> None:
    path = write(tmp_path, PACKINGS[packing]([filedesc(version), *pages(mime)]))
    assert faults_of([path], ["fr"]) == {}
    records = read(path)
    assert [each.url for each in records] == [f"http://page.test/{number}" for number in NUMBERS]
    assert {(each.body, each.problem, each.status, each.kind) for each in records} == {(PAGE, None, 200, "response")}
    assert {(each.content_type, each.date) for each in records} == {("text/html", "2008-04-30T20:48:26Z")}
    assert len({each.id for each in records}) == len(NUMBERS)


def test_arc_is_read_as_warcio_reads_it(tmp_path: Path) -> None:
    records = [filedesc(), arc("dns:page.test", b"20080430\n", "text/dns"), *pages(), arc("http://a.test/a b?c=d e")]
    path = write(tmp_path, PACKINGS["gzip"](records))
    with path.open("rb") as file:
        found = ArchiveIterator(file)
        wanted = [(each.rec_headers.get_header("uri"), found.get_record_offset()) for each in found][1:]
    assert [(each.url, each.offset) for each in read(path)] == wanted


def test_what_is_no_page_of_an_arc_has_its_reason(tmp_path: Path) -> None:
    parts = [
        filedesc(),
        arc("dns:page.test", b"20080430\n", "text/dns"),
        arc("metadata://a.test/order.xml", b"<order/>", "text/xml"),
        arc("ftp://a.test/a.txt", b"Un texte.", "text/plain"),
        arc("http://a.test/", b"no head"),
    ]
    records = read(write(tmp_path, b"".join(parts)))
    assert [(each.url, each.problem) for each in records] == [
        ("dns:page.test", "not_http"),
        ("ftp://a.test/a.txt", None),
        ("http://a.test/", "bad_http"),
    ]


DAMAGE: dict[str, tuple[Callable[[], bytes], list[str | None]]] = {
    "cut": (lambda: b"".join([filedesc(), *pages()])[:-50], [None, None, "truncated"]),
    "cut gzip": (lambda: PACKINGS["gzip"]([filedesc(), *pages()])[:-60], [None, None, "truncated"]),
    "garbage": (lambda: b"".join([filedesc(), pages()[0], b"x" * 999 + b"\n", pages()[1]]), [None, "broken", None]),
    "length too long": (
        lambda: b"".join([filedesc(), arc("http://a.test/", length=len(BLOCK) + 60), *pages()]),
        ["bad_length", None, None, None],
    ),
    "length too short": (
        lambda: b"".join([filedesc(), arc("http://a.test/", length=200), *pages()]),
        ["bad_length", None, None, None],
    ),
    "a member of garbage": (
        lambda: PACKINGS["gzip"]([filedesc(), pages()[0], b"garbage" * 99, pages()[1]]),
        [None, "broken", None],
    ),
    "no first line": (lambda: b"garbage\n" * 9 + b"".join(pages()), ["broken", None, None, None]),
    "a long line": (lambda: filedesc() + b"http:" + b"x 1.1.1.1 200801010000 " * 90_000, ["broken"]),
}


@pytest.mark.parametrize("case", DAMAGE)
def test_damage_to_an_arc_costs_no_other_record(case: str, tmp_path: Path) -> None:
    make, problems = DAMAGE[case]
    assert [each.problem for each in read(write(tmp_path, make()))] == problems


Files = list[tuple[str, bytes, int]]  # names, contents and compression of the files in a zip


def wacz(folder: Path, files: Files, name: str = "crawl.wacz") -> Path:
    path = folder / name
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("datapackage.json", json.dumps({"profile": "data-package", "wacz_version": "1.1.1"}))
        for member, data, compression in files:
            archive.writestr(member, data, compression)
        archive.writestr("indexes/index.cdx.gz", gzip.compress(b"test,page)/ 2024"), zipfile.ZIP_STORED)
        archive.writestr("pages/pages.jsonl", b'{"format": "json-pages-1.0", "text": "no document"}\n')
    return path


ONE, TWO = packed(record(number=1), record(number=2)), packed(record(number=3))
PLAIN = record(number=1) + record(number=2)
STORED, DEFLATED = zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED
WACZ: dict[str, Files] = {
    "stored": [("archive/a.warc.gz", ONE, STORED), ("archive/b.warc.gz", TWO, STORED)],
    "plain": [("archive/a.warc", PLAIN, STORED), ("archive/b.warc", record(number=3), STORED)],
    "deflated": [("archive/a.warc.gz", ONE, DEFLATED), ("archive/b.warc.gz", TWO, DEFLATED)],
    "plain and packed": [("archive/a.warc", PLAIN, STORED), ("archive/b.warc.gz", TWO, STORED)],
    "solid": [("archive/a.warc.gz", gzip.compress(PLAIN), STORED), ("archive/b.warc.gz", TWO, STORED)],
    "in a folder": [("crawl/archive/a.warc.gz", ONE, STORED), ("crawl/archive/b.warc.gz", TWO, STORED)],
    "paths that lead out": [("../archive/a.warc.gz", ONE, STORED), ("/archive/b.warc.gz", TWO, STORED)],
}


@pytest.mark.parametrize("case", WACZ)
def test_every_form_of_wacz_gives_the_records_of_its_archives(case: str, tmp_path: Path) -> None:
    path = wacz(tmp_path, WACZ[case])
    assert faults_of([path], ["fr"]) == {}
    records = read(path)
    assert [each.url for each in records] == [f"http://page.test/{number}" for number in NUMBERS]
    assert {(each.body, each.problem) for each in records} == {(PAGE, None)}
    assert [each.name for each in tmp_path.iterdir()] == ["crawl.wacz"]


def test_stored_records_are_at_their_places_in_the_zip(tmp_path: Path) -> None:
    path = wacz(tmp_path, WACZ["stored"])
    data = path.read_bytes()
    assert [data.index(ONE), data.index(TWO)] == [each.offset for each in read(path)][::2]


def test_records_of_a_wacz_at_a_url_are_read_from_their_ranges_alone(tmp_path: Path) -> None:
    noise = Random(1)
    records = [record(noise.randbytes(5000).hex().encode(), number=number) for number in range(60)]
    path = wacz(tmp_path, [("archive/a.warc.gz", packed(*records), STORED)])
    known = read(path)
    wanted = [known[3], known[50]]
    size, places = path.stat().st_size, [each.offset for each in wanted]
    local = tmp_path / "local.wacz"
    with path.open("rb") as source, local.open("wb") as target:
        target.truncate(size)
        for low, high in [(0, 20_000), *ranges_of(places, [each.offset for each in known], size)]:
            source.seek(low)
            target.seek(low)
            target.write(source.read(high - low))
    assert [each.body for each in read_at(local, places, LIMITS)] == [each.body for each in wanted]


def test_a_damaged_record_of_a_wacz_costs_no_other(tmp_path: Path) -> None:
    cut = [("archive/a.warc.gz", ONE[:-30], STORED), ("archive/b.warc.gz", TWO, STORED)]
    assert [each.problem for each in read(wacz(tmp_path, cut))] == [None, "truncated", None]
    damaged = ONE[:-30] + b"garbage" * 9
    deflated = [("archive/a.warc.gz", damaged, DEFLATED), ("archive/b.warc.gz", TWO, DEFLATED)]
    assert [each.problem for each in read(wacz(tmp_path, deflated))] == [None, "bad_length", None]


def test_a_cut_wacz_gives_the_records_that_are_there(tmp_path: Path) -> None:
    path = wacz(tmp_path, WACZ["stored"])
    whole = path.read_bytes()
    path.write_bytes(whole[: whole.index(TWO) + 50])
    assert faults_of([path], ["fr"]) == {}
    problems = [each.problem for each in read(path)]
    assert problems.count(None) == 2
    assert problems[-1] in ("broken", "truncated")


def test_a_bomb_in_a_wacz_is_cut_at_the_bound(tmp_path: Path) -> None:
    path = wacz(tmp_path, [("archive/a.warc", record() + bytes(20 << 20), DEFLATED)])
    records = read(path, Limits(unpacked_bytes=1 << 20))
    assert [each.problem for each in records] == [None, "broken"]


def _moved(data: bytes) -> bytes:
    """The second file of the zip begins, by the zip's directory, where the first one does."""
    entry = data.rindex(b"archive/b.warc.gz") - 4
    first = data.rindex(b"archive/a.warc.gz") - 4
    return data[:entry] + data[first : first + 4] + data[entry + 4 :]


def _encrypted(data: bytes) -> bytes:
    flags = data.rindex(b"archive/a.warc.gz") - 38
    return data[:flags] + b"\x01" + data[flags + 1 :]


def _long(data: bytes) -> bytes:
    size = data.rindex(b"archive/b.warc.gz") - 26
    return data[:size] + (1 << 30).to_bytes(4, "little") + data[size + 4 :]


@pytest.mark.parametrize("change", [_moved, _long])
def test_a_zip_that_lies_gives_each_record_once_at_most(change: Callable[[bytes], bytes], tmp_path: Path) -> None:
    path = wacz(tmp_path, WACZ["stored"])
    path.write_bytes(change(path.read_bytes()))
    good = [each.url for each in read(path) if each.problem is None]
    assert good == [f"http://page.test/{number}" for number in NUMBERS]


def test_a_wacz_that_nobody_can_read_is_an_error(tmp_path: Path) -> None:
    path = wacz(tmp_path, [("archive/a.warc.gz", PLAIN, DEFLATED)])
    path.write_bytes(_encrypted(path.read_bytes()))
    with pytest.raises(InputError, match="is encrypted"):
        list(read_records(path, LIMITS))
    empty = wacz(tmp_path, [], "empty.wacz")
    assert "no WACZ" in faults_of([empty], ["fr"])[empty]


def test_a_directory_above_the_bound_is_not_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("pipelines.archives.other_forms.DIRECTORY_BYTES", 50)
    with pytest.raises(InputError, match="a directory of more than"):
        list(read_records(wacz(tmp_path, [("archive/a.warc", PLAIN, DEFLATED)]), LIMITS))
