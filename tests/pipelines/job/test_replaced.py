"""A finished dataset is not replaced by one of other archives without a word."""

import json
import shutil
from pathlib import Path

import pytest
from click.testing import CliRunner

from pipelines.cli.main import main
from tests.support.paths import ROOT

CRAWL = ROOT / "tests" / "fixtures" / "crawl"
FIRST, SECOND, THIRD = (CRAWL / f"example-2024-0000{n}.warc.gz" for n in range(3))


def roots(command: str, work: Path, *inputs: Path, more: tuple[str, ...] = ("--lang", "sw"), code: int = 0) -> str:
    pairs = [part for path in inputs for part in ("--input", str(path))]
    arguments = [command, str(work), *pairs, *more, "--quiet", "--executor", "serial"]
    result = CliRunner().invoke(main, arguments, catch_exceptions=False)
    assert result.exit_code == code, result.output
    return result.output


def inputs_of(work: Path) -> set[str]:
    return set(json.loads((work / "sw" / "manifest.json").read_text())["inputs"])


@pytest.fixture(scope="module")
def finished(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A dataset of two archives."""
    work = tmp_path_factory.mktemp("finished") / "work"
    roots("run", work, FIRST, SECOND)
    return work


@pytest.fixture
def work(finished: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(finished, tmp_path / "work"))


def test_a_dataset_of_other_archives_is_refused_and_can_be_asked_for(work: Path) -> None:
    before = {path: path.read_bytes() for path in work.rglob("*") if path.is_file()}
    for command, more in (("run", ("--lang", "sw")), ("index", ()), ("run", ("--lang", "sw", "--dry-run"))):
        said = roots(command, work, THIRD, more=more, code=2)
        for fact in ("2 archives", "--replace", FIRST.name, SECOND.name):
            assert fact in said
    after = {path: path.read_bytes() for path in work.rglob("*") if path.is_file() and path.name != ".inputs.json"}
    assert after == {path: content for path, content in before.items() if path.name != ".inputs.json"}
    roots("run", work, THIRD, more=("--lang", "sw", "--replace"))
    assert inputs_of(work) == {"example-2024-00002.parquet"}


def test_an_archive_that_goes_out_is_named(work: Path) -> None:
    said = roots("run", work, FIRST, THIRD)
    assert "1 archive of the former dataset" in said
    assert SECOND.name in said
    assert FIRST.name not in said


def test_archives_that_were_moved_are_the_same(work: Path, tmp_path: Path) -> None:
    moved = [Path(shutil.copy(path, tmp_path / f"moved-{path.name}")) for path in (FIRST, SECOND)]
    assert "former" not in roots("run", work, *moved)
    assert len(inputs_of(work)) == 2


def test_more_archives_go_beside_the_others(work: Path) -> None:
    assert "former" not in roots("run", work, FIRST, SECOND, THIRD)
    assert len(inputs_of(work)) == 3


def test_an_archive_of_a_known_name_is_the_only_one_that_is_worked_on(work: Path, tmp_path: Path) -> None:
    other = tmp_path / "more" / FIRST.name
    other.parent.mkdir()
    shutil.copy(THIRD, other)
    before = {path: path.stat().st_mtime_ns for path in (work / "sw" / "extract").glob("*.parquet")}
    assert "former" not in roots("run", work, FIRST, SECOND, other)
    after = {path: path.stat().st_mtime_ns for path in (work / "sw" / "extract").glob("*.parquet")}
    assert {path: at for path, at in after.items() if path in before} == before
    assert len(after) == len(list((work / "index").glob("*.parquet"))) == 3
    inputs = json.loads((work / "sw" / "manifest.json").read_text())["inputs"]
    assert len(set(inputs.values())) == 3  # each archive has its own digest


def test_an_unfinished_folder_is_not_refused(work: Path) -> None:
    (work / "sw" / "manifest.json").unlink()
    assert "former" not in roots("index", work, THIRD, more=())


@pytest.mark.parametrize("lost", ["sw/dedup", "sw/dedup/example-2024-00000.parquet", "sw/dedup/manifest.json"])
def test_a_dry_run_says_what_comes_after_a_stage_that_is_to_make(work: Path, lost: str) -> None:
    place = work / lost
    shutil.rmtree(place) if place.is_dir() else place.unlink()
    said = roots("run", work, FIRST, SECOND, more=("--lang", "sw", "--dry-run"))
    assert "dedup    to make" in said
    assert "redact   after dedup" in said
    assert "shard    after dedup" in said
