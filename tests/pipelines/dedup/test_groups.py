"""Many tasks find the groups that one task finds, with any number of parts and workers."""

import json
import tempfile
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from pipelines.dedup.candidates import CandidatePairs, ExactCopies, UrlCopies
from pipelines.dedup.groups import (
    ComponentCosts,
    DocumentCosts,
    DocumentGroups,
    PartOfGroups,
    StarRound,
    group_by_many_tasks,
)
from pipelines.dedup.run import plan_memory
from pipelines.dedup.scratch import Steps, StepShards, group_parts, read_batches
from roots import shards
from roots.executors import Executor, Serial, Threads
from roots.stage import run

SIGN = pa.schema([("shingles", pa.int32())])
Edge = tuple[int, int, int]  # two documents; 0: of urls, 1: of exact, 2: of pairs


def lay(folder: Path, schema: pa.Schema, columns: Sequence[Any]) -> Path:
    """Write a finished sub-step of two shards; returns its manifest."""
    table = pa.table(
        [pa.array(column, kind) for column, kind in zip(columns, schema.types, strict=True)], schema=schema
    )
    folder.mkdir(parents=True)
    half = table.num_rows // 2
    rows = {}
    for name, part in (("a.parquet", table.slice(0, half)), ("b.parquet", table.slice(half))):
        rows[name] = vars(shards.write(folder / name, schema, part.to_batches(), folder.name, 1, str(part.to_pydict())))
    (folder / "manifest.json").write_text(json.dumps({"shards": rows}))
    return folder / "manifest.json"


def write_steps(folder: Path, documents: int, edges: Sequence[Edge]) -> list[Path]:
    """Write sign, urls, exact and pairs; returns their manifests."""
    ends = [[(one, other) for one, other, kind in edges if kind == wanted and one != other] for wanted in range(3)]
    sides = [([one for one, _ in some], [other for _, other in some]) for some in ends]
    same = [number % 2 == 0 for number in range(len(ends[1]))]

    return [
        lay(folder / "sign", SIGN, [np.arange(documents) % 7 + 1]),
        lay(folder / "urls", UrlCopies.schema, [sides[0][1], sides[0][0]]),
        lay(folder / "exact", ExactCopies.schema, [sides[1][1], sides[1][0], same]),
        lay(folder / "pairs", CandidatePairs.schema, sides[2]),
    ]


def grouped(found: list[Path], folder: Path, group_bytes: int, parts: int, executor: Executor) -> list[dict[str, Any]]:
    """Rows of groups, found by one task or by many."""
    steps = Steps(folder, executor, None)
    if parts == 1:
        manifest = steps.run(DocumentGroups(group_bytes), {"groups.parquet": found}, "groups")
    else:
        manifest = group_by_many_tasks(steps, found, group_bytes, parts)
    batches = (batch for path in StepShards.of(manifest).paths() for batch in read_batches(path, NAMES))
    return [row for batch in batches for row in batch.to_pylist()]


NAMES = ["document", "group", "shingles"]
documents = st.integers(0, 30)
chain = [
    (number * 7 % 23, (number + 1) * 7 % 23, number % 3) for number in range(20)
]  # 7 and 23 have no common divisor: one long path


@settings(max_examples=5, deadline=None, derandomize=True)
@given(
    edges=st.lists(st.tuples(documents, documents, st.integers(0, 2)), max_size=40),
    parts=st.integers(2, 5),
    group_bytes=st.sampled_from([1, 300, 1000, 1 << 30]),
)
@example(edges=chain, parts=3, group_bytes=1)
@example(edges=[], parts=2, group_bytes=1)
def test_many_tasks_find_the_groups_that_one_finds(edges: list[Edge], parts: int, group_bytes: int) -> None:
    with tempfile.TemporaryDirectory() as scratch:
        found = write_steps(Path(scratch), 31, edges)
        alone = grouped(found, Path(scratch) / "alone", group_bytes, 1, Serial())
        assert {row["document"] for row in alone} == {
            end for one, other, _ in edges for end in (one, other) if one != other
        }
        assert grouped(found, Path(scratch) / "spread", group_bytes, parts, Serial()) == alone


