"""Numbered parts: each does its own work, for any number of parts."""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest

from filters.near_duplicates.rules import LineRule
from pipelines.dedup.candidates import CandidatePairs, ExactCopies, UrlCopies
from pipelines.dedup.duplicates import Duplicates
from pipelines.dedup.groups import ComponentCosts, DocumentCosts, StarRound
from pipelines.dedup.lines import LineCounts, RepeatedLines, SourceSizes
from pipelines.dedup.scratch import numbered_band_parts, numbered_groups, numbered_parts
from roots import shards
from roots.stage import Stage, settings_of

PARTS = 20_000
OTHER, MINE = 1_000, 10_000  # their first digits are the same
KEYS = pa.array([OTHER, OTHER, MINE, MINE], pa.uint64())  # of documents 0 to 3
COLUMNS = ("content_low", "content_high", "units", "url_low", "url_high", "age", "rank", "tie", "source", "band_000")
RULES = (LineRule("common", pages=1, share=0.9),)
LINES = [(1 << 63) * part // PARTS for part in (OTHER, MINE)]  # keys of lines
SIGN = pa.table(dict.fromkeys(COLUMNS, KEYS))


def lay(folder: Path, table: pa.Table) -> Path:
    """Write a finished sub-step of one shard; returns its manifest."""
    folder.mkdir()
    shards.write(folder / "a.parquet", table.schema, table.to_batches(), folder.name, 1, "")
    (folder / "manifest.json").write_text(json.dumps({"shards": {"a.parquet": {"rows": table.num_rows}}}))
    return folder / "manifest.json"


def make_rows(stage: Stage, name: str, sources: list[Path]) -> list[dict[str, Any]]:
    return [row for batch in stage.make(name, sources) for row in batch.to_pylist()]


@pytest.fixture
def found(tmp_path: Path) -> dict[str, Path]:
    stars = pa.table([[OTHER, MINE], [OTHER + 1, MINE + 1]], schema=StarRound.schema)
    weigh = pa.table([[OTHER, MINE], [OTHER, MINE], [0, 0], [8, 8]], schema=DocumentCosts.schema)
    lines = pa.table([LINES, *([2, 2] for _ in LineCounts.schema.names[1:])], schema=LineCounts.schema)
    tables = {
        "sign": SIGN, "urls": UrlCopies.schema.empty_table(), "exact": ExactCopies.schema.empty_table(),
        "settle": Duplicates.schema.empty_table(), "stars": stars, "weigh": weigh,
        "lines": lines, "sizes": SourceSizes.schema.empty_table(),
    }  # fmt: skip
    return {name: lay(tmp_path / name, table) for name, table in tables.items()}


@pytest.mark.parametrize(
    ("stage", "sources", "column", "expected"),
    [
        (UrlCopies(PARTS), ["sign"], "document", [3]),
        (ExactCopies(PARTS), ["sign", "urls"], "document", [3]),
        (SourceSizes(RULES, PARTS, ()), ["sign", "settle"], "source", [MINE]),
        (RepeatedLines(RULES, PARTS), ["lines", "sizes"], "key", [LINES[1]]),
        (StarRound(True, PARTS), ["stars"], "document", [MINE + 1]),
        (ComponentCosts(PARTS, PARTS), ["weigh"], "first", [MINE]),
    ],
    ids=lambda value: getattr(value, "name", None),
)
def test_part_10000_does_its_own_work_and_not_that_of_part_1000(
    found: Mapping[str, Path], stage: Stage, sources: list[str], column: str, expected: list[int]
) -> None:
    rows = make_rows(stage, "part-10000.parquet", [found[name] for name in sources])
    assert [row[column] for row in rows] == expected


def test_part_10000_of_a_band_does_its_own_work(found: Mapping[str, Path]) -> None:
    sources = [found[name] for name in ("sign", "urls", "exact")]
    assert make_rows(CandidatePairs(1, PARTS), "band-000-part-10000.parquet", sources) == [{"better": 2, "worse": 3}]


@pytest.mark.parametrize("count", [1, 10_000, 10_001, PARTS])
def test_parts_are_in_the_order_of_their_names(count: int) -> None:
    assert list(numbered_parts(count).values()) == list(range(count))
    assert sorted(numbered_parts(count)) == list(numbered_parts(count))


def test_names_of_parts_are_those_of_earlier_runs() -> None:
    assert numbered_parts(10_000)["part-0003.parquet"] == 3
    assert numbered_groups(9)["group-000007.parquet"] == 7
    assert numbered_band_parts(14, 20)["band-003-part-0011.parquet"] == (3, 11)
    assert set(settings_of(Duplicates(0.8, True, 1, 9))) == {"jaccard", "verify_copies"}
