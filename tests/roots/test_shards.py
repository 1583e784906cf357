"""Shards: whole or not at all, counted, checked, and read as one table through all stages."""

import errno
import os
from pathlib import Path

import pyarrow as pa
import pytest

from roots import shards
from roots.atomic import remove_stale, temporary_name
from roots.errors import ShardError

FIRST = pa.schema([("id", pa.string()), ("text", pa.string()), ("drop", pa.string())])
SECOND = pa.schema([("id", pa.string()), ("words", pa.int32()), ("drop", pa.string())])
THIRD = pa.schema([("id", pa.string()), ("text", pa.string()), ("drop", pa.string())])


def put(path: Path, schema: pa.Schema, rows: list[dict[str, object]]) -> shards.Receipt:
    path.parent.mkdir(parents=True, exist_ok=True)
    return shards.write(path, schema, [pa.RecordBatch.from_pylist(rows, schema)], path.parent.name, 1, "f")


@pytest.fixture
def chain(tmp_path: Path) -> list[Path]:
    """Three stages over 5,000 documents: the second drops every third, the third every fifth of what is left."""
    first = [{"id": f"d{n}", "text": f"text {n}", "drop": "a.bad" if n % 2 else None} for n in range(5000)]
    left = [row for row in first if row["drop"] is None]
    second = [{"id": row["id"], "words": n, "drop": "b.short" if n % 3 == 0 else None} for n, row in enumerate(left)]
    left2 = [row for row in second if row["drop"] is None]
    third = [{"id": row["id"], "text": f"clean {row['id']}", "drop": None} for row in left2]
    paths = [tmp_path / stage / "x.parquet" for stage in ("a", "b", "c")]
    for path, schema, rows in zip(paths, (FIRST, SECOND, THIRD), (first, second, third), strict=True):
        put(path, schema, rows)
    return paths


def test_a_chain_reads_as_one_table_of_what_all_keep(chain: list[Path]) -> None:
    rows = pa.Table.from_batches(shards.read_kept(chain[:2], ["id", "text", "words"])).to_pylist()
    assert len(rows) == 1666
    assert rows[0] == {"id": "d2", "text": "text 2", "words": 1}
    assert rows[-1] == {"id": "d4996", "text": "text 4996", "words": 2498}


def test_a_later_column_hides_the_earlier_one(chain: list[Path]) -> None:
    rows = pa.Table.from_batches(shards.read_kept(chain, ["text", "words"])).to_pylist()
    assert rows[0] == {"text": "clean d2", "words": 1}


def test_counts_are_in_the_footer(chain: list[Path]) -> None:
    receipt = shards.read_receipt(chain[1])
    assert receipt is not None
    assert (receipt.rows, receipt.kept, receipt.drops) == (2500, 1666, {"b.short": 834})
    assert shards.check(chain[1]) == receipt


def test_bytes_of_text_are_those_of_kept_rows(tmp_path: Path) -> None:
    rows = [{"id": "a", "text": "বই"}, {"id": "b", "text": "gone", "drop": "a.bad"}, {"id": "c", "text": None}]
    assert put(tmp_path / "a" / "x.parquet", FIRST, rows).text_bytes == len("বই".encode())
    assert put(tmp_path / "a" / "y.parquet", FIRST, rows[1:2]).text_bytes == 0
    assert put(tmp_path / "a" / "z.parquet", FIRST, rows[::2]).text_bytes == len("বই".encode())


def test_shards_of_different_runs_do_not_join(chain: list[Path]) -> None:
    put(chain[1], SECOND, [{"id": "d0", "words": 1, "drop": None}])
    with pytest.raises(ShardError, match="keeps 2500"):
        list(shards.read_kept(chain[:2], ["text"]))


def test_equal_counts_of_different_documents_do_not_join(chain: list[Path]) -> None:
    put(chain[1], SECOND, [{"id": f"e{n}", "words": 1, "drop": None} for n in range(2500)])
    with pytest.raises(ShardError, match="different documents"):
        list(shards.read_kept(chain[:2], ["text"]))


@pytest.mark.parametrize("at", [10, 5000, -200])
def test_a_changed_byte_is_found(chain: list[Path], at: int) -> None:
    data = bytearray(chain[0].read_bytes())
    data[at] ^= 1
    chain[0].write_bytes(data)
    with pytest.raises(ShardError):
        shards.check(chain[0])


