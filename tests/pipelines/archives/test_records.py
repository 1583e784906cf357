"""Archives: every record in order with its true offset, whatever packs them and whatever is broken."""

import contextlib
import gzip
import io
import struct
import zlib
from collections.abc import Callable
from pathlib import Path
from random import Random

import brotli
import pytest
from fastwarc.stream_io import Lz4Writer, ZstdWriter
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from warcio.archiveiterator import ArchiveIterator
from warcio.exceptions import ArchiveLoadFailed

from pipelines.archives.heads import inflate, parse_response, split_content_type
from pipelines.archives.limits import Limits
from pipelines.archives.records import TEXTLESS, Record, read_at, read_records
from roots.errors import InputError
from tests.support.hostile import PAGE, packed, record
from tests.support.paths import ROOT

FOUND = ROOT.parent / "shared" / "data" / "warc"
needs_data = pytest.mark.skipif(not FOUND.is_dir(), reason="the shared test data are not here")
LIMITS = Limits()
THREE = [record(number=number) for number in (1, 2, 3)]


def write(folder: Path, data: bytes, name: str = "a.warc.gz") -> Path:
    path = folder / name
    path.write_bytes(data)
    return path


def with_writer(writer: type[ZstdWriter] | type[Lz4Writer], *parts: bytes) -> list[bytes]:
    members = []
    for part in parts:
        out = io.BytesIO()
        stream = writer(out)
        stream.write(part)
        stream.finish()
        stream.flush()
        members.append(out.getvalue())
    return members


# name -> members, and whether each record can be sought
PACKINGS: dict[str, tuple[list[bytes], bool]] = {
    "plain": (THREE, True),
    "gzip": ([gzip.compress(item) for item in THREE], True),
    "zstd": (with_writer(ZstdWriter, *THREE), True),
    "lz4": (with_writer(Lz4Writer, *THREE), False),
    "gzip_solid": ([gzip.compress(b"".join(THREE))], False),
    "zstd_solid": (with_writer(ZstdWriter, b"".join(THREE)), False),
    "gzip_in_blocks": (
        [gzip.compress(b"".join(THREE)[at : at + 100]) for at in range(0, len(b"".join(THREE)), 100)],
        False,
    ),
}


def starts(parts: list[bytes]) -> list[int]:
    return [sum(map(len, parts[:number])) for number in range(len(parts))]


@pytest.mark.parametrize("name", PACKINGS)
def test_every_packing_gives_the_same_records(name: str, tmp_path: Path) -> None:
    members, sought = PACKINGS[name]
    path = write(tmp_path, b"".join(members))
    records = list(read_records(path, LIMITS))
    assert [item.url for item in records] == [f"http://page.test/{number}" for number in (1, 2, 3)]
    assert [item.offset for item in records] == starts(members if sought else THREE)
    assert all((item.body, item.problem, item.status) == (PAGE, None, 200) for item in records)
    for dense in (False, True):
        assert list(read_at(path, [item.offset for item in records[1:]], LIMITS, dense)) == records[1:]
        assert list(read_at(path, [records[0].offset, records[2].offset], LIMITS, dense)) == [records[0], records[2]]
        assert list(read_at(path, [records[0].offset, records[1].offset + 1], LIMITS, dense)) == records[:1]
    assert list(read_at(path, [], LIMITS)) == []


def test_members_that_hold_several_records(tmp_path: Path) -> None:
    members = [gzip.compress(THREE[0]), gzip.compress(THREE[1] + THREE[2]), gzip.compress(record(number=4))]
    path = write(tmp_path, b"".join(members))
    records = list(read_records(path, LIMITS))
    assert [item.problem for item in records] == [None] * 4
    assert len({item.offset for item in records}) == 4
    for wanted in (records[1:], records[2:3], records[2:], records[3:]):
        for dense in (False, True):
            assert list(read_at(path, [item.offset for item in wanted], LIMITS, dense)) == wanted


def test_a_zstd_archive_with_a_dictionary(tmp_path: Path) -> None:
    from fastwarc.stream_io import zstd_train_dictionary_from_samples

    samples = [record(b"<p>%d</p>" % number + PAGE, number=number) for number in range(200)]
    dictionary = zstd_train_dictionary_from_samples(samples, 4096)
    out = io.BytesIO()
    for item in THREE:
        stream = ZstdWriter(out, dictionary=dictionary)
        stream.write(item)
        stream.finish()
        stream.flush()
    head = b"\x5d\x2a\x4d\x18" + struct.pack("<I", len(dictionary)) + dictionary
    path = write(tmp_path, head + out.getvalue())
    records = list(read_records(path, LIMITS))
    assert [item.body for item in records] == [PAGE] * 3
    assert list(read_at(path, [records[2].offset], LIMITS)) == records[2:]


