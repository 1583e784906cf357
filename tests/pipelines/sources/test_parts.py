"""A large input is read in parts, each by a shard of its own, with the same rows as in one piece."""

import zipfile
from itertools import pairwise
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from pipelines.archives.limits import Limits
from pipelines.archives.records import Record
from pipelines.job.work import find_archives, known_inputs, part_of_shard, shards_of
from pipelines.sources.doors import parts_of, read_source, read_source_at
from pipelines.sources.layouts import TableSettings
from pipelines.verify import verify
from pipelines.why import explain
from tests.pipelines.sources.test_same_texts import documents
from tests.support.doors import run_job
from tests.support.tables import FORMS, jsonl

# Rows with ids that other rows have, blank and broken ones among them, and none without a letter of more than one byte.
ROWS = [
    {"text": f"Le chat n° {number} dort. " * (number % 9), "id": f"{number % 5}", "url": f"https://a.example/{number}"}
    for number in range(40)
]


def put(folder: Path, name: str) -> Path:
    path = folder / name
    path.write_bytes(FORMS[name](ROWS))
    return path


def read(path: Path, part: range | None = None, limits: Limits | None = None) -> list[Record]:
    return list(read_source(path, TableSettings(), limits or Limits(), part))


def read_parts(path: Path, parts: list[range]) -> list[Record]:
    return [record for part in parts for record in read(path, part)]


@pytest.mark.parametrize("name", FORMS)
def test_any_parts_give_the_same_rows(name: str, tmp_path: Path) -> None:
    path = put(tmp_path, name)
    whole = read(path)
    assert len({record.id for record in whole}) == len(ROWS)
    end = whole[-1].offset + 1
    for count in (1, 2, 7):
        parts = [range(low, high) for low, high in pairwise([end * n // count for n in range(count + 1)])]
        assert read_parts(path, parts) == whole, count


@pytest.mark.parametrize("name", ["a.jsonl", "a.parquet", "a.arrow", "b.arrow"])
def test_a_large_table_is_cut_into_parts_of_about_a_size(name: str, tmp_path: Path) -> None:
    path = put(tmp_path, name)
    parts = parts_of(path, path.stat().st_size // 4)
    assert 4 <= len(parts) <= 5
    assert [part.start for part in parts] == [0, *(part.stop for part in parts[:-1])]
    assert read_parts(path, parts) == read(path)
    assert max(len(read(path, part)) for part in parts) < len(ROWS) / 2
    assert len(parts_of(path, 1)) <= 32
    assert parts_of(path, path.stat().st_size) == []


@pytest.mark.parametrize("name", ["a.jsonl.gz", "a.json", "a.csv", "a.json.tar.gz"])
def test_other_tables_stay_whole(name: str, tmp_path: Path) -> None:
    assert parts_of(put(tmp_path, name), 100) == []


@pytest.mark.parametrize("read_at_once", [1, 50, 256 << 10])
def test_bad_rows_and_long_lines_are_in_one_part_each(
    read_at_once: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "a.jsonl"
    lines = [jsonl([row]) for row in ROWS]
    lines[3:5] = [b'{"text": "' + b"x" * 3000 + b'"}\n', b"\n\n{broken\n"]
    path.write_bytes(b"".join(lines).rstrip(b"\n"))
    limits = Limits(body_bytes=2000)
    whole = read(path, limits=limits)
    assert {record.problem for record in whole} == {None, "too_large", "broken"}
    monkeypatch.setattr("pipelines.sources.lines._PART", read_at_once)
    assert read(path, limits=limits) == whole
    size = path.stat().st_size
    for step in (29, 1000):
        ends = [*range(0, size, step), size]
        assert [r for low, high in pairwise(ends) for r in read(path, range(low, high), limits)] == whole


def test_a_damaged_arrow_file_says_so_once(tmp_path: Path) -> None:
    path = put(tmp_path, "b.arrow")
    path.write_bytes(path.read_bytes()[:-900])
    whole = read(path)
    assert [record.problem for record in whole][-2:] == [None, "truncated"]
    assert read_parts(path, parts_of(path, 1000)) == whole


@pytest.mark.parametrize("packed", [True, False])
def test_a_folder_or_zip_of_documents_is_cut_between_files(packed: bool, tmp_path: Path) -> None:
    folder = tmp_path / "books"
    folder.mkdir()
    for number in range(9):
        (folder / f"{number}.html").write_text(f"<html><p>{'Le chat dort. ' * 40 * (number % 3 + 1)}</p></html>")
    path = folder
    if packed:
        path = tmp_path / "books.zip"
        with zipfile.ZipFile(path, "w") as archive:
            for each in sorted(folder.iterdir()):
                archive.write(each, each.name)
    parts = parts_of(path, 3000)
    assert 3 <= len(parts) <= 6
    assert read_parts(path, parts) == read(path)


def test_a_run_in_parts_ends_in_the_same_dataset(tmp_path: Path) -> None:
    rows = documents()
    whole, cut = tmp_path / "whole", tmp_path / "cut"
    path = tmp_path / "a.jsonl"
    path.write_bytes(jsonl(rows))
    assert run_job(str(path), cut, "index.part_bytes=50000") == run_job(str(path), whole)
    shards = sorted(each.name for each in (cut / "index").glob("*.parquet"))
    assert len(shards) == -(-path.stat().st_size // 50_000) > 3
    assert [each.name for each in sorted((cut / "fr/extract").glob("*.parquet"))] == shards
    assert known_inputs(cut) == {"a.jsonl.parquet": path}
    assert list(verify(cut, "fr")) == []
    last = [row for row in pq.read_table(cut / "index" / shards[-1]).to_pylist() if not row["drop"]][-1]
    assert f"archive a.jsonl, offset {last['offset']}" in "\n".join(explain(cut, last["id"]))
    (record,) = read_source_at(path, [last["offset"]], TableSettings(), Limits(), False)
    assert (record.id, record.offset) == (last["id"], last["offset"])
    datasets = [next((work / "fr/shards/train").glob("*.arrow")) for work in (cut, whole)]
    one, other = (pa.ipc.open_stream(each).read_all()["id"].to_pylist() for each in datasets)
    assert one == other


def test_a_name_like_that_of_a_part_is_read_whole(tmp_path: Path) -> None:
    (tmp_path / "a.parquet@0-9.parquet.gz").write_bytes(FORMS["a.jsonl.gz"](ROWS))
    (tmp_path / "a@0-9").write_bytes(jsonl(ROWS))
    archives = find_archives([str(tmp_path / "*")])
    assert [part_of_shard(name) for name in archives] == [None, None]
    found = shards_of(archives, 1000)
    assert sorted(name for names in found.values() for name in set(names))[0] in archives
    assert {part_of_shard(shard) for shard in found} > {None}


def test_small_tables_and_documents_share_shards(tmp_path: Path) -> None:
    for number in range(40):
        (tmp_path / f"{number:02}.jsonl").write_bytes(jsonl(ROWS[:2]))
        (tmp_path / f"{number:02}.pdf").write_bytes(b"%PDF-1.4 and more")
    found = shards_of(find_archives([str(tmp_path / "*")]), 1 << 20)
    assert len(found) < 40
    assert sum(len(names) for names in found.values()) == 80
