"""DedupSettings that is killed in each sub-step, with scratch files damaged in between, ends in the same bytes."""

import random
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar

import pyarrow as pa
import pytest

from pipelines.dedup.scratch import is_intact
from roots import shards
from roots.errors import ShardError
from roots.stage import Stage
from tests.support import killing_dedup as killing

STEPS = (
    "sign", "urls", "exact", "pairs", "groups", "sets", "settle", "lines", "sizes", "repeats", "edits", "prints",
    "places", "excerpts", "cuts", "queries", "compare", "losses",
)  # fmt: skip


def test_killed_in_each_sub_step_it_ends_in_the_same_bytes(tmp_path: Path) -> None:
    with killing.Runs(tmp_path / "warm") as runs:
        killing.lay(tmp_path / "base", seed=3)
        steps = killing.time_steps(runs, tmp_path / "base", tmp_path / "undisturbed")
        assert {step.removeprefix("dedup.") for step in steps} == {*STEPS, "dedup"}
        kills, damaged = killing.kill_through(runs, tmp_path / "base", tmp_path / "killed", steps, seed=4)
    assert kills >= len(steps) // 2  # a sub-step may end sooner than timed, so that the kill comes too late
    assert damaged
    assert killing.digests(tmp_path / "killed") == killing.digests(tmp_path / "undisturbed")


@dataclass(frozen=True)
class Numbers(Stage):
    """A stage with a column that is read by its statistics, and a nested column before it."""

    name: ClassVar[str] = "numbers"
    version: ClassVar[int] = 1
    schema: ClassVar[pa.Schema] = pa.schema(
        [
            pa.field("spans", pa.list_(pa.struct([pa.field("low", pa.int64()), pa.field("high", pa.int64())]))),
            pa.field("group", pa.int64()),
        ]
    )

    def make(self, name: str, sources: Sequence[Path]) -> Iterator[pa.RecordBatch]:
        yield pa.RecordBatch.from_pylist([], self.schema)


LEAST, MOST = 0x0102030405, 0x1112131415


@pytest.fixture
def scratch(tmp_path: Path) -> Path:
    path = tmp_path / "part.parquet"
    rows = [{"spans": [{"low": 1, "high": 2}], "group": number} for number in (LEAST, MOST)]
    batch = pa.RecordBatch.from_pylist(rows, Numbers.schema)
    shards.write(path, Numbers.schema, [batch], "numbers", 1, "")
    return path


def test_a_footer_with_wrong_bounds_is_damage(scratch: Path) -> None:
    assert is_intact(scratch, Numbers())
    content = scratch.read_bytes()
    receipt = shards.read_receipt(scratch)
    assert receipt is not None
    place = content.rindex(MOST.to_bytes(8, "little"))
    assert place > receipt.body_bytes
    scratch.write_bytes(content[:place] + (MOST - 1).to_bytes(8, "little") + content[place + 8 :])
    with pytest.raises(ShardError, match="footer was changed"):
        shards.check(scratch)
    assert not is_intact(scratch, Numbers())


def test_any_part_cut_off_and_any_changed_byte_is_damage(scratch: Path) -> None:
    content = scratch.read_bytes()
    chance = random.Random(1)
    for length in [0, 1, *(chance.randrange(len(content)) for _ in range(20)), len(content) - 1]:
        scratch.write_bytes(content[:length])
        assert not is_intact(scratch, Numbers())
    for _ in range(40):
        changed = bytearray(content)
        changed[chance.randrange(len(changed))] ^= 1 << chance.randrange(8)
        scratch.write_bytes(bytes(changed))
        assert not is_intact(scratch, Numbers())
    scratch.write_bytes(content)
    assert is_intact(scratch, Numbers())