def test_any_number_of_workers_gives_the_same_bytes(tmp_path: Path) -> None:
    found = write_steps(tmp_path, 31, chain)
    for name, executor in (("one", Serial()), ("two", Threads(2))):
        grouped(found, tmp_path / name, 300, 4, executor)
    files = [
        {path.name: path.read_bytes() for path in (tmp_path / name / "groups").glob("part-*")}
        for name in ("one", "two")
    ]
    assert files[0] == files[1]
    assert len(files[0]) == 4


@pytest.mark.parametrize("dies", [1, 4, 7, 14])
def test_a_killed_round_resumes(dies: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    found = write_steps(tmp_path, 31, chain)
    made: list[str] = []
    make = StarRound.make

    def counted(stars: StarRound, name: str, sources: Sequence[Path]) -> Iterator[pa.RecordBatch]:
        made.append(f"{sources[-1].parent.name} {name}")
        yield from make(stars, name, sources)
        if len(made) == dies:  # all rows are made, but the file is not finished
            raise KeyboardInterrupt

    monkeypatch.setattr(StarRound, "make", counted)
    with pytest.raises(KeyboardInterrupt):
        grouped(found, tmp_path / "killed", 300, 3, Serial())
    assert not (tmp_path / "killed/groups").exists()
    grouped(found, tmp_path / "killed", 300, 3, Serial())
    killed = made.copy()
    assert killed[dies] == killed[dies - 1]
    made.clear()
    dies = 0  # the undisturbed run
    grouped(found, tmp_path / "whole", 300, 3, Serial())
    assert len(made) > 14  # so each kill is in a round
    assert len(killed) == len(made) + 1  # finished shards are not made again
    whole, again = (
        {path.relative_to(folder): path.read_bytes() for path in folder.rglob("[!.]*.*")}
        for folder in (tmp_path / "whole", tmp_path / "killed")
    )
    assert again == whole
    assert len(again) > len(made)


def test_one_task_groups_all_documents_if_memory_allows_it() -> None:
    plan = plan_memory(10**9, 10**11, 64 << 30, 1)
    assert group_parts(10**9, 10**10, plan) == 1
    assert plan.nodes < 2 * 10**9
    plan = plan_memory(10**9, 10**11, 8 << 30, 1)
    assert group_parts(10**9, 10**10, plan) > 100


@pytest.mark.parametrize("group_bytes", [4 << 20, 248 << 20])
def test_row_groups_stay_small_for_groups_of_any_size(tmp_path: Path, group_bytes: int) -> None:
    numbers = np.arange(1_500_000)
    weigh = pa.table([numbers, numbers, numbers, numbers], schema=DocumentCosts.schema)
    shards.write(tmp_path / "weigh.parquet", DocumentCosts.schema, weigh.to_batches(), DocumentCosts.name, 1, "")
    totals = lay(tmp_path / "totals", ComponentCosts.schema, [[0, 1], [100, 100]])
    stage = PartOfGroups(group_bytes)
    run(stage, {"part-0000.parquet": [tmp_path / "weigh.parquet", totals]}, tmp_path / "groups", Serial())
    footer = shards.open_shard(tmp_path / "groups" / "part-0000.parquet").metadata
    rows = [footer.row_group(number).num_rows for number in range(footer.num_row_groups)]
    assert rows == [1 << 20, numbers.size - (1 << 20)]


@pytest.mark.parametrize("parts", [1, 3])
@pytest.mark.parametrize("group_bytes", [1, 1 << 30])
def test_the_size_of_groups_does_not_change_that_of_row_groups(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, parts: int, group_bytes: int
) -> None:
    written: list[tuple[str, int]] = []
    write = shards.write

    def note(*values: Any) -> shards.Receipt:
        written.append((values[3], values[6]))
        return write(*values)

    found = write_steps(tmp_path / "found", 23, chain)
    monkeypatch.setattr(shards, "write", note)
    grouped(found, tmp_path / "work", group_bytes, parts, Serial())
    assert {size for name, size in written if name == "dedup.groups"} == {16 << 20}
