"""`roots shard --format`: the dataset as JSON lines or Parquet holds the same rows, and is made once."""

import json
import shutil
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from click.testing import CliRunner

from pipelines.archives.limits import Limits
from pipelines.cli.main import main
from pipelines.job.work import languages
from pipelines.sources.doors import read_source
from pipelines.sources.layouts import TableSettings
from pipelines.verify import verify
from roots import shards
from tests.support.paths import ROOT

CRAWL = str(ROOT / "tests" / "fixtures" / "crawl" / "*.warc.gz")
FORMS = ("jsonl.zst", "parquet")


def roots(*arguments: str) -> str:
    result = CliRunner().invoke(main, list(arguments), catch_exceptions=False)
    assert result.exit_code == 0, result.output
    return result.output


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    work = tmp_path_factory.mktemp("made") / "work"
    small = ("--executor", "serial", "--quiet", "--set", "shard.shard_bytes=20000")
    roots("run", str(work), "--input", CRAWL, "--lang", "fr", *small)
    for form in FORMS:
        said = roots("shard", str(work), "--lang", "fr", "--format", form, *small)
        assert f"{work / 'fr' / form}: " in said
    return work


def rows_of(work: Path, split: str) -> list[dict[str, Any]]:
    paths = sorted((work / "fr" / "shards" / split).glob("*.arrow"))
    return [row for path in paths for batch in shards.read_stream(path) for row in batch.to_pylist()]


def lines_of(path: Path) -> list[dict[str, Any]]:
    with pa.OSFile(str(path)) as raw, pa.CompressedInputStream(raw, "zstd") as file:
        return [json.loads(line) for line in file.read().decode().split("\n")[:-1]]


@pytest.mark.parametrize("split", ["train", "validation"])
def test_both_forms_hold_the_rows_of_the_dataset(made: Path, split: str) -> None:
    wanted = rows_of(made, split)
    lines = sorted((made / "fr" / "jsonl.zst").glob(f"{split}-*.jsonl.zst"))
    tables = sorted((made / "fr" / "parquet").glob(f"{split}-*.parquet"))
    assert [row for path in lines for row in lines_of(path)] == wanted
    assert [row for path in tables for row in pq.read_table(path).to_pylist()] == wanted
    assert split == "validation" or len(lines) == len(tables) > 1
    for form in FORMS:
        counts = json.loads((made / "fr" / form / "files.json").read_text())["splits"][split]
        assert counts == {"documents": len(wanted), "bytes": sum(len(row["text"].encode()) for row in wanted)}


def test_json_lines_can_be_an_input_again(made: Path) -> None:
    path = made / "fr" / "jsonl.zst" / "train-00000.jsonl.zst"
    records = list(read_source(path, TableSettings(), Limits()))
    assert [record.body.decode() for record in records] == [row["text"] for row in lines_of(path)]


def test_the_work_folder_is_as_it_was_besides(made: Path) -> None:
    assert languages(made) == ["fr"]
    assert list(verify(made, "fr")) == []


@pytest.mark.parametrize("form", FORMS)
def test_only_what_is_missing_or_damaged_is_made_again(made: Path, form: str, tmp_path: Path) -> None:
    work = tmp_path / "work"
    shutil.copytree(made, work)
    folder = work / "fr" / form
    before = {path.name: path.read_bytes() for path in folder.glob("[!.]*.*")}
    first, second = sorted(folder.glob(f"train-*.{form}"))[:2]
    first.write_bytes(first.read_bytes()[:-3])
    stamp = second.stat().st_mtime_ns
    again = ("--lang", "fr", "--format", form, "--quiet", "--set", "shard.shard_bytes=20000", "--workers", "2")
    roots("shard", str(work), *again)
    assert {path.name: path.read_bytes() for path in folder.glob("[!.]*.*")} == before
    assert second.stat().st_mtime_ns == stamp
    roots("shard", str(work), *again, "--set", "shard.shard_bytes=10000000")
    assert sum(len(lines_of(path)) if form == "jsonl.zst" else pq.read_table(path).num_rows
               for path in folder.glob("train-*")) == len(rows_of(work, "train"))  # fmt: skip
    assert not second.exists()
