"""Whatever is broken in an archive, the index gives rows with reasons or a clear error, in bounded time and memory."""

import re
import time
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest

from pipelines.archives.limits import Limits
from pipelines.archives.records import read_at, read_records
from pipelines.index import INDEX_REASONS, Index, faults_of
from roots.errors import InputError, StageFailed
from roots.executors import Serial
from roots.shards import check
from roots.stage import run
from tests.support.hostile import CASES

MEMORY = 700 << 20  # bytes that a worker may need
IDLE = (
    350 << 20
)  # of that, what one holds that has read nothing yet: Python, Arrow, Numba and models (measured: 342 MB)


def test_enough_kinds_of_harm() -> None:
    assert len(CASES) >= 25
    assert {row for case in CASES.values() for row in case.rows if row} <= set(INDEX_REASONS)
    assert all(case.error or case.rows or name == "gzip_of_nothing" for name, case in CASES.items())


def index(source: Path, target: Path) -> list[dict[str, Any]]:
    run(Index(), {"a.parquet": [source]}, target, Serial())
    check(target / "a.parquet")
    rows: list[dict[str, Any]] = pq.read_table(target / "a.parquet").to_pylist()
    return rows


@pytest.mark.parametrize("name", [name for name, case in CASES.items() if case.error])
def test_a_clear_error(name: str, tmp_path: Path) -> None:
    source = CASES[name].write(tmp_path)
    assert CASES[name].error in faults_of([source])[source]
    with pytest.raises((InputError, StageFailed), match=re.escape(CASES[name].error)):
        index(source, tmp_path / "index")
    assert not list((tmp_path / "index").glob("*.parquet"))


@pytest.mark.parametrize("name", [name for name, case in CASES.items() if not case.error])
def test_rows_with_reasons(name: str, tmp_path: Path) -> None:
    case = CASES[name]
    source = case.write(tmp_path)
    assert faults_of([source]) == {}
    index(source, tmp_path / "warm")  # compiled passes and tables are no cost of the case
    before = held("VmRSS")  # of all that other tests left in this process, too
    Path("/proc/self/clear_refs").write_text("5")  # forget the peak so far
    began = time.process_time()
    rows = index(source, tmp_path / "index")
    seconds = time.process_time() - began
    peak = held("VmHWM")
    assert tuple(row["drop"] for row in rows) == case.rows
    assert all(row["languages"][0]["label"] == "fra_Latn" for row in rows if row["drop"] is None)
    assert len({row["id"] for row in rows}) == len(rows)
    assert [row["offset"] for row in rows] == sorted({row["offset"] for row in rows})
    assert seconds < case.seconds
    assert peak - before < MEMORY - IDLE


def held(what: str) -> int:
    """Bytes of this process, as the kernel counts them."""
    return int(re.findall(rf"{what}:\s+(\d+) kB", Path("/proc/self/status").read_text())[0]) << 10


@pytest.mark.parametrize("name", [name for name, case in CASES.items() if None in case.rows])
def test_a_kept_record_is_found_again_at_its_offset(name: str, tmp_path: Path) -> None:
    source = CASES[name].write(tmp_path)
    good = [item for item in read_records(source, Limits()) if item.problem is None]
    for dense in (False, True):
        assert list(read_at(source, [item.offset for item in good], Limits(), dense)) == good
    assert list(read_at(source, [good[-1].offset], Limits())) == good[-1:]
