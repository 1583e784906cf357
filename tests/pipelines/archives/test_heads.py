"""WARC heads that are not as ISO 28500 writes them, and gzip members that hold nothing."""

import gzip
import re
from collections.abc import Callable
from itertools import pairwise
from pathlib import Path

import pytest
from fastwarc.stream_io import GzipReader

from pipelines.archives.heads import WARC, loose_records, read_on
from pipelines.archives.limits import Limits
from pipelines.archives.records import Record, read_at, read_records
from tests.pipelines.archives.test_records import with_writer, write
from tests.support.hostile import PAGE, record

LIMITS = Limits()
EMPTY = gzip.compress(b"", mtime=0)


def with_lf(item: bytes) -> bytes:
    """The record with a head whose lines end in LF."""
    head, block = item.split(b"\r\n\r\n", 1)
    return head.replace(b"\r\n", b"\n") + b"\n\n" + block


def with_names(change: Callable[[bytes], bytes]) -> Callable[[bytes], bytes]:
    """A function that changes the names of a record's WARC fields."""

    def changed(item: bytes) -> bytes:
        head, block = item.split(b"\r\n\r\n", 1)
        return re.sub(rb"(?m)^[\w-]+(?=:)", lambda name: change(name[0]), head) + b"\r\n\r\n" + block

    return changed


HEADS: dict[str, Callable[[bytes], bytes]] = {
    "lines end in LF": with_lf,
    "one line ends in LF": lambda item: item.replace(b"\r\nWARC-Date", b"\nWARC-Date"),
    "all ends are LF": lambda item: with_lf(item)[:-4] + b"\n\n",
    "version 0.18": lambda item: with_lf(item).replace(b"WARC/1.0", b"WARC/0.18"),
    "names in lower case": with_names(bytes.lower),
    "names in upper case": with_names(bytes.upper),
    "length in lower case": lambda item: item.replace(b"Content-Length", b"content-length"),
    "type in lower case": lambda item: item.replace(b"WARC-Type", b"warc-type"),
    "type twice": lambda item: item.replace(b"WARC-Type", b"WARC-Type: response\r\nWARC-Type"),
    "length twice": lambda item: re.sub(rb"(Content-Length: \d+\r\n)", rb"\1\1", item, count=1),
    "a folded line in LF": lambda item: with_lf(item).replace(b"\nWARC-Date: ", b"\nWARC-Date:\n  "),
}
PACKINGS: dict[str, Callable[[list[bytes]], bytes]] = {
    "plain": b"".join,
    "gzip": lambda items: b"".join(map(gzip.compress, items)),
    "gzip, one member": lambda items: gzip.compress(b"".join(items)),
    "gzip, two in a member": lambda items: gzip.compress(items[0]) + gzip.compress(b"".join(items[1:])),
    "zstd": lambda items: b"".join(_zstd(items)),
    "zstd, one frame": lambda items: _zstd([b"".join(items)])[0],
}


def _zstd(items: list[bytes]) -> list[bytes]:
    from fastwarc.stream_io import ZstdWriter

    return with_writer(ZstdWriter, *items)


def all_read(path: Path, number: int) -> list[Record]:
    """The records of an archive, which must be the first `number` pages, whole, also when sought."""
    records = list(read_records(path, LIMITS))
    assert [item.problem for item in records] == [None] * number
    assert [item.url for item in records] == [f"http://page.test/{place + 1}" for place in range(number)]
    assert {(item.body, item.date, item.status) for item in records} == {(PAGE, "2024-05-06T07:08:09Z", 200)}
    assert all(first.offset < second.offset for first, second in pairwise(records))
    for dense in (False, True):
        for wanted in (records, records[1:], records[::2]):
            assert list(read_at(path, [item.offset for item in wanted], LIMITS, dense)) == wanted
    return records


@pytest.mark.parametrize("packing", PACKINGS)
@pytest.mark.parametrize("head", HEADS)
def test_every_form_of_a_head_is_read(head: str, packing: str, tmp_path: Path) -> None:
    items = [HEADS[head](record(number=number)) for number in (1, 2, 3)]
    assert len(all_read(write(tmp_path, PACKINGS[packing](items)), 3)) == 3


@pytest.mark.parametrize("packing", PACKINGS)
@pytest.mark.parametrize("head", HEADS)
@pytest.mark.parametrize("odd", [(0,), (1,), (3,), (1, 2)])
def test_odd_heads_among_others_are_read(odd: tuple[int, ...], head: str, packing: str, tmp_path: Path) -> None:
    items = [record(number=number) for number in (1, 2, 3, 4)]
    items = [HEADS[head](item) if place in odd else item for place, item in enumerate(items)]
    assert len(all_read(write(tmp_path, PACKINGS[packing](items)), 4)) == 4


