"""Inputs that cannot be read are refused before any work, or left out if that is asked for."""

import bz2
import gzip
import json
import os
import shutil
from pathlib import Path

import pytest
from click.testing import CliRunner

from pipelines.cli.main import main
from tests.support.paths import ROOT

GOOD = ROOT / "tests" / "fixtures" / "crawl" / "example-2024-00000.warc.gz"
BAD = {
    "site.bz2": (bz2.compress(b"WARC/1.0\r\n\r\n"), "is packed with bzip2"),
    "rows.parquet": (b"PAR1....PAR1", "is a damaged Parquet file"),
    "prices.csv": (b"item,price\nbook,7\n", "has no column of text"),
    "empty.warc.gz": (b"", "is empty"),
    "letter.md": (b"Habari za asubuhi", "holds no WARC record"),
    "answer.warc.gz": (gzip.compress(b"<html>404</html>"), "holds no WARC record"),
    "book.docx": (b"PK\x03\x04" + bytes(40), "is a damaged zip"),
}


def roots(*arguments: str | Path, code: int = 0) -> str:
    words = [*map(str, arguments), "--quiet", "--executor", "serial"]
    result = CliRunner().invoke(main, words, catch_exceptions=False)
    assert result.exit_code == code, result.output
    return result.output


@pytest.fixture
def crawl(tmp_path: Path) -> Path:
    """A folder with one good archive and all kinds of bad inputs."""
    folder = tmp_path / "crawl"
    folder.mkdir()
    shutil.copy(GOOD, folder / "good.warc.gz")
    for name, (content, _) in BAD.items():
        (folder / name).write_bytes(content)
    (folder / "lost.warc.gz").symlink_to(tmp_path / "nowhere")
    (folder / "folder").mkdir()
    shutil.copy(GOOD, folder / "folder")
    os.mkfifo(folder / "pipe.warc")
    return folder


NAMES = {**{name: why for name, (_, why) in BAD.items()}, "lost.warc.gz": "is a link to",
         "folder": "is a folder", "pipe.warc": "is neither a file nor a folder"}  # fmt: skip


@pytest.mark.parametrize("name", NAMES)
def test_a_bad_input_alone_is_refused_in_one_line(name: str, crawl: Path, tmp_path: Path) -> None:
    for more in ((), ("--skip-bad-inputs",), ("--dry-run",)):
        said = roots("run", tmp_path / "work", "--input", crawl / name, "--lang", "sw", *more, code=2)
        assert f"/{name} {NAMES[name]}" in said
        assert said.count("\n") == 1
    assert not (tmp_path / "work").exists()


def test_bad_inputs_beside_good_ones_are_all_named_before_any_work(crawl: Path, tmp_path: Path) -> None:
    said = roots("run", tmp_path / "work", "--input", crawl / "*", "--lang", "sw", code=2)
    assert f"{len(NAMES)} of {len(NAMES) + 1} inputs cannot be read" in said
    assert "--skip-bad-inputs" in said
    assert all(f"/{name} {why}" in said for name, why in NAMES.items())
    assert not (tmp_path / "work").exists()
    said = roots("index", tmp_path / "work", "--input", crawl / "[fg]*", code=2)
    assert "1 of 2 inputs cannot be read" in said


def test_bad_inputs_are_left_out_if_that_is_asked_for_and_named_everywhere(crawl: Path, tmp_path: Path) -> None:
    work = tmp_path / "work"
    options = ("--input", crawl / "*", "--skip-bad-inputs")
    said = roots("run", work, *options, "--lang", "sw", "--dry-run")
    assert f"{len(NAMES)} inputs are skipped" in said
    assert not work.exists()
    said = roots("run", work, *options, "--lang", "sw")
    manifest = json.loads((work / "sw" / "manifest.json").read_text())
    assert list(manifest["inputs"]) == ["good.parquet"]
    assert manifest["shards"]
    for name, why in NAMES.items():
        assert f"/{name} {why}" in said
        assert any(line.startswith(f"{name} {why}") for line in manifest["skipped"])
    assert CliRunner().invoke(main, ["verify", str(work)]).exit_code == 0
    assert "lost.warc.gz" in CliRunner().invoke(main, ["status", str(work)]).output

    (work / "sw" / "manifest.json").unlink()
    roots("shard", work, "--lang", "sw")  # a stage of its own still knows what was left out
    assert json.loads((work / "sw" / "manifest.json").read_text()) == manifest

    said = roots("run", work, "--input", crawl / "good.warc.gz", "--lang", "sw")
    assert "skipped" not in said
    assert json.loads((work / "sw" / "manifest.json").read_text())["skipped"] == []
    assert "skipped" not in CliRunner().invoke(main, ["status", str(work)]).output


def test_a_bad_input_that_was_mended_goes_in(crawl: Path, tmp_path: Path) -> None:
    options = ("--input", crawl / "[eg]*.gz", "--skip-bad-inputs")
    assert "1 input is skipped" in roots("index", tmp_path / "work", *options)
    shutil.copy(GOOD, crawl / "empty.warc.gz")
    assert "skipped" not in roots("index", tmp_path / "work", *options)
    assert len(list((tmp_path / "work" / "index").glob("*.parquet"))) == 2