def test_any_changed_byte_of_the_footer_is_found_before_arrow_reads_it(chain: list[Path]) -> None:
    # Arrow ends the process for some, others are a receipt with other numbers
    whole, receipt = chain[1].read_bytes(), shards.read_receipt(chain[1])
    assert receipt is not None
    for at in range(receipt.body_bytes, len(whole)):
        data = bytearray(whole)
        data[at] ^= 1 << at % 8
        chain[1].write_bytes(data)
        assert shards.read_receipt(chain[1]) is None
        with pytest.raises(ShardError, match="damaged"):
            shards.check(chain[1])
    chain[1].write_bytes(whole)
    assert shards.check(chain[1]) == receipt


def test_a_truncated_shard_is_found(chain: list[Path]) -> None:
    chain[0].write_bytes(chain[0].read_bytes()[:-100])
    assert shards.read_receipt(chain[0]) is None
    with pytest.raises(ShardError, match="damaged"):
        list(shards.read(chain[0]))


def test_failure_leaves_nothing_and_keeps_the_old(tmp_path: Path) -> None:
    path = tmp_path / "a" / "x.parquet"
    put(path, FIRST, [{"id": "old", "text": "t", "drop": None}])

    def broken() -> object:
        yield pa.RecordBatch.from_pylist([{"id": "new", "text": "t", "drop": None}], FIRST)
        raise ValueError("half way")

    with pytest.raises(ValueError, match="half way"):
        shards.write(path, FIRST, broken(), "a", 1, "f")  # type: ignore[arg-type]
    assert [p.name for p in path.parent.iterdir()] == ["x.parquet"]
    assert next(shards.read(path))["id"].to_pylist() == ["old"]


def test_undeclared_columns_are_refused(tmp_path: Path) -> None:
    batch = pa.RecordBatch.from_pylist([{"id": "x"}])
    with pytest.raises(ShardError, match="declared are"):
        shards.write(tmp_path / "x.parquet", FIRST, [batch], "a", 1, "f")


def test_an_empty_shard_is_a_shard(tmp_path: Path) -> None:
    receipt = shards.write(tmp_path / "x.parquet", FIRST, [], "a", 1, "f")
    assert (receipt.rows, receipt.kept) == (0, 0)
    assert list(shards.read_kept([tmp_path / "x.parquet"], ["text"])) == []


def test_a_full_disk_has_a_plain_message(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(self: object, data: bytes) -> int:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(shards._HashingFile, "write", full)
    with pytest.raises(ShardError, match="no space left"):
        put(tmp_path / "a" / "x.parquet", FIRST, [{"id": "x", "text": "t", "drop": None}])
    assert list((tmp_path / "a").iterdir()) == []


def test_temporary_files_of_ended_processes_are_removed_and_others_kept(tmp_path: Path) -> None:
    mine = temporary_name(tmp_path / "x.parquet")
    dead = mine.with_name(mine.name.replace(f"-{os.getpid()}.", "-999999999."))
    mine.touch()
    dead.touch()
    remove_stale(tmp_path)
    assert sorted(tmp_path.iterdir()) == [mine]


def test_same_rows_same_bytes(tmp_path: Path) -> None:
    rows: list[dict[str, object]] = [{"id": str(n), "text": "ا" * n, "drop": None} for n in range(300)]
    put(tmp_path / "a" / "x.parquet", FIRST, rows)
    put(tmp_path / "a" / "y.parquet", FIRST, rows)
    assert (tmp_path / "a" / "x.parquet").read_bytes() == (tmp_path / "a" / "y.parquet").read_bytes()


def test_row_groups_and_batches_are_as_small_as_asked(tmp_path: Path) -> None:
    rows = [{"id": f"d{number:05d}", "text": "x" * 90, "drop": None} for number in range(1000)]
    batches = [pa.RecordBatch.from_pylist(rows[low : low + 10], FIRST) for low in range(0, 1000, 10)]
    shards.write(tmp_path / "small.parquet", FIRST, batches, "first", 1, "f", group_bytes=4_000)
    sizes = [batch.num_rows for batch in shards.read_kept([tmp_path / "small.parquet"], ["id"], rows=7)]
    assert shards.open_shard(tmp_path / "small.parquet").num_row_groups == 25
    assert (sum(sizes), max(sizes)) == (1000, 7)