def test_records_without_text_do_not_hide_an_odd_head(tmp_path: Path) -> None:
    info = with_lf(record(b"software: x", kind="warcinfo", content_type="application/warc-fields"))
    assert len(all_read(write(tmp_path, info + with_lf(record(number=1)) + record(number=2)), 2)) == 2


@pytest.mark.parametrize(
    ("middle", "problem"),
    [
        (with_lf(record(number=2, length=900)), "bad_length"),
        (with_lf(record(number=2, length=99)), "bad_length"),
        (with_lf(record(number=2)).replace(b"Content-Length", b"Content-Lxngth"), "bad_length"),
        (with_lf(record(number=2)).replace(b"\n\n", b"", 1)[:200] + b"\r\n", "broken"),
        (with_lf(record(number=2, kind="novelty")), "not_http"),
    ],
)
@pytest.mark.parametrize("packed", [False, True])
def test_damage_with_odd_heads_is_a_row(packed: bool, middle: bytes, problem: str, tmp_path: Path) -> None:
    items = [with_lf(record(number=1)), middle, with_lf(record(number=3))]
    path = write(tmp_path, b"".join(map(gzip.compress, items) if packed else items))
    records = list(read_records(path, LIMITS))
    assert [item.problem for item in records] == [None, problem, None]


@pytest.mark.parametrize("kind", ["novelty", "response"])
def test_heads_that_are_as_written_are_read_by_the_quick_reader(
    kind: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("pipelines.archives.records.loose_records", None)
    empty = record(b"", kind=kind, content_type="text/x", length=0, number=2)
    path = write(tmp_path, record(number=1) + empty + record(number=3))
    assert [item.problem for item in read_records(path, LIMITS)] == [None, "not_http", None]


@pytest.mark.parametrize("empty", [1, 2, 5])
@pytest.mark.parametrize("place", [0, 1, 2, 3])
def test_members_without_bytes_end_no_archive(place: int, empty: int, tmp_path: Path) -> None:
    members = [gzip.compress(record(number=number)) for number in (1, 2, 3)]
    members.insert(place, EMPTY * empty)
    assert len(all_read(write(tmp_path, b"".join(members)), 3)) == 3


def test_members_without_bytes_end_no_archive_of_blocks(tmp_path: Path) -> None:
    whole = b"".join(record(number=number) for number in (1, 2, 3, 4))
    blocks = [gzip.compress(whole[at : at + 150]) for at in range(0, len(whole), 150)]
    assert len(all_read(write(tmp_path, EMPTY.join(blocks) + EMPTY), 4)) == 4
    assert len(all_read(write(tmp_path, gzip.compress(whole[:1500]) + EMPTY * 2 + gzip.compress(whole[1500:])), 4)) == 4


def test_a_member_of_line_ends_ends_no_archive(tmp_path: Path) -> None:
    members = [gzip.compress(record(number=number)) for number in (1, 2)]
    assert len(all_read(write(tmp_path, gzip.compress(b"\r\n\r\n").join([members[0], EMPTY, members[1]])), 2)) == 2


def test_garbage_behind_a_member_without_bytes_is_a_row(tmp_path: Path) -> None:
    first, second = (gzip.compress(record(number=number)) for number in (1, 2))
    records = list(read_records(write(tmp_path, first + EMPTY + b"garbage" * 9 + second), LIMITS))
    assert [item.problem for item in records] == [None, "broken", None]
    assert records[1].offset == len(first + EMPTY)


def test_a_reader_that_does_not_move_on_is_at_its_end() -> None:
    class Stuck:
        def read(self, size: int) -> bytes:
            return b""

        def inner_tell(self) -> int:
            return 7

    assert read_on(Stuck(), 1, 100) == b""
    assert list(loose_records(Stuck(), 0, 100, WARC)) == []


def test_the_loose_reader_skips_what_is_not_read_of_a_block(tmp_path: Path) -> None:
    data = b"".join(gzip.compress(record(number=number)) for number in (1, 2))
    path = write(tmp_path, data)
    with path.open("rb") as file:
        found = [item.headers.get("WARC-target-uri") for item in loose_records(GzipReader(file), 0, len(data), WARC)]
    assert found == ["http://page.test/1", "http://page.test/2"]