def test_other_record_types(tmp_path: Path) -> None:
    parts = [
        record(b"software: x", number=1, kind="warcinfo", content_type="application/warc-fields"),
        record(b"GET / HTTP/1.1\r\n\r\n", number=2, kind="request"),
        record(number=3),
        record(b"fetchTimeMs: 1", number=4, kind="metadata", content_type="application/warc-fields"),
        record(PAGE, number=5, kind="resource", content_type="text/html; charset=UTF-8"),
        record(b"Texte simple.", number=6, kind="conversion", content_type="text/plain"),
        record(b"", number=7, kind="revisit"),
    ]
    records = list(read_records(write(tmp_path, packed(*parts)), LIMITS))
    assert [item.kind for item in records] == ["response", "resource", "wet", "revisit"]
    assert [item.problem for item in records] == [None, None, None, "revisit"]
    assert (records[1].content_type, records[1].header_charset, records[1].status) == ("text/html", "UTF-8", None)
    assert records[2].body == b"Texte simple."
    assert records[0].date == "2024-05-06T07:08:09Z"


def test_ids_where_the_record_has_none(tmp_path: Path) -> None:
    parts = [item.replace(b"WARC-Record-ID", b"WARC-Recard-ID") for item in THREE]
    first = [item.id for item in read_records(write(tmp_path, packed(*parts)), LIMITS)]
    assert len(set(first)) == 3
    assert all(item.startswith("<urn:sha1:") for item in first)
    (tmp_path / "other").mkdir()
    assert [item.id for item in read_records(write(tmp_path / "other", packed(*parts)), LIMITS)] == first


@pytest.mark.parametrize(
    ("stated", "date"),
    [("2024-05-06T07:08:09Z", "2024-05-06T07:08:09Z"), ("2024-05-06T07:08:09.123456Z", "2024-05-06T07:08:09Z"),
     ("2023-12-31T23:30:00-01:45", "2024-01-01T01:15:00Z"), ("2024-03-01T00:10:05.5+0530", "2024-02-29T18:40:05Z"),
     ("2024-05-06T07:08:09", "2024-05-06T07:08:09Z"), ("2016-12-31T23:59:60Z", "2016-12-31T23:59:59Z"),
     ("2023-02-29T00:00:00Z", None), ("2024-13-01T00:00:00Z", None), ("2024-01-01T24:00:00Z", None),
     ("2024-01-01T00:00:00+99:00", None), ("0001-01-01T00:00:00+01:00", None), ("0000-01-01T00:00:00Z", None),
     ("yesterday", None), ("", None)],
)  # fmt: skip
def test_dates(stated: str, date: str | None, tmp_path: Path) -> None:
    data = THREE[0].replace(b"2024-05-06T07:08:09Z", stated.encode())
    assert [item.date for item in read_records(write(tmp_path, data, "a.warc"), LIMITS)] == [date]


@pytest.mark.parametrize("body", [b"", b"  ", b"%PDF\x00\x01", bytes(99)])
def test_a_body_of_no_kind_has_no_type(body: bytes, tmp_path: Path) -> None:
    assert [item.content_type for item in read_records(write(tmp_path, packed(record(body, head=""))), LIMITS)] == [
        None
    ]


CODINGS: dict[str, Callable[[bytes], bytes]] = {
    "gzip": gzip.compress,
    "x-gzip": gzip.compress,
    "deflate": zlib.compress,
    "Deflate": lambda data: zlib.compress(data)[2:-4],
    "br": brotli.compress,
    "zstd": lambda data: with_writer(ZstdWriter, data)[0],
    "identity": bytes,
    "utf-8": bytes,
    "gzip, br": lambda data: brotli.compress(gzip.compress(data)),
}


@pytest.mark.parametrize("coding", CODINGS)
@pytest.mark.parametrize("chunked", [False, True])
def test_codings_are_undone(coding: str, chunked: bool) -> None:
    body = CODINGS[coding](PAGE * 20)
    head = f"HTTP/1.1 200 OK\r\nContent-Type: text/html\r\nContent-Encoding: {coding}\r\n"
    if chunked:
        head += "Transfer-Encoding: chunked\r\n"
        body = b"".join(
            b"%X;x=y\r\n%b\r\n" % (len(body[at : at + 99]), body[at : at + 99]) for at in range(0, len(body), 99)
        )
        body += b"0\r\n\r\n"
    response = parse_response(head.encode() + b"\r\n", body, 1 << 20)
    assert (response.body, response.problem, response.content_type) == (PAGE * 20, None, "text/html")


