"""A part of a scratch shard, read by the statistics of row groups, has the rows that a plain filter gives."""

from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest

from pipelines.dedup.scratch import read_between
from roots import shards

SCHEMA = pa.schema([("group", pa.int32()), ("document", pa.int64())])


@pytest.fixture
def scratch(tmp_path: Path) -> Path:
    """Ten row groups of 100 rows; `group` ascends, ends within row groups, and is null once in the fourth."""
    numbers = np.arange(1000)
    groups = pa.array((numbers // 170).astype(np.int32), mask=numbers == 345)
    whole = pa.RecordBatch.from_arrays([groups, pa.array(numbers)], schema=SCHEMA)
    batches = [whole.slice(low, 100) for low in range(0, 1000, 100)]
    shards.write(tmp_path / "scratch.parquet", SCHEMA, batches, "scratch", 1, "f", group_bytes=1)
    return tmp_path / "scratch.parquet"


@pytest.mark.parametrize(("low", "high"), [(0, 1), (1, 2), (2, 3), (0, 3), (2, 6), (5, 6), (6, 9), (-5, 100)])
def test_rows_between_bounds_are_those_of_a_filter(scratch: Path, low: int, high: int) -> None:
    assert shards.open_shard(scratch).num_row_groups == 10
    found = list(read_between(scratch, "group", low, high, ["document", "group"], rows=30))
    numbers = np.concatenate([batch["document"].to_numpy() for batch in found]) if found else np.zeros(0)
    wanted = [number for number in range(1000) if number != 345 and low <= number // 170 < high]
    assert numbers.tolist() == wanted
    assert all(batch.num_rows <= 30 for batch in found)