@pytest.mark.parametrize("coding", ["gzip", "deflate", "br", "zstd"])
def test_a_bomb_is_cut(coding: str) -> None:
    head = f"HTTP/1.1 200 OK\r\nContent-Encoding: {coding}\r\n\r\n".encode()
    response = parse_response(head, CODINGS[coding](bytes(9 << 20)), 1 << 20)
    assert (len(response.body), response.problem) == (1 << 20, "too_large")


def test_a_decompressor_is_not_asked_for_more_than_the_bound() -> None:
    asked = []

    class Endless:
        def read(self, size: int) -> bytes:
            asked.append(size)
            assert sum(asked) <= 1001
            return bytes(size)

    assert inflate(Endless(), 1000) == (bytes(1001), True)


@given(st.binary(max_size=400))
def test_any_http_block_is_read(block: bytes) -> None:
    parse_response(block, block, 1 << 10)
    head = b"HTTP/1.1 200 OK\r\nContent-Encoding: gzip, br, deflate\r\nTransfer-Encoding: chunked\r\n\r\n"
    assert len(parse_response(head, block, 1 << 10).body) <= 1 << 10


@given(data=st.data())
@settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_any_damage_ends_in_rows_or_an_error(data: st.DataObject, tmp_path: Path) -> None:
    raw = bytearray(b"".join(PACKINGS[data.draw(st.sampled_from(sorted(PACKINGS)))][0]))
    for _ in range(data.draw(st.integers(1, 3))):
        at = data.draw(st.integers(0, len(raw) - 1))
        cut = data.draw(st.integers(0, 40))
        raw[at : at + cut] = data.draw(st.binary(max_size=40))
    path = write(tmp_path, bytes(raw) or b"x")
    try:
        records = list(read_records(path, LIMITS))
    except InputError:
        return
    assert [item.offset for item in records] == sorted({item.offset for item in records})


def test_a_member_whose_rest_is_damaged_is_left_behind(tmp_path: Path) -> None:
    """The reader says that the next member begins where this one did: the archive was read for ever."""
    solid = gzip.compress(b"".join(THREE), mtime=0)
    noise = Random(1)
    for cut in range(len(solid) - 40, len(solid) - 20):
        for lost in (0, 8):
            damaged = solid[:cut] + noise.randbytes(17) + solid[cut + 17 + lost :]
            records = list(read_records(write(tmp_path, damaged), LIMITS))
            assert [item.offset for item in records] == sorted({item.offset for item in records})
            assert len(records) == 3 or any(item.problem for item in records)


def test_damage_costs_no_other_record(tmp_path: Path) -> None:
    members = [gzip.compress(record(PAGE + b"%d" % number, number=number)) for number in range(30)]
    for number in (3, 11, 12, 29):
        members[number] = members[number][:-60]
    records = list(read_records(write(tmp_path, b"".join(members)), LIMITS))
    assert [item.offset for item in records] == starts(members)
    broken = [number for number, item in enumerate(records) if item.problem]
    assert broken == [3, 11, 12, 29]


def test_content_types() -> None:
    assert split_content_type('Text/HTML; Charset="ISO-8859-1"') == ("text/html", "ISO-8859-1")
    assert split_content_type("text/html;charset=") == ("text/html", None)
    assert split_content_type("nonsense") == (None, None)


def oracle(path: Path) -> tuple[list[int], bool]:
    """Offsets of the records that could hold text, by warcio, and whether it read the archive to its end in peace."""
    offsets = []
    noise = io.StringIO()
    with path.open("rb") as file, contextlib.redirect_stderr(noise), contextlib.redirect_stdout(noise):
        records = ArchiveIterator(file)
        try:
            for item in records:
                offset = records.get_record_offset()
                if item.rec_type not in TEXTLESS | {"arc_header"}:
                    offsets.append(offset)
        except ArchiveLoadFailed:
            return offsets, False
    return offsets, not noise.getvalue()


def real_archives() -> list[Path]:
    names = sorted(path for path in FOUND.rglob("*") if path.is_file()) if FOUND.is_dir() else []
    odd = (".json", ".tsv", "invalid-fields")  # the last begins with no line of ARC
    return [path for path in names if not any(part in path.name for part in odd)]


@needs_data
def test_real_archives_agree_with_warcio() -> None:
    refused: list[str] = []
    agreed = 0
    for path in real_archives():
        try:
            records: list[Record] = list(read_records(path, LIMITS))
        except InputError as error:
            refused.append(f"{path.name}: {error}")
            continue
        good = [item for item in records if item.problem != "bad_length"]
        for dense in (False, True):
            assert list(read_at(path, [item.offset for item in good], LIMITS, dense)) == good, path.name
        offsets, peaceful = oracle(path)
        if peaceful:
            assert [item.offset for item in records] == offsets, path.name
            agreed += 1
    assert agreed >= 50
    assert all("zip" in reason or "no WARC record" in reason for reason in refused)
    assert len(refused) <= 16, refused
